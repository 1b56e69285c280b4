use super::sorter::Outer;
use super::*;

const CLIENT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 7);
const SERVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const INSIDE: Ipv4Addr = Ipv4Addr::new(10, 8, 0, 2);

/// An IPv4 packet.
fn ip(protocol: u8, from: Ipv4Addr, to: Ipv4Addr, body: &[u8]) -> Vec<u8> {
    let len = u16::try_from(20 + body.len()).unwrap().to_be_bytes();
    let mut packet = vec![0x45, 0, len[0], len[1], 0, 0, 0, 0, 64, protocol, 0, 0];
    packet.extend_from_slice(&from.octets());
    packet.extend_from_slice(&to.octets());
    packet.extend_from_slice(body);
    packet
}

fn gre(from: Ipv4Addr, to: Ipv4Addr, frame: &[u8]) -> Vec<u8> {
    let header = wire::gre::Header { call_id: 5, seq: Some(3), ack: None };
    let mut body = vec![0; header.wire_len() + frame.len()];
    let len = header.emit(frame.len(), &mut body);
    body[len..].copy_from_slice(frame);
    ip(47, from, to, &body)
}

/// IPCP Configure-Ack of an address.
const ACK: [u8; 14] = [0xff, 0x03, 0x80, 0x21, 2, 1, 0, 10, 3, 6, 10, 8, 0, 2];

#[test]
fn the_addresses_of_a_client_inside_are_learned_from_what_it_is_told() {
    let mut sorter = Sorter::new(Some(CLIENT), &[]);
    let inner = ip(17, INSIDE, SERVER, b"");
    assert!(!sorter.is_inner(&inner));
    // What the client acknowledges is the server's address, and what others are told is theirs.
    let other = Ipv4Addr::new(192, 0, 2, 8);
    assert!(sorter.outer(&gre(CLIENT, SERVER, &ACK)).is_some());
    assert_eq!(sorter.outer(&gre(SERVER, other, &ACK)), None);
    assert!(!sorter.is_inner(&inner));
    let packet = gre(SERVER, CLIENT, &ACK);
    let outer = sorter.outer(&packet).unwrap();
    assert_eq!(outer.frame, Some(&ACK[..]));
    assert_eq!(outer.comment, "GRE to call 5 sequence 3");
    assert!(outer.frame_comment.starts_with("[IPCP ConfAck id=0x1"), "{}", outer.frame_comment);
    assert!(sorter.is_inner(&inner) && sorter.is_inner(&ip(17, SERVER, INSIDE, b"")));
    assert!(!sorter.is_inner(&ip(17, SERVER, CLIENT, b"")));
}

#[test]
fn control_messages_are_told_and_passwords_are_not() {
    let mut sorter = Sorter::new(None, &[]);
    let mut tcp = vec![0; 20];
    tcp[12] = 0x50;
    let echo = [0, 16, 0, 1, 0x1a, 0x2b, 0x3c, 0x4d, 0, 5, 0, 0, 0, 0, 0, 9];
    tcp.extend_from_slice(&echo);
    let packet = ip(6, CLIENT, SERVER, &tcp);
    assert!(sorter.outer(&packet).unwrap().comment.contains("Echo-Request"));
    let pap = [&[0xff, 0x03, 0xc0, 0x23, 1, 1, 0, 12, 1, b'a', 5][..], b"hello"].concat();
    let packet = gre(CLIENT, SERVER, &pap);
    assert!(!sorter.outer(&packet).unwrap().frame_comment.contains("hello"));
    let packet = gre(CLIENT, SERVER, &[0xfd, 0x90, 0, 1, 2, 3]);
    assert_eq!(sorter.outer(&packet).unwrap().frame_comment, "compressed or encrypted");
}

#[test]
fn packets_of_any_kind_are_sorted_without_a_panic() {
    let mut sorter = Sorter::new(Some(CLIENT), &[INSIDE]);
    for packet in [gre(SERVER, CLIENT, &ACK), ip(6, CLIENT, SERVER, &[0xff; 40])] {
        for len in 0..packet.len() {
            let _: Option<Outer<'_>> = sorter.outer(&packet[..len]);
            sorter.is_inner(&packet[..len]);
            let mut odd = packet.clone();
            odd[len] = 0xff;
            sorter.outer(&odd);
        }
    }
}
