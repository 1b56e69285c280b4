use super::*;
use crate::fixtures;

#[test]
fn address_and_control_and_protocol_are_taken_compressed_or_not_at_any_time() {
    let ip = ipv4(CLIENT, 60, 0);
    let mut path = clear();
    path.set_framing(framing(false));
    let headers: [&[u8]; 4] = [&[0xff, 3, 0, 0x21], &[0xff, 3, 0x21], &[0, 0x21], &[0x21]];
    for (seq, header) in headers.into_iter().enumerate() {
        let packet = gre(Some(seq as u32), None, &[header, &ip].concat());
        assert_eq!(receive(&mut path, NOW, &packet).as_ref(), Ok(&ip));
    }
}

#[test]
fn inside_mppe_the_protocol_is_written_in_two_bytes_although_pfc_was_agreed() {
    let (mut server, mut client) = encrypted(Mode::Stateless);
    let sent = send(&mut server, &ipv4(SERVER, 60, 0));
    // GRE 12, fd 1, MPPE header 2, protocol 2.
    assert_eq!(sent.len(), 12 + 1 + 2 + 2 + 60);
    assert_eq!(sent[12..15], [0xfd, 0x90, 0x00]);
    let mut packet = sent.clone();
    assert_eq!(client.inbound(NOW, &mut packet), Inbound::Ip(17..77));
    assert_eq!(packet[15..17], [0x00, 0x21]);
}

#[test]
fn without_pfc_and_acfc_as_with_mikrotik_the_frame_has_its_full_header() {
    let (mut server, mut client) = encrypted(Mode::Stateless);
    server.set_framing(framing(false));
    let ip = ipv4(SERVER, 60, 0);
    let sent = send(&mut server, &ip);
    assert_eq!(sent[12..16], [0xff, 0x03, 0x00, 0xfd]);
    assert_eq!(receive(&mut client, NOW, &sent), Ok(ip));
}

#[test]
fn windows_with_mru_1400_sends_1400_byte_packets_inside_mppe() {
    let (mut server, mut client) = encrypted(Mode::Stateless);
    let ipv4_agreed = Ipv4Agreed { local: SERVER, remote: CLIENT, dns: [None; 2] };
    client.open_network(NetworkPermit::for_tests(Some(ipv4_agreed), None, true, 1400));
    let ip = ipv4(CLIENT, 1400, 0);
    let packet = send(&mut client, &ip);
    assert_eq!(packet.len(), 12 + 1405);
    assert_eq!(receive(&mut server, NOW, &packet), Ok(ip));
}

#[test]
fn ethernet_padding_and_ppp_padding_are_left_out() {
    let mut path = clear();
    let ip = ipv4(CLIENT, 60, 0);
    let padded_ppp = [&frame(Protocol::IPV4, &ip)[..], &[0; 4]].concat();
    let padded = [&gre(Some(0), None, &padded_ppp)[..], &[0; 9]].concat();
    assert_eq!(receive(&mut path, NOW, &padded), Ok(ip));
    let ack_only = [&gre(None, Some(0), &[])[..], &[0; 14]].concat();
    assert_eq!(receive(&mut path, NOW, &ack_only), Err(Inbound::AckOnly));
}

#[test]
fn cisco_s_first_packet_with_ack_ffffffff_and_macos_s_with_ack_0_are_accepted() {
    for ack in [u32::MAX, 0] {
        let mut path = DataPath::new(config());
        let mut packet = gre(Some(1), Some(ack), &[0xff, 3, 0xc0, 0x21, 1, 1, 0, 4]);
        assert!(matches!(path.inbound(NOW, &mut packet), Inbound::Control(_)));
        assert_eq!(path.gre_stats().false_acks, 1);
    }
}

#[test]
fn an_acknowledgement_rides_on_data_or_leaves_alone_within_100_ms() {
    let mut path = clear();
    let mut out = [0; 200];
    assert_eq!(path.ack_deadline(), None);
    assert_eq!(path.ack_frame(&mut out), None);
    let packet = gre(Some(4), None, &frame(Protocol::IPV4, &ipv4(CLIENT, 60, 0)));
    receive(&mut path, NOW, &packet).unwrap();
    assert!(path.ack_deadline().unwrap() - NOW <= Duration::from_millis(100));
    assert_eq!(path.ack_frame(&mut out), Some(12));
    assert_eq!(out[..12], [0x20, 0x81, 0x88, 0x0b, 0, 0, 0, PEERS as u8, 0, 0, 0, 4]);
    // Nothing new: the next packet carries none.
    assert_eq!(send(&mut path, &ipv4(SERVER, 60, 0))[1], 0x01);
}

#[test]
fn android_which_never_acknowledges_and_linux_with_window_3_get_all_packets() {
    let mut path = clear();
    for _ in 0..1000 {
        send(&mut path, &ipv4(SERVER, 60, 0));
    }
    assert_eq!(path.gre_stats().sent, 1000);
}

/// The start keys of captured calls, as an independent script computed them, and how many encrypted packets there are:
/// (part of the file name, client-send, server-send, packets).
const CAPTURED_KEYS: [(&str, &str, &str, u32); 2] = [
    ("win_lulu", "f47f7460117d0275ea0af343fcd3092f", "f8976abc688240fb20b9ea35db70affb", 25),
    ("win2000_scott", "01118ae7c6d7a768ceeddc8d484ceaf9", "f4a91354e1957d8ff2fb619f2e194a5a", 18),
];

#[test]
fn every_captured_packet_is_understood_even_without_keys() {
    for (name, capture) in fixtures::captures() {
        for from_client in [true, false] {
            let mut path: Option<DataPath> = None;
            for captured in capture.iter().filter(|c| !c.is_control && c.from_client == from_client)
            {
                let mut packet = captured.bytes.clone();
                let (header, _) = wire::gre::parse(&packet).unwrap();
                let path = path.get_or_insert_with(|| {
                    DataPath::new(Config { our_call_id: header.call_id, ..config() })
                });
                let inbound = path.inbound(NOW, &mut packet);
                assert!(
                    !matches!(inbound, Inbound::Drop(reason) if reason != DropReason::Duplicate),
                    "{name} frame {}: {inbound:?}",
                    captured.frame
                );
            }
        }
    }
}

#[test]
fn captured_windows_traffic_decrypts_in_both_directions_whole() {
    for (name, capture) in fixtures::captures() {
        let Some((_, client_send, server_send, encrypted)) =
            CAPTURED_KEYS.iter().find(|(part, ..)| name.contains(part))
        else {
            continue;
        };
        let mut opened = 0;
        for from_client in [true, false] {
            let key = if from_client { client_send } else { server_send };
            let receive = captured_key(key);
            let keys = Keys { send: captured_key(client_send), receive };
            let mut path: Option<DataPath> = None;
            let packets = capture
                .iter()
                .filter(|captured| !captured.is_control && captured.from_client == from_client);
            for captured in packets {
                let mut packet = captured.bytes.clone();
                let Ok((header, _)) = wire::gre::parse(&packet) else { continue };
                let path = path.get_or_insert_with(|| {
                    let our_call_id = header.call_id;
                    DataPath::new(Config { our_call_id, check_source: false, ..config() })
                });
                let mut inbound = path.inbound(NOW, &mut packet);
                if let Inbound::Early(_) = inbound {
                    path.install_keys(&keys);
                    path.open_network(permit(true));
                    inbound = path.reinject(NOW, &mut packet);
                }
                assert!(
                    matches!(
                        inbound,
                        Inbound::Ip(_)
                            | Inbound::Control(_)
                            | Inbound::AckOnly
                            | Inbound::Drop(DropReason::Duplicate)
                    ),
                    "{name} frame {}: {inbound:?}",
                    captured.frame
                );
                opened += u32::from(matches!(inbound, Inbound::Ip(_)));
            }
        }
        assert_eq!(opened, *encrypted, "{name}");
    }
}

fn captured_key(key: &str) -> DirectionKeys {
    let start = StartKey::from_bytes(fixtures::hex(key).try_into().unwrap());
    DirectionKeys { start, strength: Strength::Bits128, mode: Mode::Stateless }
}
