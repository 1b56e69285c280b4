//! The round trip time that acknowledgements show.

use core::time::Duration;

use crate::Instant;

/// Measures one packet at a time: cheap, and often enough.
#[derive(Clone, Debug, Default)]
pub(super) struct RoundTrip {
    /// The packet being measured and when it was sent.
    measuring: Option<(u32, Instant)>,
    smoothed: Option<Duration>,
}

impl RoundTrip {
    pub(super) fn sent(&mut self, now: Instant, seq: u32) {
        self.measuring.get_or_insert((seq, now));
    }

    /// `ack` is known to be of a packet that was sent.
    pub(super) fn acknowledged(&mut self, now: Instant, ack: u32) {
        let Some((seq, at)) = self.measuring else { return };
        if ack.wrapping_sub(seq) >= 1 << 31 {
            return;
        }
        self.measuring = None;
        let sample = now - at;
        self.smoothed = Some(match self.smoothed {
            None => sample,
            Some(smoothed) => (smoothed * 7 + sample) / 8,
        });
    }

    pub(super) fn smoothed(&self) -> Option<Duration> {
        self.smoothed
    }
}
