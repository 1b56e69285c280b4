//! With whom a peer talks through its tunnel, and whether it gets answers: what tells a broken way beyond us from a quiet peer.
//!
//! Some compares for a packet, nothing that grows. IPv4 only.

use core::net::Ipv4Addr;

use super::ip;

/// So many destinations are kept apart. Of more, those that have answered make room.
const DESTINATIONS: usize = 4;

const ICMP: u8 = 1;
/// ICMP Destination Unreachable (RFC 792), and its code for a packet that is too large and must not be fragmented.
const UNREACHABLE: u8 = 3;
const TOO_BIG: u8 = 4;

/// An address that the peer has sent packets to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Destination {
    /// Which.
    pub address: Ipv4Addr,
    /// Packets to it.
    pub asked: u16,
    /// Packets from it; ICMP's Destination Unreachable is not one.
    pub answered: u16,
}

/// What the packets of a tunnel have shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traffic {
    destinations: [Destination; DESTINATIONS],
    /// Where the newest packet's destination is.
    newest: u8,
    /// Packets from the peer to single addresses.
    pub unicast: u32,
    /// The newest source address that was not the peer's.
    pub stranger: Option<Ipv4Addr>,
    /// ICMP from the peer: a packet of ours was too large for it (code 4).
    pub too_big: u16,
    /// Large packets sent to the peer whose arrival would have shown ([`large_arrived`](Self::large_arrived)).
    pub large_sent: u16,
    /// Those that the peer has acknowledged by their own number.
    pub large_arrived: u16,
    /// The number of the large packet that is waited for.
    sample: Option<u32>,
}

impl Default for Traffic {
    fn default() -> Self {
        let nobody = Destination { address: Ipv4Addr::UNSPECIFIED, asked: 0, answered: 0 };
        Self {
            destinations: [nobody; DESTINATIONS],
            newest: 0,
            unicast: 0,
            stranger: None,
            too_big: 0,
            large_sent: 0,
            large_arrived: 0,
            sample: None,
        }
    }
}

impl Traffic {
    /// The destinations that are known.
    pub fn destinations(&self) -> impl Iterator<Item = &Destination> {
        self.destinations.iter().filter(|destination| destination.asked > 0)
    }

    /// Those that were sent several packets and have not answered.
    pub fn unanswered(&self) -> impl Iterator<Item = Ipv4Addr> {
        const SEVERAL: u16 = 3;
        let silent = self.destinations().filter(|it| it.answered == 0 && it.asked >= SEVERAL);
        silent.map(|destination| destination.address)
    }

    /// A packet from the peer that was let through.
    pub(super) fn received(&mut self, packet: &[u8]) {
        let Some(header) = v4(packet) else { return };
        let to = Ipv4Addr::new(header[16], header[17], header[18], header[19]);
        // Most networks' broadcast address ends so. Taking one host for many costs nothing but its row here.
        if to.is_multicast() || to.octets()[3] == 255 {
            return;
        }
        self.unicast = self.unicast.saturating_add(1);
        if header[9] == ICMP && unreachable(packet) == Some(TOO_BIG) {
            self.too_big = self.too_big.saturating_add(1);
        }
        let place = self.place(to);
        if let Some(destination) = place.and_then(|place| self.destinations.get_mut(place)) {
            destination.asked = destination.asked.saturating_add(1);
        }
    }

    /// A packet to the peer.
    pub(super) fn sent(&mut self, packet: &[u8], seq: u32, mtu: u16) {
        let Some(header) = v4(packet) else { return };
        if header[9] == ICMP && unreachable(packet).is_some() {
            return;
        }
        if self.sample.is_none() && packet.len() + usize::from(mtu / 8) > usize::from(mtu) {
            self.sample = Some(seq);
            self.large_sent = self.large_sent.saturating_add(1);
        }
        let from = Ipv4Addr::new(header[12], header[13], header[14], header[15]);
        if let Some(place) = self.find(from) {
            let destination = &mut self.destinations[place];
            destination.answered = destination.answered.saturating_add(1);
        }
    }

    /// The peer acknowledged a packet of ours, and with it all before, whether they came or not. Only a packet's own number shows that it came.
    pub(super) fn acknowledged(&mut self, ack: u32) {
        let Some(sample) = self.sample else { return };
        if ack.wrapping_sub(sample) < 1 << 31 {
            self.sample = None;
            self.large_arrived = self.large_arrived.saturating_add(u16::from(ack == sample));
        }
    }

    /// A packet from the peer with another address than its own.
    pub(super) fn spoofed(&mut self, source: Ipv4Addr) {
        self.stranger = Some(source);
    }

    fn find(&mut self, address: Ipv4Addr) -> Option<usize> {
        let newest = usize::from(self.newest);
        if self.destinations[newest].address == address {
            return Some(newest);
        }
        self.destinations.iter().position(|destination| destination.address == address)
    }

    /// The row of a destination: its own, a free one, or that of one which has answered.
    fn place(&mut self, address: Ipv4Addr) -> Option<usize> {
        let found = self.find(address).or_else(|| {
            let free = self.destinations.iter().position(|it| it.asked == 0);
            let place = free.or_else(|| self.destinations.iter().position(|it| it.answered > 0))?;
            self.destinations[place] = Destination { address, asked: 0, answered: 0 };
            Some(place)
        })?;
        self.newest = found as u8;
        Some(found)
    }
}

/// The header of an IPv4 packet.
fn v4(packet: &[u8]) -> Option<&[u8; ip::V4_HEADER]> {
    packet.first_chunk().filter(|header: &&[u8; ip::V4_HEADER]| header[0] >> 4 == 4)
}

/// The code of a Destination Unreachable. Its packet is ICMP.
fn unreachable(packet: &[u8]) -> Option<u8> {
    let header_len = usize::from(packet.first()? & 0x0f) * 4;
    match packet.get(header_len..header_len + 2)? {
        [UNREACHABLE, code] => Some(*code),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    const CLIENT: [u8; 4] = [10, 0, 0, 2];
    const MTU: u16 = 1400;

    fn packet(from: [u8; 4], to: [u8; 4], protocol: u8, len: u16) -> Vec<u8> {
        let mut packet = alloc::vec![0; len.into()];
        packet[0] = 0x45;
        packet[2..4].copy_from_slice(&len.to_be_bytes());
        packet[9] = protocol;
        packet[12..16].copy_from_slice(&from);
        packet[16..20].copy_from_slice(&to);
        packet
    }

    #[test]
    fn who_does_not_answer_is_known_and_who_does_makes_room() {
        let mut traffic = Traffic::default();
        for host in 1..=9 {
            let there = [192, 0, 2, host];
            for _ in 0..3 {
                traffic.received(&packet(CLIENT, there, 17, 60));
            }
            if host != 5 {
                traffic.sent(&packet(there, CLIENT, 17, 60), 0, MTU);
            }
        }
        let silent: Vec<Ipv4Addr> = traffic.unanswered().collect();
        assert_eq!(silent, [Ipv4Addr::new(192, 0, 2, 5)]);
        assert_eq!((traffic.unicast, traffic.destinations().count()), (27, DESTINATIONS));
    }

    #[test]
    fn broadcasts_are_to_nobody_and_an_unreachable_is_no_answer() {
        let mut traffic = Traffic::default();
        for to in [[255; 4], [10, 0, 0, 255], [224, 0, 0, 22]] {
            traffic.received(&packet(CLIENT, to, 17, 60));
        }
        assert_eq!((traffic.unicast, traffic.destinations().count()), (0, 0));
        for _ in 0..3 {
            traffic.received(&packet(CLIENT, [192, 0, 2, 1], 17, 60));
        }
        let mut icmp = packet([192, 0, 2, 1], CLIENT, ICMP, 56);
        icmp[20..22].copy_from_slice(&[UNREACHABLE, 0]);
        traffic.sent(&icmp, 0, MTU);
        assert_eq!(traffic.unanswered().count(), 1);
    }

    #[test]
    fn a_large_packet_has_arrived_when_its_own_number_is_acknowledged() {
        let mut traffic = Traffic::default();
        traffic.sent(&packet([192, 0, 2, 1], CLIENT, 6, 1390), 7, MTU);
        traffic.acknowledged(6);
        traffic.acknowledged(8);
        assert_eq!((traffic.large_sent, traffic.large_arrived), (1, 0));
        traffic.sent(&packet([192, 0, 2, 1], CLIENT, 6, 1390), 9, MTU);
        traffic.sent(&packet([192, 0, 2, 1], CLIENT, 6, 60), 10, MTU);
        traffic.acknowledged(9);
        assert_eq!((traffic.large_sent, traffic.large_arrived), (2, 1));
    }

    #[test]
    fn what_is_cut_short_is_passed_over() {
        let mut traffic = Traffic::default();
        let whole = packet(CLIENT, [192, 0, 2, 1], ICMP, 20);
        for len in 0..whole.len() {
            traffic.received(&whole[..len]);
            traffic.sent(&whole[..len], 0, MTU);
        }
        assert_eq!(traffic, Traffic::default());
        traffic.received(&whole);
        assert_eq!(traffic.unicast, 1);
    }
}
