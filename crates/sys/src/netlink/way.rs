//! Where the kernel would send a packet, and whether it would take it.

use std::net::{IpAddr, Ipv4Addr};

use netlink_packet_core::NLM_F_REQUEST;
use netlink_packet_route::route::{RouteAttribute, RouteMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::attributes::attributes;
use super::{Error, NLMSG_ERROR, Netlink, error, messages};

const RTM_NEWROUTE: u16 = 24;
/// Length of `struct rtmsg`, whose eighth byte is the route's type.
const HEADER: usize = 12;
const TYPE_AT: usize = 7;
/// `RTN_LOCAL`: this host itself.
const LOCAL: u8 = 2;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PREFSRC: u16 = 7;
const RTA_METRICS: u16 = 8;
const RTAX_MTU: u16 = 2;

/// The way of a packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Way {
    /// Whether it is for this host itself.
    pub is_local: bool,
    /// The interface that it leaves by.
    pub interface: Option<u32>,
    /// The next hop; `None` when the destination is on the segment.
    pub gateway: Option<IpAddr>,
    /// The source address that this host would give it.
    pub source: Option<IpAddr>,
    /// The largest packet in bytes, where the kernel has learnt of one (path MTU discovery).
    pub mtu: Option<u32>,
}

impl Netlink {
    /// The way of a packet to `to`. `from` is its sender and the interface that it came by; `None`: this host itself.
    ///
    /// # Errors
    ///
    /// As [`kind`](Error::kind): `NetworkUnreachable` where no route leads there, `HostUnreachable` where this host does not pass packets on,
    /// `CrossesDevices` where the reverse path filter does not take it (newer kernels say `InvalidInput`, as for a route that forbids it).
    pub fn way(&mut self, to: Ipv4Addr, from: Option<(Ipv4Addr, u32)>) -> Result<Way, Error> {
        let mut message = RouteMessage::default();
        message.header.address_family = AddressFamily::Inet;
        message.header.destination_prefix_length = 32;
        message.attributes.push(RouteAttribute::Destination(to.into()));
        if let Some((source, interface)) = from {
            message.header.source_prefix_length = 32;
            message.attributes.push(RouteAttribute::Source(source.into()));
            message.attributes.push(RouteAttribute::Iif(interface));
        }
        let found = self.try_way(RouteNetlinkMessage::GetRoute(message));
        found.map_err(|failure| failure.during(format!("find a route to {to}")))
    }

    fn try_way(&mut self, question: RouteNetlinkMessage) -> Result<Way, error::Failure> {
        self.send(question, NLM_F_REQUEST)?;
        loop {
            let len = self.receive()?;
            for answer in messages(&self.buffer[..len]) {
                if answer.sequence != self.sequence {
                    continue;
                }
                match answer.kind {
                    NLMSG_ERROR => error::outcome(answer.flags, answer.payload)?,
                    RTM_NEWROUTE => return Ok(way(answer.payload)),
                    _ => {}
                }
            }
        }
    }
}

fn way(payload: &[u8]) -> Way {
    let mut way = Way { is_local: payload.get(TYPE_AT) == Some(&LOCAL), ..Way::default() };
    for attribute in attributes(payload.get(HEADER..).unwrap_or_default()) {
        match attribute.kind {
            RTA_OIF => way.interface = attribute.number(),
            RTA_GATEWAY => way.gateway = attribute.address(),
            RTA_PREFSRC => way.source = attribute.address(),
            RTA_METRICS => {
                let mut metrics = attributes(attribute.value);
                way.mtu = metrics.find(|metric| metric.kind == RTAX_MTU).and_then(|it| it.number());
            }
            _ => {}
        }
    }
    way
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::namespace;
    use crate::sysctl;
    use crate::tun::Tun;

    const OURS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
    const PEER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
    const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);

    #[test]
    fn the_kernel_tells_where_a_packet_goes_and_why_it_does_not() {
        let outcome = namespace::run_in_new(|| {
            let (tun, other) = (Tun::create("ppp%d").unwrap(), Tun::create("ppp%d").unwrap());
            let mut netlink = Netlink::open().unwrap();
            for index in [tun.index(), other.index()] {
                netlink.set_up(index, true).unwrap();
            }
            netlink.add_peer_address(tun.index(), OURS, PEER).unwrap();
            let here = netlink.way(OURS, None).unwrap();
            assert!(here.is_local, "{here:?}");
            let peer = netlink.way(PEER, None).unwrap();
            assert_eq!((peer.interface, peer.source), (Some(tun.index()), Some(OURS.into())));
            let kind = |result: Result<Way, Error>| result.unwrap_err().kind();
            let nowhere = netlink.way(ELSEWHERE, None);
            assert_eq!(kind(nowhere), io::ErrorKind::NetworkUnreachable);
            sysctl::write(sysctl::IPV4_FORWARDING, "0").unwrap();
            let closed = netlink.way(ELSEWHERE, Some((PEER, tun.index())));
            assert_eq!(kind(closed), io::ErrorKind::HostUnreachable);
            sysctl::write("net/ipv4/conf/all/rp_filter", "1").unwrap();
            let wrong_side = netlink.way(OURS, Some((PEER, other.index())));
            let refused = [io::ErrorKind::CrossesDevices, io::ErrorKind::InvalidInput];
            assert!(refused.contains(&kind(wrong_side)));
        });
        match outcome {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                eprintln!("skipped: no network namespace: {error}");
            }
            outcome => outcome.unwrap(),
        }
    }
}
