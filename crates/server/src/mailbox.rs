//! Post for a control connection's task: from the workers, from other sessions, from the server.

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

/// Where letters wait for the task.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mailbox(Rc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    queue: RefCell<VecDeque<Mail>>,
    arrived: Notify,
}

/// A mailbox that goes with its task.
#[derive(Clone, Debug)]
pub(crate) struct Address(Weak<Inner>);

impl Address {
    /// The mailbox, while its task is there.
    pub(crate) fn find(&self) -> Option<Mailbox> {
        self.0.upgrade().map(Mailbox)
    }
}

impl Mailbox {
    /// Where letters can be sent while the task is there.
    pub(crate) fn address(&self) -> Address {
        Address(Rc::downgrade(&self.0))
    }

    /// Leaves a letter and wakes the task. `false`: the box is full.
    pub(crate) fn post(&self, mail: Mail) -> bool {
        let mut queue = self.0.queue.borrow_mut();
        if matches!(mail, Mail::Notice { .. }) && queue.len() >= CAPACITY {
            return false;
        }
        queue.push_back(mail);
        self.0.arrived.notify_one();
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

    /// Waits for a letter.
    pub(crate) async fn arrived(&self) {
        self.0.arrived.notified().await;
    }
}
