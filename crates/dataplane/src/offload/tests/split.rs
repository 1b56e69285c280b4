use super::*;

#[test]
fn a_packet_whose_checksum_is_missing_gets_it() {
    for made in [tcp(true, 7, b"abc"), tcp(false, 7, b"abc"), udp(true, b"abcd"), udp(false, b"")] {
        let header = Header { segments: None, ..made.header(1) };
        assert_eq!(split(&header, &made.unfinished()), [made.bytes()]);
        assert_eq!(split(&Header::default(), &made.bytes()), [made.bytes()]);
    }
}

#[test]
fn segments_go_on_where_the_one_before_ended() {
    let made = Made { flags: ACK | PSH | FIN | CWR, seq: u32::MAX - 3, ..tcp(true, 0, &[7; 25]) };
    let packets = split(&made.header(10), &made.unfinished());
    let expected: Vec<_> = made.segments(10).iter().map(Made::bytes).collect();
    assert_eq!(packets, expected);
    assert_eq!(packets.iter().map(|packet| packet.len()).collect::<Vec<_>>(), [50, 50, 45]);
    assert_eq!(
        packets.iter().map(|packet| packet[33]).collect::<Vec<_>>(),
        [ACK | CWR, ACK, ACK | PSH | FIN]
    );
    assert_eq!(packets.iter().map(|packet| packet[5]).collect::<Vec<_>>(), [0xe8, 0xe9, 0xea]);
}

#[test]
fn room_that_is_too_small_changes_nothing() {
    let made = tcp(true, 0, &[7; 25]);
    let packet = made.unfinished();
    let mut split = Split::new(&made.header(10), &packet).unwrap();
    assert_eq!(split.next_len(), Some(50));
    assert_eq!(split.write_next(&mut [0; 49]), None);
    assert_eq!(split.next_len(), Some(50));
    assert_eq!(split.write_next(&mut [0; 50]), Some(50));
}

#[test]
fn headers_that_do_not_fit_the_packet_are_refused() {
    let made = tcp(true, 0, &[7; 25]);
    let packet = made.unfinished();
    let header = made.header(10);
    let refused = |header: Header, packet: &[u8]| Split::new(&header, packet).unwrap_err();
    for kind in [Segmentation::TcpV6, Segmentation::Udp] {
        refused(Header { segments: Some((kind, 10)), ..header }, &packet);
    }
    refused(Header { segments: Some((Segmentation::TcpV4, 0)), ..header }, &packet);
    refused(header, &packet[..39]);
    refused(Header { segments: None, checksum: Some((60, 4)), ..header }, &packet);
    refused(Header { segments: None, checksum: Some((u16::MAX, u16::MAX)), ..header }, &packet);
}

#[test]
fn a_kind_of_super_packet_that_nobody_asked_for_is_refused() {
    for kind in [2, 3, 6, 0x7f] {
        let mut bytes = [0; 10];
        bytes[1] = kind;
        assert_eq!(Header::parse(&bytes), None, "{kind}");
    }
}
