//! Call ids of our own, for all connections of a server together.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use core::time::Duration;

use crate::{Instant, Random};

/// How long a released call id rests, unless the caller chooses otherwise.
///
/// Packets of the old call, and a peer's or a NAT's memory of it, are gone by then.
pub const QUARANTINE: Duration = Duration::from_secs(300);

const WORDS: usize = (1 << 16) / 64;
/// Call id 0 is legal, but some peers and NATs take it for "none": it is never given out.
const USABLE: usize = (1 << 16) - 1;
const GUESSES: usize = 16;

/// Gives out call ids that nobody can guess, that no two live calls share, and that rest for a while after use.
///
/// A GRE packet is accepted by source address and call id, so an id that cannot be guessed keeps others from
/// slipping packets in. At most 1 MiB when every id rests. When no fresh id is left, the one that rested longest is
/// given out again.
#[derive(Debug)]
pub struct CallIds {
    random: Random,
    quarantine: Duration,
    live: Bits,
    live_count: usize,
    resting: Bits,
    /// Released ids with the time of their release, oldest first.
    released: VecDeque<(Instant, u16)>,
}

impl CallIds {
    /// No id in use; released ids rest for `quarantine` ([`QUARANTINE`] is a good choice).
    #[must_use]
    pub fn new(random: Random, quarantine: Duration) -> Self {
        Self {
            random,
            quarantine,
            live: Bits::new(),
            live_count: 0,
            resting: Bits::new(),
            released: VecDeque::new(),
        }
    }

    /// A call id that is not in use. `None` when all 65,535 are.
    pub fn allocate(&mut self, now: Instant) -> Option<u16> {
        self.allocate_where(now, |_| true)
    }

    /// As [`allocate`](Self::allocate), one that `fits`, if there is a fresh one.
    pub fn allocate_where(&mut self, now: Instant, fits: impl Fn(u16) -> bool) -> Option<u16> {
        self.end_rests(now);
        let id = match self.live_count + self.released.len() {
            full if full >= USABLE => self.longest_rested()?,
            _ => {
                let fitting = self.guess(&fits).or_else(|| self.next_free(&fits));
                fitting.or_else(|| self.next_free(&|_| true))?
            }
        };
        self.live.set(id);
        self.live_count += 1;
        Some(id)
    }

    /// Gives an id back; it now rests. An id that is not in use is left alone.
    pub fn release(&mut self, now: Instant, id: u16) {
        if self.live.get(id) {
            self.live.clear(id);
            self.live_count -= 1;
            self.resting.set(id);
            self.released.push_back((now, id));
        }
    }

    /// How many ids are in use.
    #[must_use]
    pub fn live(&self) -> usize {
        self.live_count
    }

    fn end_rests(&mut self, now: Instant) {
        while let Some(&(at, id)) = self.released.front() {
            if now < at + self.quarantine {
                break;
            }
            self.resting.clear(id);
            self.released.pop_front();
        }
    }

    fn longest_rested(&mut self) -> Option<u16> {
        let (_, id) = self.released.pop_front()?;
        self.resting.clear(id);
        Some(id)
    }

    fn guess(&mut self, fits: &impl Fn(u16) -> bool) -> Option<u16> {
        for _ in 0..GUESSES {
            let id = self.random.u16();
            if self.is_free(id) && fits(id) {
                return Some(id);
            }
        }
        None
    }

    /// The first free id after a random one: for when guessing rarely hits because most ids are taken.
    fn next_free(&mut self, fits: &impl Fn(u16) -> bool) -> Option<u16> {
        let start = self.random.u16();
        let mut ids = (0..=u16::MAX).map(|step| start.wrapping_add(step));
        ids.find(|id| self.is_free(*id) && fits(*id))
    }

    fn is_free(&self, id: u16) -> bool {
        id != 0 && !self.live.get(id) && !self.resting.get(id)
    }
}

/// One bit for each call id.
#[derive(Debug)]
struct Bits(Box<[u64; WORDS]>);

impl Bits {
    fn new() -> Self {
        Self(Box::new([0; WORDS]))
    }

    fn get(&self, id: u16) -> bool {
        self.0[usize::from(id) / 64] >> (id % 64) & 1 == 1
    }

    fn set(&mut self, id: u16) {
        self.0[usize::from(id) / 64] |= 1 << (id % 64);
    }

    fn clear(&mut self, id: u16) {
        self.0[usize::from(id) / 64] &= !(1 << (id % 64));
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;

    use super::*;

    fn ids() -> CallIds {
        CallIds::new(Random::new([3; 32]), QUARANTINE)
    }

    #[test]
    fn ids_are_unique_and_never_zero_until_all_are_in_use() {
        let mut ids = ids();
        let all: BTreeSet<u16> =
            (0..USABLE).map(|_| ids.allocate(Instant::ZERO).unwrap()).collect();
        assert_eq!(all.len(), USABLE);
        assert!(!all.contains(&0));
        assert_eq!(ids.allocate(Instant::ZERO), None);
        assert_eq!(ids.live(), USABLE);
    }

    #[test]
    fn ids_do_not_count_up() {
        let mut ids = ids();
        let some: [u16; 64] = core::array::from_fn(|_| ids.allocate(Instant::ZERO).unwrap());
        let neighbours = some.windows(2).filter(|pair| pair[0].abs_diff(pair[1]) < 256).count();
        assert!(neighbours < 4, "{some:?}");
    }

    #[test]
    fn a_released_id_rests_for_the_quarantine() {
        let mut ids = ids();
        let first = ids.allocate(Instant::ZERO).unwrap();
        ids.release(Instant::ZERO, first);
        // All others are taken, so that only the resting one is left at the end of its rest.
        for _ in 1..USABLE {
            assert_ne!(ids.allocate(Instant::ZERO), Some(first));
        }
        assert_eq!(ids.allocate(Instant::ZERO + QUARANTINE), Some(first));
    }

    #[test]
    fn when_every_id_is_live_or_resting_the_longest_rested_is_reused() {
        let mut ids = ids();
        let all: alloc::vec::Vec<u16> =
            (0..USABLE).map(|_| ids.allocate(Instant::ZERO).unwrap()).collect();
        ids.release(Instant::from_nanos(1), all[7]);
        ids.release(Instant::from_nanos(2), all[3]);
        assert_eq!(ids.allocate(Instant::from_nanos(3)), Some(all[7]));
        assert_eq!(ids.allocate(Instant::from_nanos(3)), Some(all[3]));
        assert_eq!(ids.allocate(Instant::from_nanos(3)), None);
    }

    #[test]
    fn an_id_that_fits_is_chosen_while_there_is_one() {
        let mut ids = ids();
        let even = |id: u16| id.is_multiple_of(2);
        // Without 0, which is never given out.
        for _ in 0..USABLE / 2 {
            assert!(even(ids.allocate_where(Instant::ZERO, even).unwrap()));
        }
        assert!(!even(ids.allocate_where(Instant::ZERO, even).unwrap()));
    }

    #[test]
    fn releasing_twice_or_something_never_given_changes_nothing() {
        let mut ids = ids();
        let id = ids.allocate(Instant::ZERO).unwrap();
        ids.release(Instant::ZERO, id);
        ids.release(Instant::ZERO, id);
        ids.release(Instant::ZERO, 0);
        assert_eq!(ids.released.len(), 1);
        assert_eq!(ids.live(), 0);
    }
}
