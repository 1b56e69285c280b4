//! `gretel connect` against the server, without a guest.

use std::{fs, process::Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::Scenario;
use crate::{
    lab::{
        caller::Caller,
        client::megabits,
        segment::{INNER, NEIGHBOUR, SERVER},
        server::Files,
        world::World,
    },
    workspace,
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
        name: "gretel load has sessions come, stay and go, and its figures say so",
        compared: true,
        run: load,
    },
    Scenario {
        name: "bulk traffic of gretel load begins when all of its sessions are up",
        compared: false,
        run: bulk_load,
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

/// Users of a list, in turn, at a rate that rises; six sessions, three at a time.
fn load(world: &mut World) -> Result<()> {
    let secrets = "anna pptpd secret *\nbert pptpd other *\n";
    world.serve(&Files { secrets, ..Files::SHIPPED })?;
    let caller = Caller::new(world, "caller", "10.99.0.9")?;
    let users = caller.folder().join("users");
    fs::write(&users, secrets)?;
    let users = format!("--users {}", users.display());
    let pattern = "--sessions 3 --total 6 --rate 5 --ramp 1 --hold 2 --traffic ping:100 --echo 1 --flavour linux --timeout 30 --tries 3";
    let figures = figures_of_load(&caller, &format!("{users} {pattern}"))?;
    let figure = |path: &str| figures.pointer(path).and_then(Value::as_u64);
    ensure!(figure("/came_up") == Some(6) && figure("/lost") == Some(0), "{figures}");
    ensure!(
        figure("/ping/count").is_some_and(|answered| answered > 0),
        "no ping came back: {figures}"
    );
    let median =
        figures.pointer("/set_up/p50").and_then(Value::as_f64).context("no set-up time")?;
    world.note("ms of a set-up by gretel load, median", &format!("{median:.0}"));
    world.end_and_check()
}

/// Sessions that come up one after the other send nothing before the last of them is up.
fn bulk_load(world: &mut World) -> Result<()> {
    world.serve(&Files::SHIPPED)?;
    let caller = Caller::new(world, "caller", "10.99.0.9")?;
    let password = caller.folder().join("password");
    fs::write(&password, "secret")?;
    let user = format!("--user anna --password-file {}", password.display());
    let pattern = "--sessions 4 --rate 2 --hold 2 --traffic bulk:20 --timeout 30 --tries 3";
    let figures = figures_of_load(&caller, &format!("{user} {pattern}"))?;
    let figure = |path: &str| {
        figures.pointer(path).and_then(Value::as_u64).with_context(|| format!("{path}: {figures}"))
    };
    ensure!(figure("/came_up")? == 4 && figure("/lost")? == 0, "{figures}");
    ensure!(figure("/ping/count")? > 0, "no echo came back: {figures}");
    // Those of two seconds, and less than half of what the first session would send alone before the last is up.
    let (two_seconds, before) = (40_000_000 / 8 / 1400, 5_000_000 * 3 / 2 / 8 / 1400);
    let most = two_seconds + before / 2;
    world.note("echoes of 2 s", &figure("/pings")?.to_string());
    ensure!(figure("/pings")? <= most, "more than {most} echoes: {figures}");
    world.end_and_check()
}

/// What `gretel load` prints as JSON; every session came up.
fn figures_of_load(caller: &Caller, arguments: &str) -> Result<Value> {
    let mut load = caller.namespace.command(workspace::gretel());
    load.args(["load", SERVER, "--quiet", "--json"]).args(arguments.split(' '));
    let output = load.stdin(Stdio::null()).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{}: {text}{said}", output.status);
    serde_json::from_str(&text).with_context(|| format!("{text}{said}"))
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
