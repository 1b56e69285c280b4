//! Post for a control connection's task: from the workers, from other sessions, from the server.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::rc::Rc;

use dataplane::Notice;
use tokio::sync::Notify;

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

impl Mailbox {
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

    /// The next letter, if there is one.
    pub(crate) fn take(&self) -> Option<Mail> {
        self.0.queue.borrow_mut().pop_front()
    }

    /// Waits for a letter.
    pub(crate) async fn arrived(&self) {
        self.0.arrived.notified().await;
    }
}
