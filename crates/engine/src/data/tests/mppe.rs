use super::*;

#[test]
fn encrypted_packets_pass_both_ways_in_both_modes() {
    for mode in [Mode::Stateless, Mode::Stateful] {
        let (mut server, mut client) = encrypted(mode);
        for number in 0..600 {
            let up = ipv4(CLIENT, 60 + number, number as u8);
            let down = ipv4(SERVER, 660 - number, number as u8);
            let sent = send(&mut client, &up);
            assert_ne!(sent[sent.len() - 40..], up[up.len() - 40..]);
            assert_eq!(receive(&mut server, NOW, &sent), Ok(up));
            assert_eq!(receive(&mut client, NOW, &send(&mut server, &down)), Ok(down));
        }
    }
}

#[test]
fn a_clear_packet_is_dropped_where_encryption_is_required_or_in_use() {
    let ip = frame(Protocol::IPV4, &ipv4(CLIENT, 60, 0));
    let mut required = DataPath::new(config());
    required.open_network(permit(true));
    let mut in_use = encrypted(Mode::Stateless).0;
    in_use.open_network(permit(false));
    for mut path in [required, in_use] {
        let result = receive(&mut path, NOW, &gre(Some(0), None, &ip));
        assert_eq!(result, dropped(DropReason::Unencrypted));
    }
}

#[test]
fn nothing_leaves_in_clear_where_encryption_is_required() {
    let (mut server, _) = encrypted(Mode::Stateless);
    server.remove_keys();
    let mut out = [0; 200];
    let result = server.outbound_ip(NOW, &ipv4(SERVER, 60, 0), &mut out);
    assert_eq!(result, Err(DropReason::NoKeys));
    assert_eq!(out, [0; 200]);
}

#[test]
fn an_encrypted_packet_before_the_keys_is_early_and_opens_with_them() {
    let (mut server, mut client) = encrypted(Mode::Stateless);
    server.remove_keys();
    server.close_network();
    let ip = ipv4(CLIENT, 100, 5);
    let mut packet = send(&mut client, &ip);
    let end = packet.len();
    assert_eq!(server.inbound(NOW, &mut packet), Inbound::Early(12..end));
    server.install_keys(&keys(Mode::Stateless, true));
    server.open_network(permit(true));
    assert_eq!(server.reinject(NOW, &mut packet), Inbound::Ip(end - 100..end));
    assert_eq!(receive(&mut server, NOW, &packet), dropped(DropReason::Duplicate));
}

#[test]
fn in_stateless_mode_late_packets_open_and_duplicates_do_not() {
    let (mut server, mut client) = encrypted(Mode::Stateless);
    let sent: Vec<_> = (0..40).map(|mark| ipv4(CLIENT, 80, mark)).collect();
    let packets: Vec<_> = sent.iter().map(|packet| send(&mut client, packet)).collect();
    for (packet, ip) in packets.iter().zip(&sent).rev() {
        assert_eq!(receive(&mut server, NOW, packet).as_ref(), Ok(ip));
        assert_eq!(receive(&mut server, NOW, packet), dropped(DropReason::Duplicate));
    }
    assert_eq!(server.gre_stats().reordered, 39);
    assert_eq!(server.gre_stats().lost, 0);
}

#[test]
fn in_stateful_mode_packets_out_of_order_wait_for_the_missing_one() {
    let (mut server, mut client) = encrypted(Mode::Stateful);
    let sent: Vec<_> = (0..6).map(|mark| ipv4(CLIENT, 80, mark)).collect();
    let packets: Vec<_> = sent.iter().map(|packet| send(&mut client, packet)).collect();
    let mut buffer = [0; 2000];
    for held in [2, 1, 3] {
        assert_eq!(receive(&mut server, NOW, &packets[held]), Err(Inbound::Held));
        assert_eq!(server.take_ready(NOW, &mut buffer), None);
    }
    assert_eq!(server.held_deadline(), Some(NOW + Duration::from_millis(50)));
    assert_eq!(receive(&mut server, NOW, &packets[0]), Ok(sent[0].clone()));
    for ip in &sent[1..4] {
        let Some(Inbound::Ip(range)) = server.take_ready(NOW, &mut buffer) else { panic!() };
        assert_eq!(buffer[range], ip[..]);
    }
    assert_eq!(server.take_ready(NOW, &mut buffer), None);
    assert_eq!(server.held_deadline(), None);
    assert_eq!(receive(&mut server, NOW, &packets[4]), Ok(sent[4].clone()));
}

#[test]
fn a_loss_in_stateful_mode_asks_for_a_reset_once_and_recovers() {
    let (mut server, mut client) = encrypted(Mode::Stateful);
    let lost = send(&mut client, &ipv4(CLIENT, 80, 0));
    let after = send(&mut client, &ipv4(CLIENT, 80, 1));
    let mut buffer = [0; 2000];
    assert_eq!(receive(&mut server, NOW, &after), Err(Inbound::Held));
    let late = NOW + Duration::from_millis(50);
    assert_eq!(server.take_ready(late, &mut buffer), Some(Inbound::ResetNeeded));
    assert_eq!(server.take_ready(late, &mut buffer), None);
    let next = send(&mut client, &ipv4(CLIENT, 80, 2));
    assert_eq!(receive(&mut server, late, &next), dropped(DropReason::AwaitingReset));
    // The late one cannot help any more: the packets after it are gone.
    assert!(receive(&mut server, late, &lost).is_ok());
    server.receive_reset_acked(late);
    client.reset_transmit();
    let fresh = ipv4(CLIENT, 80, 3);
    assert_eq!(receive(&mut server, late, &send(&mut client, &fresh)), Ok(fresh));
}

#[test]
fn a_reset_is_asked_for_again_when_its_answer_stays_away() {
    let (mut server, mut client) = encrypted(Mode::Stateful);
    send(&mut client, &ipv4(CLIENT, 80, 0));
    let mut asked = 0;
    let mut buffer = [0; 2000];
    for step in 0..100 {
        let now = NOW + Duration::from_millis(10 * step);
        let packet = send(&mut client, &ipv4(CLIENT, 80, 1));
        asked += u32::from(receive(&mut server, now, &packet) == Err(Inbound::ResetNeeded));
        while let Some(inbound) = server.take_ready(now, &mut buffer) {
            asked += u32::from(inbound == Inbound::ResetNeeded);
        }
    }
    assert!((4..=6).contains(&asked), "{asked}");
}

#[test]
fn however_much_comes_before_the_fresh_start_it_is_taken() {
    let (mut server, mut client) = encrypted(Mode::Stateful);
    let mut buffer = [0; 2000];
    send(&mut client, &ipv4(CLIENT, 80, 0));
    let late = NOW + Duration::from_millis(50);
    for count in 0..200 {
        let packet = send(&mut client, &ipv4(CLIENT, 80, 1));
        let now = if count < 40 { NOW } else { late };
        assert!(receive(&mut server, now, &packet).is_err());
        while server.take_ready(now, &mut buffer).is_some() {}
    }
    client.reset_transmit();
    let fresh = ipv4(CLIENT, 80, 3);
    assert_eq!(receive(&mut server, late, &send(&mut client, &fresh)), Ok(fresh));
}

#[test]
fn a_forged_packet_changes_nothing() {
    let (mut server, mut client) = encrypted(Mode::Stateless);
    let first = send(&mut client, &ipv4(CLIENT, 80, 0));
    assert!(receive(&mut server, NOW, &first).is_ok());
    for (seq, reason) in [
        (1, DropReason::Undecryptable),
        (2, DropReason::Undecryptable),
        (900, DropReason::Undecryptable),
        (16_000, DropReason::Undecryptable),
        (1 << 30, DropReason::TooFar),
    ] {
        let mut forged = alloc::vec![0xfd, 0x90, 0x01];
        forged.extend([0xa5; 90]);
        let result = receive(&mut server, NOW, &gre(Some(seq), None, &forged));
        assert_eq!(result, dropped(reason));
    }
    let ip = ipv4(CLIENT, 80, 1);
    assert_eq!(receive(&mut server, NOW, &send(&mut client, &ip)), Ok(ip));
}

#[test]
fn a_count_far_ahead_of_the_sequence_number_is_refused_without_work() {
    let (mut server, mut client) = encrypted(Mode::Stateless);
    assert!(receive(&mut server, NOW, &send(&mut client, &ipv4(CLIENT, 80, 0))).is_ok());
    let mut forged = alloc::vec![0xfd, 0x97, 0xff];
    forged.extend([0xa5; 90]);
    let result = receive(&mut server, NOW, &gre(Some(1), None, &forged));
    assert_eq!(result, dropped(DropReason::MppeTooFar));
}

#[test]
fn new_keys_start_anew_in_the_middle_of_a_call() {
    let (mut server, mut client) = encrypted(Mode::Stateless);
    for _ in 0..100 {
        assert!(receive(&mut server, NOW, &send(&mut client, &ipv4(CLIENT, 80, 0))).is_ok());
    }
    server.install_keys(&keys(Mode::Stateless, true));
    client.install_keys(&keys(Mode::Stateless, false));
    for _ in 0..100 {
        assert!(receive(&mut server, NOW, &send(&mut client, &ipv4(CLIENT, 80, 0))).is_ok());
    }
}

#[test]
fn an_encrypted_packet_that_overtook_the_end_of_ipcp_is_early_and_opens_later() {
    for mode in [Mode::Stateless, Mode::Stateful] {
        let (mut server, mut client) = encrypted(mode);
        server.close_network();
        let ip = ipv4(CLIENT, 80, 0);
        let mut packet = send(&mut client, &ip);
        let end = packet.len();
        assert_eq!(server.inbound(NOW, &mut packet), Inbound::Early(12..end));
        server.open_network(permit(true));
        assert_eq!(server.reinject(NOW, &mut packet), Inbound::Ip(end - 80..end));
        let next = ipv4(CLIENT, 80, 1);
        assert_eq!(receive(&mut server, NOW, &send(&mut client, &next)), Ok(next));
    }
}
