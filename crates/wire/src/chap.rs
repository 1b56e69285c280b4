//! CHAP packets (RFC 1994 §4), which MS-CHAP shares (RFC 2433, RFC 2759).

use alloc::vec::Vec;

use crate::Malformed;
use crate::ppp::{Code, Packet};

/// Code of a Challenge.
pub const CHALLENGE: Code = Code(1);
/// Code of a Response.
pub const RESPONSE: Code = Code(2);
/// Code of a Success.
pub const SUCCESS: Code = Code(3);
/// Code of a Failure.
pub const FAILURE: Code = Code(4);

/// A Challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Challenge<'a> {
    /// Matches responses to challenges.
    pub id: u8,
    /// Random bytes, at most 255.
    pub value: &'a [u8],
    /// The challenger's name.
    pub name: &'a [u8],
}

/// The answer to a Challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Response<'a> {
    /// The Challenge's identifier.
    pub id: u8,
    /// The proof, at most 255 bytes: 16 with MD5, 49 with MS-CHAP.
    pub value: &'a [u8],
    /// The user's name.
    pub name: &'a [u8],
}

/// The proof was right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Success<'a> {
    /// The Response's identifier.
    pub id: u8,
    /// Text; the server's own proof with MS-CHAPv2.
    pub message: &'a [u8],
}

/// The proof was wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure<'a> {
    /// The Response's identifier.
    pub id: u8,
    /// Text; `E=691 R=…` with MS-CHAP.
    pub message: &'a [u8],
}

impl<'a> Challenge<'a> {
    /// Reads a Challenge.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let (id, value, name) = value_and_name(bytes, CHALLENGE)?;
        Ok(Self { id, value, name })
    }

    /// Appends the packet. A value beyond 255 bytes is cut off.
    pub fn emit(&self, out: &mut Vec<u8>) {
        emit_value(CHALLENGE, self.id, self.value, self.name, out);
    }
}

impl<'a> Response<'a> {
    /// Reads a Response.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let (id, value, name) = value_and_name(bytes, RESPONSE)?;
        Ok(Self { id, value, name })
    }

    /// Appends the packet. A value beyond 255 bytes is cut off.
    pub fn emit(&self, out: &mut Vec<u8>) {
        emit_value(RESPONSE, self.id, self.value, self.name, out);
    }
}

impl Success<'_> {
    /// Appends the packet.
    pub fn emit(&self, out: &mut Vec<u8>) {
        Packet { code: SUCCESS, id: self.id, data: self.message }.emit(out);
    }
}

impl Failure<'_> {
    /// Appends the packet.
    pub fn emit(&self, out: &mut Vec<u8>) {
        Packet { code: FAILURE, id: self.id, data: self.message }.emit(out);
    }
}

fn value_and_name(bytes: &[u8], code: Code) -> Result<(u8, &[u8], &[u8]), Malformed> {
    let packet = Packet::parse(bytes)?;
    if packet.code != code {
        return Err(Malformed { what: "another CHAP code was expected", at: 0 });
    }
    packet
        .data
        .split_first()
        .and_then(|(size, rest)| rest.split_at_checked(usize::from(*size)))
        .map(|(value, name)| (packet.id, value, name))
        .ok_or(Malformed { what: "CHAP value does not fit the packet", at: Packet::HEADER_LEN })
}

fn emit_value(code: Code, id: u8, value: &[u8], name: &[u8], out: &mut Vec<u8>) {
    let value = &value[..value.len().min(255)];
    let mut data = Vec::with_capacity(1 + value.len() + name.len());
    data.push(value.len() as u8);
    data.extend_from_slice(value);
    data.extend_from_slice(name);
    Packet { code, id, data: &data }.emit(out);
}
