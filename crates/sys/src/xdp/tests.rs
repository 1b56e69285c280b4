//! Tests on two ends of a cable, each in a network namespace of its own.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use super::*;
use crate::event::Epoll;
use crate::namespace;
use crate::netlink::Netlink;
use crate::packet::PacketSocket;
use crate::raw::{GreSocket, Hop, RecvBatch, SendBatch};

const HERE: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
const THERE: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 2);
/// A second address at the near end.
const ALSO_HERE: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 3);
/// The first call id that is not ours.
const FOREIGN: u16 = 60;
const PACKET_LEN: usize = 4096;
const MTU: u32 = 1500;

/// The calling thread is at the near end.
struct Cable {
    far: OwnedFd,
    interface: u32,
}

fn with_cable(test: impl FnOnce(&Cable) + Send) {
    let outcome = namespace::run_in_new(|| {
        let near = namespace::current().unwrap();
        namespace::enter_new().unwrap();
        let far = namespace::current().unwrap();
        let mut netlink = Netlink::open().unwrap();
        netlink.create_veth("eth0", "eth0", Some(near.as_fd())).unwrap();
        set_up(&[THERE]);
        namespace::enter(&near).unwrap();
        let interface = set_up(&[HERE, ALSO_HERE]);
        test(&Cable { far, interface });
    });
    if let Err(error) = outcome {
        eprintln!("skipped: no network namespace: {error}");
    }
}

fn set_up(addresses: &[Ipv4Addr]) -> u32 {
    let mut netlink = Netlink::open().unwrap();
    let interface = netlink.index_of("eth0").unwrap();
    for address in addresses {
        netlink.add_address(interface, (*address).into(), 24).unwrap();
    }
    netlink.set_up(interface, true).unwrap();
    interface
}

impl Cable {
    fn far<T>(&self, work: impl FnOnce() -> T) -> T {
        let near = namespace::current().unwrap();
        namespace::enter(&self.far).unwrap();
        let result = work();
        namespace::enter(&near).unwrap();
        result
    }

    fn open(&self, workers: usize) -> XdpInterface {
        let calls = XdpCalls::new().unwrap();
        for call in 0..FOREIGN {
            calls.set(call, Some(HERE)).unwrap();
        }
        XdpInterface::open((self.interface, MTU), workers, &calls).unwrap()
    }

    /// From the near end to the far one.
    fn hop(&self) -> Hop {
        let own = hardware_address();
        let next = self.far(hardware_address);
        Hop { interface: self.interface, own, next, mtu: MTU }
    }
}

fn hardware_address() -> [u8; 6] {
    let mut netlink = Netlink::open().unwrap();
    let interfaces = netlink.interfaces().unwrap();
    interfaces.iter().find(|it| it.name == "eth0").unwrap().hardware.unwrap()
}

/// An enhanced GRE packet that only has a call id and a payload.
fn gre(call_id: u16, len: usize) -> Vec<u8> {
    let mut packet = vec![0x20, 0x01, 0x88, 0x0b, (len >> 8) as u8, len as u8];
    packet.extend_from_slice(&call_id.to_be_bytes());
    packet.resize(8 + len, 7);
    packet
}

fn batch(packets: &[Vec<u8>], to: Ipv4Addr, from: Ipv4Addr) -> SendBatch {
    let mut batch = SendBatch::new(PACKET_LEN);
    for packet in packets {
        batch.push_copy(packet, to, from, 0);
    }
    batch
}

fn send(socket: &GreSocket, packets: &[Vec<u8>], to: Ipv4Addr) {
    let sent = batch(packets, to, THERE).flush(socket, |failure| panic!("{failure:?}"));
    assert_eq!(sent, packets.len());
}

/// The packets that come within a moment, without IP headers.
fn received(watched: &impl AsFd, mut receive: impl FnMut(&mut RecvBatch) -> usize) -> Vec<Vec<u8>> {
    let epoll = Epoll::new().unwrap();
    epoll.add(watched, 0).unwrap();
    let (mut batch, mut packets) = (RecvBatch::new(PACKET_LEN), Vec::new());
    loop {
        epoll.wait(Some(Duration::from_millis(25)), &mut Vec::new()).unwrap();
        let count = receive(&mut batch);
        if count == 0 {
            return packets;
        }
        for packet in batch.packets_mut(count) {
            let len = usize::from(u16::from_be_bytes([packet[2], packet[3]]));
            packets.push(packet[usize::from(packet[0] & 0xf) * 4..len].to_vec());
        }
    }
}

fn received_raw(socket: &GreSocket) -> Vec<Vec<u8>> {
    received(socket, |batch| socket.recv_batch(batch).unwrap())
}

fn received_xdp(socket: &mut XdpSocket) -> Vec<Vec<u8>> {
    let watched = socket.as_fd().try_clone_to_owned().unwrap();
    received(&watched, |batch| socket.recv_batch(batch))
}

#[test]
fn packets_for_us_come_to_the_socket_of_their_worker() {
    with_cable(|cable| {
        let sender = cable.far(|| GreSocket::open().unwrap());
        let raw = GreSocket::open().unwrap();
        let mut opened = cable.open(3);
        assert!(opened.is_native, "veth runs programs itself");
        // More than there are frames.
        for _ in 0..20 {
            let packets: Vec<_> = (0..60).map(|id| gre(id, usize::from(id) * 23)).collect();
            for chunk in packets.chunks(30) {
                send(&sender, chunk, HERE);
            }
            let mut sorted = 0;
            for (worker, sockets) in opened.sockets.iter_mut().enumerate() {
                let own = |packet: &&Vec<u8>| usize::from(packet[7]) % 3 == worker;
                let expected: Vec<_> = packets.iter().filter(own).cloned().collect();
                assert_eq!(received_xdp(&mut sockets[0]), expected);
                sorted += expected.len();
            }
            assert_eq!(sorted, packets.len());
        }
        assert!(received_raw(&raw).is_empty());
    });
}

#[test]
fn the_kernel_goes_on_with_all_else() {
    with_cable(|cable| {
        let sender = cable.far(|| GreSocket::open().unwrap());
        let raw = GreSocket::open().unwrap();
        let mut opened = cable.open(1);
        let mut others = vec![gre(3, 10); 3];
        others[0][1] = 0; // version 0
        others[1][3] = 0; // another protocol
        others[2].truncate(6); // no whole call id
        send(&sender, &others, HERE);
        assert_eq!(received_raw(&raw), others);
        // Of another's call, to an address that is not the call's, and in fragments.
        send(&sender, &[gre(FOREIGN, 10), gre(u16::MAX, 10)], HERE);
        assert_eq!(received_raw(&raw), [gre(FOREIGN, 10), gre(u16::MAX, 10)]);
        send(&sender, &[gre(1, 10)], ALSO_HERE);
        send(&sender, &[gre(2, 3000)], HERE);
        assert_eq!(received_raw(&raw), [gre(1, 10), gre(2, 3000)]);
        assert!(received_xdp(&mut opened.sockets[0][0]).is_empty());
        // When the sockets go, the program goes.
        drop(opened);
        send(&sender, &[gre(4, 10)], HERE);
        assert_eq!(received_raw(&raw), [gre(4, 10)]);
        let mut again = cable.open(2);
        send(&sender, &[gre(5, 10)], HERE);
        assert_eq!(received_xdp(&mut again.sockets[1][0]), [gre(5, 10)]);
    });
}

/// Sends by `send` and what it leaves by the raw socket, and looks at what comes.
fn packets_leave_by(cable: &Cable, mut send: impl FnMut(&mut SendBatch)) {
    let receiver = cable.far(|| GreSocket::open().unwrap());
    let raw = GreSocket::open().unwrap();
    let hop = cable.hop();
    for round in 0..40 {
        let packets: Vec<_> = (0..60).map(|id| gre(id, usize::from(id) * 23 + round)).collect();
        let mut batch = batch(&[], THERE, HERE);
        for packet in &packets {
            batch.push_copy(packet, THERE, HERE, 0);
            batch.mark_last(0xb8, false);
            batch.route_last(hop);
        }
        send(&mut batch);
        assert_eq!(batch.flush(&raw, |failure| panic!("{failure:?}")), 0);
        assert_eq!(received_raw(&receiver), packets);
    }
    // One that is too large for the hop, one without a hop.
    let packets = [gre(1, 1600), gre(2, 10), gre(3, 10)];
    let mut batch = batch(&packets[..2], THERE, HERE);
    batch.route_last(hop);
    batch.push_copy(&packets[2], THERE, HERE, 0);
    send(&mut batch);
    assert_eq!(batch.flush(&raw, |failure| panic!("{failure:?}")), 2);
    let mut received = received_raw(&receiver);
    received.sort_unstable();
    let mut expected = packets.to_vec();
    expected.sort_unstable();
    assert_eq!(received, expected);
}

#[test]
fn packets_with_a_known_hop_leave_by_af_xdp_and_others_by_the_raw_socket() {
    with_cable(|cable| {
        let mut opened = cable.open(2);
        packets_leave_by(cable, |batch| opened.sockets[1][0].send_batch(batch));
    });
}

#[test]
fn packets_with_a_known_hop_leave_by_af_packet_and_others_by_the_raw_socket() {
    with_cable(|cable| {
        let mut socket = PacketSocket::open().unwrap();
        packets_leave_by(cable, |batch| socket.send_batch(batch));
    });
}

#[test]
fn an_interface_with_too_large_packets_is_refused() {
    with_cable(|cable| {
        let calls = XdpCalls::new().unwrap();
        let refused = XdpInterface::open((cable.interface, 9000), 1, &calls);
        assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::Unsupported);
    });
}
