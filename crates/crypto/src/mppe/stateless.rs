//! Opening packets that have a key each.

use alloc::collections::VecDeque;

use super::open::{OpenError, Planned, try_key};
use super::{COUNT_SPACE, KEYS_AHEAD, KeySchedule, PacketKeys, StartKey, Strength};

/// The most key changes one packet can cause: a burst of 16,384 lost packets is survived.
pub const MAX_KEY_CHANGES: u32 = 4 * COUNT_SPACE;

/// How many key changes apart the schedules lie that are remembered from far walks.
const WAYPOINT_DISTANCE: u64 = 64;

/// Packets are numbered from 0; the coherency count is the number's low 12 bits.
#[derive(Debug)]
pub(super) struct StatelessOpener {
    keys: PacketKeys,
    /// Schedules that stand before packets far ahead, at each multiple of [`WAYPOINT_DISTANCE`] walked to so far.
    ///
    /// A forged packet can claim to be [`MAX_KEY_CHANGES`] ahead. With these only the first one costs so much (some
    /// milliseconds), even when genuine packets come in between. At most 14 KiB, and nothing without such packets.
    waypoints: VecDeque<(u64, KeySchedule)>,
}

/// Where a packet can be by its count.
struct Ahead {
    /// The smallest advance from the newest packet; the true one may be larger by a multiple of [`COUNT_SPACE`].
    smallest: u32,
    allowed: u32,
}

impl StatelessOpener {
    pub(super) fn new(start: StartKey, strength: Strength) -> Self {
        let keys = PacketKeys::new(KeySchedule::new(start, strength));
        Self { keys, waypoints: VecDeque::new() }
    }

    pub(super) fn keys(&mut self) -> &mut PacketKeys {
        &mut self.keys
    }

    pub(super) fn open(
        &mut self,
        count: u16,
        distance: u32,
        body: &mut [u8],
        sane: impl Fn(&[u8]) -> bool,
    ) -> Result<(), OpenError> {
        if distance == 0 {
            let number = self.late(count)?;
            return self.open_near(number, body, sane);
        }
        let Ahead { smallest, allowed } = self.ahead(count, distance)?;
        // The true advance is one of smallest, smallest + 4096, …: control frames use GRE numbers too, hence the tries.
        for wraps in (0..=(allowed - smallest) / COUNT_SPACE).rev() {
            let advance = u64::from(smallest + wraps * COUNT_SPACE);
            let opened = if advance <= KEYS_AHEAD as u64 {
                self.open_near(self.keys.next() + advance - 1, body, &sane)
            } else {
                self.open_far(self.keys.next() + advance - 1, body, &sane)
            };
            if opened.is_ok() {
                return Ok(());
            }
        }
        Err(OpenError::Insane)
    }

    pub(super) fn plan(&mut self, count: u16, distance: u32) -> Result<Planned, OpenError> {
        let number = if distance == 0 {
            self.late(count)?
        } else {
            let Ahead { smallest, allowed } = self.ahead(count, distance)?;
            if allowed - smallest >= COUNT_SPACE || smallest > KEYS_AHEAD as u32 {
                return Ok(Planned::Alone);
            }
            self.keys.next() + u64::from(smallest) - 1
        };
        let key = self.keys.key(number).ok_or(OpenError::TooOld)?;
        Ok(Planned::Key { number, key })
    }

    pub(super) fn commit(&mut self, number: u64) -> Result<(), OpenError> {
        if !self.keys.consume(number) {
            return Err(OpenError::TooOld);
        }
        self.forget_waypoints();
        Ok(())
    }

    /// The number of a packet that is older than the newest one.
    fn late(&self, count: u16) -> Result<u64, OpenError> {
        let next = self.keys.next();
        let back = (next as u32).wrapping_sub(1).wrapping_sub(u32::from(count)) % COUNT_SPACE;
        next.checked_sub(u64::from(back) + 1).ok_or(OpenError::TooOld)
    }

    fn ahead(&self, count: u16, distance: u32) -> Result<Ahead, OpenError> {
        let allowed = distance.min(MAX_KEY_CHANGES);
        let smallest = (u32::from(count).wrapping_sub(self.keys.next() as u32) % COUNT_SPACE) + 1;
        if smallest > allowed {
            return Err(OpenError::TooFar { advance: smallest, allowed });
        }
        Ok(Ahead { smallest, allowed })
    }

    /// Opens a packet that is late, or at most [`KEYS_AHEAD`] ahead: the keys made for it serve later packets, whatever comes of it.
    fn open_near(
        &mut self,
        number: u64,
        body: &mut [u8],
        sane: impl Fn(&[u8]) -> bool,
    ) -> Result<(), OpenError> {
        if !self.keys.cipher(number, body) {
            return Err(OpenError::TooOld);
        }
        if !sane(body) {
            self.keys.cipher(number, body);
            return Err(OpenError::Insane);
        }
        self.commit(number)
    }

    /// Opens a packet farther ahead.
    fn open_far(
        &mut self,
        number: u64,
        body: &mut [u8],
        sane: impl Fn(&[u8]) -> bool,
    ) -> Result<(), OpenError> {
        let mut schedule = self.schedule_before(number);
        try_key(schedule.next(), body, sane).ok_or(OpenError::Insane)?;
        self.keys.jump(number, schedule);
        self.forget_waypoints();
        Ok(())
    }

    /// The schedule whose `next` gives the key of packet `number`, for which no key has been made.
    fn schedule_before(&mut self, number: u64) -> KeySchedule {
        let passed = self.waypoints.partition_point(|(at, _)| *at <= number);
        let (mut at, mut schedule) = match passed.checked_sub(1) {
            Some(index) => self.waypoints[index].clone(),
            None => {
                let (made, schedule) = self.keys.schedule();
                (made, schedule.clone())
            }
        };
        while at < number {
            schedule.next();
            at += 1;
            let is_new = self.waypoints.back().is_none_or(|(last, _)| *last < at);
            if is_new && at % WAYPOINT_DISTANCE == 0 {
                self.waypoints.push_back((at, schedule.clone()));
            }
        }
        schedule
    }

    /// Forgets the schedules that stand before packets which are no longer ahead.
    fn forget_waypoints(&mut self) {
        while self.waypoints.front().is_some_and(|(at, _)| *at < self.keys.next()) {
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
            let advance = u64::from(newest) - opener.keys.next();
            opener.open(count, advance as u32, &mut [0; 4], |_| true).expect("sane");
            assert!(opener.waypoints.iter().all(|(at, _)| *at >= opener.keys.next()));
        }
    }

    #[test]
    fn waypoints_lead_to_the_same_keys() {
        let key = StartKey::from_bytes([7; 16]);
        let (mut walked, mut plain) = (opener(), KeySchedule::new(key, Strength::Bits128));
        for number in 0..1000u64 {
            if number % 100 == 0 {
                walked.schedule_before(number + 5000);
            }
            let key = plain.next().clone();
            assert_eq!(walked.schedule_before(number).next().as_bytes(), key.as_bytes());
        }
    }
}
