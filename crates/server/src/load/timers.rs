//! Deadlines of the sessions.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use engine::Instant;

/// Deadlines, the first one first. A deadline that was put off stays in here until it comes, so that the owner has to know which one counts.
#[derive(Debug, Default)]
pub(super) struct Timers(BinaryHeap<Reverse<(Instant, u16)>>);

impl Timers {
    pub(super) fn add(&mut self, deadline: Instant, call: u16) {
        self.0.push(Reverse((deadline, call)));
    }

    /// The first deadline.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.peek().map(|Reverse((deadline, _))| *deadline)
    }

    /// Takes the first deadline, if it has come.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<(Instant, u16)> {
        self.next().filter(|deadline| *deadline <= now)?;
        self.0.pop().map(|Reverse(due)| due)
    }
}
