//! The client's side of PAP and the CHAP family.

use alloc::vec::Vec;
use core::time::Duration;

use crypto::{NtHash, Secret, chap_md5, mschap};
use wire::chap;
use wire::pap;
use wire::ppp::{Packet, Protocol};

use super::{Authenticated, Method};
use crate::ppp::ClientConfig;
use crate::{Instant, Random};

/// How long the server has to ask and to decide.
const PATIENCE: Duration = Duration::from_secs(30);
/// Time between repetitions of a PAP request.
const PAP_INTERVAL: Duration = Duration::from_secs(1);

/// What is wanted of the link.
#[derive(Debug)]
pub(crate) enum Step {
    /// Send this packet.
    Send(Protocol, Vec<u8>),
    /// The server accepted us.
    Accepted(Authenticated),
    /// The server refused us, with this text.
    Refused { method: Method, name: Vec<u8>, message: Vec<u8> },
    /// The server accepted us but could not prove that it knows the password (RFC 2759 §5).
    ServerNotAuthentic,
    /// The server stays silent.
    TimedOut(Method),
}

/// Logs in at one server, and again when it asks.
#[derive(Debug)]
pub(crate) struct Peer {
    method: Method,
    give_up: Instant,
    resend: Option<Instant>,
    /// The newest answer and what its success will be worth.
    pending: Option<Pending>,
    /// The newest Challenge and our Response to it. A Challenge that comes again gets the same Response: the Success on its way
    /// belongs to that one.
    answered: Option<(Vec<u8>, Vec<u8>)>,
    done: bool,
    id: u8,
}

#[derive(Debug)]
struct Pending {
    id: u8,
    /// The server's challenge; MS-CHAPv1 uses its first half.
    challenge: [u8; 16],
    v2: Option<mschap::v2::Response>,
}

impl Peer {
    pub(crate) fn start(
        method: Method,
        config: &ClientConfig,
        now: Instant,
        steps: &mut Vec<Step>,
    ) -> Self {
        let mut peer = Self {
            method,
            give_up: now + PATIENCE,
            resend: None,
            pending: None,
            answered: None,
            done: false,
            id: 1,
        };
        if method == Method::Pap {
            peer.send_pap(config, now, steps);
        }
        peer
    }

    /// The PPP protocol that carries the method.
    pub(crate) fn protocol(&self) -> Protocol {
        self.method.protocol()
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        if self.done {
            return None;
        }
        Some(self.resend.map_or(self.give_up, |resend| resend.min(self.give_up)))
    }

    pub(crate) fn handle_timeout(
        &mut self,
        config: &ClientConfig,
        now: Instant,
        steps: &mut Vec<Step>,
    ) {
        if self.done {
            return;
        }
        if now >= self.give_up {
            self.done = true;
            steps.push(Step::TimedOut(self.method));
        } else if self.resend.is_some_and(|resend| now >= resend) {
            self.send_pap(config, now, steps);
        }
    }

    pub(crate) fn handle_packet(
        &mut self,
        config: &ClientConfig,
        packet: &[u8],
        random: &mut Random,
        steps: &mut Vec<Step>,
    ) {
        let Ok(header) = Packet::parse(packet) else { return };
        if self.method == Method::Pap {
            return self.handle_pap(config, &header, steps);
        }
        match header.code {
            code if code == chap::CHALLENGE => self.answer(config, packet, random, steps),
            code if code == chap::SUCCESS => self.succeed(config, &header, steps),
            code if code == chap::FAILURE && !self.done => {
                self.done = true;
                steps.push(self.refused(config, header.data));
            }
            _ => {}
        }
    }

    fn send_pap(&mut self, config: &ClientConfig, now: Instant, steps: &mut Vec<Step>) {
        let mut packet = Vec::new();
        pap::AuthenticateRequest {
            id: self.id,
            peer_id: &config.name,
            password: config.password.as_bytes(),
        }
        .emit(&mut packet);
        self.resend = Some(now + PAP_INTERVAL);
        steps.push(Step::Send(Protocol::PAP, packet));
    }

    fn handle_pap(&mut self, config: &ClientConfig, header: &Packet<'_>, steps: &mut Vec<Step>) {
        if self.done || header.id != self.id {
            return;
        }
        if header.code == pap::ACK {
            self.accepted(config, None, steps);
        } else if header.code == pap::NAK {
            self.done = true;
            steps.push(self.refused(config, header.data.get(1..).unwrap_or_default()));
        }
    }

    fn answer(
        &mut self,
        config: &ClientConfig,
        packet: &[u8],
        random: &mut Random,
        steps: &mut Vec<Step>,
    ) {
        if let Some((_, reply)) = self.answered.as_ref().filter(|(asked, _)| asked == packet) {
            return steps.push(Step::Send(Protocol::CHAP, reply.clone()));
        }
        let Ok(challenge) = chap::Challenge::parse(packet) else { return };
        let mut pending = Pending { id: challenge.id, challenge: [0; 16], v2: None };
        let mut value = Vec::new();
        match self.method {
            Method::ChapMd5 => value.extend_from_slice(&chap_md5::response(
                challenge.id,
                &config.password,
                challenge.value,
            )),
            Method::MsChapV1 => {
                let Ok(bytes) = <&[u8; 8]>::try_from(challenge.value) else { return };
                pending.challenge[..8].copy_from_slice(bytes);
                value.extend_from_slice(&mschap::v1::respond(bytes, &NtHash::of(&config.password)));
            }
            Method::MsChapV2 => {
                let Ok(bytes) = challenge.value.try_into() else { return };
                pending.challenge = bytes;
                let mut peer_challenge = [0; 16];
                random.fill(&mut peer_challenge);
                let response = mschap::v2::Response::new(
                    &NtHash::of(&config.password),
                    &config.name,
                    &pending.challenge,
                    peer_challenge,
                );
                value.extend_from_slice(&response.to_bytes());
                pending.v2 = Some(response);
            }
            Method::Pap => return,
        }
        let mut reply = Vec::new();
        chap::Response { id: challenge.id, value: &value, name: &config.name }.emit(&mut reply);
        self.pending = Some(pending);
        self.answered = Some((packet.to_vec(), reply.clone()));
        steps.push(Step::Send(Protocol::CHAP, reply));
    }

    fn succeed(&mut self, config: &ClientConfig, header: &Packet<'_>, steps: &mut Vec<Step>) {
        let Some(pending) = self.pending.take_if(|pending| pending.id == header.id) else { return };
        let hash = NtHash::of(&config.password);
        let keys = match (self.method, &pending.v2) {
            (Method::MsChapV2, Some(response)) => {
                let checked =
                    response.check_success(&hash, &config.name, &pending.challenge, header.data);
                if checked.is_none() {
                    self.done = true;
                    return steps.push(Step::ServerNotAuthentic);
                }
                checked
            }
            (Method::MsChapV1, _) => {
                let secret = Secret::Password(config.password.clone());
                let challenge = pending.challenge.first_chunk::<8>();
                challenge.map(|challenge| mschap::v1::master_keys(&secret, challenge))
            }
            _ => None,
        };
        self.accepted(config, keys, steps);
    }

    fn refused(&self, config: &ClientConfig, message: &[u8]) -> Step {
        Step::Refused { method: self.method, name: config.name.clone(), message: message.to_vec() }
    }

    fn accepted(
        &mut self,
        config: &ClientConfig,
        keys: Option<crypto::mppe::MasterKeys>,
        steps: &mut Vec<Step>,
    ) {
        self.done = true;
        self.resend = None;
        steps.push(Step::Accepted(Authenticated {
            method: Some(self.method),
            name: config.name.clone(),
            ticket: 0,
            success: Vec::new(),
            keys,
        }));
    }
}
