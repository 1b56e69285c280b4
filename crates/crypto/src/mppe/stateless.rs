//! Opening packets that have a key each.

use alloc::collections::VecDeque;

use super::open::{OpenError, try_key};
use super::{COUNT_SPACE, KeySchedule, SessionKey, StartKey, Strength};

/// The most key changes one packet can cause: a burst of 16,384 lost packets is survived.
pub const MAX_KEY_CHANGES: u32 = 4 * COUNT_SPACE;

/// How many keys of missing packets are kept for them to arrive late: 8 KiB, allocated at the first gap.
pub const KEPT_KEYS: usize = 256;

/// The most candidates for the true advance of a packet.
const CANDIDATES: usize = (MAX_KEY_CHANGES / COUNT_SPACE) as usize;

/// Packets are numbered from 0; the coherency count is the number's low 12 bits.
#[derive(Debug)]
pub(super) struct StatelessOpener {
    /// Stands so that `next` gives the key of packet number `next`.
    schedule: KeySchedule,
    /// One more than the number of the newest packet opened.
    next: u64,
    kept: VecDeque<(u64, SessionKey)>,
}

impl StatelessOpener {
    pub(super) fn new(start: StartKey, strength: Strength) -> Self {
        Self { schedule: KeySchedule::new(start, strength), next: 0, kept: VecDeque::new() }
    }

    pub(super) fn open(
        &mut self,
        count: u16,
        distance: u32,
        body: &mut [u8],
        sane: impl Fn(&[u8]) -> bool,
    ) -> Result<(), OpenError> {
        if distance == 0 {
            return self.open_late(count, body, sane);
        }
        let allowed = distance.min(MAX_KEY_CHANGES);
        let smallest = (u32::from(count).wrapping_sub(self.next as u32) % COUNT_SPACE) + 1;
        if smallest > allowed {
            return Err(OpenError::TooFar { advance: smallest, allowed });
        }
        // The true advance is one of smallest, smallest + 4096, …: walk to the farthest and remember the way stations.
        let mut stations: [Option<(u32, KeySchedule)>; CANDIDATES] = [const { None }; CANDIDATES];
        let mut schedule = self.schedule.clone();
        let mut walked = 0;
        for (station, advance) in
            stations.iter_mut().zip((smallest..=allowed).step_by(COUNT_SPACE as usize))
        {
            while walked < advance {
                schedule.next();
                walked += 1;
            }
            *station = Some((advance, schedule.clone()));
        }
        for (advance, schedule) in stations.into_iter().rev().flatten() {
            if try_key(schedule.current(), body, &sane).is_some() {
                self.move_to(advance, schedule);
                return Ok(());
            }
        }
        Err(OpenError::Insane)
    }

    /// Opens a packet older than the newest one with its kept key, which is used up by that.
    fn open_late(
        &mut self,
        count: u16,
        body: &mut [u8],
        sane: impl Fn(&[u8]) -> bool,
    ) -> Result<(), OpenError> {
        let back = (self.next as u32).wrapping_sub(1).wrapping_sub(u32::from(count)) % COUNT_SPACE;
        let at = self
            .next
            .checked_sub(u64::from(back) + 1)
            .and_then(|number| self.kept.binary_search_by_key(&number, |(number, _)| *number).ok())
            .ok_or(OpenError::TooOld)?;
        if try_key(&self.kept[at].1, body, sane).is_none() {
            return Err(OpenError::Insane);
        }
        self.kept.remove(at);
        Ok(())
    }

    /// Commits: the packet `advance` ahead has been opened, and `schedule` stands behind it.
    fn move_to(&mut self, advance: u32, schedule: KeySchedule) {
        for back in (1..advance).rev() {
            let number = self.next + u64::from(advance - 1 - back);
            let key = self.schedule.next();
            if back as usize <= KEPT_KEYS {
                if self.kept.len() == KEPT_KEYS {
                    self.kept.pop_front();
                }
                self.kept.push_back((number, key.clone()));
            }
        }
        self.next += u64::from(advance);
        self.schedule = schedule;
    }
}
