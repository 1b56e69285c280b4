use proptest::prelude::*;

use super::*;
use crate::fixtures;

#[test]
fn collected_hostile_gre_packets_are_dropped_and_the_call_lives() {
    for input in fixtures::hostile("gre") {
        let (mut server, mut client) = encrypted(Mode::Stateless);
        for message in &input.messages {
            let mut message = message.clone();
            if input.name != "gre_wrong_call" && message.len() >= 8 {
                message[6..8].copy_from_slice(&OURS.to_be_bytes());
            }
            let inbound = server.inbound(NOW, &mut message);
            match input.expect.as_str() {
                "accept, ignore the ack" => {
                    assert!(matches!(inbound, Inbound::Control(_)), "{}: {inbound:?}", input.name);
                    assert_eq!(server.gre_stats().false_acks, 1);
                }
                "drop" | "drop, session lives" | "drop; counts as sequence at most" => {
                    assert!(matches!(inbound, Inbound::Drop(_)), "{}: {inbound:?}", input.name);
                }
                other => {
                    panic!("{}: an expectation that this test does not know: {other}", input.name)
                }
            }
        }
        for _ in 0..2 {
            send(&mut client, &ipv4(CLIENT, 60, 0));
        }
        let ip = ipv4(CLIENT, 60, 1);
        assert_eq!(receive(&mut server, NOW, &send(&mut client, &ip)), Ok(ip), "{}", input.name);
    }
}

#[test]
fn collected_hostile_frames_reach_the_link_or_are_dropped_as_expected() {
    for input in fixtures::hostile("ppp") {
        let (mut server, _) = encrypted(Mode::Stateless);
        for (seq, message) in input.messages.iter().enumerate() {
            let inbound = server.inbound(NOW, &mut gre(Some(seq as u32), None, message));
            let expected = match input.name.as_str() {
                "one_byte" | "proto_odd_one" | "mppe_short1" => {
                    inbound == Inbound::Drop(DropReason::MalformedPpp)
                }
                "mppe_short3" | "mppe_nod" => inbound == Inbound::Drop(DropReason::MalformedMppe),
                "ip_clear_when_mppe" => inbound == Inbound::Drop(DropReason::Unencrypted),
                _ => matches!(inbound, Inbound::Control(_)),
            };
            assert!(expected, "{}: {inbound:?}", input.name);
        }
    }
}

/// CVE-2007-0244: malformed and out-of-order GRE packets.
#[test]
fn every_truncation_of_a_packet_is_dropped() {
    let (mut server, mut client) = encrypted(Mode::Stateless);
    let packet = send(&mut client, &ipv4(CLIENT, 60, 0));
    for len in 0..packet.len() {
        assert!(receive(&mut server, NOW, &packet[..len]).is_err());
    }
    assert!(receive(&mut server, NOW, &packet).is_ok());
}

#[test]
fn a_frame_larger_than_any_mru_is_dropped() {
    let mut path = clear();
    let frame = frame(Protocol::IPV4, &ipv4(CLIENT, 1565, 0));
    let result = receive(&mut path, NOW, &gre(Some(0), None, &frame));
    assert_eq!(result, dropped(DropReason::Oversize));
}

/// Whoever knows the peer's address can try every call id; without the newest sequence number that ends nothing.
#[test]
fn a_terminate_request_at_a_guessed_number_does_not_reach_the_link() {
    let (mut server, mut client) = encrypted(Mode::Stateless);
    let terminate = [0xff, 0x03, 0xc0, 0x21, 5, 1, 0, 4];
    assert!(receive(&mut server, NOW, &send(&mut client, &ipv4(CLIENT, 60, 0))).is_ok());
    let later = NOW + Duration::from_secs(60);
    let far = 0x9000_0000;
    // The last is no farther than a fast peer could be by then: what is not encrypted has to be nearer.
    for (now, seq) in [(NOW, 1 << 20), (NOW, far), (later, far), (later, 1 << 25)] {
        let result = receive(&mut server, now, &gre(Some(seq), None, &terminate));
        assert!(matches!(result, Err(Inbound::Drop(_))), "{seq}: {result:?}");
    }
    let ip = ipv4(CLIENT, 60, 1);
    assert_eq!(receive(&mut server, later, &send(&mut client, &ip)), Ok(ip));
    let near = gre(Some(2), None, &terminate);
    assert!(matches!(receive(&mut server, later, &near), Err(Inbound::Control(_))));
}

#[test]
fn packets_far_ahead_are_tried_at_a_bounded_rate() {
    for mode in [Mode::Stateless, Mode::Stateful] {
        let (mut server, mut client) = encrypted(mode);
        assert!(receive(&mut server, NOW, &send(&mut client, &ipv4(CLIENT, 60, 0))).is_ok());
        let mut forged = alloc::vec![0xfd, 0x90, 0x01];
        forged.extend([0xa5; 90]);
        let packet = gre(Some(9000), None, &forged);
        let tried = (0..1000)
            .filter(|_| receive(&mut server, NOW, &packet) == dropped(DropReason::Undecryptable))
            .count();
        assert!(tried <= FAR_AT_ONCE as usize, "{mode:?}: {tried}");
        let ip = ipv4(CLIENT, 60, 1);
        let next = send(&mut client, &ip);
        assert_eq!(receive(&mut server, NOW, &next), Ok(ip), "{mode:?}");
    }
}

#[test]
fn acknowledgements_of_the_future_and_jumps_of_the_sequence_do_not_stop_us() {
    let (mut server, _) = encrypted(Mode::Stateless);
    for (seq, ack) in [(5, 1_000_000), (1 << 30, u32::MAX), (6, 3)] {
        receive(&mut server, NOW, &gre(Some(seq), Some(ack), &[0xc0, 0x21, 1, 1, 0, 4]))
            .unwrap_err();
    }
    for _ in 0..1000 {
        send(&mut server, &ipv4(SERVER, 60, 0));
    }
}

proptest! {
    // A forged packet far ahead costs thousands of key changes, which debug builds are slow at.
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn any_bytes_are_taken_without_a_panic(
        packets in proptest::collection::vec((any::<u32>(), any::<Vec<u8>>(), any::<bool>()), 1..20),
        stateful: bool,
    ) {
        let mode = if stateful { Mode::Stateful } else { Mode::Stateless };
        let (mut server, _) = encrypted(mode);
        let mut buffer = [0; 2000];
        for (seq, payload, as_mppe) in packets {
            let mut frame = if as_mppe { alloc::vec![0xfd, 0x90] } else { Vec::new() };
            frame.extend(payload.iter());
            server.inbound(NOW, &mut gre(Some(seq), Some(seq), &frame));
            server.inbound(NOW, &mut payload.clone());
            while server.take_ready(NOW, &mut buffer).is_some() {}
            server.ack_frame(&mut buffer);
            let _ = server.outbound_ip(NOW, &payload, &mut buffer);
        }
    }
}
