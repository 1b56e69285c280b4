//! How requests are repeated, answered, and answered late.

use super::*;
use crate::ppp::MppePolicy;
use crate::ppp::ccp::Ccp;

const FIRST_WAIT: Duration = Duration::from_millis(250);
const MPPE_128: [u8; 6] = [18, 6, 1, 0, 0, 0x40];

fn started() -> (ControlProtocol<Ccp>, Random) {
    let mut ccp =
        ControlProtocol::new(Ccp::new(MppePolicy::REQUIRE_128), Timers::default(), FIRST_WAIT);
    let mut steps = Vec::new();
    ccp.open(Instant::ZERO, &mut steps);
    assert_eq!(steps.len(), 1);
    (ccp, Random::new([0; 32]))
}

fn handle(
    protocol: &mut ControlProtocol<Ccp>,
    random: &mut Random,
    code: Code,
    id: u8,
    data: &[u8],
) -> Vec<Step> {
    let mut steps = Vec::new();
    protocol.handle_packet(Instant::ZERO, &Packet { code, id, data }, random, &mut steps);
    steps
}

fn sent(step: &Step) -> Option<Code> {
    match step {
        Step::Send(packet) => Some(Code(packet[0])),
        _ => None,
    }
}

fn opened() -> (ControlProtocol<Ccp>, Random) {
    let (mut ccp, mut random) = started();
    handle(&mut ccp, &mut random, Code::CONFIGURE_REQUEST, 9, &MPPE_128);
    handle(&mut ccp, &mut random, Code::CONFIGURE_ACK, 1, &MPPE_128);
    assert!(ccp.is_open());
    (ccp, random)
}

#[test]
fn the_layer_is_up_before_the_acknowledgement_that_lets_the_peer_use_it() {
    let (mut ccp, mut random) = started();
    handle(&mut ccp, &mut random, Code::CONFIGURE_ACK, 1, &MPPE_128);
    let steps = handle(&mut ccp, &mut random, Code::CONFIGURE_REQUEST, 9, &MPPE_128);
    assert_eq!(steps[0], Step::Up);
    assert_eq!(sent(&steps[1]), Some(Code::CONFIGURE_ACK));
}

#[test]
fn a_request_repeated_after_opening_is_acknowledged_and_nothing_falls() {
    let (mut ccp, mut random) = opened();
    let steps = handle(&mut ccp, &mut random, Code::CONFIGURE_REQUEST, 10, &MPPE_128);
    assert_eq!(steps.len(), 1);
    assert_eq!(sent(&steps[0]), Some(Code::CONFIGURE_ACK));
    assert!(ccp.is_open());
}

#[test]
fn a_peer_that_keeps_repeating_gets_a_new_negotiation() {
    let (mut ccp, mut random) = opened();
    for id in 0..MAX_REPEATS {
        handle(&mut ccp, &mut random, Code::CONFIGURE_REQUEST, id, &MPPE_128);
    }
    let steps = handle(&mut ccp, &mut random, Code::CONFIGURE_REQUEST, 99, &MPPE_128);
    assert_eq!(steps[0], Step::Down);
    assert!(!ccp.is_open());
}

#[test]
fn duplicated_answers_do_not_reopen_the_negotiation() {
    let (mut ccp, mut random) = opened();
    assert!(handle(&mut ccp, &mut random, Code::CONFIGURE_ACK, 1, &MPPE_128).is_empty());
    assert!(handle(&mut ccp, &mut random, Code::CONFIGURE_NAK, 1, &MPPE_128).is_empty());
    assert!(handle(&mut ccp, &mut random, Code::TERMINATE_ACK, 1, &[]).is_empty());
    assert!(ccp.is_open());
}

#[test]
fn an_endless_dispute_ends_as_not_converging() {
    let (mut ccp, mut random) = started();
    let mut finished = false;
    for _ in 0..100 {
        let id = ccp.request_id;
        let steps = handle(&mut ccp, &mut random, Code::CONFIGURE_NAK, id, &[18, 6, 0, 0, 0, 0x10]);
        finished |= steps.contains(&Step::Finished(Finish::NotConverging));
    }
    assert!(finished);
}

#[test]
fn repetitions_keep_their_identifier_and_slow_down() {
    let (mut ccp, _) = started();
    let mut waits = Vec::new();
    let mut now = Instant::ZERO;
    let mut steps = Vec::new();
    while let Some(deadline) = ccp.deadline() {
        waits.push((deadline - now).as_millis());
        now = deadline;
        ccp.handle_timeout(now, &mut steps);
    }
    assert_eq!(waits[..5], [250, 500, 1000, 2000, 3000]);
    assert_eq!(steps.last(), Some(&Step::Finished(Finish::TimedOut)));
    let first = &steps[0];
    assert!(steps[..steps.len() - 1].iter().all(|step| step == first));
}

#[test]
fn a_peer_that_was_not_ready_is_asked_again_as_soon_as_it_asks() {
    let (mut ccp, mut random) = started();
    assert!(handle(&mut ccp, &mut random, Code::TERMINATE_ACK, 1, &[]).is_empty());
    let steps = handle(&mut ccp, &mut random, Code::CONFIGURE_REQUEST, 9, &MPPE_128);
    let codes: Vec<_> = steps.iter().filter_map(sent).collect();
    assert_eq!(codes, [Code::CONFIGURE_ACK, Code::CONFIGURE_REQUEST]);
    handle(&mut ccp, &mut random, Code::CONFIGURE_ACK, 1, &MPPE_128);
    assert!(ccp.is_open());
}

#[test]
fn an_unknown_code_is_rejected_but_a_code_reject_never_is() {
    let (mut ccp, mut random) = opened();
    let steps = handle(&mut ccp, &mut random, Code(0x66), 1, b"?");
    assert_eq!(sent(&steps[0]), Some(Code::CODE_REJECT));
    assert!(handle(&mut ccp, &mut random, Code::CODE_REJECT, 1, &[7, 2, 0, 4]).is_empty());
    assert!(ccp.is_open());
}
