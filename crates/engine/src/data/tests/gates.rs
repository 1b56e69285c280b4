use super::*;

#[test]
fn an_ip_packet_passes_both_ways_and_is_counted() {
    let mut path = clear();
    let packet = ipv4(CLIENT, 100, 1);
    let received = receive(&mut path, NOW, &gre(Some(0), None, &frame(Protocol::IPV4, &packet)));
    assert_eq!(received, Ok(packet));
    let sent = send(&mut path, &ipv4(SERVER, 60, 2));
    // K, S and A, call id, sequence number 0, acknowledgement 0, then one byte of protocol.
    assert_eq!(sent[..8], [0x30, 0x81, 0x88, 0x0b, 0, 61, 0, PEERS as u8]);
    assert_eq!(sent[8..17], [0, 0, 0, 0, 0, 0, 0, 0, 0x21]);
    let stats = path.stats();
    assert_eq!((stats.received_packets, stats.received_bytes), (1, 100));
    assert_eq!((stats.sent_packets, stats.sent_bytes), (1, 60));
    assert_eq!(stats.drops.total(), 0);
}

#[test]
fn another_source_than_the_assigned_address_is_dropped_by_the_server_and_not_by_the_client() {
    let spoofed = frame(Protocol::IPV4, &ipv4(Ipv4Addr::new(127, 0, 0, 1), 60, 0));
    let mut server = clear();
    let result = receive(&mut server, NOW, &gre(Some(0), None, &spoofed));
    assert_eq!(result, dropped(DropReason::SpoofedSource));
    assert_eq!(server.stats().drops.get(DropReason::SpoofedSource), 1);
    let mut client = DataPath::new(Config { check_source: false, ..config() });
    client.open_network(permit(false));
    assert!(receive(&mut client, NOW, &gre(Some(0), None, &spoofed)).is_ok());
}

#[test]
fn windows_first_packets_to_broadcast_and_multicast_addresses_pass() {
    let mut path = clear();
    for (seq, destination) in [[255, 255, 255, 255], [224, 0, 0, 22]].into_iter().enumerate() {
        let mut packet = ipv4(CLIENT, 328, 0);
        packet[16..20].copy_from_slice(&destination);
        let packet = gre(Some(seq as u32), None, &frame(Protocol::IPV4, &packet));
        assert!(receive(&mut path, NOW, &packet).is_ok());
    }
}

#[test]
fn an_ipv6_source_must_end_in_the_agreed_interface_identifier() {
    let address =
        |prefix: [u8; 8], id: [u8; 8]| -> [u8; 16] { [prefix, id].concat().try_into().unwrap() };
    let link_local = [0xfe, 0x80, 0, 0, 0, 0, 0, 0];
    let mut path = clear();
    let mut seq = 0;
    let mut from = |source| {
        seq += 1;
        receive(&mut path, NOW, &gre(Some(seq), None, &frame(Protocol::IPV6, &ipv6(source, 60))))
            .is_ok()
    };
    assert!(from(address(link_local, CLIENT_ID)));
    assert!(from(address([0x20, 1, 0xd, 0xb8, 0, 0, 0, 1], CLIENT_ID)));
    assert!(from([0; 16]));
    assert!(!from(address(link_local, [3; 8])));
    assert!(!from(address([0xff, 2, 0, 0, 0, 0, 0, 0], CLIENT_ID)));
}

#[test]
fn a_network_protocol_that_is_not_open_does_not_pass() {
    let mut path = DataPath::new(config());
    let ipv4_only = Ipv4Agreed { local: SERVER, remote: CLIENT, dns: [None; 2] };
    path.open_network(NetworkPermit::for_tests(Some(ipv4_only), None, false, 1400));
    let packet = gre(Some(0), None, &frame(Protocol::IPV6, &ipv6([0; 16], 60)));
    assert_eq!(receive(&mut path, NOW, &packet), dropped(DropReason::NetworkClosed));
    let mut out = [0; 200];
    let result = path.outbound_ip(NOW, &ipv6([0; 16], 60), &mut out);
    assert_eq!(result, Err(DropReason::NetworkClosed));
    path.close_network();
    let result = path.outbound_ip(NOW, &ipv4(SERVER, 60, 0), &mut out);
    assert_eq!(result, Err(DropReason::NetworkClosed));
}

#[test]
fn a_packet_before_its_network_protocol_is_early_and_can_come_again() {
    let mut path = DataPath::new(config());
    let ip = ipv4(CLIENT, 60, 1);
    let mut packet = gre(Some(0), None, &frame(Protocol::IPV4, &ip));
    assert_eq!(path.inbound(NOW, &mut packet), Inbound::Early(12..74));
    path.open_network(permit(false));
    assert_eq!(path.reinject(NOW, &mut packet), Inbound::Ip(14..74));
}

#[test]
fn a_packet_that_fits_no_interface_is_not_sent() {
    let mut path = clear();
    let mut out = [0; 3000];
    let oversize = ipv4(SERVER, 1397, 0);
    assert_eq!(path.outbound_ip(NOW, &oversize, &mut out), Err(DropReason::Oversize));
    assert_eq!(path.outbound_ip(NOW, &[], &mut out), Err(DropReason::MalformedIp));
    assert_eq!(path.outbound_ip(NOW, &[0x15; 40], &mut out), Err(DropReason::MalformedIp));
    let small = ipv4(SERVER, 60, 0);
    assert_eq!(path.outbound_ip(NOW, &small, &mut out[..61]), Err(DropReason::NoRoom));
    let at_start = path.outbound_ip_in_place(NOW, &mut out, 0..60);
    assert_eq!(at_start, Err(DropReason::NoRoom));
    assert_eq!(path.gre_stats().sent, 0);
}

#[test]
fn in_place_and_copied_packets_are_the_same_bytes() {
    for (mode, compressed) in [(None, true), (None, false), (Some(Mode::Stateless), false)] {
        let make = || {
            let mut path = clear();
            path.set_framing(framing(compressed));
            if let Some(mode) = mode {
                path.install_keys(&keys(mode, true));
            }
            path
        };
        let ip = ipv4(SERVER, 500, 3);
        let mut buffer = [0; 600];
        buffer[HEADROOM..HEADROOM + 500].copy_from_slice(&ip);
        let range =
            make().outbound_ip_in_place(NOW, &mut buffer, HEADROOM..HEADROOM + 500).unwrap();
        assert_eq!(buffer[range], send(&mut make(), &ip));
    }
}

#[test]
fn the_mss_is_clamped_both_ways() {
    let syn = |source: Ipv4Addr| {
        let mut packet = ipv4(source, 44, 0);
        packet[9] = 6;
        packet[32..34].copy_from_slice(&[0x60, 0x02]);
        packet[40..44].copy_from_slice(&[2, 4, 0x05, 0xb4]);
        packet
    };
    let clamped = 1356u16.to_be_bytes();
    let mut path = clear();
    let packet = gre(Some(0), None, &frame(Protocol::IPV4, &syn(CLIENT)));
    assert_eq!(receive(&mut path, NOW, &packet).unwrap()[42..44], clamped);
    let sent = send(&mut path, &syn(SERVER));
    assert_eq!(sent[sent.len() - 2..], clamped);
}

#[test]
fn control_frames_pass_whatever_the_state_and_reach_the_link_whole() {
    for mut path in [DataPath::new(config()), clear(), encrypted(Mode::Stateless).0] {
        let protocols = [
            Protocol::LCP,
            Protocol::CHAP,
            Protocol::PAP,
            Protocol::EAP,
            Protocol::CCP,
            Protocol::IPCP,
            Protocol::IPV6CP,
            Protocol::ACSCP,
            Protocol::VJ_COMPRESSED,
        ];
        for (seq, protocol) in protocols.into_iter().enumerate() {
            let mut whole = alloc::vec![0xff, 0x03];
            whole.extend(frame(protocol, &[1, 1, 0, 4]));
            let mut packet = gre(Some(seq as u32), None, &whole);
            let end = packet.len();
            assert_eq!(path.inbound(NOW, &mut packet), Inbound::Control(12..end), "{protocol}");
        }
    }
}

#[test]
fn frames_of_the_link_leave_as_they_are() {
    let mut path = clear();
    let lcp = [0xff, 0x03, 0xc0, 0x21, 9, 1, 0, 8, 0, 0, 0, 1];
    let mut out = [0; 100];
    let len = path.outbound_frame(NOW, &lcp, &mut out).unwrap();
    assert_eq!(out[..12], [0x30, 0x01, 0x88, 0x0b, 0, 12, 0, PEERS as u8, 0, 0, 0, 0]);
    assert_eq!(out[12..len], lcp);
    assert_eq!(path.outbound_frame(NOW, &lcp, &mut out[..20]), Err(DropReason::NoRoom));
    assert_eq!(path.outbound_frame(NOW, &[0; 70_000], &mut out), Err(DropReason::Oversize));
}

#[test]
fn filters_keep_packets_out_both_ways_and_say_which_count_as_traffic() {
    use crate::data::filter::{Filters, Instruction, Program};
    // A packet matches when its 24th byte, the last of an IPv4 destination behind the four before the packet, is this.
    let ends_in = |last| {
        let one = |code, if_true, if_false, k| Instruction { code, if_true, if_false, k };
        let (load, compare) = (one(0x30, 0, 0, 23), one(0x15, 0, 1, last));
        Program::new(&[load, compare, one(0x06, 0, 0, 1), one(0x06, 0, 0, 0)])
    };
    let to = |source, last: u8| {
        let mut packet = ipv4(source, 60, 0);
        packet[19] = last;
        packet
    };
    let mut path = clear();
    assert!(!path.take_activity());
    send(&mut path, &to(SERVER, 5));
    assert!(path.take_activity() && !path.take_activity(), "without filters everything counts");
    path.set_filters(Arc::new(Filters { pass: ends_in(7), active: None }));
    let mut seq = 0;
    let mut from = |path: &mut DataPath, last| {
        seq += 1;
        let packet = gre(Some(seq), None, &frame(Protocol::IPV4, &to(CLIENT, last)));
        receive(path, NOW, &packet)
    };
    assert!(from(&mut path, 7).is_ok());
    assert_eq!(from(&mut path, 8), dropped(DropReason::Filtered));
    let result = path.outbound_ip(NOW, &to(SERVER, 8), &mut [0; 200]);
    assert_eq!(result, Err(DropReason::Filtered));
    assert_eq!(path.stats().drops.get(DropReason::Filtered), 2);
    assert!(path.take_activity());
    path.set_filters(Arc::new(Filters { pass: None, active: ends_in(7) }));
    assert!(from(&mut path, 8).is_ok() && !path.take_activity());
    assert!(from(&mut path, 7).is_ok() && path.take_activity());
}
