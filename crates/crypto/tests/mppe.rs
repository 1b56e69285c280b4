//! Sealer against opener over links that lose, duplicate, reorder and forge.

use crypto::mppe::{ENCRYPTED, FLUSHED, KEPT_KEYS, MAX_KEY_CHANGES};
use crypto::mppe::{KeySchedule, Mode, OpenError, Opener, Sealer, StartKey, Strength};
use proptest::prelude::*;

/// A sealed packet as it travels: number (0, 1, …), header, body.
#[derive(Clone)]
struct Sealed {
    number: u32,
    header: u16,
    body: Vec<u8>,
}

struct Link {
    sealer: Sealer,
    opener: Opener,
    sent: u32,
    /// Number of the newest packet opened.
    newest: Option<u32>,
}

impl Link {
    fn new(strength: Strength, mode: Mode) -> Self {
        let key = StartKey::from_bytes(*b"0123456789abcdef");
        Self {
            sealer: Sealer::new(key.clone(), strength, mode),
            opener: Opener::new(key, strength, mode),
            sent: 0,
            newest: None,
        }
    }

    fn seal(&mut self) -> Sealed {
        let number = self.sent;
        self.sent += 1;
        let mut body = text(number);
        let header = self.sealer.seal(&mut body);
        Sealed { number, header, body }
    }

    fn skip(&mut self, packets: u32) {
        for _ in 0..packets {
            self.seal();
        }
    }

    /// Opens, with the distance in packet numbers, and checks the plain text.
    fn open(&mut self, packet: &Sealed) -> Result<(), OpenError> {
        let next = self.newest.map_or(0, |newest| newest + 1);
        let distance = (packet.number + 1).saturating_sub(next);
        let mut body = packet.body.clone();
        let result = self.opener.open(packet.header, distance, &mut body, sane);
        if result.is_ok() {
            assert_eq!(body, text(packet.number));
            self.newest = self.newest.max(Some(packet.number));
        } else {
            assert_eq!(body, packet.body, "a refused packet is left as it was");
        }
        result
    }
}

/// A plain text that names its packet and ends in a check value.
fn text(number: u32) -> Vec<u8> {
    let mut text = b"\x00\x21".to_vec();
    text.extend_from_slice(&number.to_be_bytes());
    text.extend(std::iter::repeat_n(number as u8, number as usize % 20));
    text.push(check(&text));
    text
}

fn check(text: &[u8]) -> u8 {
    text.iter().fold(0x5a, |sum: u8, &byte| sum.rotate_left(1) ^ byte)
}

fn sane(text: &[u8]) -> bool {
    matches!(text.split_last(), Some((&last, rest)) if rest.starts_with(b"\x00\x21") && check(rest) == last)
}

const STRENGTHS: [Strength; 3] = [Strength::Bits40, Strength::Bits56, Strength::Bits128];

fn strengths() -> impl Strategy<Value = Strength> {
    prop::sample::select(STRENGTHS.to_vec())
}

#[test]
fn stateless_headers_carry_a_and_d_and_count_from_0() {
    let mut link = Link::new(Strength::Bits128, Mode::Stateless);
    for number in 0..5000u16 {
        assert_eq!(link.seal().header, FLUSHED | ENCRYPTED | (number & 0xfff));
    }
}

#[test]
fn the_first_stateless_packet_uses_the_second_key() {
    let key = StartKey::from_bytes([1; 16]);
    let mut body = *b"test message";
    Sealer::new(key.clone(), Strength::Bits128, Mode::Stateless).seal(&mut body);
    KeySchedule::new(key, Strength::Bits128).next().cipher().apply(&mut body);
    assert_eq!(&body, b"test message");
}

#[test]
fn stateful_keys_change_at_counts_ending_in_ff_only() {
    let mut link = Link::new(Strength::Bits128, Mode::Stateful);
    let mut schedule =
        KeySchedule::new(StartKey::from_bytes(*b"0123456789abcdef"), Strength::Bits128);
    let mut cipher = schedule.current().cipher();
    for number in 0..5000u16 {
        let mut sealed = link.seal();
        let flag = if number & 0xff == 0xff { FLUSHED } else { 0 };
        assert_eq!(sealed.header, flag | ENCRYPTED | (number & 0xfff));
        if flag != 0 {
            cipher = schedule.next().cipher();
        }
        cipher.apply(&mut sealed.body);
        assert_eq!(sealed.body, text(number.into()));
    }
}

#[test]
fn a_packet_without_bit_d_is_refused() {
    for mode in [Mode::Stateless, Mode::Stateful] {
        let mut link = Link::new(Strength::Bits128, mode);
        let mut packet = link.seal();
        packet.header &= !ENCRYPTED;
        assert_eq!(link.open(&packet), Err(OpenError::NotEncrypted));
        packet.header |= ENCRYPTED;
        assert_eq!(link.open(&packet), Ok(()));
    }
}

#[test]
fn a_burst_longer_than_the_coherency_count_is_survived() {
    for lost in [4094, 4095, 4096, 4097, 10_000, MAX_KEY_CHANGES - 1] {
        let mut link = Link::new(Strength::Bits128, Mode::Stateless);
        let first = link.seal();
        assert_eq!(link.open(&first), Ok(()));
        link.skip(lost);
        let next = link.seal();
        assert_eq!(link.open(&next), Ok(()), "{lost} lost");
    }
}

#[test]
fn gre_numbers_used_by_control_frames_do_not_hide_the_true_advance() {
    let mut link = Link::new(Strength::Bits128, Mode::Stateless);
    link.skip(100);
    let packet = link.seal();
    let mut body = packet.body.clone();
    let distance = 101 + 9000;
    assert_eq!(link.opener.open(packet.header, distance, &mut body, sane), Ok(()));
    assert_eq!(body, text(100));
}

#[test]
fn a_count_ahead_of_the_gre_sequence_number_is_refused() {
    let mut link = Link::new(Strength::Bits128, Mode::Stateless);
    link.skip(10);
    let packet = link.seal();
    let refused = link.opener.open(packet.header, 10, &mut packet.body.clone(), sane);
    assert_eq!(refused, Err(OpenError::TooFar { advance: 11, allowed: 10 }));
    assert_eq!(link.open(&packet), Ok(()));
}

#[test]
fn a_late_packet_opens_once_while_its_key_is_kept() {
    let mut link = Link::new(Strength::Bits128, Mode::Stateless);
    let packets: Vec<_> = (0..KEPT_KEYS + 2).map(|_| link.seal()).collect();
    let (newest, late) = packets.split_last().expect("packets");
    assert_eq!(link.open(newest), Ok(()));
    assert_eq!(link.open(newest), Err(OpenError::TooOld));
    assert_eq!(link.open(&late[0]), Err(OpenError::TooOld), "one more than are kept");
    for packet in &late[1..] {
        assert_eq!(link.open(packet), Ok(()));
        assert_eq!(link.open(packet), Err(OpenError::TooOld));
    }
}

#[test]
fn a_flag_packet_resynchronises_a_stateful_link_without_a_reset() {
    let mut link = Link::new(Strength::Bits56, Mode::Stateful);
    link.skip(1);
    let second = link.seal();
    assert_eq!(link.open(&second), Err(OpenError::NeedsReset));
    link.skip(0x1ff - 2);
    let flag = link.seal();
    assert_eq!(link.open(&flag), Ok(()));
    let next = link.seal();
    assert_eq!(link.open(&next), Ok(()));
}

#[test]
fn a_peer_may_or_may_not_change_the_key_at_a_reset() {
    for changes_key in [false, true] {
        let key = StartKey::from_bytes([3; 16]);
        let mut opener = Opener::new(key.clone(), Strength::Bits128, Mode::Stateful);
        let mut schedule = KeySchedule::new(key, Strength::Bits128);
        let mut cipher = schedule.current().cipher();
        for count in 0..40u16 {
            let reset = count % 10 == 9;
            if reset && changes_key {
                schedule.next();
            }
            if reset {
                cipher = schedule.current().cipher();
            }
            let mut body = text(count.into());
            cipher.apply(&mut body);
            let header = ENCRYPTED | if reset { FLUSHED } else { 0 } | count;
            let lost = count % 10 >= 7 && !reset;
            if !lost {
                let distance = if reset { 3 } else { 1 };
                assert_eq!(opener.open(header, distance, &mut body, sane), Ok(()), "count {count}");
            }
        }
    }
}

#[test]
fn key_changes_for_forged_packets_are_bounded() {
    let mut link = Link::new(Strength::Bits128, Mode::Stateless);
    let far = FLUSHED | ENCRYPTED | 0xfff;
    let mut forged = [0x41; 64];
    // A refusal by the counts alone costs nothing: a million of them end at once.
    for _ in 0..1_000_000 {
        let refused = link.opener.open(far, 4095, &mut forged, |_| true);
        assert_eq!(refused, Err(OpenError::TooFar { advance: 4096, allowed: 4095 }));
    }
    assert_eq!(link.opener.open(far, u32::MAX, &mut forged, |_| false), Err(OpenError::Insane));
    let genuine = link.seal();
    assert_eq!(link.open(&genuine), Ok(()));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Each packet travels for its own time (none: it is lost) and perhaps twice; within what is kept all open, once.
    #[test]
    fn stateless_opens_every_delivered_packet_exactly_once(
        strength in strengths(),
        fates in prop::collection::vec((0u8..10, 0u32..40, prop::option::weighted(0.2, 0u32..100)), 1..600),
    ) {
        let mut link = Link::new(strength, Mode::Stateless);
        let mut arrivals = Vec::new();
        let mut delivered = 0;
        for (loss, delay, again) in fates {
            let packet = link.seal();
            if loss == 0 {
                continue;
            }
            delivered += 1;
            if let Some(again) = again {
                arrivals.push((packet.number + delay + again, packet.clone()));
            }
            arrivals.push((packet.number + delay, packet));
        }
        arrivals.sort_by_key(|(at, _)| *at);
        let mut opened = std::collections::BTreeSet::new();
        for (_, packet) in &arrivals {
            let expected =
                if opened.insert(packet.number) { Ok(()) } else { Err(OpenError::TooOld) };
            prop_assert_eq!(link.open(packet), expected, "packet {}", packet.number);
        }
        prop_assert_eq!(opened.len(), delivered);
    }

    /// In order, with losses and a reset after each: whatever is not between a loss and the reset opens.
    #[test]
    fn stateful_recovers_from_loss_by_reset(
        strength in strengths(),
        fates in prop::collection::vec((0u8..12, 0u32..5), 1..1500),
    ) {
        let mut link = Link::new(strength, Mode::Stateful);
        let mut reset_in = None;
        let mut in_step = true;
        for (loss, round_trip) in fates {
            if reset_in == Some(0) {
                link.sealer.flush();
                reset_in = None;
            }
            reset_in = reset_in.map(|left| left - 1);
            let packet = link.seal();
            if loss == 0 {
                in_step = false;
                continue;
            }
            in_step |= packet.header & FLUSHED != 0;
            let result = link.open(&packet);
            if in_step {
                prop_assert_eq!(result, Ok(()));
                reset_in = None;
            } else {
                prop_assert_eq!(result, Err(OpenError::NeedsReset));
                reset_in = reset_in.or(Some(round_trip));
            }
        }
    }

    /// Forged packets between genuine ones change nothing, in either mode.
    #[test]
    fn forged_packets_never_corrupt_the_state(
        strength in strengths(),
        stateful in any::<bool>(),
        forgeries in prop::collection::vec(
            prop::collection::vec((any::<u16>(), 0u32..600, prop::collection::vec(any::<u8>(), 0..40)), 0..8),
            1..40,
        ),
    ) {
        let mut link = Link::new(strength, if stateful { Mode::Stateful } else { Mode::Stateless });
        for forged in forgeries {
            for (header, distance, mut body) in forged {
                let before = body.clone();
                prop_assert!(link.opener.open(header, distance, &mut body, |_| false).is_err());
                prop_assert_eq!(body, before);
            }
            let packet = link.seal();
            prop_assert_eq!(link.open(&packet), Ok(()));
        }
    }
}
