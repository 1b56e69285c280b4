//! Who may come in, and with which address.

use std::net::Ipv4Addr;
use std::rc::Rc;

use crypto::{Password, Secret};
use engine::auth::{Authenticated, Denied, DenyReason, Method, Request};
use zeroize::Zeroizing;

use crate::leases::PoolId;
use crate::settings::Settings;

/// Where users are kept.
pub trait Users {
    /// The user that this name means to this server with this method, read anew if the file changed. What there is to say about the
    /// file or the user, for the log and for nobody else, is added to `remarks`.
    fn find(&mut self, method: Method, name: &[u8], remarks: &mut Vec<String>) -> Option<User>;

    /// Whether there are secrets for this name, though none for this server's.
    fn is_elsewhere(&self, _name: &[u8]) -> bool {
        false
    }
}

/// One user.
#[derive(Debug)]
pub struct User {
    /// What the user knows; `None`: PAM knows it.
    pub secret: Option<Secret>,
    /// Which addresses the user may have.
    pub addresses: Box<dyn Addresses>,
    /// The pool that the user's address is of, if it is not the user's own.
    pub pool: PoolId,
    /// What the user has of its own, in place of everybody's.
    pub own: Option<Own>,
}

/// What a user has of its own: by the pool, and by options behind `--` in the secrets file.
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
    /// Come in.
    Welcome(Welcome),
    /// Come in if PAM has nothing against it. The password is there when PAM is to check it.
    AskPam(Welcome, Option<Zeroizing<Vec<u8>>>),
    /// The proof is right, but the user may not have the address.
    NoAddress(Denied, PoolId),
    /// Refused.
    Refused(Denied),
}

impl Verdict {
    /// The pool of a user whose proof is right.
    #[must_use]
    pub fn pool(&self) -> Option<PoolId> {
        match self {
            Self::Welcome(welcome) | Self::AskPam(welcome, _) => Some(welcome.pool),
            Self::NoAddress(_, pool) => Some(*pool),
            Self::Refused(_) => None,
        }
    }
}

/// What a user gets who may come in.
#[derive(Debug)]
pub struct Welcome {
    /// Who it is.
    pub authenticated: Authenticated,
    /// The address in the tunnel.
    pub address: Ipv4Addr,
    /// The user's pool.
    pub pool: PoolId,
    /// What the user has of its own.
    pub own: Option<Own>,
}

/// What a login is judged by, besides the user's own line.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Whether `DOMAIN\` is left out when a user is looked up.
    pub strip_domain: bool,
    /// Whether PAM is asked about everybody, and if so, for what.
    pub pam: Option<Pam>,
    /// The pool's address for the session.
    pub suggested: Ipv4Addr,
    /// The slot's number.
    pub unit: u32,
}

impl Rules {
    /// The user whom this name means.
    #[must_use]
    pub fn user(self, name: &[u8]) -> &[u8] {
        if self.strip_domain { without_domain(name) } else { name }
    }
}

/// What PAM (service `ppp`) is asked about everybody who logs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pam {
    /// Whether the account may be used (`enable-session`).
    Account,
    /// That, and whether a password that was sent in clear is right (`login`).
    AccountAndPassword,
}

/// Judges a login.
///
/// An unknown user costs the same work as a known one and is told the same, so that names cannot be probed.
pub fn judge(
    users: &mut dyn Users,
    request: &Request,
    rules: Rules,
    remarks: &mut Vec<String>,
) -> Verdict {
    let Some(user) = users.find(request.method(), rules.user(request.name()), remarks) else {
        let nobody = Secret::Password(Password::new(b"no such user".to_vec()));
        // The result does not matter, only that it was computed.
        let _ = request.verify(&nobody);
        let reason = match users.is_elsewhere(rules.user(request.name())) {
            true => DenyReason::OtherServer,
            false => DenyReason::UnknownUser,
        };
        return Verdict::Refused(request.refuse(reason));
    };
    let address = address(&user, rules.suggested, rules.unit);
    let sent = request.sent_password();
    let knows = if user.secret.is_none() { Some(Pam::AccountAndPassword) } else { rules.pam };
    let asked = knows.map(|pam| sent.clone().filter(|_| pam == Pam::AccountAndPassword));
    // A password that PAM likes is the secret; it is asked before the user is in.
    let sent = || sent.as_ref().map(|sent| Secret::Password(Password::new(sent.to_vec())));
    let Some(secret) = user.secret.or_else(sent) else {
        return Verdict::Refused(request.refuse(DenyReason::SecretUnusable));
    };
    let authenticated = match request.verify(&secret) {
        Ok(authenticated) => authenticated,
        Err(denied) if denied.reason == DenyReason::WrongPassword && !is_ascii(&secret) => {
            return Verdict::Refused(request.refuse(DenyReason::NotAscii));
        }
        Err(denied) => return Verdict::Refused(denied),
    };
    let Some(address) = address else {
        let denied = DenyReason::NotAllowed("not authorized to use a remote address");
        return Verdict::NoAddress(request.refuse(denied), user.pool);
    };
    let welcome = Welcome { authenticated, address, pool: user.pool, own: user.own };
    match asked {
        Some(password) => Verdict::AskPam(welcome, password),
        None => Verdict::Welcome(welcome),
    }
}

/// Whether the two ends are sure to encode a secret alike. Of a hash nobody knows.
fn is_ascii(secret: &Secret) -> bool {
    secret.password().is_none_or(|password| password.as_bytes().is_ascii())
}

/// The user's address. One that is unspecified is none: with `delegate` the pool has only those.
fn address(user: &User, suggested: Ipv4Addr, unit: u32) -> Option<Ipv4Addr> {
    let own = user.own.as_ref().and_then(|own| own.remote);
    own.or_else(|| user.addresses.choose(suggested, unit))
        .filter(|address| !address.is_unspecified())
}

/// The part behind the last backslash (pppd's `chapms-strip-domain`).
pub(crate) fn without_domain(name: &[u8]) -> &[u8] {
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
