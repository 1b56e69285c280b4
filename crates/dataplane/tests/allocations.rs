//! What a packet may not cost.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::*;
use crypto::mppe::{self, Lanes, Mode};
use dataplane::offload::{Header, Join, Packets, Segmentation, Split, Whole};
use engine::Instant;
use engine::data::{DataPath, HEADROOM, Inbound};
use sys::tun::Offloads;

/// An end of the tunnel with its network open.
fn path(end: usize, mode: Mode) -> DataPath {
    let mut path = DataPath::new(call(end).path);
    path.install_keys(&keys(end, mode));
    path.open_network(permit(end, true));
    path
}

#[test]
fn packets_in_order_are_sealed_and_opened_without_allocating() {
    let now = Instant::from_nanos(1);
    // Without the PPP header of the frame.
    let packet = ip_frame(1, &[7; 1000])[4..].to_vec();
    for mode in [Mode::Stateless, Mode::Stateful] {
        let (mut server, mut client) = (path(0, mode), path(1, mode));
        let mut buffer = vec![0; HEADROOM + packet.len()];
        let mut move_one = || {
            buffer[HEADROOM..].copy_from_slice(&packet);
            let range = HEADROOM..HEADROOM + packet.len();
            let gre = client.outbound_ip_in_place(now, &mut buffer, range).unwrap();
            let gre = &mut buffer[gre];
            let Inbound::Ip(ip) = server.inbound(now, gre) else { panic!("not delivered") };
            assert_eq!(gre[ip], packet);
            assert_eq!(server.take_ready(now, &mut []), None);
        };
        // What is made once for a session.
        move_one();
        let cost = allocation_counter::measure(|| (0..5000).for_each(|_| move_one()));
        assert_eq!(cost.count_total, 0, "{mode:?}: {cost:?}");
    }
}

const SEGMENTS: usize = 20;
const SIZE: usize = 1000;

/// A TCP super-packet of [`SEGMENTS`] segments from the client to the server, whose checksum is to be completed.
fn super_packet() -> (Header, Vec<u8>) {
    let len = (40 + SEGMENTS * SIZE) as u16;
    let mut packet = vec![0x45, 0, (len >> 8) as u8, len as u8, 0, 1, 0x40, 0, 64, 6, 0, 0];
    packet.extend(INNER[1].octets());
    packet.extend(INNER[0].octets());
    packet.extend([0x0f, 0xa0, 0, 80, 0, 0, 0, 7, 0, 0, 0, 9, 0x50, 0x10, 1, 0, 0, 0, 0, 0]);
    let words = packet[12..20].chunks(2).map(|it| u32::from(it[0]) << 8 | u32::from(it[1]));
    let sum = words.sum::<u32>() + 6 + u32::from(len - 20);
    packet[36..38].copy_from_slice(&((sum & 0xffff) as u16 + (sum >> 16) as u16).to_be_bytes());
    packet.resize(len.into(), 7);
    let segments = Some((Segmentation::TcpV4, SIZE as u16));
    (Header { checksum: Some((20, 16)), segments, headers_len: 40, has_cwr: false }, packet)
}

/// Slots of a batch, and where the IP packet lies in each.
struct Slots(Vec<Vec<u8>>, Vec<std::ops::Range<usize>>);

impl Packets for Slots {
    fn packet(&self, id: usize) -> &[u8] {
        &self.0[id][self.1[id].clone()]
    }

    fn packet_mut(&mut self, id: usize) -> &mut [u8] {
        &mut self.0[id][self.1[id].clone()]
    }
}

#[test]
fn a_super_packet_goes_through_the_tunnel_without_allocating() {
    let now = Instant::from_nanos(1);
    let (header, packet) = super_packet();
    let (mut server, mut client) = (path(0, Mode::Stateless), path(1, Mode::Stateless));
    let mut slots = Slots(vec![vec![0; 2000]; SEGMENTS], vec![0..0; SEGMENTS]);
    let mut keys = Vec::with_capacity(SEGMENTS);
    let mut plans = Vec::with_capacity(SEGMENTS);
    let (mut lanes, mut join) = (Lanes::new(), Join::new());
    let mut move_one = || {
        let mut split = Split::new(&header, &packet).unwrap();
        for (slot, place) in slots.0.iter_mut().zip(&mut slots.1) {
            let len = split.write_next(&mut slot[HEADROOM..]).unwrap();
            let range = HEADROOM..HEADROOM + len;
            let outbound = client.plan_outbound_ip(now, slot, range).unwrap();
            *place = outbound.packet;
            keys.push(outbound.seal);
        }
        assert_eq!(split.next_len(), None);
        let bodies = slots.0.iter_mut().zip(keys.drain(..));
        let bodies =
            bodies.filter_map(|(slot, seal)| seal.map(|(key, body)| (key, &mut slot[body])));
        mppe::apply(&mut lanes, bodies, client.send_keys());

        for (slot, place) in slots.0.iter().zip(&slots.1) {
            let (key, plan) = server.plan_inbound(now, &slot[place.clone()]).unwrap();
            keys.push(Some((key, place.start + plan.body.start..place.start + plan.body.end)));
            plans.push(plan);
        }
        let bodies = slots.0.iter_mut().zip(keys.drain(..));
        let bodies = bodies.filter_map(|(slot, key)| key.map(|(key, body)| (key, &mut slot[body])));
        mppe::apply(&mut lanes, bodies, server.receive_keys());
        for (id, plan) in plans.drain(..).enumerate() {
            let gre = slots.1[id].clone();
            let inbound = server.inbound_opened(now, &plan, &mut slots.0[id][gre.clone()]);
            let Inbound::Ip(ip) = inbound else { panic!("{inbound:?}") };
            slots.1[id] = gre.start + ip.start..gre.start + ip.end;
            join.add(0, id, &slots, Offloads { tcp: true, udp: true });
        }
        let mut written = 0;
        join.take(&mut slots, |joined| {
            for Whole { count, pieces, .. } in joined {
                assert_eq!(count, SEGMENTS);
                written += pieces.map(<[u8]>::len).sum::<usize>();
            }
        });
        assert_eq!(written, packet.len());
    };
    // What is made once for a busy session.
    move_one();
    let cost = allocation_counter::measure(|| (0..200).for_each(|_| move_one()));
    assert_eq!(cost.count_total, 0, "{cost:?}");
}
