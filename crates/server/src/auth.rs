//! Who may come in, and with which address.

use std::net::Ipv4Addr;
use std::rc::Rc;

use crypto::{Password, Secret};
use engine::auth::{Authenticated, Denied, DenyReason, Method, Request};

use crate::settings::Settings;

/// Where users are kept.
pub trait Users {
    /// The user that this name means to this server with this method, read anew if the file changed. What there is to say about the
    /// file or the user, for the log and for nobody else, is added to `remarks`.
    fn find(&mut self, method: Method, name: &[u8], remarks: &mut Vec<String>) -> Option<User>;
}

/// One user.
#[derive(Debug)]
pub struct User {
    /// What the user knows.
    pub secret: Secret,
    /// Which addresses the user may have.
    pub addresses: Box<dyn Addresses>,
    /// What the user has of its own, in place of everybody's.
    pub own: Option<Own>,
}

/// What a user has of its own: options behind `--` in the secrets file.
#[derive(Clone, Debug)]
pub struct Own {
    /// The settings of the user's sessions.
    pub settings: Rc<Settings>,
    /// Our address in the user's tunnel.
    pub local: Option<Ipv4Addr>,
    /// The user's address, whatever the pool or the list of addresses says.
    pub remote: Option<Ipv4Addr>,
}

/// Which addresses a user may have.
pub trait Addresses: std::fmt::Debug {
    /// The address for this user: `suggested`, the user's own, or none.
    fn choose(&self, suggested: Ipv4Addr, unit: u32) -> Option<Ipv4Addr>;
}

/// Any address.
#[derive(Debug)]
pub struct AnyAddress;

impl Addresses for AnyAddress {
    fn choose(&self, suggested: Ipv4Addr, _unit: u32) -> Option<Ipv4Addr> {
        Some(suggested)
    }
}

/// What became of a login.
#[derive(Debug)]
pub enum Verdict {
    /// Welcome, with this address.
    Welcome(Authenticated, Ipv4Addr, Option<Own>),
    /// The proof is right, but the user may not have the address.
    NoAddress(Denied),
    /// Refused.
    Refused(Denied),
}

/// Judges a login. `suggested` is the pool's address for it, `unit` the slot's number.
///
/// An unknown user costs the same work as a known one and is told the same, so that names cannot be probed.
pub fn judge(
    users: &mut dyn Users,
    request: &Request,
    strip_domain: bool,
    suggested: Ipv4Addr,
    unit: u32,
    remarks: &mut Vec<String>,
) -> Verdict {
    let name = if strip_domain { without_domain(request.name()) } else { request.name() };
    let Some(user) = users.find(request.method(), name, remarks) else {
        let nobody = Secret::Password(Password::new(b"no such user".to_vec()));
        // The result does not matter, only that it was computed.
        let _ = request.verify(&nobody);
        return Verdict::Refused(request.refuse(DenyReason::UnknownUser));
    };
    match request.verify(&user.secret) {
        Ok(authenticated) => match address(&user, suggested, unit) {
            Some(address) => Verdict::Welcome(authenticated, address, user.own),
            None => Verdict::NoAddress(
                request.refuse(DenyReason::NotAllowed("not authorized to use a remote address")),
            ),
        },
        Err(denied) => Verdict::Refused(denied),
    }
}

/// The user's address. One that is unspecified is none: with `delegate` the pool has only those.
fn address(user: &User, suggested: Ipv4Addr, unit: u32) -> Option<Ipv4Addr> {
    let own = user.own.as_ref().and_then(|own| own.remote);
    own.or_else(|| user.addresses.choose(suggested, unit))
        .filter(|address| !address.is_unspecified())
}

/// The part behind the last backslash (pppd's `chapms-strip-domain`).
fn without_domain(name: &[u8]) -> &[u8] {
    name.rsplit(|byte| *byte == b'\\').next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_domain_ends_at_the_last_backslash() {
        assert_eq!(without_domain(b"OFFICE\\scott"), b"scott");
        assert_eq!(without_domain(b"a\\b\\scott"), b"scott");
        assert_eq!(without_domain(b"scott"), b"scott");
    }
}
