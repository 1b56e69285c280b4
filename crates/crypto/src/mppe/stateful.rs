//! Opening packets whose key stream runs on from one to the next.

use super::open::{OpenError, try_key};
use super::{COUNT_SPACE, KeySchedule, MAX_KEY_CHANGES, StartKey, Strength};
use crate::rc4::Rc4;

/// Packets between regular key changes; the change comes before the packet whose count ends in FF.
const PAGE: u64 = 256;

/// How many key changes beyond the regular ones are tried for a packet with bit A. Outside the regular changes RFC 3078
/// §3.1 keeps the key at a bit A and Linux changes it, so that each lost one is a change nobody here saw.
const UNSEEN_CHANGES: u32 = 4;

#[derive(Debug)]
pub(super) struct StatefulOpener {
    schedule: KeySchedule,
    /// Stands behind the newest packet opened.
    cipher: Rc4,
    /// Number of the next packet in sequence; the coherency count is its low 12 bits.
    next: u64,
}

impl StatefulOpener {
    pub(super) fn new(start: StartKey, strength: Strength) -> Self {
        let schedule = KeySchedule::new(start, strength);
        let cipher = schedule.current().cipher();
        Self { schedule, cipher, next: 0 }
    }

    pub(super) fn open(
        &mut self,
        count: u16,
        flushed: bool,
        distance: u32,
        body: &mut [u8],
        sane: impl Fn(&[u8]) -> bool,
    ) -> Result<(), OpenError> {
        if distance == 0 {
            return Err(OpenError::TooOld);
        }
        let skipped = u32::from(count).wrapping_sub(self.next as u32) % COUNT_SPACE;
        if flushed {
            return self.open_flushed(skipped, distance, body, sane);
        }
        let regular_change = count & 0xff == 0xff;
        if skipped != 0 || regular_change {
            return Err(OpenError::NeedsReset);
        }
        let before = self.cipher.clone();
        self.cipher.apply(body);
        if !sane(body) {
            self.cipher = before;
            self.cipher.clone().apply(body);
            return Err(OpenError::Insane);
        }
        self.next += 1;
        Ok(())
    }

    /// A packet with bit A: its cipher starts anew, so it can be opened whatever was lost before it.
    fn open_flushed(
        &mut self,
        skipped: u32,
        distance: u32,
        body: &mut [u8],
        sane: impl Fn(&[u8]) -> bool,
    ) -> Result<(), OpenError> {
        // A sender may answer each Reset-Request by a jump to the next regular change: a GRE packet stands for up to 256
        // counts, but still for one key change at most.
        let allowed = distance.saturating_mul(PAGE as u32).min(MAX_KEY_CHANGES);
        if skipped >= allowed {
            return Err(OpenError::TooFar { advance: skipped + 1, allowed });
        }
        // The likeliest first: bursts longer than the coherency count are rare where a loss stops the traffic.
        for skipped in (skipped..allowed).step_by(COUNT_SPACE as usize) {
            if self.open_flushed_at(self.next + u64::from(skipped), body, &sane) {
                return Ok(());
            }
        }
        Err(OpenError::Insane)
    }

    /// Tries to open the packet as number `number`, and commits when that succeeds.
    fn open_flushed_at(
        &mut self,
        number: u64,
        body: &mut [u8],
        sane: impl Fn(&[u8]) -> bool,
    ) -> bool {
        let regular_change = number % PAGE == PAGE - 1;
        let missed = number / PAGE - self.next / PAGE;
        let mut schedule = self.schedule.clone();
        for _ in 0..missed + u64::from(regular_change) {
            schedule.next();
        }
        for unseen in 0..=UNSEEN_CHANGES {
            if unseen > 0 {
                schedule.next();
            }
            if let Some(cipher) = try_key(schedule.current(), body, &sane) {
                (self.schedule, self.cipher, self.next) = (schedule, cipher, number + 1);
                return true;
            }
        }
        false
    }
}
