use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;

const NOW: Instant = Instant::from_nanos(1_000_000);

fn received(seqs: &[u32]) -> Sequencer {
    let mut sequencer = Sequencer::new();
    for seq in seqs {
        sequencer.commit(NOW, *seq);
    }
    sequencer
}

#[test]
fn our_first_sequence_number_is_0_as_android_expects() {
    let mut sequencer = Sequencer::new();
    assert_eq!(sequencer.take_next(NOW), 0);
    assert_eq!(sequencer.take_next(NOW), 1);
}

#[test]
fn the_first_packet_may_have_any_number() {
    for first in [0, 1, 77, u32::MAX] {
        assert_eq!(Sequencer::new().classify(NOW, first), Receive::New { distance: 1 });
        assert_eq!(received(&[first]).classify(NOW, first), Receive::Duplicate);
    }
}

#[test]
fn looking_changes_nothing() {
    let sequencer = received(&[5]);
    assert_eq!(sequencer.classify(NOW, 10_000), Receive::New { distance: 9_995 });
    assert_eq!(sequencer.classify(NOW, 6), Receive::New { distance: 1 });
}

#[test]
fn a_packet_repeated_three_times_on_the_air_counts_once() {
    let mut sequencer = received(&[10, 11]);
    assert_eq!(sequencer.commit(NOW, 11), Receive::Duplicate);
    assert_eq!(sequencer.commit(NOW, 11), Receive::Duplicate);
    assert_eq!(sequencer.stats().duplicates, 2);
    assert_eq!(sequencer.stats().received, 2);
}

#[test]
fn a_late_packet_is_taken_once_and_is_no_longer_lost() {
    let mut sequencer = received(&[1, 2, 5]);
    assert_eq!(sequencer.stats().lost, 2);
    assert_eq!(sequencer.commit(NOW, 3), Receive::Late);
    assert_eq!(sequencer.commit(NOW, 3), Receive::Duplicate);
    assert_eq!(
        sequencer.stats(),
        Stats { received: 4, lost: 1, reordered: 1, duplicates: 1, ..Stats::default() }
    );
}

#[test]
fn what_is_further_behind_than_the_window_is_too_old() {
    let mut sequencer = received(&[0, 5000]);
    assert_eq!(sequencer.commit(NOW, 5000 - WINDOW + 1), Receive::Late);
    assert_eq!(sequencer.commit(NOW, 5000 - WINDOW), Receive::TooOld);
    assert_eq!(sequencer.stats().too_old, 1);
}

#[test]
fn numbers_wrap_around() {
    let mut sequencer = received(&[u32::MAX - 1]);
    assert_eq!(sequencer.commit(NOW, 1), Receive::New { distance: 3 });
    assert_eq!(sequencer.commit(NOW, u32::MAX), Receive::Late);
    assert_eq!(sequencer.commit(NOW, 0), Receive::Late);
    assert_eq!(sequencer.commit(NOW, u32::MAX - 1), Receive::Duplicate);
    assert_eq!(sequencer.stats().lost, 0);
}

#[test]
fn a_peer_that_starts_anew_is_heard_after_a_silence() {
    let mut sequencer = received(&[1_000_000]);
    assert_eq!(sequencer.commit(NOW, 0), Receive::TooOld);
    let later = NOW + RESTART_AFTER;
    assert_eq!(sequencer.commit(later, 0), Receive::Restart);
    assert_eq!(sequencer.commit(later, 1), Receive::New { distance: 1 });
    assert_eq!(sequencer.commit(later, 0), Receive::Duplicate);
}

#[test]
fn a_number_farther_ahead_than_any_sender_could_be_changes_nothing() {
    let mut sequencer = received(&[7]);
    assert_eq!(sequencer.commit(NOW, 7 + LEAP + 1), Receive::TooFar);
    assert_eq!(sequencer.commit(NOW, 7 + (1 << 31) - 1), Receive::TooFar);
    assert_eq!(sequencer.commit(NOW, 8), Receive::New { distance: 1 });
    let later = NOW + Duration::from_millis(20);
    let far = 8 + LEAP + 20 * LEAP_PER_MILLISECOND;
    assert_eq!(sequencer.classify(later, far + 1), Receive::TooFar);
    assert_eq!(sequencer.commit(later, far), Receive::New { distance: far - 8 });
    assert_eq!(sequencer.stats().too_old, 2);
}

#[test]
fn an_acknowledgement_is_due_within_the_delay_and_only_once() {
    let mut sequencer = received(&[0]);
    sequencer.commit(NOW + Duration::from_millis(10), 1);
    assert_eq!(sequencer.ack_due_at(), Some(NOW + ACK_DELAY));
    assert_eq!(sequencer.take_ack(), Some(1));
    assert_eq!(sequencer.take_ack(), None);
    assert_eq!(sequencer.ack_due_at(), None);
}

#[test]
fn many_packets_make_an_acknowledgement_due_at_once_as_macos_needs() {
    let numbers: Vec<u32> = (0..ACK_EVERY).collect();
    assert_eq!(received(&numbers).ack_due_at(), Some(NOW));
}

#[test]
fn a_duplicate_or_late_packet_makes_no_acknowledgement_due() {
    let mut sequencer = received(&[0, 2]);
    sequencer.take_ack();
    sequencer.commit(NOW, 2);
    sequencer.commit(NOW, 1);
    assert!(!sequencer.wants_ack());
}

#[test]
fn cisco_s_first_acknowledgement_ffffffff_and_macos_s_0_are_ignored() {
    let mut sequencer = Sequencer::new();
    sequencer.acknowledged(NOW, u32::MAX);
    sequencer.acknowledged(NOW, 0);
    assert_eq!(sequencer.stats().false_acks, 2);
    assert_eq!(sequencer.round_trip(), None);
    assert_eq!(sequencer.take_next(NOW), 0);
}

#[test]
fn an_acknowledgement_of_the_future_is_ignored_and_counted() {
    let mut sequencer = Sequencer::new();
    sequencer.take_next(NOW);
    sequencer.acknowledged(NOW, 1);
    sequencer.acknowledged(NOW, 1_000_000);
    assert_eq!(sequencer.stats().false_acks, 2);
    sequencer.acknowledged(NOW + Duration::from_millis(8), 0);
    assert_eq!(sequencer.round_trip(), Some(Duration::from_millis(8)));
}

#[test]
fn android_which_never_acknowledges_is_served_without_end() {
    let mut sequencer = Sequencer::new();
    for expected in 0..100_000 {
        assert_eq!(sequencer.take_next(NOW), expected);
    }
}

#[test]
fn the_round_trip_is_measured_from_one_packet_at_a_time() {
    let mut sequencer = Sequencer::new();
    sequencer.take_next(NOW);
    sequencer.take_next(NOW + Duration::from_millis(5));
    sequencer.acknowledged(NOW + Duration::from_millis(16), 1);
    assert_eq!(sequencer.round_trip(), Some(Duration::from_millis(16)));
    sequencer.take_next(NOW + Duration::from_millis(20));
    sequencer.acknowledged(NOW + Duration::from_millis(44), 2);
    assert_eq!(sequencer.round_trip(), Some(Duration::from_millis(17)));
}

proptest! {
    /// Against the plainest possible model: the set of all numbers seen.
    #[test]
    fn nothing_is_taken_twice_and_nothing_within_the_window_is_refused(
        start: u32,
        steps in proptest::collection::vec(-3000i32..4000, 1..400),
    ) {
        let mut sequencer = Sequencer::new();
        let mut seen = BTreeSet::new();
        let mut newest = i64::from(start);
        sequencer.commit(NOW, start);
        seen.insert(newest);
        for step in steps {
            let number = newest + i64::from(step);
            let expected = match () {
                () if number > newest => Receive::New { distance: (number - newest) as u32 },
                () if newest - number >= i64::from(WINDOW) => Receive::TooOld,
                () if seen.contains(&number) => Receive::Duplicate,
                () => Receive::Late,
            };
            prop_assert_eq!(sequencer.commit(NOW, number as u32), expected);
            if expected != Receive::TooOld {
                seen.insert(number);
                newest = newest.max(number);
            }
        }
    }
}
