//! The loop that drives all callers.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use engine::Instant;
use sys::event::{Epoll, EventFd, MAX_READY};
use sys::raw::{GreSocket, RecvBatch, SendBatch};
use wire::gre::{self, Outer};

use super::caller::{Caller, Io, Login};
use super::timers::Timers;
use super::{Options, Report};
use crate::connect::{Failure, Stage};

/// The longest packet, in bytes, with all headers.
pub(super) const PACKET_LEN: usize = 2048;
/// Tokens of the files that belong to no caller. A caller's connection has its call id.
const SOCKET: u64 = 1 << 32;
const STOP: u64 = SOCKET + 1;
/// How often to look whether the next session may begin, when the rate is what holds it up.
const PACE: Duration = Duration::from_millis(1);
/// How often progress is told.
const TELL: Duration = Duration::from_secs(1);

/// All sessions of a load.
pub(super) struct Driver<'a, P> {
    io: Io<'a>,
    progress: P,
    epoll: Epoll,
    stop: &'a EventFd,
    incoming: RecvBatch,
    /// By our call id.
    callers: Box<[Option<Box<Caller>>]>,
    /// Call ids that are not in use, the one that has rested longest first.
    call_ids: VecDeque<u16>,
    timers: Timers,
    begun_at: Instant,
    next: u32,
    /// Sessions to be tried again, and when.
    again: VecDeque<(Instant, Login)>,
    phase: Phase,
    /// Calls that are to leave.
    to_leave: VecDeque<u16>,
    told: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Sessions are begun.
    Beginning,
    /// All have begun; they leave then.
    Holding(Instant),
    /// They leave, as told.
    Leaving,
}

impl<'a, P: FnMut(&Report)> Driver<'a, P> {
    pub(super) fn new(
        options: &'a Options,
        server: SocketAddrV4,
        stop: &'a EventFd,
        progress: P,
    ) -> io::Result<Self> {
        let socket = GreSocket::open()?;
        socket.attach_worker_filter(0, 1)?;
        let epoll = Epoll::new()?;
        epoll.add(&socket, SOCKET)?;
        epoll.add(stop, STOP)?;
        let first = u16::from_be_bytes(sys::random_bytes()?);
        let now = now();
        let io = Io {
            options,
            server,
            now,
            socket,
            outgoing: SendBatch::new(PACKET_LEN),
            report: Report::default(),
            first_begun: None,
            first_goodbye: None,
        };
        Ok(Self {
            io,
            progress,
            epoll,
            stop,
            incoming: RecvBatch::new(PACKET_LEN),
            callers: (0..=u16::MAX).map(|_| None).collect(),
            call_ids: (0..=u16::MAX)
                .map(|id| id.wrapping_add(first))
                .filter(|id| *id != 0)
                .collect(),
            timers: Timers::default(),
            begun_at: now,
            next: 0,
            again: VecDeque::new(),
            phase: Phase::Beginning,
            to_leave: VecDeque::new(),
            told: now,
        })
    }

    /// Works until all sessions are over.
    pub(super) fn run(mut self) -> io::Result<Report> {
        let mut ready = Vec::with_capacity(MAX_READY);
        self.begin();
        loop {
            let timeout = self.timeout();
            self.io.flush();
            self.epoll.wait(Some(timeout), &mut ready)?;
            self.io.now = now();
            for token in &ready {
                match *token {
                    SOCKET => self.read_socket()?,
                    STOP => self.stop(),
                    token => self.handle_ready(token),
                }
            }
            self.run_timers();
            self.begin();
            self.go_on();
            self.let_leave();
            self.io.report.elapsed = self.io.now - self.begun_at;
            if self.io.now - self.told >= TELL {
                self.told = self.io.now;
                (self.progress)(&self.io.report);
            }
            if self.phase == Phase::Leaving && self.occupied() == 0 {
                self.io.flush();
                return Ok(self.io.report);
            }
        }
    }

    /// Sessions that take a place.
    fn occupied(&self) -> u64 {
        let report = &self.io.report;
        report.rising + report.live + report.leaving
    }

    fn timeout(&self) -> Duration {
        let hold = match self.phase {
            Phase::Holding(until) => Some(until),
            _ => None,
        };
        let again = self.again.front().map(|(at, _)| *at);
        let pace = (self.phase == Phase::Beginning && self.io.options.rate.is_some())
            .then(|| self.io.now + PACE);
        let times = [self.timers.next(), hold, again, pace, Some(self.told + TELL)];
        times.into_iter().flatten().min().map_or(TELL, |at| at - now())
    }

    fn read_socket(&mut self) -> io::Result<()> {
        let count = self.io.socket.recv_batch(&mut self.incoming)?;
        for index in 0..count {
            let packet = self.incoming.packet_mut(index);
            let Ok(outer) = Outer::parse(packet) else { continue };
            if outer.source != *self.io.server.ip() {
                continue;
            }
            let packet = &mut packet[outer.start..outer.end];
            let Ok((header, _)) = gre::parse(packet) else { continue };
            let Some(caller) = &mut self.callers[usize::from(header.call_id)] else { continue };
            caller.handle_gre(&mut self.io, packet);
            self.settle(header.call_id);
        }
        Ok(())
    }

    fn handle_ready(&mut self, token: u64) {
        let Ok(call) = u16::try_from(token) else { return };
        let Some(caller) = &mut self.callers[usize::from(call)] else { return };
        if caller.handle_ready(&mut self.io) {
            // It is registered, so that this cannot fail.
            let _ = self.epoll.read_on(&caller.stream, token);
        }
        self.settle(call);
    }

    fn run_timers(&mut self) {
        while let Some((deadline, call)) = self.timers.take_due(self.io.now) {
            let Some(caller) = &mut self.callers[usize::from(call)] else { continue };
            if caller.armed != Some(deadline) {
                continue;
            }
            caller.armed = None;
            if caller.deadline().is_some_and(|deadline| deadline <= self.io.now) {
                caller.handle_timeout(&mut self.io);
            }
            self.settle(call);
        }
    }

    /// What follows from anything that happened to a caller.
    fn settle(&mut self, call: u16) {
        let place = &mut self.callers[usize::from(call)];
        let Some(caller) = place else { return };
        if !caller.is_over() {
            if let Some(deadline) = caller.deadline()
                && caller.armed.is_none_or(|armed| deadline < armed)
            {
                caller.armed = Some(deadline);
                self.timers.add(deadline, call);
            }
            return;
        }
        let (pause, most) = self.io.options.again;
        let login = Login { tries: caller.login.tries + 1, ..caller.login };
        if caller.has_failed && login.tries < most && self.phase == Phase::Beginning {
            self.again.push_back((self.io.now + pause, login));
        }
        *place = None;
        self.call_ids.push_back(call);
    }

    /// Begins as many sessions as may begin.
    fn begin(&mut self) {
        while self.phase == Phase::Beginning && self.may_begin() {
            let login = match self.again.front() {
                Some((at, login)) if *at <= self.io.now => {
                    let login = *login;
                    self.again.pop_front();
                    login
                }
                _ if self.next < self.io.options.total => {
                    self.next += 1;
                    Login { number: self.next - 1, tries: 0 }
                }
                _ => return,
            };
            let Some(call) = self.call_ids.pop_front() else { return };
            self.begin_one(call, login);
        }
    }

    fn may_begin(&self) -> bool {
        let options = self.io.options;
        let has_room = self.occupied() < u64::from(options.sessions)
            && self.io.report.rising < u64::from(options.at_once);
        has_room
            && options.rate.is_none_or(|rate| {
                let time = (self.io.now - self.begun_at).as_secs_f64();
                (self.io.report.begun as f64) < allowed(rate, options.ramp.as_secs_f64(), time)
            })
    }

    fn begin_one(&mut self, call: u16, login: Login) {
        let source = self.io.options.sources.map(|range| nth_address(range, login.number));
        match sys::begin_connection(source, self.io.server) {
            Ok(stream) => {
                let caller = Box::new(Caller::new(&mut self.io, call, login, stream));
                // A file that is new can be waited for.
                let _ = self.epoll.add_connecting(&caller.stream, call.into());
                self.callers[usize::from(call)] = Some(caller);
                self.settle(call);
            }
            Err(error) => {
                self.io.report.begun += 1;
                self.io.report.failed += 1;
                self.io.report.trouble(Failure::new(Stage::Tcp, format!("on this host: {error}")));
                self.call_ids.push_back(call);
            }
        }
    }

    /// Passes on to the next phase when it is time.
    fn go_on(&mut self) {
        let options = self.io.options;
        match self.phase {
            Phase::Beginning if self.next == options.total && self.again.is_empty() => {
                let is_each = options.is_each_for_itself();
                let report = &self.io.report;
                if is_each && self.occupied() == 0 {
                    self.phase = Phase::Leaving;
                } else if !is_each && report.rising == 0 {
                    let hold = if report.live == 0 { Duration::ZERO } else { options.hold };
                    self.phase = Phase::Holding(self.io.now + hold);
                    if options.begins_together() {
                        self.begin_traffic();
                    }
                }
            }
            // Where nobody is left there is nothing to hold.
            Phase::Holding(until) if until <= self.io.now || self.occupied() == 0 => {
                self.leave_all();
            }
            Phase::Beginning | Phase::Holding(_) | Phase::Leaving => {}
        }
    }

    fn begin_traffic(&mut self) {
        for call in self.calls() {
            if let Some(caller) = &mut self.callers[usize::from(call)] {
                caller.begin_traffic(&self.io);
            }
            self.settle(call);
        }
    }

    fn leave_all(&mut self) {
        self.phase = Phase::Leaving;
        self.to_leave = self.calls();
    }

    /// All that there are now.
    fn calls(&self) -> VecDeque<u16> {
        let all = self.callers.iter().zip(0..=u16::MAX).filter(|(caller, _)| caller.is_some());
        all.map(|(_, call)| call).collect()
    }

    /// Lets sessions leave, not too many at a time.
    fn let_leave(&mut self) {
        while self.io.report.leaving < u64::from(self.io.options.at_once) {
            let Some(call) = self.to_leave.pop_front() else { return };
            if let Some(caller) = &mut self.callers[usize::from(call)] {
                caller.leave(&mut self.io);
            }
            self.settle(call);
        }
    }

    /// A signal: sessions that are up leave, the others are dropped; a second one drops all.
    fn stop(&mut self) {
        self.stop.clear();
        let is_second = self.phase == Phase::Leaving;
        for call in 0..=u16::MAX {
            if let Some(caller) = &mut self.callers[usize::from(call)]
                && (is_second || !caller.is_up())
            {
                caller.become_over(&mut self.io);
                self.settle(call);
            }
        }
        self.again.clear();
        self.leave_all();
    }
}

/// How many sessions may have begun after `time` seconds, when `rate` a second is reached after `ramp` seconds.
fn allowed(rate: f64, ramp: f64, time: f64) -> f64 {
    if time < ramp { rate * time * time / (2.0 * ramp) } else { rate * (time - ramp / 2.0) }
}

/// One of the addresses from the first to the last, in turn.
fn nth_address((first, last): (Ipv4Addr, Ipv4Addr), number: u32) -> Ipv4Addr {
    let (first, last) = (u32::from(first), u32::from(last));
    let count = last.saturating_sub(first).saturating_add(1);
    Ipv4Addr::from(first + number % count)
}

fn now() -> Instant {
    Instant::from_nanos(sys::monotonic_nanos())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_rises_to_what_it_is() {
        assert_eq!(allowed(100.0, 0.0, 2.0), 200.0);
        assert_eq!(allowed(100.0, 10.0, 5.0), 125.0);
        assert_eq!(allowed(100.0, 10.0, 10.0), 500.0);
        assert_eq!(allowed(100.0, 10.0, 11.0), 600.0);
    }

    #[test]
    fn sessions_take_the_addresses_in_turn() {
        let range = (Ipv4Addr::new(10, 0, 0, 254), Ipv4Addr::new(10, 0, 1, 0));
        let addresses = [0, 1, 2, 3].map(|number| nth_address(range, number).octets()[3]);
        assert_eq!(addresses, [254, 255, 0, 254]);
        let all = (Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST);
        assert_eq!(nth_address(all, 7), Ipv4Addr::new(0, 0, 0, 7));
    }
}
