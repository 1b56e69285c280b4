//! Calls that share an interface, told apart by their inner addresses.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::collections::HashSet;
use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use common::*;
use dataplane::{Command, NewCall, Notice};
use engine::ppp::{Ipv4Agreed, NetworkPermit};
use sys::netlink::{Netlink, Route};
use sys::tun::Tun;

const WORKERS: usize = 2;
const QUEUES: usize = 3 * WORKERS;
/// Our address in the tunnels, and those of the calls.
const LOCAL: Ipv4Addr = INNER[0];
const PORT: u16 = 5000;

/// A client's call: ids that its packets have here and there, and its address in the tunnel.
#[derive(Clone, Copy)]
struct Client {
    ours: u16,
    theirs: u16,
    address: Ipv4Addr,
}

/// Four clients. `fit`: their call ids are those of the workers to which their packets are steered.
fn clients(fit: bool) -> [Client; 4] {
    [2, 3, 4, 5].map(|last: u8| Client {
        ours: 1000 + u16::from(last) + u16::from(!fit),
        theirs: 2000 + u16::from(last),
        address: Ipv4Addr::new(192, 168, 77, last),
    })
}

fn permit_for(address: Ipv4Addr, mtu: u16) -> NetworkPermit {
    let agreed = Ipv4Agreed { local: LOCAL, remote: address, dns: [None; 2] };
    NetworkPermit::for_tests(Some(agreed), None, false, mtu)
}

/// A data plane at end 0 whose calls share an interface; and whether that is steered, which it is only where it is wanted and allowed.
fn station(cable: &Cable, steered: bool) -> (Station, bool) {
    let mut station = cable.station(0, WORKERS);
    let queues = cable.at(0, || {
        let queues = Tun::create_queues("ppp%d", QUEUES).unwrap();
        let mut netlink = Netlink::open().unwrap();
        let index = queues[0].index();
        netlink.disable_address_generation(index).unwrap();
        netlink.set_up(index, true).unwrap();
        netlink.add_address(index, LOCAL.into(), 32).unwrap();
        let mut route = Route::to(Ipv4Addr::new(192, 168, 77, 0), 24);
        route.interface = Some(index);
        netlink.add_route(&route).unwrap();
        queues
    });
    let steered = steered
        && match queues[0].steer_by_destination(QUEUES) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                eprintln!("skipped: no steering: {error}");
                false
            }
            result => result.is_ok(),
        };
    station.dataplane.share(queues).unwrap();
    (station, steered)
}

fn open(station: &Station, client: Client) {
    let mut call = NewCall { generation: u64::from(client.ours), ..call(0) };
    (call.path.our_call_id, call.path.peer_call_id) = (client.ours, client.theirs);
    station.dataplane.add(call);
    let permit = permit_for(client.address, MTU);
    station.dataplane.send(client.ours, Command::OpenNetwork { permit, tun: None });
}

/// A packet from a client's call, with this source.
fn upward(client: Client, source: Ipv4Addr, seq: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = ip_frame(1, payload);
    let ip = &mut frame[4..];
    ip[12..16].copy_from_slice(&source.octets());
    ip[10..12].fill(0);
    let words = ip[..20].chunks(2).map(|it| u32::from(it[0]) << 8 | u32::from(it[1]));
    let sum: u32 = words.sum();
    ip[10..12].copy_from_slice(&(!((sum & 0xffff) + (sum >> 16)) as u16).to_be_bytes());
    let mut packet = gre(0, Some(seq), None, &frame);
    packet[6..8].copy_from_slice(&client.ours.to_be_bytes());
    packet
}

/// The call id and the IP packet of the next packet with data to a client.
fn downward(peer: &mut Peer) -> Option<(u16, Vec<u8>)> {
    loop {
        let packet = peer.receive(Duration::from_secs(2))?;
        let (header, frame) = wire::gre::parse(&packet).unwrap();
        if header.seq.is_some() {
            return Some((header.call_id, frame[4..].to_vec()));
        }
    }
}

fn wait_until(mut condition: impl FnMut() -> bool) {
    let give_up = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < give_up, "it did not come true");
        thread::sleep(Duration::from_millis(2));
    }
}

/// Sends 20 packets to each client, which get them in order. Gives how many were handed over, if the interface was steered as wanted.
fn send_down(steered: bool, fit: bool) -> Option<u64> {
    let mut handed_over = None;
    with_cable(|cable| {
        let (station, is_steered) = station(cable, steered);
        let mut peer = cable.peer(1);
        let clients = clients(fit);
        for client in clients {
            assert_eq!(station.dataplane.fits(client.ours, client.address), fit);
            open(&station, client);
        }
        // A worker that has sent this has heard of all calls.
        for client in clients {
            station.dataplane.send(client.ours, Command::Frame(vec![0xff, 3, 0xc0, 0x21]));
            downward(&mut peer).unwrap();
        }
        let socket = cable.at(0, || UdpSocket::bind((LOCAL, PORT)).unwrap());
        for number in 0..20u8 {
            for client in clients {
                socket.send_to(&[number], (client.address, PORT)).unwrap();
            }
        }
        let mut next = [0u8; 4];
        for _ in 0..80 {
            let (call, packet) = downward(&mut peer).expect("a packet is missing");
            let at = clients.iter().position(|client| client.theirs == call).unwrap();
            assert_eq!(packet[16..20], clients[at].address.octets());
            assert_eq!(packet[28], next[at], "out of order");
            next[at] += 1;
        }
        let totals = station.dataplane.totals();
        assert_eq!((totals.hand_over_full, totals.no_destination), (0, 0));
        handed_over = (is_steered == steered).then_some(totals.handed_over);
    });
    handed_over
}

#[test]
fn each_packet_goes_to_the_call_that_has_its_destination() {
    assert!(matches!(send_down(true, true), Some(0) | None));
}

#[test]
fn packets_of_calls_of_other_workers_are_handed_over() {
    assert!(matches!(send_down(true, false), Some(80) | None));
}

#[test]
fn without_steering_each_packet_arrives_too() {
    send_down(false, true);
}

#[test]
fn packets_of_all_calls_come_up_and_borrowed_sources_do_not() {
    with_cable(|cable| {
        let (station, _) = station(cable, true);
        let clients = clients(true);
        for client in clients {
            open(&station, client);
        }
        let peer = cable.peer(1);
        let socket = cable.udp(0);
        for (number, client) in clients.into_iter().enumerate() {
            let other = clients[(number + 1) % 4].address;
            peer.send(&upward(client, other, 0, b"not mine"));
            peer.send(&upward(client, client.address, 1, &[number as u8]));
        }
        let mut heard = HashSet::new();
        for _ in 0..4 {
            let mut buffer = [0; 64];
            let (len, from) = socket.recv_from(&mut buffer).unwrap();
            assert_eq!(len, 1);
            heard.insert((from.ip(), buffer[0]));
        }
        let all = clients.iter().zip(0..).map(|(client, number)| (client.address.into(), number));
        assert_eq!(heard, all.collect());
    });
}

#[test]
fn an_address_without_a_call_is_counted_and_moves_with_a_take_over() {
    with_cable(|cable| {
        let (station, _) = station(cable, true);
        let mut peer = cable.peer(1);
        let [one, two, ..] = clients(true);
        let socket = cable.at(0, || UdpSocket::bind((LOCAL, PORT)).unwrap());
        let send = |payload: &[u8]| {
            socket.send_to(payload, (one.address, PORT)).unwrap();
        };
        send(b"nobody");
        wait_until(|| station.dataplane.totals().no_destination == 1);
        open(&station, one);
        // The same user comes back: another call, at another worker even, before the old one has ended.
        let again = Client { address: one.address, ..two };
        open(&station, again);
        station.dataplane.send(one.ours, Command::Remove);
        station.wait_for(|notice| matches!(notice, Notice::Removed { .. }).then_some(()));
        send(b"again");
        let (call, packet) = downward(&mut peer).unwrap();
        assert_eq!((call, &packet[28..]), (again.theirs, &b"again"[..]));
        station.dataplane.send(again.ours, Command::CloseNetwork);
        wait_until(|| {
            send(b"closed");
            station.dataplane.totals().no_destination > 1
        });
    });
}

#[test]
fn senders_of_packets_too_long_for_a_session_learn_how_much_fits() {
    with_cable(|cable| {
        let (station, _) = station(cable, true);
        let mut peer = cable.peer(1);
        let [client, ..] = clients(true);
        open(&station, client);
        let permit = permit_for(client.address, 1000);
        station.dataplane.send(client.ours, Command::OpenNetwork { permit, tun: None });
        let socket = cable.at(0, || UdpSocket::bind((LOCAL, PORT)).unwrap());
        // The first has DF set, as path MTU discovery has it, and is too long; once the kernel has heard, it sends fragments.
        let fragments = loop {
            socket.send_to(&[7; 1200], (client.address, PORT)).unwrap();
            let first = peer.receive(Duration::from_millis(50));
            if let Some(first) = first {
                let second = peer.receive(PATIENCE).unwrap();
                break [first, second];
            }
        };
        let lengths = fragments.map(|packet| wire::gre::parse(&packet).unwrap().1.len() - 4);
        assert!(lengths[0] <= 1000 && lengths[0] + lengths[1] == 1228 + 20, "{lengths:?}");
    });
}

#[test]
fn the_workers_give_up_when_somebody_deletes_the_interface() {
    with_cable(|cable| {
        let (station, _) = station(cable, true);
        cable.at(0, || {
            let mut netlink = Netlink::open().unwrap();
            let index = netlink.index_of("ppp0").unwrap();
            netlink.delete_link(index).unwrap();
        });
        let mut failed = HashSet::new();
        while failed.len() < WORKERS {
            failed.insert(station.wait_for(|notice| match notice {
                Notice::WorkerFailed { worker, .. } => Some(*worker),
                _ => None,
            }));
        }
    });
}

#[test]
fn there_is_a_queue_for_each_worker_or_an_error() {
    with_cable(|cable| {
        let mut station = cable.station(0, WORKERS);
        let queues = cable.at(0, || Tun::create_queues("ppp%d", WORKERS + 1).unwrap());
        assert!(station.dataplane.share(queues).is_err());
    });
}
