//! The clock.

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds of the monotonic clock: since some moment before this process started; never going back.
#[must_use]
pub fn monotonic_nanos() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    // The monotonic clock counts from the boot of the machine, so neither part is negative.
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_never_goes_back() {
        let earlier = monotonic_nanos();
        assert!(monotonic_nanos() >= earlier);
    }
}
