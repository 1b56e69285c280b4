//! Post for a control connection: from the workers, from other sessions, from the server.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::rc::{Rc, Weak};

use dataplane::Notice;
use engine::control::CallRequest;
use tokio::sync::Notify;

use crate::admission::Place;
use crate::event::Event;
use crate::session::PamAnswer;

/// Notices that may wait; more mean that the peer floods us, and are dropped.
const CAPACITY: usize = 256;

/// One letter.
#[derive(Debug)]
pub(crate) enum Mail {
    /// From the worker that carries one of our calls.
    Notice { call: u16, notice: Notice },
    /// The session's address goes to a newer session of the same user, who called from there.
    Replaced { session: u64, by: Ipv4Addr },
    /// The connection has not logged in, and gives way to newer ones.
    GiveWay,
    /// The session has not logged in, and its slot goes to another caller.
    Displaced { session: u64 },
    /// It is a call's turn to be answered.
    Placed { request: CallRequest, place: Place },
    /// An administrator ends the session, and says why.
    Kicked { session: u64, reason: String },
    /// `ip-pre-up` has ended: the session's interface may come up.
    MayRise { session: u64 },
    /// A look at this host has seen something that concerns the session.
    Seen { session: u64, event: Box<Event> },
    /// PAM has answered a question about a login.
    PamAnswered { session: u64, question: u64, answer: PamAnswer },
}

/// Where letters wait for a connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mailbox(Rc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    number: u64,
    queue: RefCell<VecDeque<Mail>>,
    bell: Bell,
}

/// Rings for who serves many mailboxes, when one of them has something.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bell(Rc<Rung>);

#[derive(Debug, Default)]
struct Rung {
    numbers: RefCell<VecDeque<u64>>,
    notify: Notify,
}

impl Bell {
    /// Rings for the mailbox of this number.
    pub(crate) fn ring(&self, number: u64) {
        self.0.numbers.borrow_mut().push_back(number);
        self.0.notify.notify_one();
    }

    /// The number of the next mailbox that it has rung for.
    pub(crate) fn take(&self) -> Option<u64> {
        self.0.numbers.borrow_mut().pop_front()
    }

    /// Waits until it has rung for one.
    pub(crate) async fn rung(&self) {
        while self.0.numbers.borrow().is_empty() {
            self.0.notify.notified().await;
        }
    }
}

/// A mailbox that goes with its connection.
#[derive(Clone, Debug)]
pub(crate) struct Address(Weak<Inner>);

impl Address {
    /// The mailbox, while its connection is there.
    pub(crate) fn find(&self) -> Option<Mailbox> {
        self.0.upgrade().map(Mailbox)
    }
}

impl Mailbox {
    /// The mailbox of this number, which `bell` rings for.
    pub(crate) fn new(number: u64, bell: Bell) -> Self {
        Self(Rc::new(Inner { number, queue: RefCell::default(), bell }))
    }

    /// Its number.
    pub(crate) fn number(&self) -> u64 {
        self.0.number
    }

    /// Where letters can be sent while the connection is there.
    pub(crate) fn address(&self) -> Address {
        Address(Rc::downgrade(&self.0))
    }

    /// Leaves a letter and rings. `false`: the box is full.
    pub(crate) fn post(&self, mail: Mail) -> bool {
        let mut queue = self.0.queue.borrow_mut();
        if matches!(mail, Mail::Notice { .. }) && queue.len() >= CAPACITY {
            return false;
        }
        if queue.is_empty() {
            self.0.bell.ring(self.0.number);
        }
        queue.push_back(mail);
        true
    }

    /// The next letter, if there is one. An empty box keeps no room.
    pub(crate) fn take(&self) -> Option<Mail> {
        let mut queue = self.0.queue.borrow_mut();
        let mail = queue.pop_front();
        if mail.is_none() {
            *queue = VecDeque::new();
        }
        mail
    }
}
