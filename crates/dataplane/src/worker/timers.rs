//! Deadlines of a worker's calls.

use std::collections::VecDeque;

use engine::Instant;

/// Deadlines in order. Nearly all are the same delay away when they are set (acknowledgements), so that they are added at the end or close
/// to it.
#[derive(Debug, Default)]
pub(super) struct Timers(VecDeque<(Instant, u16)>);

impl Timers {
    pub(super) fn add(&mut self, deadline: Instant, call: u16) {
        let later = self.0.iter().rev().take_while(|(other, _)| *other > deadline).count();
        self.0.insert(self.0.len() - later, (deadline, call));
    }

    /// The first deadline.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.front().map(|(deadline, _)| *deadline)
    }

    /// Takes the first deadline, if it has come.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<(Instant, u16)> {
        self.next().filter(|deadline| *deadline <= now)?;
        self.0.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_come_due_in_order_whatever_the_order_they_were_set_in() {
        let mut timers = Timers::default();
        let at = Instant::from_nanos;
        for (deadline, call) in [(50, 1), (40, 2), (60, 3), (50, 4), (10, 5)] {
            timers.add(at(deadline), call);
        }
        assert_eq!(timers.next(), Some(at(10)));
        let due: Vec<_> = std::iter::from_fn(|| timers.take_due(at(50))).collect();
        assert_eq!(due.iter().map(|(_, call)| *call).collect::<Vec<_>>(), [5, 2, 1, 4]);
        assert_eq!(timers.take_due(at(59)), None);
        assert_eq!(timers.take_due(at(60)), Some((at(60), 3)));
        assert_eq!(timers.next(), None);
    }
}
