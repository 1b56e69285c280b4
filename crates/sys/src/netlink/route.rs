//! Routes.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::route::{RouteAttribute, RouteMessage, RouteScope, RouteType};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::attributes::attributes;
use super::{Error, Netlink, PROTOCOL};

pub(super) const RTM_NEWROUTE: u16 = 24;

/// Length of `struct rtmsg` { family: u8, destination_len: u8, source_len: u8, tos: u8, table: u8, protocol: u8, scope: u8, type: u8, flags: u32 }.
pub(super) const HEADER: usize = 12;
const RTA_DST: u16 = 1;
pub(super) const RTA_OIF: u16 = 4;
pub(super) const RTA_GATEWAY: u16 = 5;
const RTA_PRIORITY: u16 = 6;
const RTA_PREFSRC: u16 = 7;
const RTA_TABLE: u16 = 15;

/// The main table's number.
const MAIN_TABLE: u32 = 254;

/// A unicast route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// First address of the destination.
    pub destination: IpAddr,
    /// Length of its prefix, in bits.
    pub prefix_len: u8,
    /// The next hop; `None` when the destination is on the segment.
    pub gateway: Option<IpAddr>,
    /// The interface's index.
    pub interface: Option<u32>,
    /// The source address for packets of this host.
    pub source: Option<IpAddr>,
    /// The metric: the lowest wins.
    pub metric: Option<u32>,
    /// The table: 254 is the main one.
    pub table: u32,
    /// Who made it: [`PROTOCOL`] for our own, 2 the kernel.
    pub protocol: u8,
}

impl Route {
    /// A route of ours in the main table, which has yet to be given a gateway or an interface.
    #[must_use]
    pub fn to(destination: impl Into<IpAddr>, prefix_len: u8) -> Self {
        Self {
            destination: destination.into(),
            prefix_len,
            gateway: None,
            interface: None,
            source: None,
            metric: None,
            table: MAIN_TABLE,
            protocol: PROTOCOL,
        }
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.destination, self.prefix_len)?;
        if let Some(gateway) = self.gateway {
            write!(f, " via {gateway}")?;
        }
        if let Some(interface) = self.interface {
            write!(f, " on interface {interface}")?;
        }
        Ok(())
    }
}

impl Netlink {
    /// Adds a route.
    ///
    /// # Errors
    ///
    /// What the kernel says; one that [`already_exists`](Error::already_exists).
    pub fn add_route(&mut self, route: &Route) -> Result<(), Error> {
        let message = RouteNetlinkMessage::NewRoute(message(route));
        self.request(message, NLM_F_CREATE | NLM_F_EXCL, || format!("add route {route}"))
    }

    /// Deletes a route.
    ///
    /// # Errors
    ///
    /// What the kernel says; one that [`is_absent`](Error::is_absent).
    pub fn delete_route(&mut self, route: &Route) -> Result<(), Error> {
        let message = RouteNetlinkMessage::DelRoute(message(route));
        self.request(message, 0, || format!("delete route {route}"))
    }

    /// All unicast routes of all tables, IPv4 first. Of a route with several next hops none are given.
    ///
    /// # Errors
    ///
    /// When the kernel does not answer.
    pub fn routes(&mut self) -> Result<Vec<Route>, Error> {
        let mut routes = Vec::new();
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let mut message = RouteMessage::default();
            message.header.address_family = family;
            let question = RouteNetlinkMessage::GetRoute(message);
            routes.append(&mut self.dump(&question, RTM_NEWROUTE, "list routes", route)?);
        }
        Ok(routes)
    }
}

fn message(route: &Route) -> RouteMessage {
    let mut message = RouteMessage::default();
    let header = &mut message.header;
    header.address_family = match route.destination {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    };
    header.destination_prefix_length = route.prefix_len;
    // Tables above 255 are only in the attribute.
    header.table = u8::try_from(route.table).unwrap_or(0);
    header.protocol = route.protocol.into();
    header.kind = RouteType::Unicast;
    header.scope = match route.gateway {
        None if route.destination.is_ipv4() => RouteScope::Link,
        _ => RouteScope::Universe,
    };
    let attributes = &mut message.attributes;
    attributes.push(RouteAttribute::Destination(route.destination.into()));
    attributes.push(RouteAttribute::Table(route.table));
    attributes.extend(route.gateway.map(|it| RouteAttribute::Gateway(it.into())));
    attributes.extend(route.interface.map(RouteAttribute::Oif));
    attributes.extend(route.source.map(|it| RouteAttribute::PrefSource(it.into())));
    attributes.extend(route.metric.map(RouteAttribute::Priority));
    message
}

fn route(payload: &[u8]) -> Option<Route> {
    let header: &[u8; HEADER] = payload.first_chunk()?;
    let any: IpAddr = match i32::from(header[0]) {
        libc::AF_INET => Ipv4Addr::UNSPECIFIED.into(),
        libc::AF_INET6 => Ipv6Addr::UNSPECIFIED.into(),
        _ => return None,
    };
    if RouteType::from(header[7]) != RouteType::Unicast {
        return None;
    }
    let mut route = Route::to(any, header[1]);
    route.table = header[4].into();
    route.protocol = header[5];
    for attribute in attributes(&payload[HEADER..]) {
        match attribute.kind {
            RTA_DST => route.destination = attribute.address()?,
            RTA_OIF => route.interface = attribute.number(),
            RTA_GATEWAY => route.gateway = attribute.address(),
            RTA_PRIORITY => route.metric = attribute.number(),
            RTA_PREFSRC => route.source = attribute.address(),
            RTA_TABLE => route.table = attribute.number()?,
            _ => {}
        }
    }
    Some(route)
}
