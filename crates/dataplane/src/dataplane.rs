//! The control plane's side: starting workers, sending commands.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use sys::raw::GreSocket;
use sys::sandbox::{Role, Sandbox};
use sys::scheduling;
use sys::tun::{Tun, queue_of};

use crate::counters::WorkerTotals;
use crate::gre_path::{GrePath, Opened, Sockets};
use crate::hand_over::HandOver;
use crate::hops::{Ends, Hops};
use crate::mailbox::{Letter, Mailbox};
use crate::reaper::{self, Remains};
use crate::worker::{Fast, GreIo, Worker};
use crate::{Command, Counters, NewCall, Notice, Totals};

/// Takes a notice, or gives it back when there is no room for it.
pub(crate) type Notify = dyn Fn(Notice) -> Result<(), Notice> + Send + Sync;

/// How long a worker may have its processor before others who wait for it: short, as then it waits for others no longer than that either. Packets
/// that come one by one need far less.
const TURN: Duration = Duration::from_micros(500);

/// How packets are moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IoMode {
    /// Many with one system call, encrypted in lanes, super-packets where the kernel has them.
    #[default]
    Batched,
    /// One packet for each system call and wake-up, encrypted one at a time with nothing made ahead, no super-packets: the yardstick that benchmarks
    /// compare with.
    Naive,
}

/// How the workers are set up.
#[derive(Clone, Copy, Debug)]
pub struct Settings<'a> {
    /// How many threads (at least one).
    pub workers: usize,
    /// The interface or VRF that the raw sockets are bound to, if to one.
    pub device: Option<&'a str>,
    /// How packets are moved.
    pub io: IoMode,
    /// How GRE packets leave and come.
    pub path: GrePath<'a>,
    /// What the threads confine themselves to before they read a packet.
    pub sandbox: &'a Sandbox,
}

/// All workers. Dropping it ends them and closes every call's interface.
pub struct Dataplane {
    workers: Vec<Handle>,
    /// Whether calls without an interface of their own share one.
    is_shared: bool,
    opened: Opened,
    /// Where packets leave past raw sockets.
    hops: Option<Hops>,
    /// Lives on the last sender; the workers have the others.
    reaper: Option<Sender<Remains>>,
    reaper_thread: Option<JoinHandle<()>>,
    /// Nobody waits for notices any more.
    is_ending: Arc<AtomicBool>,
}

struct Handle {
    mailbox: Arc<Mailbox>,
    totals: Arc<WorkerTotals>,
    thread: Option<JoinHandle<()>>,
}

impl Dataplane {
    /// Starts the workers, each a thread with a raw GRE socket in the calling thread's network namespace. They call `notify` with
    /// what the control plane has to know; it must not block, and gives a notice back that it has no room for. Such notices are counted
    /// and lost, but for [`Notice::Removed`], which is offered again for some seconds.
    ///
    /// # Errors
    ///
    /// `PermissionDenied` without `CAP_NET_RAW`; when there are no file descriptors or threads left.
    pub fn start(
        settings: Settings<'_>,
        notify: impl Fn(Notice) -> Result<(), Notice> + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let notify: Arc<Notify> = Arc::new(notify);
        let is_ending = Arc::new(AtomicBool::new(false));
        let (reaper, reaper_thread) =
            reaper::start(settings.sandbox.clone(), Arc::clone(&notify), Arc::clone(&is_ending))?;
        let sockets = Sockets::open(settings.path, settings.workers.max(1));
        let need_hops = sockets.need_hops();
        let mut dataplane = Self {
            workers: Vec::new(),
            is_shared: false,
            opened: sockets.opened,
            hops: None,
            // The only sender here: dropping this value, also on an error below, ends the thread.
            reaper: Some(reaper),
            reaper_thread: Some(reaper_thread),
            is_ending,
        };
        for (index, fast) in sockets.fast.into_iter().enumerate() {
            let reaper = dataplane.reaper.as_ref().ok_or(io::ErrorKind::BrokenPipe)?;
            let handle = start_worker(index, settings, fast, &notify, reaper)?;
            dataplane.workers.push(handle);
        }
        if need_hops {
            let mailboxes = dataplane.workers.iter().map(|worker| Arc::clone(&worker.mailbox));
            dataplane.hops =
                Some(Hops::start(mailboxes.collect(), sockets.calls, settings.sandbox.clone())?);
        }
        Ok(dataplane)
    }

    /// Has calls share an interface that has as many queues for each worker: those whose numbers leave its own as remainder. A call whose packets fill
    /// a queue delays calls of the same queue only. To be called before any call is added.
    ///
    /// A packet that comes from a queue whose worker does not have the packet's call is handed over to the one that has. Where the interface
    /// [steers by destination](Tun::steer_by_destination), that is those whose call id does not [fit](Self::fits) alone. When the interface is
    /// deleted by somebody else, the workers fail ([`Notice::WorkerFailed`]).
    ///
    /// # Errors
    ///
    /// `InvalidInput` when the queues are no multiple of the workers; when there are no file descriptors left.
    pub fn share(&mut self, queues: Vec<Tun>) -> io::Result<()> {
        let workers = self.workers.len();
        if queues.is_empty() || !queues.len().is_multiple_of(workers) {
            let text = format!("{} queues for {workers} workers", queues.len());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let ways =
            self.workers.iter().map(|_| HandOver::new()).collect::<io::Result<Arc<[_]>>>()?;
        let mut of_workers: Vec<Vec<Tun>> = self.workers.iter().map(|_| Vec::new()).collect();
        for (number, queue) in queues.into_iter().enumerate() {
            of_workers[number % workers].push(queue);
        }
        for (worker, queues) in self.workers.iter().zip(of_workers) {
            worker.mailbox.post(Letter::Share(queues, Arc::clone(&ways)));
        }
        self.is_shared = true;
        Ok(())
    }

    /// Whether a call with this id belongs to the worker into whose queue a shared interface is steered to put packets for `address`.
    #[must_use]
    pub fn fits(&self, our_call_id: u16, address: Ipv4Addr) -> bool {
        let workers = self.workers.len();
        !self.is_shared || queue_of(address, workers) == usize::from(our_call_id) % workers
    }

    /// How GRE packets leave and come. Where it is not as wanted, it says why.
    #[must_use]
    pub fn gre_path(&self) -> &Opened {
        &self.opened
    }

    /// Adds a call, under `call.path.our_call_id`. An earlier call of that id is removed first. Gives its figures.
    pub fn add(&self, call: NewCall) -> Arc<Counters> {
        let counters = Arc::new(Counters::default());
        let letter = Letter::Add(call, Arc::clone(&counters));
        self.worker(call.path.our_call_id).mailbox.post(letter);
        if let Some(hops) = &self.hops {
            hops.watch(call.path.our_call_id, Ends { peer: call.peer, local: call.local });
        }
        counters
    }

    /// Has a command carried out for a call, after all earlier ones. For a call that does not exist it is ignored.
    pub fn send(&self, our_call_id: u16, command: Command) {
        let address = match &command {
            Command::OpenNetwork { permit, tun: None } => {
                Some(permit.ipv4().map(|ipv4| ipv4.remote))
            }
            Command::CloseNetwork | Command::Remove => Some(None),
            _ => None,
        };
        if let (Some(hops), Command::Remove) = (&self.hops, &command) {
            hops.forget(our_call_id);
        }
        self.worker(our_call_id).mailbox.post(Letter::Command(our_call_id, command));
        if let Some(address) = address.filter(|_| self.is_shared) {
            for worker in &self.workers {
                // A worker that has a packet for it is awake, and has read this before.
                worker.mailbox.post_quietly(Letter::Address(our_call_id, address));
            }
        }
    }

    /// The figures of all workers together.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for worker in &self.workers {
            worker.totals.add_to(&mut totals);
        }
        totals
    }

    fn worker(&self, our_call_id: u16) -> &Handle {
        &self.workers[usize::from(our_call_id) % self.workers.len()]
    }
}

impl Drop for Dataplane {
    fn drop(&mut self) {
        self.is_ending.store(true, Ordering::Relaxed);
        self.hops = None;
        for worker in &self.workers {
            worker.mailbox.post(Letter::Stop);
        }
        // A thread that panicked has said so already.
        for worker in &mut self.workers {
            let _ = worker.thread.take().map(JoinHandle::join);
        }
        self.reaper = None;
        let _ = self.reaper_thread.take().map(JoinHandle::join);
    }
}

impl std::fmt::Debug for Dataplane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dataplane").field("workers", &self.workers.len()).finish_non_exhaustive()
    }
}

fn start_worker(
    index: usize,
    settings: Settings<'_>,
    fast: Fast,
    notify: &Arc<Notify>,
    reaper: &Sender<Remains>,
) -> io::Result<Handle> {
    let socket = GreSocket::open()?;
    let workers = settings.workers.max(1);
    if let Some(device) = settings.device {
        socket.bind_device(device)?;
    }
    socket.attach_worker_filter(index, workers)?;
    let mailbox = Arc::new(Mailbox::new()?);
    let totals = Arc::new(WorkerTotals::default());
    let worker = Worker::new(
        (index, workers),
        settings.io,
        GreIo::new(socket, fast),
        Arc::clone(&mailbox),
        Arc::clone(&totals),
        Arc::clone(notify),
        reaper.clone(),
    )?;
    let builder = thread::Builder::new().name(format!("gretel-data-{index}"));
    let sandbox = settings.sandbox.clone();
    let thread = builder.spawn(move || {
        // A kernel that does not know such wishes has its own idea.
        let _ = scheduling::ask_for_turns_of(TURN);
        match sandbox.enter(Role::Packets) {
            Ok(()) => worker.run(),
            Err(error) => worker.give_up(error),
        }
    });
    let thread = Some(thread?);
    Ok(Handle { mailbox, totals, thread })
}
