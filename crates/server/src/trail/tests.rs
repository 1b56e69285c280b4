//! What trails keep, and what they cost.

use std::net::SocketAddrV4;

use engine::ppp::Party;
use proptest::prelude::*;
use wire::ppp::{Code, Protocol};

use super::*;

const PEER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 7);

fn options(bytes: usize) -> Event {
    Event::Negotiation {
        protocol: Protocol::LCP,
        from: Party::Peer,
        code: Code::CONFIGURE_REQUEST,
        id: 1,
        options: vec![0; bytes],
    }
}

fn texts(packed: &Packed) -> Vec<String> {
    packed.show().unwrap().into_iter().map(|shown| shown.text).collect()
}

#[test]
fn whatever_a_peer_does_a_trail_stays_small_and_tells_how_much_it_left_out() {
    let mut trail = Trail::default();
    trail.note(0, PEER, &Event::Connected { local: "10.0.0.1:1723".parse().unwrap() });
    for count in 0..100_000 {
        trail.note(1, PEER, &options(count % 255));
        assert!(trail.cost() <= MOST_BYTES);
    }
    trail.note(1, PEER, &Event::Kicked { reason: "x".repeat(100_000) });
    assert!(trail.cost() <= MOST_BYTES);
    let texts = texts(&trail.packed(1));
    assert_eq!(texts[0], "connects to 10.0.0.1");
    assert!(texts.last().unwrap().starts_with("Ended by an administrator (xxx"));
    let gap = texts.iter().find(|text| text.ends_with("steps are not kept")).unwrap();
    let left_out: usize = gap.split(' ').next().unwrap().parse().unwrap();
    assert_eq!(left_out + texts.len() - 1, 100_002, "every step is there or counted");
}

#[test]
fn a_call_has_its_own_steps_and_those_of_its_connection() {
    let mut trail = Trail::default();
    trail.note(0, PEER, &Event::NoFreeSlot);
    let (first, second) = (trail.new_call(), trail.new_call());
    trail.note(first, PEER, &Event::Idle);
    trail.note(second, PEER, &Event::TimeUp);
    assert_eq!(texts(&trail.packed(first)).len(), 2);
    assert!(texts(&trail.packed(second))[1].contains("Connect time expired"));
    assert_eq!(texts(&trail.packed(0)).len(), 3);
}

#[test]
fn what_came_before_a_session_was_up_is_told_as_ever_once_it_is() {
    let mut samples = Samples::default();
    for names in [["anna", "ppp0"], ["bert", "ppp1"]] {
        let (mut trail, mut plain) = (Trail::default(), Trail::default());
        let mut both = |event: &Event, settled: bool| {
            for trail in [&mut trail, &mut plain] {
                trail.note(1, PEER, event);
            }
            if settled {
                trail.settle(&mut samples);
            }
        };
        for bytes in 0..20 {
            both(&options(bytes), false);
        }
        both(&Event::Authenticated { method: None, name: names[0].into() }, false);
        both(&Event::InterfaceMade { name: names[1].into() }, true);
        both(&Event::Idle, true);
        assert_eq!(texts(&trail.packed(1)), texts(&plain.packed(1)));
        assert_eq!(trail.since(1, 18).1, plain.since(1, 18).1);
        assert!(names[0] == "anna" || trail.cost() < plain.cost());
        for count in 0..10_000 {
            trail.note(1, PEER, &options(count % 255));
            assert!(trail.cost() <= MOST_BYTES);
        }
    }
}

#[test]
fn times_come_back_from_those_since_the_step_before() {
    let times = [0, 0, 3, 3, 250, 90_000, u32::MAX, 5];
    let packed: Vec<u8> = times
        .into_iter()
        .flat_map(|millis| postcard::to_allocvec(&(millis, 1u8, Step::LinkDown)).unwrap())
        .collect();
    let folded = by_the_step_before(&packed);
    let since: Vec<_> = entries(&folded).map(|(millis, ..)| millis).collect();
    assert_eq!(since[..6], [0, 0, 3, 0, 247, 89_750]);
    assert_eq!(by_the_start(&folded), packed);
}

#[test]
fn echoes_are_told_once_and_again_after_some_were_missing() {
    let mut trail = Trail::default();
    let answered = Event::EchoAnswered(Duration::from_millis(2));
    for event in [&answered, &answered, &Event::EchoMissing(2), &answered, &answered] {
        trail.note(1, PEER, event);
    }
    let answers = "answers LCP Echo-Requests, after 2.0 ms";
    assert_eq!(texts(&trail.packed(1)), [answers, "No response to 2 echo-requests", answers]);
}

#[test]
fn options_are_told_in_words() {
    let event = Event::Negotiation {
        protocol: Protocol::LCP,
        from: Party::Peer,
        code: Code::CONFIGURE_NAK,
        id: 1,
        options: vec![3, 5, 0xc2, 0x23, 0x81],
    };
    let mut trail = Trail::default();
    trail.note(1, PEER, &event);
    assert_eq!(texts(&trail.packed(1)), ["LCP: wants instead <auth chap MS-v2>"]);
}

#[test]
fn nothing_that_a_client_sends_reaches_the_terminal_as_it_is() {
    let mut trail = Trail::default();
    let name = b"\x1b[31m\nroot".to_vec();
    let method = engine::auth::Method::MsChapV2;
    trail.note(1, PEER, &Event::LoginTried { method, name });
    trail.note(1, PEER, &Event::Identification(b"\x07\xff".to_vec()));
    assert!(texts(&trail.packed(1)).iter().flat_map(|text| text.chars()).all(|c| !c.is_control()));
}

#[test]
fn noting_costs_microseconds() {
    let rounds = 1000;
    let start = Instant::now();
    for _ in 0..rounds {
        let bus = crate::event::Bus::new(Vec::new());
        let source = bus.connection(SocketAddrV4::new(PEER, 4000)).new_session();
        (0..60).for_each(|_| source.publish(options(20)));
    }
    let each = start.elapsed() / rounds;
    eprintln!("the 60 events of a session cost {each:?}");
    assert!(each < Duration::from_millis(5), "{each:?}");
}

proptest! {
    #[test]
    fn bytes_that_are_no_trail_harm_nothing(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Packed::from_bytes(&bytes).show();
    }

    #[test]
    fn a_trail_cut_short_shows_what_is_left(at in 0usize..200) {
        let mut trail = Trail::default();
        (0..10).for_each(|_| trail.note(1, PEER, &options(20)));
        let packed = trail.packed(1);
        let bytes = &packed.as_bytes()[..at.min(packed.as_bytes().len())];
        if let Some(shown) = Packed::from_bytes(bytes).show() {
            prop_assert!(shown.len() <= 10);
        }
    }
}
