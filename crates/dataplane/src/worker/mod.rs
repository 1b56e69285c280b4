//! One worker: its loop, and where each packet goes.

mod directory;
mod gre_io;
mod limit;
mod outbox;
mod receive;
mod session;
mod shared;
mod timers;

use std::io;
use std::mem;
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread;
use std::time::Duration;

use crypto::mppe::{self, Lanes, PacketKeys, SessionKey};
use engine::Instant;
use engine::data::Plan;
use sys::event::{Epoll, MAX_READY};
use sys::raw::{BATCH, NotSent, RecvBatch};
use sys::tun::{Tun, Writer};

use crate::counters::{WorkerTotals, count};
use crate::dataplane::Notify;
use crate::hand_over::HandOver;
use crate::mailbox::{Letter, Mailbox};
use crate::offload::Join;
use crate::reaper::Remains;
use crate::{Command, Counters, IoMode, NewCall, Notice};
pub(crate) use gre_io::{Fast, GreIo};
use limit::OncePerSecond;
use outbox::Outbox;
use session::{IDLE_AFTER, Session};
use shared::Shared;
use timers::Timers;

/// The longest packet, in bytes: pppd's largest MRU (16,384) and all headers. Not a multiple of the page size, so that the beginnings of
/// the slots in a batch do not fall on the same cache lines.
const PACKET_LEN: usize = 16_384 + 128;

/// The longest packet that an interface gives, in bytes: a super-packet of 64 KiB.
const SUPER_PACKET_LEN: usize = 1 << 16;

/// How many reads, and how many bytes, of one interface are taken in one wake-up before the others get their turn.
const INTERFACE_READS: usize = BATCH;
const INTERFACE_BYTES: usize = SUPER_PACKET_LEN;

/// How many packets from the network in one wake-up say that more are on their way.
const GATHER_FROM: usize = 8;

/// How long those are given to arrive, unless something waits already: most of what a wake-up costs is the same for one packet and for
/// many, and so is what a joined packet costs whom it is for. The kernel adds its timer slack (50 µs).
const GATHER: Duration = Duration::from_micros(50);

/// How long to wait after an error of the kernel's that only time can help against.
const ERROR_PAUSE: Duration = Duration::from_millis(10);

/// Tokens of the files that belong to no call. A call's interface has its call id; several sources of GRE packets, and several
/// queues of a shared interface, have tokens from theirs on.
const MAILBOX: u64 = 1 << 32;
const HANDED_OVER: u64 = MAILBOX + 1;
const NETWORK: u64 = MAILBOX + 2;
const SHARED: u64 = 1 << 33;

/// A worker thread's state.
pub(crate) struct Worker {
    index: usize,
    /// How many workers there are: a packet whose call id leaves another remainder than `index` is another's.
    workers: usize,
    epoll: Epoll,
    /// Tokens of the files that are ready.
    ready: Vec<u64>,
    mailbox: Arc<Mailbox>,
    letters: Vec<Letter>,
    /// By our call id.
    sessions: Box<[Option<Box<Session>>]>,
    /// Calls whose figures or deadlines have changed in this wake-up.
    touched: Vec<u16>,
    /// Those of them whose keys are being made.
    #[expect(clippy::vec_box, reason = "sessions are large, and go back where they were")]
    lent: Vec<Box<Session>>,
    incoming: RecvBatch,
    /// How many packets the network has brought in this wake-up.
    received: usize,
    /// Whether something has used up its turn in this wake-up, and so may have more.
    is_behind: bool,
    /// Whether the kernel can wait for no longer than [`GATHER`]. Without fine timers it waits for its next tick.
    can_gather: bool,
    /// For each packet in `incoming`: how it was opened, if it was opened among many.
    plans: Vec<Option<Plan>>,
    /// And with which key, which part of its slot.
    keys: Vec<Option<(SessionKey, Range<usize>)>>,
    /// IP packets in `incoming` that are to be delivered.
    arrivals: Vec<receive::Arrival>,
    join: Join,
    writer: Writer,
    /// For each write of a batch: whose it was, how many packets.
    written: Vec<(u16, usize)>,
    /// Which of them failed.
    not_written: Vec<(usize, io::Error)>,
    timers: Timers,
    /// When to look whether calls that hold memory are idle.
    releases: Timers,
    unknown_calls: OncePerSecond,
    wrong_peers: OncePerSecond,
    io: Io,
}

/// What a session needs of its worker.
struct Io {
    now: Instant,
    mode: IoMode,
    gre: GreIo,
    lanes: Box<Lanes>,
    outgoing: Outbox,
    /// Calls of packets that could not be sent, with the kernel's answer.
    not_sent: Vec<NotSent>,
    /// The interface of calls that have none of their own.
    shared: Option<Box<Shared>>,
    /// For a packet that had to wait for another, or is too long.
    scratch: Box<[u8]>,
    /// For what an interface gives.
    super_packet: Box<[u8]>,
    notify: Arc<Notify>,
    totals: Arc<WorkerTotals>,
    reaper: Sender<Remains>,
}

impl Worker {
    /// `place`: which worker of how many.
    pub(crate) fn new(
        place: (usize, usize),
        mode: IoMode,
        gre: GreIo,
        mailbox: Arc<Mailbox>,
        totals: Arc<WorkerTotals>,
        notify: Arc<Notify>,
        reaper: Sender<Remains>,
    ) -> io::Result<Self> {
        let epoll = Epoll::new()?;
        gre.watch(&epoll, NETWORK)?;
        epoll.add(&mailbox.bell, MAILBOX)?;
        let (limit, writer) = match mode {
            IoMode::Batched => (BATCH, Writer::new()),
            IoMode::Naive => (1, Writer::one_by_one()),
        };
        let io = Io {
            now: clock(),
            gre,
            mode,
            lanes: Box::new(Lanes::new()),
            outgoing: Outbox::new(PACKET_LEN, limit),
            not_sent: Vec::with_capacity(BATCH),
            shared: None,
            scratch: vec![0; PACKET_LEN].into(),
            super_packet: vec![0; SUPER_PACKET_LEN].into(),
            notify,
            totals,
            reaper,
        };
        Ok(Self {
            index: place.0,
            workers: place.1,
            epoll,
            ready: Vec::with_capacity(MAX_READY),
            mailbox,
            letters: Vec::with_capacity(BATCH),
            sessions: (0..=u16::MAX).map(|_| None).collect(),
            touched: Vec::with_capacity(BATCH),
            lent: Vec::with_capacity(BATCH),
            incoming: RecvBatch::new(PACKET_LEN).limited_to(limit),
            received: 0,
            is_behind: false,
            can_gather: sys::timer_resolution() <= GATHER,
            plans: Vec::with_capacity(BATCH),
            keys: Vec::with_capacity(BATCH),
            arrivals: Vec::with_capacity(BATCH),
            join: Join::new(),
            writer,
            written: Vec::with_capacity(BATCH),
            not_written: Vec::new(),
            timers: Timers::default(),
            releases: Timers::default(),
            unknown_calls: OncePerSecond::default(),
            wrong_peers: OncePerSecond::default(),
            io,
        })
    }

    /// Works until it is told to stop.
    pub(crate) fn run(mut self) {
        loop {
            let deadlines = [self.timers.next(), self.releases.next()];
            // The clock is read once for each wake-up, as it can cost a system call: this waits longer by the time since then, no more.
            let now = self.io.now;
            let timeout = deadlines.into_iter().flatten().min().map(|deadline| deadline - now);
            if let Err(error) = self.epoll.wait(timeout, &mut self.ready) {
                return self.give_up(error);
            }
            self.io.now = clock();
            if !self.read_mailbox() {
                return;
            }
            for event in 0..self.ready.len() {
                let token = self.ready[event];
                match token {
                    MAILBOX => {}
                    HANDED_OVER => self.take_handed_over(),
                    SHARED.. if !self.read_shared(token - SHARED) => return,
                    SHARED.. => {}
                    NETWORK.. => match self.io.gre.source(token - NETWORK) {
                        Some(source) if !self.read_network(source) => return,
                        _ => {}
                    },
                    _ => self.read_interface(token),
                }
            }
            self.run_timers();
            self.finish();
            let received = mem::take(&mut self.received);
            let is_behind = mem::take(&mut self.is_behind);
            if self.can_gather && !is_behind && received >= GATHER_FROM {
                thread::sleep(GATHER);
            }
        }
    }

    /// Says that it cannot work.
    pub(crate) fn give_up(self, error: io::Error) {
        self.io.notify(Notice::WorkerFailed { worker: self.index, error });
    }

    /// Carries out what the control plane has sent. `false`: stop.
    fn read_mailbox(&mut self) -> bool {
        let mut letters = mem::take(&mut self.letters);
        self.mailbox.take(&mut letters);
        let mut go_on = true;
        for letter in letters.drain(..) {
            match letter {
                Letter::Add(call, counters) => self.add(call, counters),
                Letter::Command(call, Command::Remove) => self.remove(call),
                Letter::Command(call, command) => self.carry_out(call, command),
                Letter::Share(queues, ways) => go_on &= self.share(queues, ways),
                Letter::Address(call, address) => {
                    if let Some(shared) = &mut self.io.shared {
                        shared.directory.set(call, address);
                    }
                }
                Letter::Way(call, ends, way) => {
                    if let Some(session) = &mut self.sessions[usize::from(call)] {
                        session.set_way(ends, way);
                    }
                }
                Letter::Stop => go_on = false,
            }
        }
        self.letters = letters;
        go_on
    }

    /// Takes the worker's queues of a shared interface. `false`: it cannot be used.
    fn share(&mut self, queues: Vec<Tun>, ways: Arc<[HandOver]>) -> bool {
        match Shared::open(&self.epoll, self.index, self.io.mode, queues, ways) {
            Ok(shared) => self.io.shared = Some(Box::new(shared)),
            Err(error) => {
                self.io.notify(Notice::WorkerFailed { worker: self.index, error });
                return false;
            }
        }
        true
    }

    fn add(&mut self, call: NewCall, counters: Arc<Counters>) {
        let id = call.path.our_call_id;
        self.remove(id);
        self.sessions[usize::from(id)] = Some(Box::new(Session::new(call, counters)));
    }

    fn carry_out(&mut self, call: u16, mut command: Command) {
        let Some(session) = &mut self.sessions[usize::from(call)] else {
            // An interface for a call that is gone is closed like any other.
            if let Command::OpenNetwork { tun: Some(tun), .. } = command {
                self.io.bury(Some(tun), None);
            }
            return;
        };
        if let Command::OpenNetwork { tun: Some(tun), .. } = &mut command {
            let token = u64::from(call);
            if self.io.mode == IoMode::Naive {
                // A kernel that has offloads lets go of them.
                let _ = tun.forgo_offloads();
            }
            if let Some(previous) = session.tun.take() {
                close(&self.epoll, &self.io, *previous);
            }
            if let Err(error) = self.epoll.add(&*tun, token) {
                session.interface_gone(&mut self.io, error);
            }
        }
        session.carry_out(&mut self.io, command);
        session.touch(&mut self.touched);
    }

    fn remove(&mut self, call: u16) {
        let Some(mut session) = self.sessions[usize::from(call)].take() else { return };
        // What was sent just before, a Terminate-Ack for instance, leaves first.
        self.io.flush(None);
        let tun = session.tun.take().map(|tun| *tun);
        if let Some(tun) = &tun {
            // It fails only for an interface that was never added.
            let _ = self.epoll.remove(tun);
        }
        let notice = session.removed();
        self.io.bury(tun, Some(notice));
    }

    /// Takes packets that the network sends to a call's interface.
    fn read_interface(&mut self, token: u64) {
        let Ok(call) = u16::try_from(token) else { return };
        let Some(session) = &mut self.sessions[usize::from(call)] else { return };
        let mut bytes = 0;
        let mut is_empty = false;
        let reads = if self.io.mode == IoMode::Naive { 1 } else { INTERFACE_READS };
        for _ in 0..reads {
            match session.send_next(&mut self.io) {
                Ok(Some(len)) => bytes += len,
                Ok(None) => {
                    is_empty = true;
                    break;
                }
                Err(error) => return self.interface_gone(call, error),
            }
            if bytes >= INTERFACE_BYTES {
                break;
            }
        }
        self.is_behind |= !is_empty;
        session.touch(&mut self.touched);
    }

    fn interface_gone(&mut self, call: u16, error: io::Error) {
        let Some(session) = &mut self.sessions[usize::from(call)] else { return };
        if let Some(tun) = session.tun.take() {
            close(&self.epoll, &self.io, *tun);
            session.interface_gone(&mut self.io, error);
        }
        session.touch(&mut self.touched);
    }

    fn run_timers(&mut self) {
        while let Some((deadline, call)) = self.timers.take_due(self.io.now) {
            let Some(session) = &mut self.sessions[usize::from(call)] else { continue };
            if session.armed != Some(deadline) {
                continue;
            }
            session.armed = None;
            if let Some(error) = session.handle_timeout(&mut self.io) {
                self.interface_gone(call, error);
                continue;
            }
            session.touch(&mut self.touched);
        }
        while let Some((deadline, call)) = self.releases.take_due(self.io.now) {
            let Some(session) = &mut self.sessions[usize::from(call)] else { continue };
            if session.release_at == Some(deadline) {
                session.release_at = session.release_if_idle(self.io.now);
                if let Some(again) = session.release_at {
                    self.releases.add(again, call);
                }
            }
        }
    }

    /// The end of a wake-up: sends what is to be sent, sets timers, publishes figures.
    fn finish(&mut self) {
        for index in 0..self.touched.len() {
            let call = self.touched[index];
            let Some(session) = &mut self.sessions[usize::from(call)] else { continue };
            session.touched = false;
            if let Some(deadline) = session.deadline(&mut self.io)
                && session.armed.is_none_or(|armed| deadline < armed)
            {
                session.armed = Some(deadline);
                self.timers.add(deadline, call);
            }
            session.counters.publish(&session.path);
        }
        let is_quiet = self.io.outgoing.len() <= 1 && self.io.mode == IoMode::Batched;
        let busiest =
            self.touched.last().and_then(|call| self.sessions[usize::from(*call)].as_mut());
        self.io.flush(busiest.and_then(|session| session.path.send_keys()));
        if is_quiet
            && let [call] = self.touched[..]
            && let Some(session) = &mut self.sessions[usize::from(call)]
            && session.has_moved(self.io.now)
        {
            session.path.prepare();
        }
        if self.touched.len() > 1 && self.io.mode == IoMode::Batched {
            self.make_keys();
        }
        for call in self.touched.drain(..) {
            let Some(session) = &mut self.sessions[usize::from(call)] else { continue };
            if session.release_at.is_none() && session.path.is_holding() {
                let at = self.io.now + IDLE_AFTER;
                session.release_at = Some(at);
                self.releases.add(at, call);
            }
        }
        for NotSent { tag: call, error } in self.io.not_sent.drain(..) {
            let Some(session) = &mut self.sessions[usize::from(call)] else { continue };
            if let Some(notice) = session.not_sent(error)
                && (self.io.notify)(notice).is_err()
            {
                count(&self.io.totals.notices_refused);
            }
        }
    }

    /// Makes the keys that this wake-up's calls will want in the next, side by side: their packets have left.
    fn make_keys(&mut self) {
        let sessions = &mut self.sessions;
        self.lent
            .extend(self.touched.iter().filter_map(|call| sessions[usize::from(*call)].take()));
        let keys = self.lent.iter_mut().flat_map(|session| session.path.keys());
        mppe::make_keys(&mut self.io.lanes, keys);
        for session in self.lent.drain(..) {
            let call = usize::from(session.call);
            self.sessions[call] = Some(session);
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if thread::panicking() {
            let error = io::Error::other("a fault in the program");
            self.io.notify(Notice::WorkerFailed { worker: self.index, error });
        }
        self.io.flush(None);
        for session in &mut self.sessions {
            if let Some(session) = session.take() {
                let tun = session.tun.map(|tun| *tun);
                self.io.bury(tun, None);
            }
        }
    }
}

impl Io {
    /// The interface of a call that has this one of its own, or none.
    fn interface<'a>(&'a self, own: Option<&'a Tun>) -> Option<&'a Tun> {
        own.or(self.shared.as_ref().and_then(|shared| shared.tun()))
    }

    /// Tells the control plane; whether it was heard.
    fn notify(&self, notice: Notice) -> bool {
        let taken = (self.notify)(notice).is_ok();
        if !taken {
            count(&self.totals.notices_refused);
        }
        taken
    }

    /// Sends what waits. Keys of `chain` are made ahead meanwhile.
    fn flush(&mut self, chain: Option<&mut PacketKeys>) {
        let not_sent = &mut self.not_sent;
        let totals = &self.totals;
        self.outgoing.flush(&mut self.gre, &mut self.lanes, chain, |failure| {
            count(&totals.not_sent);
            // One batch's worth is remembered for the calls; the rest, which only a dead network makes, is in the totals alone.
            if not_sent.len() < BATCH {
                not_sent.push(failure);
            }
        });
    }

    fn flush_if_full(&mut self, chain: Option<&mut PacketKeys>) {
        if self.outgoing.is_full() {
            self.flush(chain);
        }
    }

    /// Has an interface closed, and the control plane told then.
    fn bury(&self, tun: Option<Tun>, notice: Option<Notice>) {
        // The thread lives as long as this sender.
        let _ = self.reaper.send(Remains { tun, notice });
    }
}

fn close(epoll: &Epoll, io: &Io, tun: Tun) {
    // It fails only for an interface that was never added.
    let _ = epoll.remove(&tun);
    io.bury(Some(tun), None);
}

fn clock() -> Instant {
    Instant::from_nanos(sys::monotonic_nanos())
}
