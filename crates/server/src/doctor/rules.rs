//! Checks of forwarding and of this host's packet filter.

use std::net::Ipv4Addr;

use sys::netlink::Interface;

use super::firewall::{GRE, Hook, Packet, Ruleset, TCP, Verdict};
use super::snapshot::{Snapshot, Tunnels};
use super::{Check, Remedy};

/// The table that `--fix` adds.
const TABLE: &str = "gretel_doctor";
const IN: [Hook; 2] = [Hook::Prerouting, Hook::Input];
const OUT: [Hook; 2] = [Hook::Output, Hook::Postrouting];
const THROUGH: [Hook; 3] = [Hook::Prerouting, Hook::Forward, Hook::Postrouting];

/// The kernel setting that gives every connection its helper (Linux before 6.0).
pub(super) const HELPERS: &str = "net/netfilter/nf_conntrack_helper";

/// The kernel setting of an interface's reverse path filter.
pub(super) fn rp_filter(interface: &str) -> String {
    format!("net/ipv4/conf/{interface}/rp_filter")
}

/// TCP to the port, in and the answers out.
pub(super) fn tcp(seen: &Snapshot) -> Check {
    let port = seen.listen.first().map_or(wire::control::PORT, std::net::SocketAddr::port);
    let interface = outward(seen);
    let come = Packet {
        protocol: TCP,
        destination_port: Some(port),
        input: interface.clone(),
        ..Packet::default()
    };
    let answer = Packet {
        protocol: TCP,
        source_port: Some(port),
        output: interface,
        established: true,
        ..Packet::default()
    };
    let ways = [(come, &IN[..], "in", "dport"), (answer, &OUT[..], "out", "sport")];
    let ways = ways.map(|(packet, hooks, way, side)| Way {
        what: format!("TCP {port} {way}"),
        nft: format!("tcp {side} {port} accept"),
        iptables: format!("-p tcp --{side} {port} -j ACCEPT"),
        packet,
        hooks,
    });
    filter(seen, "firewall-tcp", "control connections pass the firewall", &ways)
}

/// GRE in. Where rules take what belongs to a known connection, the kernel's helper for PPTP makes it so.
pub(super) fn gre_in(seen: &Snapshot) -> Check {
    let related = is_helped(seen);
    let packet = Packet { protocol: GRE, input: outward(seen), related, ..Packet::default() };
    let way = gre(packet, &IN, "in");
    filter(seen, "firewall-gre-in", "GRE comes through the firewall", &[way])
}

/// Whether rules that take GRE only as part of its control connection have somebody who tells them.
pub(super) fn conntrack_helper(seen: &Snapshot) -> Check {
    const ID: &str = "conntrack-helper";
    const TITLE: &str = "GRE is known to belong to its control connection, where that counts";
    let rules = match &seen.firewall {
        Ok(rules) => rules,
        Err(error) => return Check::unknown(ID, TITLE, error.clone()),
    };
    let passes = |related| {
        let packet = Packet { protocol: GRE, input: outward(seen), related, ..Packet::default() };
        rules.judge(&packet, &IN) == Verdict::Pass
    };
    match (passes(false), passes(true), is_helped(seen)) {
        (true, ..) => Check::fine(ID, TITLE, "it does not count: the rules take GRE by itself"),
        (_, false, _) => Check::fine(ID, TITLE, "it does not count: no rule takes GRE for that"),
        (_, _, true) => Check::fine(ID, TITLE, "nf_conntrack_pptp tells the rules"),
        (_, _, false) => {
            let text = "the rules take GRE only as related to a known connection, and no helper tells them that it is";
            Check::trouble(
                ID,
                TITLE,
                text,
                "nft insert rule inet filter input ip protocol gre accept",
            )
        }
    }
}

/// Whether the kernel's helper for PPTP is there, and given to control connections.
fn is_helped(seen: &Snapshot) -> bool {
    let is_loaded = seen.modules.iter().any(|module| module == "nf_conntrack_pptp");
    let is_given = seen.sysctl(HELPERS) == Some("1")
        || seen.firewall.as_ref().is_ok_and(Ruleset::gives_helper);
    is_loaded && is_given
}

/// GRE out. The server speaks first when the client is silent, so that the kernel may not know the flow yet.
pub(super) fn gre_out(seen: &Snapshot) -> Check {
    let packet = Packet { protocol: GRE, output: outward(seen), ..Packet::default() };
    let way = gre(packet, &OUT, "out");
    filter(seen, "firewall-gre-out", "GRE goes out through the firewall", &[way])
}

fn gre<'a>(packet: Packet, hooks: &'a [Hook], way: &str) -> Way<'a> {
    Way {
        what: format!("protocol 47 {way}"),
        nft: "ip protocol gre accept".into(),
        iptables: "-p gre -j ACCEPT".into(),
        packet,
        hooks,
    }
}

/// Packets of clients through this host, and the answers.
pub(super) fn forward(seen: &Snapshot, tunnels: &Tunnels) -> Check {
    const ID: &str = "forward-rules";
    const TITLE: &str = "clients' packets are let through";
    let Some(client) = tunnels.remotes.first().copied() else {
        return Check::unknown(ID, TITLE, "clients' addresses are not known before they log in");
    };
    let outward = outward(seen);
    let (outward, tunnel) = (outward.as_str(), tunnels.interface.as_str());
    let go = Packet {
        protocol: TCP,
        source: Some(client),
        input: tunnel.into(),
        output: outward.into(),
        ..Packet::default()
    };
    let come = Packet {
        protocol: TCP,
        destination: Some(client),
        input: outward.into(),
        output: tunnel.into(),
        established: true,
        ..Packet::default()
    };
    let pattern: String = tunnel.trim_end_matches(|c: char| c.is_ascii_digit()).into();
    let ways = [
        Way {
            what: format!("from {client} out by {}", named(outward)),
            nft: format!("iifname \"{pattern}*\" accept"),
            iptables: format!("-i {pattern}+ -j ACCEPT"),
            packet: go,
            hooks: &THROUGH,
        },
        Way {
            what: format!("answers to {client}"),
            nft: format!("oifname \"{pattern}*\" ct state established,related accept"),
            iptables: format!("-o {pattern}+ -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT"),
            packet: come,
            hooks: &THROUGH,
        },
    ];
    filter(seen, ID, TITLE, &ways)
}

/// A way that packets take, and a rule that would let them.
struct Way<'a> {
    what: String,
    nft: String,
    iptables: String,
    packet: Packet,
    hooks: &'a [Hook],
}

fn filter(seen: &Snapshot, id: &'static str, title: &'static str, ways: &[Way<'_>]) -> Check {
    let rules = match &seen.firewall {
        Ok(rules) => rules,
        Err(error) => return Check::unknown(id, title, error.clone()),
    };
    let mut unclear = None;
    for way in ways {
        match rules.judge(&way.packet, way.hooks) {
            Verdict::Pass => {}
            Verdict::Drop(blame) => {
                let (rule, table, chain) = (&blame.rule, &blame.table, &blame.chain);
                let text = format!("{}: dropped in table {table} by: {rule}", way.what);
                return Check::trouble(id, title, text, insert(table, chain, way));
            }
            Verdict::Unclear(blame) => {
                let (rule, table) = (&blame.rule, &blame.table);
                let seen = format!(
                    "{}: this rule in table {table} cannot be judged here, and decides: {rule}",
                    way.what
                );
                unclear = unclear.or(Some(seen));
            }
        }
    }
    match unclear {
        Some(seen) => Check::unknown(id, title, seen),
        None => {
            let ways: Vec<&str> = ways.iter().map(|way| way.what.as_str()).collect();
            Check::fine(id, title, format!("no rule drops: {}", ways.join(", ")))
        }
    }
}

/// The command that lets packets pass at the beginning of the chain where they are dropped.
fn insert(table: &str, chain: &str, way: &Way<'_>) -> String {
    // The tables that iptables keeps in nftables are its own too.
    let table_of_iptables = table.strip_prefix("iptables ").or_else(|| {
        let is_its = chain.chars().all(|c| c.is_ascii_uppercase());
        table.strip_prefix("ip ").filter(|_| is_its)
    });
    match table_of_iptables {
        Some(table) => format!("iptables -t {table} -I {chain} {}", way.iptables),
        None => format!("nft insert rule {table} {chain} {}", way.nft.replace('"', "\\\"")),
    }
}

/// Whether this host passes packets on.
pub(super) fn forwarding(seen: &Snapshot) -> Check {
    const ID: &str = "forwarding";
    const TITLE: &str = "this host passes packets on";
    let path = sys::sysctl::IPV4_FORWARDING;
    match seen.sysctl(path) {
        Some("1") => Check::fine(ID, TITLE, "net.ipv4.ip_forward is 1"),
        Some(before) => {
            let text = format!("net.ipv4.ip_forward is {before}: clients reach this host only");
            let remedy = Remedy::Sysctl { path: path.into(), before: before.into(), value: "1" };
            Check::trouble(ID, TITLE, text, "sysctl -w net.ipv4.ip_forward=1").with(remedy)
        }
        None => Check::unknown(ID, TITLE, "net.ipv4.ip_forward cannot be read"),
    }
}

/// Whether the reverse path filter drops packets that take another way than their answers.
pub(super) fn reverse_path(seen: &Snapshot) -> Check {
    const ID: &str = "reverse-path";
    const TITLE: &str = "the reverse path filter lets clients in";
    let value = |name: &str| {
        let value = seen.sysctl(&rp_filter(name))?;
        value.parse::<u8>().ok()
    };
    let Some(all) = value("all") else {
        return Check::unknown(ID, TITLE, "net.ipv4.conf.all.rp_filter cannot be read");
    };
    let mut out: Vec<&Interface> = seen
        .interfaces
        .iter()
        .filter(|it| seen.routes.iter().any(|r| r.prefix_len == 0 && r.interface == Some(it.index)))
        .collect();
    out.sort_by_key(|interface| interface.index);
    // The larger of the two counts (the kernel's ip-sysctl.rst).
    let strict = |it: &&&Interface| value(&it.name).unwrap_or(0).max(all) == 1;
    let Some(interface) = out.iter().find(strict) else {
        return Check::fine(ID, TITLE, "it is off or loose on interfaces with a default route");
    };
    let name = &interface.name;
    if out.len() < 2 {
        return Check::fine(ID, TITLE, format!("it is strict, and {name} is the only way out"));
    }
    let text = format!(
        "it is strict on {name}, and this host has {} interfaces with a default route: clients that come by the other are not heard",
        out.len()
    );
    // 2 on the interface beats 1 for all.
    let before = seen.sysctl(&rp_filter(name)).unwrap_or("0").into();
    let remedy = Remedy::Sysctl { path: rp_filter(name), before, value: "2" };
    Check::trouble(ID, TITLE, text, format!("sysctl -w net.ipv4.conf.{name}.rp_filter=2"))
        .with(remedy)
}

/// Whether answers to clients find their way back.
pub(super) fn nat(seen: &Snapshot, tunnels: &Tunnels) -> Check {
    const ID: &str = "nat";
    const TITLE: &str = "clients' addresses are known beyond this host";
    let local = |address: Ipv4Addr| is_in_local_network(&seen.interfaces, address);
    let Some(foreign) = tunnels.remotes.iter().copied().find(|address| !local(*address)) else {
        return Check::fine(
            ID,
            TITLE,
            "they are of a network of this host, or given by the users' file",
        );
    };
    let outward = outward(seen);
    if outward.is_empty() {
        return Check::unknown(ID, TITLE, "this host has no default route");
    }
    let rules = match &seen.firewall {
        Ok(rules) => rules,
        Err(error) => return Check::unknown(ID, TITLE, error.clone()),
    };
    let packet = Packet {
        protocol: TCP,
        source: Some(foreign),
        input: tunnels.interface.clone(),
        output: outward.clone(),
        ..Packet::default()
    };
    match rules.translates(&packet) {
        Some(true) => Check::fine(ID, TITLE, format!("{foreign} is translated on {outward}")),
        None => Check::unknown(
            ID,
            TITLE,
            format!(
                "a rule that cannot be judged here decides whether {foreign} is translated on {outward}"
            ),
        ),
        Some(false) => {
            let text = format!(
                "{foreign} is of no network of this host, and nothing translates it on {outward}: unless the router there has a route to it, no answer comes back"
            );
            let script = masquerade(&tunnels.remotes, &outward);
            let command =
                format!("nft '{}'", script.split_whitespace().collect::<Vec<_>>().join(" "));
            Check::trouble(ID, TITLE, text, command).with(Remedy::Table { name: TABLE, script })
        }
    }
}

/// Whether an address is of a network on one of this host's segments.
pub(crate) fn is_in_local_network(interfaces: &[Interface], address: Ipv4Addr) -> bool {
    let segments = interfaces.iter().filter(|interface| interface.takes_proxy_arp());
    segments
        .flat_map(|interface| &interface.addresses)
        .any(|own| own.peer.is_none() && own.has_in_subnet(address))
}

/// Translates packets of these addresses that leave by an interface.
fn masquerade(addresses: &[Ipv4Addr], interface: &str) -> String {
    let ranges = super::clash::ranges(addresses);
    let ranges: Vec<String> = ranges
        .iter()
        .map(|(first, last)| match first == last {
            true => first.to_string(),
            false => format!("{first}-{last}"),
        })
        .collect();
    format!(
        "table ip {TABLE} {{ chain postrouting {{ type nat hook postrouting priority 100; oifname \"{interface}\" ip saddr {{ {} }} masquerade; }}; }}\n",
        ranges.join(", ")
    )
}

fn outward(seen: &Snapshot) -> String {
    seen.outward().map(|interface| interface.name.clone()).unwrap_or_default()
}

fn named(interface: &str) -> &str {
    if interface.is_empty() { "any interface" } else { interface }
}
