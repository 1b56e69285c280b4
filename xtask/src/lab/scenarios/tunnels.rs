//! Real clients that get a tunnel.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::{Scenario, bad_lines};
use crate::lab::{
    caller::Caller,
    client::megabits,
    segment::{INNER, NEIGHBOUR},
    server::{Files, wait_for_log},
    world::World,
};

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "a client with 128-bit stateless MPPE moves traffic both ways",
        compared: true,
        run: stateless_128,
    },
    Scenario {
        name: "a client with 40-bit MPPE moves traffic both ways",
        compared: true,
        run: |world| {
            let options =
                "refuse-pap\nrefuse-chap\nrefuse-mschap\nrequire-mschap-v2\nrequire-mppe\n";
            let files = Files { options, ..Files::SHIPPED };
            tunnel(world, &files, "require-mppe-40 nomppe-128", "MPPE 40-bit stateless")
        },
    },
    Scenario {
        name: "where both allow stateful MPPE a client still gets the stateless kind",
        compared: true,
        run: |world| {
            let options = "require-mschap-v2\nrequire-mppe-128\nmppe-stateful\n";
            let files = Files { options, ..Files::SHIPPED };
            tunnel(world, &files, "require-mppe-128 mppe-stateful", "MPPE 128-bit stateless")
        },
    },
    Scenario {
        name: "a client with stateful MPPE moves traffic both ways, and recovers from losses",
        compared: false,
        run: |world| {
            let files = Files {
                options: "require-mschap-v2\nrequire-mppe-128\nmppe-stateful\n",
                arguments: &["--prefer-stateful-mppe"],
                ..Files::SHIPPED
            };
            world.serve(&files)?;
            let call = world.call("require-mppe-128 mppe-stateful")?;
            call.address()?;
            ensure!(call.encryption() == "MPPE 128-bit stateful", "{}", call.log);
            world.client()?.ping_all_sizes(INNER)?;
            world.client()?.ping_all_sizes(NEIGHBOUR)?;
            // A lost packet, and above all a lost Reset-Ack, for which pppd waits a second, costs many pings: what counts is
            // that traffic goes on, and that nothing is wrong when the line is good again.
            bad_lines::impair(world, "loss 2%")?;
            world.segment.measure()?;
            for up in [true, false] {
                let megabits = world.client()?.iperf(NEIGHBOUR, up, 2)?;
                ensure!(megabits > 0.0, "no traffic {}", if up { "up" } else { "down" });
            }
            bad_lines::mend(world)?;
            // The last losses are told by the first packets behind them.
            world.client()?.guest.sh(20, &format!("ping -n -q -c 30 -i 0.1 {INNER} || true"))?;
            world.client()?.ping_all_sizes(INNER)?;
            world.end_and_check()
        },
    },
    Scenario {
        name: "gretel connect with stateful MPPE moves traffic both ways",
        compared: true,
        run: own_client_stateful,
    },
    Scenario {
        name: "a client with MS-CHAPv1 and 128-bit MPPE moves traffic both ways",
        compared: true,
        run: |world| {
            let options = "require-mschap\nrefuse-mschap-v2\nrequire-mppe-128\n";
            let files = Files { options, ..Files::SHIPPED };
            let client = "require-mppe-128 refuse-mschap-v2";
            tunnel(world, &files, client, "MPPE 128-bit stateless")
        },
    },
    Scenario {
        name: "a client with CHAP-MD5 moves traffic in clear where the options allow it",
        compared: true,
        run: |world| {
            let files = Files { options: "require-chap\nnomppe\n", ..Files::SHIPPED };
            tunnel(world, &files, "refuse-mschap refuse-mschap-v2", "none")
        },
    },
    Scenario {
        name: "a client with PAP moves traffic in clear where the options allow it",
        compared: true,
        run: |world| {
            let files = Files { options: "require-pap\nnomppe\n", ..Files::SHIPPED };
            let client = "refuse-chap refuse-mschap refuse-mschap-v2 refuse-eap";
            tunnel(world, &files, client, "none")
        },
    },
];

/// The main job, and the neighbour that has no route.
fn stateless_128(world: &mut World) -> Result<()> {
    world.serve(&Files::SHIPPED)?;
    let call = world.call("require-mppe-128")?;
    let address = call.address()?;
    ensure!(call.encryption() == "MPPE 128-bit stateless", "{}", call.log);
    world.client()?.ping_all_sizes(INNER)?;
    world.client()?.ping_all_sizes(NEIGHBOUR)?;
    wait_for_log(&mut *world.server, "GRE: accepting packet #2", Duration::from_secs(5))?;
    world.segment.neighbour.sh(&format!("ping -n -q -c 3 -i 0.05 -W 2 {address}"))?;
    let route = world.segment.neighbour.sh(&format!("ip route get {address}"))?;
    ensure!(!route.contains(" via "), "the neighbour has a route: {route}");

    world.segment.measure()?;
    for up in [true, false] {
        let megabits = world.client()?.iperf(NEIGHBOUR, up, 2)?;
        let way = if up { "Mbit/s up" } else { "Mbit/s down" };
        ensure!(megabits > 0.5, "{way}: {megabits}");
        world.note(way, &format!("{megabits:.0}"));
    }
    world.end_and_check()
}

/// Our client beside the kernel's MPPE when the server is `pptpd`: then the server's line loses packets too.
fn own_client_stateful(world: &mut World) -> Result<()> {
    let options = "require-mschap-v2\nrequire-mppe-128\nmppe-stateful\n";
    world.serve(&Files { options, ..Files::SHIPPED })?;
    let mut caller = Caller::new(world, "caller", "10.99.0.9")?;
    caller.connect_as(
        "anna",
        "secret",
        &["--mppe-stateful", "--route", "192.168.77.0/24"],
        INNER,
    )?;
    wait_for_log(&mut *world.server, "MPPE 128-bit stateful", Duration::from_secs(5))?;
    for size in (56..1372).step_by(7).chain([1372]) {
        caller.ping(INNER, size, 1)?;
    }
    world.segment.measure()?;
    let device =
        "$(ip -o -4 address show | sed -n 's/^[0-9]*: *\\([^ ]*\\) .*10[.]99[.]0[.]1[/].*/\\1/p')";
    let is_guest = world.server.name() == "pptpd";
    if is_guest {
        world.server.sh(&format!("tc qdisc add dev {device} root netem loss 2%"))?;
    }
    let moved = ["", "--reverse"].into_iter().try_for_each(|option| {
        let iperf = format!("timeout 20 iperf3 -c {NEIGHBOUR} -t 2 -f m {option}");
        let rate = megabits(&caller.namespace.sh(&iperf)?)?;
        ensure!(rate > 0.0, "no traffic {option}");
        Ok(())
    });
    if is_guest {
        world.server.sh(&format!("tc qdisc del dev {device} root"))?;
    }
    moved?;
    caller.ping(NEIGHBOUR, 1372, 3)?;
    caller.disconnect()?;
    world.end_and_check()
}

/// A tunnel with these options on both sides, and what pppd must say about encryption.
fn tunnel(world: &mut World, files: &Files, client: &str, encryption: &str) -> Result<()> {
    world.serve(files)?;
    let call = world.call(client)?;
    call.address()?;
    ensure!(call.encryption() == encryption, "{:?}:\n{}", call.encryption(), call.log);
    world.client()?.ping_all_sizes(INNER)?;
    world.client()?.ping_all_sizes(NEIGHBOUR)?;
    world.end_and_check()
}
