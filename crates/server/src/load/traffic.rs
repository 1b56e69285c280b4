//! What goes through the tunnels: ICMP echo (RFC 792), asked and answered here.

use std::net::Ipv4Addr;

use dataplane::offload::internet_checksum;

/// IPv4 header without options, ICMP header, and the time at which the request left.
pub(super) const SHORTEST: usize = IP_HEADER + ICMP_HEADER + STAMP;

const IP_HEADER: usize = 20;
const ICMP_HEADER: usize = 8;
const STAMP: usize = 8;
const ICMP: u8 = 1;
const ECHO_REPLY: u8 = 0;
const ECHO_REQUEST: u8 = 8;
const TIME_TO_LIVE: u8 = 64;

/// What a packet from the tunnel is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrived {
    /// The answer to a request of ours that left then, in nanoseconds.
    Answer { sent: u64 },
    /// Somebody asks us.
    Request,
    /// Anything else.
    Other,
}

/// Writes an Echo-Request of `packet.len()` bytes, [`SHORTEST`] at least, that left at `sent` nanoseconds.
pub(super) fn request(
    packet: &mut [u8],
    from: Ipv4Addr,
    to: Ipv4Addr,
    id: u16,
    seq: u16,
    sent: u64,
) {
    let len = packet.len() as u16;
    packet.fill(0);
    packet[0] = 0x45;
    packet[2..4].copy_from_slice(&len.to_be_bytes());
    packet[8] = TIME_TO_LIVE;
    packet[9] = ICMP;
    packet[12..16].copy_from_slice(&from.octets());
    packet[16..20].copy_from_slice(&to.octets());
    let sum = internet_checksum(&packet[..IP_HEADER]);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    let icmp = &mut packet[IP_HEADER..];
    icmp[0] = ECHO_REQUEST;
    icmp[4..6].copy_from_slice(&id.to_be_bytes());
    icmp[6..8].copy_from_slice(&seq.to_be_bytes());
    icmp[ICMP_HEADER..ICMP_HEADER + STAMP].copy_from_slice(&sent.to_be_bytes());
    let sum = internet_checksum(icmp);
    icmp[2..4].copy_from_slice(&sum.to_be_bytes());
}

/// Looks at an IPv4 packet for the address `ours`, whose requests have this `id`.
pub(super) fn look(packet: &[u8], ours: Ipv4Addr, id: u16) -> Arrived {
    let is_ours = packet.len() >= IP_HEADER + ICMP_HEADER
        && packet[0] == 0x45
        && packet[9] == ICMP
        && packet[16..20] == ours.octets();
    if !is_ours {
        return Arrived::Other;
    }
    let icmp = &packet[IP_HEADER..];
    let stamp = icmp[ICMP_HEADER..].first_chunk::<STAMP>();
    match (icmp[0], stamp) {
        (ECHO_REQUEST, _) => Arrived::Request,
        (ECHO_REPLY, Some(stamp)) if icmp[4..6] == id.to_be_bytes() => {
            Arrived::Answer { sent: u64::from_be_bytes(*stamp) }
        }
        _ => Arrived::Other,
    }
}

/// Makes the answer of a request for which [`look`] said [`Arrived::Request`].
pub(super) fn answer(request: &mut [u8]) {
    let (from, to) = request[12..20].split_at_mut(4);
    from.swap_with_slice(to);
    let icmp = &mut request[IP_HEADER..];
    icmp[0] = ECHO_REPLY;
    icmp[2..4].fill(0);
    let sum = internet_checksum(icmp);
    icmp[2..4].copy_from_slice(&sum.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    const US: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
    const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

    #[test]
    fn a_request_is_answered_with_the_time_at_which_it_left() {
        let mut packet = [0; SHORTEST + 5];
        request(&mut packet, US, SERVER, 7, 9, 123_456);
        assert_eq!(look(&packet, SERVER, 7), Arrived::Request);
        assert_eq!(look(&packet, US, 7), Arrived::Other);
        answer(&mut packet);
        assert_eq!(look(&packet, US, 7), Arrived::Answer { sent: 123_456 });
        assert_eq!(look(&packet, US, 8), Arrived::Other);
        assert_eq!(internet_checksum(&packet[..IP_HEADER]), 0);
        assert_eq!(internet_checksum(&packet[IP_HEADER..]), 0);
    }

    #[test]
    fn what_is_no_echo_is_something_else() {
        for packet in [&[][..], &[0x45; 27], &[0x60; 60]] {
            assert_eq!(look(packet, US, 1), Arrived::Other);
        }
    }
}
