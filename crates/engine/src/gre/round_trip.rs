//! The round trip time that acknowledgements show.

use core::time::Duration;

use crate::Instant;

/// Measures one packet at a time: cheap, and often enough.
#[derive(Clone, Debug, Default)]
pub(super) struct RoundTrip {
    /// The packet being measured and when it was sent.
    measuring: Option<(u32, Instant)>,
    /// In microseconds.
    smoothed: Option<u32>,
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
        let sample = u32::try_from((now - at).as_micros()).unwrap_or(u32::MAX);
        self.smoothed = Some(match self.smoothed {
            None => sample,
            Some(smoothed) => ((u64::from(smoothed) * 7 + u64::from(sample)) / 8) as u32,
        });
    }

    pub(super) fn smoothed(&self) -> Option<Duration> {
        self.smoothed.map(|micros| Duration::from_micros(micros.into()))
    }
}
