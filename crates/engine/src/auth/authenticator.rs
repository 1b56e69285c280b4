//! The server's side of PAP and the CHAP family: asks, hands the answer over for judgement, tells the peer.

use alloc::vec::Vec;
use core::fmt::Write as _;
use core::time::Duration;

use wire::chap;
use wire::pap;
use wire::ppp::Protocol;

use super::request::{Proof, Request};
use super::{Authenticated, Denied, Method};
use crate::ppp::ServerConfig;
use crate::{Instant, Random};

/// The first wait for a Response at least, when the configuration sets no interval. A Challenge that comes twice makes pppd answer twice, and
/// its second answer undoes the first: its keys and the proof that it expects are those of the newest.
const FIRST_INTERVAL: Duration = Duration::from_secs(2);
/// Where doubling the wait ends.
const LAST_INTERVAL: Duration = Duration::from_secs(3);
/// How long a person has to type the password again (MS-CHAP retry).
const RETRY_PATIENCE: Duration = Duration::from_secs(60);
/// Names longer than this are cut: RFC 1994's packet could hold more, chap-secrets cannot.
const MAX_NAME: usize = 255;

/// What is wanted of the link.
#[derive(Debug)]
pub(crate) enum Step {
    /// Send this packet.
    Send(Protocol, Vec<u8>),
    /// A Challenge goes out with what follows.
    Challenged(Method),
    /// Have this judged.
    Ask(Request),
    /// The peer stays silent.
    TimedOut(Method),
}

/// Authenticates one peer, and again when configured to. Methods that take a configuration want that of [`start`](Self::start) again.
#[derive(Debug)]
pub(crate) struct Authenticator {
    method: Method,
    id: u8,
    challenge: [u8; 16],
    attempts_left: u8,
    sent: u8,
    first_interval: Duration,
    deadline: Option<Instant>,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// Waiting for the peer's proof.
    Waiting { retry: bool },
    /// The proof is being judged.
    Judging { id: u8, ticket: u32 },
    /// Told the peer `reply`, which is repeated when the peer repeats its proof (RFC 1994 §4.2).
    Done { id: u8, reply: Vec<u8> },
    /// Refused for good.
    Refused,
}

impl Authenticator {
    /// Starts; a CHAP method sends its Challenge at once, and does not repeat it before `first_wait` is over.
    pub(crate) fn start(
        method: Method,
        config: &ServerConfig,
        first_wait: Duration,
        now: Instant,
        random: &mut Random,
        steps: &mut Vec<Step>,
    ) -> Self {
        let mut authenticator = Self {
            method,
            attempts_left: config.attempts.max(1),
            first_interval: FIRST_INTERVAL.max(first_wait),
            id: random.u16() as u8,
            challenge: [0; 16],
            sent: 0,
            deadline: None,
            stage: Stage::Waiting { retry: false },
        };
        authenticator.challenge_anew(config, now, random, steps);
        authenticator
    }

    pub(crate) fn method(&self) -> Method {
        self.method
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Replaces the Challenge that has been sent, so that a recorded Response fits.
    #[cfg(test)]
    pub(crate) fn force_challenge(&mut self, id: u8, challenge: [u8; 16]) {
        (self.id, self.challenge) = (id, challenge);
    }

    /// Handles a packet of the method's own protocol (PAP or CHAP).
    pub(crate) fn handle_packet(
        &mut self,
        packet: &[u8],
        random: &mut Random,
        steps: &mut Vec<Step>,
    ) {
        let proof = match self.method {
            Method::Pap => self.read_pap(packet),
            _ => self.read_response(packet),
        };
        let Some((id, name, proof)) = proof else { return };
        match &self.stage {
            Stage::Waiting { .. } => {
                let ticket = random.u32();
                let name = name[..name.len().min(MAX_NAME)].to_vec();
                self.stage = Stage::Judging { id, ticket };
                self.deadline = None;
                steps.push(Step::Ask(Request::new(ticket, self.method, name, proof)));
            }
            Stage::Done { id: answered, reply } if *answered == id => {
                steps.push(Step::Send(self.protocol(), reply.clone()));
            }
            _ => {}
        }
    }

    fn read_pap(&self, packet: &[u8]) -> Option<(u8, Vec<u8>, Proof)> {
        let request = pap::AuthenticateRequest::parse(packet).ok()?;
        Some((request.id, request.peer_id.to_vec(), Proof::pap(request.password)))
    }

    fn read_response(&self, packet: &[u8]) -> Option<(u8, Vec<u8>, Proof)> {
        let response = chap::Response::parse(packet).ok()?;
        // After a failure that may be retried, clients count the identifier on or keep it (RFC 2433 §6).
        let expected = match self.stage {
            Stage::Waiting { retry: true } => response.id.wrapping_sub(self.id) <= 1,
            _ => response.id == self.id,
        };
        let proof = Proof::chap(response.id, self.challenge, response.value);
        expected.then(|| (response.id, response.name.to_vec(), proof))
    }

    /// The judge is content. `false` when the verdict belongs to an older request.
    pub(crate) fn accept(
        &mut self,
        config: &ServerConfig,
        now: Instant,
        verdict: &Authenticated,
        steps: &mut Vec<Step>,
    ) -> bool {
        let Stage::Judging { id, ticket } = self.stage else { return false };
        if verdict.ticket() != ticket {
            return false;
        }
        self.attempts_left = config.attempts.max(1);
        let reply = self.reply(id, true, verdict.success_message());
        steps.push(Step::Send(self.protocol(), reply.clone()));
        self.stage = Stage::Done { id, reply };
        self.deadline = match self.method {
            Method::Pap => None,
            _ => config.rechallenge.map(|interval| now + interval),
        };
        true
    }

    /// The judge is not content. Gives the text told to the peer and whether it may try again; `None` when the verdict
    /// belongs to an older request.
    pub(crate) fn refuse(
        &mut self,
        now: Instant,
        verdict: Denied,
        random: &mut Random,
        steps: &mut Vec<Step>,
    ) -> Option<(Vec<u8>, bool)> {
        let Stage::Judging { id, ticket } = self.stage else { return None };
        if verdict.ticket != ticket {
            return None;
        }
        self.attempts_left = self.attempts_left.saturating_sub(1);
        let retry = self.attempts_left > 0 && self.method.makes_keys();
        if retry {
            random.fill(&mut self.challenge);
        }
        let message = self.failure_message(retry);
        steps.push(Step::Send(self.protocol(), self.reply(id, false, &message)));
        if retry {
            self.id = id;
            self.stage = Stage::Waiting { retry: true };
            self.deadline = Some(now + RETRY_PATIENCE);
        } else {
            self.stage = Stage::Refused;
            self.deadline = None;
        }
        Some((message, retry))
    }

    /// Repeats the good news: the peer behaves as if it had not heard it.
    pub(crate) fn repeat_success(&self, steps: &mut Vec<Step>) {
        if let Stage::Done { reply, .. } = &self.stage {
            steps.push(Step::Send(self.protocol(), reply.clone()));
        }
    }

    pub(crate) fn handle_timeout(
        &mut self,
        config: &ServerConfig,
        now: Instant,
        random: &mut Random,
        steps: &mut Vec<Step>,
    ) {
        if self.deadline.is_none_or(|deadline| now < deadline) {
            return;
        }
        self.deadline = None;
        match self.stage {
            Stage::Waiting { retry: true } => steps.push(Step::TimedOut(self.method)),
            Stage::Waiting { retry: false }
                if self.method == Method::Pap || self.sent >= config.max_challenges =>
            {
                steps.push(Step::TimedOut(self.method));
            }
            Stage::Waiting { retry: false } => self.send_challenge(config, now, steps),
            Stage::Done { .. } => {
                self.stage = Stage::Waiting { retry: false };
                self.challenge_anew(config, now, random, steps);
            }
            Stage::Judging { .. } | Stage::Refused => {}
        }
    }

    fn challenge_anew(
        &mut self,
        config: &ServerConfig,
        now: Instant,
        random: &mut Random,
        steps: &mut Vec<Step>,
    ) {
        self.sent = 0;
        if self.method == Method::Pap {
            self.deadline = Some(now + config.pap_timeout);
            return;
        }
        self.id = self.id.wrapping_add(1);
        random.fill(&mut self.challenge);
        self.send_challenge(config, now, steps);
    }

    fn send_challenge(&mut self, config: &ServerConfig, now: Instant, steps: &mut Vec<Step>) {
        let length = if self.method == Method::MsChapV1 { 8 } else { 16 };
        let mut packet = Vec::new();
        chap::Challenge {
            id: self.id,
            value: &self.challenge[..length],
            name: &config.name[..config.name.len().min(MAX_NAME)],
        }
        .emit(&mut packet);
        steps.push(Step::Challenged(self.method));
        steps.push(Step::Send(Protocol::CHAP, packet));
        let doubled = || {
            let longest = LAST_INTERVAL.max(self.first_interval);
            (self.first_interval * (1 << self.sent.min(8))).min(longest)
        };
        self.deadline = Some(now + config.challenge_interval.unwrap_or_else(doubled));
        self.sent = self.sent.saturating_add(1);
    }

    /// RFC 2759 §6 and RFC 2433 §5: error 691 is ERROR_AUTHENTICATION_FAILURE, `R=1` invites another try with the challenge `C`.
    fn failure_message(&self, retry: bool) -> Vec<u8> {
        let (length, version) = match self.method {
            Method::MsChapV2 => (16, 3),
            Method::MsChapV1 => (8, 2),
            Method::ChapMd5 | Method::Pap => return b"Access denied".to_vec(),
        };
        let mut text = alloc::format!("E=691 R={} C=", u8::from(retry));
        for byte in &self.challenge[..length] {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02X}");
        }
        let _ = write!(text, " V={version}");
        if self.method == Method::MsChapV2 {
            text.push_str(" M=Access denied");
        }
        text.into_bytes()
    }

    fn reply(&self, id: u8, success: bool, message: &[u8]) -> Vec<u8> {
        let mut packet = Vec::new();
        match (self.method, success) {
            (Method::Pap, true) => pap::Ack { id, message }.emit(&mut packet),
            (Method::Pap, false) => pap::Nak { id, message }.emit(&mut packet),
            (_, true) => chap::Success { id, message }.emit(&mut packet),
            (_, false) => chap::Failure { id, message }.emit(&mut packet),
        }
        packet
    }

    /// The PPP protocol that carries the method.
    pub(crate) fn protocol(&self) -> Protocol {
        self.method.protocol()
    }
}
