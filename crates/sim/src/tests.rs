use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::net::Ipv4Addr;
use core::time::Duration;

use crypto::mppe::{Mode, StartKey, Strength};
use engine::Instant;
use engine::control::{self, CallEnd, Cause};
use engine::data::{Config, DataPath, DropReason, Inbound};
use engine::ppp::{self, DirectionKeys, Ipv4Agreed, Keys, MppeNeed, MppePolicy, NetworkPermit};

use wire::gre::Header;

use crate::{Dice, End, Line, Pair, Quality, Settings, Side};

const SEEDS: u64 = 1_000;

/// A UDP packet with a number in it, so that no two are alike.
fn ip_packet(from: Side, number: u16, len: usize) -> Vec<u8> {
    let (server, client) = (Ipv4Addr::new(192, 168, 1, 1), Ipv4Addr::new(192, 168, 1, 50));
    let (source, destination) = match from {
        Side::Server => (server, client),
        Side::Client => (client, server),
    };
    let mut packet = alloc::vec![0x45, 0, (len >> 8) as u8, len as u8, 0, 0, 0x40, 0, 64, 17, 0, 0];
    packet.extend(source.octets());
    packet.extend(destination.octets());
    let sum: u32 = packet.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum();
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet.extend(number.to_be_bytes());
    packet.resize(len, number as u8);
    packet
}

fn encrypted(quality: Quality, seed: u64) -> Pair {
    let policy = MppePolicy::REQUIRE_128;
    Pair::new(Settings::server(policy), Settings::client(policy), quality, true, seed)
}

/// Sends `count` packets each way, one in `pause`, and waits for the last.
fn exchange(pair: &mut Pair, count: u16, pause: Duration) {
    for number in 0..count {
        for side in [Side::Server, Side::Client] {
            pair.send_ip(side, &ip_packet(side, number, 40 + usize::from(number) * 7 % 1300));
        }
        pair.run(pause);
    }
    pair.run(Duration::from_secs(1));
}

fn end(pair: &Pair, side: Side) -> &End {
    pair.endpoint(side).end().unwrap()
}

#[test]
fn on_a_clean_line_the_tunnel_is_open_within_15_round_trips_and_loses_nothing() {
    let mut pair = encrypted(Quality::CLEAN, 1);
    assert!(pair.run_until(Duration::from_millis(30), Pair::is_open), "{pair:?}");
    exchange(&mut pair, 200, Duration::from_millis(1));
    assert_eq!((pair.delivered(Side::Server), pair.delivered(Side::Client)), (200, 200));
    for side in [Side::Server, Side::Client] {
        assert_eq!(pair.endpoint(side).stats().unwrap().drops.total(), 0);
    }
}

#[test]
fn a_thousand_bad_lines_open_and_carry_data_or_end_with_a_named_cause() {
    let mut opened = 0;
    for seed in 0..SEEDS {
        let quality = Quality::random(&mut Dice::new(seed));
        let mut pair = encrypted(quality, seed);
        let over =
            pair.run_until(Duration::from_secs(180), |pair| pair.is_open() || pair.is_closed());
        assert!(over, "seed {seed} hangs: {quality:?}");
        if pair.is_open() {
            opened += 1;
            exchange(&mut pair, 20, Duration::from_millis(20));
            for side in [Side::Server, Side::Client] {
                assert!(pair.delivered(side) > 0, "seed {seed} carries nothing: {quality:?}");
            }
            pair.hang_up(if seed % 2 == 0 { Side::Server } else { Side::Client });
        }
        let closed = pair.run_until(Duration::from_secs(300), Pair::is_closed);
        assert!(closed, "seed {seed} does not end: {quality:?}");
        for side in [Side::Server, Side::Client] {
            assert!(pair.endpoint(side).end().is_some(), "seed {seed}: {side:?} names no cause");
        }
    }
    assert!(opened > SEEDS * 95 / 100, "only {opened} opened");
}

#[test]
fn reordering_and_duplication_alone_lose_nothing() {
    for seed in 0..50 {
        let quality = Quality {
            duplication: 30,
            reordering: 50,
            jitter: Duration::from_millis(15),
            ..Quality::CLEAN
        };
        let mut pair = encrypted(quality, seed);
        assert!(pair.run_until(Duration::from_secs(10), Pair::is_open), "seed {seed}");
        pair.run(Duration::from_secs(1));
        exchange(&mut pair, 100, Duration::from_millis(1));
        let delivered = (pair.delivered(Side::Server), pair.delivered(Side::Client));
        assert_eq!(delivered, (100, 100), "seed {seed}");
    }
}

#[test]
fn the_client_s_hang_up_ends_both_with_their_causes() {
    let mut pair = encrypted(Quality::CLEAN, 3);
    pair.run_until(Duration::from_secs(1), Pair::is_open);
    pair.hang_up(Side::Client);
    assert!(pair.run_until(Duration::from_secs(10), Pair::is_closed));
    assert_eq!(end(&pair, Side::Client), &End::Link(ppp::Cause::Local("hung up")));
    assert_eq!(
        end(&pair, Side::Server),
        &End::Link(ppp::Cause::PeerTerminated(b"hung up".to_vec()))
    );
}

#[test]
fn a_wrong_password_ends_both_with_that_cause() {
    let policy = MppePolicy::REQUIRE_128;
    let client = Settings::client_with(policy, b"guess".to_vec());
    let mut pair = Pair::new(Settings::server(policy), client, Quality::CLEAN, true, 4);
    assert!(pair.run_until(Duration::from_secs(60), Pair::is_closed));
    assert_eq!(end(&pair, Side::Client), &End::Link(ppp::Cause::AuthenticationFailed));
    // It could try again, but the client has no other password and leaves.
    let server = end(&pair, Side::Server);
    assert_eq!(server, &End::Link(ppp::Cause::AuthenticationFailed));
    for side in [Side::Server, Side::Client] {
        assert!(!pair.endpoint(side).was_open());
    }
}

#[test]
fn a_client_without_encryption_is_refused_where_it_is_required() {
    let server = Settings::server(MppePolicy::REQUIRE_128);
    let client = Settings::client(MppePolicy::OFF);
    let mut pair = Pair::new(server, client, Quality::CLEAN, true, 5);
    assert!(pair.run_until(Duration::from_secs(120), Pair::is_closed));
    assert_eq!(end(&pair, Side::Server), &End::Link(ppp::Cause::EncryptionRefused));
    assert!(!pair.endpoint(Side::Server).was_open());
}

#[test]
fn without_encryption_packets_pass_in_clear() {
    let policy = MppePolicy { need: MppeNeed::Off, ..MppePolicy::OFF };
    let (server, client) = (Settings::server(policy), Settings::client(policy));
    let mut pair = Pair::new(server, client, Quality::CLEAN, false, 6);
    assert!(pair.run_until(Duration::from_secs(1), Pair::is_open));
    exchange(&mut pair, 50, Duration::from_millis(1));
    assert_eq!((pair.delivered(Side::Server), pair.delivered(Side::Client)), (50, 50));
    assert!(pair.endpoint(Side::Server).keys().is_none());
}

#[test]
fn a_spoofed_source_does_not_come_out() {
    let mut pair = encrypted(Quality::CLEAN, 7);
    pair.run_until(Duration::from_secs(1), Pair::is_open);
    let mut packet = ip_packet(Side::Client, 0, 60);
    packet[15] -= 1;
    packet[11] += 1;
    assert!(pair.send_ip(Side::Client, &packet));
    pair.run(Duration::from_secs(1));
    assert_eq!(pair.delivered(Side::Client), 0);
    let drops = &pair.endpoint(Side::Server).stats().unwrap().drops;
    assert_eq!(drops.get(DropReason::SpoofedSource), 1);
}

#[test]
fn a_client_whose_gre_falls_silent_is_given_up_at_every_stage() {
    for millis in 0..30 {
        let mut pair = encrypted(Quality::CLEAN, 8);
        pair.run(Duration::from_millis(millis));
        pair.cut(false);
        assert!(pair.run_until(Duration::from_secs(600), Pair::is_closed), "cut at {millis} ms");
        for side in [Side::Server, Side::Client] {
            assert!(pair.endpoint(side).end().is_some(), "cut at {millis} ms: {side:?}");
        }
    }
}

#[test]
fn a_host_that_vanishes_is_given_up_at_every_stage() {
    for millis in 0..30 {
        let mut pair = encrypted(Quality::CLEAN, 9);
        pair.run(Duration::from_millis(millis));
        pair.cut(true);
        assert!(pair.run_until(Duration::from_secs(600), Pair::is_closed), "cut at {millis} ms");
    }
}

#[test]
fn a_broken_control_connection_ends_the_tunnel_at_every_stage() {
    for millis in 0..30 {
        let mut pair = encrypted(Quality::CLEAN, 10);
        pair.run(Duration::from_millis(millis));
        pair.break_tcp();
        assert!(pair.is_closed(), "broken at {millis} ms");
        let end = end(&pair, Side::Server);
        assert!(
            matches!(
                end,
                End::Call(CallEnd::ConnectionClosed) | End::Connection(Cause::PeerClosed)
            ),
            "broken at {millis} ms: {end:?}"
        );
    }
}

#[test]
fn a_server_without_room_refuses_the_call_and_the_client_says_so() {
    let policy = MppePolicy::REQUIRE_128;
    let full = control::Config { max_calls: 0, ..control::Config::default() };
    let server = Settings { control: full, ..Settings::server(policy) };
    let mut pair = Pair::new(server, Settings::client(policy), Quality::CLEAN, true, 11);
    assert!(pair.run_until(Duration::from_secs(10), Pair::is_closed));
    assert_eq!(end(&pair, Side::Client), &End::Refused(4, 0));
}

#[test]
fn an_idle_tunnel_wakes_only_for_keepalives() {
    let mut pair = encrypted(Quality::CLEAN, 12);
    pair.run_until(Duration::from_secs(1), Pair::is_open);
    pair.run(Duration::from_secs(1));
    let next = pair.endpoint(Side::Server).next_timeout().unwrap();
    assert!(next - pair.now() > Duration::from_secs(20), "{:?}", next - pair.now());
    pair.run(Duration::from_secs(3600));
    assert!(pair.is_open());
}

/// Random control frames are believed, or PPP would not work; but nothing else that is not encrypted changes anything.
#[test]
fn a_forger_who_knows_the_call_id_stops_no_packet() {
    let mut pair = encrypted(Quality::CLEAN, 13);
    assert!(pair.run_until(Duration::from_secs(1), Pair::is_open));
    let mut dice = Dice::new(13);
    for number in 0..100 {
        for _ in 0..20 {
            let payload = match dice.percent(70) {
                true => {
                    let count = dice.u64() as u8;
                    [&[0xfd, 0x90 | count & 0x0f, count][..], &dice.seed(), &dice.seed()].concat()
                }
                false => [&[0x00, 0x21][..], &ip_packet(Side::Client, 60_000, 60)].concat(),
            };
            let seq = Some(number + dice.below(2000) as u32);
            let header = Header { call_id: Pair::call_id(Side::Server), seq, ack: seq };
            let mut packet = alloc::vec![0; header.wire_len()];
            header.emit(payload.len(), &mut packet);
            packet.extend(payload);
            pair.forge(Side::Server, packet);
        }
        pair.send_ip(Side::Client, &ip_packet(Side::Client, number as u16, 100));
        pair.run(Duration::from_millis(2));
    }
    assert_eq!(pair.delivered(Side::Client), 100);
    assert_eq!(pair.endpoint(Side::Server).stats().unwrap().drops.total(), 2000);
}

/// CCP between two engines agrees on stateless MPPE where it can, so that stateful packet paths are run without their links.
#[test]
fn stateful_mppe_recovers_from_every_loss_on_bad_lines() {
    for seed in 0..100 {
        let mut dice = Dice::new(seed);
        let quality = Quality { loss: dice.below(4) as u8, ..Quality::random(&mut dice) };
        let (mut sender, mut receiver) = stateful_paths();
        let mut line = Line::new(quality, dice);
        let mut now = Instant::ZERO;
        let mut reset_at = None;
        let mut received = BTreeSet::new();
        let mut buffer = [0; 2000];
        for number in 0..2000u16 {
            now += Duration::from_millis(5);
            if reset_at.is_some_and(|at| at <= now) {
                reset_at = None;
                sender.reset_transmit();
                receiver.receive_reset_acked(now);
            }
            let len = sender.outbound_ip(now, &ip_packet(Side::Client, number, 60), &mut buffer);
            line.send(now, buffer[..len.unwrap()].to_vec());
            let mut handle = |inbound: Inbound, packet: &[u8]| match inbound {
                Inbound::Ip(range) => {
                    let ip = &packet[range];
                    let number = u16::from_be_bytes([ip[20], ip[21]]);
                    assert_eq!(ip, ip_packet(Side::Client, number, 60), "seed {seed}");
                    assert!(received.insert(number), "seed {seed}: {number} came twice");
                }
                Inbound::ResetNeeded => {
                    reset_at.get_or_insert(now + quality.delay * 2);
                }
                _ => {}
            };
            while let Some(mut packet) = line.receive(now) {
                let inbound = receiver.inbound(now, &mut packet);
                handle(inbound, &packet);
            }
            while let Some(inbound) = receiver.take_ready(now, &mut buffer) {
                handle(inbound, &buffer);
            }
        }
        let late = received.range(1500..).count();
        assert!(late > 50, "seed {seed}: {late} of the last packets, {quality:?}");
    }
}

fn stateful_paths() -> (DataPath, DataPath) {
    let ipv4 = Ipv4Agreed {
        local: Ipv4Addr::new(192, 168, 1, 1),
        remote: Ipv4Addr::new(192, 168, 1, 50),
        dns: [None; 2],
    };
    let permit = NetworkPermit::for_tests(Some(ipv4), None, true, 1400);
    let path = || {
        let config =
            Config { our_call_id: 1, peer_call_id: 1, check_source: true, clamp_mss: true };
        let direction = DirectionKeys {
            start: StartKey::from_bytes([7; 16]),
            strength: Strength::Bits128,
            mode: Mode::Stateful,
        };
        let mut path = DataPath::new(config);
        path.install_keys(&Keys { send: direction.clone(), receive: direction });
        path.open_network(permit);
        path
    };
    (path(), path())
}
