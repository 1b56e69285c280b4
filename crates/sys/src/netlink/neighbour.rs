//! Proxy ARP: neighbours for which this host answers.

use std::net::{IpAddr, Ipv4Addr};

use netlink_packet_core::NLM_F_CREATE;
use netlink_packet_route::neighbour::{
    NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::attributes::attributes;
use super::{Error, Netlink, PROTOCOL};

pub(super) const RTM_NEWNEIGH: u16 = 28;

/// Length of `struct ndmsg` { family: u8, pad, index: u32, state: u16, flags: u8, type: u8 }.
pub(super) const HEADER: usize = 12;
pub(super) const NDA_DST: u16 = 1;
const NDA_PROTOCOL: u16 = 12;

/// An address for which this host answers ARP requests on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProxyNeighbour {
    /// The interface.
    pub interface: u32,
    /// The address.
    pub address: Ipv4Addr,
    /// Who made it: [`PROTOCOL`] for our own, 0 where the kernel (before 5.0) does not remember.
    pub protocol: u8,
}

impl Netlink {
    /// Answers ARP requests for `address` on an interface from now on, until it is deleted or the interface goes. Where
    /// it is answered for already, whoever set that, it succeeds and makes the entry ours.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn add_proxy_neighbour(&mut self, interface: u32, address: Ipv4Addr) -> Result<(), Error> {
        let mut message = proxy(interface, address);
        message.header.state = NeighbourState::Permanent;
        message.attributes.push(NeighbourAttribute::Protocol(PROTOCOL.into()));
        let message = RouteNetlinkMessage::NewNeighbour(message);
        self.request(message, NLM_F_CREATE, || {
            format!("set proxy ARP for {address} on interface {interface}")
        })
    }

    /// No longer answers for `address` on an interface.
    ///
    /// # Errors
    ///
    /// What the kernel says; one that [`is_absent`](Error::is_absent).
    pub fn delete_proxy_neighbour(
        &mut self,
        interface: u32,
        address: Ipv4Addr,
    ) -> Result<(), Error> {
        let message = RouteNetlinkMessage::DelNeighbour(proxy(interface, address));
        self.request(message, 0, || {
            format!("delete proxy ARP for {address} on interface {interface}")
        })
    }

    /// All addresses for which this host answers, whoever set them.
    ///
    /// # Errors
    ///
    /// When the kernel does not answer.
    pub fn proxy_neighbours(&mut self) -> Result<Vec<ProxyNeighbour>, Error> {
        let mut message = NeighbourMessage::default();
        message.header.family = AddressFamily::Inet;
        message.header.flags = NeighbourFlags::Proxy;
        let question = RouteNetlinkMessage::GetNeighbour(message);
        self.dump(&question, RTM_NEWNEIGH, "list proxy neighbours", proxy_neighbour)
    }
}

fn proxy(interface: u32, address: Ipv4Addr) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    message.header.family = AddressFamily::Inet;
    message.header.ifindex = interface;
    message.header.flags = NeighbourFlags::Proxy;
    message.attributes.push(NeighbourAttribute::Destination(address.into()));
    message
}

fn proxy_neighbour(payload: &[u8]) -> Option<ProxyNeighbour> {
    let header: &[u8; HEADER] = payload.first_chunk()?;
    if header[10] & NeighbourFlags::Proxy.bits() == 0 {
        return None;
    }
    let interface = u32::from_ne_bytes([header[4], header[5], header[6], header[7]]);
    let mut address = None;
    let mut protocol = 0;
    for attribute in attributes(&payload[HEADER..]) {
        match (attribute.kind, attribute.address()) {
            (NDA_DST, Some(IpAddr::V4(destination))) => address = Some(destination),
            (NDA_PROTOCOL, _) => protocol = attribute.value.first().copied().unwrap_or(0),
            _ => {}
        }
    }
    Some(ProxyNeighbour { interface, address: address?, protocol })
}
