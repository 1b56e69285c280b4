//! Reading and writing the fields of a control message one after the other.

use super::{HEADER_LEN, MAGIC_COOKIE, MAX_MESSAGE_LEN, Name};
use crate::Malformed;

/// Takes fields off a message body. A body that is too short yields zeros and is remembered as such.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    at: usize,
    short: bool,
}

impl<'a> Reader<'a> {
    pub(super) fn new(body: &'a [u8]) -> Self {
        Self { rest: body, at: HEADER_LEN, short: false }
    }

    fn take<const N: usize>(&mut self) -> [u8; N] {
        match self.rest.split_first_chunk::<N>() {
            Some((field, rest)) => {
                self.rest = rest;
                self.at += N;
                *field
            }
            None => {
                self.short = true;
                self.rest = &[];
                [0; N]
            }
        }
    }

    pub(super) fn u8(&mut self) -> u8 {
        let [byte] = self.take();
        byte
    }

    pub(super) fn u16(&mut self) -> u16 {
        u16::from_be_bytes(self.take())
    }

    pub(super) fn u32(&mut self) -> u32 {
        u32::from_be_bytes(self.take())
    }

    pub(super) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        self.take()
    }

    pub(super) fn name(&mut self) -> Name {
        Name(self.take())
    }

    /// The value that was read, unless the message was shorter than it must be.
    pub(super) fn finish<T>(self, value: T) -> Result<T, Malformed> {
        if self.short {
            return Err(Malformed {
                what: "control message is too short for its type",
                at: self.at,
            });
        }
        Ok(value)
    }
}

/// A message in a fixed buffer, built field by field.
pub(super) struct Writer {
    pub(super) bytes: [u8; MAX_MESSAGE_LEN],
    pub(super) len: usize,
}

impl Writer {
    pub(super) fn new(kind: u16) -> Self {
        let mut writer = Self { bytes: [0; MAX_MESSAGE_LEN], len: 0 };
        writer.u16(0).u16(super::CONTROL_MESSAGE).u32(MAGIC_COOKIE).u16(kind).u16(0);
        writer
    }

    /// Appends a field; what does not fit the longest message, which no message exceeds, is left out.
    pub(super) fn bytes(&mut self, field: &[u8]) -> &mut Self {
        if let Some(room) = self.bytes.get_mut(self.len..self.len + field.len()) {
            room.copy_from_slice(field);
            self.len += field.len();
        }
        self
    }

    pub(super) fn u8(&mut self, value: u8) -> &mut Self {
        self.bytes(&[value])
    }

    pub(super) fn u16(&mut self, value: u16) -> &mut Self {
        self.bytes(&value.to_be_bytes())
    }

    pub(super) fn u32(&mut self, value: u32) -> &mut Self {
        self.bytes(&value.to_be_bytes())
    }

    /// Writes the length into the header.
    pub(super) fn finish(&mut self) {
        let length = self.len as u16;
        self.bytes[..2].copy_from_slice(&length.to_be_bytes());
    }
}
