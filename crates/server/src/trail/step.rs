//! One thing that happened, as a trail keeps it.

use std::borrow::Cow;
use std::net::Ipv4Addr;

use dataplane::First;
use engine::control::{self, Direction};
use engine::ppp::Party;
use serde::{Deserialize, Serialize};
use wire::control::Message;

use crate::event::Event;
use crate::log;
use crate::verdict::Judgement;

/// The longest name of a user, host or vendor that is kept, in bytes.
const LONGEST_NAME: usize = 64;
/// The longest list of options that is kept, in bytes.
const LONGEST_OPTIONS: usize = 96;
/// The longest sentence that is kept, in bytes.
pub(super) const LONGEST_WORDS: usize = 400;

/// Who did something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum By {
    /// The client.
    Client,
    /// This server.
    Server,
}

/// A step. What is frequent has a form of its own, which is short; everything else is kept in the log's words.
///
/// There is no place in it for a challenge, a response, a key or a password. The order is that of the format on disk: a change of it is a new
/// [`FORMAT`](super::FORMAT).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Step<'a> {
    /// TCP was accepted, at this address of ours.
    Connected { local: Option<Ipv4Addr> },
    /// A control message: its type, the call id in it, its result or reason.
    Message { by: By, kind: u16, call: Option<u16>, result: Option<u8> },
    /// What the client calls itself.
    Client {
        #[serde(borrow)]
        host: Cow<'a, [u8]>,
        #[serde(borrow)]
        vendor: Cow<'a, [u8]>,
        firmware: u16,
    },
    /// A call is up.
    CallStarted { our_call_id: u16, peer_call_id: u16 },
    /// Something happened for the first time.
    First { by: By, in_tunnel: bool },
    /// Options were asked for, granted or refused.
    Negotiation {
        protocol: u16,
        by: By,
        code: u8,
        #[serde(borrow)]
        options: Cow<'a, [u8]>,
    },
    /// What the client calls its software.
    Software(#[serde(borrow)] Cow<'a, [u8]>),
    /// LCP is open.
    LinkUp { our_mru: u16, peer_mru: u16 },
    /// LCP is no longer open.
    LinkDown,
    /// The client is asked for its proof.
    Challenged(#[serde(borrow)] Cow<'a, str>),
    /// The client wants in.
    LoginTried {
        #[serde(borrow)]
        method: Cow<'a, str>,
        #[serde(borrow)]
        name: Cow<'a, [u8]>,
    },
    /// PAM is asked.
    PamAsked,
    /// The client is in; the method is empty when none was asked for.
    LetIn(#[serde(borrow)] Cow<'a, str>),
    /// The client is not in.
    LoginRefused {
        #[serde(borrow)]
        reason: Cow<'a, str>,
        retry: bool,
    },
    /// MPPE is in use: `128-bit stateless`.
    Encrypted(#[serde(borrow)] Cow<'a, str>),
    /// MPPE is no longer in use.
    NotEncrypted,
    /// A fresh start of stateful MPPE is asked for.
    ResetRequested(By),
    /// And comes.
    ResetAcked,
    /// Packets may flow, of this size at most.
    NetworkUp { mtu: u16 },
    /// Addresses in the tunnel are agreed on.
    Addresses { local: Ipv4Addr, remote: Ipv4Addr },
    /// Packets may flow no longer.
    NetworkDown,
    /// There is an interface.
    InterfaceMade(#[serde(borrow)] Cow<'a, str>),
    /// It is up.
    InterfaceUp,
    /// The client's address is answered for on an interface.
    ProxyArp(#[serde(borrow)] Cow<'a, str>),
    /// Stretch of time: GRE packets that came, went missing, came late; the round trip in microseconds.
    Quality { received: u64, lost: u64, reordered: u64, round_trip: Option<u64> },
    /// An Echo-Request was answered after so many microseconds, for the first time or again after one was not.
    EchoAnswered(u32),
    /// A script has ended well.
    ScriptDone(#[serde(borrow)] Cow<'a, str>),
    /// Anything else, in the log's words.
    Words(#[serde(borrow)] Cow<'a, str>),
    /// The end: a verdict's code, whether nothing went wrong, and the judgement's sentence.
    Verdict {
        #[serde(borrow)]
        code: Cow<'a, str>,
        is_fine: bool,
        #[serde(borrow)]
        text: Cow<'a, str>,
    },
}

impl<'a> Step<'a> {
    /// What a trail keeps of an event; `None`: nothing.
    pub(super) fn of(peer: Ipv4Addr, event: &'a Event) -> Option<Self> {
        Some(match event {
            Event::Control(control) => match Self::of_control(control) {
                Some(step) => step,
                None => Self::Words(words(log::words(peer, event)?).into()),
            },
            Event::Connected { local } => Self::Connected {
                local: match local.ip() {
                    std::net::IpAddr::V4(local) => Some(local),
                    std::net::IpAddr::V6(_) => None,
                },
            },
            Event::CallStarted { our_call_id, peer_call_id } => {
                Self::CallStarted { our_call_id: *our_call_id, peer_call_id: *peer_call_id }
            }
            Event::First(first) => Self::first(*first),
            Event::Negotiation { protocol, from, code, options, .. } => Self::Negotiation {
                protocol: protocol.0,
                by: from.into(),
                code: code.0,
                options: cut(options, LONGEST_OPTIONS),
            },
            Event::Identification(text) => Self::Software(cut(text, LONGEST_NAME)),
            Event::LinkUp(framing) => {
                Self::LinkUp { our_mru: framing.our_mru, peer_mru: framing.peer_mru }
            }
            Event::LinkDown => Self::LinkDown,
            Event::Challenged(method) => Self::Challenged(method.to_string().into()),
            Event::LoginTried { method, name } => Self::LoginTried {
                method: method.to_string().into(),
                name: cut(name, LONGEST_NAME),
            },
            Event::PamAsked => Self::PamAsked,
            Event::Authenticated { method, .. } => {
                Self::LetIn(method.map(|method| method.to_string()).unwrap_or_default().into())
            }
            Event::AuthenticationFailed { reason, retry, .. } => Self::LoginRefused {
                reason: reason.map(|reason| reason.to_string()).unwrap_or_default().into(),
                retry: *retry,
            },
            Event::Encrypted { strength, mode } => {
                Self::Encrypted(format!("{strength} {mode}").into())
            }
            Event::NotEncrypted => Self::NotEncrypted,
            Event::ResetRequested { by } => Self::ResetRequested(by.into()),
            Event::ResetAcked => Self::ResetAcked,
            Event::NetworkUp(permit) => Self::NetworkUp { mtu: permit.mtu() },
            Event::Ipv4Up(agreed) => Self::Addresses { local: agreed.local, remote: agreed.remote },
            Event::NetworkDown => Self::NetworkDown,
            Event::InterfaceMade { name } => Self::InterfaceMade(name.into()),
            Event::InterfaceUp { .. } => Self::InterfaceUp,
            Event::ProxyArp { interface } => Self::ProxyArp(interface.into()),
            Event::Quality(quality) => Self::Quality {
                received: quality.received,
                lost: quality.lost,
                reordered: quality.reordered,
                round_trip: quality.round_trip.map(|time| time.as_micros() as u64),
            },
            Event::EchoAnswered(time) => {
                Self::EchoAnswered(u32::try_from(time.as_micros()).unwrap_or(u32::MAX))
            }
            Event::ScriptFinished { script, status, .. } if status.success() => {
                Self::ScriptDone(script.rsplit('/').next().unwrap_or(script).into())
            }
            Event::Frame { .. }
            | Event::GrePacket { .. }
            | Event::ScriptStarted { .. }
            | Event::SessionEnded(..)
            | Event::NoSession(_)
            | Event::Disconnected => return None,
            event => Self::Words(words(log::words(peer, event)?).into()),
        })
    }

    /// The end.
    pub(super) fn verdict(judgement: &Judgement) -> Self {
        Self::Verdict {
            code: judgement.verdict.code.into(),
            is_fine: judgement.verdict.is_fine,
            text: words(judgement.to_string()).into(),
        }
    }

    fn of_control(event: &'a control::Event) -> Option<Self> {
        Some(match event {
            control::Event::Message { direction, message } => Self::message(*direction, message)?,
            control::Event::Started(peer) => Self::Client {
                host: cut(peer.host_name.as_bytes(), LONGEST_NAME),
                vendor: cut(peer.vendor.as_bytes(), LONGEST_NAME),
                firmware: peer.firmware,
            },
            _ => return None,
        })
    }

    /// Echoes are no steps: what is unanswered is an event of its own.
    fn message(direction: Direction, message: &Message) -> Option<Self> {
        let (call, result) = match message {
            Message::EchoRequest(_) | Message::EchoReply(_) => return None,
            Message::StartReply(reply) => (None, Some(reply.result)),
            Message::StopRequest(stop) => (None, Some(stop.reason)),
            Message::StopReply(reply) => (None, Some(reply.result)),
            Message::OutgoingCallRequest(request) => (Some(request.call_id), None),
            Message::OutgoingCallReply(reply) => (Some(reply.call_id), Some(reply.result)),
            Message::CallClearRequest(clear) => (Some(clear.call_id), None),
            Message::CallDisconnectNotify(notify) => (Some(notify.call_id), Some(notify.result)),
            _ => (None, None),
        };
        let by = match direction {
            Direction::Received => By::Client,
            Direction::Sent => By::Server,
        };
        Some(Self::Message { by, kind: message.kind(), call, result })
    }

    fn first(first: First) -> Self {
        let (by, in_tunnel) = match first {
            First::GreReceived => (By::Client, false),
            First::GreSent => (By::Server, false),
            First::PacketReceived => (By::Client, true),
            First::PacketSent => (By::Server, true),
        };
        Self::First { by, in_tunnel }
    }
}

impl From<&Party> for By {
    fn from(party: &Party) -> Self {
        match party {
            Party::Us => Self::Server,
            Party::Peer => Self::Client,
        }
    }
}

fn cut(bytes: &[u8], longest: usize) -> Cow<'_, [u8]> {
    bytes[..bytes.len().min(longest)].into()
}

/// Without the log's mark of who speaks, and cut where a character ends.
fn words(text: String) -> String {
    let marks = ["CTRL: ", "MGR: ", "GRE: "];
    let mut text = match marks.iter().find_map(|mark| text.strip_prefix(mark)) {
        Some(rest) => rest.to_owned(),
        None => text,
    };
    let end = (0..=LONGEST_WORDS.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text.truncate(end.unwrap_or(0));
    text
}
