//! One data plane and a peer that does what it wants.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use common::*;
use crypto::mppe::Mode;
use dataplane::{Command, First, Notice, TosPolicy};
use engine::data::DropReason;
use sys::netlink::Netlink;

/// An LCP Echo-Request with an address and control field.
const ECHO: &[u8] = &[0xff, 0x03, 0xc0, 0x21, 9, 1, 0, 8, 0, 0, 0, 0];

fn frame(notice: &Notice) -> Option<Vec<u8>> {
    match notice {
        Notice::Frame { call, generation: 7, frame } if *call == CALL[0] => Some(frame.clone()),
        _ => None,
    }
}

#[test]
fn control_frames_are_handed_up_and_acknowledged_within_100_ms() {
    with_cable(|cable| {
        let station = cable.station(0, 3);
        station.dataplane.add(call(0));
        let mut peer = cable.peer(1);
        let mut delays: Vec<_> = (1..10)
            .map(|seq| {
                let sent = Instant::now();
                peer.send(&gre(0, Some(seq), None, ECHO));
                assert_eq!(station.wait_for(frame), ECHO);
                assert_eq!(peer.receive(PATIENCE).unwrap(), gre(1, None, Some(seq), &[]));
                sent.elapsed()
            })
            .collect();
        // A busy machine may hold up one or the other.
        delays.sort();
        assert!(delays[4] < Duration::from_millis(100), "{delays:?}");
        assert_eq!(peer.receive(Duration::from_millis(150)), None);
    });
}

#[test]
fn congestion_marks_pass_from_the_packet_around_to_the_packet_inside() {
    with_cable(|cable| {
        let station = cable.station(0, 1);
        let counters = station.dataplane.add(call(0));
        let tun = Some(cable.tun(0));
        let permit = permit(0, false);
        station.dataplane.send(CALL[0], Command::OpenNetwork { permit, tun });
        let peer = cable.peer(1);
        // The packet in the frame knows nothing of ECN: a mark on the way is congestion that it was to be dropped for.
        let socket = cable.udp(0);
        for (seq, tos, payload) in [(0, 0, b"one"), (1, 3, b"two"), (2, 0xb8 | 2, b"six")] {
            peer.send_marked(OUTER[1], &gre(0, Some(seq), None, &ip_frame(1, payload)), tos);
        }
        let mut buffer = [0; 16];
        for payload in [b"one", b"six"] {
            assert_eq!(socket.recv(&mut buffer).unwrap(), 3);
            assert_eq!(&buffer[..3], payload);
        }
        let give_up = Instant::now() + PATIENCE;
        while counters.snapshot().dropped(DropReason::Congestion) == 0 && Instant::now() < give_up {
        }
        assert_eq!(counters.snapshot().dropped(DropReason::Congestion), 1);
    });
}

#[test]
fn the_packet_around_has_what_the_policy_copies_of_the_tos() {
    let policies = [(TosPolicy::Clear, 0), (TosPolicy::Ecn, 2), (TosPolicy::All, 0xba)];
    for (tos, expected) in policies {
        with_cable(|cable| {
            let station = cable.station(0, 1);
            station.dataplane.add(dataplane::NewCall { tos, ..call(0) });
            let tun = Some(cable.tun(0));
            let permit = permit(0, false);
            station.dataplane.send(CALL[0], Command::OpenNetwork { permit, tun });
            let mut peer = cable.peer(1);
            let target = INNER[1].to_string();
            let ping = ["-c", "1", "-W", "1", "-Q", "0xba", &target];
            std::process::Command::new("ping").args(ping).output().unwrap();
            let packet = peer.receive_whole(PATIENCE).unwrap();
            // The ping is in clear: GRE and PPP headers are 12 and 4 bytes long.
            assert_eq!((packet[1], packet[20 + 12 + 4 + 1]), (expected, 0xba), "{tos:?}");
        });
    }
}

#[test]
fn an_answer_carries_the_acknowledgement() {
    with_cable(|cable| {
        let station = cable.station(0, 1);
        station.dataplane.add(call(0));
        let mut peer = cable.peer(1);
        peer.send(&gre(0, Some(0), None, ECHO));
        station.wait_for(frame);
        station.dataplane.send(CALL[0], Command::Frame(ECHO.to_vec()));
        assert_eq!(peer.receive(PATIENCE).unwrap(), gre(1, Some(0), Some(0), ECHO));
        assert_eq!(peer.receive(Duration::from_millis(150)), None);
    });
}

#[test]
fn a_traced_call_tells_of_each_packet_and_others_of_none() {
    with_cable(|cable| {
        let station = cable.station(0, 1);
        station.dataplane.add(dataplane::NewCall { trace: true, ..call(0) });
        let peer = cable.peer(1);
        for seq in [1, 3, 3] {
            peer.send(&gre(0, Some(seq), None, ECHO));
        }
        let mut told = Vec::new();
        while told.len() < 3 {
            told.push(station.wait_for(|notice| match notice {
                Notice::Packet { seq, expected, dropped, suppressed: 0, .. } => {
                    Some((*seq, *expected, *dropped))
                }
                _ => None,
            }));
        }
        let duplicate = Some(DropReason::Duplicate);
        assert_eq!(told, [(1, None, None), (3, Some(2), None), (3, Some(4), duplicate)]);
        // Without `trace` the same packets say nothing of themselves.
        station.dataplane.add(call(0));
        peer.send(&gre(0, Some(1), None, ECHO));
        station.wait_for(|notice| {
            assert!(!matches!(notice, Notice::Packet { .. }), "{notice:?}");
            frame(notice)
        });
    });
}

#[test]
fn frames_leave_in_the_order_in_which_they_were_given() {
    with_cable(|cable| {
        let station = cable.station(0, 2);
        station.dataplane.add(call(0));
        let mut peer = cable.peer(1);
        let frame = |number: u8| vec![0xff, 0x03, 0xc0, 0x21, 10, number, 0, 4];
        for number in 0..200 {
            station.dataplane.send(CALL[0], Command::Frame(frame(number)));
        }
        for number in 0..200 {
            let expected = gre(1, Some(number.into()), None, &frame(number));
            assert_eq!(peer.receive(PATIENCE).unwrap(), expected);
        }
        // What was given just before the end still leaves.
        station.dataplane.send(CALL[0], Command::Frame(frame(200)));
        station.dataplane.send(CALL[0], Command::Remove);
        assert_eq!(peer.receive(PATIENCE).unwrap(), gre(1, Some(200), None, &frame(200)));
    });
}

#[test]
fn packets_that_came_before_the_network_was_open_are_delivered_then() {
    with_cable(|cable| {
        let station = cable.station(0, 1);
        let counters = station.dataplane.add(call(0));
        let peer = cable.peer(1);
        for number in 0..12u8 {
            peer.send(&gre(0, Some(number.into()), None, &ip_frame(1, &[number])));
        }
        peer.send(&gre(0, Some(12), None, ECHO));
        station.wait_for(frame);
        let tun = cable.tun(0);
        let socket = cable.udp(0);
        let permit = permit(0, false);
        station.dataplane.send(CALL[0], Command::OpenNetwork { permit, tun: Some(tun) });
        for number in 0..8 {
            let mut buffer = [0; 16];
            assert_eq!(socket.recv(&mut buffer).unwrap(), 1);
            assert_eq!(buffer[0], number);
        }
        assert_eq!(counters.snapshot().early_dropped, 4);
    });
}

#[test]
fn an_unencrypted_packet_is_dropped_where_encryption_is_required() {
    with_cable(|cable| {
        let station = cable.station(0, 1);
        let counters = station.dataplane.add(call(0));
        let peer = cable.peer(1);
        station.dataplane.send(CALL[0], Command::Keys(keys(0, Mode::Stateless)));
        let permit = permit(0, true);
        station.dataplane.send(CALL[0], Command::OpenNetwork { permit, tun: None });
        peer.send(&gre(0, Some(0), None, &ip_frame(1, b"in clear")));
        peer.send(&gre(0, Some(1), None, ECHO));
        station.wait_for(frame);
        wait_until(|| counters.snapshot().dropped(DropReason::Unencrypted) == 1);
        assert_eq!(counters.snapshot().received_packets, 0);
    });
}

#[test]
fn calls_that_do_not_exist_are_reported_once_a_second_and_counted() {
    with_cable(|cable| {
        let station = cable.station(0, 1);
        let peer = cable.peer(1);
        for seq in 0..50 {
            peer.send(&gre(0, Some(seq), None, ECHO));
        }
        wait_until(|| station.dataplane.totals().unknown_calls == 50);
        let notices = station.notices();
        let [Notice::UnknownCall { from, call_id, suppressed: 0 }] = &notices[..] else {
            panic!("{notices:?}");
        };
        assert_eq!((*from, *call_id), (OUTER[1], CALL[0]));
    });
}

#[test]
fn packets_from_another_address_than_the_peers_are_dropped() {
    with_cable(|cable| {
        let stranger = Ipv4Addr::new(10, 9, 0, 66);
        let station = cable.station(0, 1);
        let counters = station.dataplane.add(call(0));
        let peer = cable.peer(1);
        cable.at(1, || {
            let mut netlink = Netlink::open().unwrap();
            let interface = netlink.index_of("eth0").unwrap();
            netlink.add_address(interface, stranger.into(), 24).unwrap();
        });
        for seq in 0..5 {
            peer.send_from(stranger, &gre(0, Some(seq), None, ECHO));
        }
        peer.send(&gre(0, Some(0), None, ECHO));
        let from = station.wait_for(|notice| match notice {
            Notice::Frame { .. } | Notice::First { .. } => panic!("{notice:?}"),
            Notice::WrongPeer { call, from, .. } if *call == CALL[0] => Some(*from),
            _ => None,
        });
        assert_eq!(from, stranger);
        assert_eq!(station.wait_for(frame), ECHO);
        assert_eq!(counters.snapshot().wrong_peer, 5);
        assert!(station.notices().is_empty());
    });
}

#[test]
fn a_flood_of_control_frames_does_not_fill_the_control_planes_channel() {
    with_cable(|cable| {
        let station = cable.station(0, 1);
        let counters = station.dataplane.add(call(0));
        let peer = cable.peer(1);
        // Fifty at a time: a worker that does not get the processor for a while
        // must not lose packets to a full socket, which is not the matter here.
        for seq in 0..500 {
            peer.send(&gre(0, Some(seq), None, ECHO));
            if seq % 50 == 49 {
                wait_until(|| counters.snapshot().gre_received == u64::from(seq) + 1);
            }
        }
        let handed_up = station.notices().iter().filter_map(frame).count();
        assert!((64..200).contains(&handed_up), "{handed_up}");
        assert_eq!(counters.snapshot().frames_refused, 500 - handed_up as u64);
    });
}

#[test]
fn junk_is_counted_and_harms_nobody() {
    with_cable(|cable| {
        let station = cable.station(0, 1);
        let counters = station.dataplane.add(call(0));
        let peer = cable.peer(1);
        let good = gre(0, Some(0), None, ECHO);
        for len in 8..good.len() {
            peer.send(&good[..len]);
        }
        let mut long = gre(0, Some(0), None, ECHO);
        long.extend_from_slice(&[0; 3000]);
        peer.send(&long);
        station.wait_for(frame);
        let dropped = counters.snapshot();
        wait_until(|| counters.snapshot().dropped_in_all() == good.len() as u64 - 8);
        assert_eq!(dropped.wrong_peer, 0);
    });
}

#[test]
fn an_interface_that_somebody_deletes_is_reported_and_the_call_goes_on() {
    with_cable(|cable| {
        let station = cable.station(0, 1);
        let counters = station.dataplane.add(call(0));
        let peer = cable.peer(1);
        let tun = cable.tun(0);
        let index = tun.index();
        let permit = permit(0, false);
        station.dataplane.send(CALL[0], Command::OpenNetwork { permit, tun: Some(tun) });
        peer.send(&gre(0, Some(0), None, &ip_frame(1, b"in time")));
        station.wait_for(|notice| match notice {
            Notice::First { what: First::PacketReceived, .. } => Some(()),
            _ => None,
        });
        Netlink::open().unwrap().delete_link(index).unwrap();
        peer.send(&gre(0, Some(1), None, &ip_frame(1, b"late")));
        station.wait_for(|notice| match notice {
            Notice::InterfaceGone { call, generation: 7, .. } => {
                assert_eq!(*call, CALL[0]);
                Some(())
            }
            _ => None,
        });
        for seq in 2..4 {
            peer.send(&gre(0, Some(seq), None, &ip_frame(1, b"later")));
        }
        peer.send(&gre(0, Some(4), None, ECHO));
        assert_eq!(station.wait_for(frame), ECHO);
        assert!(counters.snapshot().no_interface >= 2);
        let again = |notice: &Notice| matches!(notice, Notice::InterfaceGone { .. });
        assert!(!station.notices().iter().any(again));
    });
}

#[test]
fn an_interface_that_is_down_costs_packets_and_not_the_interface() {
    with_cable(|cable| {
        let station = cable.station(0, 1);
        let counters = station.dataplane.add(call(0));
        let peer = cable.peer(1);
        let tun = cable.tun(0);
        let index = tun.index();
        let socket = cable.udp(0);
        let permit = permit(0, false);
        station.dataplane.send(CALL[0], Command::OpenNetwork { permit, tun: Some(tun) });
        let mut netlink = Netlink::open().unwrap();
        netlink.set_up(index, false).unwrap();
        peer.send(&gre(0, Some(0), None, &ip_frame(1, b"lost")));
        wait_until(|| counters.snapshot().no_interface == 1);
        netlink.set_up(index, true).unwrap();
        netlink.delete_peer_address(index, INNER[0], INNER[1]).ok();
        netlink.add_peer_address(index, INNER[0], INNER[1]).unwrap();
        peer.send(&gre(0, Some(1), None, &ip_frame(1, b"well")));
        let mut buffer = [0; 16];
        let len = socket.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..len], b"well");
    });
}

#[test]
fn a_call_of_the_same_id_takes_the_place_of_the_earlier_one() {
    with_cable(|cable| {
        let station = cable.station(0, 1);
        station.dataplane.add(call(0));
        station.dataplane.add(dataplane::NewCall { generation: 8, ..call(0) });
        station.wait_for(|notice| {
            matches!(notice, Notice::Removed { generation: 7, .. }).then_some(())
        });
        cable.peer(1).send(&gre(0, Some(0), None, ECHO));
        station
            .wait_for(|notice| matches!(notice, Notice::Frame { generation: 8, .. }).then_some(()));
    });
}

#[test]
fn packets_that_cannot_leave_are_reported_once_and_counted() {
    with_cable(|cable| {
        let station = cable.station(0, 1);
        let peer = Ipv4Addr::new(203, 0, 113, 1);
        let counters = station.dataplane.add(dataplane::NewCall { peer, ..call(0) });
        for _ in 0..100 {
            station.dataplane.send(CALL[0], Command::Frame(ECHO.to_vec()));
        }
        wait_until(|| station.dataplane.totals().not_sent == 100);
        let reports: Vec<_> = station
            .notices()
            .into_iter()
            .filter_map(|notice| match notice {
                Notice::NotSent { call, generation: 7, error } => Some((call, error.kind())),
                _ => None,
            })
            .collect();
        assert_eq!(reports, [(CALL[0], std::io::ErrorKind::NetworkUnreachable)]);
        assert!(counters.snapshot().not_sent > 0);
    });
}

fn wait_until(condition: impl Fn() -> bool) {
    let give_up = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < give_up, "it did not come to that");
        std::thread::sleep(Duration::from_millis(1));
    }
}
