//! Super-packets, and what they are split into.

use dataplane::offload::{Header, Segmentation, Split};

/// A TCP segment or UDP datagram with 3000 bytes whose checksum is to be completed.
fn packet(is_v4: bool, is_tcp: bool) -> Vec<u8> {
    let (protocol, transport_len) = if is_tcp { (6, 20) } else { (17, 8) };
    let len = (transport_len + 3000u16).to_be_bytes();
    let mut packet = if is_v4 {
        let whole = (20 + transport_len + 3000u16).to_be_bytes();
        let mut header = vec![0x45, 0, whole[0], whole[1], 0, 1, 0x40, 0, 64, protocol, 0, 0];
        header.extend([10, 0, 0, 1, 10, 0, 0, 2]);
        header
    } else {
        let mut header = vec![0x60, 0, 0, 0, len[0], len[1], protocol, 64];
        header.extend([[0x20; 16], [0x30; 16]].concat());
        header
    };
    packet.extend([0x0f, 0xa0, 0, 80]);
    if is_tcp {
        packet.extend([0, 0, 0, 7, 0, 0, 0, 9, 0x50, 0x18, 1, 0, 0, 0, 0, 0]);
    } else {
        packet.extend([len[0], len[1], 0, 0]);
    }
    packet.extend((0..3000u32).map(|number| number as u8));
    packet
}

fn header(is_v4: bool, is_tcp: bool) -> Header {
    let start = if is_v4 { 20 } else { 40 };
    let (kind, offset, len) = match (is_tcp, is_v4) {
        (true, true) => (Segmentation::TcpV4, 16, 20),
        (true, false) => (Segmentation::TcpV6, 16, 20),
        (false, _) => (Segmentation::Udp, 6, 8),
    };
    Header {
        checksum: Some((start, offset)),
        segments: Some((kind, 1000)),
        headers_len: start + len,
        has_cwr: false,
    }
}

const KINDS: [(&str, bool, bool); 4] = [
    ("tcp-v4", true, true),
    ("tcp-v6", false, true),
    ("udp-v4", true, false),
    ("udp-v6", false, false),
];

pub fn split() -> Vec<(String, Vec<u8>)> {
    let seed = |(label, is_v4, is_tcp): (&str, bool, bool)| {
        let bytes = [&header(is_v4, is_tcp).emit()[..], &packet(is_v4, is_tcp)].concat();
        (label.to_owned(), bytes)
    };
    KINDS.map(seed).to_vec()
}

pub fn join() -> Vec<(String, Vec<u8>)> {
    let seed = |(label, is_v4, is_tcp): (&str, bool, bool)| {
        let packet = packet(is_v4, is_tcp);
        let mut split = Split::new(&header(is_v4, is_tcp), &packet).expect("a super-packet");
        let (mut bytes, mut out) = (Vec::new(), [0; 2000]);
        while let Some(len) = split.write_next(&mut out) {
            bytes.extend((len as u16).to_be_bytes());
            bytes.extend(&out[..len]);
        }
        (label.to_owned(), bytes)
    };
    KINDS.map(seed).to_vec()
}
