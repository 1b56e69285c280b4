//! Authentication: what a peer offers as proof, and what a verified proof is worth.
//!
//! An [`Authenticated`] comes from [`Request::verify`], from the client's check of the server's answer, or from
//! [`Authenticated::waived`], and from nowhere else. The network phase of a link cannot be built without one.

pub(crate) mod authenticator;
pub(crate) mod peer;
mod request;

use alloc::vec::Vec;
use core::fmt;

use crypto::mppe::MasterKeys;
use wire::lcp::AuthProtocol;
use wire::ppp::Protocol;

pub use request::Request;

/// An authentication method of PPP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// Password Authentication Protocol (RFC 1334 §2): the password in clear.
    Pap,
    /// CHAP with MD5 (RFC 1994).
    ChapMd5,
    /// MS-CHAP version 1 (RFC 2433).
    MsChapV1,
    /// MS-CHAP version 2 (RFC 2759).
    MsChapV2,
}

impl Method {
    /// The LCP option value that asks for it.
    pub fn option(self) -> AuthProtocol {
        match self {
            Method::Pap => AuthProtocol::Pap,
            Method::ChapMd5 => AuthProtocol::Chap(0x05),
            Method::MsChapV1 => AuthProtocol::Chap(0x80),
            Method::MsChapV2 => AuthProtocol::Chap(0x81),
        }
    }

    /// The method that an LCP option value asks for, if it is one of ours.
    pub fn from_option(option: &AuthProtocol) -> Option<Self> {
        [Method::MsChapV2, Method::MsChapV1, Method::ChapMd5, Method::Pap]
            .into_iter()
            .find(|method| method.option() == *option)
    }

    /// The PPP protocol that carries it.
    pub(crate) fn protocol(self) -> Protocol {
        if self == Method::Pap { Protocol::PAP } else { Protocol::CHAP }
    }

    /// Whether it makes MPPE keys.
    pub fn makes_keys(self) -> bool {
        matches!(self, Method::MsChapV1 | Method::MsChapV2)
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Method::Pap => "PAP",
            Method::ChapMd5 => "CHAP-MD5",
            Method::MsChapV1 => "MS-CHAP",
            Method::MsChapV2 => "MS-CHAPv2",
        })
    }
}

/// Proof that the peer has been authenticated, or that the configuration does not ask for it.
#[derive(Debug)]
pub struct Authenticated {
    method: Option<Method>,
    name: Vec<u8>,
    ticket: u32,
    success: Vec<u8>,
    keys: Option<MasterKeys>,
}

impl Authenticated {
    /// For a configuration that does not ask the peer to authenticate.
    pub fn waived() -> Self {
        Self { method: None, name: Vec::new(), ticket: 0, success: Vec::new(), keys: None }
    }

    /// How; `None` when waived.
    pub fn method(&self) -> Option<Method> {
        self.method
    }

    /// The user name as sent; empty when waived.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// Where MPPE keys come from, when the method makes any: for a packet path that has to have them before CCP is open, as the kernel's has.
    pub fn keys(&self) -> Option<&MasterKeys> {
        self.keys.as_ref()
    }

    /// As [`keys`](Self::keys), for who needs nothing else any more.
    pub(crate) fn into_keys(self) -> Option<MasterKeys> {
        self.keys
    }

    /// The text that tells the peer (CHAP Success, PAP Ack).
    pub(crate) fn success_message(&self) -> &[u8] {
        &self.success
    }

    /// Which request it answers.
    pub(crate) fn ticket(&self) -> u32 {
        self.ticket
    }
}

/// The peer is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Denied {
    pub(crate) ticket: u32,
    /// For the log; the peer is told nothing but that it failed.
    pub reason: DenyReason,
}

/// Why a peer is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DenyReason {
    /// No secret for this client and server name.
    UnknownUser,
    /// The client has secrets, but none for this server's name.
    OtherServer,
    /// The proof does not fit the secret.
    WrongPassword,
    /// The proof does not fit the secret, which has letters beyond ASCII: it may be that the two ends encode them differently.
    NotAscii,
    /// The proof cannot be read, or uses a form that is refused here (LAN Manager, for one).
    Malformed,
    /// The secret is kept in a form with which this method cannot be checked.
    SecretUnusable,
    /// The proof is right, but the user may not come in; the text says why.
    NotAllowed(&'static str),
    /// The proof was not looked at: too many logins have failed.
    Locked,
}

impl fmt::Display for DenyReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DenyReason::UnknownUser => "no secret found",
            DenyReason::OtherServer => "no secret found for this server's name",
            DenyReason::WrongPassword => "wrong password",
            DenyReason::NotAscii => "wrong password, perhaps for its letters beyond ASCII",
            DenyReason::Malformed => "unreadable or refused form of response",
            DenyReason::SecretUnusable => "secret is kept in a form that this method cannot use",
            DenyReason::NotAllowed(why) => why,
            DenyReason::Locked => "locked after too many failed logins",
        })
    }
}
