//! Two data planes with a tunnel between them.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use common::*;
use crypto::mppe::Mode;
use dataplane::{Command, Dataplane, GrePath, IoMode, NewCall, Notice, Settings};

/// Both ends of a tunnel with keys, interfaces and open network.
fn open_tunnel(cable: &Cable, mode: Mode, workers: [usize; 2]) -> [Station; 2] {
    let stations = [0, 1].map(|end| cable.station(end, workers[end]));
    for (end, station) in stations.iter().enumerate() {
        station.dataplane.add(call(end));
        station.dataplane.send(CALL[end], Command::Keys(keys(end, mode)));
        let tun = Some(cable.tun(end));
        let permit = permit(end, true);
        station.dataplane.send(CALL[end], Command::OpenNetwork { permit, tun });
    }
    stations
}

/// How many packets or super-packets an interface of the calling thread's namespace has received and sent.
fn interface_packets(name: &str) -> [u64; 2] {
    let text = std::fs::read_to_string("/proc/thread-self/net/dev").unwrap();
    let line = text.lines().find_map(|line| line.trim().strip_prefix(name)).unwrap();
    let figures: Vec<u64> =
        line[1..].split_whitespace().map(|figure| figure.parse().unwrap()).collect();
    [figures[1], figures[9]]
}

fn exchange(sockets: &[UdpSocket; 2], from: usize, payload: &[u8]) {
    sockets[from].send_to(payload, (INNER[1 - from], 5000)).unwrap();
    let mut buffer = [0; 2048];
    let (len, sender) = sockets[1 - from].recv_from(&mut buffer).unwrap();
    assert_eq!((sender.ip(), &buffer[..len]), (INNER[from].into(), payload));
}

#[test]
fn packets_of_all_sizes_pass_both_ways_encrypted() {
    for mode in [Mode::Stateless, Mode::Stateful] {
        with_cable(|cable| {
            let stations = open_tunnel(cable, mode, [2, 1]);
            let sockets = [0, 1].map(|end| cable.udp(end));
            let mut listener = cable.peer(1);
            for size in [0, 1, 100, usize::from(MTU) - 28] {
                for from in [0, 1] {
                    exchange(&sockets, from, &vec![b'x'; size]);
                }
            }
            for (end, station) in stations.iter().enumerate() {
                let notices = station.notices();
                let first = |notice: &Notice| match notice {
                    Notice::First { call, generation: 7, what } if *call == CALL[end] => {
                        Some(*what)
                    }
                    other => panic!("{other:?}"),
                };
                let firsts: HashSet<_> = notices.iter().filter_map(first).collect();
                assert_eq!((notices.len(), firsts.len()), (4, 4), "{notices:?}");
            }
            // What is on the cable is PPP frames of compressed datagrams, and the payload is nowhere to be seen.
            let mut seen = 0;
            while let Some(packet) = listener.receive(Duration::ZERO) {
                let (header, frame) = wire::gre::parse(&packet).unwrap();
                assert_eq!(header.call_id, CALL[1]);
                if header.seq.is_some() {
                    assert_eq!(frame[..4], [0xff, 0x03, 0x00, 0xfd]);
                    assert!(!frame.windows(8).any(|bytes| bytes == b"xxxxxxxx"));
                    seen += 1;
                }
            }
            assert_eq!(seen, 4);
        });
    }
}

#[test]
fn a_burst_loses_nothing_and_is_counted() {
    with_cable(|cable| {
        let stations = [0, 1].map(|end| cable.station(end, 1));
        let counters = [0, 1].map(|end| stations[end].dataplane.add(call(end)));
        for (end, station) in stations.iter().enumerate() {
            station.dataplane.send(CALL[end], Command::Keys(keys(end, Mode::Stateless)));
            let command =
                Command::OpenNetwork { permit: permit(end, true), tun: Some(cable.tun(end)) };
            station.dataplane.send(CALL[end], command);
        }
        let sockets = [0, 1].map(|end| cable.udp(end));
        // A TUN device's own queue holds 500 packets.
        for round in 0..10u8 {
            for number in 0..200u8 {
                sockets[0].send_to(&[round, number], (INNER[1], 5000)).unwrap();
            }
            for number in 0..200u8 {
                let mut buffer = [0; 16];
                assert_eq!(sockets[1].recv(&mut buffer).unwrap(), 2);
                assert_eq!(buffer[..2], [round, number]);
            }
        }
        // Figures are published at the end of each wake-up.
        let figures = || [0, 1].map(|end: usize| counters[end].snapshot());
        let is_through = || figures().map(|it| it.gre_received + it.gre_sent >= 2000) == [true; 2];
        let give_up = Instant::now() + PATIENCE;
        while !is_through() && Instant::now() < give_up {}
        let [sender, receiver] = figures();
        assert_eq!((sender.sent_packets, sender.sent_bytes), (2000, 2000 * 30));
        assert_eq!((receiver.received_packets, receiver.received_bytes), (2000, 2000 * 30));
        assert_eq!((receiver.gre_received, receiver.gre_lost), (2000, 0));
        assert_eq!((receiver.dropped_in_all(), receiver.no_interface), (0, 0));
        assert!(receiver.last_activity > 0 && receiver.last_activity <= sys::monotonic_nanos());
        assert!(sender.round_trip_micros > 0);
    });
}

#[test]
fn removal_closes_the_interface_and_gives_the_figures() {
    with_cable(|cable| {
        let stations = open_tunnel(cable, Mode::Stateless, [1, 1]);
        let sockets = [0, 1].map(|end| cable.udp(end));
        exchange(&sockets, 1, b"hello");
        assert!(cable.has_interface(0, "ppp0"));
        stations[0].dataplane.send(CALL[0], Command::Remove);
        let received = stations[0].wait_for(|notice| match notice {
            Notice::Removed { call, generation: 7, counters } => {
                assert_eq!(*call, CALL[0]);
                Some(counters.received_packets)
            }
            _ => None,
        });
        assert_eq!(received, 1);
        assert!(!cable.has_interface(0, "ppp0"));
        // Its packets are strangers now.
        sockets[1].send_to(b"anybody?", (INNER[0], 5000)).unwrap();
        let unknown = stations[0].wait_for(|notice| match notice {
            Notice::UnknownCall { from, call_id, suppressed: 0 } => Some((*from, *call_id)),
            _ => None,
        });
        assert_eq!(unknown, (OUTER[1], CALL[0]));
    });
}

#[test]
fn dropping_the_data_plane_closes_every_interface() {
    with_cable(|cable| {
        let stations = open_tunnel(cable, Mode::Stateless, [2, 2]);
        assert!(cable.has_interface(0, "ppp0") && cable.has_interface(1, "ppp0"));
        drop(stations);
        assert!(!cable.has_interface(0, "ppp0") && !cable.has_interface(1, "ppp0"));
    });
}

#[test]
fn the_end_does_not_wait_for_somebody_who_hears_nothing_any_more() {
    with_cable(|cable| {
        let dataplane = cable.at(0, || {
            let settings = Settings {
                workers: 1,
                device: None,
                io: IoMode::Batched,
                path: GrePath::Raw,
                sandbox: sandbox(),
            };
            Dataplane::start(settings, Err).unwrap()
        });
        for generation in 0..3 {
            dataplane.add(NewCall { generation, ..call(0) });
            dataplane.send(CALL[0], Command::Remove);
        }
        let start = Instant::now();
        drop(dataplane);
        assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    });
}

#[test]
fn a_tcp_connection_carries_bytes_through_the_tunnel_in_super_packets() {
    with_cable(|cable| {
        let _stations = open_tunnel(cable, Mode::Stateless, [1, 1]);
        carry_a_megabyte(cable);
        // By themselves these are 740 packets.
        let [_, sent] = cable.at(1, || interface_packets("ppp0"));
        assert!((1..370).contains(&sent), "{sent}");
    });
}

#[test]
fn a_kernel_without_super_packets_and_the_naive_way_carry_the_same_bytes() {
    for io in [IoMode::Batched, IoMode::Naive] {
        with_cable(|cable| {
            let settings =
                Settings { workers: 1, device: None, io, path: GrePath::Raw, sandbox: sandbox() };
            let _dataplanes = [0, 1].map(|end| {
                let dataplane = cable.at(end, || Dataplane::start(settings, |_| Ok(())).unwrap());
                dataplane.add(call(end));
                dataplane.send(CALL[end], Command::Keys(keys(end, Mode::Stateless)));
                let mut tun = cable.tun(end);
                if io == IoMode::Batched {
                    tun.forgo_offloads().unwrap();
                }
                let permit = permit(end, true);
                dataplane.send(CALL[end], Command::OpenNetwork { permit, tun: Some(tun) });
                dataplane
            });
            carry_a_megabyte(cable);
            let [_, sent] = cable.at(1, || interface_packets("ppp0"));
            assert!(sent >= 740, "{sent}");
        });
    }
}

/// Over TCP, from end 1 to end 0.
fn carry_a_megabyte(cable: &Cable) {
    let listener = cable.at(0, || TcpListener::bind((INNER[0], 6000)).unwrap());
    let mut client = cable.at(1, || TcpStream::connect((INNER[0], 6000)).unwrap());
    let (mut server, _) = listener.accept().unwrap();
    let bytes: Vec<u8> = (0..1_000_000u32).map(|number| (number % 251) as u8).collect();
    thread::scope(|scope| {
        scope.spawn(|| client.write_all(&bytes).unwrap());
        let mut read = vec![0; bytes.len()];
        server.read_exact(&mut read).unwrap();
        assert!(read == bytes);
    });
}

#[test]
fn a_question_to_all_dhcp_servers_is_told_once_a_second_and_passed_on() {
    with_cable(|cable| {
        let stations = open_tunnel(cable, Mode::Stateless, [1, 1]);
        let to = |destination: [u8; 4], port: u16| {
            let mut packet = ip_frame(1, b"x")[4..].to_vec();
            packet[16..20].copy_from_slice(&destination);
            packet[22..24].copy_from_slice(&port.to_be_bytes());
            packet[10..12].fill(0);
            let words = packet[..20].chunks(2).map(|it| u32::from(it[0]) << 8 | u32::from(it[1]));
            let sum: u32 = words.sum();
            let checksum = !((sum & 0xffff) + (sum >> 16)) as u16;
            packet[10..12].copy_from_slice(&checksum.to_be_bytes());
            packet
        };
        let question = to([255; 4], 67);
        let others = [to([255; 4], 68), to([255, 255, 255, 254], 67)];
        let end = ip_frame(1, b"end")[4..].to_vec();
        let questions = [question.clone(), question.clone(), end];
        let socket = cable.udp(0);
        for packet in others.into_iter().chain(questions) {
            stations[1].dataplane.send(CALL[1], Command::Packet(packet));
        }
        assert_eq!(socket.recv(&mut [0; 8]).unwrap(), 3);
        let told = stations[0].wait_for(|notice| match notice {
            Notice::DhcpRequest { call, generation: 7, packet } => {
                assert_eq!(*call, CALL[0]);
                Some(packet.clone())
            }
            _ => None,
        });
        assert_eq!(told, question);
        stations[0].dataplane.send(CALL[0], Command::Remove);
        stations[0].wait_for(|notice| match notice {
            Notice::DhcpRequest { .. } => panic!("it was told twice"),
            Notice::Removed { counters, .. } => {
                assert_eq!(counters.received_packets, 5);
                Some(())
            }
            _ => None,
        });
    });
}
