//! CCP's configuration options (RFC 1962 §4) with MPPE (RFC 3078 §2.1).

use alloc::vec::Vec;
use core::fmt;

use crate::lcp::show_unknown;
use crate::ppp::{RawOption, push_option};

/// A CCP configuration option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CcpOption<'a> {
    /// Microsoft Point-to-Point Encryption and Compression (kind 18).
    Mppe(MppeBits),
    /// Any other method, or MPPE with a length that it cannot have.
    Unknown {
        /// The option's number.
        kind: u8,
        /// What follows kind and length.
        data: &'a [u8],
    },
}

/// The supported bits of the MPPE option (RFC 3078 §2.1), most significant byte first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MppeBits(pub u32);

impl MppeBits {
    /// H: stateless, the key changes with every packet.
    pub const STATELESS: Self = Self(0x0100_0000);
    /// M: 56-bit keys.
    pub const BITS_56: Self = Self(0x0000_0080);
    /// S: 128-bit keys.
    pub const BITS_128: Self = Self(0x0000_0040);
    /// L: 40-bit keys.
    pub const BITS_40: Self = Self(0x0000_0020);
    /// D: obsolete.
    pub const OBSOLETE: Self = Self(0x0000_0010);
    /// C: MPPC compression.
    pub const MPPC: Self = Self(0x0000_0001);

    /// Whether all bits of `other` are set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl fmt::Display for MppeBits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = [
            (Self::STATELESS, 'H'),
            (Self::BITS_56, 'M'),
            (Self::BITS_128, 'S'),
            (Self::BITS_40, 'L'),
            (Self::OBSOLETE, 'D'),
            (Self::MPPC, 'C'),
        ];
        f.write_str("mppe")?;
        for (bit, name) in bits {
            write!(f, " {}{name}", if self.contains(bit) { '+' } else { '-' })?;
        }
        Ok(())
    }
}

impl<'a> CcpOption<'a> {
    /// Interprets an option. Never fails: what does not fit is [`CcpOption::Unknown`].
    pub fn parse(raw: RawOption<'a>) -> Self {
        match (raw.kind, raw.data) {
            (18, [a, b, c, d]) => Self::Mppe(MppeBits(u32::from_be_bytes([*a, *b, *c, *d]))),
            (kind, data) => Self::Unknown { kind, data },
        }
    }

    /// Appends the option.
    pub fn emit(&self, out: &mut Vec<u8>) {
        match self {
            Self::Mppe(bits) => push_option(out, 18, &bits.0.to_be_bytes()),
            Self::Unknown { kind, data } => push_option(out, *kind, data),
        }
    }
}

impl fmt::Display for CcpOption<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mppe(bits) => write!(f, "<{bits}>"),
            Self::Unknown { kind, data } => show_unknown(f, *kind, data),
        }
    }
}
