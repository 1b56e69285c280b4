//! One call: the engine's link on the control protocols, the kernel on everything else.

use std::net::Ipv4Addr;

use anyhow::Result;
use crypto::{Password, Secret, mppe::Strength};
use engine::{
    Instant,
    auth::{DenyReason, Request},
    ppp::{
        Event, Framing, LcpConfig, Link, LinkConfig, MppePolicy, NetworkPermit, Output,
        ServerConfig, Side, Timers,
    },
};
use sys::{
    netlink::Netlink,
    ppp::{Ccp, Channel, Direction, Unit},
};
use wire::ccp::{CcpOption, MppeBits};

use super::Account;

/// The first of the protocols that belong to the link itself (RFC 1661 §2); below are those of the network layer, and CCP.
const LINK_PROTOCOLS: u16 = 0xc000;
/// Longer than any frame of a control protocol.
const FRAME_LEN: usize = 2048;

/// A call that has been accepted.
pub(super) struct Call<'a> {
    account: &'a Account,
    link: Link,
    unit: Unit,
    channel: Channel,
    /// The Acknowledgements of CCP have yet to pass through the kernel.
    encrypts: bool,
    network: bool,
    ended: bool,
}

impl<'a> Call<'a> {
    /// Channel, interface and link of a call between these addresses.
    pub(super) fn new(
        account: &'a Account,
        local: Ipv4Addr,
        peer: Ipv4Addr,
        peer_call_id: u16,
        now: Instant,
    ) -> Result<Self> {
        let channel = Channel::open(local, peer, peer_call_id)?;
        let unit = Unit::create(&channel)?;
        let config = LinkConfig {
            side: Side::Server(ServerConfig::default()),
            lcp: LcpConfig::default(),
            mppe: MppePolicy::REQUIRE_128,
            ipv6: None,
            network_timers: Timers::default(),
            ipv6cp_timers: Timers::default(),
        };
        let link = Link::new(config, sys::random_bytes()?, now);
        Ok(Self { account, link, unit, channel, encrypts: false, network: false, ended: false })
    }

    pub(super) fn call_id(&self) -> u16 {
        self.channel.call_id()
    }

    pub(super) fn channel(&self) -> &Channel {
        &self.channel
    }

    pub(super) fn unit(&self) -> &Unit {
        &self.unit
    }

    pub(super) fn ended(&self) -> bool {
        self.ended
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.link.poll_timeout().map(|(at, _)| at)
    }

    pub(super) fn start(&mut self, now: Instant) {
        self.link.start(now);
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.link.handle_timeout(now);
    }

    pub(super) fn read_channel(&mut self, now: Instant) -> Result<()> {
        let mut frame = [0; FRAME_LEN];
        let len = self.channel.receive(&mut frame)?;
        self.link.handle_frame(now, &frame[..len]);
        Ok(())
    }

    pub(super) fn read_unit(&mut self, now: Instant) -> Result<()> {
        let mut frame = [0; FRAME_LEN];
        let len = self.unit.receive(&mut frame)?;
        self.link.handle_frame(now, &frame[..len]);
        Ok(())
    }

    /// Carries out what the link wants, in its order.
    pub(super) fn pump(&mut self, now: Instant) -> Result<()> {
        while let Some(output) = self.link.poll_output() {
            match output {
                Output::Frame(frame) => self.send(&frame)?,
                Output::Event(event) => self.take(now, event)?,
            }
        }
        // Not before: an acknowledgement starts MPPE only while CCP negotiates.
        if std::mem::take(&mut self.encrypts) {
            self.unit.set_ccp(Ccp::Up)?;
        }
        Ok(())
    }

    fn send(&self, frame: &[u8]) -> Result<()> {
        let (protocol, body) = wire::ppp::split(frame)?;
        let frame = [&protocol.0.to_be_bytes(), body].concat();
        if protocol.0 >= LINK_PROTOCOLS {
            self.channel.send(&frame)?;
        } else {
            self.unit.send(&frame)?;
        }
        Ok(())
    }

    fn take(&mut self, now: Instant, event: Event) -> Result<()> {
        match event {
            Event::LinkUp(Framing { acfc, pfc, our_mru, .. }) => {
                self.channel.set_header_compression(acfc, pfc)?;
                self.unit.set_mru(our_mru)?;
            }
            Event::Authenticate(request) => self.judge(now, &request)?,
            Event::Keys(_) => self.encrypts = true,
            Event::NetworkUp(permit) if !self.network => self.network_up(permit)?,
            Event::Closed(cause) => {
                eprintln!("{cause}");
                self.ended = true;
            }
            _ => {}
        }
        Ok(())
    }

    fn judge(&mut self, now: Instant, request: &Request) -> Result<()> {
        let Account { user, password, grant } = self.account;
        let verdict = if request.name() == user.as_bytes() {
            request.verify(&Secret::from(Password::from(password.as_str())))
        } else {
            Err(request.refuse(DenyReason::UnknownUser))
        };
        match verdict {
            Ok(authenticated) => {
                if let Some(keys) = authenticated.keys() {
                    let keys = keys.start_keys(true, Strength::Bits128);
                    let option = mppe_option();
                    self.unit.prepare_mppe(Direction::Send, option, keys.send.as_bytes())?;
                    self.unit.prepare_mppe(Direction::Receive, option, keys.receive.as_bytes())?;
                    self.unit.set_ccp(Ccp::Negotiating)?;
                }
                self.link.authenticated(now, authenticated, *grant);
            }
            Err(denied) => self.link.deny(now, request.name(), denied),
        }
        Ok(())
    }

    fn network_up(&mut self, permit: NetworkPermit) -> Result<()> {
        let Some(agreed) = permit.ipv4() else { return Ok(()) };
        let mut netlink = Netlink::open()?;
        let index = netlink.index_of(&self.unit.name())?;
        netlink.set_mtu(index, permit.mtu().into())?;
        netlink.add_peer_address(index, agreed.local, agreed.remote)?;
        netlink.set_up(index, true)?;
        self.network = true;
        eprintln!("{} carries packets", self.unit.name());
        Ok(())
    }
}

/// CCP's option for 128 bits, stateless.
fn mppe_option() -> [u8; 6] {
    let mut option = Vec::new();
    CcpOption::Mppe(MppeBits(MppeBits::BITS_128.0 | MppeBits::STATELESS.0)).emit(&mut option);
    let mut bytes = [0; 6];
    bytes.copy_from_slice(&option);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_gets_the_option_as_it_is_negotiated() {
        assert_eq!(mppe_option(), [18, 6, 1, 0, 0, 0x40]);
    }
}
