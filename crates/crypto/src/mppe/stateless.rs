//! Opening packets that have a key each.

use alloc::collections::VecDeque;

use super::open::{OpenError, try_key};
use super::{COUNT_SPACE, KeySchedule, SessionKey, StartKey, Strength};

/// The most key changes one packet can cause: a burst of 16,384 lost packets is survived.
pub const MAX_KEY_CHANGES: u32 = 4 * COUNT_SPACE;

/// How many keys of missing packets are kept for them to arrive late: 8 KiB, allocated at the first gap.
pub const KEPT_KEYS: usize = 256;

/// How many key changes apart the schedules lie that are remembered from far walks.
const WAYPOINT_DISTANCE: u64 = 64;

/// Packets are numbered from 0; the coherency count is the number's low 12 bits.
#[derive(Debug)]
pub(super) struct StatelessOpener {
    /// Stands so that `next` gives the key of packet number `next`.
    schedule: KeySchedule,
    /// One more than the number of the newest packet opened.
    next: u64,
    kept: VecDeque<(u64, SessionKey)>,
    /// Schedules that stand before packets ahead of `next`, at each multiple of [`WAYPOINT_DISTANCE`] walked to so far.
    ///
    /// A forged packet can claim to be [`MAX_KEY_CHANGES`] ahead. With these only the first one costs so much (some
    /// milliseconds), even when genuine packets come in between. At most 14 KiB, and nothing without such packets.
    waypoints: VecDeque<(u64, KeySchedule)>,
}

impl StatelessOpener {
    pub(super) fn new(start: StartKey, strength: Strength) -> Self {
        Self {
            schedule: KeySchedule::new(start, strength),
            next: 0,
            kept: VecDeque::new(),
            waypoints: VecDeque::new(),
        }
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
        // The true advance is one of smallest, smallest + 4096, …: control frames use GRE numbers too, hence the tries.
        for wraps in (0..=(allowed - smallest) / COUNT_SPACE).rev() {
            let advance = smallest + wraps * COUNT_SPACE;
            let mut schedule = self.schedule_before(self.next + u64::from(advance) - 1);
            if try_key(schedule.next(), body, &sane).is_some() {
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

    /// The schedule whose `next` gives the key of packet `number`, which must not be below `self.next`.
    fn schedule_before(&mut self, number: u64) -> KeySchedule {
        let passed = self.waypoints.partition_point(|(at, _)| *at <= number);
        let (mut at, mut schedule) = match passed.checked_sub(1) {
            Some(index) => self.waypoints[index].clone(),
            None => (self.next, self.schedule.clone()),
        };
        let far = number - self.next > WAYPOINT_DISTANCE;
        while at < number {
            schedule.next();
            at += 1;
            let is_new = self.waypoints.back().is_none_or(|(last, _)| *last < at);
            if far && is_new && at % WAYPOINT_DISTANCE == 0 {
                self.waypoints.push_back((at, schedule.clone()));
            }
        }
        schedule
    }

    /// Commits: the packet `advance` ahead has been opened, and `schedule` stands behind it.
    fn move_to(&mut self, advance: u32, schedule: KeySchedule) {
        if advance > 1 && self.kept.capacity() == 0 {
            self.kept.reserve_exact(KEPT_KEYS);
        }
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
        while self.waypoints.front().is_some_and(|(at, _)| *at < self.next) {
            self.waypoints.pop_front();
            if self.waypoints.is_empty() {
                self.waypoints = VecDeque::new();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST_WAYPOINTS: usize = (MAX_KEY_CHANGES as u64 / WAYPOINT_DISTANCE) as usize + 1;

    fn opener() -> StatelessOpener {
        StatelessOpener::new(StartKey::from_bytes([7; 16]), Strength::Bits128)
    }

    #[test]
    fn losses_and_forgeries_leave_bounded_memory() {
        let mut opener = opener();
        let mut newest = 0u32;
        for round in 0..6u32 {
            for forged in 0..4u32 {
                let count = ((newest + forged * 1000) & 0xfff) as u16;
                let refused = opener.open(count, u32::MAX, &mut [0; 4], |_| false);
                assert_eq!(refused, Err(OpenError::Insane));
                assert!(opener.waypoints.len() <= MOST_WAYPOINTS);
            }
            newest += 1 + 500 * round;
            let count = ((newest - 1) & 0xfff) as u16;
            let advance = u64::from(newest) - opener.next;
            opener.open(count, advance as u32, &mut [0; 4], |_| true).expect("sane");
            assert!(opener.kept.len() <= KEPT_KEYS);
            assert!(opener.waypoints.iter().all(|(at, _)| *at >= opener.next));
        }
    }

    #[test]
    fn waypoints_lead_to_the_same_keys() {
        let (mut walked, mut plain) = (opener(), opener().schedule);
        for number in 0..1000u64 {
            if number % 100 == 0 {
                walked.schedule_before(number + 5000);
            }
            let key = plain.next().clone();
            assert_eq!(walked.schedule_before(number).next().as_bytes(), key.as_bytes());
        }
    }

    #[test]
    fn a_session_without_gaps_allocates_nothing() {
        let mut opener = opener();
        for count in 0..300 {
            opener.open(count, 1, &mut [0; 4], |_| true).expect("sane");
        }
        assert_eq!((opener.kept.capacity(), opener.waypoints.capacity()), (0, 0));
    }
}
