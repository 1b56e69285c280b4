//! IPCP's options (RFC 1332, RFC 1877).

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::Ipv4Addr;

use wire::ipcp::IpcpOption;
use wire::ppp::Protocol;

use super::control_protocol::{Judgement, Negotiation, Verdict, judge_each};
use super::{Cause, Grant, Ipv4Agreed};
use crate::Random;

/// How often an address is insisted on by both ends before that counts as a refusal.
const MAX_DISAGREEMENTS: u8 = 5;
/// How often a request without an address is answered with the address before it is taken as it is.
const MAX_REMINDERS: u8 = 3;
/// The peer's address when it keeps it to itself; pppd's choice.
const UNKNOWN_PEER: Ipv4Addr = Ipv4Addr::new(10, 64, 64, 64);

/// Both ends' IPv4 wishes.
#[derive(Debug)]
pub(crate) struct Ipcp {
    role: Role,
    /// Our address; `None` once the peer rejected the option.
    local: Option<Ipv4Addr>,
    /// The peer's address as agreed.
    remote: Option<Ipv4Addr>,
    /// Name servers: asked for and learnt (client side). `None`: not asked for.
    dns: [Option<Ipv4Addr>; 2],
    disagreements: u8,
    reminders: u8,
    trouble: Option<Box<Cause>>,
}

#[derive(Debug)]
enum Role {
    Server(Grant),
    Client,
}

impl Ipcp {
    pub(crate) fn server(grant: Grant) -> Self {
        Self::new(Role::Server(grant), grant.local, [None; 2])
    }

    /// A client that asks for `address` (`0.0.0.0`: any) and for name servers.
    pub(crate) fn client(address: Ipv4Addr) -> Self {
        Self::new(Role::Client, address, [Some(Ipv4Addr::UNSPECIFIED); 2])
    }

    fn new(role: Role, local: Ipv4Addr, dns: [Option<Ipv4Addr>; 2]) -> Self {
        Self {
            role,
            local: Some(local),
            remote: None,
            dns,
            disagreements: 0,
            reminders: 0,
            trouble: None,
        }
    }

    /// Why this can come to no good end, if so.
    pub(crate) fn trouble(&self) -> Option<Cause> {
        self.trouble.as_deref().cloned()
    }

    /// The addresses, once open.
    pub(crate) fn agreed(&self) -> Ipv4Agreed {
        let known = |address: Option<Ipv4Addr>| address.filter(|a| !a.is_unspecified());
        match &self.role {
            Role::Server(grant) => {
                Ipv4Agreed { local: grant.local, remote: grant.remote, dns: [None; 2] }
            }
            Role::Client => Ipv4Agreed {
                local: self.local.unwrap_or(Ipv4Addr::UNSPECIFIED),
                remote: self.remote.unwrap_or(UNKNOWN_PEER),
                dns: self.dns.map(known),
            },
        }
    }

    fn judge_as_server(
        &mut self,
        grant: Grant,
        option: IpcpOption<'_>,
        nak: &mut Vec<u8>,
    ) -> Judgement {
        let (asked, given, make): (_, _, fn(Ipv4Addr) -> IpcpOption<'static>) = match option {
            IpcpOption::Address(asked) => (asked, Some(grant.remote), IpcpOption::Address),
            IpcpOption::Dns1(asked) => (asked, grant.dns[0], IpcpOption::Dns1),
            IpcpOption::Dns2(asked) => (asked, grant.dns[1], IpcpOption::Dns2),
            IpcpOption::Nbns1(asked) => (asked, grant.nbns[0], IpcpOption::Nbns1),
            IpcpOption::Nbns2(asked) => (asked, grant.nbns[1], IpcpOption::Nbns2),
            _ => return Judgement::Reject,
        };
        let Some(given) = given else { return Judgement::Reject };
        if asked == given {
            return Judgement::Ack;
        }
        if matches!(option, IpcpOption::Address(_)) && !asked.is_unspecified() {
            self.disagreements = self.disagreements.saturating_add(1);
            if self.disagreements >= MAX_DISAGREEMENTS {
                self.trouble = Some(Box::new(Cause::AddressRefused(Some(asked))));
            }
        }
        make(given).emit(nak);
        Judgement::Nak
    }

    fn judge_as_client(&mut self, option: IpcpOption<'_>) -> Judgement {
        match option {
            IpcpOption::Address(address) if !address.is_unspecified() => {
                self.remote = Some(address);
                Judgement::Ack
            }
            _ => Judgement::Reject,
        }
    }

    fn nak(&mut self, option: IpcpOption<'_>) {
        match (&self.role, option) {
            (Role::Client, IpcpOption::Address(address)) => self.local = Some(address),
            (Role::Client, IpcpOption::Dns1(address)) => self.dns[0] = Some(address),
            (Role::Client, IpcpOption::Dns2(address)) => self.dns[1] = Some(address),
            (Role::Server(_), IpcpOption::Address(_)) => {
                self.disagreements = self.disagreements.saturating_add(1);
                if self.disagreements >= MAX_DISAGREEMENTS {
                    self.trouble = Some(Box::new(Cause::LocalAddressRefused));
                }
            }
            _ => {}
        }
    }

    fn reject(&mut self, option: IpcpOption<'_>) {
        match option {
            IpcpOption::Address(_) => {
                if matches!(self.role, Role::Client) {
                    self.trouble = Some(Box::new(Cause::LocalAddressRefused));
                }
                self.local = None;
            }
            IpcpOption::Dns1(_) => self.dns[0] = None,
            IpcpOption::Dns2(_) => self.dns[1] = None,
            _ => {}
        }
    }
}

impl Negotiation for Ipcp {
    const PROTOCOL: Protocol = Protocol::IPCP;

    fn request(&self, out: &mut Vec<u8>) {
        let local = self.local.map(IpcpOption::Address);
        let [dns1, dns2] = self.dns;
        let servers = [dns1.map(IpcpOption::Dns1), dns2.map(IpcpOption::Dns2)];
        for option in local.into_iter().chain(servers.into_iter().flatten()) {
            option.emit(out);
        }
    }

    fn judge(&mut self, options: &[u8], _random: &mut Random) -> Option<Verdict> {
        let mut has_address = false;
        let verdict = judge_each(options, |raw, nak| {
            let option = IpcpOption::parse(raw);
            has_address |= matches!(option, IpcpOption::Address(_));
            match self.role {
                Role::Server(grant) => self.judge_as_server(grant, option, nak),
                Role::Client => self.judge_as_client(option),
            }
        })?;
        let Role::Server(grant) = self.role else { return Some(verdict) };
        if verdict == Verdict::Ack && !has_address && self.reminders < MAX_REMINDERS {
            self.reminders = self.reminders.saturating_add(1);
            let mut nak = Vec::new();
            IpcpOption::Address(grant.remote).emit(&mut nak);
            return Some(Verdict::Nak(nak));
        }
        Some(verdict)
    }

    fn refused(&mut self, nak: bool, options: &[u8], _random: &mut Random) {
        for raw in wire::ppp::options(options).flatten() {
            let option = IpcpOption::parse(raw);
            if nak { self.nak(option) } else { self.reject(option) }
        }
    }

    fn restart(&mut self) {
        self.disagreements = 0;
        self.reminders = 0;
        if let Role::Server(grant) = self.role {
            self.local = Some(grant.local);
        }
    }
}
