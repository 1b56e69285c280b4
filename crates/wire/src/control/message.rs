//! A message of any type, and its bytes.
//!
//! Fields are named as in RFC 2637 §2 and kept as numbers; what a peer may put there beyond the RFC is kept too.

use core::fmt;
use core::ops::Deref;

use super::field::{Reader, Writer};
use super::incoming::{IncomingCallConnected, IncomingCallReply, IncomingCallRequest};
use super::line::{SetLinkInfo, WanErrorNotify};
use super::outgoing::{
    CallClearRequest, CallDisconnectNotify, OutgoingCallReply, OutgoingCallRequest,
};
use super::session::{EchoReply, EchoRequest, StartReply, StartRequest, StopReply, StopRequest};
use super::{HEADER_LEN, MAX_MESSAGE_LEN, frame_len};
use crate::Malformed;

/// The bytes of one message, to be sent with one write: macOS reads the header with a single `read`.
#[derive(Clone)]
pub struct Encoded {
    bytes: [u8; MAX_MESSAGE_LEN],
    len: usize,
}

impl Deref for Encoded {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl fmt::Debug for Encoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Message::parse(self) {
            Ok(message) => write!(f, "Encoded({message})"),
            Err(_) => f.write_str("Encoded(?)"),
        }
    }
}

/// A message of a type that RFC 2637 does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unknown {
    /// The control message type.
    pub kind: u16,
}

/// A control message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::large_enum_variant)]
pub enum Message {
    /// Start-Control-Connection-Request, type 1.
    StartRequest(StartRequest),
    /// Start-Control-Connection-Reply, type 2.
    StartReply(StartReply),
    /// Stop-Control-Connection-Request, type 3.
    StopRequest(StopRequest),
    /// Stop-Control-Connection-Reply, type 4.
    StopReply(StopReply),
    /// Echo-Request, type 5.
    EchoRequest(EchoRequest),
    /// Echo-Reply, type 6.
    EchoReply(EchoReply),
    /// Outgoing-Call-Request, type 7.
    OutgoingCallRequest(OutgoingCallRequest),
    /// Outgoing-Call-Reply, type 8.
    OutgoingCallReply(OutgoingCallReply),
    /// Incoming-Call-Request, type 9.
    IncomingCallRequest(IncomingCallRequest),
    /// Incoming-Call-Reply, type 10.
    IncomingCallReply(IncomingCallReply),
    /// Incoming-Call-Connected, type 11.
    IncomingCallConnected(IncomingCallConnected),
    /// Call-Clear-Request, type 12.
    CallClearRequest(CallClearRequest),
    /// Call-Disconnect-Notify, type 13.
    CallDisconnectNotify(CallDisconnectNotify),
    /// WAN-Error-Notify, type 14.
    WanErrorNotify(WanErrorNotify),
    /// Set-Link-Info, type 15.
    SetLinkInfo(SetLinkInfo),
    /// Any other type.
    Unknown(Unknown),
}

impl Message {
    /// Reads one whole message. Reserved fields are not looked at, and bytes beyond what the type needs are left out: some peers
    /// state a length that is too long.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let Some(length) = frame_len(bytes)? else {
            return Err(Malformed { what: "control message is cut off", at: bytes.len() });
        };
        let kind = u16::from_be_bytes([bytes[8], bytes[9]]);
        let reader = Reader::new(&bytes[HEADER_LEN..length]);
        match kind {
            1 => StartRequest::read(reader).map(Self::StartRequest),
            2 => StartReply::read(reader).map(Self::StartReply),
            3 => StopRequest::read(reader).map(Self::StopRequest),
            4 => StopReply::read(reader).map(Self::StopReply),
            5 => EchoRequest::read(reader).map(Self::EchoRequest),
            6 => EchoReply::read(reader).map(Self::EchoReply),
            7 => OutgoingCallRequest::read(reader).map(Self::OutgoingCallRequest),
            8 => OutgoingCallReply::read(reader).map(Self::OutgoingCallReply),
            9 => IncomingCallRequest::read(reader).map(Self::IncomingCallRequest),
            10 => IncomingCallReply::read(reader).map(Self::IncomingCallReply),
            11 => IncomingCallConnected::read(reader).map(Self::IncomingCallConnected),
            12 => CallClearRequest::read(reader).map(Self::CallClearRequest),
            13 => CallDisconnectNotify::read(reader).map(Self::CallDisconnectNotify),
            14 => WanErrorNotify::read(reader).map(Self::WanErrorNotify),
            15 => SetLinkInfo::read(reader).map(Self::SetLinkInfo),
            kind => Ok(Self::Unknown(Unknown { kind })),
        }
    }

    /// Writes the message.
    pub fn emit(&self) -> Encoded {
        let mut writer = Writer::new(self.kind());
        match self {
            Self::StartRequest(message) => message.write(&mut writer),
            Self::StartReply(message) => message.write(&mut writer),
            Self::StopRequest(message) => message.write(&mut writer),
            Self::StopReply(message) => message.write(&mut writer),
            Self::EchoRequest(message) => message.write(&mut writer),
            Self::EchoReply(message) => message.write(&mut writer),
            Self::OutgoingCallRequest(message) => message.write(&mut writer),
            Self::OutgoingCallReply(message) => message.write(&mut writer),
            Self::IncomingCallRequest(message) => message.write(&mut writer),
            Self::IncomingCallReply(message) => message.write(&mut writer),
            Self::IncomingCallConnected(message) => message.write(&mut writer),
            Self::CallClearRequest(message) => message.write(&mut writer),
            Self::CallDisconnectNotify(message) => message.write(&mut writer),
            Self::WanErrorNotify(message) => message.write(&mut writer),
            Self::SetLinkInfo(message) => message.write(&mut writer),
            Self::Unknown(_) => {}
        }
        writer.finish();
        Encoded { bytes: writer.bytes, len: writer.len }
    }

    /// The control message type.
    pub fn kind(&self) -> u16 {
        match self {
            Self::StartRequest(_) => 1,
            Self::StartReply(_) => 2,
            Self::StopRequest(_) => 3,
            Self::StopReply(_) => 4,
            Self::EchoRequest(_) => 5,
            Self::EchoReply(_) => 6,
            Self::OutgoingCallRequest(_) => 7,
            Self::OutgoingCallReply(_) => 8,
            Self::IncomingCallRequest(_) => 9,
            Self::IncomingCallReply(_) => 10,
            Self::IncomingCallConnected(_) => 11,
            Self::CallClearRequest(_) => 12,
            Self::CallDisconnectNotify(_) => 13,
            Self::WanErrorNotify(_) => 14,
            Self::SetLinkInfo(_) => 15,
            Self::Unknown(unknown) => unknown.kind,
        }
    }

    /// The name that RFC 2637 gives the message.
    pub fn name(&self) -> &'static str {
        Self::name_of(self.kind())
    }

    /// The name that RFC 2637 gives a control message type.
    pub fn name_of(kind: u16) -> &'static str {
        match kind {
            1 => "Start-Control-Connection-Request",
            2 => "Start-Control-Connection-Reply",
            3 => "Stop-Control-Connection-Request",
            4 => "Stop-Control-Connection-Reply",
            5 => "Echo-Request",
            6 => "Echo-Reply",
            7 => "Outgoing-Call-Request",
            8 => "Outgoing-Call-Reply",
            9 => "Incoming-Call-Request",
            10 => "Incoming-Call-Reply",
            11 => "Incoming-Call-Connected",
            12 => "Call-Clear-Request",
            13 => "Call-Disconnect-Notify",
            14 => "WAN-Error-Notify",
            15 => "Set-Link-Info",
            _ => "unknown message",
        }
    }
}
