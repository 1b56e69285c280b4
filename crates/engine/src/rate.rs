//! A token bucket: how much of something a peer may ask for.

use core::time::Duration;

use crate::Instant;

/// Holds at most `burst` tokens and gains so many a second.
#[derive(Clone, Debug)]
pub struct TokenBucket {
    /// When it will be full again: the farther ahead, the emptier it is.
    full_at: Instant,
    burst: u32,
    /// Nanoseconds for one token.
    interval: u32,
}

impl TokenBucket {
    /// A full one.
    #[must_use]
    pub fn new(burst: u32, per_second: u32, now: Instant) -> Self {
        Self { full_at: now, burst: burst.max(1), interval: 1_000_000_000 / per_second.max(1) }
    }

    /// Takes one token; false when there is none.
    pub fn take(&mut self, now: Instant) -> bool {
        let interval = Duration::from_nanos(self.interval.into());
        let start = self.full_at.max(now);
        if start - now > interval * (self.burst - 1) {
            return false;
        }
        self.full_at = start + interval;
        true
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_rate_holds() {
        let mut bucket = TokenBucket::new(3, 2, Instant::ZERO);
        let taken = |bucket: &mut TokenBucket, now| (0..10).filter(|_| bucket.take(now)).count();
        assert_eq!(taken(&mut bucket, Instant::ZERO), 3);
        assert_eq!(taken(&mut bucket, Instant::ZERO + Duration::from_secs(1)), 2);
        assert_eq!(taken(&mut bucket, Instant::ZERO + Duration::from_secs(3600)), 3);
    }
}
