//! Bounds on what the control plane has to hear.

use std::time::Duration;

use engine::{Instant, TokenBucket};

/// Lets one through each second, and counts the rest.
#[derive(Debug, Default)]
pub(super) struct OncePerSecond {
    last: Option<Instant>,
    suppressed: u64,
}

impl OncePerSecond {
    /// Whether this one may pass, and then how many before it might not.
    pub(super) fn allow(&mut self, now: Instant) -> Option<u64> {
        if self.last.is_some_and(|last| now - last < Duration::from_secs(1)) {
            self.suppressed += 1;
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.suppressed))
    }
}

/// How many control frames of one call pass at once. A whole negotiation is some thirty.
pub(super) const BURST: u32 = 64;
/// Packets that are told about in a second, of each kind that has no bound of its own.
const TOLD_PER_SECOND: u32 = 100;

/// Bounds what is told about.
pub(super) fn told() -> TokenBucket {
    TokenBucket::new(BURST, TOLD_PER_SECOND, Instant::ZERO)
}

/// Which packets of a traced call are told about: as many as [`told`] allows; the rest are counted.
#[derive(Debug)]
pub(super) struct Trace {
    bucket: TokenBucket,
    suppressed: u64,
}

impl Trace {
    pub(super) fn new() -> Self {
        Self { bucket: told(), suppressed: 0 }
    }

    /// Whether this one may be told about, and then how many before it were not.
    pub(super) fn allow(&mut self, now: Instant) -> Option<u64> {
        if !self.bucket.take(now) {
            self.suppressed += 1;
            return None;
        }
        Some(std::mem::take(&mut self.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Instant = Instant::from_nanos(1 << 40);

    #[test]
    fn once_per_second_says_how_many_it_has_held_back() {
        let mut limit = OncePerSecond::default();
        assert_eq!(limit.allow(START), Some(0));
        for _ in 0..5 {
            assert_eq!(limit.allow(START + Duration::from_millis(999)), None);
        }
        assert_eq!(limit.allow(START + Duration::from_secs(1)), Some(5));
    }
}
