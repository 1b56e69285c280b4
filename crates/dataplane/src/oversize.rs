//! IPv4 packets that a shared interface lets through and a session does not, as its MTU is smaller: what a router does with them.

use crate::offload::checksum;

/// Bytes of an IPv4 header without options.
const HEADER: usize = 20;
/// Where in it: flags and fragment offset, protocol, checksum, source, destination.
const FRAGMENT: usize = 6;
const PROTOCOL: usize = 9;
const CHECKSUM: usize = 10;
const SOURCE: usize = 12;
const DESTINATION: usize = 16;

/// Flags beside the fragment offset (RFC 791 §3.1).
const DONT_FRAGMENT: u16 = 0x4000;
const MORE_FRAGMENTS: u16 = 0x2000;
const OFFSET: u16 = 0x1fff;

const ICMP: u8 = 1;
/// Bytes of the ICMP header, and the types that are questions and answers, no errors (RFC 792).
const ICMP_HEADER: usize = 8;
const ECHO: [u8; 2] = [0, 8];
/// Destination unreachable: fragmentation needed and DF set (RFC 1191 §4).
const FRAGMENTATION_NEEDED: [u8; 2] = [3, 4];
const TTL: u8 = 64;
/// The longest ICMP error (RFC 1812 §4.3.2.3).
const MAX_ERROR: usize = 576;

/// The fragments of a packet, one after the other.
#[derive(Debug)]
pub(crate) struct Fragments<'a> {
    header: &'a [u8; HEADER],
    payload: &'a [u8],
    given: usize,
    /// Of each but the last.
    size: usize,
}

impl<'a> Fragments<'a> {
    /// `None`: it must not be fragmented, has options (whose copying differs by option), or is no IPv4 packet.
    pub(crate) fn new(packet: &'a [u8], mtu: u16) -> Option<Self> {
        let (header, payload) = packet.split_first_chunk()?;
        let size = usize::from(mtu).checked_sub(HEADER)? & !7;
        let fits = header[0] == 0x45 && fragment(header) & DONT_FRAGMENT == 0 && size > 0;
        fits.then_some(Self { header, payload, given: 0, size })
    }

    /// Writes the next fragment to the front of `out` and gives its length. `None`: that was all, or there is no room.
    pub(crate) fn write_next(&mut self, out: &mut [u8]) -> Option<usize> {
        let rest = self.payload.get(self.given..).filter(|rest| !rest.is_empty())?;
        let part = &rest[..rest.len().min(self.size)];
        let len = HEADER + part.len();
        let out = out.get_mut(..len)?;
        out[..HEADER].copy_from_slice(self.header);
        out[HEADER..].copy_from_slice(part);
        out[2..4].copy_from_slice(&(len as u16).to_be_bytes());
        let more = if part.len() < rest.len() { MORE_FRAGMENTS } else { 0 };
        let field = (fragment(self.header) + (self.given / 8) as u16) | more;
        out[FRAGMENT..FRAGMENT + 2].copy_from_slice(&field.to_be_bytes());
        complete(out, 0..HEADER, CHECKSUM);
        self.given += part.len();
        Some(len)
    }
}

/// An ICMP error for the sender of a packet, which says how long its packets may be: in a buffer, and its length. It comes from the packet's
/// destination, as a packet from this host itself could not come in by the interface. `None`: nobody is told about such packets (RFC 1122 §3.2.2).
pub(crate) fn fragmentation_needed(packet: &[u8], mtu: u16) -> Option<([u8; MAX_ERROR], usize)> {
    let header: &[u8; HEADER] = packet.first_chunk()?;
    let payload = usize::from(header[0] & 0x0f) * 4;
    let is_error = header[PROTOCOL] == ICMP && !ECHO.contains(packet.get(payload)?);
    let from_somebody = !matches!(header[SOURCE], 0 | 127 | 224..);
    if header[0] >> 4 != 4 || is_error || !from_somebody || fragment(header) & OFFSET != 0 {
        return None;
    }
    let mut error = [0; MAX_ERROR];
    let start = HEADER + ICMP_HEADER;
    let quoted = &packet[..packet.len().min(MAX_ERROR - start)];
    let len = start + quoted.len();
    error[0] = 0x45;
    error[2..4].copy_from_slice(&(len as u16).to_be_bytes());
    (error[8], error[PROTOCOL]) = (TTL, ICMP);
    error[SOURCE..DESTINATION].copy_from_slice(&header[DESTINATION..]);
    error[DESTINATION..HEADER].copy_from_slice(&header[SOURCE..DESTINATION]);
    error[HEADER..HEADER + 2].copy_from_slice(&FRAGMENTATION_NEEDED);
    error[start - 2..start].copy_from_slice(&mtu.to_be_bytes());
    error[start..len].copy_from_slice(quoted);
    complete(&mut error, 0..HEADER, CHECKSUM);
    complete(&mut error, HEADER..len, 2);
    Some((error, len))
}

fn fragment(header: &[u8; HEADER]) -> u16 {
    u16::from_be_bytes([header[FRAGMENT], header[FRAGMENT + 1]])
}

/// Puts the checksum of a part of a packet at `at` behind its start.
fn complete(packet: &mut [u8], part: std::ops::Range<usize>, at: usize) {
    let part = &mut packet[part];
    part[at..at + 2].fill(0);
    let sum = !checksum::sum(part);
    part[at..at + 2].copy_from_slice(&sum.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// From 10.0.0.9 to 10.0.0.2, UDP, with this fragment field and payload.
    fn packet(field: u16, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x45, 0, 0, 0, 0, 7, 0, 0, 64, 17, 0, 0, 10, 0, 0, 9, 10, 0, 0, 2];
        packet.extend(payload);
        let len = packet.len() as u16;
        packet[2..4].copy_from_slice(&len.to_be_bytes());
        packet[FRAGMENT..FRAGMENT + 2].copy_from_slice(&field.to_be_bytes());
        complete(&mut packet, 0..HEADER, CHECKSUM);
        packet
    }

    fn is_intact(part: &[u8]) -> bool {
        checksum::sum(part) == 0xffff
    }

    #[test]
    fn fragments_put_together_again_are_the_packet() {
        let payload: Vec<u8> = (0..3001u32).map(|number| (number % 251) as u8).collect();
        // A whole packet; a middle fragment; a last one.
        for field in [0, MORE_FRAGMENTS | 100, 100] {
            let packet = packet(field, &payload);
            let mut fragments = Fragments::new(&packet, 1003).unwrap();
            let mut again = vec![0; payload.len()];
            let mut room = [0; 1003];
            let mut last = 0;
            while let Some(len) = fragments.write_next(&mut room) {
                assert!(len <= 1003 && is_intact(&room[..HEADER]));
                assert_eq!(room[2..4], (len as u16).to_be_bytes());
                assert_eq!((&room[4..6], &room[8..10]), (&packet[4..6], &packet[8..10]));
                last = u16::from_be_bytes([room[FRAGMENT], room[FRAGMENT + 1]]);
                let at = usize::from((last & OFFSET) - (field & OFFSET)) * 8;
                again[at..at + len - HEADER].copy_from_slice(&room[HEADER..len]);
                let is_end = at + len - HEADER == payload.len();
                assert_eq!(last & MORE_FRAGMENTS != 0, !is_end || field & MORE_FRAGMENTS != 0);
            }
            assert!(again == payload && last & OFFSET > field & OFFSET);
        }
    }

    #[test]
    fn what_must_not_be_fragmented_is_not() {
        let mut options = packet(0, &[0; 2000]);
        options[0] = 0x46;
        let mut v6 = packet(0, &[0; 2000]);
        v6[0] = 0x60;
        for refused in [&packet(DONT_FRAGMENT, &[0; 2000])[..], &options, &v6, &[0x45; 19]] {
            assert!(Fragments::new(refused, 1000).is_none());
        }
        assert!(Fragments::new(&packet(0, &[0; 2000]), 27).is_none());
    }

    #[test]
    fn the_sender_is_told_how_much_fits() {
        let packet = packet(DONT_FRAGMENT, &[9; 1400]);
        let (error, len) = fragmentation_needed(&packet, 1300).unwrap();
        let error = &error[..len];
        assert_eq!(len, MAX_ERROR);
        assert!(is_intact(&error[..HEADER]) && is_intact(&error[HEADER..]));
        assert_eq!(error[SOURCE..HEADER], [10, 0, 0, 2, 10, 0, 0, 9]);
        assert_eq!(error[HEADER..HEADER + 2], [3, 4]);
        assert_eq!(error[HEADER + 6..HEADER + 8], 1300u16.to_be_bytes());
        assert_eq!(error[HEADER + 8..], packet[..MAX_ERROR - HEADER - 8]);
    }

    #[test]
    fn nobody_is_told_about_an_error_a_later_fragment_or_a_packet_from_nobody() {
        let mut error = packet(DONT_FRAGMENT, &[3; 1400]);
        error[PROTOCOL] = ICMP;
        assert!(fragmentation_needed(&error, 1300).is_none());
        error[HEADER] = ECHO[1];
        assert!(fragmentation_needed(&error, 1300).is_some());
        assert!(fragmentation_needed(&packet(1, &[0; 1400]), 1300).is_none());
        for first in [0, 127, 224, 255] {
            let mut from = packet(0, &[0; 1400]);
            from[SOURCE] = first;
            assert!(fragmentation_needed(&from, 1300).is_none());
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken_without_a_panic(packet: Vec<u8>, mtu: u16) {
            let mut room = [0; 1 << 16];
            if let Some(mut fragments) = Fragments::new(&packet, mtu) {
                while let Some(len) = fragments.write_next(&mut room) {
                    prop_assert!(len <= usize::from(mtu));
                }
            }
            fragmentation_needed(&packet, mtu);
        }
    }
}
