//! Packets of exactly the tunnel's MTU, and one byte more: both ways, IPv4 and IPv6, with and without encryption, with and without the
//! permission to fragment.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use super::{Kind, Scenario};
use crate::lab::{
    caller::Caller,
    segment::{INNER, NEIGHBOUR},
    server::Files,
    world::World,
};

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "encrypted packets of exactly the MTU pass whole, and one byte more is refused or fragmented",
        compared: false,
        run: |world| exactly(world, 1446, &[], "require-mppe-128\n"),
    },
    Scenario {
        name: "plain packets of exactly the MTU pass whole, and one byte more is refused or fragmented",
        compared: false,
        run: |world| exactly(world, 1450, &["--no-mppe"], "nomppe\n"),
    },
];

/// The client's address in the tunnel.
const CLIENT: &str = "192.168.77.100";
/// Headers of an Echo-Request, in bytes: IPv4 or IPv6, and ICMP.
const IPV4_HEADERS: u16 = 28;
const IPV6_HEADERS: u16 = 48;
/// How long anything may take to come up.
const PATIENCE: Duration = Duration::from_secs(10);

fn exactly(world: &mut World, mtu: u16, encryption: &[&str], options: &'static str) -> Result<()> {
    world.serve(&Files { options, ..Files::SHIPPED })?;
    // It remembers the MTU of a tunnel before, for ten minutes.
    world.segment.neighbour.sh("ip route flush cache")?;
    let mut caller = Caller::new(world, "caller", "10.99.0.9")?;
    let arguments = [&["--route", "192.168.77.0/24"], encryption].concat();
    caller.connect_as("anna", "secret", &arguments, INNER)?;
    // The ways out of the client, out of the server, and through the server from both sides.
    let ends: [(Side, &str); 4] = [
        (Side::Client, INNER),
        (Side::Server, CLIENT),
        (Side::Client, NEIGHBOUR),
        (Side::Neighbour, CLIENT),
    ];
    for (from, to) in ends {
        edges(world, &caller, from, to, mtu, IPV4_HEADERS)
            .with_context(|| format!("from {from:?} to {to}"))?;
    }
    let kind = world.kind;
    let ends = [(Side::Client, Side::Server), (Side::Server, Side::Client)];
    // Sessions of a shared interface have no IPv6.
    for (from, other) in ends.into_iter().filter(|_| kind != Kind::Shared) {
        let to = link_local(world, &caller, other)?;
        edges(world, &caller, from, &to, mtu, IPV6_HEADERS)
            .with_context(|| format!("from {from:?} to {to}"))?;
    }
    caller.disconnect()?;
    world.end_and_check()
}

/// Where a script runs.
#[derive(Debug, Clone, Copy)]
enum Side {
    Client,
    Server,
    Neighbour,
}

fn sh(world: &mut World, caller: &Caller, side: Side, script: &str) -> Result<String> {
    match side {
        Side::Client => caller.namespace.sh(script),
        Side::Server => world.server.sh(script),
        Side::Neighbour => world.segment.neighbour.sh(script),
    }
}

/// What passes from one side to an address, around the MTU.
fn edges(
    world: &mut World,
    caller: &Caller,
    from: Side,
    to: &str,
    mtu: u16,
    headers: u16,
) -> Result<()> {
    let fits = mtu - headers;
    let mut ping = |may: &str, size: u16| {
        let script = format!("ping -n -c 2 -i 0.05 -W 2 -M {may} -s {size} {to} 2>&1 || true");
        sh(world, caller, from, &script)
    };
    let whole = ping("do", fits)?;
    ensure!(whole.contains(" 0% packet loss"), "{mtu} bytes do not pass:\n{whole}");
    let refused = ping("do", fits + 1)?;
    let says = [format!("mtu={mtu}"), format!("mtu: {mtu}"), format!("mtu = {mtu}")];
    let told = says.iter().any(|text| refused.contains(text));
    ensure!(told && refused.contains("100% packet loss"), "one byte more:\n{refused}");
    for size in [fits + 1, 2 * mtu, 8000] {
        let fragmented = ping("dont", size)?;
        ensure!(fragmented.contains(" 0% packet loss"), "{size} bytes of data:\n{fragmented}");
    }
    Ok(())
}

/// The link-local address of a side's end of the tunnel, as the other side has to name it.
fn link_local(world: &mut World, caller: &Caller, side: Side) -> Result<String> {
    let script = "ip -6 -o address show dev ppp0 scope link";
    let deadline = Instant::now() + PATIENCE;
    loop {
        let text = sh(world, caller, side, script)?;
        let address = text.split_whitespace().find_map(|word| word.strip_suffix("/128"));
        let address = address.or(text.split_whitespace().find_map(|word| word.strip_suffix("/64")));
        if let Some(address) = address {
            return Ok(format!("{address}%ppp0"));
        }
        ensure!(Instant::now() < deadline, "no link-local address: {text}");
        thread::sleep(Duration::from_millis(50));
    }
}
