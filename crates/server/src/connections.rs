//! All control connections, in one task: ten thousand of them are mostly idle, and a task for each would take more memory than the connection.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashMap};
use std::io;
use std::net::{Ipv4Addr, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use engine::Instant;
use sys::event::{Epoll, MAX_READY};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;

use crate::connection::{Connection, Wake};
use crate::event::Source;
use crate::listener::Ticket;
use crate::mailbox::{Bell, Mailbox};
use crate::shared::Shared;
use crate::timer::sleep_until;

/// How many connections are served before other tasks get their turn.
const BATCH: usize = MAX_READY;

/// The control connections that there are, by numbers that are never used again.
pub(crate) struct Connections {
    epoll: AsyncFd<Epoll>,
    bell: Bell,
    last: Cell<u64>,
    connections: RefCell<HashMap<u64, Served>>,
    /// When each wants to be woken, where it does.
    deadlines: RefCell<BTreeSet<(Instant, u64)>>,
    is_stopping: Cell<bool>,
}

struct Served {
    connection: Box<Connection>,
    /// What `deadlines` has of it.
    armed: Option<Instant>,
}

impl Connections {
    /// None yet.
    ///
    /// # Errors
    ///
    /// When there are no file descriptors left.
    pub(crate) fn new() -> io::Result<Self> {
        #[expect(
            deprecated,
            reason = "what replaces it is unsafe for types that may close their file; this one does not"
        )]
        let epoll = AsyncFd::with_interest(Epoll::new()?, Interest::READABLE)?;
        Ok(Self {
            epoll,
            bell: Bell::default(),
            last: Cell::default(),
            connections: RefCell::default(),
            deadlines: RefCell::default(),
            is_stopping: Cell::default(),
        })
    }

    /// A mailbox for a new connection.
    pub(crate) fn mailbox(&self) -> Mailbox {
        self.last.set(self.last.get() + 1);
        Mailbox::new(self.last.get(), self.bell.clone())
    }

    /// A connection begins, with the [`mailbox`](Self::mailbox) that was made for it.
    ///
    /// # Errors
    ///
    /// When it cannot be waited for.
    pub(crate) fn begin(
        &self,
        stream: TcpStream,
        local: Ipv4Addr,
        shared: Rc<Shared>,
        source: Source,
        ticket: Ticket,
        mailbox: Mailbox,
    ) -> io::Result<()> {
        let number = mailbox.number();
        self.epoll.get_ref().add(&stream, number)?;
        let connection = Connection::new(stream, local, shared, source, ticket, mailbox);
        let armed = connection.deadline();
        self.deadlines.borrow_mut().extend(armed.map(|at| (at, number)));
        let served = Served { connection: Box::new(connection), armed };
        self.connections.borrow_mut().insert(number, served);
        self.bell.ring(number);
        Ok(())
    }

    /// Serves them until the server stops and all have said goodbye.
    pub(crate) async fn run(&self, shared: &Shared, mut stop: watch::Receiver<bool>) {
        let mut ready = Vec::with_capacity(MAX_READY);
        while !(self.is_stopping.get() && self.connections.borrow().is_empty()) {
            let deadline = self.deadlines.borrow().first().map(|(at, _)| shared.at(*at));
            tokio::select! {
                guard = self.epoll.readable() => {
                    // Nothing is wrong with an epoll instance of our own.
                    let waited = self.epoll.get_ref().wait(Some(Duration::ZERO), &mut ready);
                    if let (Ok(mut guard), true) = (guard, waited.is_err() || ready.is_empty()) {
                        guard.clear_ready();
                    }
                    for number in ready.drain(..) {
                        self.wake(number, Wake::Ready);
                    }
                }
                () = self.bell.rung() => {
                    for _ in 0..BATCH {
                        let Some(number) = self.bell.take() else { break };
                        self.wake(number, Wake::Mail);
                    }
                }
                () = sleep_until(deadline) => {
                    let now = shared.now();
                    for _ in 0..BATCH {
                        let due = self.deadlines.borrow().first().copied();
                        let Some((_, number)) = due.filter(|(at, _)| *at <= now) else { break };
                        self.wake(number, Wake::Time);
                    }
                }
                _ = stop.wait_for(|stop| *stop), if !self.is_stopping.get() => {
                    self.is_stopping.set(true);
                    for number in self.connections.borrow().keys() {
                        self.bell.ring(*number);
                    }
                }
            }
            tokio::task::yield_now().await;
        }
    }

    /// Has a connection do what there is to do. A fault in the program costs that connection and no other, as it would in a task of its own.
    fn wake(&self, number: u64, wake: Wake) {
        let mut connections = self.connections.borrow_mut();
        let Some(Served { connection, armed }) = connections.get_mut(&number) else { return };
        let waited_for = connection.interest();
        let woken = catch_unwind(AssertUnwindSafe(|| {
            connection.wake(wake);
            if self.is_stopping.get() {
                connection.begin_stop();
            }
        }));
        let is_broken = woken.is_err();
        let is_over = is_broken || connection.is_dead();
        let next = if is_over { None } else { connection.deadline() };
        if next != *armed {
            let mut deadlines = self.deadlines.borrow_mut();
            armed.map(|at| deadlines.remove(&(at, number)));
            next.map(|at| deadlines.insert((at, number)));
            *armed = next;
        }
        if !is_over {
            let interest = connection.interest();
            if interest != waited_for {
                // It fails only for a file that is not there.
                let _ = self.epoll.get_ref().watch(connection, number, interest);
            }
            return;
        }
        let gone = connections.remove(&number);
        drop(connections);
        if let (Some(gone), false) = (gone, is_broken) {
            gone.connection.finish();
        }
    }
}
