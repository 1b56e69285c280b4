//! The control connection, and when its call has something to do.

use std::{
    io::{ErrorKind, Read, Write},
    net::{IpAddr, Ipv4Addr, TcpStream},
    time::{self, Duration},
};

use anyhow::{Result, bail};
use engine::{
    Instant,
    control::{self, CallRequest, Event, Output, Role},
};
use sys::event::Epoll;

use super::{Account, call::Call};

/// Files that are waited for, by what they belong to.
const CONTROL: u64 = 0;
const CHANNEL: u64 = 1;
const UNIT: u64 = 2;
/// Result codes of a Call-Disconnect-Notify (RFC 2637 §2.13) and an Outgoing-Call-Reply (§2.8), and a reason of a
/// Stop-Control-Connection-Request (§2.3).
const DISCONNECT_ADMIN: u8 = 3;
const CALL_BUSY: u8 = 4;
const STOP_NONE: u8 = 1;

/// A client's TCP connection, with at most one call.
pub(super) struct Connection<'a> {
    account: &'a Account,
    stream: TcpStream,
    addresses: [Ipv4Addr; 2],
    control: control::Connection,
    call: Option<Call<'a>>,
    epoll: Epoll,
    start: time::Instant,
    closed: bool,
}

impl<'a> Connection<'a> {
    pub(super) fn new(stream: TcpStream, account: &'a Account) -> Result<Self> {
        let (IpAddr::V4(local), IpAddr::V4(peer)) =
            (stream.local_addr()?.ip(), stream.peer_addr()?.ip())
        else {
            bail!("PPTP runs over IPv4")
        };
        stream.set_nonblocking(true)?;
        let epoll = Epoll::new()?;
        epoll.add(&stream, CONTROL)?;
        let control =
            control::Connection::new(Role::Pac, control::Config::default(), Instant::ZERO);
        let start = time::Instant::now();
        let addresses = [local, peer];
        Ok(Self { account, stream, addresses, control, call: None, epoll, start, closed: false })
    }

    /// Carries the connection to its end.
    pub(super) fn run(mut self) -> Result<()> {
        let mut ready = Vec::new();
        while !self.closed {
            let now = self.now();
            let call = self.call.as_ref().and_then(Call::deadline);
            let control = self.control.poll_timeout().map(|(at, _)| at);
            let deadline = [call, control].into_iter().flatten().min();
            let wait = deadline.map(|at| if at > now { at - now } else { Duration::ZERO });
            self.epoll.wait(wait, &mut ready)?;
            let now = self.now();
            for token in &ready {
                match (*token, &mut self.call) {
                    (CHANNEL, Some(call)) => call.read_channel(now)?,
                    (UNIT, Some(call)) => call.read_unit(now)?,
                    (CONTROL, _) => self.read(now),
                    _ => {}
                }
            }
            self.control.handle_timeout(now);
            if let Some(call) = &mut self.call {
                call.handle_timeout(now);
            }
            self.pump(now)?;
        }
        Ok(())
    }

    fn now(&self) -> Instant {
        Instant::ZERO + self.start.elapsed()
    }

    fn read(&mut self, now: Instant) {
        let mut buffer = [0; 1024];
        match self.stream.read(&mut buffer) {
            Ok(0) => self.control.handle_eof(now),
            Ok(length) => self.control.handle_bytes(now, &buffer[..length]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => self.control.handle_eof(now),
        }
    }

    /// Carries out what both engines want.
    fn pump(&mut self, now: Instant) -> Result<()> {
        loop {
            if let Some(call) = &mut self.call {
                call.pump(now)?;
                if call.ended() {
                    let call_id = call.call_id();
                    self.call = None;
                    // The call may be gone already.
                    let _ = self.control.disconnect_call(now, call_id, DISCONNECT_ADMIN);
                    self.control.stop(now, STOP_NONE);
                }
            }
            match self.control.poll_output() {
                Some(Output::Message(message)) => self.stream.write_all(&message)?,
                Some(Output::Event(event)) => self.take(now, &event)?,
                Some(Output::Close) => self.closed = true,
                None => return Ok(()),
            }
        }
    }

    fn take(&mut self, now: Instant, event: &Event) -> Result<()> {
        match event {
            Event::CallRequested(request) => self.answer(now, request)?,
            Event::LinkInfo { .. } => {
                if let Some(call) = &mut self.call {
                    call.start(now);
                }
            }
            Event::CallEnded { .. } => self.call = None,
            _ => {}
        }
        Ok(())
    }

    fn answer(&mut self, now: Instant, request: &CallRequest) -> Result<()> {
        if self.call.is_some() {
            let _ = self.control.refuse_call(now, request.peer_call_id, CALL_BUSY, 0);
            return Ok(());
        }
        let [local, peer] = self.addresses;
        let call = Call::new(self.account, local, peer, request.peer_call_id, now)?;
        self.epoll.add(call.channel(), CHANNEL)?;
        self.epoll.add(call.unit(), UNIT)?;
        self.control.accept_call(request.peer_call_id, call.call_id())?;
        self.call = Some(call);
        Ok(())
    }
}
