//! Thousands of sessions of one server: how fast they come up, what each costs in memory and processor time, and how they all end.

mod bed;
pub(crate) mod connections;
mod peers;
pub(crate) mod storm;

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::{
    performance::{Section, load_average, median, shown},
    used,
};
use crate::{
    lab::{self, Process},
    workspace,
};
use bed::{Bed, From, Load, available, end, open_files, resident};

/// How the measurement names itself inside the lab's namespaces.
pub(crate) const INSIDE: &str = "bench-scale-inside";

/// How the servers in guests name themselves there.
pub(crate) const GUESTS_INSIDE: &str = "bench-scale-guests-inside";

/// Sessions at once with the shared interface, and how many of them come first.
const SESSIONS: u64 = 10_000;
const FIRST: u64 = 2_000;
/// And with an interface for each.
const OWN_INTERFACES: u64 = 300;
const OWN_FIRST: u64 = 100;
/// How long memory is left to come to rest: acknowledgements have left, early packets are forgotten, keys made ahead have been given back.
const REST: Duration = Duration::from_secs(15);
/// How long the idle server is watched.
const WATCHED: Duration = Duration::from_secs(45);
/// How often a server is started.
const STARTS: usize = 5;
/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(180);

const EXPLANATION: &str = "One `gretel serve` and `gretel load` in namespaces of one machine, so that they share its processors: every set-up is paid for twice. Each session \
    has a user of its own among 20,000, MS-CHAPv2, MPPE with 128 bits, LCP echo every 30 s, and its accounting. Memory of a session is a slope: what more sessions cost \
    beyond the first 2,000 (100 with an interface each), fifteen seconds after they came. `MemAvailable` is the machine's: what it falls by, less the resident memory of both programs, is the kernel's share at \
    both ends, clients' too. One end of an idle TCP connection is measured by as many plain ones, between two programs that hold them with epoll: half of what those cost. \
    Taken off once, as the clients' end, it leaves the server's share. Other programs move `MemAvailable`: only a quiet machine gives true figures. `idle`: processor time of the server's threads while nothing but its echoes moves. accel-ppp is not packaged in Debian and was not measured.";

/// Builds gretel and measures: everything, or the servers in guests alone.
pub(crate) fn run(what: &[String]) -> Result<bool> {
    match what {
        [] => super::run_in_sandbox(INSIDE, &[]),
        [one] if one == "guests" => super::run_in_sandbox(GUESTS_INSIDE, &[]),
        _ => bail!("there are `cargo xtask bench scale` and `cargo xtask bench scale guests`"),
    }
}

/// The part of [`run`] that happens inside the lab's namespaces.
pub(crate) fn run_inside() -> Result<bool> {
    lab::furnish()?;
    let start = start_to_first_call()?;
    let shared = many("shared", FIRST, SESSIONS)?;
    let own = many("session", OWN_FIRST, OWN_INTERFACES)?;
    let figures = json!({ "start_ms": start, "shared": shared, "session": own });
    let file = workspace::target().join("bench-scale.json");
    fs::write(&file, format!("{figures:#}\n"))?;
    keep("Scale", "cargo xtask bench scale", EXPLANATION, &table(&figures)?)?;
    println!("all figures: {}", file.display());
    measure_guests()
}

/// The part of [`run`] with `guests` that happens inside the lab's namespaces.
pub(crate) fn run_guests_inside() -> Result<bool> {
    lab::furnish()?;
    measure_guests()
}

fn measure_guests() -> Result<bool> {
    let figures = peers::measure()?;
    let file = workspace::target().join("bench-scale-guests.json");
    fs::write(&file, format!("{figures:#}\n"))?;
    let table = peers::table(&figures)?;
    keep("Scale beside pptpd", "cargo xtask bench scale guests", peers::EXPLANATION, &table)?;
    println!("all figures: {}", file.display());
    Ok(true)
}

fn keep(name: &str, command: &str, explanation: &str, table: &str) -> Result<()> {
    println!("\n{table}\n");
    let explanation = format!("{explanation} {}", load_average()?);
    Section { name, command, explanation: &explanation, table }.keep()
}

/// Milliseconds from the server's start to the first session that is up; a client tries all the time.
fn start_to_first_call() -> Result<f64> {
    let bed = Bed::new("bench-scale")?;
    let mut times = Vec::new();
    for _ in 0..STARTS {
        let begun = Instant::now();
        let server = bed.serve("shared", "")?;
        let arguments =
            "--user user1 --sessions 1 --hold 0 --tries 1000 --again-after 0.005 --quiet";
        let report = bed.load(From::Neighbour, "first", arguments)?.finish(PATIENCE)?;
        times.push(begun.elapsed().as_secs_f64() * 1000.0);
        anyhow::ensure!(report["came_up"] == 1, "the first session does not come up: {report}");
        end(server, PATIENCE)?;
    }
    median(times).context("no start")
}

/// What memory is at one moment, in KiB.
struct Memory {
    server: f64,
    tools: f64,
    available: f64,
}

impl Memory {
    fn now(server: &Process, loads: &[&Load]) -> Result<Self> {
        let tools: Result<f64> = loads.iter().map(|load| resident(load.process.pid())).sum();
        Ok(Self { server: resident(server.pid())?, tools: tools?, available: available()? })
    }
}

/// Sets sessions up, some of them first, watches them, and stops the server under them.
fn many(mode: &str, first: u64, sessions: u64) -> Result<Value> {
    let bed = Bed::new("bench-scale")?;
    let one_end = connections::one_end(&bed, sessions as usize)?;
    let server = bed.serve(mode, "")?;
    bed.wait_for_server()?;
    let used_before = used(server.pid())?;
    let some = load(&bed, From::Customers, "user%d", first)?;
    let mut set_up = used(server.pid())? - used_before;
    thread::sleep(REST);
    let few = Memory::now(&server, &[&some])?;
    let used_before = used(server.pid())?;
    let more = load(&bed, From::MoreCustomers, "customer%d", sessions - first)?;
    set_up += used(server.pid())? - used_before;
    thread::sleep(REST);
    let all = Memory::now(&server, &[&some, &more])?;
    let files = open_files(server.pid())?;
    let used_before = used(server.pid())?;
    thread::sleep(WATCHED);
    let idle = (used(server.pid())? - used_before).as_secs_f64() / WATCHED.as_secs_f64();
    let stop = end(server, PATIENCE)?;
    // Its sessions are gone.
    some.process.signal("INT")?;
    more.process.signal("INT")?;
    let failed = some.finish(PATIENCE)?["failed"].as_u64();
    let report = more.finish(PATIENCE)?;
    let each = |of: fn(&Memory) -> f64| (of(&all) - of(&few)) / (sessions - first) as f64;
    let (memory, tool) = (each(|it| it.server), each(|it| it.tools));
    let fall = -each(|it| it.available);
    let kernel = fall - memory - tool;
    Ok(json!({
        "sessions": sessions,
        "report": report,
        "failed": failed.unwrap_or(first) + report["failed"].as_u64().unwrap_or(sessions),
        "server_us_per_set_up": set_up.as_secs_f64() * 1e6 / sessions as f64,
        "resident_kib": memory,
        "available_kib": fall,
        "load_tool_kib": tool,
        "kernel_kib": kernel,
        "one_end_kib": one_end,
        "with_kernel_kib": memory + kernel - one_end,
        "open_files": files,
        "idle_percent_of_a_processor": idle * 100.0,
        "stop_ms": stop.as_secs_f64() * 1000.0,
    }))
}

/// Sessions that are up, and stay.
fn load(bed: &Bed, from: From, users: &str, sessions: u64) -> Result<Load> {
    let arguments = format!("--user {users} --sessions {sessions} --hold 3600 --echo 0");
    let mut load = bed.load(from, users.trim_end_matches("%d"), &arguments)?;
    load.wait_until_up(sessions, PATIENCE)?;
    Ok(load)
}

fn table(figures: &Value) -> Result<String> {
    let mut table = format!(
        "| what | in | shared interface, {SESSIONS} sessions | an interface each, {OWN_INTERFACES} sessions |\n|---|---|---|---|"
    );
    let rows: [(&str, &str, &str); 15] = [
        ("set-ups", "a second", "/report/set_ups_per_second"),
        ("set-up time, median", "ms", "/report/set_up/p50"),
        ("set-up time, 99th percentile", "ms", "/report/set_up/p99"),
        ("set-up time, longest", "ms", "/report/set_up/max"),
        ("sessions that did not come up", "", "/failed"),
        ("server's processor time for a set-up", "us", "/server_us_per_set_up"),
        ("server's resident memory for a session", "KiB", "/resident_kib"),
        ("`MemAvailable` for a session, in all", "KiB", "/available_kib"),
        ("of that the load tool's own", "KiB", "/load_tool_kib"),
        ("of that the kernel's, both ends", "KiB", "/kernel_kib"),
        ("one end of a plain TCP connection", "KiB", "/one_end_kib"),
        (
            "a session with all that the kernel holds for it at the server",
            "KiB",
            "/with_kernel_kib",
        ),
        ("server's open files", "", "/open_files"),
        ("idle", "% of a processor", "/idle_percent_of_a_processor"),
        ("orderly stop with all sessions", "ms", "/stop_ms"),
    ];
    for (what, unit, path) in rows {
        let figure = |mode: &str| -> Result<String> {
            let path = format!("/{mode}{path}");
            let value = figures.pointer(&path).and_then(Value::as_f64);
            value.map(shown).context(path)
        };
        let (shared, own) = (figure("shared")?, figure("session")?);
        table.push_str(&format!("\n| {what} | {unit} | {shared} | {own} |"));
    }
    let start = figures["start_ms"].as_f64().context("start_ms")?;
    table.push_str(&format!(
        "\n| from the server's start to its first session | ms | {} | |\n",
        shown(start)
    ));
    Ok(table)
}
