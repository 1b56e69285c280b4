//! Enhanced GRE (RFC 2637 §4.1).
//!
//! ```text
//!  0                   1                   2                   3
//!  C R K S s Recur A  Flags  Ver |         Protocol Type 0x880b  |
//!      payload length            |           call id             |
//!      sequence number, with S                                   |
//!      acknowledgement number, with A                            |
//! ```

use core::net::Ipv4Addr;

use crate::Malformed;

/// IP protocol number of GRE.
pub const IP_PROTOCOL: u8 = 47;
/// GRE protocol type of PPP in enhanced GRE.
pub const PROTOCOL_TYPE: u16 = 0x880b;
/// The longest header, in bytes.
pub const MAX_HEADER_LEN: usize = 16;

const KEY: u16 = 0x2000;
const SEQUENCE: u16 = 0x1000;
const ACKNOWLEDGEMENT: u16 = 0x0080;
const VERSION_MASK: u16 = 0x0007;
const VERSION: u16 = 1;

/// The header of an enhanced GRE packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The receiver's call id.
    pub call_id: u16,
    /// Sequence number; present when there is a payload.
    pub seq: Option<u32>,
    /// The highest sequence number received.
    pub ack: Option<u32>,
}

/// Reads a GRE packet (what follows the IP header): header and payload, as long as the payload length says. Bytes beyond it,
/// Ethernet padding, are left out.
pub fn parse(bytes: &[u8]) -> Result<(Header, &[u8]), Malformed> {
    let short = Malformed { what: "GRE packet ends inside its header", at: bytes.len() };
    let (fixed, mut rest) = bytes.split_first_chunk::<8>().ok_or(short)?;
    let [f0, f1, p0, p1, l0, l1, c0, c1] = *fixed;
    let flags = u16::from_be_bytes([f0, f1]);
    if flags & VERSION_MASK != VERSION {
        return Err(Malformed { what: "GRE version is not 1", at: 0 });
    }
    // Checksum, routing, strict source route, recursion and the flags without a meaning are zero (RFC 2637 §4.1). pptpd and
    // Linux drop anything else, so that no peer sends it.
    if flags & !(SEQUENCE | ACKNOWLEDGEMENT) != KEY | VERSION {
        return Err(Malformed { what: "GRE flags are not those of PPTP", at: 0 });
    }
    if u16::from_be_bytes([p0, p1]) != PROTOCOL_TYPE {
        return Err(Malformed { what: "GRE protocol type is not PPP", at: 2 });
    }
    let mut number = |present: bool| -> Result<Option<u32>, Malformed> {
        if !present {
            return Ok(None);
        }
        let (number, after) = rest.split_first_chunk::<4>().ok_or(short)?;
        rest = after;
        Ok(Some(u32::from_be_bytes(*number)))
    };
    let seq = number(flags & SEQUENCE != 0)?;
    let ack = number(flags & ACKNOWLEDGEMENT != 0)?;
    let length = usize::from(u16::from_be_bytes([l0, l1]));
    let payload = rest
        .get(..length)
        .ok_or(Malformed { what: "GRE payload length is more than there is", at: 4 })?;
    if seq.is_none() && length > 0 {
        return Err(Malformed { what: "GRE payload without a sequence number", at: 0 });
    }
    Ok((Header { call_id: u16::from_be_bytes([c0, c1]), seq, ack }, payload))
}

impl Header {
    /// Length of the header, in bytes: 8, 12 or 16.
    pub const fn wire_len(&self) -> usize {
        8 + if self.seq.is_some() { 4 } else { 0 } + if self.ack.is_some() { 4 } else { 0 }
    }

    /// Writes the header for `payload_len` bytes of payload to the front of `out` and gives its length.
    ///
    /// # Panics
    ///
    /// When `out` is shorter than [`wire_len`](Self::wire_len), which is the caller's mistake.
    pub fn emit(&self, payload_len: usize, out: &mut [u8]) -> usize {
        let mut flags = KEY | VERSION;
        if self.seq.is_some() {
            flags |= SEQUENCE;
        }
        if self.ack.is_some() {
            flags |= ACKNOWLEDGEMENT;
        }
        out[0..2].copy_from_slice(&flags.to_be_bytes());
        out[2..4].copy_from_slice(&PROTOCOL_TYPE.to_be_bytes());
        out[4..6].copy_from_slice(&(payload_len as u16).to_be_bytes());
        out[6..8].copy_from_slice(&self.call_id.to_be_bytes());
        let mut at = 8;
        for number in [self.seq, self.ack].into_iter().flatten() {
            out[at..at + 4].copy_from_slice(&number.to_be_bytes());
            at += 4;
        }
        at
    }
}

/// An IPv4 packet that carries GRE, as a raw socket delivers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outer {
    /// Who sent it.
    pub source: Ipv4Addr,
    /// To which of our addresses.
    pub destination: Ipv4Addr,
    /// Type of service: DSCP and ECN.
    pub tos: u8,
    /// Where the GRE packet starts, in bytes from the start of the IP packet.
    pub start: usize,
    /// Where it ends, by the IP total length.
    pub end: usize,
}

impl Outer {
    /// Reads the IPv4 header, options included. Bytes beyond the total length are padding.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let short = Malformed { what: "IPv4 packet ends inside its header", at: bytes.len() };
        let (header, _) = bytes.split_first_chunk::<20>().ok_or(short)?;
        let start = usize::from(header[0] & 0x0f) * 4;
        let end = usize::from(u16::from_be_bytes([header[2], header[3]]));
        if header[0] >> 4 != 4 || start < 20 {
            return Err(Malformed { what: "not an IPv4 header", at: 0 });
        }
        if header[9] != IP_PROTOCOL {
            return Err(Malformed { what: "IP protocol is not GRE", at: 9 });
        }
        if end < start || end > bytes.len() {
            return Err(Malformed { what: "IPv4 total length does not fit the packet", at: 2 });
        }
        let address =
            |at: usize| Ipv4Addr::new(header[at], header[at + 1], header[at + 2], header[at + 3]);
        Ok(Self { source: address(12), destination: address(16), tos: header[1], start, end })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Call id 0x1234, sequence number 7, acknowledgement 5, two bytes of payload.
    const PACKET: [u8; 18] =
        [0x30, 0x81, 0x88, 0x0b, 0, 2, 0x12, 0x34, 0, 0, 0, 7, 0, 0, 0, 5, 0xaa, 0xbb];
    const HEADER: Header = Header { call_id: 0x1234, seq: Some(7), ack: Some(5) };

    #[test]
    fn sequence_number_comes_before_acknowledgement() {
        assert_eq!(parse(&PACKET), Ok((HEADER, &[0xaa, 0xbb][..])));
        let mut written = PACKET;
        written[..16].fill(0);
        assert_eq!(HEADER.emit(2, &mut written), 16);
        assert_eq!(written, PACKET);
    }

    #[test]
    fn only_the_flags_that_pptp_uses_are_taken() {
        for bit in 0..16 {
            let mut packet = PACKET;
            packet[usize::from(bit < 8)] ^= 1 << (bit % 8);
            // Without S or A the same bytes mean something else, which may be readable.
            let is_number = matches!(bit, 12 | 7);
            assert!(is_number || parse(&packet).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_payload_needs_a_sequence_number() {
        let acknowledgement = [0x20, 0x81, 0x88, 0x0b, 0, 0, 0x12, 0x34, 0, 0, 0, 5];
        let header = Header { seq: None, ..HEADER };
        assert_eq!(parse(&acknowledgement), Ok((header, &[][..])));
        let with_payload = [&[0x20, 0x81, 0x88, 0x0b, 0, 1], &acknowledgement[6..], &[9]].concat();
        assert_eq!(parse(&with_payload).unwrap_err().at, 0);
    }

    #[test]
    fn ethernet_padding_is_not_payload() {
        let padded = [&PACKET[..], &[0; 20]].concat();
        assert_eq!(parse(&padded), parse(&PACKET));
    }

    #[test]
    fn the_ip_header_bounds_the_packet() {
        let mut ip = alloc::vec![0; 24];
        ip[..4].copy_from_slice(&[0x46, 0xb8, 0, 42]);
        ip[9] = IP_PROTOCOL;
        ip[12..20].copy_from_slice(&[192, 0, 2, 1, 198, 51, 100, 2]);
        ip.extend(PACKET);
        ip.extend([0; 6]);
        let outer = Outer::parse(&ip).unwrap();
        assert_eq!((outer.start, outer.end, outer.tos), (24, 42, 0xb8));
        assert_eq!(outer.source, Ipv4Addr::new(192, 0, 2, 1));
        assert_eq!(outer.destination, Ipv4Addr::new(198, 51, 100, 2));
        assert_eq!(&ip[outer.start..outer.end], PACKET);
        for (at, value) in [(0, 0x66), (0, 0x44), (9, 17), (3, 23), (3, 49), (2, 1)] {
            let mut bad = ip.clone();
            bad[at] = value;
            assert!(Outer::parse(&bad).is_err(), "{value:#x} at {at}");
        }
        assert!(Outer::parse(&ip[..41]).is_err());
        assert!(Outer::parse(&ip[..19]).is_err());
    }
}
