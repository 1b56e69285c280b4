//! Links against links, and links against what real clients send.

mod duo;
mod real_clients;

use alloc::vec;
use alloc::vec::Vec;
use core::net::Ipv4Addr;
use core::time::Duration;

use crypto::mppe::{Mode, Strength};
use wire::ppp::Protocol;

use super::*;
use crate::Instant;
use crate::auth::{DenyReason, Method};
use duo::{Duo, client, grant, server};

const ALL: [Method; 4] = [Method::MsChapV2, Method::MsChapV1, Method::ChapMd5, Method::Pap];

fn open() -> Duo {
    let mut duo = Duo::new(server(MppePolicy::REQUIRE_128), client(&ALL, MppePolicy::REQUIRE_128));
    duo.run(Duration::from_secs(5));
    duo
}

#[test]
fn two_links_reach_an_encrypted_network_in_no_time() {
    let mut duo = Duo::new(server(MppePolicy::REQUIRE_128), client(&ALL, MppePolicy::REQUIRE_128));
    duo.run(Duration::ZERO);
    let (ours, theirs) = (duo.server.permit().unwrap(), duo.client.permit().unwrap());
    assert_eq!(ours.ipv4().unwrap().remote, grant().remote);
    assert_eq!(theirs.ipv4().unwrap().local, grant().remote);
    assert_eq!(theirs.ipv4().unwrap().remote, grant().local);
    assert_eq!(theirs.ipv4().unwrap().dns, grant().dns);
    assert_eq!(ours.mtu(), 1446);
    assert!(ours.encryption_required());
    let ipv6 = ours.ipv6().unwrap();
    assert_eq!(ipv6.remote_id, theirs.ipv6().unwrap().local_id);
}

#[test]
fn both_ends_get_matching_keys() {
    let duo = open();
    let (server, client) = (duo.server.keys().unwrap(), duo.client.keys().unwrap());
    assert_eq!(server.send.start.as_bytes(), client.receive.start.as_bytes());
    assert_eq!(server.receive.start.as_bytes(), client.send.start.as_bytes());
    assert_eq!(server.send.strength, Strength::Bits128);
    assert_eq!(server.send.mode, Mode::Stateless);
}

#[test]
fn every_method_works_where_both_allow_it() {
    for method in ALL {
        let mut config = server(MppePolicy::OFF);
        duo::server_part(&mut config).methods = vec![method];
        let mut duo = Duo::new(config, client(&ALL, MppePolicy::OFF));
        duo.run(Duration::from_secs(1));
        assert_eq!(duo.server.authenticated, Some(Some(method)));
        assert!(duo.server.permit().is_some() && duo.client.permit().is_some(), "{method}");
        assert!(duo.server.keys().is_none());
    }
}

#[test]
fn the_peer_is_led_through_the_methods_until_one_fits() {
    let mut config = server(MppePolicy::OFF);
    duo::server_part(&mut config).methods =
        vec![Method::MsChapV2, Method::MsChapV1, Method::ChapMd5];
    let mut duo = Duo::new(config, client(&[Method::ChapMd5], MppePolicy::OFF));
    duo.run(Duration::from_secs(1));
    assert_eq!(duo.server.authenticated, Some(Some(Method::ChapMd5)));
}

#[test]
fn no_common_method_ends_the_link_with_that_cause() {
    let mut duo = Duo::new(server(MppePolicy::OFF), client(&[Method::Pap], MppePolicy::OFF));
    duo.run(Duration::from_secs(5));
    assert_eq!(duo.server.closed, Some(Cause::NoCommonAuthentication));
    assert!(duo.client.closed.is_some());
}

#[test]
fn encryption_without_a_method_that_makes_keys_is_refused() {
    let mut config = server(MppePolicy::REQUIRE_128);
    duo::server_part(&mut config).methods = vec![Method::ChapMd5];
    let mut duo = Duo::new(config, client(&ALL, MppePolicy::OFF));
    duo.run(Duration::from_secs(5));
    assert_eq!(duo.server.closed, Some(Cause::NoKeys));
    assert!(!duo.server.ever_up);
}

#[test]
fn a_client_that_refuses_mppe_never_gets_a_network() {
    let mut duo = Duo::new(server(MppePolicy::REQUIRE_128), client(&ALL, MppePolicy::OFF));
    duo.run(Duration::from_secs(30));
    assert_eq!(duo.server.closed, Some(Cause::EncryptionRefused));
    assert!(!duo.server.ever_up);
}

#[test]
fn a_wrong_password_is_told_with_error_691_and_ends_the_link() {
    let mut config = client(&ALL, MppePolicy::REQUIRE_128);
    duo::client_part(&mut config).password = crypto::Password::new(b"wrong".to_vec());
    let mut duo = Duo::new(server(MppePolicy::REQUIRE_128), config);
    duo.run(Duration::from_secs(5));
    let refusal = duo.server.refusals.first().unwrap();
    assert_eq!(refusal.0, Some(DenyReason::WrongPassword));
    assert!(refusal.1.starts_with("E=691 R=1 C="), "{}", refusal.1);
    assert!(refusal.1.ends_with(" V=3 M=Access denied"), "{}", refusal.1);
    assert_eq!(duo.client.closed, Some(Cause::AuthenticationFailed));
    assert!(!duo.server.ever_up && !duo.client.ever_up);
}

#[test]
fn forty_bits_are_used_where_both_allow_only_them_and_stateful_mode_where_it_is_preferred_and_allowed()
 {
    let weak = MppePolicy { bits40: true, bits128: false, ..MppePolicy::REQUIRE_128 };
    let with = |stateful| MppePolicy { stateful, ..weak };
    use Stateful::{Allowed, Never, Preferred};
    for (server_has, client_has, mode) in [
        (Allowed, Allowed, Mode::Stateless),
        (Never, Preferred, Mode::Stateless),
        (Preferred, Never, Mode::Stateless),
        (Allowed, Preferred, Mode::Stateful),
        (Preferred, Allowed, Mode::Stateful),
        (Preferred, Preferred, Mode::Stateful),
    ] {
        let mut duo = Duo::new(server(with(server_has)), client(&ALL, with(client_has)));
        duo.run(Duration::from_secs(1));
        let keys = duo.server.keys().unwrap();
        assert_eq!(keys.send.strength, Strength::Bits40);
        assert_eq!(
            (keys.send.mode, keys.receive.mode),
            (mode, mode),
            "{server_has:?} {client_has:?}"
        );
    }
}

#[test]
fn a_server_that_allows_several_strengths_lets_the_client_choose() {
    let any = MppePolicy { bits40: true, bits56: true, ..MppePolicy::REQUIRE_128 };
    let weak = MppePolicy { bits40: true, bits128: false, ..MppePolicy::REQUIRE_128 };
    for (client_wants, strength) in [
        (any, Strength::Bits128),
        (MppePolicy::REQUIRE_128, Strength::Bits128),
        (weak, Strength::Bits40),
    ] {
        let mut duo = Duo::new(server(any), client(&ALL, client_wants));
        duo.run(Duration::from_secs(1));
        let keys = duo.server.keys().unwrap();
        assert_eq!((keys.send.strength, keys.receive.strength), (strength, strength));
        assert_eq!(duo.client.keys().unwrap().send.start.as_bytes(), keys.receive.start.as_bytes());
    }
}

#[test]
fn optional_encryption_is_used_when_the_client_asks() {
    let allowed = MppePolicy { need: MppeNeed::Allowed, ..MppePolicy::REQUIRE_128 };
    let mut duo = Duo::new(server(allowed), client(&ALL, MppePolicy::REQUIRE_128));
    duo.run(Duration::from_secs(1));
    assert!(duo.server.keys().is_some());
    assert_eq!(duo.server.permit().unwrap().mtu(), 1446);
    let mut duo = Duo::new(server(allowed), client(&ALL, MppePolicy::OFF));
    duo.run(Duration::from_secs(1));
    assert!(duo.server.keys().is_none());
    assert_eq!(duo.server.permit().unwrap().mtu(), 1450);
}

#[test]
fn terminating_tells_the_peer_and_ends_both() {
    let mut duo = open();
    let now = duo.now();
    duo.server.link.terminate(now, Cause::Local("Server stops"));
    duo.run(Duration::from_secs(5));
    assert_eq!(duo.server.closed, Some(Cause::Local("Server stops")));
    assert_eq!(duo.client.closed, Some(Cause::PeerTerminated(b"Server stops".to_vec())));
    assert!(duo.server.permit().is_none() && duo.server.keys().is_none());
    assert!(duo.client.permit().is_none() && duo.client.keys().is_none());
}

#[test]
fn a_silent_peer_is_given_up_after_the_echo_limit() {
    let mut duo = open();
    duo.cut = true;
    duo.run(Duration::from_secs(200));
    assert_eq!(duo.server.closed, Some(Cause::EchoTimeout));
}

#[test]
fn an_idle_link_sleeps_until_its_next_echo() {
    let duo = open();
    let (at, timer) = duo.server.link.poll_timeout().unwrap();
    assert_eq!(timer, Timer::Echo);
    assert!(at - Instant::ZERO >= Duration::from_secs(30));
}

#[test]
fn a_peer_that_never_speaks_gets_requests_from_the_fallback_timer_on_and_is_given_up() {
    let mut duo = Duo::new(server(MppePolicy::OFF), client(&ALL, MppePolicy::OFF));
    duo.cut = true;
    duo.run(Duration::from_millis(499));
    assert!(duo.server.log.is_empty());
    duo.run(Duration::from_secs(60));
    assert_eq!(duo.server.closed, Some(Cause::NoAnswer));
}

#[test]
fn our_own_packets_coming_back_are_a_loop() {
    let mut link = Link::new(server(MppePolicy::OFF), [1; 32], Instant::ZERO);
    let mut now = Instant::ZERO;
    link.start(now);
    let mut cause = None;
    for _ in 0..200 {
        now += Duration::from_millis(300);
        link.handle_timeout(now);
        while let Some(output) = link.poll_output() {
            match output {
                Output::Frame(frame) => link.handle_frame(now, &frame),
                Output::Event(Event::Closed(why)) => cause = Some(why),
                Output::Event(_) => {}
            }
        }
    }
    assert_eq!(cause, Some(Cause::Looped));
}

#[test]
fn any_mangled_frame_is_survived_in_every_phase() {
    let mut random = crate::Random::new([9; 32]);
    for round in 0..3000 {
        let mut duo =
            Duo::new(server(MppePolicy::REQUIRE_128), client(&ALL, MppePolicy::REQUIRE_128));
        duo.step_limit = (random.u32() % 40) as usize;
        duo.run(Duration::from_millis(u64::from(random.u16() % 50)));
        let mut frame = [0; 24];
        random.fill(&mut frame);
        if round % 2 == 0 {
            frame[..6].copy_from_slice(&[0xff, 0x03, 0xc0, 0x21, (random.u16() % 17) as u8, 1]);
            frame[6..8].copy_from_slice(&(random.u16() % 30).to_be_bytes());
        }
        let now = duo.now();
        duo.server.link.handle_frame(now, &frame);
        duo.client.link.handle_frame(now, &frame);
    }
}

#[test]
fn an_unknown_protocol_is_rejected_and_the_link_goes_on() {
    let mut duo = open();
    let acsp = [0x82, 0x35, 1, 1, 0, 0x10, 1, 6, 0, 0, 0, 1, 2, 6, 0, 0, 0, 1];
    let now = duo.now();
    duo.server.link.handle_frame(now, &acsp);
    duo.run(Duration::from_secs(1));
    assert!(duo.server.log.iter().any(|entry| entry.starts_with("sent [LCP ProtRej")));
    assert!(duo.server.permit().is_some());
}

#[test]
fn lossy_links_open_for_every_seed_and_mostly_fast() {
    let mut times = Vec::new();
    for seed in 0..300_u64 {
        let mut duo =
            Duo::new(server(MppePolicy::REQUIRE_128), client(&ALL, MppePolicy::REQUIRE_128));
        duo.loss(seed, 5);
        let start = duo.now();
        while !(duo.server.permit().is_some() && duo.client.permit().is_some()) {
            assert!(duo.server.closed.is_none(), "seed {seed}: {:?}", duo.server.closed);
            assert!(duo.now() - start < Duration::from_secs(60), "seed {seed} hangs");
            duo.run(Duration::from_millis(10));
        }
        times.push(duo.now() - start);
    }
    times.sort();
    assert!(times[150] < Duration::from_millis(1500), "median {:?}", times[150]);
}

#[test]
fn configured_interface_identifiers_are_used_and_proposed() {
    let (ours, peers) = ([0, 0, 0, 0, 0, 0, 0, 0xa], [0, 0, 0, 0, 0, 0, 0, 0xb]);
    let mut config = server(MppePolicy::REQUIRE_128);
    config.ipv6 = Some(InterfaceIds { ours: Some(ours), peers: Some(peers) });
    let mut duo = Duo::new(config, client(&ALL, MppePolicy::REQUIRE_128));
    duo.run(Duration::from_secs(2));
    let agreed = duo.server.permit().unwrap().ipv6().unwrap();
    assert_eq!((agreed.local_id, agreed.remote_id), (ours, peers));
}

#[test]
fn ipv6_is_left_alone_when_not_configured() {
    let mut config = server(MppePolicy::REQUIRE_128);
    config.ipv6 = None;
    let mut duo = Duo::new(config, client(&ALL, MppePolicy::REQUIRE_128));
    duo.run(Duration::from_secs(2));
    assert!(duo.server.permit().unwrap().ipv6().is_none());
    assert!(duo.client.permit().unwrap().ipv6().is_none());
    assert!(duo.server.log.iter().any(|entry| entry.contains("ProtRej")));
}

#[test]
fn a_client_that_insists_on_an_address_is_refused_by_name() {
    let mut link = duo::opened_server();
    let insisted = Ipv4Addr::new(192, 168, 1, 77);
    let mut cause = None;
    for id in 1..20 {
        let mut frame = vec![0x80, 0x21, 1, id, 0, 10, 3, 6];
        frame.extend_from_slice(&insisted.octets());
        link.handle_frame(Instant::ZERO, &frame);
        while let Some(output) = link.poll_output() {
            if let Output::Frame(frame) = &output
                && let Ok((Protocol::LCP, body)) = wire::ppp::split(frame)
                && body[0] == 5
            {
                cause = Some(body[4..].to_vec());
            }
        }
    }
    assert_eq!(cause.as_deref(), Some(&b"Could not agree on IP addresses"[..]));
}

#[test]
fn an_encrypted_packet_shows_that_an_acknowledgement_was_lost() {
    let mut duo = Duo::new(server(MppePolicy::REQUIRE_128), client(&ALL, MppePolicy::REQUIRE_128));
    duo.lose = |to_server, text| to_server && text.starts_with("[CCP ConfAck");
    duo.run(Duration::from_millis(300));
    assert!(duo.client.keys().is_some() && duo.server.keys().is_none());
    // What pppd says next is its IPCP request, encrypted.
    duo.server.link.handle_frame(duo.now(), &[0x00, 0xfd, 0x90, 0x00, 0x12, 0x34]);
    duo.run(Duration::from_secs(20));
    assert!(duo.server.keys().is_some() && duo.server.permit().is_some());
    let asked = duo.server.log.iter().filter(|line| line.starts_with("sent [CCP ConfReq")).count();
    assert_eq!(asked, 1, "asked again, and pppd would end the call");
}

#[test]
fn an_encrypted_packet_proves_nothing_where_the_request_left_a_choice() {
    let any = MppePolicy { bits40: true, ..MppePolicy::REQUIRE_128 };
    let mut duo = Duo::new(server(any), client(&ALL, any));
    duo.lose = |to_server, text| to_server && text.starts_with("[CCP Conf");
    duo.run(Duration::from_millis(300));
    duo.server.link.handle_frame(duo.now(), &[0x00, 0xfd, 0x90, 0x00, 0x12, 0x34]);
    duo.run(Duration::from_millis(100));
    assert!(duo.server.keys().is_none());
}

#[test]
fn on_a_slow_line_nothing_is_repeated_before_an_answer_could_come() {
    let mut duo = Duo::new(server(MppePolicy::REQUIRE_128), client(&ALL, MppePolicy::REQUIRE_128));
    duo.server.link.expect_round_trip(Duration::from_millis(1200));
    duo.client.link.expect_round_trip(Duration::from_millis(1200));
    duo.latency = Duration::from_millis(600);
    duo.run(Duration::from_secs(20));
    assert!(
        duo.server.permit().is_some() && duo.client.permit().is_some(),
        "{:#?}",
        duo.server.log
    );
    // IPCP repeats its acknowledged request while the peer still finds out which address it may have (RFC 1661 §4.1, Ack-Rcvd).
    for request in ["sent [LCP ConfReq", "sent [CHAP Challenge", "sent [CCP ConfReq"] {
        let times = duo.server.log.iter().filter(|line| line.starts_with(request)).count();
        assert_eq!(times, 1, "{request}: {:#?}", duo.server.log);
    }
}
