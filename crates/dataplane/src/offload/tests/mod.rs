//! Streams of packets, made and compared by plain code that shares nothing with what is tested.

mod join;
mod properties;
mod split;

use sys::tun::Offloads;

use super::*;

/// Everything on.
const ALL: Offloads = Offloads { tcp: true, udp: true };

impl Packets for Vec<Vec<u8>> {
    fn packet(&self, id: usize) -> &[u8] {
        &self[id]
    }

    fn packet_mut(&mut self, id: usize) -> &mut [u8] {
        &mut self[id]
    }
}

/// What a packet is made of.
#[derive(Clone, Debug)]
struct Made {
    is_v4: bool,
    protocol: u8,
    /// TOS or traffic class.
    tos: u8,
    ttl: u8,
    id: u16,
    dont_fragment: bool,
    source_port: u16,
    seq: u32,
    ack: u32,
    flags: u8,
    window: u16,
    options: Vec<u8>,
    payload: Vec<u8>,
}

const TCP: u8 = 6;
const UDP: u8 = 17;
const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const PSH: u8 = 0x08;
const ACK: u8 = 0x10;
const CWR: u8 = 0x80;

/// A TCP segment in the middle of a connection.
fn tcp(is_v4: bool, seq: u32, payload: &[u8]) -> Made {
    Made {
        is_v4,
        protocol: TCP,
        tos: 0,
        ttl: 64,
        id: 1000,
        dont_fragment: true,
        source_port: 4000,
        seq,
        ack: 99,
        flags: ACK,
        window: 500,
        options: Vec::new(),
        payload: payload.to_vec(),
    }
}

fn udp(is_v4: bool, payload: &[u8]) -> Made {
    Made { protocol: UDP, ..tcp(is_v4, 0, payload) }
}

/// Word-by-word, as RFC 1071 has it.
fn plain_checksum(parts: &[&[u8]]) -> u16 {
    let mut sum: u32 = parts
        .concat()
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

impl Made {
    /// The transport header and payload, its checksum 0.
    fn segment(&self) -> Vec<u8> {
        let mut segment = [self.source_port.to_be_bytes(), 80u16.to_be_bytes()].concat();
        if self.protocol == UDP {
            segment.extend((8 + self.payload.len() as u16).to_be_bytes());
            segment.extend([0, 0]);
        } else {
            assert_eq!(self.options.len() % 4, 0);
            segment.extend(self.seq.to_be_bytes());
            segment.extend(self.ack.to_be_bytes());
            segment.extend([(20 + self.options.len() as u8) << 2, self.flags]);
            segment.extend(self.window.to_be_bytes());
            segment.extend([0; 4]);
            segment.extend(&self.options);
        }
        segment.extend(&self.payload);
        segment
    }

    fn addresses(&self) -> Vec<u8> {
        if self.is_v4 { vec![10, 0, 0, 1, 10, 0, 0, 2] } else { [[0x20; 16], [0x30; 16]].concat() }
    }

    /// The sum of the pseudo-header, not complemented.
    fn pseudo_header(&self) -> u16 {
        let len = self.segment().len() as u32;
        let parts = [&self.addresses()[..], &len.to_be_bytes(), &[0, self.protocol]];
        !plain_checksum(&parts)
    }

    fn checksum_at(&self) -> usize {
        let transport = if self.is_v4 { 20 } else { 40 };
        transport + if self.protocol == TCP { 16 } else { 6 }
    }

    /// The packet, complete.
    fn bytes(&self) -> Vec<u8> {
        let segment = self.segment();
        let sum = plain_checksum(&[&self.pseudo_header().to_be_bytes(), &segment]);
        let sum = if sum == 0 && self.protocol == UDP { 0xffff } else { sum };
        self.bytes_with(sum)
    }

    /// The packet as the kernel gives it whose checksum is to be completed.
    fn unfinished(&self) -> Vec<u8> {
        self.bytes_with(self.pseudo_header())
    }

    fn bytes_with(&self, checksum: u16) -> Vec<u8> {
        let segment = self.segment();
        let mut packet = if self.is_v4 {
            let len = (20 + segment.len() as u16).to_be_bytes();
            let id = self.id.to_be_bytes();
            let fragment = if self.dont_fragment { 0x40 } else { 0 };
            let mut header = vec![0x45, self.tos, len[0], len[1], id[0], id[1], fragment, 0];
            header.extend([self.ttl, self.protocol, 0, 0]);
            header.extend(self.addresses());
            let sum = plain_checksum(&[&header]).to_be_bytes();
            header[10..12].copy_from_slice(&sum);
            header
        } else {
            let len = (segment.len() as u16).to_be_bytes();
            let mut header = vec![0x60 | self.tos >> 4, self.tos << 4, 0, 0, len[0], len[1]];
            header.extend([self.protocol, self.ttl]);
            header.extend(self.addresses());
            header
        };
        packet.extend(segment);
        let at = self.checksum_at();
        packet[at..at + 2].copy_from_slice(&checksum.to_be_bytes());
        packet
    }

    /// The super-packet header that the kernel gives with [`unfinished`](Self::unfinished) bytes.
    fn header(&self, size: usize) -> Header {
        let transport = if self.is_v4 { 20u16 } else { 40 };
        let kind = match (self.protocol, self.is_v4) {
            (UDP, _) => Segmentation::Udp,
            (_, true) => Segmentation::TcpV4,
            (_, false) => Segmentation::TcpV6,
        };
        let offset = self.checksum_at() as u16 - transport;
        Header {
            checksum: Some((transport, offset)),
            segments: Some((kind, size as u16)),
            headers_len: (self.bytes().len() - self.payload.len()) as u16,
            has_cwr: self.protocol == TCP && self.flags & CWR != 0,
        }
    }

    /// The packets that a super-packet like this stands for: the plain reference.
    fn segments(&self, size: usize) -> Vec<Made> {
        let parts: Vec<&[u8]> = self.payload.chunks(size).collect();
        let count = parts.len();
        let segment = |(index, part): (usize, &&[u8])| {
            let (is_first, is_last) = (index == 0, index + 1 == count);
            let mut flags = self.flags;
            flags &= if is_last { 0xff } else { !(FIN | PSH) };
            flags &= if is_first { 0xff } else { !CWR };
            Made {
                id: self.id.wrapping_add(index as u16),
                seq: self.seq.wrapping_add((index * size) as u32),
                flags,
                payload: part.to_vec(),
                ..self.clone()
            }
        };
        parts.iter().enumerate().map(segment).collect()
    }
}

/// Everything that a packet is split into.
fn split(header: &Header, packet: &[u8]) -> Vec<Vec<u8>> {
    let mut split = Split::new(header, packet).unwrap();
    let mut packets = Vec::new();
    let mut out = vec![0; 70_000];
    while let Some(len) = split.write_next(&mut out) {
        packets.push(out[..len].to_vec());
    }
    packets
}

/// What is made of packets: for each write the header, the packet, how many it holds.
fn join(packets: &[Vec<u8>], offloads: Offloads) -> Vec<(Header, Vec<u8>, usize)> {
    let mut packets = packets.to_vec();
    let (mut join, mut written) = (Join::new(), Vec::new());
    for id in 0..packets.len() {
        join.add(1, id, &packets, offloads);
    }
    join.take(&mut packets, |joined| {
        written.extend(joined.map(|Whole { owner, count, header, pieces }| {
            assert_eq!(owner, 1);
            let header = Header::parse(&header).unwrap();
            (header, pieces.collect::<Vec<_>>().concat(), count)
        }));
    });
    written
}

fn counts(packets: &[Made]) -> Vec<usize> {
    let packets: Vec<_> = packets.iter().map(Made::bytes).collect();
    join(&packets, ALL).into_iter().map(|(.., count)| count).collect()
}
