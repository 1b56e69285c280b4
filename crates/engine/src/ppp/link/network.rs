//! A link's network phase.

use alloc::vec::Vec;

use wire::ppp::{Packet, Protocol};

use super::{Auth, Link};
use crate::Instant;
use crate::auth::Authenticated;
use crate::ppp::Party;
use crate::ppp::network::{Addresses, Network, Plan, Step};

impl Link {
    pub(super) fn enter_network(
        &mut self,
        now: Instant,
        verdict: Authenticated,
        addresses: Addresses,
    ) {
        if self.network.is_some() {
            return;
        }
        let granted = match addresses {
            Addresses::Give(grant) => grant.mppe,
            Addresses::Ask(_) => None,
        };
        let plan = Plan {
            addresses,
            mppe: granted.unwrap_or(self.config.mppe),
            ipv6: self.config.ipv6,
            timers: self.config.network_timers,
            ipv6cp_timers: self.config.ipv6cp_timers,
            first_wait: self.first_wait,
            mtu: self.framing.peer_mru.min(self.config.lcp.mtu),
        };
        let mut steps = Vec::new();
        self.network = Some(Network::start(verdict, plan, now, &mut self.random, &mut steps));
        self.follow_network(now, steps);
    }

    pub(super) fn leave_network(&mut self) {
        let Some(mut network) = self.network.take() else { return };
        let mut steps = Vec::new();
        network.stop(&mut steps);
        for step in steps {
            if let Step::Event(event) = step {
                self.event(event);
            }
        }
    }

    pub(super) fn handle_network(&mut self, now: Instant, protocol: Protocol, body: &[u8]) {
        if protocol == Protocol::IPV6CP && self.config.ipv6.is_none() {
            return self.reject_protocol(protocol, body);
        }
        let Ok(packet) = Packet::parse(body) else { return };
        // Before authentication is over, RFC 1661 §3.4 has these dropped in silence.
        let Some(network) = &mut self.network else { return };
        let mut steps = Vec::new();
        network.handle_packet(now, protocol, &packet, &mut self.random, &mut steps);
        self.trace(protocol, Party::Peer, &packet);
        self.follow_network(now, steps);
    }

    pub(super) fn handle_encrypted(&mut self, now: Instant) {
        let Some(network) = &mut self.network else { return };
        let mut steps = Vec::new();
        network.handle_encrypted(now, &mut steps);
        self.follow_network(now, steps);
    }

    pub(super) fn run_network_timer(&mut self, now: Instant) {
        let Some(network) = &mut self.network else { return };
        if network.deadline().is_none_or(|deadline| now < deadline) {
            return;
        }
        // A peer that says nothing may have missed our Success, which many never ask for again.
        let deaf = !network.peer_spoke();
        let mut steps = Vec::new();
        network.handle_timeout(now, &mut steps);
        if deaf && let Auth::Server(authenticator) = &self.auth {
            let mut again = Vec::new();
            authenticator.repeat_success(&mut again);
            self.follow_authenticator(now, again);
        }
        self.follow_network(now, steps);
    }

    pub(super) fn follow_network(&mut self, now: Instant, steps: Vec<Step>) {
        for step in steps {
            match step {
                Step::Send(protocol, packet) => self.send(protocol, &packet),
                Step::Event(event) => self.event(event),
                Step::Fail(cause) => self.terminate(now, cause),
            }
        }
    }
}
