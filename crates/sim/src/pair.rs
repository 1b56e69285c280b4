//! A server and a client on one path.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::time::Duration;

use engine::Instant;
use wire::ppp::Protocol;

use crate::endpoint::{Endpoint, MAX_EARLY, Sent};
use crate::{Dice, Line, Quality, Settings};

/// More steps than this in one instant are a loop.
const MAX_STEPS_AT_ONCE: u32 = 10_000;

const SERVER_CALL: u16 = 0x5e57;
const CLIENT_CALL: u16 = 0xc11e;

/// One of the two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// The end that waits.
    Server,
    /// The end that calls.
    Client,
}

impl Side {
    /// The other one.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Server => Self::Client,
            Self::Client => Self::Server,
        }
    }
}

/// Two endpoints, the lines between them and the clock.
///
/// After every step it checks that: an IP packet comes out of the tunnel at most once and as it went in; none passes in clear where
/// encryption is required; nothing leaves an endpoint that is closed; timers move on; what is kept is bounded. A violation panics.
#[derive(Debug)]
pub struct Pair {
    now: Instant,
    steps_at_once: u32,
    server: End,
    client: End,
    encryption_required: bool,
}

/// An endpoint with the lines that lead away from it, and what its peer may receive.
#[derive(Debug)]
struct End {
    endpoint: Endpoint,
    tcp: Line,
    gre: Line,
    tcp_closed: bool,
    /// IP packets that were sent into the tunnel here, and whether they have come out at the other end.
    sent: BTreeMap<Vec<u8>, bool>,
}

impl Pair {
    /// Connected by TCP, and ready to run. `encryption_required`: no IP packet may be seen on the path.
    #[must_use]
    pub fn new(
        server: Settings,
        client: Settings,
        quality: Quality,
        encryption_required: bool,
        seed: u64,
    ) -> Self {
        let mut dice = Dice::new(seed);
        let now = Instant::ZERO;
        let mut end = |settings: Settings, call_id: u16| End {
            endpoint: Endpoint::new(settings, dice.seed(), call_id, now),
            tcp: Line::new(reliable(quality), Dice::new(dice.u64())),
            gre: Line::new(quality, Dice::new(dice.u64())),
            tcp_closed: false,
            sent: BTreeMap::new(),
        };
        let mut pair = Self {
            now,
            steps_at_once: 0,
            server: end(server, Self::call_id(Side::Server)),
            client: end(client, Self::call_id(Side::Client)),
            encryption_required,
        };
        pair.carry();
        pair
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.now
    }

    /// One of the endpoints.
    #[must_use]
    pub fn endpoint(&self, side: Side) -> &Endpoint {
        &self.end(side).endpoint
    }

    /// Whether both ends let IPv4 packets pass.
    #[must_use]
    pub fn is_open(&self) -> bool {
        [Side::Server, Side::Client]
            .iter()
            .all(|side| self.endpoint(*side).permit().is_some_and(|permit| permit.ipv4().is_some()))
    }

    /// Whether both ends are closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        [Side::Server, Side::Client].iter().all(|side| self.endpoint(*side).is_closed())
    }

    /// Runs until `done` says so or `limit` has passed; gives whether `done` said so.
    pub fn run_until(&mut self, limit: Duration, done: impl Fn(&Self) -> bool) -> bool {
        let end = self.now + limit;
        loop {
            if done(self) {
                return true;
            }
            match self.next() {
                Some(at) if at <= end => self.step(at),
                _ => {
                    self.now = end;
                    return done(self);
                }
            }
        }
    }

    /// Runs for this long.
    pub fn run(&mut self, duration: Duration) {
        self.run_until(duration, |_| false);
    }

    /// Sends an IP packet into the tunnel at one end; no two packets of a run may be equal. Gives whether it was taken.
    pub fn send_ip(&mut self, from: Side, packet: &[u8]) -> bool {
        let now = self.now;
        let end = self.end_mut(from);
        let taken = end.endpoint.send_ip(now, packet).is_ok();
        if taken {
            let before = end.sent.insert(packet.to_vec(), false);
            assert!(before.is_none(), "the packets of a run must differ");
        }
        self.carry();
        taken
    }

    /// How many IP packets that were sent at `from` have come out at the other end.
    #[must_use]
    pub fn delivered(&self, from: Side) -> usize {
        self.end(from).sent.values().filter(|delivered| **delivered).count()
    }

    /// One end hangs up.
    pub fn hang_up(&mut self, side: Side) {
        let now = self.now;
        self.end_mut(side).endpoint.hang_up(now);
        self.carry();
    }

    /// Somebody slips a GRE packet in that seems to come from the peer of `at`.
    pub fn forge(&mut self, at: Side, packet: Vec<u8>) {
        let now = self.now;
        self.end_mut(at).endpoint.handle_gre(now, packet);
        self.carry();
    }

    /// The call id in GRE packets to an end.
    #[must_use]
    pub fn call_id(side: Side) -> u16 {
        match side {
            Side::Server => SERVER_CALL,
            Side::Client => CLIENT_CALL,
        }
    }

    /// From now on no GRE packet passes, or the TCP connection is gone too, without a word.
    pub fn cut(&mut self, tcp_too: bool) {
        let dead = Quality { loss: 100, ..Quality::CLEAN };
        for end in [&mut self.server, &mut self.client] {
            end.gre.set_quality(dead);
            end.gre.cut();
            if tcp_too {
                end.tcp.set_quality(dead);
                end.tcp.cut();
            }
        }
    }

    /// The TCP connection breaks, and both ends notice.
    pub fn break_tcp(&mut self) {
        let now = self.now;
        for side in [Side::Server, Side::Client] {
            let end = self.end_mut(side);
            end.tcp.cut();
            end.endpoint.handle_tcp_close(now);
        }
        self.carry();
    }

    fn next(&self) -> Option<Instant> {
        [&self.server, &self.client]
            .into_iter()
            .flat_map(|end| {
                let timeout = end.endpoint.next_timeout();
                [end.tcp.next_arrival(), end.gre.next_arrival(), timeout]
            })
            .flatten()
            .min()
    }

    fn step(&mut self, at: Instant) {
        self.steps_at_once = if at > self.now { 0 } else { self.steps_at_once + 1 };
        assert!(self.steps_at_once < MAX_STEPS_AT_ONCE, "time does not move on");
        self.now = self.now.max(at);
        for side in [Side::Server, Side::Client] {
            self.receive(side);
            let now = self.now;
            let endpoint = &mut self.end_mut(side).endpoint;
            if endpoint.next_timeout().is_some_and(|due| due <= now) {
                endpoint.handle_timeout(now);
                let next = endpoint.next_timeout();
                assert!(next.is_none_or(|next| next > now), "a timer that is due did nothing");
            }
            self.carry();
        }
    }

    /// What has arrived for one end.
    fn receive(&mut self, side: Side) {
        let now = self.now;
        while let Some(bytes) = self.end_mut(side.other()).tcp.receive(now) {
            let endpoint = &mut self.end_mut(side).endpoint;
            match bytes.is_empty() {
                true => endpoint.handle_tcp_close(now),
                false => endpoint.handle_tcp(now, &bytes),
            }
        }
        while let Some(packet) = self.end_mut(side.other()).gre.receive(now) {
            self.end_mut(side).endpoint.handle_gre(now, packet);
        }
    }

    /// Puts what left the endpoints on the lines, and checks it.
    fn carry(&mut self) {
        let now = self.now;
        for side in [Side::Server, Side::Client] {
            for sent in self.end_mut(side).endpoint.take_sent() {
                match sent {
                    Sent::Tcp(bytes) => {
                        let end = self.end_mut(side);
                        assert!(!end.tcp_closed, "a message after the end");
                        assert!(!bytes.is_empty());
                        end.tcp.send(now, bytes);
                    }
                    Sent::TcpClose => {
                        let end = self.end_mut(side);
                        end.tcp_closed = true;
                        end.tcp.send(now, Vec::new());
                    }
                    Sent::Gre(packet) => {
                        self.check_packet(side, &packet);
                        self.end_mut(side).gre.send(now, packet);
                    }
                    Sent::Ip(packet) => self.came_out(side, packet),
                }
            }
            assert!(self.endpoint(side).early() <= MAX_EARLY);
        }
    }

    fn check_packet(&self, from: Side, packet: &[u8]) {
        let Ok((_, payload)) = wire::gre::parse(packet) else {
            panic!("{from:?} sent no GRE packet")
        };
        let Ok((protocol, _)) = wire::ppp::split(payload) else {
            assert!(payload.is_empty(), "{from:?} sent no PPP frame");
            return;
        };
        let is_clear = matches!(protocol, Protocol::IPV4 | Protocol::IPV6);
        assert!(!(is_clear && self.encryption_required), "{from:?} sent a packet in clear");
    }

    fn came_out(&mut self, at: Side, packet: Vec<u8>) {
        let from = at.other();
        match self.end_mut(from).sent.get_mut(&packet) {
            None => panic!("{at:?} received what {from:?} never sent"),
            Some(delivered) => {
                assert!(!core::mem::replace(delivered, true), "{at:?} received a packet twice");
            }
        }
    }

    fn end(&self, side: Side) -> &End {
        match side {
            Side::Server => &self.server,
            Side::Client => &self.client,
        }
    }

    fn end_mut(&mut self, side: Side) -> &mut End {
        match side {
            Side::Server => &mut self.server,
            Side::Client => &mut self.client,
        }
    }
}

/// TCP on the same path: late, but whole and in order.
fn reliable(quality: Quality) -> Quality {
    Quality { delay: quality.delay, ..Quality::CLEAN }
}
