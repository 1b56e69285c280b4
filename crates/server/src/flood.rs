//! Which attempts are told to the log and the history, when very many fail.
//!
//! Each address has a number of attempts that are told, and all addresses together have one; both fill up again with time. An attempt that logs in gives
//! its place back, and is told from then on whatever there was before.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

/// Addresses that are kept apart; further ones have only what all have together.
const MOST_ADDRESSES: usize = 4096;

/// So many at once, and one more each time this has passed.
#[derive(Clone, Copy, Debug)]
struct Rate {
    burst: u32,
    interval: Duration,
}

/// Of one address: enough for a person who tries, and for a filter that counts failures.
const OF_ADDRESS: Rate = Rate { burst: 20, interval: Duration::from_secs(20) };
/// Of all: about ten lines each, some 100 MB a day at the very most.
const OF_ALL: Rate = Rate { burst: 500, interval: Duration::from_secs(1) };

/// What is left of a rate.
#[derive(Debug)]
struct Bucket {
    used: u32,
    since: Instant,
}

impl Bucket {
    fn new(now: Instant) -> Self {
        Self { used: 0, since: now }
    }

    fn refill(&mut self, rate: Rate, now: Instant) {
        let passed = now.saturating_duration_since(self.since);
        let steps = u32::try_from(passed.as_nanos() / rate.interval.as_nanos()).unwrap_or(u32::MAX);
        self.used = self.used.saturating_sub(steps);
        self.since += if self.used == 0 { passed } else { rate.interval * steps };
    }

    fn has_room(&mut self, rate: Rate, now: Instant) -> bool {
        self.refill(rate, now);
        self.used < rate.burst
    }
}

/// What one address does.
#[derive(Debug)]
struct Source {
    bucket: Bucket,
    untold: u64,
}

/// Attempts that were not told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Untold {
    /// How many.
    pub attempts: u64,
    /// The address that most of them came from, and how many, as far as it is known.
    pub most: Option<(Ipv4Addr, u64)>,
}

/// Keeps count of attempts.
#[derive(Debug)]
pub(crate) struct Flood {
    all: Bucket,
    addresses: HashMap<Ipv4Addr, Source>,
    untold: u64,
}

impl Flood {
    pub(crate) fn new(now: Instant) -> Self {
        Self { all: Bucket::new(now), addresses: HashMap::new(), untold: 0 }
    }

    /// An attempt begins. Whether it is told.
    pub(crate) fn begin(&mut self, from: Ipv4Addr, now: Instant) -> bool {
        if self.addresses.len() >= MOST_ADDRESSES && !self.addresses.contains_key(&from) {
            self.addresses.retain(|_, source| {
                source.bucket.refill(OF_ADDRESS, now);
                source.bucket.used > 0 || source.untold > 0
            });
        }
        let has_place = self.addresses.len() < MOST_ADDRESSES || self.addresses.contains_key(&from);
        let mut source = has_place.then(|| {
            let fresh = || Source { bucket: Bucket::new(now), untold: 0 };
            self.addresses.entry(from).or_insert_with(fresh)
        });
        let room = source.as_mut().is_none_or(|source| source.bucket.has_room(OF_ADDRESS, now));
        let told = room && self.all.has_room(OF_ALL, now);
        if told {
            self.all.used += 1;
        } else {
            self.untold += 1;
        }
        if let Some(source) = source {
            source.bucket.used += u32::from(told);
            source.untold += u64::from(!told);
        }
        told
    }

    /// A told attempt has logged in: it was none of a flood.
    pub(crate) fn give_back(&mut self, from: Ipv4Addr) {
        self.all.used = self.all.used.saturating_sub(1);
        if let Some(source) = self.addresses.get_mut(&from) {
            source.bucket.used = source.bucket.used.saturating_sub(1);
        }
    }

    /// What was not told since the last time that this was asked.
    pub(crate) fn take_untold(&mut self) -> Option<Untold> {
        let attempts = std::mem::take(&mut self.untold);
        if attempts == 0 {
            return None;
        }
        let most = self.addresses.iter().max_by_key(|(_, source)| source.untold);
        let most = most.map(|(address, source)| (*address, source.untold));
        for source in self.addresses.values_mut() {
            source.untold = 0;
        }
        Some(Untold { attempts, most: most.filter(|(_, untold)| *untold > 0) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: u32) -> Ipv4Addr {
        Ipv4Addr::from_bits(Ipv4Addr::new(10, 0, 0, 0).to_bits() + number)
    }

    #[test]
    fn who_floods_is_silenced_and_others_are_heard() {
        let now = Instant::now();
        let mut flood = Flood::new(now);
        let told = (0..10_000).filter(|_| flood.begin(address(1), now)).count();
        assert_eq!(told, 20);
        assert!(flood.begin(address(2), now));
        let most = Some((address(1), 9_980));
        assert_eq!(flood.take_untold(), Some(Untold { attempts: 9_980, most }));
        assert_eq!(flood.take_untold(), None);
        assert!(flood.begin(address(1), now + Duration::from_secs(20)), "time heals");
        assert!(!flood.begin(address(1), now + Duration::from_secs(39)));
    }

    #[test]
    fn many_addresses_together_are_bounded_and_so_is_what_is_known_of_them() {
        let now = Instant::now();
        let mut flood = Flood::new(now);
        let told = (0..10_000).filter(|number| flood.begin(address(*number), now)).count();
        assert_eq!(told, 500);
        assert_eq!(flood.addresses.len(), MOST_ADDRESSES);
        assert_eq!(flood.take_untold().unwrap().attempts, 9_500);
        let later = now + Duration::from_secs(1000);
        assert!(flood.begin(address(10_000), later));
        assert_eq!(flood.addresses.len(), 1, "those that have been quiet are forgotten");
    }

    #[test]
    fn a_storm_of_logins_is_no_flood() {
        let now = Instant::now();
        let mut flood = Flood::new(now);
        for _ in 0..10_000 {
            assert!(flood.begin(address(1), now));
            flood.give_back(address(1));
        }
    }
}
