//! TCP maximum segment size, lowered to what fits the tunnel.

use super::ip;

const TCP: u8 = 6;
const TCP_HEADER: usize = 20;
const SYN: u8 = 0x02;
const OPTION_END: u8 = 0;
const OPTION_NO_OPERATION: u8 = 1;
const OPTION_MSS: u8 = 2;

/// Lowers the MSS option of a TCP SYN in `packet` (a whole IPv4 or IPv6 packet) to what fits in `mtu` bytes, and
/// repairs the checksum (RFC 1624). Anything else, and anything malformed, is left as it is.
///
/// Many networks drop the ICMP messages that path MTU discovery needs, so that a full-sized segment would vanish in the
/// tunnel without a word. Gives whether something was changed.
pub fn clamp_mss(packet: &mut [u8], mtu: u16) -> bool {
    change(packet, mtu).is_some()
}

fn change(packet: &mut [u8], mtu: u16) -> Option<()> {
    let header_len = tcp_offset(packet)?;
    let ip_minimum = if packet[0] >> 4 == 4 { ip::V4_HEADER } else { ip::V6_HEADER };
    let limit = mtu.checked_sub((ip_minimum + TCP_HEADER) as u16)?;
    let segment = packet.get_mut(header_len..)?;
    let at = mss_offset(segment)?;
    let mss = u16::from_be_bytes([segment[at], segment[at + 1]]);
    if mss <= limit {
        return None;
    }
    let before = checksum_words(segment, at);
    segment[at..at + 2].copy_from_slice(&limit.to_be_bytes());
    let after = checksum_words(segment, at);
    let checksum = u16::from_be_bytes([segment[16], segment[17]]);
    segment[16..18].copy_from_slice(&updated(checksum, before, after).to_be_bytes());
    Some(())
}

/// Where the TCP header starts, when this is the first (or only) fragment of a TCP segment.
fn tcp_offset(packet: &[u8]) -> Option<usize> {
    match packet.first()? >> 4 {
        4 => {
            let header = packet.get(..ip::V4_HEADER)?;
            let fragment_offset = u16::from_be_bytes([header[6], header[7]]) & 0x1fff;
            let offset = usize::from(header[0] & 0x0f) * 4;
            (header[9] == TCP && fragment_offset == 0 && offset >= ip::V4_HEADER).then_some(offset)
        }
        6 => (*packet.get(6)? == TCP).then_some(ip::V6_HEADER),
        _ => None,
    }
}

/// Where the MSS value is in a TCP segment, when it is a SYN that has one.
fn mss_offset(segment: &[u8]) -> Option<usize> {
    let header = segment.get(..TCP_HEADER)?;
    let header_len = usize::from(header[12] >> 4) * 4;
    if header[13] & SYN == 0 || header_len > segment.len() {
        return None;
    }
    let mut at = TCP_HEADER;
    while at < header_len {
        let (kind, len) = match segment[at] {
            OPTION_END => return None,
            OPTION_NO_OPERATION => (OPTION_NO_OPERATION, 1),
            kind => (kind, usize::from(*segment.get(at + 1)?)),
        };
        if kind == OPTION_MSS {
            return (len == 4 && at + 4 <= header_len).then_some(at + 2);
        }
        if len == 0 || kind != OPTION_NO_OPERATION && len < 2 {
            return None;
        }
        at += len;
    }
    None
}

/// The two 16-bit words of the checksum that hold the bytes at `at` and `at + 1`, which may be at an odd offset.
fn checksum_words(segment: &[u8], at: usize) -> [u16; 2] {
    let even = at & !1;
    let byte = |offset: usize| segment.get(even + offset).copied().unwrap_or(0);
    [u16::from_be_bytes([byte(0), byte(1)]), u16::from_be_bytes([byte(2), byte(3)])]
}

/// RFC 1624 §3: HC' = ~(~HC + ~m + m').
fn updated(checksum: u16, before: [u16; 2], after: [u16; 2]) -> u16 {
    let mut sum = u32::from(!checksum);
    for (old, new) in before.into_iter().zip(after) {
        sum += u32::from(!old) + u32::from(new);
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    const NO_OPERATION: u8 = OPTION_NO_OPERATION;

    /// A TCP segment over IPv4 with these flags and options, its checksum right.
    fn v4(flags: u8, options: &[u8]) -> Vec<u8> {
        let mut packet =
            alloc::vec![0x45, 0, 0, 0, 0, 7, 0x40, 0, 64, TCP, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
        packet.extend(segment(flags, options));
        let len = packet.len() as u16;
        packet[2..4].copy_from_slice(&len.to_be_bytes());
        let sum = !tcp_sum(&packet, 20, 12..20);
        packet[36..38].copy_from_slice(&sum.to_be_bytes());
        packet
    }

    fn v6(flags: u8, options: &[u8]) -> Vec<u8> {
        let segment = segment(flags, options);
        let mut packet = alloc::vec![0x60, 0, 0, 0, 0, segment.len() as u8, TCP, 64];
        packet.extend([0x20; 16]);
        packet.extend([0x30; 16]);
        packet.extend(segment);
        let sum = !tcp_sum(&packet, 40, 8..40);
        packet[56..58].copy_from_slice(&sum.to_be_bytes());
        packet
    }

    fn segment(flags: u8, options: &[u8]) -> Vec<u8> {
        let mut options = options.to_vec();
        while !options.len().is_multiple_of(4) {
            options.push(OPTION_END);
        }
        let words = (TCP_HEADER + options.len()) as u8 / 4;
        let mut segment = alloc::vec![
            0x12,
            0x34,
            0,
            80,
            1,
            2,
            3,
            4,
            0,
            0,
            0,
            0,
            words << 4,
            flags,
            0xff,
            0xff,
            0,
            0,
            0,
            0
        ];
        segment.extend(options);
        segment
    }

    fn tcp_sum(packet: &[u8], offset: usize, addresses: core::ops::Range<usize>) -> u16 {
        let segment = &packet[offset..];
        let mut bytes = packet[addresses].to_vec();
        bytes.extend([0, TCP]);
        bytes.extend((segment.len() as u16).to_be_bytes());
        bytes.extend(segment);
        if !bytes.len().is_multiple_of(2) {
            bytes.push(0);
        }
        let sum: u32 =
            bytes.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
        let sum = (sum & 0xffff) + (sum >> 16);
        ((sum & 0xffff) + (sum >> 16)) as u16
    }

    #[test]
    fn a_syn_s_mss_is_lowered_and_its_checksum_stays_right() {
        let mut packet = v4(SYN, &[OPTION_MSS, 4, 0x05, 0xb4]);
        assert!(clamp_mss(&mut packet, 1400));
        assert_eq!(packet[42..44], 1360u16.to_be_bytes());
        assert_eq!(tcp_sum(&packet, 20, 12..20), 0xffff);
    }

    #[test]
    fn a_syn_ack_over_ipv6_is_lowered_to_60_below_the_mtu() {
        let mut packet = v6(SYN | 0x10, &[NO_OPERATION, NO_OPERATION, OPTION_MSS, 4, 0x05, 0xa0]);
        assert!(clamp_mss(&mut packet, 1400));
        assert_eq!(packet[64..66], 1340u16.to_be_bytes());
        assert_eq!(tcp_sum(&packet, 40, 8..40), 0xffff);
    }

    #[test]
    fn an_mss_at_an_odd_offset_keeps_the_checksum_right() {
        let mut packet = v4(SYN, &[NO_OPERATION, OPTION_MSS, 4, 0x05, 0xb4]);
        assert!(clamp_mss(&mut packet, 1396));
        assert_eq!(packet[43..45], 1356u16.to_be_bytes());
        assert_eq!(tcp_sum(&packet, 20, 12..20), 0xffff);
    }

    #[test]
    fn a_small_mss_and_a_segment_without_syn_are_left_alone() {
        for mut packet in
            [v4(SYN, &[OPTION_MSS, 4, 0x02, 0x18]), v4(0x10, &[OPTION_MSS, 4, 0x05, 0xb4])]
        {
            let before = packet.clone();
            assert!(!clamp_mss(&mut packet, 1400));
            assert_eq!(packet, before);
        }
    }

    #[test]
    fn a_later_fragment_and_other_protocols_are_left_alone() {
        let mut fragment = v4(SYN, &[OPTION_MSS, 4, 0x05, 0xb4]);
        fragment[7] = 1;
        let mut udp = v4(SYN, &[OPTION_MSS, 4, 0x05, 0xb4]);
        udp[9] = 17;
        assert!(!clamp_mss(&mut fragment, 1400));
        assert!(!clamp_mss(&mut udp, 1400));
    }

    #[test]
    fn malformed_options_are_left_alone() {
        for options in [
            &[OPTION_MSS, 3, 5, 0xb4][..],
            &[8, 0, 2, 4],
            &[8, 1, 2, 4],
            &[OPTION_MSS],
            &[8, 200, OPTION_MSS, 4, 5, 0xb4],
        ] {
            assert!(!clamp_mss(&mut v4(SYN, options), 1400), "{options:?}");
        }
    }

    #[test]
    fn every_truncation_is_left_alone_or_clamped_without_a_panic() {
        let whole = v4(SYN, &[NO_OPERATION, OPTION_MSS, 4, 0x05, 0xb4]);
        for len in 0..whole.len() {
            clamp_mss(&mut whole[..len].to_vec(), 1400);
        }
    }

    #[test]
    fn an_mtu_too_small_for_any_segment_changes_nothing() {
        assert!(!clamp_mss(&mut v4(SYN, &[OPTION_MSS, 4, 0x05, 0xb4]), 30));
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken_without_a_panic(mut packet: Vec<u8>, mtu: u16) {
            clamp_mss(&mut packet, mtu);
        }
    }
}
