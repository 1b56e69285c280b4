//! Where packets to an address would go: routes, neighbours, and news of their changes.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsFd, BorrowedFd};

use netlink_packet_route::neighbour::NeighbourMessage;
use netlink_packet_route::route::{RouteAttribute, RouteMessage};
use netlink_packet_route::rule::RuleMessage;
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use rustix::net::{RecvFlags, recv};

use super::attributes::attributes;
use super::neighbour::{HEADER as NEIGHBOUR_HEADER, NDA_DST, RTM_NEWNEIGH};
use super::route::{HEADER as ROUTE_HEADER, RTA_GATEWAY, RTA_OIF, RTM_NEWROUTE};
use super::{Error, Netlink};

const RTM_NEWRULE: u16 = 32;
const NDA_LLADDR: u16 = 2;
const RTA_METRICS: u16 = 8;
const RTA_VIA: u16 = 18;
const RTA_ENCAP: u16 = 22;
const RTAX_MTU: u16 = 2;
/// `RTN_UNICAST` of `linux/rtnetlink.h`.
const UNICAST: u8 = 1;
const RTA_PRIORITY_OF_RULE: u16 = 6;

/// States of a neighbour (`linux/neighbour.h`).
const REACHABLE: u16 = 0x02;
const STALE: u16 = 0x04;
const DELAY: u16 = 0x08;
const PROBE: u16 = 0x10;
const PERMANENT: u16 = 0x80;

/// Groups of `linux/rtnetlink.h`: interfaces, neighbours, IPv4 addresses, IPv4 routes.
const GROUPS: u32 = 1 | 1 << 2 | 1 << 4 | 1 << 6;

/// How the kernel would send to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path {
    /// The index of the interface.
    pub interface: u32,
    /// Who takes the packets on that interface's segment: the address itself, or a gateway.
    pub next: Ipv4Addr,
    /// The largest packet, where the route says so.
    pub mtu: Option<u32>,
}

/// A neighbour whose hardware address the kernel knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// The index of the interface.
    pub interface: u32,
    /// The address.
    pub address: Ipv4Addr,
    /// The hardware address.
    pub hardware: [u8; 6],
    /// Whether the kernel would ask anew before it trusted it for long: the next packet that it sends there makes it ask.
    pub is_stale: bool,
}

impl Netlink {
    /// How the kernel would send a packet from one of our addresses to another host. `None`: not at all, not as it is (in a tunnel), or to this host
    /// itself.
    ///
    /// # Errors
    ///
    /// When the kernel does not answer.
    pub fn path_to(&mut self, peer: Ipv4Addr, local: Ipv4Addr) -> Result<Option<Path>, Error> {
        let mut message = RouteMessage::default();
        message.header.address_family = AddressFamily::Inet;
        message.header.destination_prefix_length = 32;
        message.attributes.push(RouteAttribute::Destination(peer.into()));
        if !local.is_unspecified() {
            message.header.source_prefix_length = 32;
            message.attributes.push(RouteAttribute::Source(local.into()));
        }
        let question = RouteNetlinkMessage::GetRoute(message);
        let mut found = None;
        let answered = self.ask(question, 0, RTM_NEWROUTE, |payload| found = path(payload, peer));
        match answered {
            Ok(()) => Ok(found),
            Err(failure) => {
                let error = failure.during(format!("find the route to {peer}"));
                let unreachable =
                    [io::ErrorKind::NetworkUnreachable, io::ErrorKind::HostUnreachable];
                if unreachable.contains(&error.kind()) || error.is_absent() {
                    return Ok(None);
                }
                Err(error)
            }
        }
    }

    /// All IPv4 neighbours whose Ethernet address the kernel knows.
    ///
    /// # Errors
    ///
    /// When the kernel does not answer.
    pub fn neighbours(&mut self) -> Result<Vec<Neighbour>, Error> {
        let mut message = NeighbourMessage::default();
        message.header.family = AddressFamily::Inet;
        let question = RouteNetlinkMessage::GetNeighbour(message);
        self.dump(&question, RTM_NEWNEIGH, "list neighbours", neighbour)
    }

    /// The priorities of the IPv4 routing rules. Without policy routing they are 0, 32766 and 32767 (`ip rule`).
    ///
    /// # Errors
    ///
    /// When the kernel does not answer.
    pub fn rule_priorities(&mut self) -> Result<Vec<u32>, Error> {
        let mut message = RuleMessage::default();
        message.header.family = AddressFamily::Inet;
        let question = RouteNetlinkMessage::GetRule(message);
        self.dump(&question, RTM_NEWRULE, "list routing rules", |payload| {
            // `struct fib_rule_hdr` is laid out as `struct rtmsg`.
            let attributes = payload.get(ROUTE_HEADER..).map(attributes)?;
            let mut priorities = attributes.filter(|it| it.kind == RTA_PRIORITY_OF_RULE);
            // The first rule says none.
            Some(priorities.find_map(|it| it.number()).unwrap_or(0))
        })
    }
}

fn path(payload: &[u8], peer: Ipv4Addr) -> Option<Path> {
    let header: &[u8; ROUTE_HEADER] = payload.first_chunk()?;
    if header[7] != UNICAST {
        return None;
    }
    let mut path = Path { interface: 0, next: peer, mtu: None };
    for attribute in attributes(&payload[ROUTE_HEADER..]) {
        match attribute.kind {
            RTA_OIF => path.interface = attribute.number()?,
            RTA_GATEWAY => match attribute.address()? {
                IpAddr::V4(gateway) => path.next = gateway,
                IpAddr::V6(_) => return None,
            },
            RTA_METRICS => {
                let mut metrics = attributes(attribute.value);
                path.mtu = metrics.find(|it| it.kind == RTAX_MTU).and_then(|it| it.number());
            }
            RTA_VIA | RTA_ENCAP => return None,
            _ => {}
        }
    }
    (path.interface != 0).then_some(path)
}

fn neighbour(payload: &[u8]) -> Option<Neighbour> {
    let header: &[u8; NEIGHBOUR_HEADER] = payload.first_chunk()?;
    let interface = u32::from_ne_bytes([header[4], header[5], header[6], header[7]]);
    let state = u16::from_ne_bytes([header[8], header[9]]);
    if state & (REACHABLE | STALE | DELAY | PROBE | PERMANENT) == 0 {
        return None;
    }
    let (mut address, mut hardware) = (None, None);
    for attribute in attributes(&payload[NEIGHBOUR_HEADER..]) {
        match (attribute.kind, attribute.address()) {
            (NDA_DST, Some(IpAddr::V4(found))) => address = Some(found),
            (NDA_LLADDR, _) => hardware = attribute.value.try_into().ok(),
            _ => {}
        }
    }
    let is_stale = state & STALE != 0;
    Some(Neighbour { interface, address: address?, hardware: hardware?, is_stale })
}

/// News that interfaces, addresses, neighbours or routes have changed.
pub struct Changes(Socket);

impl std::fmt::Debug for Changes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Changes")
    }
}

impl Changes {
    /// Listens in the calling thread's network namespace.
    ///
    /// # Errors
    ///
    /// When there are no file descriptors left.
    pub fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind(&SocketAddr::new(0, GROUPS))?;
        socket.set_non_blocking(true)?;
        Ok(Self(socket))
    }

    /// Takes all news and gives whether there were any; also when some were lost.
    pub fn take(&self) -> bool {
        let mut any = false;
        let mut buffer = [0; 8192];
        loop {
            match recv(&self.0, &mut buffer[..], RecvFlags::DONTWAIT) {
                Ok(_) | Err(rustix::io::Errno::NOBUFS) => any = true,
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return any,
            }
        }
    }
}

impl AsFd for Changes {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
