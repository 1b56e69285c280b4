//! Whether this host's clock jumps while the server runs.

use std::time::{Duration, Instant, SystemTime};

/// A smaller jump harms nobody.
const NOTICEABLE: Duration = Duration::from_secs(60);

/// A jump of the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Jump {
    /// Whether it is ahead of where it was.
    pub forward: bool,
    /// How far.
    pub by: Duration,
}

/// Compares the clock with one that nobody can set.
#[derive(Debug)]
pub(crate) struct Watch {
    /// When both were looked at last, by either.
    steady: Instant,
    clock: SystemTime,
}

impl Watch {
    pub(crate) fn new(steady: Instant, clock: SystemTime) -> Self {
        Self { steady, clock }
    }

    /// How the clock has jumped since the last look, if it has.
    pub(crate) fn look(&mut self, steady: Instant, clock: SystemTime) -> Option<Jump> {
        let passed = steady.saturating_duration_since(self.steady);
        // A clock that cannot be counted on so far is one that has jumped.
        let expected = self.clock.checked_add(passed).unwrap_or(clock);
        *self = Self::new(steady, clock);
        let jump = match clock.duration_since(expected) {
            Ok(by) => Jump { forward: true, by },
            Err(error) => Jump { forward: false, by: error.duration() },
        };
        (jump.by >= NOTICEABLE).then_some(jump)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_is_noticed_once_and_one_that_is_slewed_is_not() {
        let (steady, clock) = (Instant::now(), SystemTime::now());
        let (second, hour) = (Duration::from_secs(1), Duration::from_secs(3600));
        let mut watch = Watch::new(steady, clock);
        assert_eq!(watch.look(steady + second, clock + 2 * second), None);
        let ahead = Some(Jump { forward: true, by: hour - second });
        assert_eq!(watch.look(steady + 2 * second, clock + 2 * second + hour), ahead);
        assert_eq!(watch.look(steady + 3 * second, clock + 3 * second + hour), None);
        let back = Some(Jump { forward: false, by: 2 * hour });
        assert_eq!(watch.look(steady + 4 * second, clock + 4 * second - hour), back);
    }
}
