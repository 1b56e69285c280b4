use super::*;

/// Three full segments and a short one with PSH.
fn stream(is_v4: bool) -> Vec<Made> {
    Made { flags: ACK | PSH, ..tcp(is_v4, 100, &[7; 3500]) }.segments(1000)
}

#[test]
fn segments_of_a_stream_become_one_packet_as_the_kernel_makes_it() {
    for is_v4 in [true, false] {
        let whole = Made { flags: ACK | PSH, ..tcp(is_v4, 100, &[7; 3500]) };
        let packets: Vec<_> = stream(is_v4).iter().map(Made::bytes).collect();
        assert_eq!(join(&packets, ALL), [(whole.header(1000), whole.unfinished(), 4)]);
    }
}

#[test]
fn equal_datagrams_become_one_packet_where_the_kernel_takes_it() {
    for is_v4 in [true, false] {
        let whole = udp(is_v4, &[7; 2500]);
        let packets: Vec<_> = whole.segments(1000).iter().map(Made::bytes).collect();
        assert_eq!(join(&packets, ALL), [(whole.header(1000), whole.unfinished(), 3)]);
        let written = join(&packets, Offloads { udp: false, ..ALL });
        assert_eq!(written.len(), 3);
        assert!(written.iter().all(|(header, ..)| *header == Header::default()));
    }
}

#[test]
fn a_push_ends_a_run_and_so_does_a_short_segment() {
    let mut packets = stream(true);
    packets[1].flags |= PSH;
    assert_eq!(counts(&packets), [2, 2]);
    let mut packets = stream(true);
    packets[1].payload.pop();
    packets[2].seq -= 1;
    packets[3].seq -= 1;
    assert_eq!(counts(&packets), [2, 2]);
}

#[test]
fn nothing_is_joined_across_a_gap_or_out_of_order() {
    let mut packets = stream(true);
    packets.remove(1);
    assert_eq!(counts(&packets), [1, 2]);
    let mut packets = stream(true);
    packets.swap(1, 2);
    assert_eq!(counts(&packets), [1, 1, 1, 1]);
    let mut packets = stream(true);
    packets.insert(1, packets[0].clone());
    assert_eq!(counts(&packets), [1, 4]);
}

#[test]
fn what_a_split_could_not_restore_keeps_packets_apart() {
    type Change = fn(&mut Made);
    let changes: [(&str, Change); 9] = [
        ("TOS", |made| made.tos = 0x10),
        ("ECN", |made| made.tos |= 3),
        ("TTL", |made| made.ttl = 63),
        ("DF", |made| made.dont_fragment = false),
        ("acknowledgement", |made| made.ack += 1),
        ("window", |made| made.window += 1),
        ("options", |made| made.options = vec![1, 1, 1, 0]),
        ("flags", |made| made.flags |= 0x40),
        ("CWR", |made| made.flags |= CWR),
    ];
    for (what, change) in changes {
        let mut packets = stream(true);
        change(&mut packets[2]);
        let counts = counts(&packets);
        assert_eq!(counts[0], 2, "{what}: {counts:?}");
        assert_eq!(counts.iter().sum::<usize>(), 4);
    }
}

#[test]
fn the_first_segment_may_say_that_congestion_was_answered() {
    let whole = Made { flags: ACK | CWR, ..tcp(true, 0, &[7; 300]) };
    let packets: Vec<_> = whole.segments(100).iter().map(Made::bytes).collect();
    let written = join(&packets, ALL);
    assert_eq!((written.len(), written[0].0.has_cwr), (1, true));
}

#[test]
fn identifications_go_on_by_one_or_stand_still_where_fragments_are_forbidden() {
    let with_ids = |ids: [u16; 4], dont_fragment| {
        let mut packets = stream(true);
        for (made, id) in packets.iter_mut().zip(ids) {
            *made = Made { id, dont_fragment, ..made.clone() };
        }
        counts(&packets)
    };
    assert_eq!(with_ids([65535, 0, 1, 2], false), [4]);
    assert_eq!(with_ids([0, 0, 0, 0], true), [4]);
    assert_eq!(with_ids([0, 0, 0, 0], false), [1, 1, 1, 1]);
    assert_eq!(with_ids([5, 6, 6, 7], true), [2, 2]);
    assert_eq!(with_ids([5, 7, 9, 11], true), [1, 1, 1, 1]);
}

#[test]
fn a_changed_packet_is_not_vouched_for() {
    let good: Vec<_> = stream(true).iter().map(Made::bytes).collect();
    for (changed, expected) in [(0, vec![1, 3]), (2, vec![2, 1, 1])] {
        for at in [8, 30, 100] {
            let mut packets = good.clone();
            packets[changed][at] ^= 0x04;
            let written = join(&packets, ALL);
            let counts: Vec<_> = written.iter().map(|(.., count)| *count).collect();
            // A change in what must be alike is seen before the checksum; a segment after a changed one finds no run to extend.
            assert_eq!(counts[..1], expected[..1], "{changed} {at}");
            let alone = written.iter().find(|(_, packet, _)| *packet == packets[changed]);
            assert_eq!(
                alone.map(|(header, ..)| *header),
                Some(Header::default()),
                "{changed} {at}"
            );
        }
    }
}

#[test]
fn two_streams_that_take_turns_are_joined_each() {
    let other = |made: &Made| Made { source_port: 4001, ..made.clone() };
    let packets: Vec<_> =
        stream(true).iter().flat_map(|made| [made.clone(), other(made)]).collect();
    assert_eq!(counts(&packets), [4, 4]);
}

#[test]
fn an_acknowledgement_between_data_keeps_its_place() {
    let mut packets = stream(true);
    let bare = Made { payload: Vec::new(), ..packets[2].clone() };
    packets.insert(2, bare);
    assert_eq!(counts(&packets), [2, 1, 2]);
}

#[test]
fn packets_that_begin_or_end_a_connection_stay_alone() {
    for flag in [SYN, 0x04, 0x20] {
        let mut packets = stream(true);
        packets[0].flags |= flag;
        assert_eq!(counts(&packets), [1, 3], "{flag:#x}");
    }
    let mut packets = stream(true);
    packets[0].flags = FIN | ACK;
    assert_eq!(counts(&packets), [1, 3]);
}

#[test]
fn fragments_and_other_protocols_pass_as_they_are() {
    let mut packets: Vec<_> = stream(true).iter().map(Made::bytes).collect();
    packets[0][6] = 0x20;
    packets[1][9] = 50;
    packets[2].truncate(10);
    let written = join(&packets, ALL);
    assert_eq!(written.iter().map(|(_, packet, _)| packet.clone()).collect::<Vec<_>>(), packets);
}

#[test]
fn a_run_stays_within_64_kib() {
    let whole = tcp(true, 0, &[7; 60_000]);
    let mut packets = whole.segments(10_000);
    for made in packets.clone().into_iter().take(2) {
        packets.push(Made { seq: made.seq + 60_000, id: made.id + 6, ..made });
    }
    assert_eq!(counts(&packets), [6, 2]);
}

#[test]
fn packets_of_different_owners_are_not_joined() {
    let mut packets: Vec<_> = stream(true).iter().map(Made::bytes).collect();
    let (mut join, mut written) = (Join::new(), Vec::new());
    for id in 0..packets.len() {
        join.add(id as u16 % 2, id, &packets, ALL);
    }
    join.take(&mut packets, |joined| {
        written.extend(joined.map(|whole| (whole.owner, whole.count)));
    });
    assert_eq!(written, [(0, 1), (1, 1), (0, 1), (1, 1)]);
}
