//! The connection once TCP is up: one control connection, one call, one link.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::rc::Rc;
use std::time;

use dataplane::{Bounds, Command, Dataplane, First, NewCall, Notice, TosPolicy};
use engine::Instant;
use engine::control::{self, Connection, Role};
use engine::data;
use engine::ppp::{
    Cause, ClientConfig, Event, InterfaceIds, LcpConfig, Link, LinkConfig, NetworkPermit, Output,
    Party, Side, Timers,
};
use sys::sandbox::Sandbox;
use sys::tun::Tun;
use tokio::net::TcpStream;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use wire::Escaped;
use wire::ppp::{Code, Protocol};

use super::stage::{Failure, Stage};
use super::survey::{Found, Survey};
use super::{Goal, Options};
use crate::event::{Bus, Source};
use crate::host::{Change, Host, Interface};
use crate::packet_path::{self, Choice};
use crate::timer::sleep_until;

/// Notices from the worker that may wait.
const NOTICES: usize = 1024;
/// How long saying goodbye may take.
const GOODBYE: time::Duration = time::Duration::from_secs(2);
/// Reason of our Stop-Control-Connection-Request: none (RFC 2637 §2.3).
const STOP_NONE: u8 = 1;

/// Carries the connection from TCP to its end.
pub(super) async fn run(
    options: &Options,
    bus: &Bus,
    stream: TcpStream,
    (server, local): (SocketAddrV4, Ipv4Addr),
    found: &mut Found,
    reached: &mut dyn FnMut(Stage, String),
) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::new(Stage::Control, error.to_string());
    let (notify, mut notices) = mpsc::channel(NOTICES);
    let choice = Choice::of(&options.packets, None, Some(*server.ip()));
    let workers = dataplane::Settings {
        workers: 1,
        device: None,
        io: packet_path::io_mode(options.naive_io),
        path: choice.path(),
        sandbox: &Sandbox::off(),
    };
    let dataplane = Dataplane::start(workers, move |notice| {
        notify.try_send(notice).map_err(mpsc::error::TrySendError::into_inner)
    })
    .map_err(|error| {
        Failure::new(Stage::Gre, format!("cannot open a raw GRE socket: {error}; run as root"))
    })?;
    if let Some(line) = choice.line(dataplane.gre_path()) {
        bus.server(crate::event::Event::PacketPath(line));
    }
    let host = Host::open(&options.state_dir, bus).map_err(failed)?;
    let mut signals = Signals::listen().map_err(failed)?;
    let seed = sys::random_bytes().map_err(failed)?;
    let id: [u8; 2] = sys::random_bytes().map_err(failed)?;
    let start = time::Instant::now();
    let mut control = Connection::new(Role::Pns, control::Config::windows_like(), Instant::ZERO);
    let our_call_id = u16::from_be_bytes(id).max(1);
    let placed = control.place_call(Instant::ZERO, our_call_id);
    debug_assert!(placed.is_ok());
    let mut client = Client {
        options,
        stream,
        server,
        local,
        control,
        link: None,
        dataplane,
        host: Rc::new(host),
        source: bus.connection(server),
        interface: None,
        pinned: None,
        our_call_id,
        seed,
        start,
        stage: Stage::Control,
        since: Instant::ZERO,
        refusal: None,
        leaving: None,
        outcome: None,
        survey: None,
        found,
        reached,
    };
    loop {
        client.pump();
        if let Some(outcome) = client.outcome.take() {
            return outcome;
        }
        let deadline = client
            .deadline()
            .map(|at| tokio::time::Instant::from_std(start + (at - Instant::ZERO)));
        tokio::select! {
            _ = client.stream.readable() => client.read(),
            Some(notice) = notices.recv() => client.take_notice(notice),
            () = sleep_until(deadline) => client.handle_timeout(),
            () = signals.stop() => client.leave(),
        }
    }
}

struct Client<'a> {
    options: &'a Options,
    stream: TcpStream,
    server: SocketAddrV4,
    local: Ipv4Addr,
    control: Connection,
    link: Option<Link>,
    dataplane: Dataplane,
    host: Rc<Host>,
    source: Source,
    interface: Option<Interface>,
    /// The route that keeps our own packets out of the tunnel.
    pinned: Option<Change>,
    our_call_id: u16,
    seed: [u8; 32],
    start: time::Instant,
    /// The stage that is being waited for, and since when.
    stage: Stage,
    since: Instant,
    /// What the server said when it refused us.
    refusal: Option<String>,
    /// We are on our way out, until then at most.
    leaving: Option<Instant>,
    outcome: Option<Result<(), Failure>>,
    /// LCP is open, and nothing more is wanted of the link.
    survey: Option<Survey>,
    found: &'a mut Found,
    reached: &'a mut dyn FnMut(Stage, String),
}

impl Client<'_> {
    fn now(&self) -> Instant {
        Instant::ZERO + self.start.elapsed()
    }

    fn deadline(&self) -> Option<Instant> {
        let control = self.control.poll_timeout().map(|(at, _)| at);
        let link = self.link.as_ref().and_then(Link::poll_timeout).map(|(at, _)| at);
        let survey = self.survey.as_ref().map(Survey::deadline);
        let patience = match self.leaving {
            Some(until) => Some(until),
            None if self.stage < Stage::Tunnel => Some(self.since + self.options.patience),
            None => None,
        };
        [control, link, survey, patience].into_iter().flatten().min()
    }

    fn read(&mut self) {
        let now = self.now();
        let mut buffer = [0; 1024];
        match self.stream.try_read(&mut buffer) {
            Ok(0) => self.control.handle_eof(now),
            Ok(length) => self.control.handle_bytes(now, &buffer[..length]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => self.control.handle_eof(now),
        }
    }

    fn take_notice(&mut self, notice: Notice) {
        let now = self.now();
        let Some(link) = &mut self.link else { return };
        match notice {
            Notice::Frame { frame, .. } => {
                let surveying = self.survey.is_some();
                let taken = self.survey.as_mut().is_some_and(|survey| survey.take(&frame));
                if !taken && (!surveying || is_lcp(&frame)) {
                    link.handle_frame(now, &frame);
                }
            }
            Notice::ResetNeeded { .. } => link.request_reset(now),
            Notice::First { what: First::GreReceived, .. } => {
                self.advance(Stage::Gre, String::new());
            }
            Notice::InterfaceGone { error, .. } => {
                self.fail(Stage::Interface, format!("the interface was removed: {error}"));
            }
            Notice::NotSent { error, .. } => {
                self.found.not_sent = Some(error.to_string());
                self.source.publish(crate::event::Event::HostFailed {
                    what: "send GRE packets to the server",
                    error: error.to_string(),
                });
            }
            _ => {}
        }
    }

    /// Sends what is to be tried next; leaves when there is nothing.
    fn go_on_with_survey(&mut self) {
        let now = self.now();
        let Some(survey) = &mut self.survey else { return };
        match survey.handle_timeout(now) {
            Some(frames) => {
                frames.into_iter().for_each(|frame| self.command(Command::Frame(frame)))
            }
            None => {
                survey.report(self.found);
                self.survey = None;
                self.hang_up(now);
            }
        }
    }

    /// Ends call and connection without a word of PPP.
    fn hang_up(&mut self, now: Instant) {
        self.leaving = Some(now + GOODBYE);
        self.link = None;
        self.command(Command::Remove);
        // The call may be gone already.
        let _ = self.control.clear_call(now, self.our_call_id);
        self.control.stop(now, STOP_NONE);
    }

    fn handle_timeout(&mut self) {
        let now = self.now();
        self.control.handle_timeout(now);
        if let Some(link) = &mut self.link {
            link.handle_timeout(now);
        }
        match self.leaving {
            Some(until) if now >= until => self.outcome = Some(Ok(())),
            None if self.stage < Stage::Tunnel && now >= self.since + self.options.patience => {
                let failure = Failure::silence(self.stage, SocketAddr::V4(self.server));
                self.outcome = Some(Err(failure));
            }
            _ => {}
        }
    }

    /// Says goodbye: PPP first, then the call, then the connection.
    fn leave(&mut self) {
        let now = self.now();
        self.leaving = Some(now + GOODBYE);
        match &mut self.link {
            Some(link) => link.terminate(now, Cause::Local("User request")),
            None => self.control.stop(now, STOP_NONE),
        }
    }

    fn pump(&mut self) {
        self.go_on_with_survey();
        loop {
            let now = self.now();
            if let Some(output) = self.link.as_mut().and_then(Link::poll_output) {
                match output {
                    Output::Frame(frame) if self.survey.is_some() && !is_lcp(&frame) => {}
                    Output::Frame(frame) => self.command(Command::Frame(frame)),
                    Output::Event(event) => self.take_link(now, event),
                }
            } else if let Some(output) = self.control.poll_output() {
                match output {
                    control::Output::Message(message) => self.send(&message),
                    control::Output::Event(event) => self.take_control(now, event),
                    control::Output::Close => {
                        self.outcome.get_or_insert(Ok(()));
                    }
                }
            } else {
                return;
            }
        }
    }

    /// One message is smaller than any send buffer; a server that lets ours fill up is not listening.
    fn send(&mut self, message: &[u8]) {
        match self.stream.try_write(message) {
            Ok(sent) if sent == message.len() => {}
            _ => self.fail(self.stage, "the server does not read the control connection".into()),
        }
    }

    fn take_control(&mut self, now: Instant, event: control::Event) {
        match &event {
            control::Event::Started(server) => {
                let detail = format!("\"{}\" by \"{}\"", server.host_name, server.vendor);
                self.advance(Stage::Control, detail);
            }
            control::Event::CallConnected { peer_call_id, .. } => {
                self.begin_link(now, *peer_call_id)
            }
            control::Event::CallRefused { result, error, .. } => {
                self.fail(
                    Stage::Call,
                    format!("the server refuses the call: {}", call_refusal(*result, *error)),
                );
            }
            control::Event::CallEnded { reason, .. } => {
                if let Some(link) = &mut self.link {
                    link.lower_layer_down();
                }
                self.fail(self.stage, format!("the call ended: {reason}"));
            }
            control::Event::Closed(cause) => {
                self.fail(self.stage, format!("the control connection ended: {cause}"));
            }
            _ => {}
        }
        self.source.publish(crate::event::Event::Control(event));
    }

    fn begin_link(&mut self, now: Instant, peer_call_id: u16) {
        self.advance(Stage::Call, format!("server's call id {peer_call_id}"));
        self.dataplane.add(NewCall {
            generation: 1,
            peer: *self.server.ip(),
            local: self.local,
            path: data::Config {
                our_call_id: self.our_call_id,
                peer_call_id,
                check_source: false,
                clamp_mss: true,
            },
            tos: TosPolicy::default(),
            fragments: packet_path::fragments(&self.options.packets),
            bounds: Bounds::default(),
            trace: false,
        });
        let config = LinkConfig {
            side: Side::Client(ClientConfig {
                name: self.options.user.clone(),
                password: self.options.password.clone(),
                methods: self.options.methods.clone(),
                address: Ipv4Addr::UNSPECIFIED,
            }),
            lcp: LcpConfig::default(),
            mppe: self.options.mppe,
            ipv6: Some(InterfaceIds::default()),
            network_timers: Timers::default(),
            ipv6cp_timers: Timers::default(),
        };
        let mut link = Link::new(config, self.seed, now);
        link.expect_round_trip(sys::round_trip(&self.stream));
        link.start(now);
        self.link = Some(link);
    }

    fn take_link(&mut self, now: Instant, event: Event) {
        match event {
            Event::LinkUp(framing) => {
                self.command(Command::Framing(framing));
                self.advance(Stage::Lcp, format!("server's MRU {}", framing.peer_mru));
                if let Goal::Link { sizes } = self.options.goal {
                    let largest = if sizes { framing.peer_mru } else { 0 };
                    self.survey = Some(Survey::new(now, largest));
                }
            }
            Event::Authenticated { method, .. } => {
                let detail = method.map_or("not asked for".into(), |method| method.to_string());
                self.advance(Stage::Authentication, detail);
            }
            Event::AuthenticationFailed { message, .. } => {
                self.refusal = Some(format!("the server refuses us: {}", Escaped(&message)));
            }
            Event::Keys(keys) => {
                let detail = format!("MPPE {} {}", keys.send.strength, keys.send.mode);
                self.command(Command::Keys(keys));
                self.advance(Stage::Encryption, detail);
            }
            Event::KeysGone => self.command(Command::KeysGone),
            Event::ResetTransmit => self.command(Command::ResetTransmit),
            Event::ResetAcked => self.command(Command::ReceiveResetAcked),
            Event::NetworkUp(permit) => self.network_up(permit),
            Event::NetworkDown => self.command(Command::CloseNetwork),
            Event::Negotiation {
                protocol,
                from: Party::Peer,
                code: Code::CONFIGURE_REQUEST,
                options,
                ..
            } => self.found.note_request(protocol, &options),
            Event::Closed(cause) => self.link_closed(now, &cause),
            _ => {}
        }
    }

    fn network_up(&mut self, permit: NetworkPermit) {
        let Some(ipv4) = permit.ipv4() else { return };
        if self.stage <= Stage::Addresses {
            let detail =
                format!("{} here, {} there, MTU {}", ipv4.local, ipv4.remote, permit.mtu());
            self.advance(Stage::Addresses, detail);
        }
        let mut tun = None;
        if let Some(pattern) = self.options.interface.as_deref() {
            let done = match &mut self.interface {
                Some(interface) => interface.update(&permit).map_err(|error| error.to_string()),
                None => self.open_interface(pattern, &permit).map(|new| tun = Some(new)),
            };
            if let Err(error) = done {
                return self.fail(Stage::Interface, error);
            }
        }
        self.command(Command::OpenNetwork { permit, tun });
        if self.stage == Stage::Interface {
            let name = self.interface.as_ref().map_or("none", Interface::name).to_owned();
            self.advance(Stage::Interface, name);
        }
        if self.options.goal == Goal::Tunnel {
            self.leave();
        }
    }

    fn open_interface(&mut self, pattern: &str, permit: &NetworkPermit) -> Result<Tun, String> {
        let server = *self.server.ip();
        self.pinned = self.host.pin_route(server).map_err(|error| error.to_string())?;
        let (interface, tun) =
            Interface::open_client(&self.host, pattern, permit, &self.source, server)?;
        for (network, prefix_len) in &self.options.routes {
            interface.add_route(*network, *prefix_len).map_err(|error| error.to_string())?;
        }
        self.interface = Some(interface);
        Ok(tun)
    }

    fn link_closed(&mut self, now: Instant, cause: &Cause) {
        if self.leaving.is_none() {
            let stage = match cause {
                Cause::EncryptionRefused | Cause::NoKeys => Stage::Encryption,
                Cause::AuthenticationFailed
                | Cause::AuthenticationTimeout(_)
                | Cause::ServerNotAuthentic
                | Cause::NoCommonAuthentication => Stage::Authentication,
                _ => self.stage,
            };
            let message = self.refusal.take().unwrap_or_else(|| cause.to_string());
            self.fail(stage, message);
        }
        self.interface = None;
        self.command(Command::Remove);
        // The call may be gone already.
        let _ = self.control.clear_call(now, self.our_call_id);
        self.control.stop(now, STOP_NONE);
    }

    /// A stage was reached; those before it that leave no trace of their own count as reached too.
    fn advance(&mut self, stage: Stage, detail: String) {
        if stage < self.stage {
            return;
        }
        (self.reached)(stage, detail);
        self.since = self.now();
        self.stage = match stage {
            Stage::Control => Stage::Call,
            Stage::Call => Stage::Gre,
            Stage::Gre => Stage::Lcp,
            Stage::Lcp => Stage::Authentication,
            Stage::Authentication => Stage::Encryption,
            Stage::Encryption => Stage::Addresses,
            Stage::Addresses => Stage::Interface,
            _ => Stage::Tunnel,
        };
    }

    fn fail(&mut self, stage: Stage, message: String) {
        if self.leaving.is_none() && self.outcome.is_none() {
            self.outcome = Some(Err(Failure::new(stage, message)));
        }
    }

    fn command(&self, command: Command) {
        self.dataplane.send(self.our_call_id, command);
    }
}

impl Drop for Client<'_> {
    fn drop(&mut self) {
        if let Some(change) = self.pinned.take() {
            self.host.undo(&change);
        }
    }
}

fn is_lcp(frame: &[u8]) -> bool {
    matches!(wire::ppp::split(frame), Ok((Protocol::LCP, _)))
}

/// RFC 2637 §2.8 and §2.16.
pub(crate) fn call_refusal(result: u8, error: u8) -> String {
    let text = match (result, error) {
        (2, 4) => "no resources: all its addresses or connections are in use",
        (2, _) => "general error",
        (4, _) => "busy",
        (7, _) => "not accepted",
        _ => "no reason known",
    };
    format!("{text} (result {result}, error {error})")
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
