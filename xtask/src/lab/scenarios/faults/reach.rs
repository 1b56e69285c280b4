//! The way between client and server.

use anyhow::Result;

use super::{ADDRESS, SOON, attempt, caller, ends_with, fault, serve, told, wall};
use crate::lab::{
    caller::Caller,
    network::{Namespace, plug, wire},
    scenarios::Scenario,
    segment::SERVER,
    server::{Files, wait_for_log},
    stranger::{call_request, start_request},
    world::World,
};
use crate::workspace;

pub(crate) const SCENARIOS: &[Scenario] = &[
    fault("fault G-101: GRE is dropped on its way to the server", |world| {
        blocked(world, "output", "drop", "G-101")
    }),
    fault("fault G-115: GRE is dropped by the server's own firewall", |world| {
        serve(world, &Files::SHIPPED)?;
        world.server.sh(&wall("input", "ip protocol 47 drop"))?;
        let caller = caller(world)?;
        ends_with(world, &caller, "G-115")
    }),
    fault("fault G-115: only answers are let in, and nothing ties GRE to its call", |world| {
        serve(world, &Files::SHIPPED)?;
        // A usual firewall, in whose kernel no helper for PPTP follows calls.
        world.server.sh(
            "nft 'table ip wall { chain here { type filter hook input priority 0; policy drop; \
                 ct state established,related accept; iif lo accept; tcp dport 1723 accept; icmp type echo-request accept; }; }'",
        )?;
        let caller = caller(world)?;
        ends_with(world, &caller, "G-115")
    }),
    fault("fault G-116: GRE comes by an interface whose reverse path filter is strict", |world| {
        second_line(world, "1", "", "G-116")
    }),
    fault("fault G-117: GRE comes by one interface, and answers leave by another", |world| {
        let deaf = wall("input", "iifname eth0 ip protocol 47 drop");
        second_line(world, "0", &deaf, "G-117")
    }),
    fault("fault G-117: the server's own rules give GRE another source address", |world| {
        serve(world, &Files::SHIPPED)?;
        world.server.sh(&wall("postrouting", "ip protocol 47 ip saddr set 10.99.0.44"))?;
        let caller = caller(world)?;
        ends_with(world, &caller, "G-117")
    }),
    fault("fault G-102: GRE is dropped on its way back", |world| {
        blocked(world, "input", "drop", "G-102")
    }),
    fault("fault G-103: GRE comes from another address than TCP", |world| {
        blocked(world, "output", "ip saddr set 10.99.0.19", "G-103")
    }),
    fault("fault G-104: a router changes call ids", |world| {
        blocked(world, "output", "@th,48,16 set 0x1234", "G-104")
    }),
    fault("fault G-105: the server's own firewall keeps GRE in", |world| {
        serve(world, &Files::SHIPPED)?;
        world.server.sh(&wall("output", "ip protocol 47 drop"))?;
        let caller = caller(world)?;
        ends_with(world, &caller, "G-105")
    }),
    fault("fault G-113: a second client calls from behind a router without PPTP helper", shared),
    fault("fault G-106: the control connection is reset", |world| {
        stranger(world, &[start_request(), call_request()].concat(), "reset", "G-106")
    }),
    fault("fault G-112: the client's program is killed", |world| {
        serve(world, &Files::SHIPPED)?;
        let mut caller = caller(world)?;
        caller.connect()?;
        caller.kill();
        told(world, ADDRESS, "G-112")
    }),
    fault("fault G-108: something else than PPTP comes to the port", |world| {
        stranger(world, b"GET / HTTP/1.0\r\n\r\n", "close", "G-108")
    }),
    fault("fault G-109: the port is opened and nothing is said", |world| {
        stranger(world, b"", "close", "G-109")
    }),
    fault("fault G-110: a client starts and places no call", |world| {
        stranger(world, &start_request(), "close", "G-110")
    }),
    fault("fault G-114: one address opens more connections than it may", |world| {
        // Of those that are let in, none says anything.
        world.make(["G-109"]);
        serve(world, &Files::SHIPPED)?;
        let caller = caller(world)?;
        caller.namespace.sh(&format!(
            "perl -MSocket -e 'for (1..70) {{ socket(my $s, PF_INET, SOCK_STREAM, 0); \
             connect($s, pack_sockaddr_in(1723, inet_aton(\"{SERVER}\"))); push @all, $s }}'"
        ))?;
        wait_for_log(&mut *world.server, "G-114: ", SOON)?;
        world.end_and_check()
    }),
    fault("fault G-504: the port is taken when the server starts", |world| {
        serve(world, &Files::SHIPPED)?;
        let folder = world.segment.folder.join("gretel").display().to_string();
        world.server.sh(&format!(
            "cd {folder}; {} serve --pptpd-conf pptpd.conf --ppp-options ppp-options --chap-secrets secrets \
             --pap-secrets secrets --gretel-toml gretel.toml --state-dir second 2>&1 | grep 'G-504: gretel (process'",
            workspace::gretel().display()
        ))?;
        world.end_and_check()
    }),
];

/// A rule for GRE in the client's own packet filter.
fn blocked(world: &mut World, hook: &str, what: &str, code: &str) -> Result<()> {
    serve(world, &Files::SHIPPED)?;
    let caller = caller(world)?;
    caller.namespace.sh(&wall(hook, &format!("ip protocol 47 {what}")))?;
    ends_with(world, &caller, code)
}

/// A client with a second line to the server, a wire, over which it sends its GRE; `filter` is the reverse path filter at its other end.
fn second_line(world: &mut World, filter: &str, rule: &str, code: &str) -> Result<()> {
    serve(world, &Files::SHIPPED)?;
    let caller = caller(world)?;
    world
        .segment
        .switch
        .sh("ip link add eth9 netns caller type veth peer name eth9 netns server")?;
    let result = (|| {
        world.server.sh(&format!(
            "ip link set eth9 up
             echo {filter} >/proc/sys/net/ipv4/conf/all/rp_filter
             echo {filter} >/proc/sys/net/ipv4/conf/eth9/rp_filter
             ip address add 10.97.0.1/24 dev eth9"
        ))?;
        // With a strict filter the server does not answer ARP there either.
        let hardware = world.server.sh("cat /sys/class/net/eth9/address")?;
        caller.namespace.sh(&format!(
            "ip link set eth9 up
             ip address add 10.97.0.9/24 dev eth9
             ip neighbour add 10.99.0.1 lladdr {} dev eth9
             ip route add 10.99.0.1/32 dev eth9 table 100
             ip rule add ipproto 47 lookup 100",
            hardware.trim()
        ))?;
        if !rule.is_empty() {
            caller.namespace.sh(rule)?;
        }
        attempt(&caller, "anna", "secret")
    })();
    world.server.sh("ip link del eth9; echo 0 >/proc/sys/net/ipv4/conf/all/rp_filter")?;
    result?;
    told(world, ADDRESS, code)
}

/// Two clients behind a router that masquerades TCP, and sends all GRE to the first of them.
fn shared(world: &mut World) -> Result<()> {
    serve(world, &Files::SHIPPED)?;
    let router = world.segment.wan_host("router", "10.99.0.20")?;
    router.sh(
        "ip link add inside type bridge && ip link set inside up
         ip address add 10.98.0.1/24 dev inside
         echo 1 >/proc/sys/net/ipv4/ip_forward
         nft 'table ip home {
             chain early { type filter hook prerouting priority -300; ip protocol 47 notrack; iifname eth0 ip protocol 47 ip daddr set 10.98.0.2; }
             chain late { type filter hook postrouting priority 0; oifname eth0 ip protocol 47 ip saddr set 10.99.0.20; }
             chain nat { type nat hook postrouting priority 100; oifname eth0 ip protocol tcp masquerade; }
         }'",
    )?;
    let mut first = behind(world, &router, "first", "10.98.0.2")?;
    let second = behind(world, &router, "second", "10.98.0.3")?;
    first.connect()?;
    attempt(&second, "anna", "secret")?;
    wait_for_log(&mut *world.server, "G-113: ", SOON)?;
    first.disconnect()?;
    world.end_and_check()
}

/// A client in the network behind a router.
fn behind(world: &World, router: &Namespace, name: &'static str, address: &str) -> Result<Caller> {
    let host = Namespace::new(name)?;
    wire((&host, "eth0"), (router, name))?;
    plug(router, "inside", name)?;
    host.sh(&format!("ip address add {address}/24 dev eth0; ip route add default via 10.98.0.1"))?;
    Caller::in_namespace(&world.segment, host)
}

/// Sends bytes to port 1723, and then closes the connection or resets it.
fn stranger(world: &mut World, bytes: &[u8], end: &str, code: &str) -> Result<()> {
    serve(world, &Files::SHIPPED)?;
    let caller = caller(world)?;
    let text: String = bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect();
    let linger = if end == "reset" {
        "setsockopt($s, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0));"
    } else {
        ""
    };
    caller.namespace.sh(&format!(
        "perl -MSocket -e 'socket(my $s, PF_INET, SOCK_STREAM, 0); \
         connect($s, pack_sockaddr_in(1723, inet_aton(\"{SERVER}\"))) or die; \
         syswrite($s, \"{text}\"); select(undef, undef, undef, 0.3); {linger} close($s)'"
    ))?;
    told(world, ADDRESS, code)
}
