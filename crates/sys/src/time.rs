//! The clock.

use std::time::Duration;

use rustix::time::{ClockId, clock_getres, clock_gettime};

/// Nanoseconds of the monotonic clock: since some moment before this process started; never going back.
#[must_use]
pub fn monotonic_nanos() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    // The monotonic clock counts from the boot of the machine, so neither part is negative.
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// How finely a wait can be timed: by the nanosecond, or by the kernel's tick (up to 10 ms) where it has no other timers.
#[must_use]
pub fn timer_resolution() -> Duration {
    let resolution = clock_getres(ClockId::Monotonic);
    Duration::new(resolution.tv_sec as u64, resolution.tv_nsec as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_wait_is_timed_more_coarsely_than_by_the_slowest_tick() {
        let resolution = timer_resolution();
        assert!(resolution > Duration::ZERO && resolution <= Duration::from_millis(10));
    }

    #[test]
    fn the_clock_never_goes_back() {
        let earlier = monotonic_nanos();
        assert!(monotonic_nanos() >= earlier);
    }
}
