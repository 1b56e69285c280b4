//! Where packets go on an Ethernet segment, and the headers that take them there.

use std::net::Ipv4Addr;

/// Bytes of an Ethernet header.
pub(crate) const ETHERNET_LEN: usize = 14;
/// Bytes of an IPv4 header without options.
pub(crate) const IPV4_LEN: usize = 20;
/// Bytes in front of the GRE packet.
pub(crate) const FRAME_HEADER_LEN: usize = ETHERNET_LEN + IPV4_LEN;

const ETHERTYPE_IPV4: [u8; 2] = [0x08, 0x00];
const GRE: u8 = 47;
const DONT_FRAGMENT: u8 = 0x40;
/// What the kernel sends with, too.
const TIME_TO_LIVE: u8 = 64;

/// The next hop to a peer, on an Ethernet segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hop {
    /// The index of the interface that packets leave by.
    pub interface: u32,
    /// That interface's hardware address.
    pub own: [u8; 6],
    /// The hardware address of the peer, or of the gateway to it.
    pub next: [u8; 6],
    /// The largest IP packet that may go there, in bytes.
    pub mtu: u32,
}

/// What an IPv4 header says beside the addresses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ipv4 {
    pub(crate) source: Ipv4Addr,
    pub(crate) destination: Ipv4Addr,
    pub(crate) tos: u8,
    pub(crate) dont_fragment: bool,
    pub(crate) id: u16,
}

impl Hop {
    /// Whether an IP packet around a GRE packet of `len` bytes may go there whole.
    pub(crate) fn fits(&self, len: usize) -> bool {
        IPV4_LEN + len <= self.mtu as usize
    }

    /// The headers of a GRE packet of `len` bytes, which [`fits`](Self::fits).
    pub(crate) fn headers(&self, ip: &Ipv4, len: usize) -> [u8; FRAME_HEADER_LEN] {
        let mut out = [0; FRAME_HEADER_LEN];
        out[..6].copy_from_slice(&self.next);
        out[6..12].copy_from_slice(&self.own);
        out[12..14].copy_from_slice(&ETHERTYPE_IPV4);
        let header = &mut out[ETHERNET_LEN..];
        (header[0], header[1]) = (0x45, ip.tos);
        header[2..4].copy_from_slice(&((IPV4_LEN + len) as u16).to_be_bytes());
        header[4..6].copy_from_slice(&ip.id.to_be_bytes());
        header[6] = if ip.dont_fragment { DONT_FRAGMENT } else { 0 };
        (header[8], header[9]) = (TIME_TO_LIVE, GRE);
        header[12..16].copy_from_slice(&ip.source.octets());
        header[16..20].copy_from_slice(&ip.destination.octets());
        let sum = !sum(header);
        header[10..12].copy_from_slice(&sum.to_be_bytes());
        out
    }
}

/// Whether the checksum of an IPv4 header without options is right.
pub(crate) fn is_intact(header: &[u8]) -> bool {
    header.get(..IPV4_LEN).is_some_and(|header| sum(header) == 0xffff)
}

/// The sum of RFC 1071 over words of four bytes, which a header has.
fn sum(header: &[u8]) -> u16 {
    let words = header.chunks_exact(4);
    let words =
        words.map(|word| u64::from(u32::from_be_bytes([word[0], word[1], word[2], word[3]])));
    let sum: u64 = words.sum();
    let fold = |sum: u64| (sum & 0xffff) + (sum >> 16);
    fold(fold(fold(sum))) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_headers_are_those_of_the_standards() {
        let hop = Hop { interface: 2, own: [2, 0, 0, 0, 0, 1], next: [2, 0, 0, 0, 0, 2], mtu: 120 };
        let ip = Ipv4 {
            source: Ipv4Addr::new(10, 9, 0, 1),
            destination: Ipv4Addr::new(10, 9, 0, 2),
            tos: 0xb8,
            dont_fragment: true,
            id: 0x1234,
        };
        let headers = hop.headers(&ip, 100);
        let expected = [
            [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0].as_slice(),
            &[0x45, 0xb8, 0, 120, 0x12, 0x34, 0x40, 0, 64, 47, headers[24], headers[25]],
            &[10, 9, 0, 1, 10, 9, 0, 2],
        ];
        assert_eq!(headers[..], expected.concat());
        assert!(is_intact(&headers[ETHERNET_LEN..]));
        assert!(hop.fits(100) && !hop.fits(101));
    }

    #[test]
    fn sums_are_folded_until_they_fit() {
        assert_eq!(sum(&[0xff; 20]), 0xffff);
        assert_eq!(sum(&[0xff, 0xff, 0, 1, 0, 0, 0, 1]), 2);
        assert_eq!(sum(&[0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1]), 1);
    }
}
