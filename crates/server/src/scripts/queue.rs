//! The programs of one session, which run one after the other.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::{Mutex, OwnedMutexGuard};

use super::Scripts;
use super::program::Program;
use crate::event::Source;

/// What a session has run, in a task that is there only while there is something to run: most of its life a session waits.
pub(super) struct Queue {
    scripts: Scripts,
    source: Source,
    /// Whose scripts run before this one's.
    line: Arc<Mutex<()>>,
    /// The name of [`line`](Self::line) where it is the session's address on the shared interface, behind that one's.
    shared: Option<Shared>,
    /// Held from the first program until this is dropped.
    turn: RefCell<Option<OwnedMutexGuard<()>>>,
    jobs: RefCell<VecDeque<Job>>,
    is_running: Cell<bool>,
}

struct Shared {
    name: String,
    interface: Arc<Mutex<()>>,
}

/// A program to run.
pub(super) struct Job {
    pub(super) program: Program,
    /// The note of the debt that is paid.
    pub(super) note: Option<PathBuf>,
    /// What waits for it.
    pub(super) then: Option<Box<dyn FnOnce()>>,
}

impl Queue {
    /// For a session on this interface, which is its own unless it has an `address` there.
    pub(super) fn new(
        scripts: Scripts,
        source: Source,
        interface: &str,
        address: Option<std::net::Ipv4Addr>,
    ) -> Rc<Self> {
        let own = scripts.line(interface);
        // What is one session's alone of a shared interface is the address.
        let name = address.map(|address| format!("{interface} {address}"));
        let (line, shared) = match name {
            Some(name) => (scripts.line(&name), Some(Shared { name, interface: own })),
            None => (own, None),
        };
        Rc::new(Self {
            scripts,
            source,
            line,
            shared,
            turn: RefCell::default(),
            jobs: RefCell::default(),
            is_running: Cell::default(),
        })
    }

    /// All sessions' scripts.
    pub(super) fn scripts(&self) -> &Scripts {
        &self.scripts
    }

    /// Who tells what becomes of them.
    pub(super) fn source(&self) -> &Source {
        &self.source
    }

    /// Runs a program when those before it have ended.
    pub(super) fn push(self: &Rc<Self>, job: Job) {
        self.jobs.borrow_mut().push_back(job);
        if !self.is_running.replace(true) {
            let queue = self.clone();
            self.scripts.spawn(async move { queue.run().await });
        }
    }

    /// Runs all there is.
    async fn run(&self) {
        if self.turn.borrow().is_none() {
            if let Some(shared) = &self.shared {
                // What an earlier process left undone is done first.
                drop(shared.interface.lock().await);
            }
            let turn = self.line.clone().lock_owned().await;
            self.turn.replace(Some(turn));
        }
        while let Some(job) = self.next() {
            let awaited = job.then.is_some();
            self.scripts.run(job.program, awaited, |event| self.source.publish(event)).await;
            if let Some(note) = job.note {
                self.scripts.0.debts.settle(&note);
            }
            if let Some(then) = job.then {
                then();
            }
        }
    }

    fn next(&self) -> Option<Job> {
        let next = self.jobs.borrow_mut().pop_front();
        if next.is_none() {
            self.jobs.take();
            self.is_running.set(false);
        }
        next
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.turn.take();
        if let Some(Shared { name, .. }) = &self.shared {
            self.scripts.forget_line(name, &self.line);
        }
    }
}
