//! A step in words.

use std::fmt;

use serde_json::{Value, json};
use wire::Escaped;
use wire::control::Message;
use wire::ppp::{Code, Protocol};

use super::step::{By, Step};

/// One line of a trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Milliseconds since the control connection began; `None` where steps are left out.
    pub millis: Option<u32>,
    /// The part of the way; `None`: whichever it happened in.
    pub part: Option<Part>,
    /// Who did it; `None`: it happened.
    pub by: Option<By>,
    /// What.
    pub text: String,
    /// It is the verdict, and whether nothing went wrong.
    pub verdict: Option<bool>,
}

/// A part of the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// TCP and the control messages.
    Control,
    /// The call, and whether GRE passes.
    Call,
    /// LCP.
    Link,
    /// Who is there.
    Login,
    /// Encryption, addresses, the interface.
    Network,
    /// Packets in the tunnel.
    Tunnel,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Control => "Control connection (TCP 1723)",
            Self::Call => "Call and GRE",
            Self::Link => "Link (LCP)",
            Self::Login => "Login",
            Self::Network => "Encryption and addresses",
            Self::Tunnel => "In the tunnel",
        })
    }
}

impl Shown {
    /// Where so many steps are left out.
    pub(super) fn gap(left_out: u32) -> Self {
        let text = format!("{left_out} steps are not kept");
        Self { millis: None, part: None, by: None, text, verdict: None }
    }

    /// As the admin sockets tell it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "ms": self.millis,
            "part": self.part.map(|part| part.to_string()),
            "by": self.by.map(|by| match by {
                By::Client => "client",
                By::Server => "server",
            }),
            "text": self.text,
            "fine": self.verdict,
        })
    }
}

impl Step<'_> {
    pub(super) fn show(&self, millis: u32) -> Shown {
        let verdict = match self {
            Self::Verdict { is_fine, .. } => Some(*is_fine),
            _ => None,
        };
        Shown {
            millis: Some(millis),
            part: self.part(),
            by: self.by(),
            text: self.to_string(),
            verdict,
        }
    }

    fn part(&self) -> Option<Part> {
        Some(match self {
            Self::Connected { .. } | Self::Message { .. } | Self::Client { .. } => Part::Control,
            Self::CallStarted { .. } | Self::First { in_tunnel: false, .. } => Part::Call,
            Self::Negotiation { protocol, .. } if *protocol == Protocol::LCP.0 => Part::Link,
            Self::Software(_) | Self::LinkUp { .. } | Self::LinkDown => Part::Link,
            Self::Challenged(_)
            | Self::LoginTried { .. }
            | Self::PamAsked
            | Self::LetIn(_)
            | Self::LoginRefused { .. } => Part::Login,
            Self::Negotiation { .. }
            | Self::Encrypted(_)
            | Self::NotEncrypted
            | Self::NetworkUp { .. }
            | Self::Addresses { .. }
            | Self::NetworkDown
            | Self::InterfaceMade(_)
            | Self::InterfaceUp
            | Self::ProxyArp(_)
            | Self::ScriptDone(_) => Part::Network,
            Self::First { in_tunnel: true, .. }
            | Self::ResetRequested(_)
            | Self::ResetAcked
            | Self::Quality { .. }
            | Self::EchoAnswered(_) => Part::Tunnel,
            Self::Words(_) | Self::Verdict { .. } => return None,
        })
    }

    fn by(&self) -> Option<By> {
        match self {
            Self::Message { by, .. }
            | Self::First { by, .. }
            | Self::Negotiation { by, .. }
            | Self::ResetRequested(by) => Some(*by),
            Self::Connected { .. }
            | Self::Client { .. }
            | Self::Software(_)
            | Self::LoginTried { .. }
            | Self::ResetAcked
            | Self::EchoAnswered(_) => Some(By::Client),
            Self::Challenged(_) | Self::LetIn(_) | Self::LoginRefused { .. } => Some(By::Server),
            _ => None,
        }
    }
}

impl fmt::Display for Step<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connected { local: Some(local) } => write!(f, "connects to {local}"),
            Self::Connected { local: None } => f.write_str("connects"),
            Self::Message { kind, call, result, .. } => message(f, *kind, *call, *result),
            Self::Client { host, vendor, firmware } => {
                let (host, vendor) = (Escaped(host), Escaped(vendor));
                write!(f, "is \"{host}\" by \"{vendor}\", firmware {firmware}")
            }
            Self::CallStarted { our_call_id, peer_call_id } => {
                write!(f, "the call is up: call id {our_call_id} here, {peer_call_id} there")
            }
            Self::First { by: By::Client, in_tunnel: false } => {
                f.write_str("first GRE packet came")
            }
            Self::First { by: By::Server, in_tunnel: false } => {
                f.write_str("first GRE packet went")
            }
            Self::First { by: By::Client, in_tunnel: true } => f.write_str("first packet came"),
            Self::First { by: By::Server, in_tunnel: true } => f.write_str("first packet went"),
            Self::Negotiation { protocol, code, options, .. } => {
                negotiation(f, Protocol(*protocol), Code(*code), options)
            }
            Self::Software(text) => write!(f, "calls its software {}", Escaped(text)),
            Self::LinkUp { our_mru, peer_mru } => {
                write!(f, "LCP is up: MRU {our_mru} here, {peer_mru} there")
            }
            Self::LinkDown => f.write_str("LCP is down"),
            Self::Challenged(method) => write!(f, "asks for a proof by {method}"),
            Self::LoginTried { method, name } => {
                write!(f, "wants in as {} by {method}", Escaped(name))
            }
            Self::PamAsked => f.write_str("PAM is asked"),
            Self::LetIn(method) if method.is_empty() => f.write_str("asks for no login"),
            Self::LetIn(_) => f.write_str("lets the client in"),
            Self::LoginRefused { reason, retry } => {
                let retry = if *retry { ", it may try again" } else { "" };
                write!(f, "refuses: {reason}{retry}")
            }
            Self::Encrypted(how) => write!(f, "packets are encrypted: MPPE {how}"),
            Self::NotEncrypted => f.write_str("packets are not encrypted any more"),
            Self::ResetRequested(_) => f.write_str("MPPE lost its place, asks for a fresh start"),
            Self::ResetAcked => f.write_str("MPPE starts afresh"),
            Self::NetworkUp { mtu } => write!(f, "packets may flow, of {mtu} bytes at most"),
            Self::Addresses { local, remote } => {
                write!(f, "addresses: {local} here, {remote} there")
            }
            Self::NetworkDown => f.write_str("packets may flow no longer"),
            Self::InterfaceMade(name) => write!(f, "interface {name} is made"),
            Self::InterfaceUp => f.write_str("the interface is up"),
            Self::ProxyArp(interface) => write!(f, "proxy ARP on {interface}"),
            Self::Quality { received, lost, reordered, round_trip } => {
                let quality = crate::event::Quality {
                    received: *received,
                    lost: *lost,
                    reordered: *reordered,
                    round_trip: round_trip.map(std::time::Duration::from_micros),
                };
                write!(f, "{quality}")
            }
            Self::EchoAnswered(micros) => {
                write!(f, "answers LCP Echo-Requests, after {:.1} ms", f64::from(*micros) / 1000.0)
            }
            Self::ScriptDone(script) => write!(f, "script {script} has run"),
            Self::Words(text) => f.write_str(text),
            Self::Verdict { text, .. } => f.write_str(text),
        }
    }
}

/// A control message, with what matters in it.
fn message(
    f: &mut fmt::Formatter<'_>,
    kind: u16,
    call: Option<u16>,
    result: Option<u8>,
) -> fmt::Result {
    f.write_str(Message::name_of(kind))?;
    if let Some(call) = call {
        write!(f, ", call id {call}")?;
    }
    match result {
        Some(result) => write!(f, ", result {result}"),
        None => Ok(()),
    }
}

/// `LCP: asks for <mru 1400> <magic 0x1>`, with the options in pppd's words.
fn negotiation(
    f: &mut fmt::Formatter<'_>,
    protocol: Protocol,
    code: Code,
    options: &[u8],
) -> fmt::Result {
    let verb = match code {
        Code::CONFIGURE_REQUEST => "asks for",
        Code::CONFIGURE_ACK => "agrees to",
        Code::CONFIGURE_NAK => "wants instead",
        _ => "refuses",
    };
    write!(f, "{protocol}: {verb}")?;
    if options.is_empty() {
        return f.write_str(" nothing special");
    }
    wire::ppp::show_options(f, protocol, options)
}
