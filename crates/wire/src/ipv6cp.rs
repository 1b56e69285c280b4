//! IPV6CP's configuration options (RFC 5072 §4).

use alloc::vec::Vec;
use core::fmt;

use crate::lcp::show_unknown;
use crate::ppp::{RawOption, push_option};

/// An IPV6CP configuration option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ipv6cpOption<'a> {
    /// Interface-Identifier (kind 1): the lower 64 bits of the sender's link-local address.
    InterfaceId([u8; 8]),
    /// Any other, or an identifier with a length that it cannot have.
    Unknown {
        /// The option's number.
        kind: u8,
        /// What follows kind and length.
        data: &'a [u8],
    },
}

impl<'a> Ipv6cpOption<'a> {
    /// Interprets an option. Never fails: what does not fit is [`Ipv6cpOption::Unknown`].
    pub fn parse(raw: RawOption<'a>) -> Self {
        match (raw.kind, <[u8; 8]>::try_from(raw.data)) {
            (1, Ok(id)) => Self::InterfaceId(id),
            _ => Self::Unknown { kind: raw.kind, data: raw.data },
        }
    }

    /// Appends the option.
    pub fn emit(&self, out: &mut Vec<u8>) {
        match self {
            Self::InterfaceId(id) => push_option(out, 1, id),
            Self::Unknown { kind, data } => push_option(out, *kind, data),
        }
    }
}

impl fmt::Display for Ipv6cpOption<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InterfaceId([a, b, c, d, e, f0, g, h]) => write!(
                f,
                "<addr fe80::{a:02x}{b:02x}:{c:02x}{d:02x}:{e:02x}{f0:02x}:{g:02x}{h:02x}>"
            ),
            Self::Unknown { kind, data } => show_unknown(f, *kind, data),
        }
    }
}
