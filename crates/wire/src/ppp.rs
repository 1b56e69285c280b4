//! PPP frames and the packet format that its control protocols share (RFC 1661 §2, §5).

use alloc::vec::Vec;
use core::fmt;

use crate::Malformed;
pub use crate::describe::{Description, describe, show_options};

/// A PPP protocol number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Protocol(pub u16);

impl Protocol {
    /// Internet Protocol version 4.
    pub const IPV4: Self = Self(0x0021);
    /// Van Jacobson compressed TCP/IP (RFC 1144).
    pub const VJ_COMPRESSED: Self = Self(0x002d);
    /// Internet Protocol version 6.
    pub const IPV6: Self = Self(0x0057);
    /// A compressed or encrypted packet: MPPE (RFC 3078 §3).
    pub const COMPRESSED: Self = Self(0x00fd);
    /// IP Control Protocol (RFC 1332).
    pub const IPCP: Self = Self(0x8021);
    /// IPv6 Control Protocol (RFC 5072).
    pub const IPV6CP: Self = Self(0x8057);
    /// Compression Control Protocol (RFC 1962).
    pub const CCP: Self = Self(0x80fd);
    /// Apple Client Server Protocol Control Protocol, sent by macOS.
    pub const ACSCP: Self = Self(0x8235);
    /// Link Control Protocol (RFC 1661).
    pub const LCP: Self = Self(0xc021);
    /// Password Authentication Protocol (RFC 1334).
    pub const PAP: Self = Self(0xc023);
    /// Callback Control Protocol (Microsoft).
    pub const CBCP: Self = Self(0xc029);
    /// Challenge Handshake Authentication Protocol (RFC 1994).
    pub const CHAP: Self = Self(0xc223);
    /// Extensible Authentication Protocol (RFC 3748).
    pub const EAP: Self = Self(0xc227);
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match *self {
            Self::IPV4 => "IP",
            Self::VJ_COMPRESSED => "VJ comp",
            Self::IPV6 => "IPv6",
            Self::COMPRESSED => "Compressed data",
            Self::IPCP => "IPCP",
            Self::IPV6CP => "IPV6CP",
            Self::CCP => "CCP",
            Self::ACSCP => "ACSCP",
            Self::LCP => "LCP",
            Self::PAP => "PAP",
            Self::CBCP => "CBCP",
            Self::CHAP => "CHAP",
            Self::EAP => "EAP",
            Self(number) => return write!(f, "proto={number:#06x}"),
        })
    }
}

/// The packet code of a control protocol (RFC 1661 §5, RFC 1570 §2, RFC 1962 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Code(pub u8);

impl Code {
    /// Configure-Request: the sender's wishes.
    pub const CONFIGURE_REQUEST: Self = Self(1);
    /// Configure-Ack: all of them granted.
    pub const CONFIGURE_ACK: Self = Self(2);
    /// Configure-Nak: values that would be granted.
    pub const CONFIGURE_NAK: Self = Self(3);
    /// Configure-Reject: options that are not to be asked for.
    pub const CONFIGURE_REJECT: Self = Self(4);
    /// Terminate-Request: the end, with a text.
    pub const TERMINATE_REQUEST: Self = Self(5);
    /// Terminate-Ack.
    pub const TERMINATE_ACK: Self = Self(6);
    /// Code-Reject: a packet whose code is not known.
    pub const CODE_REJECT: Self = Self(7);
    /// Protocol-Reject: a frame whose protocol is not known; LCP only.
    pub const PROTOCOL_REJECT: Self = Self(8);
    /// Echo-Request; LCP only.
    pub const ECHO_REQUEST: Self = Self(9);
    /// Echo-Reply; LCP only.
    pub const ECHO_REPLY: Self = Self(10);
    /// Discard-Request: to be thrown away; LCP only.
    pub const DISCARD_REQUEST: Self = Self(11);
    /// Identification: the sender's software (RFC 1570 §2.1); LCP only.
    pub const IDENTIFICATION: Self = Self(12);
    /// Time-Remaining (RFC 1570 §2.2); LCP only.
    pub const TIME_REMAINING: Self = Self(13);
    /// Reset-Request: the decryptor has lost its place (RFC 1962 §3); CCP only.
    pub const RESET_REQUEST: Self = Self(14);
    /// Reset-Ack: the encryptor starts afresh; CCP only.
    pub const RESET_ACK: Self = Self(15);
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [&str; 15] = [
            "ConfReq", "ConfAck", "ConfNak", "ConfRej", "TermReq", "TermAck", "CodeRej", "ProtRej",
            "EchoReq", "EchoRep", "DiscReq", "Ident", "TimeRem", "ResetReq", "ResetAck",
        ];
        match usize::from(self.0).checked_sub(1).and_then(|at| NAMES.get(at)) {
            Some(name) => f.write_str(name),
            None => write!(f, "code={:#04x}", self.0),
        }
    }
}

/// Takes address and control field (`ff 03`, which may be absent) and the protocol number (one byte or two) off a frame.
pub fn split(frame: &[u8]) -> Result<(Protocol, &[u8]), Malformed> {
    let rest = frame.strip_prefix(&[0xff, 0x03]).unwrap_or(frame);
    let at = frame.len() - rest.len();
    match rest {
        // No protocol has the number 0x00ff, so that this is an address field (RFC 1661 §6.5).
        [0xff, ..] if at == 0 => Err(Malformed { what: "PPP address without control field", at }),
        // An odd first byte is the last of the number (RFC 1661 §2).
        [low, body @ ..] if low & 1 == 1 => Ok((Protocol(u16::from(*low)), body)),
        [high, low, body @ ..] if low & 1 == 1 => {
            Ok((Protocol(u16::from_be_bytes([*high, *low])), body))
        }
        [_, _, ..] => Err(Malformed { what: "PPP protocol number is even", at }),
        _ => Err(Malformed { what: "PPP frame ends before its protocol number", at }),
    }
}

/// A packet of a control protocol: code, identifier, two bytes of length, data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// What it is.
    pub code: Code,
    /// Matches replies to requests.
    pub id: u8,
    /// What follows the header, without padding.
    pub data: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Length of the header, in bytes.
    pub const HEADER_LEN: usize = 4;

    /// Reads a packet. Bytes beyond its length field are padding and left out.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let [code, id, high, low, rest @ ..] = bytes else {
            return Err(Malformed {
                what: "control packet is shorter than its header",
                at: bytes.len(),
            });
        };
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let data = length
            .checked_sub(Self::HEADER_LEN)
            .and_then(|length| rest.get(..length))
            .ok_or(Malformed { what: "control packet length does not fit the frame", at: 2 })?;
        Ok(Self { code: Code(*code), id: *id, data })
    }

    /// Appends the packet. Data beyond 65,531 bytes is cut off.
    pub fn emit(&self, out: &mut Vec<u8>) {
        let data = &self.data[..self.data.len().min(usize::from(u16::MAX) - Self::HEADER_LEN)];
        let length = (data.len() + Self::HEADER_LEN) as u16;
        out.extend_from_slice(&[self.code.0, self.id]);
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(data);
    }
}

/// One configuration option, not interpreted (RFC 1661 §5.1): kind, length, data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawOption<'a> {
    /// The option's number within its protocol.
    pub kind: u8,
    /// What follows kind and length, 0–253 bytes.
    pub data: &'a [u8],
}

/// Reads the options of a Configure packet one by one. After an error it ends.
pub fn options(bytes: &[u8]) -> Options<'_> {
    Options { rest: bytes, at: 0 }
}

/// See [`options`].
#[derive(Clone, Debug)]
pub struct Options<'a> {
    rest: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Options<'a> {
    type Item = Result<RawOption<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let option = match self.rest {
            [kind, length, ..] if *length >= 2 => {
                self.rest.get(2..usize::from(*length)).map(|data| RawOption { kind: *kind, data })
            }
            _ => None,
        };
        let Some(option) = option else {
            let at = self.at;
            self.rest = &[];
            return Some(Err(Malformed { what: "option length does not fit the packet", at }));
        };
        let length = option.data.len() + 2;
        self.rest = &self.rest[length..];
        self.at += length;
        Some(Ok(option))
    }
}

/// Appends one option. Data beyond 253 bytes is cut off.
pub fn push_option(out: &mut Vec<u8>, kind: u8, data: &[u8]) {
    let data = &data[..data.len().min(253)];
    out.push(kind);
    out.push(data.len() as u8 + 2);
    out.extend_from_slice(data);
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn frames_come_with_and_without_address_and_with_short_and_long_protocols() {
        for (frame, protocol) in [
            (&[0xff, 0x03, 0xc0, 0x21, 9][..], Protocol::LCP),
            (&[0xc0, 0x21, 9], Protocol::LCP),
            (&[0xff, 0x03, 0x00, 0x21, 9], Protocol::IPV4),
            (&[0xff, 0x03, 0x21, 9], Protocol::IPV4),
            (&[0x00, 0x21, 9], Protocol::IPV4),
            (&[0x21, 9], Protocol::IPV4),
            (&[0xfd, 9], Protocol::COMPRESSED),
            (&[0x00, 0xfd, 9], Protocol::COMPRESSED),
        ] {
            assert_eq!(split(frame), Ok((protocol, &[9][..])), "{frame:02x?}");
        }
    }

    #[test]
    fn frames_without_a_protocol_are_refused() {
        let cut: [&[u8]; 8] = [
            &[],
            &[0xff],
            &[0xff, 0x03],
            &[0xff, 0x03, 0xc0],
            &[0xff, 0x04, 0xc0, 0x21],
            &[0xc0],
            &[0xc0, 0x22],
            &[0x30, 0x30],
        ];
        for frame in cut {
            assert!(split(frame).is_err(), "{frame:02x?}");
        }
    }

    #[test]
    fn padding_behind_a_packet_is_left_out() {
        let packet = Packet::parse(&[1, 7, 0, 6, 0xaa, 0xbb, 0, 0, 0]).unwrap();
        assert_eq!(packet, Packet { code: Code(1), id: 7, data: &[0xaa, 0xbb] });
        assert_eq!(Packet::parse(&[1, 7, 0, 3]).unwrap_err().at, 2);
        assert_eq!(Packet::parse(&[1, 7, 0, 5]).unwrap_err().at, 2);
    }

    #[test]
    fn options_end_with_the_first_that_does_not_fit() {
        let mut three = options(&[7, 2, 5, 6, 1, 2, 3, 4, 1, 5, 0]);
        assert_eq!(three.next(), Some(Ok(RawOption { kind: 7, data: &[] })));
        assert_eq!(three.next(), Some(Ok(RawOption { kind: 5, data: &[1, 2, 3, 4] })));
        assert_eq!(three.next().unwrap().unwrap_err().at, 8);
        assert_eq!(three.next(), None);
        for bytes in [&[1][..], &[1, 0], &[1, 1, 0], &[1, 3]] {
            assert!(options(bytes).next().unwrap().is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn what_does_not_fit_an_option_is_cut_off() {
        let mut out = Vec::new();
        push_option(&mut out, 0x7f, &vec![1; 300]);
        assert_eq!((out.len(), out[1]), (255, 255));
    }
}
