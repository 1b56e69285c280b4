//! One control connection: TCP on one side, the calls' sessions on the other.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;
use std::time::Duration;

use dataplane::NewCall;
use engine::Instant;
use engine::control::{self, CallEnd, CallRequest, Output, Role};
use engine::data;
use engine::ppp::Cause;
use sys::event::Interest;

use crate::admission::Place;
use crate::event::{Event, Source, TcpEnd};
use crate::leases::EVERYBODYS;
use crate::listener::Ticket;
use crate::locks::Subject;
use crate::mailbox::{Mail, Mailbox};
use crate::packet_path;
use crate::session::{Call, Session};
use crate::shared::Shared;

/// Result codes of an Outgoing-Call-Reply (RFC 2637 §2.8).
const CALL_GENERAL_ERROR: u8 = 2;
const CALL_BUSY: u8 = 4;
const CALL_NOT_ACCEPTED: u8 = 7;
/// General error code: no resource (RFC 2637 §2.16).
const ERROR_NO_RESOURCE: u8 = 4;
/// Result codes of a Call-Disconnect-Notify (RFC 2637 §2.13).
const DISCONNECT_ADMIN: u8 = 3;
/// Reason code of a Stop-Control-Connection-Request: shut down (RFC 2637 §2.3).
const STOP_LOCAL_SHUTDOWN: u8 = 3;
/// How long sessions may take to say goodbye when the server stops.
const GOODBYE: Duration = Duration::from_secs(2);
/// How long a set-up may keep others waiting. Whoever is slower is served on, beside those whose turn it is then.
const PLACE_FOR: Duration = Duration::from_secs(2);
/// Bytes read from TCP at once.
const READ_BUFFER: usize = 2048;

/// A control connection with its calls.
pub(crate) struct Connection {
    stream: TcpStream,
    local: Ipv4Addr,
    control: control::Connection,
    source: Source,
    ticket: Ticket,
    sessions: Vec<(u16, Session)>,
    /// Among the set-ups that are carried on at once, until then at most.
    place: Option<(Instant, Place)>,
    mailbox: Mailbox,
    /// Bytes of messages that TCP has not taken yet.
    unsent: VecDeque<u8>,
    state: State,
    shared: Rc<Shared>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Serving,
    /// The server stops: sessions say goodbye until then.
    Stopping(Instant),
    /// The control connection says goodbye.
    Leaving,
    /// Over, once everything has been sent.
    Closing,
    Dead,
}

/// Why a connection is woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wake {
    /// TCP is ready for what it was waited for.
    Ready,
    /// There is mail, or nothing: it has just begun.
    Mail,
    /// Its deadline has come.
    Time,
}

impl Connection {
    /// A connection that has been accepted; `stream` does not block.
    pub(crate) fn new(
        stream: TcpStream,
        local: Ipv4Addr,
        shared: Rc<Shared>,
        source: Source,
        ticket: Ticket,
        mailbox: Mailbox,
    ) -> Self {
        shared.connected(&source);
        Self {
            stream,
            local,
            control: control::Connection::new(Role::Pac, shared.control_config(), shared.now()),
            source,
            ticket,
            sessions: Vec::new(),
            place: None,
            mailbox,
            unsent: VecDeque::new(),
            state: State::Serving,
            shared,
        }
    }

    /// Does what there is to do; then [`deadline`](Self::deadline) and [`interest`](Self::interest) may be others.
    pub(crate) fn wake(&mut self, wake: Wake) {
        match wake {
            Wake::Ready => {
                if !self.unsent.is_empty() {
                    self.flush();
                }
                if !matches!(self.state, State::Closing | State::Dead) {
                    self.read();
                }
            }
            Wake::Mail => self.read_mail(),
            Wake::Time => self.handle_timeout(),
        }
        self.pump();
        self.note_progress();
    }

    /// What TCP is waited for.
    pub(crate) fn interest(&self) -> Interest {
        Interest { readable: self.state != State::Closing, writable: !self.unsent.is_empty() }
    }

    /// Whether [`finish`](Self::finish) is wanted, and nothing else.
    pub(crate) fn is_dead(&self) -> bool {
        self.state == State::Dead
    }

    /// Ends what is left of it.
    pub(crate) fn finish(mut self) {
        let now = self.shared.now();
        for (call_id, session) in std::mem::take(&mut self.sessions) {
            self.end_session(now, call_id, session, Some(CallEnd::ConnectionClosed));
        }
        self.shared.disconnected(self.source.peer());
        self.source.disconnected();
    }

    /// Counts the connection as what it has become.
    fn note_progress(&mut self) {
        if self.sessions.iter().any(|(_, session)| session.is_authenticated()) {
            self.ticket.finished();
        }
        let is_done = |(until, _): &(Instant, Place)| {
            let is_rising = |(_, session): &(u16, Session)| !session.is_connected();
            *until <= self.shared.now() || !self.sessions.iter().any(is_rising)
        };
        if self.place.as_ref().is_some_and(is_done) {
            self.place = None;
        }
    }

    /// When it wants to be woken.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let control = self.control.poll_timeout().map(|(at, _)| at);
        let sessions = self.sessions.iter().filter_map(|(_, session)| session.deadline()).min();
        let goodbye = match self.state {
            State::Stopping(until) => Some(until),
            _ => None,
        };
        let place = self.place.as_ref().map(|(until, _)| *until);
        [control, sessions, goodbye, place].into_iter().flatten().min()
    }

    fn read(&mut self) {
        let mut buffer = [0; READ_BUFFER];
        let now = self.shared.now();
        match (&self.stream).read(&mut buffer) {
            Ok(0) => self.tcp_ended(now, TcpEnd::Closed),
            Ok(length) => self.control.handle_bytes(now, &buffer[..length]),
            Err(error) if is_passing(&error) => {}
            Err(error) => self.tcp_ended(now, TcpEnd::from(&error)),
        }
    }

    fn tcp_ended(&mut self, now: Instant, end: TcpEnd) {
        self.source.publish(Event::TcpEnded(end));
        self.control.handle_eof(now);
    }

    fn read_mail(&mut self) {
        let now = self.shared.now();
        while let Some(mail) = self.mailbox.take() {
            match mail {
                Mail::Notice { call, notice } => {
                    if let Some((_, session)) = self.sessions.iter_mut().find(|(id, _)| *id == call)
                    {
                        session.handle_notice(now, notice);
                    }
                }
                Mail::Placed { request, place } => {
                    if self.control.is_requested(request.peer_call_id) {
                        self.place = Some((now + PLACE_FOR, place));
                        self.answer_call(now, request);
                    }
                }
                Mail::Replaced { session, by } => {
                    if let Some(session) = self.session(session) {
                        session.replaced(now, by);
                    }
                }
                Mail::Displaced { session } => {
                    if let Some(session) = self.session(session) {
                        session.displaced(now);
                    }
                }
                Mail::Kicked { session, reason } => {
                    if let Some(session) = self.session(session) {
                        session.kicked(now, reason);
                    }
                }
                Mail::Seen { session, event } => {
                    if let Some(session) = self.session(session) {
                        session.seen(now, *event);
                    }
                }
                Mail::PamAnswered { session, question, answer } => {
                    if let Some(session) = self.session(session) {
                        session.pam_answered(now, question, answer);
                    }
                }
                Mail::GiveWay => {
                    self.source.publish(Event::GaveWay);
                    return self.die();
                }
                Mail::MayRise { session } => {
                    if let Some(session) = self.session(session) {
                        session.may_rise(now);
                    }
                }
            }
        }
    }

    fn session(&mut self, number: u64) -> Option<&mut Session> {
        let mut sessions = self.sessions.iter_mut().map(|(_, session)| session);
        sessions.find(|session| session.number() == number)
    }

    fn handle_timeout(&mut self) {
        let now = self.shared.now();
        self.control.handle_timeout(now);
        for (_, session) in &mut self.sessions {
            if session.deadline().is_some_and(|deadline| now >= deadline) {
                session.handle_timeout(now);
            }
        }
        if matches!(self.state, State::Stopping(until) if now >= until) {
            self.leave(now);
        }
    }

    /// The server stops: every session says goodbye in PPP first, then the calls and the connection are taken down.
    pub(crate) fn begin_stop(&mut self) {
        if self.state != State::Serving {
            return;
        }
        let now = self.shared.now();
        self.state = State::Stopping(now + GOODBYE);
        for (_, session) in &mut self.sessions {
            session.terminate(now, Cause::Local("Server is shutting down"));
        }
        if self.sessions.is_empty() {
            self.leave(now);
        }
        self.pump();
    }

    fn leave(&mut self, now: Instant) {
        self.state = State::Leaving;
        self.control.stop(now, STOP_LOCAL_SHUTDOWN);
    }

    /// Carries out what the engines want until nothing is left to do.
    fn pump(&mut self) {
        let now = self.shared.now();
        self.reap(now);
        while let Some(output) = self.control.poll_output() {
            match output {
                Output::Message(message) => self.send(&message),
                Output::Event(event) => self.take(now, event),
                Output::Close => {
                    if !matches!(self.state, State::Dead) {
                        self.state = State::Closing;
                    }
                }
            }
            self.reap(now);
        }
        if self.state == State::Closing && self.unsent.is_empty() {
            self.state = State::Dead;
        }
    }

    /// Takes down the calls whose PPP has ended.
    fn reap(&mut self, now: Instant) {
        while let Some(at) = self.sessions.iter().position(|(_, session)| session.ended().is_some())
        {
            let (call_id, session) = self.sessions.remove(at);
            let vanished = session.ended() == Some(&Cause::EchoTimeout);
            // The call may be gone already; then there is nobody to tell.
            let _ = self.control.disconnect_call(now, call_id, DISCONNECT_ADMIN);
            self.end_session(now, call_id, session, None);
            if vanished && self.sessions.is_empty() && self.state == State::Serving {
                // Whoever is gone in PPP is hardly there in TCP. If it is, it may connect anew.
                self.leave(now);
            }
        }
        if self.sessions.is_empty() && matches!(self.state, State::Stopping(_)) {
            self.leave(now);
        }
    }

    fn take(&mut self, now: Instant, event: control::Event) {
        match &event {
            control::Event::CallRequested(request) => self.admit(now, *request),
            control::Event::LinkInfo { our_call_id, .. } => {
                if let Some((_, session)) =
                    self.sessions.iter_mut().find(|(id, _)| id == our_call_id)
                {
                    session.link_info(now);
                }
            }
            control::Event::CallEnded { our_call_id: Some(call_id), reason, .. } => {
                if let Some(at) = self.sessions.iter().position(|(id, _)| id == call_id) {
                    let (call_id, session) = self.sessions.remove(at);
                    self.end_session(now, call_id, session, Some(*reason));
                }
            }
            _ => {}
        }
        self.source.publish(Event::Control(event));
    }

    /// Answers a call at once, or when it is its turn: a storm is served some at a time, each in a moment, not all at once and too late.
    fn admit(&mut self, now: Instant, request: CallRequest) {
        if self.place.is_none() && self.state == State::Serving {
            let most = self.shared.settings().limits.set_ups;
            let client = *self.source.peer().ip();
            match self.shared.admission.enter(client, most, &self.mailbox, request) {
                Some(place) => self.place = Some((now + PLACE_FOR, place)),
                None => return,
            }
        }
        self.answer_call(now, request);
    }

    fn answer_call(&mut self, now: Instant, request: CallRequest) {
        let peer_call_id = request.peer_call_id;
        // It may have been cleared in the same breath.
        if !self.control.is_requested(peer_call_id) {
            return;
        }
        if self.state != State::Serving {
            let _ = self.control.refuse_call(now, peer_call_id, CALL_BUSY, 0);
            return;
        }
        if !self.shared.settings().may_call(*self.source.peer().ip()) {
            self.source.publish(Event::CallerNotAllowed);
            let _ = self.control.refuse_call(now, peer_call_id, CALL_NOT_ACCEPTED, 0);
            return;
        }
        let client = *self.source.peer().ip();
        if let Err(left) = self.shared.locks.may_call(now, client) {
            self.source.publish(Event::LoginLocked { subject: Subject::Address(client), left });
            let _ = self.control.refuse_call(now, peer_call_id, CALL_NOT_ACCEPTED, 0);
            return;
        }
        let source = self.source.new_session();
        let number = source.session().unwrap_or_default();
        // Nobody who is not asked for a name has a pool.
        let pool = self.shared.settings().methods.is_empty().then_some(EVERYBODYS);
        let lease = self.shared.take_slot(pool, number);
        let call_id =
            lease.as_ref().and_then(|lease| self.shared.allocate_call_id(lease.slot().remote));
        let (Some(lease), Some(our_call_id), Ok(seed)) = (lease, call_id, sys::random_bytes())
        else {
            self.source.publish(Event::NoFreeSlot);
            let _ =
                self.control.refuse_call(now, peer_call_id, CALL_GENERAL_ERROR, ERROR_NO_RESOURCE);
            return;
        };
        let counters = self.shared.dataplane.add(NewCall {
            generation: number,
            peer: *self.source.peer().ip(),
            local: self.local,
            path: data::Config { our_call_id, peer_call_id, check_source: true, clamp_mss: true },
            tos: packet_path::tos(&self.shared.settings().packets),
            fragments: packet_path::fragments(&self.shared.settings().packets),
            bounds: self.shared.settings().limits.call,
            trace: self.shared.settings().debug,
        });
        let round_trip = sys::round_trip(&self.stream);
        let figures = counters.clone();
        let local = self.local;
        let call = Call { our_call_id, peer_call_id, local, counters, seed, round_trip };
        let session = Session::new(self.shared.clone(), source.clone(), call, lease, now);
        self.shared.register(our_call_id, &source, figures, self.mailbox.clone());
        // Nearly all connections have one.
        self.sessions.reserve_exact(1);
        self.sessions.push((our_call_id, session));
        if self.control.accept_call(peer_call_id, our_call_id).is_ok() {
            source.publish(Event::CallStarted { our_call_id, peer_call_id });
        }
    }

    fn end_session(&self, now: Instant, call_id: u16, session: Session, call: Option<CallEnd>) {
        let number = session.number();
        session.finish(now, call);
        self.shared.unregister(call_id, number);
    }

    /// Sends a message with one write, or the rest of it as soon as TCP takes more.
    fn send(&mut self, message: &[u8]) {
        let sent = if self.unsent.is_empty() { self.write(message) } else { Ok(0) };
        match sent {
            Ok(sent) => self.unsent.extend(&message[sent..]),
            Err(error) => return self.cut(&error),
        }
        if self.unsent.len() > self.shared.settings().limits.unsent {
            self.source.publish(Event::PeerNotReading);
            self.die();
        }
    }

    fn flush(&mut self) {
        let bytes = self.unsent.make_contiguous().to_vec();
        match self.write(&bytes) {
            Ok(sent) => drop(self.unsent.drain(..sent)),
            Err(error) => self.cut(&error),
        }
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        match (&self.stream).write(bytes) {
            Err(error) if is_passing(&error) => Ok(0),
            result => result,
        }
    }

    /// TCP takes no more.
    fn cut(&mut self, error: &io::Error) {
        self.source.publish(Event::TcpEnded(TcpEnd::from(error)));
        self.die();
    }

    fn die(&mut self) {
        self.unsent.clear();
        self.state = State::Dead;
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

/// Whether there was nothing to read, or no room to write, for now.
fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
