//! How sessions that are up go silent or end; and a clock.

use std::{process::Command, time::Duration};

use anyhow::Result;

use super::{ADDRESS, SOON, caller, fault, serve, told, wall};
use crate::{
    lab::{
        boot::System,
        guest::Guest,
        network::{Namespace, wire},
        scenarios::Scenario,
        segment::SECOND_GUEST,
        server::{Files, wait_for_log},
        world::World,
    },
    workspace::{self, output},
};

pub(crate) const SCENARIOS: &[Scenario] = &[
    fault("fault G-107: TCP is dropped on its way, both ways, and GRE is not", |world| {
        serve(world, &Files::SHIPPED)?;
        let mut caller = caller(world)?;
        caller.connect()?;
        caller.namespace.sh(&format!(
            "{}; nft add rule ip wall here ip protocol 47 accept",
            wall("output", "ip protocol tcp drop")
        ))?;
        // A minute of silence, a minute without an answer to our Echo-Request (RFC 2637 §3.1.4).
        wait_for_log(&mut *world.server, "G-107: ", Duration::from_secs(120) + SOON)?;
        caller.kill();
        told(world, ADDRESS, "G-107")
    }),
    fault("fault G-510: the clock of the server's host is set", |world| {
        let folder = &world.segment.folder;
        let switch = &world.segment.switch;
        // A clock is the whole machine's: this server runs in a machine of its own.
        let mut host = Guest::start("clock", folder, switch, &SECOND_GUEST, System::Shell)?;
        host.sh(
            60,
            &format!(
                "printf 'localip 192.168.79.1\nremoteip 192.168.79.10\noption /run/options\n' >/run/pptpd.conf
                 printf 'require-mschap-v2\nrequire-mppe-128\n' >/run/options
                 setsid {} serve --pptpd-conf /run/pptpd.conf --state-dir /run/gretel >/run/server.log 2>&1 &
                 for try in $(seq 200); do grep -q 'Manager process started' /run/server.log && break; sleep 0.1; done
                 sleep 1; date -s '+3 hours'
                 for try in $(seq 200); do grep -q 'G-510: ' /run/server.log && break; sleep 0.1; done
                 grep 'jumped forward by 3.0 hours' /run/server.log || {{ cat /run/server.log; exit 1; }}",
                workspace::gretel().display()
            ),
        )?;
        Ok(())
    }),
    fault("fault G-601: the client hangs up", |world| {
        serve(world, &Files::SHIPPED)?;
        let mut caller = caller(world)?;
        caller.connect()?;
        caller.disconnect()?;
        told(world, ADDRESS, "G-601")
    }),
    fault("fault G-605: the server is stopped", |world| {
        serve(world, &Files::SHIPPED)?;
        let mut caller = caller(world)?;
        caller.connect()?;
        world.server.stop()?;
        wait_for_log(&mut *world.server, ". G-605: ", Duration::ZERO)?;
        world.check_released_without_server()
    }),
    fault("fault G-607: the client is connected and sends nothing", |world| {
        serve(world, &Files::SHIPPED)?;
        let mut caller = caller(world)?;
        // The system's own greetings on a new interface are packets too.
        caller.namespace.sh("echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6")?;
        caller.start("anna", "secret", &[])?;
        wait_for_log(&mut *world.server, "remote IP address", SOON)?;
        // A minute of silence; what is up is looked at each ten seconds.
        wait_for_log(&mut *world.server, "G-607: ", Duration::from_secs(60) + SOON)?;
        caller.disconnect()?;
        told(world, ADDRESS, "also G-607")
    }),
    fault("fault G-610: an administrator ends the session", |world| {
        serve(world, &Files::SHIPPED)?;
        let mut caller = caller(world)?;
        caller.connect()?;
        let mut kick = Command::new(workspace::gretel());
        let state = world.segment.folder.join("gretel/state");
        output(kick.args(["kick", "anna", "--state-dir"]).arg(state))?;
        told(world, ADDRESS, "G-610")
    }),
    fault("fault G-617: a network behind the client has smaller packets", behind_the_client),
];

/// The client hands on what comes for its own address to a host behind a narrow wire; who sends does not take notice of what it is told.
fn behind_the_client(world: &mut World) -> Result<()> {
    serve(world, &Files::SHIPPED)?;
    let mut caller = caller(world)?;
    let printer = Namespace::new("printer")?;
    wire((&printer, "eth0"), (&caller.namespace, "narrow"))?;
    printer.sh("ip address add 10.98.7.2/24 dev eth0; ip route add default via 10.98.7.1")?;
    caller.namespace.sh("ip address add 10.98.7.1/24 dev narrow; ip link set narrow mtu 1000
         echo 1 >/proc/sys/net/ipv4/ip_forward
         nft 'table ip home { chain in { type nat hook prerouting priority -100; \
              iifname \"ppp*\" ip daddr 192.168.77.0/24 udp dport 9 dnat to 10.98.7.2; }; }'")?;
    caller.connect()?;
    // IP_MTU_DISCOVER as IP_PMTUDISC_PROBE: with DF, whatever size a router has asked for. An error that is told for one datagram is the next one's.
    world.segment.neighbour.sh(
        "perl -MSocket -e 'socket(my $s, PF_INET, SOCK_DGRAM, 0); setsockopt($s, 0, 10, pack(\"i\", 3)) or die; \
         for (1..6) { send($s, \"x\" x 1200, 0, pack_sockaddr_in(9, inet_aton(\"192.168.77.100\"))); sleep 1 }'",
    )?;
    wait_for_log(&mut *world.server, "G-617: ", SOON)?;
    caller.disconnect()?;
    told(world, ADDRESS, "also G-617")
}
