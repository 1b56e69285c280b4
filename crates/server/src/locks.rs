//! Failed logins: who fails again and again waits longer for each answer, and is then locked out for a time.
//!
//! Failures are counted twice: for the client's address, whatever names it tries, and for the user's name, wherever it is tried from. A
//! stranger must not lock a user out by failing in the user's name: an address from which the user has logged in is *known* for that user,
//! and locks of neither kind hold there. Failures at a known address count against that knowledge and not against the user; too many of
//! them, and the address is known no longer.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};
use std::net::Ipv4Addr;
use std::time::Duration;

use engine::Instant;
use wire::Escaped;

use crate::settings::LoginLimits;

/// Addresses, and users, whose failures are counted at once. Where there are more, the oldest that are not locked go first.
const MOST_COUNTED: usize = 4096;
/// Pairs of user and address that are known at once; the oldest go.
const MOST_KNOWN: usize = 16_384;
/// How long an address stays known for a user who does not log in again.
const KNOWN_FOR: Duration = Duration::from_secs(30 * 86_400);
/// What the second failure costs; each further one doubles it. The first is a slip of the finger.
const FIRST_DELAY: Duration = Duration::from_millis(250);
/// Where doubling ends: clients give up on an answer that takes much longer.
const LAST_DELAY: Duration = Duration::from_secs(4);

/// Whom failures are counted for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// Everybody at this address.
    Address(Ipv4Addr),
    /// The user of this name, at addresses that are not known for it.
    User(Vec<u8>),
}

/// Escaped, as it can be typed.
impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::User(name) => Escaped(name).fmt(f),
        }
    }
}

/// What a login meets before it is judged.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Gate {
    /// Judge it.
    Open,
    /// Judge it after this time, and ask again then.
    Wait(Duration),
    /// Refuse it without judging, for this time.
    Locked(Subject, Duration),
}

/// A subject whose failures are counted.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) subject: Subject,
    pub(crate) failures: u32,
    /// How long it stays locked, if it is.
    pub(crate) locked: Option<Duration>,
    /// Logins and calls that were refused since it was locked.
    pub(crate) refused: u64,
}

/// All failures that count.
#[derive(Debug, Default)]
pub(crate) struct Locks(RefCell<Tables>);

#[derive(Debug, Default)]
struct Tables {
    addresses: HashMap<Ipv4Addr, Count>,
    users: HashMap<Box<[u8]>, Count>,
    known: HashMap<Key, Known>,
    digest: RandomState,
    /// How many users each address is known for.
    known_at: HashMap<Ipv4Addr, u32>,
}

/// An address and a digest of the user's name, which nobody outside can compute.
type Key = (Ipv4Addr, u64);

/// An address from which a user has logged in. Small, as every session leaves one.
#[derive(Clone, Copy, Debug)]
struct Known {
    failures: u32,
    /// When the first of them was, or the login.
    since: Instant,
    /// When the last login was.
    last: Instant,
}

/// The failures of one subject.
#[derive(Clone, Copy, Debug)]
struct Count {
    failures: u32,
    /// When the first of them was.
    since: Instant,
    /// When the newest of them was.
    last: Instant,
    locked_until: Option<Instant>,
    refused: u64,
}

impl Locks {
    /// Whether a client at this address may call at all: not if it is locked and nobody has logged in from there. That is cheaper than
    /// refusing its login.
    pub(crate) fn may_call(&self, now: Instant, address: Ipv4Addr) -> Result<(), Duration> {
        let tables = &mut *self.0.borrow_mut();
        if tables.known_at.contains_key(&address) {
            return Ok(());
        }
        let count = tables.addresses.get_mut(&address);
        count.and_then(|count| count.refuse(now)).map_or(Ok(()), Err)
    }

    /// What a login of this user from this address meets.
    pub(crate) fn gate(
        &self,
        now: Instant,
        limits: &LoginLimits,
        address: Ipv4Addr,
        user: &[u8],
    ) -> Gate {
        let tables = &mut *self.0.borrow_mut();
        let key = tables.key(address, user);
        if let Some(known) = tables.known(now, key) {
            return Gate::after(known.failures_at(now, limits));
        }
        let mut failures = 0;
        if let Some(count) = tables.addresses.get_mut(&address) {
            if let Some(left) = count.refuse(now) {
                return Gate::Locked(Subject::Address(address), left);
            }
            failures = count.failures_at(now, limits);
        }
        if let Some(count) = tables.users.get_mut(user) {
            if let Some(left) = count.refuse(now) {
                return Gate::Locked(Subject::User(user.to_vec()), left);
            }
            failures = failures.max(count.failures_at(now, limits));
        }
        Gate::after(failures)
    }

    /// A login was refused because the user or the password is wrong. Gives who is locked from now on.
    pub(crate) fn failed(
        &self,
        now: Instant,
        limits: &LoginLimits,
        address: Ipv4Addr,
        user: &[u8],
    ) -> Vec<(Subject, u32)> {
        let tables = &mut *self.0.borrow_mut();
        let mut locked = Vec::new();
        let most = limits.per_address;
        if let Some(failures) = count(&mut tables.addresses, address, now, limits, most) {
            locked.push((Subject::Address(address), failures));
        }
        let key = tables.key(address, user);
        if let Some(known) = tables.known(now, key) {
            known.failures = known.failures_at(now, limits).saturating_add(1);
            known.since = if known.failures == 1 { now } else { known.since };
            if limits.per_address > 0 && known.failures >= limits.per_address {
                tables.forget(key);
            }
        } else if let Some(failures) =
            count(&mut tables.users, user.into(), now, limits, limits.per_user)
        {
            locked.push((Subject::User(user.to_vec()), failures));
        }
        locked
    }

    /// A login succeeded: the address is known for this user.
    pub(crate) fn succeeded(&self, now: Instant, address: Ipv4Addr, user: &[u8]) {
        let tables = &mut *self.0.borrow_mut();
        let key = tables.key(address, user);
        tables.forget(key);
        if tables.known.len() >= MOST_KNOWN {
            let recent = |known: &Known| now - known.last < KNOWN_FOR;
            make_room(&mut tables.known, MOST_KNOWN, recent, |known| (false, known.last));
            tables.known_at.clear();
            for (address, _) in tables.known.keys() {
                *tables.known_at.entry(*address).or_default() += 1;
            }
        }
        tables.known.insert(key, Known { failures: 0, since: now, last: now });
        *tables.known_at.entry(address).or_default() += 1;
    }

    /// Everybody whose failures count now, those that are locked first.
    pub(crate) fn list(&self, now: Instant, limits: &LoginLimits) -> Vec<Entry> {
        let tables = self.0.borrow();
        let addresses = tables.addresses.iter().map(|(it, count)| (Subject::Address(*it), count));
        let users = tables.users.iter().map(|(it, count)| (Subject::User(it.to_vec()), count));
        let mut list: Vec<Entry> = addresses
            .chain(users)
            .filter(|(_, count)| count.counts(now, limits.window))
            .map(|(subject, count)| Entry {
                subject,
                failures: count.failures,
                locked: count.left(now),
                refused: count.refused,
            })
            .collect();
        list.sort_by(|a, b| {
            (b.locked, b.failures, &a.subject).cmp(&(a.locked, a.failures, &b.subject))
        });
        list
    }

    /// Forgets failures: of the subjects that `meant` likes. Gives those that were locked.
    pub(crate) fn lift(&self, now: Instant, meant: impl Fn(&Subject) -> bool) -> Vec<Subject> {
        let tables = &mut *self.0.borrow_mut();
        let mut lifted = Vec::new();
        let mut keep = |subject: Subject, count: &Count| {
            let meant = meant(&subject);
            if meant && count.left(now).is_some() {
                lifted.push(subject);
            }
            !meant
        };
        tables.addresses.retain(|address, count| keep(Subject::Address(*address), count));
        tables.users.retain(|user, count| keep(Subject::User(user.to_vec()), count));
        lifted.sort();
        lifted
    }
}

impl Gate {
    fn after(failures: u32) -> Self {
        match failures {
            0 | 1 => Self::Open,
            more => Self::Wait((FIRST_DELAY * (1 << (more - 2).min(8))).min(LAST_DELAY)),
        }
    }
}

impl Tables {
    fn key(&self, address: Ipv4Addr, user: &[u8]) -> Key {
        (address, self.digest.hash_one(user))
    }

    fn known(&mut self, now: Instant, key: Key) -> Option<&mut Known> {
        self.known.get_mut(&key).filter(|known| now - known.last < KNOWN_FOR)
    }

    fn forget(&mut self, key: Key) {
        let (address, _) = key;
        if self.known.remove(&key).is_none() {
            return;
        }
        if let Some(users) = self.known_at.get_mut(&address) {
            *users -= 1;
            if *users == 0 {
                self.known_at.remove(&address);
            }
        }
    }
}

/// Counts a failure. Gives how many there are if that locks the subject; `most` of 0 never does, and counts nothing.
fn count<K: Clone + Eq + Hash>(
    table: &mut HashMap<K, Count>,
    key: K,
    now: Instant,
    limits: &LoginLimits,
    most: u32,
) -> Option<u32> {
    if most == 0 {
        return None;
    }
    if table.len() >= MOST_COUNTED && !table.contains_key(&key) {
        let order = |count: &Count| (count.locked_until.is_some(), count.last);
        make_room(table, MOST_COUNTED, |count| count.counts(now, limits.window), order);
    }
    let count = table.entry(key).or_insert(Count::new(now));
    if !count.counts(now, limits.window) {
        *count = Count::new(now);
    }
    count.failures = count.failures.saturating_add(1);
    count.last = now;
    let locks = count.failures >= most && count.locked_until.is_none();
    locks.then(|| {
        count.locked_until = Some(now + limits.lock);
        count.failures
    })
}

/// Drops what no longer counts; if that is not enough, the first eighth in this order: whether it is locked, and how old it is.
fn make_room<K: Clone + Eq + Hash, V>(
    table: &mut HashMap<K, V>,
    most: usize,
    counts: impl Fn(&V) -> bool,
    order: impl Fn(&V) -> (bool, Instant),
) {
    table.retain(|_, count| counts(count));
    if table.len() < most {
        return;
    }
    let mut all: Vec<_> = table.iter().map(|(key, value)| (order(value), key.clone())).collect();
    let eighth = most / 8;
    all.select_nth_unstable_by_key(eighth, |(place, _)| *place);
    for (_, key) in &all[..eighth] {
        table.remove(key);
    }
}

impl Known {
    fn failures_at(&self, now: Instant, limits: &LoginLimits) -> u32 {
        if now - self.since < limits.window { self.failures } else { 0 }
    }
}

impl Count {
    fn new(now: Instant) -> Self {
        Self { failures: 0, since: now, last: now, locked_until: None, refused: 0 }
    }

    /// How long it stays locked.
    fn left(&self, now: Instant) -> Option<Duration> {
        self.locked_until.filter(|until| now < *until).map(|until| until - now)
    }

    /// Counts a refusal, if it is locked, and for how long.
    fn refuse(&mut self, now: Instant) -> Option<Duration> {
        let left = self.left(now)?;
        self.refused += 1;
        Some(left)
    }

    /// Whether its failures say something still. A lock that is over takes its failures with it.
    fn counts(&self, now: Instant, window: Duration) -> bool {
        match self.locked_until {
            Some(until) => now < until,
            None => now - self.since < window,
        }
    }

    fn failures_at(&self, now: Instant, limits: &LoginLimits) -> u32 {
        if self.counts(now, limits.window) { self.failures } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: LoginLimits = LoginLimits {
        per_address: 3,
        per_user: 5,
        window: Duration::from_secs(600),
        lock: Duration::from_secs(60),
    };
    const HOME: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
    const STRANGER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 66);

    fn at(seconds: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(seconds)
    }

    fn stranger(number: u8) -> Ipv4Addr {
        Ipv4Addr::new(203, 0, 113, number)
    }

    fn fail(locks: &Locks, seconds: u64, address: Ipv4Addr, user: &[u8]) -> Vec<Subject> {
        let locked = locks.failed(at(seconds), &LIMITS, address, user);
        locked.into_iter().map(|(subject, _)| subject).collect()
    }

    #[test]
    fn each_failure_makes_the_next_answer_wait_longer_until_the_address_is_locked() {
        let locks = Locks::default();
        let gate = |seconds| locks.gate(at(seconds), &LIMITS, STRANGER, b"anna");
        assert_eq!(gate(0), Gate::Open);
        assert_eq!(fail(&locks, 0, STRANGER, b"a"), []);
        assert_eq!(gate(1), Gate::Open, "a slip of the finger costs nothing");
        assert_eq!(fail(&locks, 1, STRANGER, b"b"), []);
        assert_eq!(gate(2), Gate::Wait(FIRST_DELAY));
        assert_eq!(fail(&locks, 2, STRANGER, b"c"), [Subject::Address(STRANGER)]);
        let left = Duration::from_secs(58);
        assert_eq!(gate(4), Gate::Locked(Subject::Address(STRANGER), left));
        assert_eq!(locks.may_call(at(4), STRANGER), Err(left));
        assert_eq!(locks.may_call(at(4), HOME), Ok(()));
        assert_eq!(locks.may_call(at(62), STRANGER), Ok(()), "a lock ends by itself");
        assert_eq!(gate(62), Gate::Open, "and its failures with it");
        assert_eq!(Gate::after(40), Gate::Wait(LAST_DELAY));
    }

    #[test]
    fn failures_that_are_far_apart_lock_nobody() {
        let locks = Locks::default();
        for time in 0..20 {
            assert_eq!(fail(&locks, time * 400, STRANGER, b"anna"), []);
        }
    }

    #[test]
    fn a_user_is_locked_for_strangers_and_not_at_an_address_that_is_known() {
        let locks = Locks::default();
        locks.succeeded(at(0), HOME, b"anna");
        for number in 0..4 {
            assert_eq!(fail(&locks, 1, stranger(number), b"anna"), []);
        }
        assert_eq!(fail(&locks, 1, stranger(4), b"anna"), [Subject::User(b"anna".to_vec())]);
        let elsewhere = locks.gate(at(2), &LIMITS, stranger(9), b"anna");
        assert!(matches!(elsewhere, Gate::Locked(Subject::User(_), _)), "{elsewhere:?}");
        assert_eq!(locks.gate(at(2), &LIMITS, stranger(9), b"bert"), Gate::Open);
        assert_eq!(locks.gate(at(2), &LIMITS, HOME, b"anna"), Gate::Open);
    }

    #[test]
    fn who_is_known_passes_though_a_neighbour_behind_the_same_address_is_locked() {
        let locks = Locks::default();
        locks.succeeded(at(0), HOME, b"anna");
        for _ in 0..3 {
            fail(&locks, 1, HOME, b"bert");
        }
        assert_eq!(locks.may_call(at(2), HOME), Ok(()));
        assert_eq!(locks.gate(at(2), &LIMITS, HOME, b"anna"), Gate::Open);
        assert!(matches!(locks.gate(at(2), &LIMITS, HOME, b"bert"), Gate::Locked(..)));
    }

    #[test]
    fn guessing_at_a_known_address_ends_what_is_known_of_it() {
        let locks = Locks::default();
        locks.succeeded(at(0), HOME, b"anna");
        fail(&locks, 1, HOME, b"anna");
        fail(&locks, 1, HOME, b"anna");
        assert_eq!(locks.gate(at(1), &LIMITS, HOME, b"anna"), Gate::Wait(FIRST_DELAY));
        assert_eq!(fail(&locks, 1, HOME, b"anna"), [Subject::Address(HOME)]);
        assert!(matches!(locks.gate(at(2), &LIMITS, HOME, b"anna"), Gate::Locked(..)));
        assert!(locks.may_call(at(2), HOME).is_err());
        assert!(locks.0.borrow().users.is_empty(), "the user pays nothing elsewhere");
    }

    #[test]
    fn zero_switches_a_lock_off() {
        let locks = Locks::default();
        let limits = LoginLimits { per_address: 0, per_user: 0, ..LIMITS };
        for _ in 0..100 {
            assert_eq!(locks.failed(at(0), &limits, STRANGER, b"anna"), []);
        }
        assert_eq!(locks.gate(at(0), &limits, STRANGER, b"anna"), Gate::Open);
    }

    #[test]
    fn an_administrator_sees_and_lifts_locks() {
        let locks = Locks::default();
        for _ in 0..3 {
            fail(&locks, 0, STRANGER, b"anna");
        }
        fail(&locks, 0, HOME, b"bert");
        assert!(locks.may_call(at(10), STRANGER).is_err());
        let list = locks.list(at(10), &LIMITS);
        let shown: Vec<_> = list.iter().map(|it| (it.subject.to_string(), it.failures)).collect();
        let expected = [(STRANGER.to_string(), 3), ("anna".into(), 3)];
        assert_eq!(shown[..2], expected);
        assert_eq!((list[0].locked, list[0].refused), (Some(Duration::from_secs(50)), 1));
        assert_eq!(list[1].locked, None);
        let lifted = locks.lift(at(10), |subject| *subject == Subject::Address(STRANGER));
        assert_eq!(lifted, [Subject::Address(STRANGER)]);
        assert_eq!(locks.may_call(at(10), STRANGER), Ok(()));
        assert_eq!(locks.lift(at(10), |_| true), [], "nobody else was locked");
        assert_eq!(locks.list(at(10), &LIMITS), []);
    }

    #[test]
    fn a_flood_of_names_and_addresses_takes_bounded_memory_and_leaves_locks() {
        let locks = Locks::default();
        for _ in 0..3 {
            fail(&locks, 0, STRANGER, b"anna");
        }
        for number in 0..20_000_u32 {
            let address = Ipv4Addr::from(0x0a00_0000 + number);
            fail(&locks, 1, address, &number.to_be_bytes());
            locks.succeeded(at(1), address, &number.to_be_bytes());
        }
        assert!(locks.may_call(at(2), STRANGER).is_err());
        let tables = locks.0.borrow();
        assert!(tables.addresses.len() <= MOST_COUNTED && tables.users.len() <= MOST_COUNTED);
        assert!(tables.known.len() <= MOST_KNOWN);
        let known_at: u32 = tables.known_at.values().sum();
        assert_eq!(known_at as usize, tables.known.len());
    }
}
