//! Interfaces.

use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsRawFd, BorrowedFd};

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{
    AfSpecInet6, AfSpecUnspec, In6AddrGenMode, InfoData, InfoKind, InfoVeth, LinkAttribute,
    LinkFlags, LinkInfo, LinkMessage,
};

use super::attributes::attributes;
use super::{Error, InterfaceAddress, Netlink};

const RTM_NEWLINK: u16 = 16;

/// Length of `struct ifinfomsg` { family: u8, pad, type: u16, index: u32, flags: u32, change: u32 }.
const HEADER: usize = 16;
const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its index.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// The largest packet, in bytes.
    pub mtu: u32,
    /// `IFF_*` of `linux/if.h`.
    pub flags: u32,
    /// `ARPHRD_*` of `linux/if_arp.h`: 1 is Ethernet, 65534 a TUN device.
    pub link_type: u16,
    /// Its hardware address, if that has six bytes as those of Ethernet.
    pub hardware: Option<[u8; 6]>,
    /// Its addresses.
    pub addresses: Vec<InterfaceAddress>,
}

impl Interface {
    /// Whether it has been brought up.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.flags & LinkFlags::Up.bits() != 0
    }

    /// Whether it has Ethernet frames.
    #[must_use]
    pub fn is_ethernet(&self) -> bool {
        self.link_type == libc::ARPHRD_ETHER && self.flags & LinkFlags::Loopback.bits() == 0
    }

    /// Whether it is a segment on which ARP can be answered for others: up, broadcast, Ethernet-like, neither point-to-point nor loopback,
    /// and with ARP.
    #[must_use]
    pub fn takes_proxy_arp(&self) -> bool {
        let wanted = LinkFlags::Up | LinkFlags::Broadcast;
        let relevant = wanted | LinkFlags::Pointopoint | LinkFlags::Loopback | LinkFlags::Noarp;
        let ethernet = [libc::ARPHRD_ETHER, libc::ARPHRD_IEEE802].contains(&self.link_type);
        self.flags & relevant.bits() == wanted.bits() && ethernet
    }
}

/// The interface on whose segment `peer` would be, where ARP has to be answered for it: as pppd does, of those that
/// [`takes_proxy_arp`](Interface::takes_proxy_arp) one with an address in whose subnet `peer` is, the narrowest subnet first, of equal ones the last.
#[must_use]
pub fn proxy_arp_interface(interfaces: &[Interface], peer: Ipv4Addr) -> Option<&Interface> {
    let narrowest = |interface: &Interface| {
        let subnets = interface.addresses.iter().filter(|address| address.has_in_subnet(peer));
        subnets.map(|address| address.prefix_len).max()
    };
    let segments = interfaces.iter().filter(|interface| interface.takes_proxy_arp());
    let holding = segments.filter_map(|interface| Some((narrowest(interface)?, interface)));
    holding.max_by_key(|(prefix_len, _)| *prefix_len).map(|(_, interface)| interface)
}

impl Netlink {
    /// All interfaces of the namespace with their addresses.
    ///
    /// # Errors
    ///
    /// When the kernel does not answer.
    pub fn interfaces(&mut self) -> Result<Vec<Interface>, Error> {
        let question = RouteNetlinkMessage::GetLink(LinkMessage::default());
        let mut interfaces = self.dump(&question, RTM_NEWLINK, "list interfaces", interface)?;
        for (index, address) in self.addresses()? {
            if let Some(interface) = interfaces.iter_mut().find(|it| it.index == index) {
                interface.addresses.push(address);
            }
        }
        Ok(interfaces)
    }

    /// One interface, without its addresses.
    ///
    /// # Errors
    ///
    /// One that [`is_absent`](Error::is_absent) when there is none.
    pub fn interface(&mut self, index: u32) -> Result<Interface, Error> {
        let mut found = None;
        let question = RouteNetlinkMessage::GetLink(link(index));
        let answered = self
            .ask(question, 0, RTM_NEWLINK, |payload| found = found.take().or(interface(payload)));
        let absent = || std::io::Error::from_raw_os_error(libc::ENODEV).into();
        answered
            .and_then(|()| found.ok_or_else(absent))
            .map_err(|failure| failure.during(format!("find interface {index}")))
    }

    /// The index of the interface of that name.
    ///
    /// # Errors
    ///
    /// One that [`is_absent`](Error::is_absent) when there is none.
    pub fn index_of(&mut self, name: &str) -> Result<u32, Error> {
        let question = RouteNetlinkMessage::GetLink(LinkMessage::default());
        let interfaces = self.dump(&question, RTM_NEWLINK, "list interfaces", interface)?;
        let found = interfaces.into_iter().find(|interface| interface.name == name);
        found.map(|interface| interface.index).ok_or_else(|| {
            let absent = std::io::Error::from_raw_os_error(libc::ENODEV);
            super::error::Failure::from(absent).during(format!("find interface {name:?}"))
        })
    }

    /// Brings an interface up or down.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn set_up(&mut self, index: u32, up: bool) -> Result<(), Error> {
        let mut message = link(index);
        message.header.flags = if up { LinkFlags::Up } else { LinkFlags::empty() };
        message.header.change_mask = LinkFlags::Up;
        let direction = if up { "up" } else { "down" };
        self.set(message, || format!("bring interface {index} {direction}"))
    }

    /// Sets the largest packet of an interface, in bytes.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn set_mtu(&mut self, index: u32, mtu: u32) -> Result<(), Error> {
        let mut message = link(index);
        message.attributes.push(LinkAttribute::Mtu(mtu));
        self.set(message, || format!("set the MTU of interface {index} to {mtu}"))
    }

    /// Gives an interface another hardware address. For tests.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn set_hardware_address(&mut self, index: u32, address: [u8; 6]) -> Result<(), Error> {
        let mut message = link(index);
        message.attributes.push(LinkAttribute::Address(address.to_vec()));
        self.set(message, || format!("set the hardware address of interface {index}"))
    }

    /// Gives an interface another name. Kernels before 6.2 want it down for that.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn rename(&mut self, index: u32, name: &str) -> Result<(), Error> {
        let mut message = link(index);
        message.attributes.push(LinkAttribute::IfName(name.to_owned()));
        self.set(message, || format!("rename interface {index} to {name:?}"))
    }

    /// Keeps the kernel from making up IPv6 link-local addresses for an interface. To be called before it is up.
    ///
    /// # Errors
    ///
    /// What the kernel says; `Unsupported` (`EAFNOSUPPORT`) without IPv6.
    pub fn disable_address_generation(&mut self, index: u32) -> Result<(), Error> {
        let mut message = link(index);
        let mode = AfSpecInet6::AddrGenMode(In6AddrGenMode::None);
        let family = AfSpecUnspec::Inet6(vec![mode]);
        message.attributes.push(LinkAttribute::AfSpecUnspec(vec![family]));
        self.set(message, || format!("disable IPv6 address generation on interface {index}"))
    }

    /// Deletes an interface.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn delete_link(&mut self, index: u32) -> Result<(), Error> {
        let message = RouteNetlinkMessage::DelLink(link(index));
        self.request(message, 0, || format!("delete interface {index}"))
    }

    /// Makes a pair of connected Ethernet interfaces, the second one in another namespace if one is given. For tests and the lab.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn create_veth(
        &mut self,
        name: &str,
        peer: &str,
        peer_namespace: Option<BorrowedFd<'_>>,
    ) -> Result<(), Error> {
        let mut other = LinkMessage::default();
        other.attributes.push(LinkAttribute::IfName(peer.to_owned()));
        if let Some(namespace) = peer_namespace {
            other.attributes.push(LinkAttribute::NetNsFd(namespace.as_raw_fd()));
        }
        let mut message = LinkMessage::default();
        message.attributes.push(LinkAttribute::IfName(name.to_owned()));
        message.attributes.push(LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::Veth),
            LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(other))),
        ]));
        let message = RouteNetlinkMessage::NewLink(message);
        self.request(message, NLM_F_CREATE | NLM_F_EXCL, || {
            format!("make interfaces {name:?} and {peer:?}")
        })
    }

    fn set(
        &mut self,
        message: LinkMessage,
        operation: impl FnOnce() -> String,
    ) -> Result<(), Error> {
        self.request(RouteNetlinkMessage::SetLink(message), 0, operation)
    }
}

fn link(index: u32) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message
}

fn interface(payload: &[u8]) -> Option<Interface> {
    let header: &[u8; HEADER] = payload.first_chunk()?;
    let word = |at: usize| {
        u32::from_ne_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
    };
    let mut interface = Interface {
        index: word(4),
        name: String::new(),
        mtu: 0,
        flags: word(8),
        link_type: u16::from_ne_bytes([header[2], header[3]]),
        hardware: None,
        addresses: Vec::new(),
    };
    for attribute in attributes(&payload[HEADER..]) {
        match attribute.kind {
            IFLA_ADDRESS => interface.hardware = attribute.value.try_into().ok(),
            IFLA_IFNAME => interface.name = attribute.text(),
            IFLA_MTU => interface.mtu = attribute.number()?,
            _ => {}
        }
    }
    Some(interface)
}

impl InterfaceAddress {
    /// Whether `other` is in this address's subnet.
    #[must_use]
    pub fn has_in_subnet(&self, other: Ipv4Addr) -> bool {
        let IpAddr::V4(local) = self.local else { return false };
        let host_bits = 32u32.saturating_sub(self.prefix_len.into());
        let mask = u32::MAX.checked_shl(host_bits).unwrap_or(0);
        (local.to_bits() ^ other.to_bits()) & mask == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lan(name: &str, flags: LinkFlags, address: [u8; 4], prefix_len: u8) -> Interface {
        let local = Ipv4Addr::from(address).into();
        Interface {
            index: 1,
            name: name.to_owned(),
            mtu: 1500,
            flags: flags.bits(),
            link_type: libc::ARPHRD_ETHER,
            hardware: None,
            addresses: vec![InterfaceAddress { local, peer: None, prefix_len }],
        }
    }

    fn chosen(interfaces: &[Interface]) -> Option<&str> {
        let peer = Ipv4Addr::new(192, 168, 0, 234);
        proxy_arp_interface(interfaces, peer).map(|interface| interface.name.as_str())
    }

    const LAN: LinkFlags = LinkFlags::Up.union(LinkFlags::Broadcast);

    #[test]
    fn proxy_arp_goes_to_the_narrowest_subnet_that_holds_the_peer() {
        let interfaces = [
            lan("wide", LAN, [192, 168, 3, 1], 16),
            lan("narrow", LAN, [192, 168, 0, 1], 24),
            lan("other", LAN, [192, 168, 1, 1], 25),
            lan("default", LAN, [10, 0, 0, 1], 0),
        ];
        assert_eq!(chosen(&interfaces), Some("narrow"));
        assert_eq!(chosen(&interfaces[2..]), Some("default"));
        assert_eq!(chosen(&interfaces[2..3]), None);
    }

    #[test]
    fn proxy_arp_needs_a_segment_with_arp() {
        let other_kinds = [
            LinkFlags::Broadcast,
            LinkFlags::Up,
            LAN | LinkFlags::Loopback,
            LAN | LinkFlags::Pointopoint,
            LAN | LinkFlags::Noarp,
        ];
        for flags in other_kinds {
            assert_eq!(chosen(&[lan("eth0", flags, [192, 168, 0, 1], 24)]), None, "{flags:?}");
        }
        let mut tunnel = lan("gre0", LAN, [192, 168, 0, 1], 24);
        tunnel.link_type = libc::ARPHRD_IPGRE;
        assert_eq!(chosen(&[tunnel]), None);
        assert_eq!(
            chosen(&[lan("eth0", LAN | LinkFlags::Promisc, [192, 168, 0, 1], 24)]),
            Some("eth0")
        );
    }
}
