//! Two links joined by a wire that can lose frames, under a clock that jumps to the next thing to do.

use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::net::Ipv4Addr;
use core::time::Duration;

use crypto::{Password, Secret};

use crate::auth::{DenyReason, Method};
use crate::ppp::*;
use crate::{Instant, Random};

pub(super) fn grant() -> Grant {
    Grant {
        local: Ipv4Addr::new(192, 168, 1, 1),
        remote: Ipv4Addr::new(192, 168, 1, 50),
        dns: [Some(Ipv4Addr::new(192, 168, 1, 2)), None],
        nbns: [None; 2],
        mppe: None,
    }
}

pub(super) fn server(mppe: MppePolicy) -> LinkConfig {
    LinkConfig {
        side: Side::Server(ServerConfig::default()),
        lcp: LcpConfig::default(),
        mppe,
        ipv6: Some(InterfaceIds::default()),
        network_timers: Timers::default(),
        ipv6cp_timers: Timers::default(),
    }
}

pub(super) fn client(methods: &[Method], mppe: MppePolicy) -> LinkConfig {
    LinkConfig {
        side: Side::Client(ClientConfig {
            name: b"scott".to_vec(),
            password: Password::new(b"turquoise".to_vec()),
            methods: methods.to_vec(),
            address: Ipv4Addr::UNSPECIFIED,
        }),
        ..server(mppe)
    }
}

pub(super) fn server_part(config: &mut LinkConfig) -> &mut ServerConfig {
    match &mut config.side {
        Side::Server(server) => server,
        Side::Client(_) => unreachable!("a server was asked for"),
    }
}

pub(super) fn client_part(config: &mut LinkConfig) -> &mut ClientConfig {
    match &mut config.side {
        Side::Client(client) => client,
        Side::Server(_) => unreachable!("a client was asked for"),
    }
}

/// A server link in its network phase, whose peer has acknowledged nothing yet.
pub(super) fn opened_server() -> Link {
    let mut config = server(MppePolicy::OFF);
    let part = server_part(&mut config);
    part.methods = vec![];
    part.anonymous = Some(grant());
    let mut link = Link::new(config, [3; 32], Instant::ZERO);
    link.start(Instant::ZERO);
    while let Some(output) = link.poll_output() {
        if let Output::Frame(mut frame) = output {
            frame[4] = 2;
            link.handle_frame(Instant::ZERO, &frame);
        }
    }
    link.handle_frame(Instant::ZERO, &[0xff, 0x03, 0xc0, 0x21, 1, 1, 0, 4]);
    link
}

/// One end, with what it reported.
pub(super) struct End {
    pub(super) link: Link,
    pub(super) log: Vec<String>,
    pub(super) closed: Option<Cause>,
    pub(super) authenticated: Option<Option<Method>>,
    pub(super) refusals: Vec<(Option<DenyReason>, String)>,
    pub(super) ever_up: bool,
    permit: Option<NetworkPermit>,
    keys: Option<Keys>,
}

impl End {
    fn new(config: LinkConfig, seed: u8) -> Self {
        Self {
            link: Link::new(config, [seed; 32], Instant::ZERO),
            log: Vec::new(),
            closed: None,
            authenticated: None,
            refusals: Vec::new(),
            ever_up: false,
            permit: None,
            keys: None,
        }
    }

    pub(super) fn permit(&self) -> Option<NetworkPermit> {
        self.permit
    }

    pub(super) fn keys(&self) -> Option<&Keys> {
        self.keys.as_ref()
    }

    /// Takes everything out, answers authentication requests, gives the frames to send.
    fn drain(&mut self, now: Instant) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        while let Some(output) = self.link.poll_output() {
            assert!(self.closed.is_none(), "output after the end");
            match output {
                Output::Frame(frame) => {
                    self.log.push(format!("sent {}", wire::ppp::describe(&frame)));
                    frames.push(frame);
                }
                Output::Event(event) => self.take(now, event),
            }
        }
        frames
    }

    fn take(&mut self, now: Instant, event: Event) {
        match event {
            Event::Keys(keys) => {
                self.log.push("Keys".to_string());
                self.keys = Some(keys);
            }
            Event::KeysGone => self.keys = None,
            Event::NetworkUp(permit) => {
                assert!(!permit.encryption_required() || self.keys.is_some(), "clear text network");
                self.permit = Some(permit);
                self.ever_up = true;
            }
            Event::NetworkDown => self.permit = None,
            Event::Closed(cause) => self.closed = Some(cause),
            Event::Authenticated { method, .. } => self.authenticated = Some(method),
            Event::AuthenticationFailed { reason, message, .. } => {
                self.refusals.push((reason, String::from_utf8_lossy(&message).to_string()));
            }
            Event::Authenticate(request) => {
                let secret = Secret::Password(Password::new(b"turquoise".to_vec()));
                match request.verify(&secret) {
                    Ok(verdict) => self.link.authenticated(now, verdict, grant()),
                    Err(verdict) => self.link.deny(now, request.name(), verdict),
                }
            }
            _ => {}
        }
    }
}

/// Two ends and the wire between them.
pub(super) struct Duo {
    pub(super) server: End,
    pub(super) client: End,
    pub(super) cut: bool,
    /// How long a frame takes.
    pub(super) latency: Duration,
    /// Frames to lose, by whether they go to the server and by their description.
    pub(super) lose: fn(bool, &str) -> bool,
    /// Frames that may still be delivered; for stopping in the middle of something.
    pub(super) step_limit: usize,
    now: Instant,
    loss: Option<(Random, u32)>,
    /// When each arrives, whether at the server, and what it is.
    wire: VecDeque<(Instant, bool, Vec<u8>)>,
}

impl Duo {
    pub(super) fn new(server: LinkConfig, client: LinkConfig) -> Self {
        let mut client = End::new(client, 2);
        client.link.start(Instant::ZERO);
        Self {
            server: End::new(server, 1),
            client,
            cut: false,
            latency: Duration::ZERO,
            lose: |_, _| false,
            step_limit: usize::MAX,
            now: Instant::ZERO,
            loss: None,
            wire: VecDeque::new(),
        }
    }

    pub(super) fn now(&self) -> Instant {
        self.now
    }

    /// Loses this percentage of the frames.
    pub(super) fn loss(&mut self, seed: u64, percent: u32) {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_be_bytes());
        self.loss = Some((Random::new(bytes), percent));
    }

    /// Runs everything that happens within the next `time`.
    pub(super) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            self.deliver();
            let timeouts = [self.server.link.poll_timeout(), self.client.link.poll_timeout()];
            let arrival = self.wire.front().map(|(at, ..)| *at);
            let timers = timeouts.into_iter().flatten().map(|(at, _)| at);
            let next = timers.chain(arrival).min();
            match next.filter(|next| *next <= end) {
                Some(next) => self.now = self.now.max(next),
                None => break,
            }
            self.server.link.handle_timeout(self.now);
            self.client.link.handle_timeout(self.now);
        }
        self.now = self.now.max(end);
    }

    fn deliver(&mut self) {
        loop {
            for frame in self.server.drain(self.now) {
                self.wire.push_back((self.now + self.latency, false, frame));
            }
            for frame in self.client.drain(self.now) {
                self.wire.push_back((self.now + self.latency, true, frame));
            }
            let arrived = self.wire.front().is_some_and(|(at, ..)| *at <= self.now);
            let Some((_, to_server, frame)) = self.wire.pop_front_if(|_| arrived) else { return };
            let text = wire::ppp::describe(&frame).to_string();
            if (self.lose)(to_server, &text) {
                continue;
            }
            if self.cut || self.step_limit == 0 || self.is_lost() {
                continue;
            }
            self.step_limit -= 1;
            let end = if to_server { &mut self.server } else { &mut self.client };
            end.log.push(format!("rcvd {text}"));
            end.link.handle_frame(self.now, &frame);
        }
    }

    fn is_lost(&mut self) -> bool {
        self.loss.as_mut().is_some_and(|(random, percent)| random.u32() % 100 < *percent)
    }
}
