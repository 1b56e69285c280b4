//! One client of a load: TCP connection, control connection, link and packet path.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::time::Duration;

use engine::Instant;
use engine::auth::Method;
use engine::control::{self, Connection, Role};
use engine::data::{self, DataPath, HEADROOM, Inbound};
use engine::ppp::{Cause, ClientConfig, Event, Link, LinkConfig, Output, Side, Timers};
use sys::raw::{GreSocket, SendBatch};
use wire::Escaped;

use super::traffic::{self, Arrived, SHORTEST};
use super::{End, Options, Report, Traffic};
use crate::connect::{Failure, Stage, call_refusal};

/// The longest goodbye.
const GOODBYE: Duration = Duration::from_secs(10);
/// Reason of our Stop-Control-Connection-Request: none (RFC 2637 §2.3).
const STOP_NONE: u8 = 1;
/// Pings of sessions that came up together are spread over so many parts of the interval.
const SPREAD: u32 = 64;
/// Bytes read from TCP at once: any control message fits.
const READ_BUFFER: usize = 512;

/// What all callers share.
pub(super) struct Io<'a> {
    pub(super) options: &'a Options,
    pub(super) server: SocketAddrV4,
    pub(super) now: Instant,
    pub(super) socket: GreSocket,
    pub(super) outgoing: SendBatch,
    pub(super) report: Report,
    pub(super) first_begun: Option<Instant>,
    pub(super) first_goodbye: Option<Instant>,
}

impl Io<'_> {
    /// Sends what waits.
    pub(super) fn flush(&mut self) {
        let not_sent = &mut self.report.not_sent;
        self.outgoing.flush(&self.socket, |_| *not_sent += 1);
    }
}

/// Who logs in, and for the how many-th time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Login {
    /// Which session of the load, from 0.
    pub(super) number: u32,
    /// Times it was tried before.
    pub(super) tries: u32,
}

/// How far a caller is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Rising,
    Up,
    Leaving,
    Over,
}

/// One client.
pub(super) struct Caller {
    call: u16,
    pub(super) login: Login,
    /// Our address outside.
    source: Ipv4Addr,
    pub(super) stream: TcpStream,
    connecting: bool,
    control: Connection,
    link: Option<Box<Link>>,
    path: Option<Box<DataPath>>,
    /// Ours and the server's address inside, and the longest packet.
    inside: Option<(Ipv4Addr, Ipv4Addr, u16)>,
    state: State,
    /// What is being waited for.
    stage: Stage,
    begun: Instant,
    /// When patience, the hold or the goodbye ends.
    until: Option<Instant>,
    next_ping: Option<Instant>,
    pings: u16,
    refusal: Option<String>,
    /// The deadline that is set in the driver's timers.
    pub(super) armed: Option<Instant>,
    /// It did not come up, and may be tried again.
    pub(super) has_failed: bool,
}

impl Caller {
    /// A caller whose TCP connection has been begun.
    pub(super) fn new(io: &mut Io<'_>, call: u16, login: Login, stream: TcpStream) -> Self {
        io.report.begun += 1;
        io.report.rising += 1;
        io.first_begun.get_or_insert(io.now);
        Self {
            call,
            login,
            source: Ipv4Addr::UNSPECIFIED,
            stream,
            connecting: true,
            control: Connection::new(Role::Pns, io.options.flavour.control(), io.now),
            link: None,
            path: None,
            inside: None,
            state: State::Rising,
            stage: Stage::Tcp,
            begun: io.now,
            until: Some(io.now + io.options.patience),
            next_ping: None,
            pings: 0,
            refusal: None,
            armed: None,
            has_failed: false,
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.state == State::Over
    }

    pub(super) fn is_up(&self) -> bool {
        self.state == State::Up
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let control = match self.connecting {
            true => None,
            false => self.control.poll_timeout().map(|(at, _)| at),
        };
        let link = self.link.as_ref().and_then(|link| link.poll_timeout()).map(|(at, _)| at);
        let path = self.path.as_ref();
        let (ack, held) =
            (path.and_then(|path| path.ack_deadline()), path.and_then(|path| path.held_deadline()));
        [control, link, ack, held, self.until, self.next_ping].into_iter().flatten().min()
    }

    /// TCP is there, or has something, or has failed. `true`: it is there now.
    pub(super) fn handle_ready(&mut self, io: &mut Io<'_>) -> bool {
        if std::mem::take(&mut self.connecting) {
            return self.connected(io);
        }
        let mut buffer = [0; READ_BUFFER];
        match io::Read::read(&mut self.stream, &mut buffer) {
            Ok(0) => self.control.handle_eof(io.now),
            Ok(length) => self.control.handle_bytes(io.now, &buffer[..length]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => self.control.handle_eof(io.now),
        }
        self.pump(io);
        false
    }

    fn connected(&mut self, io: &mut Io<'_>) -> bool {
        let error = self.stream.take_error().unwrap_or_else(Some);
        if let Some(error) = error {
            self.fail(io, error.to_string());
            return false;
        }
        if let Ok(SocketAddr::V4(local)) = self.stream.local_addr() {
            self.source = *local.ip();
        }
        self.reached(io, Stage::Control);
        // A new connection has no other call.
        let _ = self.control.place_call(io.now, self.call);
        self.pump(io);
        true
    }

    /// A GRE packet of this call came from the server.
    pub(super) fn handle_gre(&mut self, io: &mut Io<'_>, packet: &mut [u8]) {
        let Some(path) = &mut self.path else { return };
        if self.stage == Stage::Gre {
            self.stage = Stage::Lcp;
        }
        let inbound = path.inbound(io.now, packet);
        self.take_inbound(io, packet, inbound);
        self.pump(io);
    }

    pub(super) fn handle_timeout(&mut self, io: &mut Io<'_>) {
        if !self.connecting {
            self.control.handle_timeout(io.now);
        }
        if let Some(link) = &mut self.link {
            link.handle_timeout(io.now);
        }
        self.acknowledge(io);
        self.take_ready(io);
        if self.next_ping.is_some_and(|at| at <= io.now) {
            self.ping(io);
        }
        if self.until.is_some_and(|until| until <= io.now) {
            self.until = None;
            match self.state {
                State::Rising => {
                    let silence = Failure::silence(self.stage, SocketAddr::V4(io.server));
                    self.fail(io, silence.message);
                }
                State::Up => self.leave(io),
                State::Leaving | State::Over => self.become_over(io),
            }
        }
        self.pump(io);
    }

    /// Ends the session: PPP first, then the call, then the connection. One that is not up is dropped.
    pub(super) fn leave(&mut self, io: &mut Io<'_>) {
        if self.state == State::Leaving {
            return;
        }
        io.first_goodbye.get_or_insert(io.now);
        let Some(link) = self
            .link
            .as_mut()
            .filter(|_| self.state == State::Up && io.options.end == End::Goodbye)
        else {
            return self.become_over(io);
        };
        link.terminate(io.now, Cause::Local("User request"));
        self.turn(io, State::Leaving);
        self.until = Some(io.now + GOODBYE);
        self.next_ping = None;
        self.pump(io);
    }

    /// Ends it without a word.
    pub(super) fn become_over(&mut self, io: &mut Io<'_>) {
        if matches!(self.state, State::Up | State::Leaving) {
            io.report.left += 1;
            let first = io.first_goodbye.unwrap_or(io.now);
            io.report.tear_down_took = io.now - first;
        }
        self.turn(io, State::Over);
    }

    fn turn(&mut self, io: &mut Io<'_>, state: State) {
        let report = &mut io.report;
        let mut count = |state, change: i64| {
            let counter = match state {
                State::Rising => &mut report.rising,
                State::Up => &mut report.live,
                State::Leaving => &mut report.leaving,
                State::Over => return,
            };
            *counter = counter.saturating_add_signed(change);
        };
        count(self.state, -1);
        count(state, 1);
        report.most = report.most.max(report.live);
        self.state = state;
    }

    fn fail(&mut self, io: &mut Io<'_>, message: String) {
        match self.state {
            State::Rising => {
                io.report.failed += 1;
                self.has_failed = true;
                io.report.trouble(Failure::new(self.stage, message));
            }
            State::Up => {
                io.report.lost += 1;
                io.report.trouble(Failure::new(Stage::Tunnel, message));
            }
            State::Leaving => return self.become_over(io),
            State::Over => return,
        }
        self.turn(io, State::Over);
    }

    /// Everything before `stage` is done.
    fn reached(&mut self, io: &Io<'_>, stage: Stage) {
        if stage > self.stage {
            self.stage = stage;
            self.until = Some(io.now + io.options.patience);
        }
    }

    fn pump(&mut self, io: &mut Io<'_>) {
        while self.state != State::Over {
            if let Some(output) = self.link.as_mut().and_then(|link| link.poll_output()) {
                match output {
                    Output::Frame(frame) => self.send_frame(io, &frame),
                    Output::Event(event) => self.take_link(io, event),
                }
            } else if let Some(output) = self.control.poll_output() {
                match output {
                    control::Output::Message(message) => self.send_message(io, &message),
                    control::Output::Event(event) => self.take_control(io, event),
                    control::Output::Close => self.fail(io, "the connection is over".into()),
                }
            } else {
                return;
            }
        }
    }

    /// One message is smaller than any send buffer; a server that lets ours fill up is not listening.
    fn send_message(&mut self, io: &mut Io<'_>, message: &[u8]) {
        match io::Write::write(&mut self.stream, message) {
            Ok(sent) if sent == message.len() => {}
            _ => self.fail(io, "the server does not read the control connection".into()),
        }
    }

    fn take_control(&mut self, io: &mut Io<'_>, event: control::Event) {
        match event {
            control::Event::Started(_) => self.reached(io, Stage::Call),
            control::Event::CallConnected { peer_call_id, .. } => self.begin_link(io, peer_call_id),
            control::Event::CallRefused { result, error, .. } => {
                let text = call_refusal(result, error);
                self.fail(io, format!("the server refuses the call: {text}"));
            }
            control::Event::CallEnded { .. } if self.state == State::Leaving => {
                self.control.stop(io.now, STOP_NONE);
            }
            control::Event::CallEnded { reason, .. } => {
                self.fail(io, format!("the call ended: {reason}"));
            }
            control::Event::Closed(cause) => {
                self.fail(io, format!("the control connection ended: {cause}"));
            }
            _ => {}
        }
    }

    fn begin_link(&mut self, io: &mut Io<'_>, peer_call_id: u16) {
        self.reached(io, Stage::Gre);
        self.path = Some(Box::new(DataPath::new(data::Config {
            our_call_id: self.call,
            peer_call_id,
            check_source: false,
            clamp_mss: false,
        })));
        let options = io.options;
        let (user, password) = &options.users[self.login.number as usize % options.users.len()];
        let mut lcp = options.flavour.lcp();
        lcp.echo = lcp.echo.and_then(|echo| {
            options.echo.map(|interval| engine::ppp::EchoConfig { interval, ..echo })
        });
        let config = LinkConfig {
            side: Side::Client(ClientConfig {
                name: user.clone(),
                password: password.clone(),
                methods: vec![Method::MsChapV2],
                address: Ipv4Addr::UNSPECIFIED,
            }),
            lcp,
            mppe: options.mppe,
            ipv6: options.flavour.ipv6(),
            network_timers: Timers::default(),
            ipv6cp_timers: Timers::default(),
        };
        match sys::random_bytes() {
            Ok(seed) => {
                let mut link = Box::new(Link::new(config, seed, io.now));
                link.expect_round_trip(sys::round_trip(&self.stream));
                link.start(io.now);
                self.link = Some(link);
            }
            Err(error) => self.fail(io, error.to_string()),
        }
    }

    fn take_link(&mut self, io: &mut Io<'_>, event: Event) {
        let Some(path) = &mut self.path else { return };
        match event {
            Event::LinkUp(framing) => {
                path.set_framing(framing);
                self.reached(io, Stage::Authentication);
            }
            Event::Authenticated { .. } => self.reached(io, Stage::Encryption),
            Event::AuthenticationFailed { message, .. } => {
                self.refusal = Some(format!("the server refuses us: {}", Escaped(&message)));
            }
            Event::Keys(keys) => {
                path.install_keys(&keys);
                self.reached(io, Stage::Addresses);
            }
            Event::KeysGone => path.remove_keys(),
            Event::ResetTransmit => path.reset_transmit(),
            Event::ResetAcked => path.receive_reset_acked(io.now),
            Event::NetworkUp(permit) => {
                path.open_network(permit);
                if let Some(ipv4) = permit.ipv4() {
                    self.inside = Some((ipv4.local, ipv4.remote, permit.mtu()));
                    self.up(io);
                }
            }
            Event::NetworkDown => path.close_network(),
            Event::EchoAnswered(time) => io.report.echo.add(time),
            Event::EchoMissing(_) => io.report.echo_missing += 1,
            Event::Closed(cause) => self.link_closed(io, &cause),
            _ => {}
        }
    }

    fn up(&mut self, io: &mut Io<'_>) {
        if self.state != State::Rising {
            return;
        }
        self.turn(io, State::Up);
        self.stage = Stage::Tunnel;
        io.report.came_up += 1;
        io.report.set_up.add(io.now - self.begun);
        io.report.set_up_took = io.now - io.first_begun.unwrap_or(self.begun);
        let options = io.options;
        self.until = options.is_each_for_itself().then(|| io.now + options.hold);
        if !options.begins_together() {
            self.begin_traffic(io);
        }
    }

    /// Begins what goes through the tunnel, if the session is up.
    pub(super) fn begin_traffic(&mut self, io: &Io<'_>) {
        if self.is_up() {
            self.next_ping = self
                .ping_interval(io)
                .map(|interval| io.now + interval / SPREAD * (u32::from(self.call) % SPREAD));
        }
    }

    fn link_closed(&mut self, io: &mut Io<'_>, cause: &Cause) {
        if self.state == State::Leaving {
            self.path = None;
            // The call may be gone already.
            let _ = self.control.clear_call(io.now, self.call);
            return;
        }
        let refusal = self.refusal.take();
        self.fail(io, refusal.unwrap_or_else(|| format!("PPP ended: {cause}")));
    }

    fn ping_interval(&self, io: &Io<'_>) -> Option<Duration> {
        match io.options.traffic {
            Traffic::None => None,
            Traffic::Ping(interval) => Some(interval),
            Traffic::Bulk(bits) => {
                let (_, _, mtu) = self.inside?;
                let bits_each = f64::from(mtu) * 8.0 * f64::from(io.options.sessions);
                Some(Duration::from_secs_f64((bits_each / bits.max(1) as f64).min(3600.0)))
            }
        }
    }

    fn ping(&mut self, io: &mut Io<'_>) {
        let Some(interval) = self.ping_interval(io) else { return };
        // Whoever is late does not catch up: that would be a burst.
        let next = self.next_ping.map_or(io.now, |at| at + interval);
        self.next_ping = Some(if next < io.now { io.now + interval } else { next });
        let Some((ours, servers, mtu)) = self.inside else { return };
        let len = match io.options.traffic {
            Traffic::Bulk(_) => usize::from(mtu),
            Traffic::None | Traffic::Ping(_) => SHORTEST,
        };
        self.pings = self.pings.wrapping_add(1);
        let (call, seq, sent) = (self.call, self.pings, io.now.as_nanos());
        let write = |packet: &mut [u8]| traffic::request(packet, ours, servers, call, seq, sent);
        if self.send_packet(io, len, write) {
            io.report.pings += 1;
        }
    }

    /// Writes an IP packet of `len` bytes and sends it.
    fn send_packet(&mut self, io: &mut Io<'_>, len: usize, write: impl FnOnce(&mut [u8])) -> bool {
        let Some(path) = &mut self.path else { return false };
        let room = io.outgoing.room();
        let packet = HEADROOM..HEADROOM + len;
        let Some(bytes) = room.get_mut(packet.clone()) else { return false };
        write(bytes);
        let Ok(packet) = path.outbound_ip_in_place(io.now, room, packet) else { return false };
        io.report.sent_bytes += len as u64;
        self.push(io, packet);
        true
    }

    fn send_frame(&mut self, io: &mut Io<'_>, frame: &[u8]) {
        let Some(path) = &mut self.path else { return };
        if let Ok(len) = path.outbound_frame(io.now, frame, io.outgoing.room()) {
            self.push(io, 0..len);
        }
    }

    fn acknowledge(&mut self, io: &mut Io<'_>) {
        let Some(path) = &mut self.path else { return };
        if path.ack_deadline().is_some_and(|at| at <= io.now)
            && let Some(len) = path.ack_frame(io.outgoing.room())
        {
            self.push(io, 0..len);
        }
    }

    fn push(&self, io: &mut Io<'_>, packet: std::ops::Range<usize>) {
        io.outgoing.push(packet, *io.server.ip(), self.source, self.call);
        if io.outgoing.is_full() {
            io.flush();
        }
    }

    fn take_inbound(&mut self, io: &mut Io<'_>, packet: &mut [u8], inbound: Inbound) {
        let Some(link) = &mut self.link else { return };
        match inbound {
            Inbound::Ip(range) => self.take_packet(io, &mut packet[range]),
            Inbound::Control(range) | Inbound::Early(range) => {
                link.handle_frame(io.now, &packet[range]);
            }
            Inbound::ResetNeeded => link.request_reset(io.now),
            Inbound::Held | Inbound::AckOnly | Inbound::Drop(_) => {}
        }
        self.take_ready(io);
    }

    fn take_ready(&mut self, io: &mut Io<'_>) {
        if !self.path.as_ref().is_some_and(|path| path.has_held()) {
            return;
        }
        let mut buffer = [0; super::driver::PACKET_LEN];
        while let Some(inbound) =
            self.path.as_mut().and_then(|path| path.take_ready(io.now, &mut buffer))
        {
            if let Inbound::Ip(range) = inbound {
                self.take_packet(io, &mut buffer[range]);
            }
        }
    }

    fn take_packet(&mut self, io: &mut Io<'_>, packet: &mut [u8]) {
        io.report.received_bytes += packet.len() as u64;
        let Some((ours, _, _)) = self.inside else { return };
        match traffic::look(packet, ours, self.call) {
            Arrived::Answer { sent } => io.report.ping.add(io.now - Instant::from_nanos(sent)),
            Arrived::Request => {
                traffic::answer(packet);
                self.send_packet(io, packet.len(), |room| room.copy_from_slice(packet));
            }
            Arrived::Other => {}
        }
    }
}
