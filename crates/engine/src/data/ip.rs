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
