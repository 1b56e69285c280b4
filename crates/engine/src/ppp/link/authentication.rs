//! A link's authentication phase.

use alloc::boxed::Box;
use alloc::vec::Vec;

use wire::ppp::Protocol;

use super::{Auth, Link};
use crate::Instant;
use crate::auth::Authenticated;
use crate::auth::authenticator::{Authenticator, Step as AuthenticatorStep};
use crate::auth::peer::{Peer, Step as PeerStep};
use crate::ppp::config::{ClientConfig, Side};
use crate::ppp::network::Addresses;
use crate::ppp::{Cause, Event};

impl Link {
    /// LCP is open: authentication, as LCP agreed, or the network phase where none is wanted.
    pub(super) fn authenticate(&mut self, now: Instant) {
        let lcp = &self.lcp.negotiation;
        match &self.config.side {
            Side::Server(server) => match (lcp.peer_method(), server.anonymous) {
                (Some(method), _) => {
                    let mut steps = Vec::new();
                    self.auth = Auth::Server(Authenticator::start(
                        method,
                        server,
                        self.first_wait,
                        now,
                        &mut self.random,
                        &mut steps,
                    ));
                    self.follow_authenticator(now, steps);
                }
                (None, Some(grant)) => self.enter_unauthenticated(now, Addresses::Give(grant)),
                (None, None) => {
                    self.terminate(now, Cause::Local("no address for an anonymous peer"))
                }
            },
            Side::Client(client) => match lcp.own_method() {
                Some(method) => {
                    let mut steps = Vec::new();
                    let peer = Peer::start(method, client, now, &mut steps);
                    self.auth = Auth::Client(Box::new(peer));
                    self.follow_peer(now, steps);
                }
                None => {
                    let address = client.address;
                    self.enter_unauthenticated(now, Addresses::Ask(address));
                }
            },
        }
    }

    fn enter_unauthenticated(&mut self, now: Instant, addresses: Addresses) {
        let waived = Authenticated::waived();
        self.report_authenticated(&waived);
        self.enter_network(now, waived, addresses);
    }

    pub(super) fn handle_authentication(&mut self, now: Instant, protocol: Protocol, body: &[u8]) {
        match (&mut self.auth, &self.config.side) {
            (Auth::Server(authenticator), _) if authenticator.protocol() == protocol => {
                let mut steps = Vec::new();
                authenticator.handle_packet(body, &mut self.random, &mut steps);
                self.follow_authenticator(now, steps);
            }
            (Auth::Client(peer), Side::Client(client)) if peer.protocol() == protocol => {
                let mut steps = Vec::new();
                peer.handle_packet(client, body, &mut self.random, &mut steps);
                self.follow_peer(now, steps);
            }
            _ => self.reject_protocol(protocol, body),
        }
    }

    pub(super) fn run_authentication_timer(&mut self, now: Instant) {
        match (&mut self.auth, &self.config.side) {
            (Auth::Server(authenticator), Side::Server(server)) => {
                let mut steps = Vec::new();
                authenticator.handle_timeout(server, now, &mut self.random, &mut steps);
                self.follow_authenticator(now, steps);
            }
            (Auth::Client(peer), Side::Client(client)) => {
                let mut steps = Vec::new();
                peer.handle_timeout(client, now, &mut steps);
                self.follow_peer(now, steps);
            }
            _ => {}
        }
    }

    pub(super) fn follow_authenticator(&mut self, now: Instant, steps: Vec<AuthenticatorStep>) {
        for step in steps {
            match step {
                AuthenticatorStep::Send(protocol, packet) => self.send(protocol, &packet),
                AuthenticatorStep::Challenged(method) => self.event(Event::Challenged(method)),
                AuthenticatorStep::Ask(request) => self.event(Event::Authenticate(request)),
                AuthenticatorStep::TimedOut(method) => {
                    self.terminate(now, Cause::AuthenticationTimeout(method));
                }
            }
        }
    }

    fn follow_peer(&mut self, now: Instant, steps: Vec<PeerStep>) {
        for step in steps {
            match step {
                PeerStep::Send(protocol, packet) => self.send(protocol, &packet),
                PeerStep::Accepted(verdict) => {
                    let Side::Client(ClientConfig { address, .. }) = self.config.side else {
                        return;
                    };
                    if self.network.is_none() {
                        self.report_authenticated(&verdict);
                        self.enter_network(now, verdict, Addresses::Ask(address));
                    }
                }
                PeerStep::Refused { method, name, message } => {
                    self.event(Event::AuthenticationFailed {
                        method,
                        name,
                        reason: None,
                        message,
                        retry: false,
                    });
                    self.terminate(now, Cause::AuthenticationFailed);
                }
                PeerStep::ServerNotAuthentic => self.terminate(now, Cause::ServerNotAuthentic),
                PeerStep::TimedOut(method) => {
                    self.terminate(now, Cause::AuthenticationTimeout(method));
                }
            }
        }
    }

    pub(super) fn report_authenticated(&mut self, verdict: &Authenticated) {
        if self.network.is_none() {
            let (method, name) = (verdict.method(), verdict.name().to_vec());
            self.event(Event::Authenticated { method, name });
        }
    }
}
