//! What a control connection reports.

use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use wire::Malformed;
use wire::control::{Message, Name};

/// What [`Connection::poll_output`](super::Connection::poll_output) gives, in an order that matters: an event before a
/// message takes effect before that message is sent.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// One whole message, to be handed to TCP in one write: macOS reads a message's header in one piece.
    Message(Vec<u8>),
    /// Something that happened.
    Event(Event),
    /// Close the TCP connection once everything before this has been sent. Nothing follows.
    Close,
}

/// Something that happened on a control connection.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A message went by.
    Message {
        /// Which way.
        direction: Direction,
        /// What it said.
        message: Message,
    },
    /// The control connection is established.
    Started(Peer),
    /// The peer wants a call (server): answer with `accept_call` or `refuse_call`.
    CallRequested(CallRequest),
    /// A call is up.
    CallConnected {
        /// The call id in GRE packets to us.
        our_call_id: u16,
        /// The call id in GRE packets to the peer.
        peer_call_id: u16,
        /// The peer's receive window, in packets.
        window: u16,
        /// The connect speed, in bits a second, as the server states it (RRAS swaps its bytes).
        speed: u32,
    },
    /// The server refused our call (client).
    CallRefused {
        /// The call id that we asked with.
        our_call_id: u16,
        /// Result code (RFC 2637 §2.8).
        result: u8,
        /// General error code (RFC 2637 §2.16), when the result is 2.
        error: u8,
    },
    /// The peer sent Set-Link-Info for one of our calls.
    LinkInfo {
        /// Which.
        our_call_id: u16,
        /// The control characters that the peer escapes or wants escaped; meaningless over GRE.
        send_accm: u32,
        /// The same for the other direction.
        receive_accm: u32,
    },
    /// A call has ended. Comes once for each call that was requested or placed, unless it was refused.
    CallEnded {
        /// Our call id, if the call had got one.
        our_call_id: Option<u16>,
        /// The peer's call id, if known.
        peer_call_id: Option<u16>,
        /// By whom and how.
        reason: CallEnd,
    },
    /// The peer told of errors on its line (RFC 2637 §2.14).
    WanErrors {
        /// Which call.
        our_call_id: u16,
        /// Frames with a wrong checksum, since the call began.
        crc: u32,
        /// Frames with framing errors.
        framing: u32,
        /// Hardware overruns.
        hardware_overruns: u32,
        /// Buffer overruns.
        buffer_overruns: u32,
        /// Time-outs.
        timeouts: u32,
        /// Alignment errors.
        alignment: u32,
    },
    /// The peer answered our Echo-Request after this time.
    EchoAnswered(Duration),
    /// The peer did not answer our Echo-Request.
    EchoMissing,
    /// A message that made no sense here was ignored.
    Ignored(Trouble),
    /// The connection is over. Calls have ended before; only [`Output::Close`] follows.
    Closed(Cause),
}

/// Which way a message went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the peer to us.
    Received,
    /// From us to the peer.
    Sent,
}

/// What the peer said of itself at the start. The names show escaped.
#[derive(Clone, Debug, PartialEq)]
pub struct Peer {
    /// Its host name.
    pub host_name: Name,
    /// Its vendor name.
    pub vendor: Name,
    /// Its firmware revision.
    pub firmware: u16,
    /// Framing capabilities: bit 0 asynchronous, bit 1 synchronous.
    pub framing: u32,
    /// Bearer capabilities: bit 0 analogue, bit 1 digital.
    pub bearer: u32,
    /// How many calls it can carry.
    pub max_channels: u16,
}

/// A call that the peer wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallRequest {
    /// The call id that the peer gave it: 0 from Windows 2000 and pptp-linux.
    pub peer_call_id: u16,
    /// The peer's serial number for it.
    pub serial: u16,
    /// The lowest speed that the peer accepts, in bits a second.
    pub minimum_bps: u32,
    /// The highest, in bits a second.
    pub maximum_bps: u32,
    /// The peer's receive window, in packets.
    pub window: u16,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallEnd {
    /// The peer sent Call-Clear-Request.
    ClearedByPeer,
    /// The peer sent Call-Disconnect-Notify.
    DisconnectedByPeer {
        /// Result code (RFC 2637 §2.13); RRAS sends 0.
        result: u8,
        /// General error code.
        error: u8,
    },
    /// We cleared it (client).
    ClearedByUs,
    /// We disconnected it (server), with this result code.
    DisconnectedByUs {
        /// Result code (RFC 2637 §2.13).
        result: u8,
    },
    /// The server did not answer our call request (client).
    NoAnswer,
    /// The control connection ended first.
    ConnectionClosed,
}

/// Why a message was ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// A type that RFC 2637 does not know.
    UnknownType(u16),
    /// A reply that nobody asked for, or a message that the other role sends.
    Unexpected,
    /// It names a call that is not there.
    UnknownCall(u16),
    /// Something other than a start message came first.
    NotStarted,
    /// A second start of the same connection.
    AlreadyStarted,
    /// The peer asked for a call with the id of another that is still up.
    DuplicateCall(u16),
}

/// Why a control connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The peer closed the TCP connection.
    PeerClosed,
    /// The peer sent Stop-Control-Connection-Request.
    PeerStopped {
        /// Reason code (RFC 2637 §2.3).
        reason: u8,
    },
    /// We were told to stop, with this reason code.
    Stopped {
        /// Reason code (RFC 2637 §2.3).
        reason: u8,
    },
    /// The peer's start message did not come in time.
    SetupTimeout,
    /// The connection had no call for too long.
    NoCall,
    /// An Echo-Request stayed unanswered.
    EchoTimeout,
    /// The peer sent something that is no PPTP message.
    Malformed(Malformed),
    /// The peer sent messages faster than allowed.
    TooManyMessages,
    /// The peer's protocol version is not 1.x.
    VersionNotSupported(u16),
    /// The server refused the connection (client).
    StartRefused {
        /// Result code (RFC 2637 §2.2).
        result: u8,
        /// General error code.
        error: u8,
    },
}

impl fmt::Display for CallEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClearedByPeer => f.write_str("cleared by the peer"),
            Self::DisconnectedByPeer { result, error } => {
                write!(f, "disconnected by the peer (result {result}, error {error})")
            }
            Self::ClearedByUs => f.write_str("cleared by us"),
            Self::DisconnectedByUs { result } => write!(f, "disconnected by us (result {result})"),
            Self::NoAnswer => f.write_str("no answer to the call request"),
            Self::ConnectionClosed => f.write_str("the control connection ended"),
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownType(kind) => write!(f, "unknown message type {kind}"),
            Self::Unexpected => f.write_str("unexpected message"),
            Self::UnknownCall(id) => write!(f, "no call {id} here"),
            Self::NotStarted => f.write_str("the connection has not been started"),
            Self::AlreadyStarted => f.write_str("the connection has been started before"),
            Self::DuplicateCall(id) => write!(f, "call {id} is up already"),
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PeerClosed => f.write_str("the peer closed the control connection"),
            Self::PeerStopped { reason } => write!(f, "stopped by the peer (reason {reason})"),
            Self::Stopped { reason } => write!(f, "stopped by us (reason {reason})"),
            Self::SetupTimeout => f.write_str("no Start-Control-Connection message in time"),
            Self::NoCall => f.write_str("no call for too long"),
            Self::EchoTimeout => f.write_str("no answer to an Echo-Request"),
            Self::Malformed(malformed) => write!(f, "malformed control message: {malformed}"),
            Self::TooManyMessages => f.write_str("too many control messages"),
            Self::VersionNotSupported(version) => {
                write!(
                    f,
                    "protocol version {:x}.{:02x} is not supported",
                    version >> 8,
                    version & 0xff
                )
            }
            Self::StartRefused { result, error } => {
                write!(f, "the server refused the connection (result {result}, error {error})")
            }
        }
    }
}
