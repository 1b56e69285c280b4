//! Ways past the raw sockets: that packets take them, and that they make no difference.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::net::UdpSocket;
use std::thread;
use std::time::{Duration, Instant};

use common::*;
use crypto::mppe::Mode;
use dataplane::{Command, GrePath, IoMode, Opened, Settings};
use engine::Random;
use engine::data::{DataPath, HEADROOM};
use sys::netlink::Netlink;

/// Settings by this way.
fn by<'a>(path: GrePath<'a>, workers: usize, io: IoMode) -> Settings<'a> {
    Settings { workers, device: None, io, path, sandbox: sandbox() }
}

/// The interface of both ends of the cable.
fn cable_interface() -> [String; 1] {
    ["eth0".to_owned()]
}

/// Opens one end of the tunnel, with its interface.
fn open_end(cable: &Cable, end: usize, settings: Settings<'_>, mode: Mode) -> Station {
    let station = cable.station_with(end, settings);
    match (settings.path, station.dataplane.gre_path()) {
        (GrePath::Raw, Opened::Raw) | (GrePath::Packet, Opened::Packet) => {}
        (GrePath::Xdp(_), Opened::Xdp(interfaces)) => {
            assert_eq!(interfaces[..], [("eth0".to_owned(), true)]);
        }
        (_, opened) => panic!("{opened:?}"),
    }
    station.dataplane.add(call(end));
    station.dataplane.send(CALL[end], Command::Keys(keys(end, mode)));
    let tun = Some(cable.tun(end));
    station.dataplane.send(CALL[end], Command::OpenNetwork { permit: permit(end, true), tun });
    station
}

/// Sends a datagram from one end until it comes at the other: what does not come within a moment is sent again.
fn exchange(sockets: &[UdpSocket; 2], from: usize, payload: &[u8]) {
    let receiver = &sockets[1 - from];
    receiver.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let give_up = Instant::now() + PATIENCE;
    let mut buffer = [0; 2048];
    loop {
        sockets[from].send_to(payload, (INNER[1 - from], 5000)).unwrap();
        while let Ok((len, _)) = receiver.recv_from(&mut buffer) {
            if &buffer[..len] == payload {
                return;
            }
        }
        assert!(Instant::now() < give_up, "nothing comes through");
    }
}

#[test]
fn packets_pass_both_ways_by_every_way_and_with_each_number_of_workers() {
    let interface = cable_interface();
    for path in [GrePath::Packet, GrePath::Xdp(&interface)] {
        for (workers, mode) in [(1, Mode::Stateless), (2, Mode::Stateless), (2, Mode::Stateful)] {
            with_cable(|cable| {
                let settings = by(path, workers, IoMode::Batched);
                let _stations = [0, 1].map(|end| open_end(cable, end, settings, mode));
                let sockets = [0, 1].map(|end| cable.udp(end));
                let mut seen = cable.peer(1);
                for size in [1, 100, usize::from(MTU) - 28] {
                    for from in [0, 1] {
                        exchange(&sockets, from, &vec![b'x'; size]);
                    }
                }
                // By now the neighbours know each other.
                while seen.receive(Duration::from_millis(50)).is_some() {}
                exchange(&sockets, 0, b"by which way?");
                let packet = seen.receive_whole(Duration::from_millis(300));
                match path {
                    // The kernel does not see it.
                    GrePath::Xdp(_) => assert_eq!(packet, None),
                    // The kernel's own packets that may be fragmented never have small numbers in a row.
                    _ => {
                        let packet = packet.unwrap();
                        assert!(u16::from_be_bytes([packet[4], packet[5]]) < 50);
                    }
                }
            });
        }
    }
}

#[test]
fn packets_follow_the_peer_to_another_hardware_address() {
    let interface = cable_interface();
    for path in [GrePath::Packet, GrePath::Xdp(&interface)] {
        with_cable(|cable| {
            let settings = [by(path, 1, IoMode::Batched), by(GrePath::Raw, 1, IoMode::Batched)];
            let _stations = [0, 1].map(|end| open_end(cable, end, settings[end], Mode::Stateless));
            let sockets = [0, 1].map(|end| cable.udp(end));
            exchange(&sockets, 0, b"before");
            exchange(&sockets, 0, b"before, too");
            // As when another machine takes the address over: it announces itself by asking.
            cable.at(1, || {
                let mut netlink = Netlink::open().unwrap();
                let index = netlink.index_of("eth0").unwrap();
                netlink.set_hardware_address(index, [2, 0, 0, 0, 9, 9]).unwrap();
                netlink.set_up(index, false).unwrap();
                netlink.set_up(index, true).unwrap();
            });
            exchange(&sockets, 1, b"hello");
            exchange(&sockets, 0, b"after");
        });
    }
}

#[test]
fn what_cannot_be_opened_leaves_the_raw_sockets() {
    with_cable(|cable| {
        for (name, text) in [("lo", "no Ethernet"), ("eth7", "no such interface")] {
            let names = [name.to_owned()];
            let station = cable.station_with(0, by(GrePath::Xdp(&names), 1, IoMode::Batched));
            let Opened::Refused(why) = station.dataplane.gre_path() else { panic!() };
            assert!(why.contains(text), "{why}");
        }
    });
}

const SEED: [u8; 32] = [9; 32];
const ROUNDS: usize = 8;
const AT_ONCE: usize = 60;

/// What random applications send at once.
fn payloads(random: &mut Random) -> Vec<Vec<u8>> {
    let most = u32::from(MTU) - 28;
    let len = |random: &mut Random| match random.u32() % 3 {
        0 => most,
        _ => random.u32() % most,
    };
    let mut payload = |_| {
        let mut payload = vec![0; len(random) as usize];
        random.fill(&mut payload);
        payload
    };
    (0..AT_ONCE).map(&mut payload).collect()
}

/// The GRE packets that a peer gets of random traffic.
fn sent_by(settings: Settings<'_>) -> Vec<Vec<u8>> {
    let mut sent = Vec::new();
    with_cable(|cable| {
        let _station = open_end(cable, 0, settings, Mode::Stateless);
        let socket = cable.udp(0);
        let mut peer = cable.peer(1);
        let mut random = Random::new(SEED);
        for _ in 0..ROUNDS {
            for payload in payloads(&mut random) {
                socket.send_to(&payload, (INNER[1], 9)).unwrap();
            }
            while let Some(mut packet) = peer.receive(Duration::from_millis(250)) {
                // The kernel chooses identifications at random; the key stream below them is the same each time.
                for field in [4..6, 10..12] {
                    packet[BEFORE_IP..][field].fill(0);
                }
                sent.push(packet);
            }
        }
    });
    sent
}

/// GRE with a sequence number, address and control, protocol, MPPE's header, protocol inside.
const BEFORE_IP: usize = 12 + 2 + 2 + 2 + 2;

#[test]
fn every_packet_that_leaves_is_that_of_the_plain_path() {
    let plain = sent_by(by(GrePath::Raw, 1, IoMode::Naive));
    let interface = cable_interface();
    for path in [GrePath::Raw, GrePath::Packet, GrePath::Xdp(&interface)] {
        for workers in [1, 2] {
            let fast = sent_by(by(path, workers, IoMode::Batched));
            assert_eq!(fast.len(), plain.len(), "{path:?}");
            let differ = fast.iter().zip(&plain).position(|(fast, plain)| fast != plain);
            assert_eq!(differ, None, "{path:?}, {workers} workers");
        }
    }
}

/// What a peer sends of random traffic by a way that loses packets, doubles them, and changes their order.
fn disturbed(path: &mut DataPath, random: &mut Random) -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    for payload in payloads(random) {
        let packet = ip_frame(1, &payload)[4..].to_vec();
        let mut gre = vec![0; HEADROOM + packet.len()];
        let len = path.outbound_ip(engine::Instant::from_nanos(1), &packet, &mut gre).unwrap();
        gre.truncate(len);
        match random.u32() % 20 {
            0 => {}
            1 => packets.extend([gre.clone(), gre]),
            _ => packets.push(gre),
        }
    }
    for at in 1..packets.len() {
        if random.u32().is_multiple_of(8) {
            packets.swap(at, at - random.u32() as usize % at.min(6));
        }
    }
    packets
}

/// What arrives at the interface of what a peer sends.
fn delivered_by(settings: Settings<'_>) -> Vec<Vec<u8>> {
    let mut delivered = Vec::new();
    with_cable(|cable| {
        let station = open_end(cable, 0, settings, Mode::Stateless);
        let socket = cable.udp(0);
        let peer = cable.peer(1);
        let mut path = DataPath::new(call(1).path);
        path.install_keys(&keys(1, Mode::Stateless));
        path.open_network(permit(1, true));
        let mut random = Random::new(SEED);
        let mut buffer = [0; 2048];
        // Until it is open a worker keeps some packets, and drops others.
        let first = disturbed(&mut path, &mut random);
        socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        thread::sleep(Duration::from_millis(100));
        let mut rounds = vec![first];
        rounds.extend((1..ROUNDS).map(|_| disturbed(&mut path, &mut random)));
        for packets in rounds {
            packets.iter().for_each(|packet| peer.send(packet));
            while let Ok((len, _)) = socket.recv_from(&mut buffer) {
                delivered.push(buffer[..len].to_vec());
            }
        }
        assert_eq!(station.dataplane.totals().malformed, 0);
    });
    delivered
}

#[test]
fn what_is_delivered_is_what_the_plain_path_delivers_whatever_happens_on_the_way() {
    let plain = delivered_by(by(GrePath::Raw, 1, IoMode::Naive));
    assert!(plain.len() > ROUNDS * AT_ONCE * 8 / 10, "{}", plain.len());
    let interface = cable_interface();
    for path in [GrePath::Raw, GrePath::Packet, GrePath::Xdp(&interface)] {
        for workers in [1, 2] {
            let fast = delivered_by(by(path, workers, IoMode::Batched));
            assert_eq!(fast.len(), plain.len(), "{path:?}");
            let differ = fast.iter().zip(&plain).position(|(fast, plain)| fast != plain);
            assert_eq!(differ, None, "{path:?}, {workers} workers");
        }
    }
}
