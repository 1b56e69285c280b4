//! Messages of the PPTP control connection (RFC 2637 §2).

mod field;
mod incoming;
mod line;
mod message;
mod name;
mod outgoing;
mod session;
mod show;

pub use incoming::{IncomingCallConnected, IncomingCallReply, IncomingCallRequest};
pub use line::{SetLinkInfo, WanErrorNotify};
pub use message::{Encoded, Message, Unknown};
pub use name::Name;
pub use outgoing::{
    CallClearRequest, CallDisconnectNotify, OutgoingCallReply, OutgoingCallRequest, Statistics,
};
pub use session::{EchoReply, EchoRequest, StartReply, StartRequest, StopReply, StopRequest};

use crate::Malformed;

/// TCP port of the control connection.
pub const PORT: u16 = 1723;
/// Length of the header that all messages share, in bytes: length, PPTP message type, magic cookie, control message type, reserved.
pub const HEADER_LEN: usize = 12;
/// The longest message: Incoming-Call-Request, in bytes.
pub const MAX_MESSAGE_LEN: usize = 220;
/// The constant in every header.
pub const MAGIC_COOKIE: u32 = 0x1a2b_3c4d;
/// PPTP message type of control messages; no other is in use.
const CONTROL_MESSAGE: u16 = 1;

/// Length in bytes of the first message in a stream; `None` when the stream must go on before that is known or before the message
/// is complete.
///
/// An error means that the stream cannot be followed any further: it is reported as soon as it shows.
pub fn frame_len(stream: &[u8]) -> Result<Option<usize>, Malformed> {
    let Some((length, rest)) = stream.split_first_chunk::<2>() else { return Ok(None) };
    let length = usize::from(u16::from_be_bytes(*length));
    if !(HEADER_LEN..=MAX_MESSAGE_LEN).contains(&length) {
        return Err(Malformed { what: "control message length is impossible", at: 0 });
    }
    let Some((kind, rest)) = rest.split_first_chunk::<2>() else { return Ok(None) };
    if u16::from_be_bytes(*kind) != CONTROL_MESSAGE {
        return Err(Malformed { what: "PPTP message type is not 1", at: 2 });
    }
    let Some((cookie, _)) = rest.split_first_chunk::<4>() else { return Ok(None) };
    if u32::from_be_bytes(*cookie) != MAGIC_COOKIE {
        return Err(Malformed { what: "magic cookie is wrong", at: 4 });
    }
    Ok((stream.len() >= length).then_some(length))
}
