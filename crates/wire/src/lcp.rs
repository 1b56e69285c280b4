//! LCP's configuration options (RFC 1661 §6, RFC 1570, RFC 1990).

use alloc::vec::Vec;
use core::fmt;

use crate::ppp::{RawOption, push_option};

/// An LCP configuration option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LcpOption<'a> {
    /// Maximum-Receive-Unit, in bytes (kind 1).
    Mru(u16),
    /// Async-Control-Character-Map (kind 2, RFC 1662 §7.1).
    Accm(u32),
    /// Authentication-Protocol (kind 3).
    Authentication(AuthProtocol),
    /// Magic-Number (kind 5).
    Magic(u32),
    /// Protocol-Field-Compression (kind 7).
    Pfc,
    /// Address-and-Control-Field-Compression (kind 8).
    Acfc,
    /// Callback (kind 13, RFC 1570 §2.3): operation and message. Operation 6 is Microsoft's CBCP.
    Callback(&'a [u8]),
    /// Multilink Maximum-Received-Reconstructed-Unit (kind 17, RFC 1990 §5.1.1).
    Mrru(u16),
    /// Multilink short sequence numbers (kind 18, RFC 1990 §5.1.2).
    ShortSequence,
    /// Endpoint discriminator (kind 19, RFC 1990 §5.1.3): class and address.
    EndpointDiscriminator(&'a [u8]),
    /// Any other, or one of the above with a length that it cannot have.
    Unknown {
        /// The option's number.
        kind: u8,
        /// What follows kind and length.
        data: &'a [u8],
    },
}

/// The value of the Authentication-Protocol option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthProtocol {
    /// Password Authentication Protocol (0xc023).
    Pap,
    /// CHAP (0xc223) with this algorithm: 5 MD5, 0x80 MS-CHAP, 0x81 MS-CHAPv2.
    Chap(u8),
    /// Extensible Authentication Protocol (0xc227).
    Eap,
    /// Another protocol number, or a known one with a length that it cannot have. What follows the number is left out: a
    /// Configure-Reject takes the option as it came, from [`RawOption`].
    Other(u16),
}

impl<'a> LcpOption<'a> {
    /// Interprets an option. Never fails: what does not fit is [`LcpOption::Unknown`].
    pub fn parse(raw: RawOption<'a>) -> Self {
        let RawOption { kind, data } = raw;
        match (kind, data) {
            (1, [a, b]) => Self::Mru(u16::from_be_bytes([*a, *b])),
            (2, [a, b, c, d]) => Self::Accm(u32::from_be_bytes([*a, *b, *c, *d])),
            (3, [a, b, rest @ ..]) => {
                Self::Authentication(AuthProtocol::parse(u16::from_be_bytes([*a, *b]), rest))
            }
            (5, [a, b, c, d]) => Self::Magic(u32::from_be_bytes([*a, *b, *c, *d])),
            (7, []) => Self::Pfc,
            (8, []) => Self::Acfc,
            (13, [_, ..]) => Self::Callback(data),
            (17, [a, b]) => Self::Mrru(u16::from_be_bytes([*a, *b])),
            (18, []) => Self::ShortSequence,
            (19, [_, ..]) => Self::EndpointDiscriminator(data),
            _ => Self::Unknown { kind, data },
        }
    }

    /// Appends the option.
    pub fn emit(&self, out: &mut Vec<u8>) {
        match self {
            Self::Mru(mru) => push_option(out, 1, &mru.to_be_bytes()),
            Self::Accm(accm) => push_option(out, 2, &accm.to_be_bytes()),
            Self::Authentication(protocol) => protocol.emit(out),
            Self::Magic(magic) => push_option(out, 5, &magic.to_be_bytes()),
            Self::Pfc => push_option(out, 7, &[]),
            Self::Acfc => push_option(out, 8, &[]),
            Self::Callback(data) => push_option(out, 13, data),
            Self::Mrru(mrru) => push_option(out, 17, &mrru.to_be_bytes()),
            Self::ShortSequence => push_option(out, 18, &[]),
            Self::EndpointDiscriminator(data) => push_option(out, 19, data),
            Self::Unknown { kind, data } => push_option(out, *kind, data),
        }
    }
}

impl AuthProtocol {
    fn parse(number: u16, rest: &[u8]) -> Self {
        match (number, rest) {
            (0xc023, []) => Self::Pap,
            (0xc223, [algorithm]) => Self::Chap(*algorithm),
            (0xc227, []) => Self::Eap,
            _ => Self::Other(number),
        }
    }

    fn emit(self, out: &mut Vec<u8>) {
        match self {
            Self::Pap => push_option(out, 3, &[0xc0, 0x23]),
            Self::Chap(algorithm) => push_option(out, 3, &[0xc2, 0x23, algorithm]),
            Self::Eap => push_option(out, 3, &[0xc2, 0x27]),
            Self::Other(number) => push_option(out, 3, &number.to_be_bytes()),
        }
    }
}

impl fmt::Display for AuthProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pap => f.write_str("pap"),
            Self::Chap(0x05) => f.write_str("chap MD5"),
            Self::Chap(0x80) => f.write_str("chap MS"),
            Self::Chap(0x81) => f.write_str("chap MS-v2"),
            Self::Chap(algorithm) => write!(f, "chap {algorithm:#04x}"),
            Self::Eap => f.write_str("eap"),
            Self::Other(number) => write!(f, "{number:#06x}"),
        }
    }
}

impl fmt::Display for LcpOption<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mru(mru) => write!(f, "<mru {mru}>"),
            Self::Accm(accm) => write!(f, "<asyncmap {accm:#x}>"),
            Self::Authentication(protocol) => write!(f, "<auth {protocol}>"),
            Self::Magic(magic) => write!(f, "<magic {magic:#x}>"),
            Self::Pfc => f.write_str("<pcomp>"),
            Self::Acfc => f.write_str("<accomp>"),
            Self::Callback([6]) => f.write_str("<callback CBCP>"),
            Self::Callback(data) => write!(f, "<callback {}>", Hex(data)),
            Self::Mrru(mrru) => write!(f, "<mrru {mrru}>"),
            Self::ShortSequence => f.write_str("<ssnhf>"),
            Self::EndpointDiscriminator(data) => write!(f, "<endpoint [{}]>", Endpoint(data)),
            Self::Unknown { kind, data } => show_unknown(f, *kind, data),
        }
    }
}

/// `< 0d 03 06>`, as pppd shows what it does not know.
pub(crate) fn show_unknown(f: &mut fmt::Formatter<'_>, kind: u8, data: &[u8]) -> fmt::Result {
    write!(f, "< {kind:02x} {:02x}{}>", data.len().saturating_add(2), SpacedHex(data))
}

/// An endpoint discriminator's class and address as pppd shows them: `MAC:00:0c:29:01:02:03`, `local:8b.4c`.
struct Endpoint<'a>(&'a [u8]);

impl fmt::Display for Endpoint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const CLASSES: [&str; 6] = ["null", "local", "IP", "MAC", "magic", "phone"];
        let Some((class, address)) = self.0.split_first() else { return Ok(()) };
        match CLASSES.get(usize::from(*class)) {
            Some(name) => f.write_str(name)?,
            None => write!(f, "{class}")?,
        }
        let between = if *class == 3 { ':' } else { '.' };
        for (at, byte) in address.iter().take(MAX_SHOWN).enumerate() {
            write!(f, "{}{byte:02x}", if at == 0 { ':' } else { between })?;
        }
        if address.len() > MAX_SHOWN { f.write_str("…") } else { Ok(()) }
    }
}

/// Bytes shown before the rest is cut off.
const MAX_SHOWN: usize = 24;

/// Bytes in hexadecimal, each behind a blank, at most 24 of them.
pub(crate) struct SpacedHex<'a>(pub(crate) &'a [u8]);

impl fmt::Display for SpacedHex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0.iter().take(MAX_SHOWN) {
            write!(f, " {byte:02x}")?;
        }
        if self.0.len() > MAX_SHOWN { f.write_str("…") } else { Ok(()) }
    }
}

/// Bytes in hexadecimal, at most 24 of them.
pub(crate) struct Hex<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0.iter().take(MAX_SHOWN) {
            write!(f, "{byte:02x}")?;
        }
        if self.0.len() > MAX_SHOWN { f.write_str("…") } else { Ok(()) }
    }
}
