//! The power fails at ten thousand customers, and they all come back.

use std::{fs, time::Duration};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::{
    super::performance::{Section, load_average, shown},
    bed::{Bed, From, end, open_files, resident},
};
use crate::{lab, workspace};

/// How the storm names itself inside the lab's namespaces.
pub(crate) const INSIDE: &str = "storm-inside";

/// Customers, and how many of their sessions stay behind when the power fails: TCP has not told their end.
const CUSTOMERS: u64 = 10_000;
const STALE: u64 = 5_000;
/// Sessions that must not notice.
const WATCHED: u64 = 20;
/// Set-ups of the soak, in rounds, and sessions at a time.
const ROUNDS: usize = 15;
const ROUND: u32 = 8_000;
/// After so many rounds all that has a bound has reached it: 65,535 call ids rest, and the history has its 20,000 attempts.
const SETTLED: usize = 10;
/// The most that may be left of each set-up from then on, in bytes: half of what the smallest allocation takes. The heap's own steps are less.
const MOST_LEFT: f64 = 16.0;
const AT_A_TIME: u32 = 500;
const PATIENCE: Duration = Duration::from_secs(300);

const EXPLANATION: &str = "10,000 customers come to a server at once, of whom 5,000 have a session there that died without a word: the new one replaces it (`per-user = 1`). 20 sessions of \
    a neighbour, which ping through their tunnels every 20 ms, are watched before and during the storm. Server, customers and neighbour share the machine's processors. Customers that do not come \
    up try again after a second, five times; `failed tries` counts those.";

const SOAK: &str = "Sessions come up, stay for a moment and go, 500 at a time, 120,000 in all, in fifteen rounds. What the server keeps of sessions that have ended is bounded: call ids that rest, \
    the history and its cache, known addresses. After ten rounds all of that is full, and whatever is not given back shows as growth in the last five.";

/// Builds gretel and lets the storm loose; or, with `soak`, the long one.
pub(crate) fn run(what: &[String]) -> Result<bool> {
    match what {
        [] => super::super::run_in_sandbox(INSIDE, &[]),
        [one] if one == "soak" => super::super::run_in_sandbox(SOAK_INSIDE, &[]),
        _ => bail!("there are `cargo xtask storm` and `cargo xtask storm soak`"),
    }
}

/// How the soak names itself inside the lab's namespaces.
pub(crate) const SOAK_INSIDE: &str = "soak-inside";

/// The part of [`run`] that happens inside the lab's namespaces.
pub(crate) fn run_inside() -> Result<bool> {
    lab::furnish()?;
    let mut bed = Bed::new("storm")?;
    let server = bed.serve("shared", "[session]\nper-user = 1\n")?;
    bed.wait_for_server()?;
    let watch = format!("--user user%d --sessions {WATCHED} --traffic ping:20");
    let stale = format!("--user customer%d --sessions {STALE} --hold 3600 --echo 0");
    let mut lost = bed.load(From::Customers, "stale", &stale)?;
    lost.wait_until_up(STALE, PATIENCE)?;
    let calm =
        bed.load(From::Neighbour, "calm", &format!("{watch} --hold 10"))?.finish(PATIENCE)?;
    bed.cut_power(lost)?;
    bed.connect_customers()?;
    let mut watched = bed.load(From::Neighbour, "watched", &format!("{watch} --hold 3600"))?;
    watched.wait_until_up(WATCHED, PATIENCE)?;
    let before = resident(server.pid())?;
    let arguments = format!(
        "--user customer%d --sessions {CUSTOMERS} --at-once {CUSTOMERS} --hold 2 --tries 5 --timeout 60"
    );
    let storm = bed.load(From::Customers, "storm", &arguments)?.finish(PATIENCE)?;
    watched.process.signal("INT")?;
    let watched = watched.finish(PATIENCE)?;
    let after = resident(server.pid())?;
    let stop = end(server, PATIENCE)?;
    let figures = json!({
        "storm": storm, "calm": calm, "watched": watched,
        "resident_before_kib": before, "resident_after_kib": after,
        "stop_ms": stop.as_secs_f64() * 1000.0,
    });
    let table = table(&figures)?;
    keep("Storm", "cargo xtask storm", EXPLANATION, &table, &figures, "storm.json")?;
    let came_up = figures["storm"]["came_up"] == CUSTOMERS;
    let stayed = figures["watched"]["lost"] == 0;
    Ok(came_up && stayed)
}

fn table(figures: &Value) -> Result<String> {
    let rows = [
        ("customers that came up", "", "/storm/came_up"),
        ("failed tries", "", "/storm/failed"),
        ("all of them up after", "ms", "/storm/set_up_took"),
        ("set-ups", "a second", "/storm/set_ups_per_second"),
        ("set-up time, median", "ms", "/storm/set_up/p50"),
        ("set-up time, 99th percentile", "ms", "/storm/set_up/p99"),
        ("set-up time, longest", "ms", "/storm/set_up/max"),
        ("a live session's ping before, median", "ms", "/calm/ping/p50"),
        ("a live session's ping before, 99th percentile", "ms", "/calm/ping/p99"),
        ("a live session's ping during it, median", "ms", "/watched/ping/p50"),
        ("a live session's ping during it, 99th percentile", "ms", "/watched/ping/p99"),
        ("live sessions that were lost", "", "/watched/lost"),
        ("server's resident memory before, with the stale sessions", "KiB", "/resident_before_kib"),
        ("server's resident memory after, without sessions", "KiB", "/resident_after_kib"),
    ];
    let mut table = "| what | in | figure |\n|---|---|---|\n".to_owned();
    for (what, unit, path) in rows {
        let value = figures.pointer(path).and_then(Value::as_f64).context(path)?;
        table.push_str(&format!("| {what} | {unit} | {} |\n", shown(value)));
    }
    let ping = |name: &str| figures[name]["ping"]["count"].as_f64().context("ping");
    let asked = figures["watched"]["pings"].as_f64().context("pings")?;
    let missing = (asked - ping("watched")?) * 100.0 / asked;
    table.push_str(&format!(
        "| a live session's pings that were lost during it | % | {missing:.3} |\n"
    ));
    Ok(table)
}

/// The part of [`run`] with `soak` that happens inside the lab's namespaces.
pub(crate) fn run_soak_inside() -> Result<bool> {
    lab::furnish()?;
    let bed = Bed::new("soak")?;
    let server = bed.serve("shared", "")?;
    bed.wait_for_server()?;
    let mut rounds = Vec::new();
    for round in 1..=ROUNDS {
        let arguments = format!(
            "--user user%d --sessions {AT_A_TIME} --total {ROUND} --hold 0.2 --traffic ping:50 --quiet"
        );
        let report = bed.load(From::Customers, "soak", &arguments)?.finish(PATIENCE)?;
        // The last sessions' ends have been written down.
        std::thread::sleep(Duration::from_secs(3));
        rounds.push(json!({
            "round": round,
            "came_up": report["came_up"],
            "failed": report["failed"],
            "lost": report["lost"],
            "resident_kib": resident(server.pid())?,
            "open_files": open_files(server.pid())?,
        }));
        eprintln!("round {round} of {ROUNDS}: {}", rounds[rounds.len() - 1]);
    }
    end(server, PATIENCE)?;
    let mut table =
        "| round | came up | failed or lost | resident memory, KiB | open files |\n|---|---|---|---|---|\n".to_owned();
    for round in &rounds {
        let failed = round["failed"].as_u64().unwrap_or(0) + round["lost"].as_u64().unwrap_or(0);
        table.push_str(&format!(
            "| {} | {} | {failed} | {} | {} |\n",
            round["round"], round["came_up"], round["resident_kib"], round["open_files"]
        ));
    }
    keep("Soak", "cargo xtask storm soak", SOAK, &table, &json!(rounds), "soak.json")?;
    let resident = |round: usize| rounds[round - 1]["resident_kib"].as_f64().context("resident");
    let growth = (resident(ROUNDS)? - resident(SETTLED)?) * 1024.0;
    let left = growth / (f64::from(ROUND) * (ROUNDS - SETTLED) as f64);
    println!("{left:.1} bytes are left of each set-up in the last rounds; at most {MOST_LEFT}");
    let all_up = rounds.iter().all(|round| round["came_up"] == ROUND && round["lost"] == 0);
    let files = rounds[1]["open_files"] == rounds[ROUNDS - 1]["open_files"];
    Ok(all_up && files && left <= MOST_LEFT)
}

fn keep(
    name: &str,
    command: &str,
    explanation: &str,
    table: &str,
    figures: &Value,
    file: &str,
) -> Result<()> {
    let file = workspace::target().join(file);
    fs::write(&file, format!("{figures:#}\n"))?;
    println!("\n{table}\nall figures: {}", file.display());
    let explanation = format!("{explanation} {}", load_average()?);
    Section { name, command, explanation: &explanation, table }.keep()
}
