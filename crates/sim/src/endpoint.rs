//! One end of a tunnel: control connection, link and packet path, put together as a program would.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use engine::Instant;
use engine::control::{self, CallEnd, Connection, Role};
use engine::data::{self, DataPath, DropReason, Inbound};
use engine::ppp::{self, Keys, Link, NetworkPermit};

use crate::Settings;

/// Larger than any packet of a run.
const BUFFER: usize = 4096;

/// Packets that are kept because they came before their keys.
pub(crate) const MAX_EARLY: usize = 8;

/// The result code "administrative" of Call-Disconnect-Notify.
const DISCONNECT_ADMIN: u8 = 3;

/// Something that leaves an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sent {
    /// Bytes for the TCP connection.
    Tcp(Vec<u8>),
    /// The TCP connection is closed.
    TcpClose,
    /// A GRE packet, from its flags on.
    Gre(Vec<u8>),
    /// An IP packet from the tunnel, for the network here.
    Ip(Vec<u8>),
}

/// Why an endpoint's tunnel ended; the first reason counts.
#[derive(Clone, Debug, PartialEq)]
pub enum End {
    /// The link ended.
    Link(ppp::Cause),
    /// The call ended under the link.
    Call(CallEnd),
    /// The server refused the call with this result and error code.
    Refused(u8, u8),
    /// The control connection ended.
    Connection(control::Cause),
}

/// One end of a tunnel.
#[derive(Debug)]
pub struct Endpoint {
    settings: Settings,
    connection: Connection,
    seed: [u8; 32],
    our_call_id: u16,
    call: Option<Call>,
    outbox: Vec<Sent>,
    end: Option<End>,
    is_closed: bool,
    ever_open: bool,
}

#[derive(Debug)]
struct Call {
    link: Link,
    path: DataPath,
    early: VecDeque<Vec<u8>>,
    permit: Option<NetworkPermit>,
    keys: Option<Keys>,
}

impl Endpoint {
    /// An endpoint whose TCP connection is there; a client starts at once.
    #[must_use]
    pub fn new(settings: Settings, seed: [u8; 32], our_call_id: u16, now: Instant) -> Self {
        let mut connection = Connection::new(settings.role, settings.control.clone(), now);
        if settings.role == Role::Pns {
            let placed = connection.place_call(now, our_call_id);
            debug_assert!(placed.is_ok(), "a new connection has no other call");
        }
        let mut endpoint = Self {
            settings,
            connection,
            seed,
            our_call_id,
            call: None,
            outbox: Vec::new(),
            end: None,
            is_closed: false,
            ever_open: false,
        };
        endpoint.follow(now);
        endpoint
    }

    /// Takes what left it since the last time.
    pub fn take_sent(&mut self) -> Vec<Sent> {
        core::mem::take(&mut self.outbox)
    }

    /// Bytes came over TCP.
    pub fn handle_tcp(&mut self, now: Instant, bytes: &[u8]) {
        self.connection.handle_bytes(now, bytes);
        self.follow(now);
    }

    /// The peer closed the TCP connection.
    pub fn handle_tcp_close(&mut self, now: Instant) {
        self.connection.handle_eof(now);
        self.follow(now);
    }

    /// A GRE packet came from the peer.
    pub fn handle_gre(&mut self, now: Instant, mut packet: Vec<u8>) {
        let Some(call) = &mut self.call else { return };
        let inbound = call.path.inbound(now, &mut packet);
        self.handle_inbound(now, &packet, inbound);
        self.take_ready(now);
        self.follow(now);
    }

    /// An IP packet goes into the tunnel.
    ///
    /// # Errors
    ///
    /// Why it was dropped; [`DropReason::NetworkClosed`] without a call.
    pub fn send_ip(&mut self, now: Instant, packet: &[u8]) -> Result<(), DropReason> {
        let call = self.call.as_mut().ok_or(DropReason::NetworkClosed)?;
        let mut out = [0; BUFFER];
        let len = call.path.outbound_ip(now, packet, &mut out)?;
        self.outbox.push(Sent::Gre(out[..len].to_vec()));
        Ok(())
    }

    /// Runs every timer that is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.connection.handle_timeout(now);
        if let Some(call) = &mut self.call {
            call.link.handle_timeout(now);
            let mut out = [0; BUFFER];
            if call.path.ack_deadline().is_some_and(|at| at <= now)
                && let Some(len) = call.path.ack_frame(&mut out)
            {
                self.outbox.push(Sent::Gre(out[..len].to_vec()));
            }
        }
        self.take_ready(now);
        self.follow(now);
    }

    /// When [`handle_timeout`](Self::handle_timeout) is wanted.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        let connection = self.connection.poll_timeout().map(|(at, _)| at);
        let call = self.call.iter().flat_map(|call| {
            let link = call.link.poll_timeout().map(|(at, _)| at);
            [link, call.path.ack_deadline(), call.path.held_deadline()]
        });
        call.chain([connection]).flatten().min()
    }

    /// Ends the tunnel politely: the link first, then the call, then the connection.
    pub fn hang_up(&mut self, now: Instant) {
        match &mut self.call {
            Some(call) => call.link.terminate(now, ppp::Cause::Local("hung up")),
            None => self.connection.stop(now, 1),
        }
        self.follow(now);
    }

    /// Whether IP packets pass now.
    #[must_use]
    pub fn permit(&self) -> Option<NetworkPermit> {
        self.call.as_ref()?.permit
    }

    /// The keys in use.
    #[must_use]
    pub fn keys(&self) -> Option<&Keys> {
        self.call.as_ref()?.keys.as_ref()
    }

    /// Whether IP packets have ever passed.
    #[must_use]
    pub fn was_open(&self) -> bool {
        self.ever_open
    }

    /// Why the tunnel ended.
    #[must_use]
    pub fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }

    /// Whether everything is over: nothing leaves it any more.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// The packet path's figures.
    #[must_use]
    pub fn stats(&self) -> Option<&data::Stats> {
        Some(self.call.as_ref()?.path.stats())
    }

    /// Packets kept because they came early.
    pub(crate) fn early(&self) -> usize {
        self.call.as_ref().map_or(0, |call| call.early.len())
    }

    fn handle_inbound(&mut self, now: Instant, packet: &[u8], inbound: Inbound) {
        let Some(call) = &mut self.call else { return };
        match inbound {
            Inbound::Ip(range) => self.outbox.push(Sent::Ip(packet[range].to_vec())),
            Inbound::Control(range) => call.link.handle_frame(now, &packet[range]),
            Inbound::Early(frame) if call.early.len() < MAX_EARLY => {
                call.early.push_back(packet.to_vec());
                call.link.handle_frame(now, &packet[frame]);
            }
            Inbound::ResetNeeded => call.link.request_reset(now),
            Inbound::Early(_) | Inbound::Held | Inbound::AckOnly | Inbound::Drop(_) => {}
        }
    }

    fn take_ready(&mut self, now: Instant) {
        let mut buffer = [0; BUFFER];
        while let Some(inbound) =
            self.call.as_mut().and_then(|call| call.path.take_ready(now, &mut buffer))
        {
            self.handle_inbound(now, &buffer, inbound);
        }
    }

    /// Carries out what the engines want, until they want nothing more.
    fn follow(&mut self, now: Instant) {
        loop {
            if let Some(output) = self.connection.poll_output() {
                self.follow_connection(now, output);
            } else if let Some(output) = self.call.as_mut().and_then(|call| call.link.poll_output())
            {
                self.follow_link(now, output);
            } else {
                return;
            }
        }
    }

    fn follow_connection(&mut self, now: Instant, output: control::Output) {
        assert!(!self.is_closed, "output after the end: {output:?}");
        match output {
            control::Output::Message(bytes) => self.outbox.push(Sent::Tcp(bytes)),
            control::Output::Event(event) => self.follow_connection_event(now, event),
            control::Output::Close => {
                self.is_closed = true;
                self.outbox.push(Sent::TcpClose);
            }
        }
    }

    fn follow_connection_event(&mut self, now: Instant, event: control::Event) {
        match event {
            control::Event::CallRequested(request) => {
                let accepted = self.connection.accept_call(request.peer_call_id, self.our_call_id);
                assert_eq!(accepted, Ok(()), "the call was requested a moment ago");
            }
            control::Event::CallConnected { our_call_id, peer_call_id, .. } => {
                self.call_connected(now, our_call_id, peer_call_id);
            }
            control::Event::LinkInfo { .. } => {
                if let Some(call) = &mut self.call {
                    call.link.start(now);
                }
            }
            control::Event::CallRefused { result, error, .. } => {
                self.ended(End::Refused(result, error));
                self.connection.stop(now, 1);
            }
            control::Event::CallEnded { reason, .. } => self.call_ended(now, reason),
            control::Event::Closed(cause) => self.ended(End::Connection(cause)),
            _ => {}
        }
    }

    fn call_connected(&mut self, now: Instant, our_call_id: u16, peer_call_id: u16) {
        let is_server = self.settings.role == Role::Pac;
        let mut link = Link::new(self.settings.link.clone(), self.seed, now);
        if !is_server {
            link.start(now);
        }
        let path = DataPath::new(data::Config {
            our_call_id,
            peer_call_id,
            check_source: is_server,
            clamp_mss: true,
        });
        let early = VecDeque::new();
        self.call = Some(Call { link, path, early, permit: None, keys: None });
    }

    fn call_ended(&mut self, now: Instant, reason: CallEnd) {
        if let Some(call) = &mut self.call {
            call.link.lower_layer_down();
            while let Some(output) = self.call.as_mut().and_then(|call| call.link.poll_output()) {
                match output {
                    // The call is gone: nothing can be sent on it.
                    ppp::Output::Frame(_) => {}
                    ppp::Output::Event(ppp::Event::Closed(ppp::Cause::LowerLayerDown)) => {}
                    ppp::Output::Event(event) => self.follow_link_event(now, event),
                }
            }
        }
        self.call = None;
        self.ended(End::Call(reason));
        if self.settings.role == Role::Pns {
            self.connection.stop(now, 1);
        }
    }

    fn follow_link(&mut self, now: Instant, output: ppp::Output) {
        match output {
            ppp::Output::Frame(frame) => {
                let Some(call) = &mut self.call else { return };
                let mut out = [0; BUFFER];
                if let Ok(len) = call.path.outbound_frame(now, &frame, &mut out) {
                    self.outbox.push(Sent::Gre(out[..len].to_vec()));
                }
            }
            ppp::Output::Event(event) => self.follow_link_event(now, event),
        }
    }

    fn follow_link_event(&mut self, now: Instant, event: ppp::Event) {
        let Some(call) = &mut self.call else { return };
        match event {
            ppp::Event::LinkUp(framing) => call.path.set_framing(framing),
            ppp::Event::Authenticate(request) => match request.verify(&self.settings.secret) {
                Ok(verdict) => call.link.authenticated(now, verdict, self.settings.grant),
                Err(denied) => call.link.deny(now, request.name(), denied),
            },
            ppp::Event::Keys(keys) => {
                call.path.install_keys(&keys);
                call.keys = Some(keys);
                self.reinject(now);
            }
            ppp::Event::KeysGone => {
                call.path.remove_keys();
                call.keys = None;
            }
            ppp::Event::ResetTransmit => call.path.reset_transmit(),
            ppp::Event::ResetAcked => call.path.receive_reset_acked(now),
            ppp::Event::NetworkUp(permit) => {
                call.path.open_network(permit);
                call.permit = Some(permit);
                self.ever_open = true;
                self.reinject(now);
            }
            ppp::Event::NetworkDown => {
                call.path.close_network();
                call.permit = None;
            }
            ppp::Event::Closed(cause) => {
                self.ended(End::Link(cause));
                let our_call_id = self.our_call_id;
                // The call may have ended a moment before its link.
                let _ = match self.settings.role {
                    Role::Pac => {
                        self.connection.disconnect_call(now, our_call_id, DISCONNECT_ADMIN)
                    }
                    Role::Pns => self.connection.clear_call(now, our_call_id),
                };
            }
            _ => {}
        }
    }

    /// Packets that came before the keys or the network may pass now.
    fn reinject(&mut self, now: Instant) {
        let Some(call) = &mut self.call else { return };
        for mut packet in core::mem::take(&mut call.early) {
            let Some(call) = &mut self.call else { return };
            let inbound = call.path.reinject(now, &mut packet);
            self.handle_inbound(now, &packet, inbound);
        }
    }

    fn ended(&mut self, end: End) {
        self.end.get_or_insert(end);
    }
}
