//! `gretel connect` against the server, without a guest.

use std::process::Stdio;

use anyhow::{Result, ensure};

use super::Scenario;
use crate::lab::{
    caller::Caller,
    client::megabits,
    segment::{INNER, NEIGHBOUR},
    server::Files,
    world::World,
};

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "gretel connect moves traffic both ways in whole packets of every size",
        compared: true,
        run: traffic,
    },
    Scenario {
        name: "gretel connect --check tells every stage and leaves nothing",
        compared: true,
        run: check,
    },
    Scenario {
        name: "gretel connect --check fails with a wrong password and says so",
        compared: true,
        run: check_wrong_password,
    },
    Scenario {
        name: "ten clients of one server reach it at the same time",
        compared: false,
        run: ten_clients,
    },
];

pub(super) fn traffic(world: &mut World) -> Result<()> {
    world.serve(&Files::SHIPPED)?;
    let mut caller = Caller::new(world, "caller", "10.99.0.9")?;
    caller.connect()?;
    for size in (56..1372).step_by(7).chain([1372]) {
        caller.ping(INNER, size, 1)?;
    }
    caller.ping(NEIGHBOUR, 1372, 3)?;
    world.segment.measure()?;
    for (way, option) in [("Mbit/s up", ""), ("Mbit/s down", "--reverse")] {
        let iperf = format!("timeout 20 iperf3 -c {NEIGHBOUR} -t 2 -f m {option}");
        let rate = megabits(&caller.namespace.sh(&iperf)?)?;
        world.note(way, &format!("{rate:.0}"));
        ensure!(rate > 0.5, "{way}: {rate}");
    }
    caller.disconnect()?;
    world.end_and_check()
}

fn check(world: &mut World) -> Result<()> {
    world.serve(&Files::SHIPPED)?;
    let caller = Caller::new(world, "caller", "10.99.0.9")?;
    let output = caller.command("secret", &["--check"])?.stdin(Stdio::null()).output()?;
    let both = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&both).into_owned();
    ensure!(output.status.success(), "{}: {text}", output.status);
    world.note("stages", text.lines().count().to_string().as_str());
    ensure!(text.lines().count() >= 4, "too few stages:\n{text}");
    world.end_and_check()
}

fn check_wrong_password(world: &mut World) -> Result<()> {
    world.make(["G-203"]);
    world.serve(&Files::SHIPPED)?;
    let caller = Caller::new(world, "caller", "10.99.0.9")?;
    let output = caller.command("wrong", &["--check"])?.stdin(Stdio::null()).output()?;
    ensure!(!output.status.success(), "it succeeded: {}", output.stdout.escape_ascii());
    let both = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&both).to_lowercase();
    ensure!(text.contains("password") || text.contains("authentication"), "{text}");
    world.note("the client's exit status", &format!("{:?}", output.status.code()));
    world.end_and_check()
}

pub(super) fn ten_clients(world: &mut World) -> Result<()> {
    let files = Files { addresses: "192.168.77.100-109", ..Files::SHIPPED };
    world.serve(&files)?;
    const NAMES: [&str; 10] = ["c0", "c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8", "c9"];
    let mut callers = Vec::new();
    for (index, name) in NAMES.into_iter().enumerate() {
        let mut caller = Caller::new(world, name, &format!("10.99.0.{}", 20 + index))?;
        caller.connect()?;
        callers.push(caller);
    }
    for caller in &callers {
        caller.ping(NEIGHBOUR, 1372, 2)?;
    }
    for caller in &mut callers {
        caller.disconnect()?;
    }
    world.end_and_check()
}
