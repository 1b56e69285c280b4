//! Sessions that are up.

use anyhow::{Result, ensure};

use super::{ADDRESS, SOON, caller, fault, serve, told, wall};
use crate::lab::{
    caller::Caller,
    scenarios::Scenario,
    segment::{INNER, NEIGHBOUR},
    server::{Files, wait_for_log},
    world::World,
};

pub(crate) const SCENARIOS: &[Scenario] = &[
    fault("fault G-502: the client's address is in no network of the server's", |world| {
        serve(world, &Files { addresses: "172.31.9.100-103", ..Files::SHIPPED })?;
        let mut caller = caller(world)?;
        caller.connect()?;
        caller.disconnect()?;
        told(world, ADDRESS, "also G-502")
    }),
    fault("fault G-503: ip-up fails", |world| {
        let options = "require-mppe-128\nip-up-script /bin/false\n";
        serve(world, &Files { options, ..Files::SHIPPED })?;
        let mut caller = caller(world)?;
        caller.connect()?;
        caller.disconnect()?;
        told(world, ADDRESS, "also G-503")
    }),
    fault("fault G-505: forwarding is off", |world| {
        beyond(
            world,
            &Files::SHIPPED,
            "echo 0 >/proc/sys/net/ipv4/ip_forward",
            ELSEWHERE,
            "echo 1 >/proc/sys/net/ipv4/ip_forward",
            "G-505",
        )
    }),
    fault("fault G-506: a rule drops what is passed on", |world| {
        let make = format!(
            "ip route add 198.51.100.0/24 via {NEIGHBOUR}; {}",
            wall("forward", "iifname \"ppp*\" drop")
        );
        beyond(
            world,
            &Files::SHIPPED,
            &make,
            ELSEWHERE,
            "ip route del 198.51.100.0/24; nft delete table ip wall",
            "G-506",
        )
    }),
    fault("fault G-507: addresses of no network here, and nothing translates them", |world| {
        let files = Files { addresses: "172.31.9.100-103", ..Files::SHIPPED };
        // The files have proxyarp, and no network for it.
        world.make(["G-502"]);
        beyond(world, &files, "true", NEIGHBOUR, "true", "G-507")
    }),
    fault("fault G-508: another host has the client's address", |world| {
        serve(world, &Files::SHIPPED)?;
        world.segment.neighbour.sh("ip address add 192.168.77.100/32 dev eth0")?;
        let mut caller = caller(world)?;
        let result = caller.connect().and_then(|()| {
            wait_for_log(&mut *world.server, "G-508: ", SOON)?;
            caller.disconnect()
        });
        world.segment.neighbour.sh("ip address del 192.168.77.100/32 dev eth0")?;
        result?;
        told(world, ADDRESS, "also G-508")
    }),
    fault("fault G-509: the name server that clients are told of is silent", |world| {
        let options = "require-mppe-128\nms-dns 192.168.77.9\n";
        let files = Files { options, ..Files::SHIPPED };
        serve(world, &files)?;
        world.segment.neighbour.sh(&wall("input", "udp dport 53 drop"))?;
        let mut caller = caller(world)?;
        caller.connect()?;
        let asked = caller.namespace.sh(
            "perl -MSocket -e 'socket(my $s, PF_INET, SOCK_DGRAM, 0); \
             for (1..9) { send($s, \"x\", 0, pack_sockaddr_in(53, inet_aton(\"192.168.77.9\"))); sleep 1 }'",
        );
        let told_in_time = wait_for_log(&mut *world.server, "G-509: ", SOON);
        world.segment.neighbour.sh("nft delete table ip wall")?;
        asked?;
        told_in_time?;
        caller.disconnect()?;
        told(world, ADDRESS, "also G-509")
    }),
    fault("fault G-614: the client asks for a network that the server has no route to", |world| {
        beyond(world, &Files::SHIPPED, "true", "10.77.0.1", "true", "G-614")
    }),
    fault(
        "fault G-615: the client asks for the Internet, and the server has no way there",
        |world| beyond(world, &Files::SHIPPED, "true", ELSEWHERE, "true", "G-615"),
    ),
    fault("fault G-616: packets of more than 1300 bytes vanish on the way", |world| {
        serve(world, &Files::SHIPPED)?;
        let mut caller = caller(world)?;
        caller.connect()?;
        world.segment.switch.sh(
            "nft 'table bridge fault { chain f { type filter hook forward priority 0; ip protocol gre ip length > 1300 drop; }; }'",
        )?;
        let pings = world.server.sh("ping -q -c 17 -i 1 -W 1 -s 1350 192.168.77.100 || true");
        let told_in_time = wait_for_log(&mut *world.server, "G-616: ", SOON);
        world.segment.switch.sh("nft delete table bridge fault")?;
        pings?;
        told_in_time?;
        caller.disconnect()?;
        told(world, ADDRESS, "also G-616")
    }),
    fault("fault G-407: the client's own network has the addresses of the tunnel", |world| {
        serve(world, &Files::SHIPPED)?;
        let mut caller = caller(world)?;
        caller.connect()?;
        caller.namespace.sh(
            "ip address add 192.168.77.55/32 dev lo; ping -q -c 2 -W 1 -I 192.168.77.55 192.168.77.1 || true
             ping -q -c 6 -i 0.5 192.168.77.1",
        )?;
        wait_for_log(&mut *world.server, "G-407: ", SOON)?;
        caller.disconnect()?;
        told(world, ADDRESS, "also G-407")
    }),
    fault("fault G-608: packets come from addresses that are not the client's", |world| {
        serve(world, &Files::SHIPPED)?;
        let mut caller = caller(world)?;
        caller.connect()?;
        caller.namespace.sh(
            "ip address add 172.16.5.5/32 dev lo; ping -q -c 40 -i 0.01 -W 1 -I 172.16.5.5 192.168.77.1 || true",
        )?;
        caller.disconnect()?;
        told(world, ADDRESS, "also G-608")
    }),
    fault("fault G-609: the line loses many packets", |world| {
        serve(world, &Files::SHIPPED)?;
        let mut caller = caller(world)?;
        caller.connect()?;
        caller.namespace.sh(&wall("output", "ip protocol 47 numgen random mod 100 < 20 drop"))?;
        caller.namespace.sh("ping -q -c 1000 -i 0.002 -W 1 192.168.77.1 || true")?;
        caller.namespace.sh("nft delete table ip wall")?;
        caller.disconnect()?;
        told(world, ADDRESS, "also G-609")
    }),
    fault("fault G-612: the line changes the order of packets", |world| {
        serve(world, &Files::SHIPPED)?;
        world.call("require-mppe-128")?.address()?;
        let client = world.client()?;
        client.guest.sh(5, "tc qdisc add dev vec0 root netem delay 80ms reorder 25% 50%")?;
        client.guest.sh(60, &format!("ping -q -c 500 -i 0.003 -W 2 {INNER} || true"))?;
        client.guest.sh(5, "tc qdisc del dev vec0 root")?;
        client.hang_up()?;
        wait_for_log(&mut *world.server, "also G-612: ", SOON)?;
        world.end_and_check()
    }),
    fault("fault G-606: the client vanishes", |world| {
        serve(world, &Files::SHIPPED)?;
        let mut caller = caller(world)?;
        caller.connect()?;
        caller.namespace.sh(&wall("output", "drop"))?;
        caller.kill();
        told(world, ADDRESS, "G-606")
    }),
    fault("fault G-602: nothing is said for as long as idle allows", |world| {
        ended_by_server(world, "require-mppe-128\nidle 1\n", "G-602")
    }),
    fault("fault G-603: the session lasts as long as maxconnect allows", |world| {
        ended_by_server(world, "require-mppe-128\nmaxconnect 1\n", "G-603")
    }),
    fault("fault G-604: a client whose connection broke comes back", |world| {
        serve(world, &FIXED)?;
        let mut caller = caller(world)?;
        caller.connect()?;
        caller.namespace.sh(&wall("output", "drop"))?;
        caller.kill();
        caller.namespace.sh("nft delete table ip wall")?;
        caller.connect()?;
        wait_for_log(&mut *world.server, ". G-604: ", SOON)?;
        caller.disconnect()?;
        world.end_and_check()
    }),
    fault("fault G-611: the user logs in from another place with the same address", |world| {
        serve(world, &FIXED)?;
        let mut first = caller(world)?;
        first.connect()?;
        let mut second = Caller::new(world, "second", "10.99.0.10")?;
        second.connect()?;
        second.disconnect()?;
        told(world, ADDRESS, "G-611")
    }),
    fault(
        "no fault: a healthy session gets no fault for a verdict, and the server's end neither",
        healthy,
    ),
];

/// An address of the Internet, to which nobody here has a route.
const ELSEWHERE: &str = "198.51.100.1";

/// The user has one address.
const FIXED: Files = Files { secrets: "anna pptpd secret 192.168.77.102\n", ..Files::SHIPPED };

/// A client that asks for `destination` again and again while the server's host is as `make` makes it.
fn beyond(
    world: &mut World,
    files: &Files,
    make: &str,
    destination: &str,
    mend: &str,
    code: &str,
) -> Result<()> {
    serve(world, files)?;
    let mut caller = caller(world)?;
    let route = format!("{destination}/32");
    caller.connect_as("anna", "secret", &["--route", &route], INNER)?;
    world.server.sh(make)?;
    let asked = caller.namespace.sh(&format!("ping -q -c 18 -i 0.5 -W 1 {destination} || true"));
    let told_in_time = wait_for_log(&mut *world.server, &format!("{code}: "), SOON);
    world.server.sh(mend)?;
    asked?;
    told_in_time?;
    caller.disconnect()?;
    told(world, ADDRESS, &format!("also {code}"))
}

fn ended_by_server(world: &mut World, options: &'static str, code: &str) -> Result<()> {
    serve(world, &Files { options, ..Files::SHIPPED })?;
    let mut caller = caller(world)?;
    caller.connect()?;
    told(world, ADDRESS, code)
}

fn healthy(world: &mut World) -> Result<()> {
    serve(world, &Files::SHIPPED)?;
    let mut caller = caller(world)?;
    caller.connect()?;
    world.call("require-mppe-128")?.address()?;
    world.client()?.ping_all_sizes(INNER)?;
    world.client()?.hang_up()?;
    caller.disconnect()?;
    world.check_released(SOON)?;
    caller.connect()?;
    world.server.stop()?;
    let log = world.server.log()?;
    let ends: Vec<_> = log.lines().filter(|line| line.contains("Session of")).collect();
    let fine = |line: &&&str| line.contains(". G-601: ") && !line.contains("also G-");
    ensure!(ends.iter().filter(fine).count() == 2, "{}", ends.join("\n"));
    ensure!(ends.len() == 3 && ends[2].contains(". G-605: "), "{}", ends.join("\n"));
    world.check_released_without_server()
}
