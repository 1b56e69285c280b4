//! Tests with real sockets, each in a network namespace of its own.

use std::time::Duration;

use super::*;
use crate::event::Epoll;
use crate::namespace;
use crate::netlink::Netlink;
use crate::tun::{OFFLOAD_HEADER_LEN, Tun};

const HERE: Ipv4Addr = Ipv4Addr::LOCALHOST;
const PACKET_LEN: usize = 4096;

fn isolated(test: impl FnOnce() + Send) {
    if let Err(error) = namespace::run_in_new(test) {
        eprintln!("skipped: no network namespace: {error}");
    }
}

/// An enhanced GRE packet that only has a call id and a payload.
fn gre(call_id: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x20, 0x01, 0x88, 0x0b];
    packet.extend_from_slice(&u16::try_from(payload.len()).unwrap().to_be_bytes());
    packet.extend_from_slice(&call_id.to_be_bytes());
    packet.extend_from_slice(payload);
    packet
}

fn send(socket: &GreSocket, packets: &[Vec<u8>], to: Ipv4Addr, from: Ipv4Addr) {
    let mut batch = SendBatch::new(PACKET_LEN);
    for packet in packets {
        batch.push_copy(packet, to, from, 0);
    }
    let sent = batch.flush(socket, |failure| panic!("{failure:?}"));
    assert_eq!(sent, packets.len());
    assert!(batch.is_empty());
}

/// The GRE packets that have come within a moment, without IP headers.
fn received(socket: &GreSocket) -> Vec<Vec<u8>> {
    whole(socket).iter().map(|packet| packet[usize::from(packet[0] & 0xf) * 4..].to_vec()).collect()
}

fn whole(socket: &GreSocket) -> Vec<Vec<u8>> {
    let epoll = Epoll::new().unwrap();
    epoll.add(socket, 0).unwrap();
    let mut batch = RecvBatch::new(PACKET_LEN);
    let mut tokens = Vec::new();
    let mut packets = Vec::new();
    loop {
        epoll.wait(Some(Duration::from_millis(100)), &mut tokens).unwrap();
        let count = socket.recv_batch(&mut batch).unwrap();
        if count == 0 {
            return packets;
        }
        for index in 0..count {
            assert!(!batch.is_truncated(index));
            packets.push(batch.packet(index).to_vec());
        }
    }
}

#[test]
fn a_batch_arrives_whole_and_in_order() {
    isolated(|| {
        let sender = GreSocket::open().unwrap();
        sender.attach_worker_filter(0, 1).unwrap();
        let receiver = GreSocket::open().unwrap();
        let packets: Vec<_> =
            (0..BATCH as u16).map(|id| gre(id, &vec![7; usize::from(id) * 20])).collect();
        send(&sender, &packets, HERE, Ipv4Addr::UNSPECIFIED);
        assert_eq!(received(&receiver), packets);
    });
}

#[test]
fn each_worker_gets_its_own_calls_and_nothing_else() {
    isolated(|| {
        let sender = GreSocket::open().unwrap();
        let workers = [0, 1, 2].map(|index| {
            let socket = GreSocket::open().unwrap();
            socket.attach_worker_filter(index, 3).unwrap();
            socket
        });
        let good: Vec<_> = [0, 1, 2, 3, 1000, u16::MAX].map(|id| gre(id, b"payload")).to_vec();
        let mut others = vec![gre(3, b""); 4];
        others[0][1] = 0; // version 0
        others[1][3] = 0; // another protocol
        others[2].truncate(7); // no whole call id
        others[3].truncate(0);
        let all: Vec<_> = good.iter().chain(&others).cloned().collect();
        send(&sender, &all, HERE, HERE);
        for (index, socket) in workers.iter().enumerate() {
            let own = |packet: &&Vec<u8>| {
                usize::from(u16::from_be_bytes([packet[6], packet[7]])) % 3 == index
            };
            let expected: Vec<_> = good.iter().filter(own).cloned().collect();
            assert_eq!(expected.len(), [3, 2, 1][index]);
            assert_eq!(received(socket), expected, "worker {index}");
        }
    });
}

#[test]
fn the_filter_looks_behind_ip_options() {
    isolated(|| {
        let sender = GreSocket::open().unwrap();
        // Three No Operations and the end of the options (RFC 791 §3.1).
        let options = [1u8, 1, 1, 0];
        // SAFETY: the option takes bytes, which outlive the call, and their number.
        let result = unsafe {
            libc::setsockopt(
                std::os::fd::AsRawFd::as_raw_fd(&sender.divisible),
                libc::IPPROTO_IP,
                libc::IP_OPTIONS,
                options.as_ptr().cast(),
                options.len() as libc::socklen_t,
            )
        };
        assert_eq!(result, 0);
        let receiver = GreSocket::open().unwrap();
        receiver.attach_worker_filter(1, 2).unwrap();
        send(&sender, &[gre(4, b"even"), gre(5, b"odd")], HERE, HERE);
        let packets = whole(&receiver);
        assert_eq!(packets.len(), 1);
        assert_eq!(packets[0][0], 0x46);
        assert_eq!(packets[0][24..], gre(5, b"odd"));
    });
}

#[test]
fn packets_leave_from_the_address_that_was_called() {
    isolated(|| {
        let second = Ipv4Addr::new(127, 1, 2, 3);
        let sender = GreSocket::open().unwrap();
        let receiver = GreSocket::open().unwrap();
        send(&sender, &[gre(1, b"")], HERE, second);
        let packets = whole(&receiver);
        assert_eq!(packets.len(), 1);
        assert_eq!(packets[0][12..20], [127, 1, 2, 3, 127, 0, 0, 1]);
    });
}

#[test]
fn packets_leave_with_the_tos_that_they_were_given() {
    isolated(|| {
        let sender = GreSocket::open().unwrap();
        let receiver = GreSocket::open().unwrap();
        let mut batch = SendBatch::new(PACKET_LEN);
        for tos in [0, 0xb8, 2, 3, 0] {
            batch.push_copy(&gre(1, b""), HERE, HERE, 0);
            batch.mark_last(tos, false);
        }
        assert_eq!(batch.flush(&sender, |failure| panic!("{failure:?}")), 5);
        let tos: Vec<_> = whole(&receiver).iter().map(|packet| packet[1]).collect();
        assert_eq!(tos, [0, 0xb8, 2, 3, 0]);
    });
}

#[test]
fn a_packet_that_cannot_leave_is_reported_and_the_others_leave() {
    isolated(|| {
        let sender = GreSocket::open().unwrap();
        let receiver = GreSocket::open().unwrap();
        let unreachable = Ipv4Addr::new(203, 0, 113, 1);
        let not_ours = Ipv4Addr::new(203, 0, 113, 2);
        let mut batch = SendBatch::new(PACKET_LEN);
        for (tag, to, from) in [
            (0, unreachable, Ipv4Addr::UNSPECIFIED),
            (1, HERE, HERE),
            (2, HERE, not_ours),
            (3, unreachable, Ipv4Addr::UNSPECIFIED),
            (4, HERE, HERE),
        ] {
            batch.push_copy(&gre(tag, b""), to, from, tag);
        }
        let mut failed = Vec::new();
        assert_eq!(batch.flush(&sender, |failure| failed.push(failure)), 2);
        assert_eq!(failed.iter().map(|failure| failure.tag).collect::<Vec<_>>(), [0, 2, 3]);
        assert_eq!(failed[0].error.raw_os_error(), Some(libc::ENETUNREACH));
        assert_eq!(received(&receiver), [gre(1, b""), gre(4, b"")]);
    });
}

#[test]
fn a_packet_larger_than_the_path_leaves_in_fragments() {
    isolated(|| {
        let mut netlink = Netlink::open().unwrap();
        let loopback = netlink.index_of("lo").unwrap();
        netlink.set_mtu(loopback, 1000).unwrap();
        let sender = GreSocket::open().unwrap();
        let receiver = GreSocket::open().unwrap();
        let packet = gre(1, &[7; 3000]);
        send(&sender, std::slice::from_ref(&packet), HERE, HERE);
        assert_eq!(received(&receiver), [packet]);
    });
}

#[test]
fn a_packet_longer_than_its_room_is_marked() {
    isolated(|| {
        let socket = GreSocket::open().unwrap();
        send(&socket, &[gre(1, &[7; 100]), gre(2, &[7; 10])], HERE, HERE);
        let mut batch = RecvBatch::new(64);
        assert_eq!(socket.recv_batch(&mut batch).unwrap(), 2);
        assert!(batch.is_truncated(0));
        assert_eq!(batch.packet(0).len(), 64);
        assert!(!batch.is_truncated(1));
        assert_eq!(batch.packet(1).len(), 20 + 8 + 10);
        assert_eq!(socket.recv_batch(&mut batch).unwrap(), 0);
    });
}

#[test]
fn an_icmp_error_does_not_reach_the_socket() {
    isolated(|| {
        let socket = GreSocket::open().unwrap();
        let probe = rustix::net::socket(
            AddressFamily::INET,
            SocketType::RAW,
            NonZero::new(1).map(Protocol::from_raw),
        )
        .unwrap();
        // "Protocol unreachable" about a GRE packet from here to here (RFC 792).
        let mut icmp = vec![3, 2, 0, 0, 0, 0, 0, 0];
        icmp.extend_from_slice(&[0x45, 0, 0, 28, 0, 0, 0, 0, 64, 47, 0, 0]);
        icmp.extend_from_slice(&[127, 0, 0, 1, 127, 0, 0, 1]);
        icmp.extend_from_slice(&gre(1, b""));
        let sum: u32 = icmp.chunks(2).map(|it| u32::from(it[0]) << 8 | u32::from(it[1])).sum();
        let checksum = !((sum & 0xffff) + (sum >> 16)) as u16;
        icmp[2..4].copy_from_slice(&checksum.to_be_bytes());
        let here = std::net::SocketAddrV4::new(HERE, 0);
        rustix::net::sendto(&probe, &icmp, rustix::net::SendFlags::empty(), &here).unwrap();
        assert!(received(&socket).is_empty());
        send(&socket, &[gre(1, b"still")], HERE, HERE);
        assert_eq!(received(&socket), [gre(1, b"still")]);
    });
}

#[test]
fn the_buffers_hold_bursts() {
    isolated(|| {
        let socket = GreSocket::open().unwrap();
        // The kernel doubles what it is asked for, for its own structures.
        assert!(sockopt::socket_recv_buffer_size(&socket.socket).unwrap() >= BUFFER_LEN);
        assert!(sockopt::socket_send_buffer_size(&socket.divisible).unwrap() >= BUFFER_LEN);
    });
}

#[test]
fn packets_that_may_not_be_fragmented_say_so_and_are_not() {
    isolated(|| {
        let mut netlink = Netlink::open().unwrap();
        let loopback = netlink.index_of("lo").unwrap();
        netlink.set_mtu(loopback, 1000).unwrap();
        let (sender, receiver) = (GreSocket::open().unwrap(), GreSocket::open().unwrap());
        let mut batch = SendBatch::new(PACKET_LEN);
        // Small ones go along with either kind.
        for (tag, len, dont_fragment) in
            [(0, 900, true), (1, 20, false), (2, 900, false), (3, 1100, true), (4, 900, true)]
        {
            batch.push_copy(&gre(tag, &vec![7; len]), HERE, HERE, tag);
            batch.mark_last(0, dont_fragment);
        }
        let mut failed = Vec::new();
        assert_eq!(batch.flush(&sender, |failure| failed.push(failure)), 4);
        assert_eq!(failed.len(), 1);
        assert_eq!((failed[0].tag, failed[0].error.raw_os_error()), (3, Some(libc::EMSGSIZE)));
        let flags: Vec<_> =
            whole(&receiver).iter().map(|packet| (packet[27], packet[6] & 0x40 != 0)).collect();
        assert_eq!(flags, [(0, true), (1, true), (2, false), (4, true)]);
    });
}

#[test]
fn without_a_source_a_packet_has_the_address_of_its_route() {
    isolated(|| {
        let (local, remote) = (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2));
        let mut netlink = Netlink::open().unwrap();
        let tun = Tun::create_plain("ppp%d").unwrap();
        netlink.set_up(tun.index(), true).unwrap();
        netlink.add_peer_address(tun.index(), local, remote).unwrap();
        let socket = GreSocket::open().unwrap();
        for dont_fragment in [false, true] {
            let mut batch = SendBatch::new(PACKET_LEN);
            batch.push_copy(&gre(7, b"to the peer"), remote, Ipv4Addr::UNSPECIFIED, 0);
            batch.mark_last(0, dont_fragment);
            batch.flush(&socket, |failure| panic!("{failure:?}"));
            let mut packet = [0; PACKET_LEN];
            // Neighbour discovery of IPv6 may come first.
            while packet[9] != 47 {
                tun.read(&mut [0; OFFLOAD_HEADER_LEN], &mut packet).unwrap();
            }
            assert_eq!(packet[12..20], [local.octets(), remote.octets()].concat());
        }
    });
}
