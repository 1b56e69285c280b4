//! The network phase of a link: CCP, IPCP and IPV6CP side by side.
//!
//! Only data waits for encryption; the protocols do not wait for one another. pppd answers the IPCP request that
//! Windows sends right after authentication with a Terminate-Ack until CCP is open, and Windows then loses 1–2 s.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::Ipv4Addr;
use core::time::Duration;

use crypto::mppe::MasterKeys;
use wire::ppp::{Code, Packet, Protocol};

use super::ccp::Ccp;
use super::config::{Grant, InterfaceIds, MppeNeed, MppePolicy, Timers};
use super::control_protocol::{ControlProtocol, Finish, Negotiation, Step as ProtocolStep};
use super::ipcp::Ipcp;
use super::ipv6cp::Ipv6cp;
use super::{Cause, DirectionKeys, Event, Keys, NetworkPermit};
use crate::auth::Authenticated;
use crate::{Instant, Random};

/// What MPPE takes from the information field, in bytes: its header and the inner protocol number (RFC 3078 §3).
pub const MPPE_OVERHEAD: u16 = 4;
/// How long the first CCP request waits for its answer at least. A repetition that the peer did not need is dear: pppd closes CCP, and
/// the link with it.
const CCP_WAIT: Duration = Duration::from_secs(1);
/// Reset-Requests are not sent faster than this.
const RESET_INTERVAL: Duration = Duration::from_millis(100);

/// What the network phase wants done, in this order.
#[derive(Debug)]
pub(super) enum Step {
    /// Send this packet.
    Send(Protocol, Vec<u8>),
    /// Report this.
    Event(Event),
    /// End the link.
    Fail(Cause),
}

/// What the two roles bring to the network phase.
#[derive(Clone, Copy, Debug)]
pub(super) enum Addresses {
    /// The server gives addresses.
    Give(Grant),
    /// The client asks for one.
    Ask(Ipv4Addr),
}

/// What the network phase is built from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) addresses: Addresses,
    pub(super) mppe: MppePolicy,
    pub(super) ipv6: Option<InterfaceIds>,
    pub(super) timers: Timers,
    pub(super) ipv6cp_timers: Timers,
    /// How long a first request waits for its answer.
    pub(super) first_wait: Duration,
    /// The largest information field for the peer, in bytes.
    pub(super) mtu: u16,
}

/// A running network phase. It exists only for an [`Authenticated`] peer.
#[derive(Debug)]
pub(super) struct Network {
    /// Where MPPE keys come from.
    keys: Option<MasterKeys>,
    /// Whether we give addresses.
    is_server: bool,
    /// Whether there is no network without encryption.
    required: bool,
    /// The largest information field for the peer, in bytes.
    mtu: u16,
    ccp: ControlProtocol<Ccp>,
    ipcp: ControlProtocol<Ipcp>,
    /// Where IPv6 is offered: most sessions have none.
    ipv6cp: Option<Box<ControlProtocol<Ipv6cp>>>,
    encrypted: bool,
    permit: Option<NetworkPermit>,
    peer_spoke: bool,
    last_reset: Option<Instant>,
}

impl Network {
    pub(super) fn start(
        authenticated: Authenticated,
        mut plan: Plan,
        now: Instant,
        random: &mut Random,
        steps: &mut Vec<Step>,
    ) -> Self {
        if authenticated.keys().is_none() {
            if plan.mppe.need == MppeNeed::Required {
                steps.push(Step::Fail(Cause::NoKeys));
            }
            plan.mppe = MppePolicy::OFF;
        }
        let ipcp = match plan.addresses {
            Addresses::Give(grant) => Ipcp::server(grant),
            Addresses::Ask(address) => Ipcp::client(address),
        };
        let mut network = Self {
            ccp: ControlProtocol::new(
                Ccp::new(plan.mppe),
                plan.timers,
                plan.first_wait.max(CCP_WAIT),
            ),
            ipcp: ControlProtocol::new(ipcp, plan.timers, plan.first_wait),
            ipv6cp: plan.ipv6.map(|ids| {
                let options = Ipv6cp::new(ids, random);
                Box::new(ControlProtocol::new(options, plan.ipv6cp_timers, plan.first_wait))
            }),
            keys: authenticated.into_keys(),
            is_server: matches!(plan.addresses, Addresses::Give(_)),
            required: plan.mppe.need == MppeNeed::Required,
            mtu: plan.mtu,
            encrypted: false,
            permit: None,
            peer_spoke: false,
            last_reset: None,
        };
        network.open_all(now, steps);
        network
    }

    fn open_all(&mut self, now: Instant, steps: &mut Vec<Step>) {
        let mut own = Vec::new();
        if self.required {
            self.ccp.open(now, &mut own);
        } else {
            self.ccp.listen();
        }
        self.follow_ccp(own, steps);
        let mut own = Vec::new();
        self.ipcp.open(now, &mut own);
        self.follow_ipcp(own, steps);
        let mut own = Vec::new();
        if let Some(ipv6cp) = &mut self.ipv6cp {
            ipv6cp.open(now, &mut own);
        }
        self.follow_ipv6cp(own, steps);
    }

    /// Whether the peer has sent anything that shows it to be in its network phase.
    pub(super) fn peer_spoke(&self) -> bool {
        self.peer_spoke
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let ipv6cp = self.ipv6cp.as_ref().and_then(|ipv6cp| ipv6cp.deadline());
        [self.ccp.deadline(), self.ipcp.deadline(), ipv6cp].into_iter().flatten().min()
    }

    /// Handles a packet of one of the network protocols; `false` when the protocol is not spoken here.
    pub(super) fn handle_packet(
        &mut self,
        now: Instant,
        protocol: Protocol,
        packet: &Packet<'_>,
        random: &mut Random,
        steps: &mut Vec<Step>,
    ) -> bool {
        self.peer_spoke = true;
        let mut own = Vec::new();
        match protocol {
            Protocol::CCP if self.handle_reset(packet, steps) => {}
            Protocol::CCP => {
                self.ccp.handle_packet(now, packet, random, &mut own);
                self.follow_ccp(own, steps);
            }
            Protocol::IPCP => {
                self.ipcp.handle_packet(now, packet, random, &mut own);
                self.follow_ipcp(own, steps);
            }
            Protocol::IPV6CP => {
                let Some(ipv6cp) = &mut self.ipv6cp else { return false };
                ipv6cp.handle_packet(now, packet, random, &mut own);
                self.follow_ipv6cp(own, steps);
            }
            _ => return false,
        }
        self.look_for_trouble(steps);
        true
    }

    /// The two codes that only CCP has (RFC 1962 §3).
    fn handle_reset(&mut self, packet: &Packet<'_>, steps: &mut Vec<Step>) -> bool {
        match packet.code {
            Code::RESET_REQUEST => {
                if self.encrypted {
                    steps.push(Step::Event(Event::ResetTransmit));
                    let mut reply = Vec::new();
                    Packet { code: Code::RESET_ACK, id: packet.id, data: packet.data }
                        .emit(&mut reply);
                    steps.push(Step::Send(Protocol::CCP, reply));
                }
            }
            Code::RESET_ACK => {
                if self.encrypted {
                    steps.push(Step::Event(Event::ResetAcked));
                }
            }
            _ => return false,
        }
        true
    }

    /// An encrypted packet came before there are keys for it. Its sender has CCP open, so that it acknowledged our request, and the
    /// acknowledgement was lost. Repeating the request would end the call: pppd closes CCP at the sight of it, and the link with it.
    pub(super) fn handle_encrypted(&mut self, now: Instant, steps: &mut Vec<Step>) {
        if self.encrypted || !self.ccp.negotiation.asks_for_one() {
            return;
        }
        let mut own = Vec::new();
        self.ccp.assume_acknowledged(now, &mut own);
        self.follow_ccp(own, steps);
    }

    /// Asks the peer to start its stateful MPPE afresh.
    pub(super) fn request_reset(&mut self, now: Instant, steps: &mut Vec<Step>) {
        if !self.encrypted || self.last_reset.is_some_and(|last| now - last < RESET_INTERVAL) {
            return;
        }
        self.last_reset = Some(now);
        let mut request = Vec::new();
        Packet { code: Code::RESET_REQUEST, id: self.ccp.take_id(), data: &[] }.emit(&mut request);
        steps.push(Step::Send(Protocol::CCP, request));
    }

    /// The peer does not know `protocol`.
    pub(super) fn protocol_rejected(
        &mut self,
        now: Instant,
        protocol: Protocol,
        steps: &mut Vec<Step>,
    ) {
        self.peer_spoke = true;
        let mut own = Vec::new();
        match protocol {
            Protocol::CCP => {
                self.ccp.protocol_rejected(now, &mut own);
                self.follow_ccp(own, steps);
            }
            Protocol::IPCP => {
                self.ipcp.protocol_rejected(now, &mut own);
                self.follow_ipcp(own, steps);
            }
            Protocol::IPV6CP => {
                if let Some(ipv6cp) = &mut self.ipv6cp {
                    ipv6cp.protocol_rejected(now, &mut own);
                }
                self.follow_ipv6cp(own, steps);
            }
            _ => {}
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant, steps: &mut Vec<Step>) {
        let mut own = Vec::new();
        self.ccp.handle_timeout(now, &mut own);
        self.follow_ccp(own, steps);
        let mut own = Vec::new();
        self.ipcp.handle_timeout(now, &mut own);
        self.follow_ipcp(own, steps);
        let mut own = Vec::new();
        if let Some(ipv6cp) = &mut self.ipv6cp {
            ipv6cp.handle_timeout(now, &mut own);
        }
        self.follow_ipv6cp(own, steps);
        self.look_for_trouble(steps);
    }

    /// The link leaves the network phase: takes back what was given.
    pub(super) fn stop(&mut self, steps: &mut Vec<Step>) {
        if self.permit.take().is_some() {
            steps.push(Step::Event(Event::NetworkDown));
        }
        if core::mem::take(&mut self.encrypted) {
            steps.push(Step::Event(Event::KeysGone));
        }
    }

    fn follow_ccp(&mut self, own: Vec<ProtocolStep>, steps: &mut Vec<Step>) {
        let required = self.required;
        for step in own {
            match step {
                ProtocolStep::Send(packet) => steps.push(Step::Send(Protocol::CCP, packet)),
                ProtocolStep::Up => match self.keys() {
                    Some(keys) => {
                        self.encrypted = true;
                        steps.push(Step::Event(Event::Keys(keys)));
                        self.review(steps);
                    }
                    None if required => steps.push(Step::Fail(Cause::EncryptionRefused)),
                    None => {}
                },
                ProtocolStep::Down => {
                    if core::mem::take(&mut self.encrypted) {
                        steps.push(Step::Event(Event::KeysGone));
                    }
                    self.review(steps);
                }
                ProtocolStep::Finished(_) if required => {
                    steps.push(Step::Fail(Cause::EncryptionRefused));
                }
                ProtocolStep::Finished(_) => {}
            }
        }
    }

    fn keys(&self) -> Option<Keys> {
        let (master, server) = (self.keys.as_ref()?, self.is_server);
        let ((send, send_mode), (receive, receive_mode)) = self.ccp.negotiation.agreed()?;
        Some(Keys {
            send: DirectionKeys {
                start: master.start_keys(server, send).send,
                strength: send,
                mode: send_mode,
            },
            receive: DirectionKeys {
                start: master.start_keys(server, receive).receive,
                strength: receive,
                mode: receive_mode,
            },
        })
    }

    fn follow_ipcp(&mut self, own: Vec<ProtocolStep>, steps: &mut Vec<Step>) {
        for step in own {
            match step {
                ProtocolStep::Send(packet) => steps.push(Step::Send(Protocol::IPCP, packet)),
                ProtocolStep::Up | ProtocolStep::Down => self.review(steps),
                ProtocolStep::Finished(finish) => self.network_protocol_finished(
                    Ipcp::PROTOCOL,
                    finish,
                    self.ipv6cp.as_ref().is_some_and(|ipv6cp| ipv6cp.is_alive()),
                    steps,
                ),
            }
        }
    }

    fn follow_ipv6cp(&mut self, own: Vec<ProtocolStep>, steps: &mut Vec<Step>) {
        for step in own {
            match step {
                ProtocolStep::Send(packet) => steps.push(Step::Send(Protocol::IPV6CP, packet)),
                ProtocolStep::Up | ProtocolStep::Down => self.review(steps),
                ProtocolStep::Finished(finish) => self.network_protocol_finished(
                    Ipv6cp::PROTOCOL,
                    finish,
                    self.ipcp.is_alive(),
                    steps,
                ),
            }
        }
    }

    fn network_protocol_finished(
        &self,
        protocol: Protocol,
        finish: Finish,
        other_lives: bool,
        steps: &mut Vec<Step>,
    ) {
        if !other_lives {
            steps.push(Step::Fail(match finish {
                Finish::TimedOut | Finish::NotConverging => Cause::NotConverging(protocol),
                Finish::Closed | Finish::Rejected => Cause::NoNetworkProtocol,
            }));
        }
    }

    fn look_for_trouble(&self, steps: &mut Vec<Step>) {
        if self.ccp.is_alive() && !self.ccp.is_open() && self.ccp.negotiation.hopeless() {
            steps.push(Step::Fail(Cause::EncryptionRefused));
        }
        if let Some(cause) = self.ipcp.negotiation.trouble() {
            steps.push(Step::Fail(cause));
        }
    }

    /// Compares what may flow with what was reported, and reports a change.
    fn review(&mut self, steps: &mut Vec<Step>) {
        let required = self.required;
        let ipv4 = self.ipcp.is_open().then(|| self.ipcp.negotiation.agreed());
        let ipv6 = self
            .ipv6cp
            .as_ref()
            .filter(|ipv6cp| ipv6cp.is_open())
            .and_then(|ipv6cp| ipv6cp.negotiation.agreed());
        let overhead = if self.encrypted { MPPE_OVERHEAD } else { 0 };
        let open = (ipv4.is_some() || ipv6.is_some()) && (self.encrypted || !required);
        let permit = open.then(|| NetworkPermit {
            ipv4,
            ipv6,
            encryption_required: required,
            mtu: self.mtu.saturating_sub(overhead),
        });
        if permit != self.permit {
            self.permit = permit;
            steps.push(Step::Event(match permit {
                Some(permit) => Event::NetworkUp(permit),
                None => Event::NetworkDown,
            }));
        }
    }
}
