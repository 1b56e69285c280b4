//! Real clients that get a tunnel.

use anyhow::{Result, ensure};

use super::Scenario;
use crate::lab::{
    segment::{INNER, NEIGHBOUR},
    server::Files,
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
