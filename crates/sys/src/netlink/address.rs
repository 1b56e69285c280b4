//! Addresses of interfaces.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage, AddressScope};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::attributes::attributes;
use super::{Error, Netlink};

const RTM_NEWADDR: u16 = 20;

/// Length of `struct ifaddrmsg` { family: u8, prefix_len: u8, flags: u8, scope: u8, index: u32 }.
const HEADER: usize = 8;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;

/// An address of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InterfaceAddress {
    /// Our address.
    pub local: IpAddr,
    /// The address at the other end of a point-to-point interface.
    pub peer: Option<IpAddr>,
    /// Length of the subnet's prefix, in bits; of a point-to-point interface the peer's.
    pub prefix_len: u8,
}

impl Netlink {
    /// Gives an interface a point-to-point address: `local` here, `remote` at the other end, to which the kernel makes a route.
    ///
    /// # Errors
    ///
    /// What the kernel says; one that [`already_exists`](Error::already_exists).
    pub fn add_peer_address(
        &mut self,
        index: u32,
        local: Ipv4Addr,
        remote: Ipv4Addr,
    ) -> Result<(), Error> {
        let message = peer_address(index, local, remote);
        self.add(message, || format!("add address {local} peer {remote} to interface {index}"))
    }

    /// Takes a point-to-point address away again.
    ///
    /// # Errors
    ///
    /// What the kernel says; one that [`is_absent`](Error::is_absent).
    pub fn delete_peer_address(
        &mut self,
        index: u32,
        local: Ipv4Addr,
        remote: Ipv4Addr,
    ) -> Result<(), Error> {
        let message = RouteNetlinkMessage::DelAddress(peer_address(index, local, remote));
        self.request(message, 0, || {
            format!("delete address {local} peer {remote} of interface {index}")
        })
    }

    /// Gives an interface an address in a subnet.
    ///
    /// # Errors
    ///
    /// What the kernel says; one that [`already_exists`](Error::already_exists).
    pub fn add_address(
        &mut self,
        index: u32,
        address: IpAddr,
        prefix_len: u8,
    ) -> Result<(), Error> {
        let message = self::address(index, address, address, prefix_len);
        self.add(message, || format!("add address {address}/{prefix_len} to interface {index}"))
    }

    /// Gives an interface the IPv6 link-local address with this interface identifier, at once, without looking for duplicates.
    /// [`disable_address_generation`](Netlink::disable_address_generation) keeps it the only one.
    ///
    /// # Errors
    ///
    /// What the kernel says; one that [`already_exists`](Error::already_exists).
    pub fn add_link_local(&mut self, index: u32, interface_id: [u8; 8]) -> Result<(), Error> {
        let mut octets = [0; 16];
        octets[..2].copy_from_slice(&[0xfe, 0x80]);
        octets[8..].copy_from_slice(&interface_id);
        let local = Ipv6Addr::from(octets);
        let mut message = address(index, local.into(), local.into(), 64);
        message.header.scope = AddressScope::Link;
        message.attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
        self.add(message, || format!("add address {local} to interface {index}"))
    }

    /// All addresses, each with its interface's index.
    pub(super) fn addresses(&mut self) -> Result<Vec<(u32, InterfaceAddress)>, Error> {
        let question = RouteNetlinkMessage::GetAddress(AddressMessage::default());
        self.dump(&question, RTM_NEWADDR, "list addresses", interface_address)
    }

    fn add(
        &mut self,
        message: AddressMessage,
        operation: impl FnOnce() -> String,
    ) -> Result<(), Error> {
        let message = RouteNetlinkMessage::NewAddress(message);
        self.request(message, NLM_F_CREATE | NLM_F_EXCL, operation)
    }
}

fn peer_address(index: u32, local: Ipv4Addr, remote: Ipv4Addr) -> AddressMessage {
    address(index, local.into(), remote.into(), 32)
}

fn address(index: u32, local: IpAddr, address: IpAddr, prefix_len: u8) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = match local {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    };
    message.header.prefix_len = prefix_len;
    message.header.index = index;
    message.attributes.push(AddressAttribute::Local(local));
    message.attributes.push(AddressAttribute::Address(address));
    message
}

fn interface_address(payload: &[u8]) -> Option<(u32, InterfaceAddress)> {
    let header: &[u8; HEADER] = payload.first_chunk()?;
    let index = u32::from_ne_bytes([header[4], header[5], header[6], header[7]]);
    let mut address = None;
    let mut local = None;
    for attribute in attributes(&payload[HEADER..]) {
        match attribute.kind {
            IFA_ADDRESS => address = attribute.address(),
            IFA_LOCAL => local = attribute.address(),
            _ => {}
        }
    }
    let local = local.or(address)?;
    let peer = address.filter(|address| *address != local);
    Some((index, InterfaceAddress { local, peer, prefix_len: header[1] }))
}
