//! The PPP session of one call: LCP, authentication, the network phase, echo and the end of it all.

mod authentication;
mod network;

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use wire::ppp::{Code, Packet, Protocol};

use super::config::{Grant, LinkConfig, Side, first_wait};
use super::control_protocol::{ControlProtocol, Finish, Step as LcpStep};
use super::echo::{Due, Echo};
use super::lcp::{DEFAULT_MRU, Lcp};
use super::network::{Addresses, Network};
use super::{Cause, Event, Framing, Output, Party};
use crate::auth::authenticator::Authenticator;
use crate::auth::peer::Peer;
use crate::auth::{Authenticated, Denied};
use crate::{Instant, Random};

/// Text of an Identification that is kept; the rest says nothing more.
const MAX_IDENTIFICATION: usize = 255;

/// The PPP session of one call, in either role, without I/O.
///
/// Feed it with [`handle_frame`](Self::handle_frame), [`handle_timeout`](Self::handle_timeout) and the commands; after each, drain
/// [`poll_output`](Self::poll_output) and read [`poll_timeout`](Self::poll_timeout) again. `now` must not run backwards.
#[derive(Debug)]
pub struct Link {
    config: Arc<LinkConfig>,
    /// How long the first transmission of a request waits for its answer.
    first_wait: Duration,
    random: Random,
    lcp: ControlProtocol<Lcp>,
    phase: Phase,
    /// Who proves what to whom; lives on into the network phase, where proofs can be asked for again.
    auth: Auth,
    network: Option<Network>,
    framing: Framing,
    echo: Echo,
    /// Why the link is ending, once that is decided.
    cause: Option<Box<Cause>>,
    heard_lcp: bool,
    /// The newest proof was wrong.
    refused: bool,
    outputs: VecDeque<Output>,
}

/// What an idle link costs: this, and the repeatable answer to its peer's proof.
const _: () = assert!(size_of::<Link>() <= 624);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing sent yet; the first Configure-Request leaves at this time at the latest.
    Waiting(Instant),
    /// LCP negotiates, or is open.
    Running,
    /// All over.
    Dead,
}

#[derive(Debug)]
enum Auth {
    None,
    Server(Authenticator),
    Client(Box<Peer>),
}

/// What a link wants to be woken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// The first Configure-Request, should the peer stay silent.
    FirstRequest,
    /// Retransmission of an LCP request.
    Lcp,
    /// Retransmission or patience of authentication.
    Authentication,
    /// Retransmission of CCP, IPCP or IPV6CP requests.
    Network,
    /// The next Echo-Request.
    Echo,
}

impl Link {
    /// A link that waits for the peer's first LCP packet, for [`start`](Self::start), or for
    /// [`first_request_delay`](super::LcpConfig::first_request_delay). `seed` must be unpredictable: Challenges come from it. Many links can
    /// share a configuration.
    pub fn new(config: impl Into<Arc<LinkConfig>>, seed: [u8; 32], now: Instant) -> Self {
        let config = config.into();
        let mut random = Random::new(seed);
        let (methods, own_methods) = match &config.side {
            Side::Server(server) => (&server.methods[..], &[][..]),
            Side::Client(client) => (&[][..], &client.methods[..]),
        };
        let lcp = Lcp::new(&config.lcp, methods, own_methods, &mut random);
        let first_wait = first_wait(Duration::ZERO);
        Self {
            lcp: ControlProtocol::new(lcp, config.lcp.timers, first_wait),
            phase: Phase::Waiting(now + config.lcp.first_request_delay),
            auth: Auth::None,
            network: None,
            framing: NOTHING_AGREED,
            echo: Echo::default(),
            cause: None,
            heard_lcp: false,
            refused: false,
            outputs: VecDeque::new(),
            config,
            first_wait,
            random,
        }
    }

    /// How long a packet and its answer take, as known before PPP begins (from TCP). Requests are then not repeated before an answer could have
    /// come: that would end calls with pppd at the far end of a slow line. For before [`start`](Self::start).
    pub fn expect_round_trip(&mut self, round_trip: Duration) {
        self.first_wait = first_wait(round_trip);
        self.lcp.set_first_wait(self.first_wait);
    }

    /// Whether the link has ended.
    pub fn is_dead(&self) -> bool {
        self.phase == Phase::Dead
    }

    /// Sends the first Configure-Request now: the peer is known to listen (Set-Link-Info came), or we are the client.
    pub fn start(&mut self, now: Instant) {
        if !matches!(self.phase, Phase::Waiting(_)) {
            return;
        }
        self.phase = Phase::Running;
        let mut steps = Vec::new();
        self.lcp.open(now, &mut steps);
        self.follow_lcp(now, steps);
    }

    /// Handles one PPP frame from the peer that is not a network packet. Unreadable frames are dropped.
    pub fn handle_frame(&mut self, now: Instant, frame: &[u8]) {
        let Ok((protocol, body)) = wire::ppp::split(frame) else { return };
        if self.is_dead() {
            return;
        }
        self.echo.note_received();
        if protocol != Protocol::LCP {
            self.echo.note_open();
        }
        match protocol {
            Protocol::LCP => self.handle_lcp(now, body),
            _ if !self.lcp.is_open() => {}
            Protocol::PAP | Protocol::CHAP => self.handle_authentication(now, protocol, body),
            Protocol::CCP | Protocol::IPCP | Protocol::IPV6CP => {
                self.handle_network(now, protocol, body);
            }
            // Network packets belong to the packet path, which keeps what comes too early and shows it here as well.
            Protocol::COMPRESSED => self.handle_encrypted(now),
            Protocol::IPV4 | Protocol::IPV6 => {}
            _ => self.reject_protocol(protocol, body),
        }
    }

    /// The peer proved who it is. Ignored unless `verdict` answers the newest [`Event::Authenticate`].
    pub fn authenticated(&mut self, now: Instant, verdict: Authenticated, grant: Grant) {
        let (Auth::Server(authenticator), Side::Server(config)) =
            (&mut self.auth, &self.config.side)
        else {
            return;
        };
        let mut steps = Vec::new();
        if !authenticator.accept(config, now, &verdict, &mut steps) {
            return;
        }
        self.refused = false;
        self.report_authenticated(&verdict);
        self.follow_authenticator(now, steps);
        self.enter_network(now, verdict, Addresses::Give(grant));
    }

    /// The peer did not prove who it is, or may not come in. Ignored unless `verdict` answers the newest
    /// [`Event::Authenticate`].
    pub fn deny(&mut self, now: Instant, name: &[u8], verdict: Denied) {
        let Auth::Server(authenticator) = &mut self.auth else { return };
        let method = authenticator.method();
        let mut steps = Vec::new();
        let refused = authenticator.refuse(now, verdict, &mut self.random, &mut steps);
        let Some((message, retry)) = refused else { return };
        self.refused = true;
        self.event(Event::AuthenticationFailed {
            method,
            name: name.to_vec(),
            reason: Some(verdict.reason),
            message,
            retry,
        });
        self.follow_authenticator(now, steps);
        if !retry {
            self.terminate(now, Cause::AuthenticationFailed);
        }
    }

    /// Stateful MPPE towards us has lost its place: asks the peer for a fresh start (CCP Reset-Request).
    pub fn request_reset(&mut self, now: Instant) {
        let mut steps = Vec::new();
        if let Some(network) = &mut self.network {
            network.request_reset(now, &mut steps);
        }
        self.follow_network(now, steps);
    }

    /// Sends an Echo-Request whose LCP packet has `len` bytes, the peer's MRU at most: its answer tells that packets of that size pass, both ways
    /// ([`Event::ProbeAnswered`]). One is waited for at a time. Gives its length; `None` while LCP is not open.
    pub fn probe(&mut self, len: u16) -> Option<u16> {
        const SHORTEST: u16 = 8;
        if self.is_dead() || !self.lcp.is_open() {
            return None;
        }
        let len = len.min(self.framing.peer_mru).max(SHORTEST);
        let id = self.lcp.take_id();
        self.echo.probed(id, len);
        let mut data = self.lcp.negotiation.magic().to_be_bytes().to_vec();
        data.resize(usize::from(len) - 4, 0);
        self.send_packet(Protocol::LCP, Code::ECHO_REQUEST, id, &data);
        Some(len)
    }

    /// Ends the link: Terminate-Request to the peer, [`Event::Closed`] once it answered or did not.
    pub fn terminate(&mut self, now: Instant, cause: Cause) {
        if self.is_dead() || self.cause.is_some() {
            return;
        }
        let text = goodbye(&cause);
        self.cause = Some(Box::new(cause));
        if matches!(self.phase, Phase::Waiting(_)) {
            return self.die(Finish::Closed);
        }
        let mut steps = Vec::new();
        self.lcp.close(now, text, &mut steps);
        self.follow_lcp(now, steps);
    }

    /// The call is gone: ends the link at once, without a word to the peer.
    pub fn lower_layer_down(&mut self) {
        if self.is_dead() {
            return;
        }
        self.leave_network();
        self.cause.get_or_insert_with(|| Box::new(Cause::LowerLayerDown));
        self.die(Finish::Closed);
    }

    /// Runs every timer that is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        if let Phase::Waiting(at) = self.phase {
            if now >= at {
                self.start(now);
            }
            return;
        }
        if self.is_dead() {
            return;
        }
        let mut steps = Vec::new();
        self.lcp.handle_timeout(now, &mut steps);
        self.follow_lcp(now, steps);
        self.run_authentication_timer(now);
        self.run_network_timer(now);
        self.run_echo_timer(now);
    }

    /// When [`handle_timeout`](Self::handle_timeout) is wanted next, and what for.
    pub fn poll_timeout(&self) -> Option<(Instant, Timer)> {
        match self.phase {
            Phase::Waiting(at) => return Some((at, Timer::FirstRequest)),
            Phase::Dead => return None,
            Phase::Running => {}
        }
        let authentication = match &self.auth {
            Auth::None => None,
            Auth::Server(authenticator) => authenticator.deadline(),
            Auth::Client(peer) => peer.deadline(),
        };
        [
            (self.lcp.deadline(), Timer::Lcp),
            (authentication, Timer::Authentication),
            (self.network.as_ref().and_then(Network::deadline), Timer::Network),
            (self.echo.deadline(), Timer::Echo),
        ]
        .into_iter()
        .filter_map(|(at, timer)| Some((at?, timer)))
        .min()
    }

    /// The next frame to send or event to report.
    pub fn poll_output(&mut self) -> Option<Output> {
        let output = self.outputs.pop_front();
        if output.is_none() {
            // An idle link keeps no room for outputs.
            self.outputs = VecDeque::new();
        }
        output
    }

    /// Replaces the Challenge that has been sent, so that a recorded Response fits.
    #[cfg(test)]
    pub(crate) fn force_challenge(&mut self, id: u8, challenge: [u8; 16]) {
        if let Auth::Server(authenticator) = &mut self.auth {
            authenticator.force_challenge(id, challenge);
        }
    }

    fn handle_lcp(&mut self, now: Instant, body: &[u8]) {
        let Ok(packet) = Packet::parse(body) else { return };
        self.heard_lcp = true;
        self.start(now);
        self.trace(Protocol::LCP, Party::Peer, &packet);
        match packet.code {
            Code::PROTOCOL_REJECT => self.handle_protocol_reject(now, packet.data),
            Code::ECHO_REQUEST => self.answer_echo(&packet),
            Code::ECHO_REPLY => self.take_echo_reply(now, &packet),
            Code::DISCARD_REQUEST | Code::TIME_REMAINING => {}
            Code::IDENTIFICATION => {
                if let Some(text) = packet.data.get(4..) {
                    let text = text[..text.len().min(MAX_IDENTIFICATION)].to_vec();
                    self.event(Event::Identification(text));
                }
            }
            _ => self.run_lcp(now, &packet),
        }
    }

    fn run_lcp(&mut self, now: Instant, packet: &Packet<'_>) {
        let opened = self.lcp.is_open();
        let ends = packet.code == Code::TERMINATE_REQUEST;
        if ends {
            // A client that was refused and leaves does so for that reason, whatever it says.
            self.cause.get_or_insert_with(|| {
                Box::new(match self.refused {
                    true => Cause::AuthenticationFailed,
                    false => Cause::PeerTerminated(packet.data.to_vec()),
                })
            });
        }
        let mut steps = Vec::new();
        self.lcp.handle_packet(now, packet, &mut self.random, &mut steps);
        self.follow_lcp(now, steps);
        if ends && !opened {
            // Nothing to take down: the peer has been answered and will not come back on this call.
            return self.die(Finish::Closed);
        }
        let lcp = &self.lcp.negotiation;
        if lcp.looped() {
            self.event(Event::Loopback);
            self.terminate(now, Cause::Looped);
        } else if lcp.authentication_rejected() {
            self.terminate(now, Cause::AuthenticationRejected);
        } else if lcp.methods_exhausted() {
            self.terminate(now, Cause::NoCommonAuthentication);
        }
    }

    fn follow_lcp(&mut self, now: Instant, steps: Vec<LcpStep>) {
        let mut opened = false;
        for step in steps {
            match step {
                LcpStep::Send(packet) => self.send(Protocol::LCP, &packet),
                LcpStep::Up => {
                    opened = true;
                    self.framing = self.lcp.negotiation.framing();
                    self.echo = Echo::start(self.config.lcp.echo, now);
                    self.event(Event::LinkUp(self.framing));
                }
                LcpStep::Down => {
                    opened = false;
                    self.leave_network();
                    self.auth = Auth::None;
                    self.echo = Echo::default();
                    self.framing = NOTHING_AGREED;
                    self.event(Event::LinkDown);
                }
                LcpStep::Finished(finish) => self.die(finish),
            }
        }
        // After the Configure-Ack that opened LCP, so that the peer is open when the first packet arrives.
        if opened && !self.is_dead() {
            self.authenticate(now);
        }
    }

    fn answer_echo(&mut self, packet: &Packet<'_>) {
        let Some((magic, rest)) = packet.data.split_first_chunk::<4>() else { return };
        let own = self.lcp.negotiation.magic();
        if own != 0 && u32::from_be_bytes(*magic) == own {
            return self.event(Event::Loopback);
        }
        if !self.lcp.is_open() {
            return;
        }
        let mut data = own.to_be_bytes().to_vec();
        data.extend_from_slice(rest);
        self.send_packet(Protocol::LCP, Code::ECHO_REPLY, packet.id, &data);
    }

    fn take_echo_reply(&mut self, now: Instant, packet: &Packet<'_>) {
        let Some(magic) = packet.data.first_chunk::<4>() else { return };
        let own = self.lcp.negotiation.magic();
        if own != 0 && u32::from_be_bytes(*magic) == own {
            return self.event(Event::Loopback);
        }
        if let Some(sent) = self.echo.probe_answered(packet.id) {
            // The header is 4 bytes; a packet is shorter than 65,536.
            let came = (packet.data.len() + 4) as u16;
            self.event(Event::ProbeAnswered { sent, came });
        }
        if let Some(time) = self.echo.answered(packet.id, now) {
            self.event(Event::EchoAnswered(time));
        }
    }

    fn run_echo_timer(&mut self, now: Instant) {
        match self.echo.handle_timeout(self.config.lcp.echo, now) {
            Due::Nothing => {}
            Due::Send(missing) => {
                if missing > 0 {
                    self.event(Event::EchoMissing(missing));
                }
                let id = self.lcp.take_id();
                self.echo.sent(id, now);
                let magic = self.lcp.negotiation.magic().to_be_bytes();
                self.send_packet(Protocol::LCP, Code::ECHO_REQUEST, id, &magic);
            }
            Due::Dead(missing) => {
                self.event(Event::EchoMissing(missing));
                self.terminate(now, Cause::EchoTimeout);
            }
        }
    }

    /// The peer does not know a protocol (RFC 1661 §5.7).
    fn handle_protocol_reject(&mut self, now: Instant, data: &[u8]) {
        let Some(number) = data.first_chunk::<2>() else { return };
        let protocol = Protocol(u16::from_be_bytes(*number));
        self.event(Event::ProtocolRejected(protocol));
        match protocol {
            Protocol::LCP => {
                let mut steps = Vec::new();
                self.lcp.protocol_rejected(now, &mut steps);
                self.follow_lcp(now, steps);
            }
            _ if !self.lcp.is_open() => {}
            Protocol::PAP | Protocol::CHAP if self.network.is_none() => {
                self.terminate(now, Cause::AuthenticationRejected);
            }
            _ => {
                let Some(network) = &mut self.network else { return };
                let mut steps = Vec::new();
                network.protocol_rejected(now, protocol, &mut steps);
                self.follow_network(now, steps);
            }
        }
    }

    fn reject_protocol(&mut self, protocol: Protocol, body: &[u8]) {
        let mut data = protocol.0.to_be_bytes().to_vec();
        let room = usize::from(self.framing.peer_mru).saturating_sub(6);
        data.extend_from_slice(&body[..body.len().min(room)]);
        let id = self.lcp.take_id();
        self.send_packet(Protocol::LCP, Code::PROTOCOL_REJECT, id, &data);
    }

    fn send_packet(&mut self, protocol: Protocol, code: Code, id: u8, data: &[u8]) {
        let mut packet = Vec::with_capacity(4 + data.len());
        Packet { code, id, data }.emit(&mut packet);
        self.send(protocol, &packet);
    }

    /// Sends a packet. LCP keeps address and control fields whatever was agreed (RFC 1661 §6.6).
    fn send(&mut self, protocol: Protocol, packet: &[u8]) {
        if let Ok(parsed) = Packet::parse(packet) {
            self.trace(protocol, Party::Us, &parsed);
        }
        let mut frame = Vec::with_capacity(packet.len() + 4);
        if protocol == Protocol::LCP || !self.framing.acfc {
            frame.extend_from_slice(&[0xff, 0x03]);
        }
        frame.extend_from_slice(&protocol.0.to_be_bytes());
        frame.extend_from_slice(packet);
        self.outputs.push_back(Output::Frame(frame));
    }

    /// Reports Configure packets of the protocols that have options.
    fn trace(&mut self, protocol: Protocol, from: Party, packet: &Packet<'_>) {
        let configures = Code::CONFIGURE_REQUEST.0..=Code::CONFIGURE_REJECT.0;
        let has_options =
            matches!(protocol, Protocol::LCP | Protocol::CCP | Protocol::IPCP | Protocol::IPV6CP);
        if has_options && configures.contains(&packet.code.0) {
            self.event(Event::Negotiation {
                protocol,
                from,
                code: packet.code,
                id: packet.id,
                options: packet.data.to_vec(),
            });
        }
    }

    fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    fn die(&mut self, finish: Finish) {
        if self.is_dead() {
            return;
        }
        self.phase = Phase::Dead;
        self.auth = Auth::None;
        let cause = self.cause.take().map(|cause| *cause).unwrap_or(match finish {
            Finish::TimedOut if !self.heard_lcp => Cause::NoAnswer,
            Finish::TimedOut | Finish::NotConverging | Finish::Rejected => {
                Cause::NotConverging(Protocol::LCP)
            }
            Finish::Closed => Cause::LowerLayerDown,
        });
        self.event(Event::Closed(cause));
    }
}

/// Framing before LCP has agreed on anything (RFC 1661 §6).
const NOTHING_AGREED: Framing =
    Framing { acfc: false, pfc: false, peer_mru: DEFAULT_MRU, our_mru: DEFAULT_MRU };

/// The text of our Terminate-Request.
fn goodbye(cause: &Cause) -> &'static str {
    match cause {
        Cause::Local(text) => text,
        Cause::NoKeys | Cause::EncryptionRefused => "MPPE required but peer negotiation failed",
        Cause::AuthenticationFailed | Cause::ServerNotAuthentic => "Authentication failed",
        Cause::EchoTimeout => "Peer not responding",
        Cause::AddressRefused(_) | Cause::LocalAddressRefused => "Could not agree on IP addresses",
        Cause::NoNetworkProtocol => "No network protocols running",
        Cause::Looped => "Loopback detected",
        Cause::NoCommonAuthentication | Cause::AuthenticationRejected => {
            "peer refused to authenticate"
        }
        Cause::AuthenticationTimeout(_) => "authentication timed out",
        Cause::NotConverging(_) | Cause::NoAnswer => "negotiation failed",
        Cause::PeerTerminated(_) | Cause::LowerLayerDown => "",
    }
}
