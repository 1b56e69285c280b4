//! How far a connection got, and what its failure says.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

/// The steps of a connection, in their order. Each is an exit code of `gretel connect` when it fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// The server's name was looked up.
    Name = 10,
    /// TCP 1723 answered.
    Tcp = 11,
    /// The control connection is established.
    Control = 12,
    /// The call is up.
    Call = 13,
    /// The first GRE packet came back.
    Gre = 14,
    /// LCP is open.
    Lcp = 15,
    /// The server accepted us.
    Authentication = 16,
    /// MPPE has its keys.
    Encryption = 17,
    /// Addresses are agreed on.
    Addresses = 18,
    /// The interface and its routes are set up.
    Interface = 19,
    /// The tunnel carried traffic until it broke.
    Tunnel = 20,
}

impl Stage {
    /// The exit code when this stage is the one that failed.
    pub fn exit_code(self) -> u8 {
        self as u8
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Name => "name",
            Self::Tcp => "TCP 1723",
            Self::Control => "control connection",
            Self::Call => "call",
            Self::Gre => "GRE",
            Self::Lcp => "LCP",
            Self::Authentication => "authentication",
            Self::Encryption => "encryption",
            Self::Addresses => "addresses",
            Self::Interface => "interface",
            Self::Tunnel => "tunnel",
        })
    }
}

/// A stage that was reached.
#[derive(Clone, Debug)]
pub struct Progress {
    /// Which.
    pub stage: Stage,
    /// How long after the beginning.
    pub after: Duration,
    /// What was found, in a few words; peer's text escaped.
    pub detail: String,
}

/// The stage that failed, and why.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Which.
    pub stage: Stage,
    /// What happened.
    pub message: String,
}

impl Failure {
    pub(crate) fn new(stage: Stage, message: impl Into<String>) -> Self {
        Self { stage, message: message.into() }
    }

    /// What a silence at a stage means and what to look at.
    pub(crate) fn silence(stage: Stage, server: SocketAddr) -> Self {
        let message = match stage {
            Stage::Tcp => format!("no answer from {server}: a firewall drops TCP 1723, or the host is down"),
            Stage::Control => "TCP is up, but the server does not speak PPTP".into(),
            Stage::Call => "the server does not answer the call request".into(),
            Stage::Gre => {
                "the call is up, but no GRE packet came back: IP protocol 47 is blocked on the way or at one of the two ends".into()
            }
            Stage::Lcp => "GRE packets arrive, but LCP does not open".into(),
            Stage::Authentication => "the server does not finish authentication".into(),
            Stage::Encryption => "the two ends do not agree on MPPE".into(),
            _ => "the server gives no address".into(),
        };
        Self { stage, message }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "failed at {}: {}", self.stage, self.message)
    }
}

impl std::error::Error for Failure {}
