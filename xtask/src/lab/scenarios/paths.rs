//! Ways of GRE packets past the kernel's network stack.

use std::{thread, time::Duration};

use anyhow::{Result, ensure};

use super::{Scenario, own_client};
use crate::lab::{
    caller::Caller,
    carrying::Carrying,
    server::{Files, wait_for_log},
    world::World,
};

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "traffic of every size passes both ways by AF_PACKET",
        compared: false,
        run: |world| traffic(world, Carrying::by("packet", 1), "AF_PACKET"),
    },
    Scenario {
        name: "traffic of every size passes both ways by AF_XDP with two workers",
        compared: false,
        run: |world| traffic(world, Carrying::by("xdp", 2), "AF_XDP on eth1"),
    },
    Scenario {
        name: "ten clients of one server reach it at the same time by AF_XDP",
        compared: false,
        run: |world| {
            world.carry(Carrying::by("xdp", 2));
            own_client::ten_clients(world)
        },
    },
    Scenario {
        name: "the kernel takes the XDP program away when the server is killed, and the next one has it again",
        compared: false,
        run: killed,
    },
    Scenario {
        name: "without memory for the buffers of AF_XDP packets go by raw sockets, and a line says so",
        compared: false,
        run: no_buffers,
    },
    Scenario {
        name: "what a way past the kernel would pass by keeps packets on raw sockets, and a line says so",
        compared: false,
        run: obstacles,
    },
];

fn traffic(world: &mut World, carrying: Carrying, way: &str) -> Result<()> {
    world.carry(carrying);
    own_client::traffic(world)?;
    let log = world.server.log()?;
    ensure!(log.contains(&format!("GRE packets go by {way}")), "another way:\n{log}");
    Ok(())
}

fn killed(world: &mut World) -> Result<()> {
    // The kernel takes a program away a moment after the last file that holds it is closed.
    let has_program = |world: &mut World| -> Result<bool> {
        for _ in 0..20 {
            if !world.server.sh("ip -details link show dev eth1")?.contains("prog/xdp") {
                return Ok(false);
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(true)
    };
    world.carry(Carrying::by("xdp", 2));
    for _ in 0..2 {
        world.serve(&Files::SHIPPED)?;
        ensure!(has_program(world)?, "there is no XDP program");
        world.server.kill()?;
        ensure!(!has_program(world)?, "the XDP program stays");
    }
    traffic(world, Carrying::by("xdp", 1), "AF_XDP on eth1")
}

/// The kernel counts those buffers as locked memory.
fn no_buffers(world: &mut World) -> Result<()> {
    let within = &["prlimit", "--memlock=65536", "setpriv", "--bounding-set", "-ipc_lock"];
    world.carry(Carrying::by("xdp", 1));
    world.serve(&Files { within, ..Files::SHIPPED })?;
    let said = "GRE packets go by raw sockets, not by AF_XDP: ";
    wait_for_log(&mut *world.server, said, Duration::from_secs(5))?;
    let log = world.server.log()?;
    let line = log.lines().find(|line| line.contains(said)).unwrap_or_default();
    ensure!(line.contains("No buffer space") || line.contains("allocate memory"), "{line}");
    let mut caller = Caller::new(world, "caller", "10.99.0.9")?;
    caller.connect()?;
    caller.disconnect()?;
    world.end_and_check()
}

fn obstacles(world: &mut World) -> Result<()> {
    let drop_gre = "nft add table inet lab
        nft 'add chain inet lab out { type filter hook output priority 0; }'
        nft add rule inet lab out ip protocol gre ip daddr 10.99.0.77 drop";
    for (way, make, undo, said) in [
        ("xdp", "ip rule add from 192.0.2.1 table main", "ip rule del from 192.0.2.1", "ip rule"),
        ("packet", drop_gre, "nft delete table inet lab", "a rule for GRE that leaves"),
    ] {
        world.carry(Carrying::by(way, 1));
        world.server.sh(make)?;
        let served = world.serve(&Files::SHIPPED).and_then(|()| {
            let log = &mut *world.server;
            wait_for_log(log, "GRE packets go by raw sockets, not by", Duration::from_secs(5))?;
            wait_for_log(log, said, Duration::from_secs(5))
        });
        world.server.stop()?;
        world.server.sh(undo)?;
        served?;
    }
    Ok(())
}
