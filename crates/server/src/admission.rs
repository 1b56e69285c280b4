//! Which calls are answered when many come at once: so many set-ups are carried on at a time, and the others wait for their turn.
//!
//! Ten thousand set-ups side by side all take as long as the last; their clients' timers run out meanwhile, and what they send again is
//! more work. A few hundred side by side are each done in a moment. A call that waits has cost nobody anything but its TCP connection and
//! a place in a queue: no link, no address, no cryptography.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::net::Ipv4Addr;
use std::rc::Rc;

use engine::control::CallRequest;

use crate::mailbox::{Address, Mail, Mailbox};

/// Places for set-ups, and the calls that wait for one. Addresses take turns, so that none keeps the others waiting with many calls.
#[derive(Clone, Debug, Default)]
pub(crate) struct Admission(Rc<RefCell<Queue>>);

#[derive(Debug, Default)]
struct Queue {
    taken: usize,
    most: usize,
    /// Whose turn is next. Each address is in here once while it has calls that wait.
    turns: VecDeque<Ipv4Addr>,
    calls: HashMap<Ipv4Addr, VecDeque<(Address, CallRequest)>>,
}

/// A place among the set-ups that are carried on; the next call has it when it is dropped.
#[derive(Debug)]
pub(crate) struct Place(Admission);

impl Admission {
    /// A place of `most`, now; or none, and [`Mail::Placed`] comes to `mailbox` when it is the call's turn.
    pub(crate) fn enter(
        &self,
        client: Ipv4Addr,
        most: usize,
        mailbox: &Mailbox,
        request: CallRequest,
    ) -> Option<Place> {
        let mut queue = self.0.borrow_mut();
        queue.most = most.max(1);
        if queue.taken < queue.most && queue.turns.is_empty() {
            queue.taken += 1;
            return Some(Place(self.clone()));
        }
        let calls = queue.calls.entry(client).or_default();
        calls.push_back((mailbox.address(), request));
        if calls.len() == 1 {
            queue.turns.push_back(client);
        }
        None
    }

    /// Gives free places to the calls whose turn it is.
    fn hand_out(&self) {
        loop {
            let next = self.0.borrow_mut().take_next();
            let Some((mailbox, request)) = next else { return };
            mailbox.post(Mail::Placed { request, place: Place(self.clone()) });
        }
    }
}

impl Queue {
    /// Takes a place for the next call whose connection is still there.
    fn take_next(&mut self) -> Option<(Mailbox, CallRequest)> {
        while self.taken < self.most {
            let client = self.turns.pop_front()?;
            let calls = self.calls.get_mut(&client)?;
            let next = calls.pop_front();
            if calls.is_empty() {
                self.calls.remove(&client);
            } else {
                self.turns.push_back(client);
            }
            let found = next.and_then(|(address, request)| Some((address.find()?, request)));
            if found.is_some() {
                self.taken += 1;
                return found;
            }
        }
        None
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut queue = self.0.0.borrow_mut();
        queue.taken -= 1;
        drop(queue);
        self.0.hand_out();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENTS: [Ipv4Addr; 2] = [Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2)];

    fn request(peer_call_id: u16) -> CallRequest {
        CallRequest { peer_call_id, serial: 0, minimum_bps: 0, maximum_bps: 0, window: 0 }
    }

    /// The call whose turn has come, if one's has.
    fn placed(mailbox: &Mailbox) -> Option<(u16, Place)> {
        match mailbox.take()? {
            Mail::Placed { request, place } => Some((request.peer_call_id, place)),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn addresses_take_turns_and_nobody_is_forgotten() {
        let admission = Admission::default();
        let boxes: Vec<Mailbox> = (0..5).map(|_| Mailbox::default()).collect();
        let enter = |client: usize, id: u16| {
            admission.enter(CLIENTS[client], 1, &boxes[usize::from(id)], request(id))
        };
        let mut place = enter(0, 0).unwrap();
        for (client, id) in [(0, 1), (0, 2), (0, 3), (1, 4)] {
            assert!(enter(client, id).is_none());
        }
        let mut order = Vec::new();
        for _ in 0..4 {
            drop(place);
            let (id, next) = boxes.iter().find_map(placed).unwrap();
            order.push(id);
            place = next;
        }
        assert_eq!(order, [1, 4, 2, 3]);
        drop(place);
        assert_eq!(admission.0.borrow().taken, 0);
        assert!(admission.0.borrow().calls.is_empty());
    }

    #[test]
    fn a_connection_that_has_gone_is_passed_over_and_keeps_no_place() {
        let admission = Admission::default();
        let (gone, late, there) = (Mailbox::default(), Mailbox::default(), Mailbox::default());
        let place = admission.enter(CLIENTS[0], 1, &there, request(0)).unwrap();
        for (mailbox, id) in [(&gone, 1), (&late, 2), (&there, 3)] {
            assert!(admission.enter(CLIENTS[0], 1, mailbox, request(id)).is_none());
        }
        drop(gone);
        drop(place);
        // It goes with the letter in its box.
        drop(late);
        assert_eq!(placed(&there).map(|(id, _)| id), Some(3));
        assert_eq!(admission.0.borrow().taken, 0);
    }
}
