//! What a packet may not cost.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::*;
use crypto::mppe::Mode;
use engine::Instant;
use engine::data::{DataPath, HEADROOM, Inbound};

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
