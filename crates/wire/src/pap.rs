//! PAP packets (RFC 1334 §2).

use alloc::vec::Vec;
use core::fmt;

use crate::ppp::{Code, Packet};
use crate::{Escaped, Malformed};

/// Code of an Authenticate-Request.
pub const AUTHENTICATE_REQUEST: Code = Code(1);
/// Code of an Authenticate-Ack.
pub const ACK: Code = Code(2);
/// Code of an Authenticate-Nak.
pub const NAK: Code = Code(3);

/// Name and password in clear. `Debug` hides the password.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct AuthenticateRequest<'a> {
    /// Matches replies to requests.
    pub id: u8,
    /// The user's name, at most 255 bytes.
    pub peer_id: &'a [u8],
    /// The password, at most 255 bytes.
    pub password: &'a [u8],
}

/// The peer may come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack<'a> {
    /// The request's identifier.
    pub id: u8,
    /// Text, at most 255 bytes.
    pub message: &'a [u8],
}

/// The peer may not come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nak<'a> {
    /// The request's identifier.
    pub id: u8,
    /// Text, at most 255 bytes.
    pub message: &'a [u8],
}

impl<'a> AuthenticateRequest<'a> {
    /// Reads a request.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let packet = Packet::parse(bytes)?;
        if packet.code != AUTHENTICATE_REQUEST {
            return Err(Malformed { what: "not a PAP Authenticate-Request", at: 0 });
        }
        let bad = Malformed { what: "PAP field does not fit the packet", at: Packet::HEADER_LEN };
        let (peer_id, rest) = counted(packet.data).ok_or(bad)?;
        let (password, _) = counted(rest).ok_or(bad)?;
        Ok(Self { id: packet.id, peer_id, password })
    }

    /// Appends the packet. Fields beyond 255 bytes are cut off.
    pub fn emit(&self, out: &mut Vec<u8>) {
        let mut data = Vec::new();
        push_counted(&mut data, self.peer_id);
        push_counted(&mut data, self.password);
        Packet { code: AUTHENTICATE_REQUEST, id: self.id, data: &data }.emit(out);
    }
}

impl fmt::Debug for AuthenticateRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthenticateRequest")
            .field("id", &self.id)
            .field("peer_id", &Escaped(self.peer_id))
            .finish_non_exhaustive()
    }
}

impl Ack<'_> {
    /// Appends the packet.
    pub fn emit(&self, out: &mut Vec<u8>) {
        emit_message(ACK, self.id, self.message, out);
    }
}

impl Nak<'_> {
    /// Appends the packet.
    pub fn emit(&self, out: &mut Vec<u8>) {
        emit_message(NAK, self.id, self.message, out);
    }
}

/// The text of an Ack or Nak. Cisco and others leave its length byte out when there is none.
pub fn message<'a>(packet: &Packet<'a>) -> &'a [u8] {
    counted(packet.data).map_or(&[], |(message, _)| message)
}

fn emit_message(code: Code, id: u8, message: &[u8], out: &mut Vec<u8>) {
    let mut data = Vec::new();
    push_counted(&mut data, message);
    Packet { code, id, data: &data }.emit(out);
}

fn counted(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first()?;
    rest.split_at_checked(usize::from(*length))
}

fn push_counted(out: &mut Vec<u8>, field: &[u8]) {
    let field = &field[..field.len().min(255)];
    out.push(field.len() as u8);
    out.extend_from_slice(field);
}
