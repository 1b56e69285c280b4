//! Thousands of sessions of one server: how fast they come up, what each costs in memory and processor time, and how they all end.

mod bed;
mod peers;
pub(crate) mod storm;

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{
    performance::{Section, load_average, median, shown},
    used,
};
use crate::{lab, workspace};
use bed::{Bed, From, available, end, open_files, resident};

/// How the measurement names itself inside the lab's namespaces.
pub(crate) const INSIDE: &str = "bench-scale-inside";

/// Sessions at once, with the shared interface.
const SESSIONS: u64 = 10_000;
/// Sessions at once, with an interface for each.
const OWN_INTERFACES: u64 = 300;
/// How long the idle server is watched.
const WATCHED: Duration = Duration::from_secs(60);
/// How often a server is started.
const STARTS: usize = 5;
/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(180);

const EXPLANATION: &str = "One `gretel serve` and `gretel load` in namespaces of one machine, so that they share its processors: every set-up is paid for twice. Each session \
    has a user of its own among 20,000, MS-CHAPv2, MPPE with 128 bits, LCP echo every 30 s, and its accounting. Memory is the difference between the idle server and the server with all \
    sessions. `MemAvailable` is the machine's: what it fell by beside the resident memory of `gretel load` holds the kernel's side of both ends of each TCP connection, the \
    clients' end too. `idle`: processor time of the server's threads while nothing but its echoes moves. accel-ppp is not packaged in Debian and was not measured.";

/// Builds gretel and measures.
pub(crate) fn run() -> Result<bool> {
    super::run_in_sandbox(INSIDE, &[])
}

/// The part of [`run`] that happens inside the lab's namespaces.
pub(crate) fn run_inside() -> Result<bool> {
    lab::furnish()?;
    let start = start_to_first_call()?;
    let shared = many("shared", SESSIONS)?;
    let own = many("session", OWN_INTERFACES)?;
    let mut figures = json!({ "start_ms": start, "shared": shared, "session": own });
    let file = workspace::target().join("bench-scale.json");
    fs::write(&file, format!("{figures:#}\n"))?;
    keep("Scale", EXPLANATION, &table(&figures)?)?;
    let peers = peers::measure()?;
    keep("Scale beside pptpd", peers::EXPLANATION, &peers::table(&peers)?)?;
    figures["peers"] = peers;
    fs::write(&file, format!("{figures:#}\n"))?;
    println!("all figures: {}", file.display());
    Ok(true)
}

fn keep(name: &str, explanation: &str, table: &str) -> Result<()> {
    println!("\n{table}\n");
    let explanation = format!("{explanation} {}", load_average()?);
    Section { name, command: "cargo xtask bench scale", explanation: &explanation, table }.keep()
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

/// Sets sessions up, watches them, and stops the server under them.
fn many(mode: &str, sessions: u64) -> Result<Value> {
    let bed = Bed::new("bench-scale")?;
    let server = bed.serve(mode, "")?;
    bed.wait_for_server()?;
    // What the first session alone makes is no session's cost.
    bed.load(From::Neighbour, "first", "--user user1 --sessions 1 --hold 0 --quiet")?
        .finish(PATIENCE)?;
    let (before, available_before) = (resident(server.pid())?, available()?);
    let used_before = used(server.pid())?;
    let arguments = format!("--user user%d --sessions {sessions} --hold 3600 --echo 0");
    let mut load = bed.load(From::Customers, "many", &arguments)?;
    load.wait_until_up(sessions, PATIENCE)?;
    let set_up = used(server.pid())? - used_before;
    // Set-up has come to rest: acknowledgements have left, early packets are forgotten.
    thread::sleep(Duration::from_secs(5));
    let each = |from: f64, to: f64| (to - from) / sessions as f64;
    let memory = each(before, resident(server.pid())?);
    let fall = each(available()?, available_before);
    let tool = each(0.0, resident(load.process.pid())?);
    let files = open_files(server.pid())?;
    let used_before = used(server.pid())?;
    thread::sleep(WATCHED);
    let idle = (used(server.pid())? - used_before).as_secs_f64() / WATCHED.as_secs_f64();
    let stop = end(server, PATIENCE)?;
    // Its sessions are gone.
    load.process.signal("INT")?;
    let report = load.finish(PATIENCE)?;
    Ok(json!({
        "sessions": sessions,
        "report": report,
        "server_us_per_set_up": set_up.as_secs_f64() * 1e6 / sessions as f64,
        "resident_kib": memory,
        "available_kib": fall,
        "load_tool_kib": tool,
        "kernel_kib": fall - memory - tool,
        "open_files": files,
        "idle_percent_of_a_processor": idle * 100.0,
        "stop_ms": stop.as_secs_f64() * 1000.0,
    }))
}

fn table(figures: &Value) -> Result<String> {
    let mut table = format!(
        "| what | in | shared interface, {SESSIONS} sessions | an interface each, {OWN_INTERFACES} sessions |\n|---|---|---|---|"
    );
    let rows: [(&str, &str, &str); 13] = [
        ("set-ups", "a second", "/report/set_ups_per_second"),
        ("set-up time, median", "ms", "/report/set_up/p50"),
        ("set-up time, 99th percentile", "ms", "/report/set_up/p99"),
        ("set-up time, longest", "ms", "/report/set_up/max"),
        ("sessions that did not come up", "", "/report/failed"),
        ("server's processor time for a set-up", "us", "/server_us_per_set_up"),
        ("server's resident memory for a session", "KiB", "/resident_kib"),
        ("`MemAvailable` for a session, in all", "KiB", "/available_kib"),
        ("of that the load tool's own", "KiB", "/load_tool_kib"),
        ("of that the kernel's, both ends", "KiB", "/kernel_kib"),
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
