//! Putting stateful MPPE's packets back in order: its key stream runs on from one packet to the next.

use alloc::vec::Vec;
use core::time::Duration;

use crypto::mppe::{COUNT_MASK, FLUSHED};

use crate::Instant;

/// How many packets wait for a missing one.
pub(super) const MAX_HELD: usize = 32;

/// How long they wait. Longer than most reordering, shorter than what a loss costs anyway (a Reset-Request's round trip).
pub(super) const HOLD: Duration = Duration::from_millis(50);

/// A count that is less than this ahead is ahead; otherwise it is behind.
const HALF: u16 = 0x0800;

/// A short queue of whole GRE packets whose predecessor has not come.
#[derive(Debug, Default)]
pub(super) struct Reorder {
    /// The coherency count that can be opened next.
    next: u16,
    /// In no order: there are few.
    held: Vec<Held>,
    until: Option<Instant>,
}

#[derive(Debug)]
struct Held {
    count: u16,
    flushed: bool,
    packet: Vec<u8>,
}

/// What to do when waiting is over.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Expired {
    /// Go on with the held packets from a fresh start of the cipher on.
    GoOn,
    /// Ask the peer for a fresh start.
    NeedsReset,
}

impl Reorder {
    /// Whether a packet with this MPPE header has to wait: one before it is missing.
    pub(super) fn must_wait(&self, header: u16) -> bool {
        let ahead = ahead(header & COUNT_MASK, self.next);
        ahead != 0 && ahead < HALF
    }

    /// Keeps a copy of a GRE packet.
    pub(super) fn hold(&mut self, now: Instant, header: u16, packet: &[u8]) {
        self.until.get_or_insert(now + HOLD);
        let held = Held {
            count: header & COUNT_MASK,
            flushed: header & FLUSHED != 0,
            packet: packet.to_vec(),
        };
        self.held.push(held);
        if self.held.len() >= MAX_HELD {
            self.until = Some(now);
        }
    }

    /// The packet with this MPPE header has been opened.
    pub(super) fn opened(&mut self, header: u16) {
        self.next = (header & COUNT_MASK).wrapping_add(1) & COUNT_MASK;
        let next = self.next;
        self.held.retain(|held| ahead(held.count, next) < HALF);
        if self.held.is_empty() {
            self.until = None;
        }
    }

    /// The held packet that can be opened now.
    pub(super) fn take_ready(&mut self) -> Option<Vec<u8>> {
        let at = self.held.iter().position(|held| held.count == self.next)?;
        Some(self.held.swap_remove(at).packet)
    }

    /// Whether no packet waits.
    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// When waiting is over.
    pub(super) fn until(&self) -> Option<Instant> {
        self.until
    }

    /// Waiting is over: packets before the next fresh start of the cipher cannot be opened any more. Gives how many those were.
    pub(super) fn expire(&mut self) -> (Expired, usize) {
        self.until = None;
        let before = self.held.len();
        let next = self.next;
        let fresh = self.held.iter().filter(|held| held.flushed);
        match fresh.map(|held| ahead(held.count, next)).min() {
            Some(start) => {
                self.held.retain(|held| ahead(held.count, next) >= start);
                self.next = next.wrapping_add(start) & COUNT_MASK;
                (Expired::GoOn, before - self.held.len())
            }
            None => {
                self.held.clear();
                (Expired::NeedsReset, before)
            }
        }
    }
}

fn ahead(count: u16, of: u16) -> u16 {
    count.wrapping_sub(of) & COUNT_MASK
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Instant = Instant::ZERO;

    #[test]
    fn held_packets_come_out_in_order_once_the_missing_one_is_opened() {
        let mut reorder = Reorder::default();
        assert!(!reorder.must_wait(0));
        assert!(reorder.must_wait(2) && reorder.must_wait(1));
        reorder.hold(NOW, 2, &[2]);
        reorder.hold(NOW, 1, &[1]);
        assert_eq!(reorder.take_ready(), None);
        reorder.opened(0);
        assert_eq!(reorder.take_ready(), Some([1].to_vec()));
        reorder.opened(1);
        assert_eq!(reorder.take_ready(), Some([2].to_vec()));
        reorder.opened(2);
        assert_eq!(reorder.until(), None);
    }

    #[test]
    fn a_count_behind_does_not_wait() {
        let mut reorder = Reorder::default();
        reorder.opened(5);
        assert!(!reorder.must_wait(3));
    }

    #[test]
    fn a_full_queue_waits_no_longer() {
        let mut reorder = Reorder::default();
        for count in 1..=MAX_HELD as u16 {
            reorder.hold(NOW, count, &[]);
        }
        assert_eq!(reorder.until(), Some(NOW));
        assert_eq!(reorder.expire(), (Expired::NeedsReset, MAX_HELD));
    }

    #[test]
    fn after_the_wait_it_goes_on_from_a_fresh_start_of_the_cipher() {
        let mut reorder = Reorder::default();
        reorder.hold(NOW, 1, &[1]);
        reorder.hold(NOW, 2 | FLUSHED, &[2]);
        reorder.hold(NOW, 3, &[3]);
        assert_eq!(reorder.until(), Some(NOW + HOLD));
        assert_eq!(reorder.expire(), (Expired::GoOn, 1));
        assert_eq!(reorder.take_ready(), Some([2].to_vec()));
        reorder.opened(2);
        assert_eq!(reorder.take_ready(), Some([3].to_vec()));
    }

    #[test]
    fn counts_wrap_around() {
        let mut reorder = Reorder::default();
        reorder.opened(0xffe);
        assert!(reorder.must_wait(0));
        reorder.hold(NOW, 0, &[0]);
        reorder.opened(0xfff);
        assert_eq!(reorder.take_ready(), Some([0].to_vec()));
    }
}
