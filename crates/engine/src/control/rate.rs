//! A token bucket: how many messages a peer may send.

use crate::Instant;

/// Holds at most `burst` tokens and gains `per_second`.
#[derive(Clone, Debug)]
pub(super) struct TokenBucket {
    burst: u64,
    per_second: u64,
    /// Billionths of a token.
    level: u64,
    filled_at: Instant,
}

const TOKEN: u64 = 1_000_000_000;

impl TokenBucket {
    pub(super) fn new(burst: u32, per_second: u32, now: Instant) -> Self {
        let burst = u64::from(burst) * TOKEN;
        Self { burst, per_second: per_second.into(), level: burst, filled_at: now }
    }

    /// Takes one token; false when there is none.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let nanos = now.as_nanos().saturating_sub(self.filled_at.as_nanos());
        let gained = nanos.saturating_mul(self.per_second);
        self.level = self.level.saturating_add(gained).min(self.burst);
        self.filled_at = now;
        match self.level.checked_sub(TOKEN) {
            Some(left) => {
                self.level = left;
                true
            }
            None => false,
        }
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
