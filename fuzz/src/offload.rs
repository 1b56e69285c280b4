//! Super-packets.

use dataplane::offload::{Header, Join, MAX_PIECES, Packets, Split, Whole};
use sys::tun::{OFFLOAD_HEADER_LEN, Offloads};

/// The longest packet that comes from an interface.
const MAX_PACKET: usize = 1 << 16;

/// A header and a packet: what they are split into is no longer than the packet, and its payload in order.
pub fn split(bytes: &[u8]) {
    let Some((header, packet)) = bytes.split_first_chunk::<OFFLOAD_HEADER_LEN>() else { return };
    let Some(header) = Header::parse(header) else { return };
    assert_eq!(Header::parse(&header.emit()), Some(header));
    if packet.len() <= MAX_PACKET {
        let parts = parts(&header, packet).unwrap_or_default();
        assert!(parts.iter().all(|part| part.len() <= packet.len()));
        assert!(header.segments.is_some() || parts.len() <= 1);
    }
}

/// Packets, each behind its length in two bytes: a join and a split give them back.
pub fn join(mut bytes: &[u8]) {
    let mut packets = Received(Vec::new());
    while let Some((len, rest)) = bytes.split_first_chunk::<2>() {
        let len = usize::from(u16::from_be_bytes(*len)).min(rest.len());
        packets.0.push(rest[..len].to_vec());
        bytes = &rest[len..];
        if packets.0.len() == MAX_PIECES {
            break;
        }
    }
    let before = packets.0.clone();
    let mut join = Join::new();
    for id in 0..before.len() {
        join.add(0, id, &packets, Offloads { tcp: true, udp: true });
    }
    let mut after = Vec::new();
    join.take(&mut packets, |joined| after.extend(joined.flat_map(written)));
    assert_eq!(sorted(after), sorted(before));
}

/// The packets of one write.
fn written(whole: Whole<'_, Received>) -> Vec<Vec<u8>> {
    let header = Header::parse(&whole.header).expect("a header");
    let packet = whole.pieces.collect::<Vec<_>>().concat();
    let parts = parts(&header, &packet).expect("a packet that can be split");
    assert_eq!(parts.len(), whole.count);
    parts
}

fn parts(header: &Header, packet: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut split = Split::new(header, packet).ok()?;
    let mut parts = Vec::new();
    while let Some(len) = split.next_len() {
        let mut part = vec![0; len];
        assert_eq!(split.write_next(&mut part), Some(len));
        parts.push(part);
    }
    Some(parts)
}

/// In an order of their own; without the identification where it means nothing, and with one of the two zeros of a TCP checksum.
fn sorted(packets: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let mut packets: Vec<_> = packets.into_iter().map(plain).collect();
    packets.sort();
    packets
}

fn plain(mut packet: Vec<u8>) -> Vec<u8> {
    let is_v4 = packet.len() >= 20 && packet[0] == 0x45;
    if is_v4 && packet[6] & 0x40 != 0 {
        packet[4..6].fill(0);
        packet[10..12].fill(0);
    } else if is_v4 && packet[10..12] == [0xff, 0xff] {
        packet[10..12].fill(0);
    }
    let at = if is_v4 { 36 } else { 56 };
    if let Some(checksum) = packet.get_mut(at..at + 2)
        && checksum == [0xff, 0xff]
    {
        checksum.fill(0);
    }
    packet
}

struct Received(Vec<Vec<u8>>);

impl Packets for Received {
    fn packet(&self, id: usize) -> &[u8] {
        &self.0[id]
    }

    fn packet_mut(&mut self, id: usize) -> &mut [u8] {
        &mut self.0[id]
    }
}
