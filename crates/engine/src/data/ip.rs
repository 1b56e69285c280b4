//! What the packet path needs to know about the IP packets inside: that they are some, how long, and from whom.

use core::net::{Ipv4Addr, Ipv6Addr};

/// Bytes in an IPv4 header without options.
pub(super) const V4_HEADER: usize = 20;
/// Bytes in an IPv6 header without extensions.
pub(super) const V6_HEADER: usize = 40;

/// Version and source of an IP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    V4(Ipv4Addr),
    V6(Ipv6Addr),
}

/// The length and source of the IP packet that `bytes` begins with (padding may follow, RFC 1661 §2). `None`: not a sane
/// IP packet.
pub(super) fn inspect(bytes: &[u8]) -> Option<(usize, Source)> {
    let (len, source) = match bytes.first()? >> 4 {
        4 => {
            let header: &[u8; V4_HEADER] = bytes.first_chunk()?;
            let header_len = usize::from(header[0] & 0x0f) * 4;
            let len = usize::from(u16::from_be_bytes([header[2], header[3]]));
            if header_len < V4_HEADER || len < header_len {
                return None;
            }
            (len, Source::V4(Ipv4Addr::new(header[12], header[13], header[14], header[15])))
        }
        6 => {
            let header: &[u8; V6_HEADER] = bytes.first_chunk()?;
            let len = V6_HEADER + usize::from(u16::from_be_bytes([header[4], header[5]]));
            let mut source = [0; 16];
            source.copy_from_slice(&header[8..24]);
            (len, Source::V6(source.into()))
        }
        _ => return None,
    };
    (len <= bytes.len()).then_some((len, source))
}

/// Congestion experienced (RFC 3168 §5); no other value of the ECN field means that.
const CE: u8 = 3;

/// TOS or traffic class of an IP packet: DSCP, and in the last two bits ECN (RFC 2474 §3, RFC 3168 §5).
pub(super) fn tos(packet: &[u8]) -> u8 {
    match packet {
        [first, second, ..] if first >> 4 == 4 => *second,
        [first, second, ..] => first << 4 | second >> 4,
        _ => 0,
    }
}

/// Whether routers may not fragment an IP packet: IPv6's never do (RFC 8200 §4.5).
pub(super) fn dont_fragment(packet: &[u8]) -> bool {
    match packet {
        [first, _, _, _, _, _, flags, ..] => first >> 4 != 4 || flags & 0x40 != 0,
        _ => false,
    }
}

fn ecn(packet: &[u8]) -> u8 {
    tos(packet) & 3
}

/// Gives the ECN field of a whole IP packet what the tunnel's outer packet has seen on its way (RFC 6040 §4.2). `false`: the packet is to be
/// dropped, as congestion was marked on a packet whose ends know nothing of ECN.
pub(super) fn take_over_ecn(packet: &mut [u8], outer: u8) -> bool {
    let inner = ecn(packet);
    let new = match (inner, outer & 3) {
        (0, CE) => return false,
        (0, _) | (CE, _) | (_, 0) | (1, 2) => inner,
        (_, outer) => outer,
    };
    if new == inner {
        return true;
    }
    if packet[0] >> 4 == 6 {
        packet[1] = packet[1] & !0x30 | new << 4;
        return true;
    }
    packet[1] = packet[1] & !3 | new;
    let header_len = usize::from(packet[0] & 0x0f) * 4;
    packet[10..12].fill(0);
    let sum = checksum(&packet[..header_len]);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    true
}

/// Whether `bytes` are an IP packet beyond reasonable doubt, which the wrong key of an MPPE packet makes of nearly no packet: IPv4
/// has a right header checksum, as every host and router checks it; IPv6 is exactly as long as it says.
pub(super) fn is_certain(bytes: &[u8]) -> bool {
    match inspect(bytes) {
        Some((_, Source::V4(_))) => {
            let header_len = usize::from(bytes[0] & 0x0f) * 4;
            checksum(&bytes[..header_len]) == 0
        }
        Some((len, Source::V6(_))) => len == bytes.len(),
        None => false,
    }
}

/// The Internet checksum (RFC 1071) of an even number of bytes.
pub(super) fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_of_rfc_1071_is_right() {
        assert_eq!(checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), !0xddf2);
    }

    #[test]
    fn congestion_on_the_way_is_told_as_rfc_6040_has_it() {
        const DROP: Option<u8> = None;
        // Rows: inner; columns: outer; both Not-ECT, ECT(1), ECT(0), CE (RFC 6040 §4.2, figure 4).
        let table = [
            [Some(0), Some(0), Some(0), DROP],
            [Some(1), Some(1), Some(1), Some(3)],
            [Some(2), Some(1), Some(2), Some(3)],
            [Some(3), Some(3), Some(3), Some(3)],
        ];
        for (inner, row) in table.into_iter().enumerate() {
            for (outer, expected) in row.into_iter().enumerate() {
                let mut v4 = [0u8; 24];
                v4[..4].copy_from_slice(&[0x45, 0xb8 | inner as u8, 0, 24]);
                let sum = checksum(&v4[..20]);
                v4[10..12].copy_from_slice(&sum.to_be_bytes());
                let mut v6 = [0u8; 40];
                v6[..2].copy_from_slice(&[0x6b, 0x8f | (inner as u8) << 4]);
                for packet in [&mut v4[..], &mut v6[..]] {
                    let passes = take_over_ecn(packet, outer as u8);
                    assert_eq!(passes.then(|| ecn(packet)), expected, "{inner} in {outer}");
                    assert!(is_certain(packet));
                }
                assert_eq!((v4[1] & !3, v6[0], v6[1] & !0x30), (0xb8, 0x6b, 0x8f & !0x30));
            }
        }
    }

    #[test]
    fn a_wrong_header_checksum_is_doubtful() {
        let mut packet = [0u8; 20];
        packet[..4].copy_from_slice(&[0x45, 0, 0, 20]);
        assert!(!is_certain(&packet));
        let sum = checksum(&packet);
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
        assert!(is_certain(&packet));
    }

    #[test]
    fn an_ipv4_packet_is_as_long_as_it_says_whatever_follows() {
        let mut packet = [0u8; 30];
        packet[..4].copy_from_slice(&[0x45, 0, 0, 24]);
        packet[12..16].copy_from_slice(&[192, 168, 0, 234]);
        assert_eq!(inspect(&packet), Some((24, Source::V4(Ipv4Addr::new(192, 168, 0, 234)))));
    }

    #[test]
    fn lengths_that_cannot_be_are_refused() {
        let mut packet = [0u8; 40];
        for (first, len) in [(0x45, 41), (0x45, 19), (0x44, 40), (0x4f, 40), (0x60, 0), (0x50, 40)]
        {
            packet[0] = first;
            packet[3] = len;
            packet[5] = 1;
            assert_eq!(inspect(&packet), None, "{first:#x} {len}");
        }
        assert_eq!(inspect(&[]), None);
        assert_eq!(inspect(&[0x45; 19]), None);
    }
}
