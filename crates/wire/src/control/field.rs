//! Reading and writing the fields of a control message one after the other.

use super::{HEADER_LEN, MAGIC_COOKIE, MAX_MESSAGE_LEN, Name, Statistics};
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
        0_u16.write(&mut writer);
        super::CONTROL_MESSAGE.write(&mut writer);
        MAGIC_COOKIE.write(&mut writer);
        kind.write(&mut writer);
        0_u16.write(&mut writer);
        writer
    }

    /// Appends a field; what does not fit the longest message, which no message exceeds, is left out.
    fn put(&mut self, field: &[u8]) {
        if let Some(room) = self.bytes.get_mut(self.len..self.len + field.len()) {
            room.copy_from_slice(field);
            self.len += field.len();
        }
    }

    /// Writes the length into the header.
    pub(super) fn finish(&mut self) {
        let length = self.len as u16;
        self.bytes[..2].copy_from_slice(&length.to_be_bytes());
    }
}

/// A field of a message; numbers are in network order.
pub(super) trait Field {
    fn read(reader: &mut Reader<'_>) -> Self;
    fn write(&self, writer: &mut Writer);
}

macro_rules! number_fields {
    ($($number:ty)*) => {$(
        impl Field for $number {
            fn read(reader: &mut Reader<'_>) -> Self {
                Self::from_be_bytes(reader.take())
            }

            fn write(&self, writer: &mut Writer) {
                writer.put(&self.to_be_bytes());
            }
        }
    )*};
}

number_fields!(u8 u16 u32);

macro_rules! byte_fields {
    ($($bytes:ident)*) => {$(
        impl Field for $bytes {
            fn read(reader: &mut Reader<'_>) -> Self {
                Self(reader.take())
            }

            fn write(&self, writer: &mut Writer) {
                writer.put(&self.0);
            }
        }
    )*};
}

byte_fields!(Name Statistics);

/// Declares a message by its fields in their order on the wire, each with the reserved fields behind it, and makes its `read` and `write`.
macro_rules! message {
    (
        $(#[$about:meta])*
        pub struct $message:ident {
            $($(#[$what:meta])* pub $field:ident: $kind:ty $(, reserved $reserved:ty)*;)*
        }
    ) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $message {
            $($(#[$what])* pub $field: $kind,)*
        }

        impl $message {
            pub(super) fn read(
                mut reader: super::field::Reader<'_>,
            ) -> Result<Self, crate::Malformed> {
                use super::field::Field;
                $(
                    let $field = <$kind>::read(&mut reader);
                    $(<$reserved>::read(&mut reader);)*
                )*
                reader.finish(Self { $($field),* })
            }

            pub(super) fn write(&self, writer: &mut super::field::Writer) {
                use super::field::Field;
                $(
                    self.$field.write(writer);
                    $(<$reserved>::default().write(writer);)*
                )*
            }
        }
    };
}

pub(super) use message;
