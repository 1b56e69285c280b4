use proptest::prelude::*;

use super::*;

fn streams() -> impl Strategy<Value = (Made, usize)> {
    let numbers = (any::<u16>(), any::<u32>(), any::<u8>(), any::<u16>());
    let kinds = (any::<bool>(), prop_oneof![Just(TCP), Just(UDP)], any::<bool>());
    let options = prop_oneof![Just(vec![]), Just(vec![1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8])];
    (numbers, kinds, options, 1usize..3000, 1usize..1500).prop_map(
        |((id, seq, tos, window), (is_v4, protocol, push), options, len, size)| {
            // Not more segments than are joined at a time.
            let size = size.max(len.div_ceil(MAX_PIECES));
            let payload: Vec<u8> = (0..len).map(|at| (at * 31 % 253) as u8).collect();
            let flags = ACK | if push { PSH } else { 0 };
            let options = if protocol == TCP { options } else { Vec::new() };
            let plain =
                Made { protocol, id, tos, flags, options, window, ..tcp(is_v4, seq, &payload) };
            (plain, size)
        },
    )
}

/// What is done to a packet on its way, or in the sender's mind.
fn spoil(packets: &mut Vec<Vec<u8>>, how: u8, at: usize) {
    let (index, other) = (at % packets.len(), at / 7 % packets.len());
    match how {
        0 => drop(packets.remove(index)),
        1 => packets.swap(index, other),
        2 => packets.insert(index, packets[other].clone()),
        // A packet that was cut to nothing has no more to spoil.
        _ if packets[index].is_empty() => {}
        3 => {
            let byte = at / 7 % packets[index].len();
            packets[index][byte] ^= 1 << (at % 8);
        }
        _ => {
            let len = at / 7 % packets[index].len();
            packets[index].truncate(len);
        }
    }
}

proptest! {
    #[test]
    fn a_split_gives_what_the_plain_reference_gives((made, size) in streams()) {
        let expected: Vec<_> = made.segments(size).iter().map(Made::bytes).collect();
        prop_assert_eq!(split(&made.header(size), &made.unfinished()), expected);
    }

    #[test]
    fn a_join_of_a_split_is_the_super_packet_again((made, size) in streams()) {
        let packets = split(&made.header(size), &made.unfinished());
        prop_assume!(packets.len() > 1);
        let written = join(&packets, ALL);
        prop_assert_eq!(written, vec![(made.header(size), made.unfinished(), packets.len())]);
    }

    /// Packets that were spoilt in any way come out of a join and a split as they went in, and in their order.
    #[test]
    fn a_split_of_a_join_is_what_was_joined(
        (made, size) in streams(),
        spoilt in prop::collection::vec((0u8..5, 0usize..100_000), 0..6),
    ) {
        let mut packets = split(&made.header(size), &made.unfinished());
        for (how, at) in spoilt {
            if packets.len() > 1 {
                spoil(&mut packets, how, at);
            }
        }
        packets.truncate(MAX_PIECES);
        let again: Vec<_> = join(&packets, ALL)
            .iter()
            .flat_map(|(header, packet, count)| {
                let parts = split(header, packet);
                assert_eq!(parts.len(), *count);
                parts
            })
            .collect();
        // Only one flow, or what is none: a packet whose ports or addresses were spoilt may be overtaken by its neighbours.
        let sorted = |packets: &[Vec<u8>]| {
            let mut packets: Vec<_> = packets.iter().map(|packet| without_id(packet)).collect();
            packets.sort();
            packets
        };
        prop_assert_eq!(sorted(&again), sorted(&packets));
    }
}

/// Where fragments are forbidden the identification means nothing, and one that stands still goes on after a split (RFC 6864 §4.1).
fn without_id(packet: &[u8]) -> Vec<u8> {
    let mut packet = packet.to_vec();
    let stands_for_nothing = packet.len() >= 20 && packet[0] == 0x45 && packet[6] == 0x40;
    if stands_for_nothing && plain_checksum(&[&packet[..20]]) == 0 {
        packet[4..6].fill(0);
        packet[10..12].fill(0);
    }
    packet
}
