//! A PPP link against a real peer, with a hand on the wire between them: frames are lost, repeated, changed and made up.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::time::Duration;

use crypto::{Password, Secret};
use engine::Instant;
use engine::auth::Method;
use engine::ppp::{
    Cause, ClientConfig, Event, InterfaceIds, LcpConfig, Link, LinkConfig, MppePolicy, Output, ServerConfig,
    Side, Timers,
};
use sim::grant;
use wire::ppp::{Code, Packet, Protocol};

use crate::input::Input;

/// Frames on the wire in one direction; more are lost.
const MAX_QUEUE: usize = 64;
/// What one input may make a link say.
const MAX_OUTPUTS: usize = 64;
/// The longest frame that a link may send: the peer's receive unit with its headers is never below this.
const MAX_FRAME: usize = 1508;

/// Takes `bytes` as what happens to a server's and a client's link. Panics when one of them breaks a promise.
pub fn link(bytes: &[u8]) {
    run(bytes);
}

/// What became of the server's and the client's link.
fn run(bytes: &[u8]) -> [End; 2] {
    let mut input = Input::new(bytes);
    let choice = input.byte();
    let mut now = Instant::ZERO;
    let mut ends = [
        End::new(settings(server(choice), choice), 1, choice, now),
        End::new(settings(client(choice), choice), 2, choice, now),
    ];
    while !input.is_empty() {
        let operation = input.byte();
        let to = usize::from(operation >> 7);
        match operation & 0x0f {
            0 => now += Duration::from_millis(u64::from(input.byte()) * 20),
            1 => ends[to].link.start(now),
            // The next frame that the other end sent: lost, repeated, changed, or answered as if it had agreed.
            2 => drop(ends[1 - to].sent.pop_front()),
            3 => {
                let frame = ends[1 - to].sent.front().cloned();
                ends[to].take(now, frame.as_deref());
            }
            4 => {
                let (at, value) = (usize::from(input.byte()), input.byte());
                let mut frame = ends[1 - to].sent.pop_front();
                if let Some(byte) = frame.as_mut().and_then(|frame| frame.get_mut(at)) {
                    *byte ^= value;
                }
                ends[to].take(now, frame.as_deref());
            }
            5 => {
                let agreed = ends[to].sent.iter().rev().find_map(|frame| acknowledged(frame));
                ends[to].take(now, agreed.as_deref());
            }
            6 => ends[to].take(now, Some(&made_up(&mut input))),
            7 => ends[to].take(now, Some(input.some())),
            8 => ends[to].link.request_reset(now),
            9 if input.byte() < 8 => ends[to].link.terminate(now, Cause::Local("fuzzed")),
            10 if input.byte() < 8 => ends[to].link.lower_layer_down(),
            _ => {
                let frame = ends[1 - to].sent.pop_front();
                ends[to].take(now, frame.as_deref());
            }
        }
        for end in &mut ends {
            end.run(now);
        }
    }
    ends
}

/// One end, and what it has promised so far.
struct End {
    link: Link,
    sent: VecDeque<Vec<u8>>,
    knows_password: bool,
    waives: bool,
    encrypts: bool,
    is_server: bool,
    has_keys: bool,
    authenticated: bool,
    is_up: bool,
    was_up: bool,
    closed: bool,
}

impl End {
    fn new(config: LinkConfig, seed: u8, choice: u8, now: Instant) -> Self {
        let waives = matches!(&config.side, Side::Server(server) if server.methods.is_empty());
        Self {
            is_server: matches!(config.side, Side::Server(_)),
            encrypts: config.mppe == MppePolicy::REQUIRE_128,
            link: Link::new(config, [seed; 32], now),
            sent: VecDeque::new(),
            knows_password: choice & 1 == 0,
            waives,
            has_keys: false,
            authenticated: false,
            is_up: false,
            was_up: false,
            closed: false,
        }
    }

    fn take(&mut self, now: Instant, frame: Option<&[u8]>) {
        if let Some(frame) = frame {
            self.link.handle_frame(now, frame);
        }
    }

    fn run(&mut self, now: Instant) {
        if self.link.poll_timeout().is_some_and(|(at, _)| at <= now) {
            self.link.handle_timeout(now);
            let next = self.link.poll_timeout();
            assert!(
                next.is_none_or(|(at, _)| at > now),
                "a timer that is due did nothing: {next:?}"
            );
        }
        let mut outputs = 0;
        while let Some(output) = self.link.poll_output() {
            assert!(!self.closed, "output after the end: {output:?}");
            outputs += 1;
            assert!(outputs < MAX_OUTPUTS, "one input, outputs without end");
            match output {
                Output::Frame(frame) => self.send(frame),
                Output::Event(event) => self.note(now, event),
            }
        }
        assert_eq!(self.link.is_dead(), self.closed);
        assert!(!self.closed || self.link.poll_timeout().is_none(), "a timer after the end");
    }

    fn send(&mut self, frame: Vec<u8>) {
        assert!(frame.len() <= MAX_FRAME, "a frame of {} bytes", frame.len());
        let (_, body) = wire::ppp::split(&frame).expect("an unreadable frame was sent");
        let packet = Packet::parse(body).expect("an unreadable packet was sent");
        assert_eq!(packet.data.len() + Packet::HEADER_LEN, body.len());
        if self.sent.len() < MAX_QUEUE {
            self.sent.push_back(frame);
        }
    }

    fn note(&mut self, now: Instant, event: Event) {
        match event {
            Event::Authenticate(request) => {
                assert!(self.is_server, "a client was asked to let someone in");
                let password: &[u8] = if self.knows_password { PASSWORD } else { b"other" };
                match request.verify(&Secret::from(Password::new(password.to_vec()))) {
                    Ok(verdict) => {
                        assert!(self.knows_password, "a wrong password was taken");
                        self.link.authenticated(now, verdict, grant());
                    }
                    Err(denied) => self.link.deny(now, request.name(), denied),
                }
            }
            Event::Authenticated { .. } => self.authenticated = true,
            Event::LinkDown => {
                assert!(!self.is_up, "the network is up without a link");
                self.authenticated = false;
            }
            Event::Keys(_) => {
                assert!(self.authenticated, "keys of nobody");
                self.has_keys = true;
            }
            Event::KeysGone => self.has_keys = false,
            Event::NetworkUp(permit) => {
                assert!(self.authenticated || self.waives || !self.is_server, "a stranger came in");
                if self.encrypts {
                    assert!(permit.encryption_required() && self.has_keys, "in clear, unasked");
                }
                self.is_up = true;
                self.was_up = true;
            }
            Event::NetworkDown => self.is_up = false,
            Event::Closed(_) => {
                assert!(!self.is_up, "the network outlives its link");
                self.closed = true;
            }
            _ => {}
        }
    }
}

const PASSWORD: &[u8] = b"turquoise";

/// The peer's consent to a Configure-Request that was sent.
fn acknowledged(frame: &[u8]) -> Option<Vec<u8>> {
    let (protocol, body) = wire::ppp::split(frame).ok()?;
    let packet = Packet::parse(body).ok()?;
    let is_request = packet.code == Code::CONFIGURE_REQUEST
        && matches!(protocol, Protocol::LCP | Protocol::CCP | Protocol::IPCP | Protocol::IPV6CP);
    is_request.then(|| framed(protocol, Packet { code: Code::CONFIGURE_ACK, ..packet }))
}

/// A readable packet of a likely protocol and code, with any data.
fn made_up(input: &mut Input<'_>) -> Vec<u8> {
    const PROTOCOLS: [Protocol; 8] = [
        Protocol::LCP,
        Protocol::CHAP,
        Protocol::PAP,
        Protocol::CCP,
        Protocol::IPCP,
        Protocol::IPV6CP,
        Protocol::EAP,
        Protocol::ACSCP,
    ];
    let kind = input.byte();
    let protocol = PROTOCOLS[usize::from(kind & 7)];
    let code = Code((kind >> 3) % 16);
    let id = input.byte() & 15;
    framed(protocol, Packet { code, id, data: input.some() })
}

fn framed(protocol: Protocol, packet: Packet<'_>) -> Vec<u8> {
    let mut frame = vec![0xff, 0x03];
    frame.extend_from_slice(&protocol.0.to_be_bytes());
    packet.emit(&mut frame);
    frame
}

fn settings(side: Side, choice: u8) -> LinkConfig {
    let mppe = match choice >> 4 & 3 {
        0 => MppePolicy::OFF,
        1 => MppePolicy { need: engine::ppp::MppeNeed::Allowed, ..MppePolicy::REQUIRE_128 },
        _ => MppePolicy::REQUIRE_128,
    };
    LinkConfig {
        side,
        lcp: LcpConfig::default(),
        mppe,
        ipv6: (choice & 8 == 0).then(InterfaceIds::default),
        network_timers: Timers::default(),
ipv6cp_timers: Timers::default(),
    }
}

/// Asks for what bits 1 and 2 say: everything, MS-CHAPv2, clear passwords, nothing.
fn server(choice: u8) -> Side {
    let methods = match choice >> 1 & 3 {
        0 => vec![Method::MsChapV2, Method::MsChapV1, Method::ChapMd5, Method::Pap],
        1 => vec![Method::MsChapV2],
        2 => vec![Method::Pap, Method::ChapMd5],
        _ => vec![],
    };
    let anonymous = methods.is_empty().then(grant);
    let rechallenge = (choice & 0x40 != 0).then_some(Duration::from_secs(3));
    Side::Server(ServerConfig { methods, anonymous, rechallenge, ..ServerConfig::default() })
}

fn client(choice: u8) -> Side {
    let methods = if choice & 0x80 == 0 {
        vec![Method::MsChapV2, Method::MsChapV1, Method::ChapMd5, Method::Pap]
    } else {
        vec![Method::MsChapV1, Method::ChapMd5]
    };
    Side::Client(ClientConfig {
        name: b"scott".to_vec(),
        password: Password::new(PASSWORD.to_vec()),
        methods,
        address: Ipv4Addr::UNSPECIFIED,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seed(label: &str) -> [End; 2] {
        let path = format!("{}/corpus/link/seed-{label}", env!("CARGO_MANIFEST_DIR"));
        run(&std::fs::read(path).unwrap())
    }

    #[test]
    fn the_seeds_open_links_and_close_them() {
        for label in ["mppe", "optional-mppe", "pap", "waived", "rechallenged"] {
            let ends = seed(label);
            assert!(ends.iter().all(|end| end.was_up), "{label} does not come up");
            assert!(ends[1].closed, "{label} does not hang up");
        }
    }

    #[test]
    fn a_wrong_password_and_no_common_method_open_nothing() {
        for label in ["wrong-password", "no-common-method"] {
            assert!(seed(label).iter().all(|end| !end.was_up), "{label} comes up");
        }
    }
}
