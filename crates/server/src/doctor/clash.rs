//! Checks of the clients' addresses against those of this host, and of what else runs here.

use std::net::{IpAddr, Ipv4Addr};

use sys::netlink::{Route, proxy_arp_interface};

use super::Check;
use super::snapshot::{Snapshot, Tunnels};

/// What a full tunnel packet adds to the MRU: IPv4 header 20, GRE header 16, address, control and protocol of PPP 4.
const OVERHEAD: u32 = 40;

/// Whether there is an interface on which ARP is answered for the clients.
pub(super) fn proxy_arp(seen: &Snapshot, tunnels: &Tunnels) -> Check {
    const ID: &str = "proxy-arp";
    const TITLE: &str = "neighbours find the clients";
    if !tunnels.proxy_arp {
        return Check::fine(ID, TITLE, "proxyarp is not set");
    }
    let found = |address: &Ipv4Addr| proxy_arp_interface(&seen.interfaces, *address);
    if let Some(address) = tunnels.remotes.iter().find(|address| found(address).is_none()) {
        let text = format!(
            "proxyarp is set, but no interface that is up and speaks ARP is in the network of {address}"
        );
        let command = "take proxyarp out of the options file, or make remoteip addresses of the local network";
        return Check::trouble(ID, TITLE, text, command);
    }
    match tunnels.remotes.first().and_then(found) {
        Some(interface) => {
            Check::fine(ID, TITLE, format!("ARP is answered for them on {}", interface.name))
        }
        None => Check::unknown(ID, TITLE, "clients' addresses are not known before they log in"),
    }
}

/// Whether somebody else has the clients' addresses.
pub(super) fn addresses(seen: &Snapshot, tunnels: &Tunnels) -> Check {
    const ID: &str = "addresses";
    const TITLE: &str = "the clients' addresses are free";
    let command = "choose other addresses for remoteip, none of which is in use";
    for interface in &seen.interfaces {
        for address in interface.addresses.iter().filter(|address| address.peer.is_none()) {
            if let IpAddr::V4(own) = address.local
                && tunnels.remotes.contains(&own)
            {
                let text = format!("{own} is for clients, and {} has it", interface.name);
                return Check::trouble(ID, TITLE, text, command);
            }
        }
    }
    for address in &tunnels.remotes {
        let elsewhere = |route: &&Route| {
            route.prefix_len > 0 && route.gateway.is_some() && holds(route, *address)
        };
        if let Some(route) = seen.routes.iter().find(elsewhere) {
            let (network, bits) = (route.destination, route.prefix_len);
            let gateway = route.gateway.map(|gateway| gateway.to_string()).unwrap_or_default();
            let text =
                format!("{address} is for clients, and {network}/{bits} is behind {gateway}");
            return Check::trouble(ID, TITLE, text, command);
        }
    }
    match ranges(&tunnels.remotes)[..] {
        [] => Check::unknown(ID, TITLE, "they are not known before somebody logs in"),
        [(first, last), ..] => {
            Check::fine(ID, TITLE, format!("from {first} to {last}, {}", tunnels.remotes.len()))
        }
    }
}

fn holds(route: &Route, address: Ipv4Addr) -> bool {
    let IpAddr::V4(first) = route.destination else { return false };
    let host_bits = 32u32.saturating_sub(route.prefix_len.into());
    let mask = u32::MAX.checked_shl(host_bits).unwrap_or(0);
    u32::from(first) & mask == u32::from(address) & mask
}

/// Addresses as ranges of neighbours, in order.
pub(super) fn ranges(addresses: &[Ipv4Addr]) -> Vec<(Ipv4Addr, Ipv4Addr)> {
    let mut sorted = addresses.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    let mut ranges: Vec<(Ipv4Addr, Ipv4Addr)> = Vec::new();
    for address in sorted {
        match ranges.last_mut() {
            Some((_, last)) if u32::from(*last).checked_add(1) == Some(address.into()) => {
                *last = address;
            }
            _ => ranges.push((address, address)),
        }
    }
    ranges
}

/// Whether full tunnel packets leave whole.
pub(super) fn mtu(seen: &Snapshot, tunnels: &Tunnels) -> Check {
    const ID: &str = "mtu";
    const TITLE: &str = "full tunnel packets fit the way out";
    let Some(interface) = seen.outward() else {
        return Check::unknown(ID, TITLE, "this host has no default route");
    };
    let (name, mtu, full) = (&interface.name, interface.mtu, u32::from(tunnels.mru) + OVERHEAD);
    if full <= mtu {
        return Check::fine(ID, TITLE, format!("{full} bytes; the MTU of {name} is {mtu}"));
    }
    let fits = mtu.saturating_sub(OVERHEAD);
    let text = format!(
        "packets of {full} bytes do not fit the MTU {mtu} of {name}: each becomes two fragments, which many networks drop"
    );
    let command = format!("write into the options file: mtu {fits}, and below it: mru {fits}");
    Check::trouble(ID, TITLE, text, command)
}

/// Whether other servers or modules are in the way.
pub(super) fn others(seen: &Snapshot) -> Check {
    const ID: &str = "others";
    const TITLE: &str = "no other PPTP server is in the way";
    if let Some(other) = seen.servers.iter().find(|server| server.name != super::judge::OURS) {
        let text = format!("{} runs (process {})", other.name, other.id);
        return Check::trouble(ID, TITLE, text, format!("systemctl disable --now {}", other.name));
    }
    let known = ["pptp", "nf_conntrack_pptp", "nf_nat_pptp", "gre"];
    let loaded: Vec<&str> =
        known.into_iter().filter(|name| seen.modules.iter().any(|module| module == name)).collect();
    if loaded.is_empty() {
        return Check::fine(ID, TITLE, "none runs, and no module for PPTP is loaded");
    }
    let text = format!("none runs; the kernel's modules {} do no harm", loaded.join(", "));
    Check::fine(ID, TITLE, text)
}
