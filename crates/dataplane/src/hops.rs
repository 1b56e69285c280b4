//! Next hops: what workers need to know of routes and neighbours when packets do not leave by raw sockets.

use std::collections::HashMap;
use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use sys::event::{Epoll, EventFd};
use sys::netlink::{Changes, Interface, Neighbour, Netlink};
use sys::raw::Hop;
use sys::sandbox::{Role, Sandbox};
use sys::xdp::XdpCalls;

use crate::mailbox::{Letter, Mailbox};

/// The least time between two looks at everything, and how many times as long as the last look took: it takes a twentieth of a processor at most.
const LEAST_INTERVAL: Duration = Duration::from_millis(20);
const TIMES_AS_LONG: u32 = 20;

/// Addresses of a call's packets: the peer's, and ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Ends {
    pub(crate) peer: Ipv4Addr,
    pub(crate) local: Ipv4Addr,
}

/// The way to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Way {
    pub(crate) hop: Hop,
    /// Whether the kernel is to look whether the neighbour is still there: it does when it sends the next packet itself.
    pub(crate) is_stale: bool,
}

/// What the thread is told.
enum Order {
    Watch(u16, Ends),
    Forget(u16),
    Stop,
}

/// The thread that follows routes and neighbours for all workers.
pub(crate) struct Hops {
    orders: Sender<Order>,
    bell: Arc<EventFd>,
    thread: Option<JoinHandle<()>>,
}

impl Hops {
    /// Starts the thread in the calling thread's network namespace. A call's way goes to the mailbox of its worker, `call % mailboxes.len()`; calls
    /// are entered into `taken`.
    pub(crate) fn start(
        mailboxes: Vec<Arc<Mailbox>>,
        taken: Option<XdpCalls>,
        sandbox: Sandbox,
    ) -> io::Result<Self> {
        let (orders, received) = channel();
        let bell = Arc::new(EventFd::new()?);
        // Listened to before the first look: no change is missed.
        let changes = Changes::open()?;
        let epoll = Epoll::new()?;
        epoll.add(&*bell, 0)?;
        epoll.add(&changes, 0)?;
        let tracker = Tracker {
            netlink: Netlink::open()?,
            changes,
            epoll,
            bell: Arc::clone(&bell),
            orders: received,
            mailboxes,
            taken,
            calls: HashMap::new(),
        };
        let builder = thread::Builder::new().name("gretel-hops".to_owned());
        let thread = builder.spawn(move || {
            // The workers, which fail in the same way, have somebody to say it to.
            if sandbox.enter(Role::Ways).is_ok() {
                tracker.run();
            }
        });
        let thread = Some(thread?);
        Ok(Self { orders, bell, thread })
    }

    /// Has the worker of a call told of the way to its peer, now and whenever it changes.
    pub(crate) fn watch(&self, call: u16, ends: Ends) {
        self.order(Order::Watch(call, ends));
    }

    pub(crate) fn forget(&self, call: u16) {
        self.order(Order::Forget(call));
    }

    fn order(&self, order: Order) {
        // Without the thread all packets go by the raw sockets.
        let _ = self.orders.send(order);
        self.bell.signal();
    }
}

impl Drop for Hops {
    fn drop(&mut self) {
        self.order(Order::Stop);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

struct Tracker {
    netlink: Netlink,
    changes: Changes,
    epoll: Epoll,
    bell: Arc<EventFd>,
    orders: Receiver<Order>,
    mailboxes: Vec<Arc<Mailbox>>,
    /// Of which calls AF_XDP takes packets.
    taken: Option<XdpCalls>,
    calls: HashMap<u16, Watched>,
}

/// A call, and what its worker knows of its way.
struct Watched {
    ends: Ends,
    told: Option<Way>,
    is_new: bool,
}

impl Tracker {
    fn run(mut self) {
        let mut ready = Vec::new();
        // When everything is to be looked at, if it is.
        let mut due: Option<Instant> = None;
        let mut next = Instant::now();
        loop {
            let timeout = due.map(|due| due.saturating_duration_since(Instant::now()));
            if self.epoll.wait(timeout, &mut ready).is_err() {
                return self.give_up();
            }
            let Some(has_new) = self.take_orders() else { return };
            if self.changes.take() {
                due.get_or_insert(next.max(Instant::now()));
            }
            let start = Instant::now();
            let is_due = due.is_some_and(|due| due <= start);
            if is_due || has_new {
                self.look(is_due);
            }
            if is_due {
                next = Instant::now() + LEAST_INTERVAL.max(start.elapsed() * TIMES_AS_LONG);
                due = None;
            }
        }
    }

    /// Whether there are new calls. `None`: stop.
    fn take_orders(&mut self) -> Option<bool> {
        self.bell.clear();
        let mut has_new = false;
        loop {
            match self.orders.try_recv() {
                Ok(Order::Watch(call, ends)) => {
                    self.take_packets(call, Some(ends.local));
                    self.calls.insert(call, Watched { ends, told: None, is_new: true });
                    has_new = true;
                }
                Ok(Order::Forget(call)) => {
                    self.take_packets(call, None);
                    self.calls.remove(&call);
                }
                Ok(Order::Stop) | Err(TryRecvError::Disconnected) => return None,
                Err(TryRecvError::Empty) => return Some(has_new),
            }
        }
    }

    /// Says whether packets of a call are taken; those that are not come by the raw socket.
    fn take_packets(&self, call: u16, local: Option<Ipv4Addr>) {
        if let Some(taken) = &self.taken {
            // It cannot fail for any call id; if it did, the raw socket would go on receiving.
            let _ = taken.set(call, local);
        }
    }

    /// Looks for the ways of all calls, or of the new ones, and tells workers what has changed.
    fn look(&mut self, all: bool) {
        // What cannot be found out is not known.
        let neighbours = self.netlink.neighbours().unwrap_or_default();
        let mut finder = Finder {
            netlink: &mut self.netlink,
            neighbours: &neighbours,
            interfaces: HashMap::new(),
            found: HashMap::new(),
        };
        for (call, watched) in &mut self.calls {
            if !all && !watched.is_new {
                continue;
            }
            watched.is_new = false;
            let way = finder.find(watched.ends);
            if way != watched.told {
                watched.told = way;
                tell(&self.mailboxes, *call, watched.ends, way);
            }
        }
    }

    /// Nothing is known any more.
    fn give_up(&self) {
        for (call, watched) in &self.calls {
            tell(&self.mailboxes, *call, watched.ends, None);
        }
    }
}

fn tell(mailboxes: &[Arc<Mailbox>], call: u16, ends: Ends, way: Option<Way>) {
    if let Some(mailbox) = mailboxes.get(usize::from(call) % mailboxes.len().max(1)) {
        mailbox.post(Letter::Way(call, ends, way));
    }
}

/// What one look has found so far.
struct Finder<'a> {
    netlink: &'a mut Netlink,
    neighbours: &'a [Neighbour],
    interfaces: HashMap<u32, Option<Interface>>,
    found: HashMap<Ends, Option<Way>>,
}

impl Finder<'_> {
    fn find(&mut self, ends: Ends) -> Option<Way> {
        if let Some(found) = self.found.get(&ends) {
            return *found;
        }
        let way = self.look_up(ends);
        self.found.insert(ends, way);
        way
    }

    fn look_up(&mut self, ends: Ends) -> Option<Way> {
        let path = self.netlink.path_to(ends.peer, ends.local).ok()??;
        let netlink = &mut self.netlink;
        let interface = self.interfaces.entry(path.interface);
        let interface = interface.or_insert_with(|| netlink.interface(path.interface).ok());
        let interface = interface.as_ref().filter(|it| it.is_up() && it.is_ethernet())?;
        let is_next = |it: &&Neighbour| (it.interface, it.address) == (path.interface, path.next);
        let neighbour = self.neighbours.iter().find(is_next)?;
        let hop = Hop {
            interface: path.interface,
            own: interface.hardware?,
            next: neighbour.hardware,
            mtu: path.mtu.map_or(interface.mtu, |mtu| mtu.min(interface.mtu)),
        };
        Some(Way { hop, is_stale: neighbour.is_stale })
    }
}
