//! Bounds on what the control plane has to hear.

use std::time::Duration;

use engine::Instant;

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

/// Lets a burst through, and after it one each interval (a token bucket).
#[derive(Debug)]
pub(super) struct Bucket {
    /// When the bucket will be full again: the further ahead, the emptier it is.
    full_at: Instant,
}

/// How many control frames of one call pass at once. A whole negotiation is some thirty.
const BURST: u32 = 64;
/// Time after which one more passes.
const INTERVAL: Duration = Duration::from_millis(10);

impl Bucket {
    /// A full one.
    pub(super) fn new() -> Self {
        Self { full_at: Instant::ZERO }
    }

    /// Takes one, if there is one.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let start = self.full_at.max(now);
        if start - now > INTERVAL * (BURST - 1) {
            return false;
        }
        self.full_at = start + INTERVAL;
        true
    }
}

/// Which packets of a traced call are told about: as many as a [`Bucket`] has; the rest are counted.
#[derive(Debug)]
pub(super) struct Trace {
    bucket: Bucket,
    suppressed: u64,
}

impl Trace {
    pub(super) fn new() -> Self {
        Self { bucket: Bucket::new(), suppressed: 0 }
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

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let mut bucket = Bucket::new();
        let taken = |bucket: &mut Bucket, now| (0..1000).filter(|_| bucket.take(now)).count();
        assert_eq!(taken(&mut bucket, START), BURST as usize);
        assert_eq!(taken(&mut bucket, START + INTERVAL * 10), 10);
        assert_eq!(taken(&mut bucket, START + Duration::from_secs(60)), BURST as usize);
    }
}
