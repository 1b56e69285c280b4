//! One control connection in either role.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use wire::control::{self, Message};

use super::calls::{Call, Calls, Stage};
use super::{CallEnd, Cause, Config, Direction, Event, Output, Peer, Role, Trouble};
use crate::Instant;
use crate::rate::TokenBucket;

/// Protocol version 1.0, the only one there is (RFC 2637 §2.1).
pub(super) const VERSION: u16 = 0x0100;
/// Result code of a Start-, Stop-, Echo- or Incoming-Call-Reply or Outgoing-Call-Reply that says yes.
pub(super) const RESULT_OK: u8 = 1;

/// Stop reason 1: general request (RFC 2637 §2.3).
const STOP_GENERAL: u8 = 1;

/// One TCP connection to port 1723, from its first byte to its last (RFC 2637 §2 and §3.1), without the TCP.
///
/// Put bytes in with [`handle_bytes`](Self::handle_bytes), then drain [`poll_output`](Self::poll_output) and look at
/// [`poll_timeout`](Self::poll_timeout) again; the same after every other `handle_*` and every command.
///
/// Memory is bounded: one unfinished message, `max_calls` calls, and outputs in proportion to the messages that the rate limit
/// lets through.
#[derive(Debug)]
pub struct Connection {
    pub(super) role: Role,
    pub(super) config: Arc<Config>,
    pub(super) state: State,
    pub(super) calls: Calls,
    /// When the last call went, or the connection was established.
    without_call_since: Instant,
    last_received: Instant,
    /// The serial number of the last call that we placed (client).
    pub(super) last_serial: u16,
    echo: Echo,
    tokens: TokenBucket,
    input: Vec<u8>,
    output: VecDeque<Output>,
}

/// How far the connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// The Start-Control-Connection exchange is not done.
    Starting {
        until: Instant,
    },
    Established,
    /// We sent Stop-Control-Connection-Request.
    Stopping {
        until: Instant,
        cause: Cause,
    },
    Closed,
}

/// Our own Echo-Requests.
#[derive(Clone, Copy, Debug, Default)]
struct Echo {
    /// macOS accepts nothing but the Outgoing-Call-Reply while it waits for it: none before a call has been up.
    allowed: bool,
    next_id: u32,
    waiting: Option<(u32, Instant)>,
}

/// Why a timeout is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timer {
    /// The Start-Control-Connection exchange takes too long.
    Setup,
    /// The connection has no call.
    NoCall,
    /// The server does not answer a call request (client).
    CallReply,
    /// The server does not confirm the end of a call (client).
    CallClear,
    /// An Echo-Request is due.
    Echo,
    /// An Echo-Reply is missing.
    EchoReply,
    /// A Stop-Control-Connection-Reply is missing.
    StopReply,
}

/// A command named a call that is not (or no longer) there, or that the connection is over. Harmless: the peer may have ended
/// it a moment ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoSuchCall;

impl fmt::Display for NoSuchCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("there is no such call")
    }
}

impl core::error::Error for NoSuchCall {}

impl Connection {
    /// A connection whose TCP handshake is done. The client's first message is ready at once. Many connections can share a configuration.
    #[must_use]
    pub fn new(role: Role, config: impl Into<Arc<Config>>, now: Instant) -> Self {
        let config = config.into();
        let mut connection = Self {
            role,
            state: State::Starting { until: now + config.setup_timeout },
            calls: Calls::default(),
            without_call_since: now,
            last_received: now,
            last_serial: 0,
            echo: Echo::default(),
            tokens: TokenBucket::new(config.message_burst, config.messages_per_second, now),
            input: Vec::new(),
            output: VecDeque::new(),
            config,
        };
        if role == Role::Pns {
            connection.send_start_request();
        }
        connection
    }

    /// Takes bytes that TCP brought: pieces of messages, or several at once.
    pub fn handle_bytes(&mut self, now: Instant, bytes: &[u8]) {
        if self.state == State::Closed {
            return;
        }
        let mut input = core::mem::take(&mut self.input);
        input.extend_from_slice(bytes);
        let mut done = 0;
        while self.state != State::Closed {
            match control::frame_len(&input[done..]) {
                Ok(Some(len)) if done + len <= input.len() => {
                    self.handle_frame(now, &input[done..done + len]);
                    done += len;
                }
                Ok(_) => break,
                Err(malformed) => self.close(now, Cause::Malformed(malformed)),
            }
        }
        if self.state != State::Closed {
            input.drain(..done);
            // Nearly all connections wait for the beginning of a message, nearly all the time.
            self.input = if input.is_empty() { Vec::new() } else { input };
        }
    }

    /// The peer closed its half of the TCP connection, or TCP failed.
    pub fn handle_eof(&mut self, now: Instant) {
        let cause = match self.state {
            State::Stopping { cause, .. } => cause,
            _ => Cause::PeerClosed,
        };
        self.close(now, cause);
    }

    /// Does what is due at `now`; nothing when nothing is.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some((at, timer)) = self.poll_timeout() {
            if at > now {
                return;
            }
            self.expire(now, timer);
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) is wanted, and why. `None` once the connection is over.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<(Instant, Timer)> {
        let connection = match self.state {
            State::Starting { until } => Some((until, Timer::Setup)),
            State::Stopping { until, .. } => Some((until, Timer::StopReply)),
            State::Closed => return None,
            State::Established if self.role == Role::Pac && self.calls.is_empty() => {
                Some((self.without_call_since + self.config.call_timeout, Timer::NoCall))
            }
            State::Established => None,
        };
        let calls = self.calls.iter().filter_map(|call| match call.stage {
            Stage::Placed { until } => Some((until, Timer::CallReply)),
            Stage::Clearing { until } => Some((until, Timer::CallClear)),
            Stage::Requested { .. } | Stage::Waiting | Stage::Connected => None,
        });
        connection.into_iter().chain(calls).chain(self.echo_timeout()).min_by_key(|(at, _)| *at)
    }

    /// The next thing to do, in order. `None`: nothing for now.
    pub fn poll_output(&mut self) -> Option<Output> {
        let output = self.output.pop_front();
        if output.is_none() {
            // An idle connection keeps no room for outputs.
            self.output = VecDeque::new();
        }
        output
    }

    /// Ends the connection with Stop-Control-Connection-Request and this reason code (RFC 2637 §2.3: 1 general, 2 protocol
    /// version, 3 the local system shuts down); the server disconnects its calls first.
    pub fn stop(&mut self, now: Instant, reason: u8) {
        self.begin_stop(now, reason, Cause::Stopped { reason });
    }

    /// Tells the peer of a call which control characters to escape (RFC 2637 §2.15); over GRE it means nothing, but Windows
    /// clients send it and some servers wait for it.
    ///
    /// # Errors
    ///
    /// [`NoSuchCall`] unless the call is up.
    pub fn set_link_info(
        &mut self,
        our_call_id: u16,
        send_accm: u32,
        receive_accm: u32,
    ) -> Result<(), NoSuchCall> {
        let call = self.calls.by_ours(our_call_id).ok_or(NoSuchCall)?;
        let (Some(peer_call_id), Stage::Connected) = (call.peers, call.stage) else {
            return Err(NoSuchCall);
        };
        self.send(Message::SetLinkInfo(control::SetLinkInfo {
            peer_call_id,
            send_accm,
            receive_accm,
        }));
        Ok(())
    }

    /// Whether the connection is over: after [`Output::Close`] nothing comes any more.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    fn handle_frame(&mut self, now: Instant, frame: &[u8]) {
        if !self.tokens.take(now) {
            return self.close(now, Cause::TooManyMessages);
        }
        self.last_received = now;
        match Message::parse(frame) {
            Ok(message) => {
                self.event(Event::Message { direction: Direction::Received, message });
                self.handle_message(now, message);
            }
            Err(malformed) => self.close(now, Cause::Malformed(malformed)),
        }
    }

    fn handle_message(&mut self, now: Instant, message: Message) {
        match message {
            Message::Unknown(unknown) => self.ignore(Trouble::UnknownType(unknown.kind)),
            Message::StopRequest(request) => self.peer_stops(now, request.reason),
            Message::StopReply(_) => match self.state {
                State::Stopping { cause, .. } => self.close(now, cause),
                _ => self.ignore(Trouble::Unexpected),
            },
            Message::StartRequest(_) | Message::StartReply(_) => self.handle_start(now, message),
            Message::EchoReply(reply) => self.echo_reply(now, &reply),
            _ if matches!(self.state, State::Starting { .. }) => self.before_start(message),
            Message::EchoRequest(request) => self.send(Message::EchoReply(control::EchoReply {
                identifier: request.identifier,
                result: RESULT_OK,
                error: 0,
            })),
            message => self.handle_call_message(now, message),
        }
    }

    fn handle_call_message(&mut self, now: Instant, message: Message) {
        match message {
            Message::OutgoingCallRequest(request) => self.outgoing_call_request(request),
            Message::OutgoingCallReply(reply) => self.outgoing_call_reply(now, &reply),
            Message::IncomingCallRequest(request) => self.refuse_incoming_call(request.call_id),
            Message::CallClearRequest(request) => self.call_clear_request(now, request.call_id),
            Message::CallDisconnectNotify(notify) => self.call_disconnect_notify(now, &notify),
            Message::SetLinkInfo(info) => self.link_info(&info),
            Message::WanErrorNotify(errors) => self.wan_errors(&errors),
            _ => self.ignore(Trouble::Unexpected),
        }
    }

    fn handle_start(&mut self, now: Instant, message: Message) {
        match (message, self.role, self.state) {
            (Message::StartRequest(request), Role::Pac, State::Starting { .. }) => {
                self.start_request(now, request);
            }
            (Message::StartRequest(_), Role::Pac, _) => self.start_again(),
            (Message::StartReply(reply), Role::Pns, State::Starting { .. }) => {
                self.start_reply(now, reply);
            }
            _ => self.ignore(Trouble::Unexpected),
        }
    }

    /// The connection is established: `peer` said this of itself.
    pub(super) fn established(&mut self, now: Instant, peer: Peer) {
        self.state = State::Established;
        self.without_call_since = now;
        self.event(Event::Started(peer));
    }

    /// Major version 1 is what we speak, whatever the minor.
    pub(super) fn speaks(version: u16) -> bool {
        version >> 8 == VERSION >> 8
    }

    fn peer_stops(&mut self, now: Instant, reason: u8) {
        self.send(Message::StopReply(control::StopReply { result: RESULT_OK, error: 0 }));
        let cause = match self.state {
            State::Stopping { cause, .. } => cause,
            _ => Cause::PeerStopped { reason },
        };
        self.close(now, cause);
    }

    /// The receiver's own call id is in the message; RRAS leaves garbage in the reserved field.
    fn link_info(&mut self, info: &control::SetLinkInfo) {
        match self.calls.by_ours(info.peer_call_id) {
            Some(_) => self.event(Event::LinkInfo {
                our_call_id: info.peer_call_id,
                send_accm: info.send_accm,
                receive_accm: info.receive_accm,
            }),
            None => self.ignore(Trouble::UnknownCall(info.peer_call_id)),
        }
    }

    fn wan_errors(&mut self, errors: &control::WanErrorNotify) {
        match self.calls.by_ours(errors.peer_call_id) {
            Some(_) => self.event(Event::WanErrors {
                our_call_id: errors.peer_call_id,
                crc: errors.crc_errors,
                framing: errors.framing_errors,
                hardware_overruns: errors.hardware_overruns,
                buffer_overruns: errors.buffer_overruns,
                timeouts: errors.time_out_errors,
                alignment: errors.alignment_errors,
            }),
            None => self.ignore(Trouble::UnknownCall(errors.peer_call_id)),
        }
    }

    fn call_disconnect_notify(&mut self, now: Instant, notify: &control::CallDisconnectNotify) {
        let peers = Some(notify.call_id);
        let Some(call) = self.calls.take(|call| call.peers == peers) else {
            return self.ignore(Trouble::UnknownCall(notify.call_id));
        };
        let reason = match call.stage {
            Stage::Clearing { .. } => CallEnd::ClearedByUs,
            _ => CallEnd::DisconnectedByPeer { result: notify.result, error: notify.error },
        };
        self.call_ended(now, call, reason);
    }

    pub(super) fn call_connected(&mut self, call: Call, speed: u32) {
        self.echo.allowed = true;
        if let (Some(our_call_id), Some(peer_call_id)) = (call.ours, call.peers) {
            let window = call.window;
            self.event(Event::CallConnected { our_call_id, peer_call_id, window, speed });
        }
    }

    /// A call that is out of the list already.
    pub(super) fn call_ended(&mut self, now: Instant, call: Call, reason: CallEnd) {
        self.without_call(now);
        self.event(Event::CallEnded { our_call_id: call.ours, peer_call_id: call.peers, reason });
    }

    /// A call has left the list.
    pub(super) fn without_call(&mut self, now: Instant) {
        self.without_call_since = now;
    }

    fn expire(&mut self, now: Instant, timer: Timer) {
        match (timer, self.state) {
            (Timer::Setup, _) => self.close(now, Cause::SetupTimeout),
            (Timer::NoCall, _) => self.begin_stop(now, STOP_GENERAL, Cause::NoCall),
            (Timer::StopReply, State::Stopping { cause, .. }) => self.close(now, cause),
            (Timer::StopReply, _) => {}
            (Timer::CallReply | Timer::CallClear, _) => self.expire_calls(now),
            (Timer::Echo, _) => self.send_echo(now),
            (Timer::EchoReply, _) => {
                self.event(Event::EchoMissing);
                self.close(now, Cause::EchoTimeout);
            }
        }
    }

    fn echo_timeout(&self) -> Option<(Instant, Timer)> {
        match self.echo.waiting {
            _ if self.state != State::Established || !self.echo.allowed => None,
            Some((_, sent)) => Some((sent + self.config.echo_timeout, Timer::EchoReply)),
            None => Some((self.last_received + self.config.echo_interval, Timer::Echo)),
        }
    }

    fn send_echo(&mut self, now: Instant) {
        let identifier = self.echo.next_id;
        self.echo.next_id = identifier.wrapping_add(1);
        self.echo.waiting = Some((identifier, now));
        self.send(Message::EchoRequest(control::EchoRequest { identifier }));
    }

    fn echo_reply(&mut self, now: Instant, reply: &control::EchoReply) {
        match self.echo.waiting {
            Some((identifier, sent)) if identifier == reply.identifier => {
                self.echo.waiting = None;
                self.event(Event::EchoAnswered(now - sent));
            }
            _ => self.ignore(Trouble::Unexpected),
        }
    }

    fn begin_stop(&mut self, now: Instant, reason: u8, cause: Cause) {
        match self.state {
            State::Established => {
                if self.role == Role::Pac {
                    self.disconnect_all(now);
                }
                self.state = State::Stopping { until: now + self.config.stop_timeout, cause };
                self.send(Message::StopRequest(control::StopRequest { reason }));
            }
            State::Starting { .. } => self.close(now, cause),
            State::Stopping { .. } | State::Closed => {}
        }
    }

    pub(super) fn close(&mut self, now: Instant, cause: Cause) {
        if self.state == State::Closed {
            return;
        }
        while let Some(call) = self.calls.take(|_| true) {
            self.call_ended(now, call, CallEnd::ConnectionClosed);
        }
        self.state = State::Closed;
        self.input = Vec::new();
        self.event(Event::Closed(cause));
        self.output.push_back(Output::Close);
    }

    pub(super) fn ignore(&mut self, trouble: Trouble) {
        self.event(Event::Ignored(trouble));
    }

    pub(super) fn event(&mut self, event: Event) {
        self.output.push_back(Output::Event(event));
    }

    pub(super) fn send(&mut self, message: Message) {
        let bytes = message.emit().to_vec();
        self.event(Event::Message { direction: Direction::Sent, message });
        self.output.push_back(Output::Message(bytes.to_vec()));
    }
}
