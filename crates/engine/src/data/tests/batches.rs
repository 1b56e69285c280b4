//! Packets that are encrypted and decrypted many at a time, against one after the other.

use crypto::mppe::{Lanes, apply};
use proptest::prelude::*;

use super::*;

/// What becomes of a packet on its way.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Arrives,
    IsLost,
    ComesTwice,
    /// It comes after the next one.
    IsOvertaken,
    /// One bit of it behind the GRE header is changed.
    IsChanged(usize),
    /// A control frame comes in its place.
    IsControl,
    /// It is not encrypted.
    IsPlain,
}

fn fates() -> impl Strategy<Value = Vec<Fate>> {
    let fate = prop_oneof![
        8 => Just(Fate::Arrives),
        1 => Just(Fate::IsLost),
        1 => Just(Fate::ComesTwice),
        1 => Just(Fate::IsOvertaken),
        1 => (0usize..2000).prop_map(Fate::IsChanged),
        1 => Just(Fate::IsControl),
        1 => Just(Fate::IsPlain),
    ];
    prop::collection::vec(fate, 1..200)
}

fn packet(number: usize) -> Vec<u8> {
    ipv4(CLIENT, 40 + number * 37 % 1300, number as u8)
}

/// GRE packets as they arrive.
fn travel(client: &mut DataPath, fates: &[Fate]) -> Vec<Vec<u8>> {
    let (mut arrived, mut overtaken) = (Vec::new(), None);
    for (number, fate) in fates.iter().enumerate() {
        let mut sent = match fate {
            Fate::IsControl => {
                let mut out = [0; 64];
                let echo = [0xff, 0x03, 0xc0, 0x21, 9, 1, 0, 8, 0, 0, 0, 0];
                let len = client.outbound_frame(NOW, &echo, &mut out).unwrap();
                out[..len].to_vec()
            }
            Fate::IsPlain => {
                let plain = frame(Protocol::IPV4, &packet(number));
                let mut out = [0; 2000];
                let len = client.outbound_frame(NOW, &plain, &mut out).unwrap();
                out[..len].to_vec()
            }
            _ => send(client, &packet(number)),
        };
        match fate {
            Fate::IsLost => continue,
            Fate::ComesTwice => arrived.push(sent.clone()),
            Fate::IsChanged(bit) => {
                let bit = 12 * 8 + bit % ((sent.len() - 12) * 8);
                sent[bit / 8] ^= 1 << (bit % 8);
            }
            Fate::IsOvertaken => {
                arrived.extend(overtaken.replace(sent));
                continue;
            }
            _ => {}
        }
        arrived.push(sent);
        arrived.extend(overtaken.take());
    }
    arrived.extend(overtaken);
    arrived
}

/// What a packet brought: its IP packet or control frame, or nothing.
fn brought(inbound: Inbound, packet: &[u8]) -> Option<Vec<u8>> {
    match inbound {
        Inbound::Ip(range) | Inbound::Control(range) => Some(packet[range].to_vec()),
        _ => None,
    }
}

fn receive_many(path: &mut DataPath, mut packets: Vec<Vec<u8>>) -> Vec<Option<Vec<u8>>> {
    let (mut plans, mut bodies) = (Vec::new(), Vec::new());
    for packet in &mut packets {
        let planned = path.plan_inbound(NOW, packet);
        plans.push(planned.map(|(key, plan)| {
            bodies.push((key, &mut packet[plan.body.clone()]));
            plan
        }));
    }
    apply(&mut Lanes::new(), bodies, path.receive_keys());
    let opened = packets.iter_mut().zip(plans).map(|(packet, plan)| {
        let inbound = match plan {
            Some(plan) => path.inbound_opened(NOW, &plan, packet),
            None => path.inbound(NOW, packet),
        };
        brought(inbound, packet)
    });
    opened.collect()
}

proptest! {
    #[test]
    fn a_batch_brings_what_its_packets_bring_one_by_one(fates in fates(), size in 1usize..70) {
        for mode in [Mode::Stateless, Mode::Stateful] {
            let (mut plain, mut client) = encrypted(mode);
            let (mut batched, _) = encrypted(mode);
            let arrived = travel(&mut client, &fates);
            for batch in arrived.chunks(size) {
                let one_by_one: Vec<_> = batch
                    .iter()
                    .map(|packet| {
                        let mut packet = packet.clone();
                        let inbound = plain.inbound(NOW, &mut packet);
                        brought(inbound, &packet)
                    })
                    .collect();
                prop_assert_eq!(receive_many(&mut batched, batch.to_vec()), one_by_one);
            }
            prop_assert_eq!(batched.gre_stats(), plain.gre_stats());
            let received = |path: &DataPath| (path.stats().received_packets, path.stats().drops.total());
            prop_assert_eq!(received(&batched), received(&plain));
        }
    }
}

#[test]
fn packets_made_in_a_batch_are_those_made_one_by_one() {
    for mode in [Mode::Stateless, Mode::Stateful] {
        let (mut plain, mut batched) = (encrypted(mode).1, encrypted(mode).1);
        for round in 0..40 {
            if round % 3 == 0 {
                batched.prepare();
            }
            let mut rooms: Vec<_> =
                (0..round).map(|number| [&[0; HEADROOM][..], &packet(number)].concat()).collect();
            let mut made = Vec::new();
            let mut bodies = Vec::new();
            for room in &mut rooms {
                let range = HEADROOM..room.len();
                let outbound = batched.plan_outbound_ip(NOW, room, range).unwrap();
                made.push(outbound.packet);
                bodies.extend(outbound.seal.map(|(key, body)| (key, &mut room[body])));
            }
            apply(&mut Lanes::new(), bodies, batched.send_keys());
            for (number, (room, range)) in rooms.iter().zip(made).enumerate() {
                assert_eq!(room[range], send(&mut plain, &packet(number)), "{round} {number}");
            }
        }
    }
}
