//! Real clients on lines that lose, repeat and reorder packets.

use anyhow::{Context, Result, ensure};

use super::Scenario;
use crate::lab::{
    segment::{INNER, NEIGHBOUR},
    server::Files,
    world::World,
};

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "a client on a line that loses one packet in twenty keeps its tunnel",
        compared: true,
        run: |world| bad_line(world, "loss 5%", 25),
    },
    Scenario {
        name: "a client on a line that repeats packets keeps its tunnel",
        compared: true,
        // On a faster line pptp-linux stops sending for good after some thousand packets, while what it is
        // sent still arrives in order.
        run: |world| bad_line(world, "duplicate 20% rate 20mbit", 0),
    },
    Scenario {
        name: "a client on a line that reorders packets keeps its tunnel and loses nothing",
        compared: true,
        run: |world| bad_line(world, "delay 10ms reorder 25% 50%", 0),
    },
];

/// Pings per run.
const PINGS: u32 = 100;

/// A tunnel over a line with this trouble both ways; at most `lost` pings of a hundred may be lost.
fn bad_line(world: &mut World, trouble: &str, lost: u32) -> Result<()> {
    world.serve(&Files::SHIPPED)?;
    // pppd itself gives a call up when the answer to its CCP request is lost: MPPE "disabled" and
    // begun again is more than it bears. The line goes bad when the tunnel stands.
    world.call("require-mppe-128")?.address()?;
    world.client()?.guest.sh(20, &impair(trouble))?;
    let result = over_bad_line(world, lost);
    world
        .client()?
        .guest
        .sh(20, "tc qdisc del dev vec0 root; tc qdisc del dev vec0 ingress; true")?;
    match result {
        // That pptpd breaks here is a figure for the table, not a failure of ours.
        Err(error) if world.server.name() == "pptpd" => {
            let what = error.to_string();
            world.note("outcome", &format!("broke: {}", what.lines().last().unwrap_or_default()));
            Ok(())
        }
        result => result,
    }
}

fn over_bad_line(world: &mut World, lost: u32) -> Result<()> {
    let ping = format!("ping -n -q -c {PINGS} -i 0.01 -W 2 -s 512 {INNER} || true");
    let text = world.client()?.guest.sh(40, &ping)?;
    let received = received(&text).with_context(|| format!("ping printed\n{text}"))?;
    world.note("pings answered of 100", &received.to_string());
    // What pptpd loses here is a figure for the table, not a failure of ours.
    if world.server.name() == "gretel" {
        ensure!(received + lost >= PINGS, "{received} of {PINGS} pings were answered");
    }
    world.segment.measure()?;
    for up in [true, false] {
        let megabits = world.client()?.iperf(NEIGHBOUR, up, 2)?;
        world.note(if up { "Mbit/s up" } else { "Mbit/s down" }, &format!("{megabits:.1}"));
        ensure!(megabits > 0.0, "no traffic {}", if up { "up" } else { "down" });
    }
    world.end_and_check()
}

/// The script that troubles the client's line in both directions.
fn impair(trouble: &str) -> String {
    format!(
        "set -e
         ip link set ifb0 up
         tc qdisc replace dev vec0 root netem {trouble}
         tc qdisc replace dev ifb0 root netem {trouble}
         tc qdisc add dev vec0 ingress
         tc filter add dev vec0 parent ffff: matchall action mirred egress redirect dev ifb0"
    )
}

/// How many answers ping counted.
fn received(text: &str) -> Option<u32> {
    let line = text.lines().find(|line| line.contains(" received"))?;
    line.split(", ").find_map(|part| part.strip_suffix(" received")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answers_are_counted() {
        let text =
            "x\n100 packets transmitted, 93 received, +4 duplicates, 7% packet loss, time 9ms\n";
        assert_eq!(received(text), Some(93));
    }
}
