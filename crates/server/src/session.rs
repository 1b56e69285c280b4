//! One call's session: its PPP link, what it holds of the pool and of the host, and its end.

mod authentication;
mod looking;

use std::net::Ipv4Addr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use dataplane::{Command, Counters, Notice};
use engine::Instant;
use engine::data::DropReason;
use engine::ppp::{Cause, Event as LinkEvent, Grant, Link, NetworkPermit, Output, Party};
use sys::tun::Tun;

use crate::event::{Ended, Event, Source, Summary, link_local};
use crate::host::Interface;
use crate::inform;
use crate::leases::{AddressInUse, Lease};
use crate::mailbox::Mail;
use crate::relay::Client;
use crate::scripts::{Identity, SessionScripts, Traffic};
use crate::settings::Settings;
use crate::shared::Shared;
use crate::verdict::SENDING;
pub(crate) use authentication::PamAnswer;
use authentication::{Asking, Delayed, PamSession};
use looking::Looking;

/// A session. What most sessions have none of, or for a moment only, is in boxes: ten thousand are mostly idle.
pub(crate) struct Session {
    shared: Rc<Shared>,
    settings: Rc<Settings>,
    source: Source,
    number: u64,
    our_call_id: u16,
    peer_call_id: u16,
    /// The address that the client called.
    outside: Ipv4Addr,
    link: Link,
    lease: Lease,
    address: Option<AddressInUse>,
    user: Option<Rc<[u8]>>,
    /// A login that waits for its judgement, as earlier ones failed.
    delayed: Option<Box<Delayed>>,
    /// A login that PAM is asked about.
    asking: Option<Box<Asking>>,
    /// The user's session with PAM.
    pam: Option<PamSession>,
    interface: Option<Interface>,
    /// What broadcasts know the client by.
    relayed: Option<Client>,
    /// The interface's packets, until the worker carries them.
    tun: Option<Box<Tun>>,
    /// `ip-pre-up` runs: IPv4 waits for its end.
    preparing: bool,
    /// An interface has been made for it, or the shared one is its.
    has_interface: bool,
    /// Where this host has any.
    scripts: Option<Box<SessionScripts>>,
    counters: Arc<Counters>,
    started: Instant,
    connected: Option<Instant>,
    /// What the network layer was allowed when it was last reported.
    permit: Option<NetworkPermit>,
    /// Steps have been added to the trail that may be folded once no more come.
    trail_grows: bool,
    looking: Looking,
    /// When to look whether the session has been idle, or has lasted long enough.
    check: Option<Instant>,
    ended: Option<Box<Cause>>,
}

/// What an idle one costs here, but for its trail and what its events have shown.
const _: () = assert!(size_of::<Session>() <= 1072);

/// The accepted call that a session belongs to.
pub(crate) struct Call {
    pub(crate) our_call_id: u16,
    pub(crate) peer_call_id: u16,
    /// The address that the client called.
    pub(crate) local: Ipv4Addr,
    pub(crate) counters: Arc<Counters>,
    /// Unpredictable.
    pub(crate) seed: [u8; 32],
    /// The control connection's round-trip time.
    pub(crate) round_trip: Duration,
}

impl Session {
    /// A session for a call that has just been accepted.
    pub(crate) fn new(
        shared: Rc<Shared>,
        source: Source,
        call: Call,
        lease: Lease,
        now: Instant,
    ) -> Self {
        let settings = shared.settings();
        let slot = lease.slot();
        let number = source.session().unwrap_or_default();
        let grant = grant(&settings, slot.local, slot.remote);
        let config = match settings.methods.is_empty() {
            true => settings.link(Some(grant)).into(),
            false => shared.link_config(),
        };
        let mut link = Link::new(config, call.seed, now);
        link.expect_round_trip(call.round_trip);
        Self {
            shared,
            settings,
            source,
            number,
            our_call_id: call.our_call_id,
            peer_call_id: call.peer_call_id,
            outside: call.local,
            link,
            lease,
            address: None,
            user: None,
            delayed: None,
            asking: None,
            pam: None,
            interface: None,
            relayed: None,
            tun: None,
            preparing: false,
            has_interface: false,
            scripts: None,
            counters: call.counters,
            started: now,
            connected: None,
            permit: None,
            trail_grows: false,
            looking: Looking::new(now),
            check: None,
            ended: None,
        }
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Why PPP ended, once it has.
    pub(crate) fn ended(&self) -> Option<&Cause> {
        self.ended.as_deref()
    }

    /// Whether the peer has been let in.
    pub(crate) fn is_authenticated(&self) -> bool {
        self.address.is_some()
    }

    /// Whether network packets have been allowed.
    pub(crate) fn is_connected(&self) -> bool {
        self.connected.is_some()
    }

    /// The client's PPP listens now.
    pub(crate) fn link_info(&mut self, now: Instant) {
        self.link.start(now);
        self.pump(now);
    }

    pub(crate) fn handle_notice(&mut self, now: Instant, notice: Notice) {
        match notice {
            Notice::Frame { frame, .. } => {
                if self.settings.debug {
                    self.source.publish(Event::Frame { from: Party::Peer, frame: frame.clone() });
                }
                self.link.handle_frame(now, &frame);
            }
            Notice::ResetNeeded { .. } => {
                self.source.publish(Event::ResetRequested { by: Party::Us });
                self.link.request_reset(now);
            }
            Notice::Packet { seq, expected, dropped, suppressed, .. } => {
                self.source.publish(Event::GrePacket {
                    seq,
                    expected,
                    dropped,
                    untold: suppressed,
                });
            }
            Notice::First { what, .. } => self.source.publish(Event::First(what)),
            Notice::WrongPeer { call, from, .. } => {
                self.source.publish(Event::WrongPeer { from, call_id: call });
            }
            Notice::NotSent { error, .. } => {
                self.host_failed(SENDING, error.to_string());
            }
            Notice::InterfaceGone { error, .. } => {
                self.host_failed("use the session's interface", error.to_string());
                self.terminate(now, Cause::Local("the server's interface was removed"));
            }
            Notice::DhcpRequest { packet, .. } => self.tell_routes(&packet),
            Notice::Traffic { traffic, .. } => self.take_traffic(now, &traffic),
            Notice::UnknownCall { from, call_id, .. } => {
                self.source.publish(Event::UnknownCall { from, call_id });
            }
            Notice::WorkerFailed { .. } | Notice::Removed { .. } => {}
        }
        self.pump(now);
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        let link = self.link.poll_timeout().map(|(at, _)| at);
        let delayed = self.delayed.as_ref().map(|delayed| delayed.until);
        [link, self.check, delayed, self.looking.deadline()].into_iter().flatten().min()
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        self.link.handle_timeout(now);
        if let Some(delayed) = self.delayed.take_if(|delayed| now >= delayed.until) {
            self.authenticate_delayed(now, delayed.request);
        }
        self.look(now);
        if self.check.is_some_and(|check| now >= check) {
            self.check_limits(now);
        }
        self.pump(now);
    }

    /// Ends PPP with a word to the peer.
    pub(crate) fn terminate(&mut self, now: Instant, cause: Cause) {
        self.link.terminate(now, cause);
        self.pump(now);
    }

    /// Another session of the same user takes the address.
    pub(crate) fn replaced(&mut self, now: Instant, by: Ipv4Addr) {
        let moved = by != *self.source.peer().ip();
        self.source.publish(Event::Replaced { by, moved });
        self.close_interface();
        self.terminate(now, Cause::Local("logged in again"));
    }

    /// Another caller takes the slot, as this one has not logged in.
    pub(crate) fn displaced(&mut self, now: Instant) {
        self.source.publish(Event::Displaced);
        self.terminate(now, Cause::Local("too many callers"));
    }

    /// An administrator ends the session.
    pub(crate) fn kicked(&mut self, now: Instant, reason: String) {
        self.source.publish(Event::Kicked { reason });
        self.terminate(now, Cause::Local("Ended by an administrator"));
    }

    /// Releases everything and reports the end. `call` is how the call ended, when it did before PPP.
    pub(crate) fn finish(mut self, now: Instant, call: Option<engine::control::CallEnd>) {
        if let Some(call) = call {
            self.link.lower_layer_down();
            self.pump(now);
            self.ended.take_if(|cause| **cause == Cause::LowerLayerDown);
            self.report(now, Ended::Call(call));
        } else {
            self.report(now, Ended::Link(Cause::LowerLayerDown));
        }
        self.close_interface();
        if let Some(tun) = self.tun.take() {
            // No worker has it, and closing it takes the kernel its time.
            tokio::task::spawn_blocking(move || drop(tun));
        }
        self.end_scripts(now);
        self.shared.dataplane.send(self.our_call_id, Command::Remove);
    }

    fn close_interface(&mut self) {
        self.interface = None;
        if let Some(client) = self.relayed.take() {
            self.shared.clients.remove(client, self.our_call_id);
        }
    }

    /// The scripts of the end, which run on their own.
    fn end_scripts(&mut self, now: Instant) {
        let Some(scripts) = self.scripts.take() else { return };
        let figures = self.counters.snapshot();
        scripts.end(Traffic {
            connected: self.connected.map_or(Duration::ZERO, |connected| now - connected),
            sent: figures.sent_bytes,
            received: figures.received_bytes,
        });
    }

    fn report(&mut self, now: Instant, otherwise: Ended) {
        let cause = self.ended.take().map_or(otherwise, |cause| Ended::Link(*cause));
        self.source.session_ended(self.summary(now, cause));
    }

    fn summary(&self, now: Instant, cause: Ended) -> Summary {
        let figures = self.counters.snapshot();
        Summary {
            user: self.user.as_deref().map(<[u8]>::to_vec),
            address: self.address.as_ref().map(AddressInUse::address),
            duration: now - self.started,
            connected: self.connected.map(|connected| now - connected),
            sent: figures.sent_bytes,
            sent_packets: figures.sent_packets,
            received: figures.received_bytes,
            received_packets: figures.received_packets,
            received_unicast: figures.received_unicast,
            gre_received: figures.gre_received,
            gre_sent: figures.gre_sent,
            gre_lost: figures.gre_lost,
            gre_reordered: figures.gre_reordered,
            round_trip: (figures.round_trip_micros > 0)
                .then(|| Duration::from_micros(figures.round_trip_micros)),
            drops: DropReason::ALL
                .into_iter()
                .map(|reason| (reason.as_str(), figures.dropped(reason)))
                .filter(|(_, count)| *count > 0)
                .collect(),
            cause,
        }
    }

    /// Carries out what the link wants, in its order.
    fn pump(&mut self, now: Instant) {
        while let Some(output) = self.link.poll_output() {
            match output {
                Output::Frame(frame) => {
                    if self.settings.debug {
                        self.source.publish(Event::Frame { from: Party::Us, frame: frame.clone() });
                    }
                    self.command(Command::Frame(frame));
                }
                Output::Event(event) => self.take(now, event),
            }
        }
        if std::mem::take(&mut self.trail_grows) {
            self.source.settle();
        }
    }

    fn take(&mut self, now: Instant, event: LinkEvent) {
        match event {
            LinkEvent::Negotiation { protocol, from, code, id, options } => {
                self.source.publish(Event::Negotiation { protocol, from, code, id, options });
            }
            LinkEvent::Identification(text) => self.source.publish(Event::Identification(text)),
            LinkEvent::LinkUp(framing) => {
                self.command(Command::Framing(framing));
                self.source.publish(Event::LinkUp(framing));
            }
            LinkEvent::ProtocolRejected(protocol) => {
                self.source.publish(Event::ProtocolRejected { protocol });
            }
            LinkEvent::LinkDown => self.source.publish(Event::LinkDown),
            LinkEvent::Challenged(method) => self.source.publish(Event::Challenged(method)),
            LinkEvent::Authenticate(request) => {
                let (method, name) = (request.method(), request.name().to_vec());
                self.source.publish(Event::LoginTried { method, name });
                self.authenticate(now, request);
            }
            LinkEvent::Authenticated { method, name } => {
                if method.is_none() {
                    if !self.lease.confirm() {
                        return self.displaced(now);
                    }
                    self.use_address(self.lease.slot().remote, &name);
                }
                self.source.publish(Event::Authenticated { method, name });
                self.make_interface(now);
            }
            LinkEvent::AuthenticationFailed { method, name, reason, retry, .. } => {
                self.source.publish(Event::AuthenticationFailed { method, name, reason, retry });
            }
            LinkEvent::Keys(keys) => {
                let (strength, mode) = (keys.send.strength, keys.send.mode);
                self.command(Command::Keys(keys));
                self.source.publish(Event::Encrypted { strength, mode });
            }
            LinkEvent::KeysGone => {
                self.command(Command::KeysGone);
                self.source.publish(Event::NotEncrypted);
            }
            LinkEvent::ResetTransmit => {
                self.source.publish(Event::ResetRequested { by: Party::Peer });
                self.command(Command::ResetTransmit);
            }
            LinkEvent::ResetAcked => {
                self.source.publish(Event::ResetAcked);
                self.command(Command::ReceiveResetAcked);
            }
            LinkEvent::NetworkUp(permit) => self.network_up(now, permit),
            LinkEvent::NetworkDown => {
                self.permit = None;
                self.command(Command::CloseNetwork);
                self.source.publish(Event::NetworkDown);
            }
            LinkEvent::EchoAnswered(time) => self.source.publish(Event::EchoAnswered(time)),
            LinkEvent::ProbeAnswered { sent, came } => self.probe_answered(now, sent, came),
            LinkEvent::EchoMissing(count) => self.source.publish(Event::EchoMissing(count)),
            LinkEvent::Loopback => self.source.publish(Event::Loopback),
            LinkEvent::Closed(cause) => {
                self.source.publish(Event::LinkClosed(cause.clone()));
                self.ended = Some(Box::new(cause));
            }
        }
    }

    fn network_up(&mut self, now: Instant, permit: NetworkPermit) {
        self.connected.get_or_insert(now);
        self.report_network(now, permit);
        // Without an interface the session is about to end.
        let Some(interface) = &mut self.interface else { return };
        if let Err(error) = interface.update(&permit) {
            return self.no_interface(now, error.to_string());
        }
        if self.preparing {
            return;
        }
        if let Some(ipv4) = permit.ipv4()
            && let Some(scripts) = &mut self.scripts
        {
            let (shared, session) = (self.shared.clone(), self.number);
            let then = move || {
                shared.post_to_session(session, Mail::MayRise { session });
            };
            if scripts.before_ipv4(ipv4.local, ipv4.remote, then) {
                self.preparing = true;
                return;
            }
        }
        self.open_network(now, permit);
    }

    /// Makes the interface, still down, and begins the session's scripts: `auth-up` wants its name.
    fn make_interface(&mut self, now: Instant) {
        if std::mem::replace(&mut self.has_interface, true) {
            return;
        }
        let settings = &self.settings;
        let preferred = settings.preferred_interface.as_deref();
        let (host, pattern) = (&self.shared.host, settings.interface.as_str());
        let address = self.address.as_ref().map(AddressInUse::address);
        let made = match &self.shared.interface {
            Some(shared) => Ok((Interface::join(shared, settings.proxy_arp, &self.source), None)),
            None => Interface::create(host, preferred, pattern, settings.proxy_arp, &self.source)
                .map(|(interface, tun)| (interface, Some(tun))),
        };
        let (mut interface, tun) = match made {
            Ok(made) => made,
            Err(error) => return self.no_interface(now, error.to_string()),
        };
        let client = match &tun {
            Some(tun) => Some(Client::Interface(tun.index())),
            None => address.map(Client::Address),
        };
        if let Some(client) = client {
            self.shared.clients.add(client, self.our_call_id);
        }
        self.relayed = client;
        let link_name = settings.link_name.as_deref();
        interface.write_process_files(&settings.run_dir, link_name, &self.source);
        let identity = Identity {
            client: *self.source.peer().ip(),
            user: self.user.as_deref().unwrap_or_default().to_vec(),
            interface: interface.name().to_owned(),
            address: address.filter(|_| tun.is_none()),
        };
        self.interface = Some(interface);
        self.tun = tun.map(Box::new);
        self.scripts = self.settings.scripts.is_any_there().then(|| {
            let scripts = self.shared.scripts.clone();
            let (settings, source) = (self.settings.clone(), self.source.clone());
            Box::new(SessionScripts::begin(scripts, settings, source, identity))
        });
    }

    /// `ip-pre-up` has ended.
    pub(crate) fn may_rise(&mut self, now: Instant) {
        self.preparing = false;
        // The network may have closed meanwhile.
        if let Some(permit) = self.permit {
            self.open_network(now, permit);
        }
        self.pump(now);
    }

    /// Packets flow from here on.
    fn open_network(&mut self, now: Instant, permit: NetworkPermit) {
        // Without an interface the session is about to end.
        let Some(interface) = &mut self.interface else { return };
        if let Err(error) = interface.raise(&self.source) {
            return self.no_interface(now, error.to_string());
        }
        if let (Some(wtmp), Some(_)) = (&self.settings.wtmp, permit.ipv4()) {
            let user = self.user.as_deref().unwrap_or_default();
            interface.record_login(wtmp, user, *self.source.peer().ip(), &self.source);
        }
        let tun = self.tun.take().map(|tun| *tun);
        if let Some(filters) = self.settings.filters.clone() {
            self.command(Command::Filters(filters));
        }
        self.command(Command::OpenNetwork { permit, tun });
        if let Some(scripts) = &mut self.scripts {
            if let Some(ipv4) = permit.ipv4() {
                scripts.ipv4_up(ipv4.local, ipv4.remote);
            }
            if let Some(ipv6) = permit.ipv6() {
                scripts.ipv6_up(&link_local(ipv6.local_id), &link_local(ipv6.remote_id));
            }
        }
        self.check_limits(now);
    }

    fn no_interface(&mut self, now: Instant, error: String) {
        self.host_failed("set up the session's interface", error);
        self.link.terminate(now, Cause::Local("the server cannot set up its interface"));
    }

    fn report_network(&mut self, now: Instant, permit: NetworkPermit) {
        let before = self.permit.replace(permit);
        self.source.publish(Event::NetworkUp(permit));
        if let Some(ipv4) = permit.ipv4()
            && before.and_then(|before| before.ipv4()) != Some(ipv4)
        {
            self.source.publish(Event::Ipv4Up(ipv4));
            self.look_from_now_on(now, ipv4.remote);
        }
        if let Some(ipv6) = permit.ipv6()
            && before.and_then(|before| before.ipv6()) != Some(ipv6)
        {
            self.source.publish(Event::Ipv6Up(ipv6));
        }
        self.trail_grows = true;
    }

    /// Looks whether the session may go on, and when to look again.
    fn check_limits(&mut self, now: Instant) {
        let Some(connected) = self.connected else { return };
        let mut next: Option<Instant> = None;
        if let Some(max) = self.settings.max_connect {
            if now >= connected + max {
                self.source.publish(Event::TimeUp);
                self.check = None;
                return self.link.terminate(now, Cause::Local("Connect time expired"));
            }
            next = Some(connected + max);
        }
        if let Some(idle) = self.settings.idle {
            let quiet = quiet_for(&self.counters).min(now - connected);
            if quiet >= idle {
                self.source.publish(Event::Idle);
                self.check = None;
                return self.link.terminate(now, Cause::Local("Link inactive"));
            }
            let at = now + (idle - quiet).max(Duration::from_millis(10));
            next = Some(next.map_or(at, |next| next.min(at)));
        }
        if let Some(limit) = self.settings.octets {
            let figures = self.counters.snapshot();
            if limit.is_reached(figures.sent_bytes, figures.received_bytes) {
                self.source.publish(Event::TrafficLimit);
                self.check = None;
                return self.link.terminate(now, Cause::Local("Traffic limit reached"));
            }
            let at = now + limit.interval;
            next = Some(next.map_or(at, |next| next.min(at)));
        }
        self.check = next;
    }

    /// The client asked all DHCP servers.
    fn tell_routes(&self, packet: &[u8]) {
        let Some(agreed) = self.permit.and_then(|permit| permit.ipv4()) else { return };
        if let Some((answer, routes)) = inform::answer(packet, &self.settings, agreed) {
            self.command(Command::Packet(answer));
            self.source.publish(Event::InformAnswered { routes });
        }
    }

    fn host_failed(&self, what: &'static str, error: String) {
        self.source.publish(Event::HostFailed { what, error });
    }

    fn command(&self, command: Command) {
        self.shared.dataplane.send(self.our_call_id, command);
    }
}

/// How long no network packet has gone either way; without end when none ever has.
fn quiet_for(counters: &Counters) -> Duration {
    match counters.snapshot().last_activity {
        0 => Duration::MAX,
        last => Duration::from_nanos(sys::monotonic_nanos().saturating_sub(last)),
    }
}

fn grant(settings: &Settings, local: Ipv4Addr, remote: Ipv4Addr) -> Grant {
    Grant { local, remote, dns: settings.dns, nbns: settings.nbns, mppe: Some(settings.mppe) }
}

#[cfg(test)]
mod tests;
