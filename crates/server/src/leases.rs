//! Slots: a pair of addresses for each session that may be up at once.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::net::Ipv4Addr;
use std::rc::Rc;

/// The number of a pool of addresses.
pub type PoolId = u16;

/// The pool of users who have no other.
pub const EVERYBODYS: PoolId = 0;

/// The two addresses of a session, as `localip` and `remoteip` of `pptpd.conf` pair them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Slot {
    /// Its number, from 0.
    pub unit: u32,
    /// The pool that it is of: [`EVERYBODYS`], or one for some users.
    pub pool: PoolId,
    /// Our address in the tunnel.
    pub local: Ipv4Addr,
    /// The peer's address in the tunnel.
    pub remote: Ipv4Addr,
}

/// All slots of the server, in pools. A call is not a user's yet and takes a slot of any pool, everybody's first; who logs in has one of
/// the user's pool from then on. Of each pool the one that has been free for longest goes first, so that a client that comes back does not meet
/// what is left of somebody else's connections.
#[derive(Clone, Debug)]
pub struct Slots(Rc<RefCell<Inner>>);

#[derive(Debug)]
struct Inner {
    /// All slots, free or taken.
    all: HashSet<Slot>,
    free: BTreeMap<PoolId, VecDeque<Slot>>,
    /// Slots that sessions have, also those that are no longer among all.
    lent: HashSet<Slot>,
    /// Addresses that sessions use, slot or not, with the session's number.
    in_use: HashMap<Ipv4Addr, u64>,
    /// Slots of sessions that have not been let in, with the session's number, the oldest first.
    pledged: VecDeque<(Slot, u64)>,
}

/// A slot taken by a session; given back when dropped. Until it is [confirmed](Self::confirm) another session can take it.
#[derive(Debug)]
pub struct Lease {
    slots: Slots,
    slot: Slot,
    session: u64,
    is_confirmed: bool,
}

/// An address that a session uses; given back when dropped.
#[derive(Debug)]
pub struct AddressInUse {
    slots: Slots,
    address: Ipv4Addr,
    session: u64,
}

impl Slots {
    /// Slots, handed out in this order at first.
    pub fn new(slots: impl IntoIterator<Item = Slot>) -> Self {
        let all: Vec<Slot> = slots.into_iter().collect();
        let (free, all) = (by_pool(all.iter().copied()), all.into_iter().collect());
        Self(Rc::new(RefCell::new(Inner {
            all,
            free,
            lent: HashSet::new(),
            in_use: HashMap::new(),
            pledged: VecDeque::new(),
        })))
    }

    /// Other slots from now on. Sessions keep theirs; one that is not among the new ones is gone when its session ends.
    pub fn replace(&self, slots: impl IntoIterator<Item = Slot>) {
        let inner = &mut *self.0.borrow_mut();
        let all: Vec<Slot> = slots.into_iter().collect();
        inner.free = by_pool(all.iter().copied().filter(|slot| !inner.lent.contains(slot)));
        inner.all = all.into_iter().collect();
    }

    /// Takes a free slot for a session, of this pool or of any. `None`: there is none.
    pub fn take(&self, pool: Option<PoolId>, session: u64) -> Option<Lease> {
        let inner = &mut *self.0.borrow_mut();
        let Inner { free, in_use, .. } = inner;
        let mut pools = free.iter_mut().filter(|(id, _)| pool.is_none_or(|pool| pool == **id));
        let slot = pools.find_map(|(_, free)| {
            let at = free.iter().position(|slot| !in_use.contains_key(&slot.remote))?;
            free.remove(at)
        })?;
        Some(self.pledge(inner, slot, session))
    }

    /// Takes the slot that has been with a session the longest that has not been let in, and says which that was: callers who never log in
    /// must not keep out those who do. `None`: every slot, of this pool or of any, is a user's.
    pub fn displace(&self, pool: Option<PoolId>, session: u64) -> Option<(Lease, u64)> {
        let mut inner = self.0.borrow_mut();
        let at = inner.pledged.iter().position(|(slot, _)| {
            pool.is_none_or(|pool| pool == slot.pool)
                && inner.all.contains(slot)
                && !inner.in_use.contains_key(&slot.remote)
        })?;
        let (slot, displaced) = inner.pledged.remove(at)?;
        Some((self.pledge(&mut inner, slot, session), displaced))
    }

    fn pledge(&self, inner: &mut Inner, slot: Slot, session: u64) -> Lease {
        inner.lent.insert(slot);
        inner.pledged.push_back((slot, session));
        Lease { slots: self.clone(), slot, session, is_confirmed: false }
    }

    /// Whether the slot is one of the pool's, and has not gone since it was taken.
    pub fn is_of(&self, slot: Slot, pool: PoolId) -> bool {
        slot.pool == pool && self.0.borrow().all.contains(&slot)
    }

    /// Marks an address as used by a session. An `Err` gives the session that uses it already.
    pub fn use_address(&self, address: Ipv4Addr, session: u64) -> Result<AddressInUse, u64> {
        let mut inner = self.0.borrow_mut();
        match inner.in_use.get(&address) {
            Some(other) => Err(*other),
            None => {
                inner.in_use.insert(address, session);
                Ok(AddressInUse { slots: self.clone(), address, session })
            }
        }
    }

    /// The session that uses an address.
    pub fn user_of(&self, address: Ipv4Addr) -> Option<u64> {
        self.0.borrow().in_use.get(&address).copied()
    }

    /// Hands the address over from the session that uses it now.
    pub fn take_over(&self, address: Ipv4Addr, session: u64) -> AddressInUse {
        self.0.borrow_mut().in_use.insert(address, session);
        AddressInUse { slots: self.clone(), address, session }
    }
}

fn by_pool(slots: impl Iterator<Item = Slot>) -> BTreeMap<PoolId, VecDeque<Slot>> {
    let mut pools: BTreeMap<PoolId, VecDeque<Slot>> = BTreeMap::new();
    slots.for_each(|slot| pools.entry(slot.pool).or_default().push_back(slot));
    pools
}

impl Lease {
    /// The addresses.
    pub fn slot(&self) -> Slot {
        self.slot
    }

    /// The session's user has been let in: nobody takes the slot any more. `false`: somebody has.
    pub fn confirm(&mut self) -> bool {
        self.is_confirmed = self.is_confirmed || self.redeem();
        self.is_confirmed
    }

    /// Takes the slot out of those that can be taken. `false`: it has been.
    fn redeem(&self) -> bool {
        let mut inner = self.slots.0.borrow_mut();
        let at = inner.pledged.iter().position(|pledge| *pledge == (self.slot, self.session));
        at.and_then(|at| inner.pledged.remove(at)).is_some()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let is_ours = self.is_confirmed || self.redeem();
        let inner = &mut *self.slots.0.borrow_mut();
        if is_ours && inner.lent.remove(&self.slot) && inner.all.contains(&self.slot) {
            inner.free.entry(self.slot.pool).or_default().push_back(self.slot);
        }
    }
}

impl AddressInUse {
    /// The address.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }
}

impl Drop for AddressInUse {
    fn drop(&mut self) {
        let mut inner = self.slots.0.borrow_mut();
        // Another session may have taken it over.
        if inner.in_use.get(&self.address) == Some(&self.session) {
            inner.in_use.remove(&self.address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(last: u8) -> Slot {
        Slot {
            unit: u32::from(last),
            pool: EVERYBODYS,
            local: Ipv4Addr::new(10, 0, 0, 1),
            remote: Ipv4Addr::new(10, 0, 0, last),
        }
    }

    #[test]
    fn slots_go_out_in_order_and_the_longest_free_one_first() {
        let slots = Slots::new([slot(2), slot(3)]);
        let first = slots.take(None, 1).unwrap();
        let second = slots.take(None, 1).unwrap();
        assert_eq!((first.slot(), second.slot()), (slot(2), slot(3)));
        assert!(slots.take(None, 1).is_none());
        drop(second);
        drop(first);
        assert_eq!(slots.take(None, 1).unwrap().slot(), slot(3));
    }

    #[test]
    fn a_slot_whose_address_is_used_as_a_static_one_is_passed_over() {
        let slots = Slots::new([slot(2), slot(3)]);
        let used = slots.use_address(slot(2).remote, 7).unwrap();
        assert_eq!(slots.use_address(slot(2).remote, 8).unwrap_err(), 7);
        assert_eq!(slots.take(None, 1).unwrap().slot(), slot(3));
        drop(used);
        assert!(slots.use_address(slot(2).remote, 8).is_ok());
    }

    #[test]
    fn new_slots_leave_sessions_alone_and_never_give_their_addresses_away() {
        let slots = Slots::new([slot(2), slot(3)]);
        let (kept, gone) = (slots.take(None, 1).unwrap(), slots.take(None, 1).unwrap());
        let used = slots.use_address(slot(2).remote, 1).unwrap();
        let renumbered = Slot { unit: 9, ..slot(3) };
        let also_used = slots.use_address(slot(3).remote, 2).unwrap();
        slots.replace([slot(2), renumbered, slot(4)]);
        assert_eq!(slots.take(None, 1).unwrap().slot(), slot(4));
        drop((gone, also_used));
        assert_eq!(slots.take(None, 1).unwrap().slot(), renumbered);
        drop((kept, used));
        assert_eq!(slots.0.borrow().free[&EVERYBODYS].len(), 3);
    }

    #[test]
    fn a_slot_that_is_gone_and_back_while_a_session_has_it_is_free_once() {
        let slots = Slots::new([slot(2)]);
        let lease = slots.take(None, 1).unwrap();
        slots.replace([slot(3)]);
        slots.replace([slot(2), slot(3)]);
        assert_eq!(slots.0.borrow().free[&EVERYBODYS], [slot(3)]);
        drop(lease);
        assert_eq!(slots.0.borrow().free[&EVERYBODYS], [slot(3), slot(2)]);
    }

    #[test]
    fn an_address_that_was_taken_over_is_not_freed_by_its_old_user() {
        let slots = Slots::new([slot(2)]);
        let old = slots.use_address(slot(2).remote, 1).unwrap();
        let new = slots.take_over(slot(2).remote, 2);
        drop(old);
        assert_eq!(slots.use_address(slot(2).remote, 3).unwrap_err(), 2);
        drop(new);
        assert!(slots.use_address(slot(2).remote, 3).is_ok());
    }

    #[test]
    fn a_slot_of_who_has_not_logged_in_goes_to_the_next_caller_when_all_are_taken() {
        let slots = Slots::new([slot(2), slot(3)]);
        let mut user = slots.take(None, 1).unwrap();
        assert!(user.confirm());
        let mut idler = slots.take(None, 2).unwrap();
        assert!(slots.take(None, 3).is_none());
        let (mut quicker, displaced) = slots.displace(None, 3).unwrap();
        assert_eq!((quicker.slot(), displaced), (slot(3), 2));
        assert!(!idler.confirm());
        drop(idler);
        assert!(slots.take(None, 4).is_none(), "the slot is not free");
        assert!(quicker.confirm() && user.confirm());
        assert!(slots.displace(None, 5).is_none(), "users keep theirs");
        drop(quicker);
        assert_eq!(slots.take(None, 6).unwrap().slot(), slot(3));
    }

    #[test]
    fn a_call_takes_everybodys_slot_first_and_a_user_one_of_the_users_pool() {
        let of_pool = |last| Slot { pool: 1, ..slot(last) };
        let slots = Slots::new([of_pool(7), of_pool(8), slot(2)]);
        let anybody = slots.take(None, 1).unwrap();
        assert_eq!(anybody.slot(), slot(2));
        assert!(slots.is_of(anybody.slot(), EVERYBODYS) && !slots.is_of(anybody.slot(), 1));
        let mut user = slots.take(Some(1), 1).unwrap();
        assert!(user.slot() == of_pool(7) && user.confirm());
        drop(anybody);
        let (first, second) = (slots.take(None, 2).unwrap(), slots.take(None, 3).unwrap());
        assert_eq!((first.slot(), second.slot()), (slot(2), of_pool(8)));
        assert!(slots.take(Some(1), 4).is_none());
        let (third, displaced) = slots.displace(Some(1), 4).unwrap();
        assert_eq!((third.slot(), displaced), (of_pool(8), 3), "of its own pool");
        slots.replace([slot(2)]);
        assert!(!slots.is_of(third.slot(), 1));
    }
}
