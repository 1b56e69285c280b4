//! What events cost while packets flow: the run time of the threads that make and keep them, beside that of the threads that move packets.

use std::{collections::BTreeMap, fs, process::Command, thread, time::Duration};

use anyhow::{Context, Result};

use super::bed::{Bed, INNER};
use crate::{
    bench::{
        iperf::{megabits, run},
        performance::{Section, load_average, median, shown},
    },
    lab, workspace,
};

/// How the measurement names itself inside the lab's namespaces.
pub(crate) const INSIDE: &str = "bench-events-inside";

/// How often every load has its turn, and for how long.
const ROUNDS: usize = 5;
const SECONDS: u32 = 10;

/// What the names of the threads begin with that move packets.
const WORKER: &str = "gretel-data";

/// What runs through the tunnel: its name, and iperf3's options; without them nothing runs.
const LOADS: [(&str, Option<&str>); 3] = [
    ("nothing", None),
    ("TCP, 1 stream, to the server", Some("")),
    ("TCP, 1 stream, to the client", Some("--reverse")),
];

const EXPLANATION: &str = "The threads of `gretel serve` with two sessions, one of which has the load; both are looked at, echoed and kept in trail and history as always. \
    Events, log lines, trails, the history, echoes and figures are made and kept by the control plane's thread and those behind it; workers make no event of a packet \
    but of a session's first. So the run time of all threads that are no workers is the most that events can take from packets. \
    A trail takes less than 4 KiB whatever its session does (asserted when it is compiled). Loads take turns; figures are medians.";

/// Builds gretel and measures.
pub(crate) fn run_events() -> Result<bool> {
    crate::bench::run_in_sandbox(INSIDE, &[])
}

/// The part of [`run_events`] that happens inside the lab's namespaces.
pub(crate) fn run_events_inside() -> Result<bool> {
    lab::furnish()?;
    let this = std::process::id().to_string();
    workspace::output(Command::new("renice").args(["-n", "-15", "-p", &this]))?;
    let bed = Bed::new()?;
    let tunnel = bed.tunnel("", &["--workers", "1"], &[])?;
    let mut measured = LOADS.map(|_| Vec::new());
    for round in 1..=ROUNDS {
        for ((name, options), figures) in LOADS.iter().zip(&mut measured) {
            eprintln!("round {round} of {ROUNDS}: {name}");
            let iperf = bed.iperf_server()?;
            let before = run_times(tunnel.server_pid())?;
            let rate = match options {
                Some(options) => {
                    megabits(&run(&bed.near, INNER, SECONDS, options)?, "sum_received")?
                }
                None => {
                    thread::sleep(Duration::from_secs(SECONDS.into()));
                    0.0
                }
            };
            let after = run_times(tunnel.server_pid())?;
            drop(iperf);
            figures.push([rate, spent(&before, &after, true), spent(&before, &after, false)]);
        }
    }
    tunnel.end()?;
    let table = table(&measured);
    println!("\n{table}");
    Section {
        name: "Events",
        command: "cargo xtask bench events",
        explanation: &format!("{EXPLANATION} {}", load_average()?),
        table: &table,
    }
    .keep()?;
    Ok(true)
}

/// The name and the run time of each thread, by its number.
type RunTimes = BTreeMap<u32, (String, Duration)>;

fn run_times(pid: u32) -> Result<RunTimes> {
    let mut times = RunTimes::new();
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let task = task?.path();
        let id = task.file_name().and_then(|name| name.to_str()?.parse().ok()).context("a task")?;
        let nanos = fs::read_to_string(task.join("schedstat"))?;
        let nanos = nanos.split_whitespace().next().context("schedstat")?.parse()?;
        let name = fs::read_to_string(task.join("comm"))?;
        times.insert(id, (name, Duration::from_nanos(nanos)));
    }
    Ok(times)
}

/// Milliseconds a second that workers ran, or all other threads.
fn spent(before: &RunTimes, after: &RunTimes, workers: bool) -> f64 {
    let chosen = after.iter().filter(|(_, (name, _))| name.starts_with(WORKER) == workers);
    let spent = chosen.map(|(id, (_, time))| {
        time.saturating_sub(before.get(id).map_or(Duration::ZERO, |(_, time)| *time))
    });
    spent.sum::<Duration>().as_secs_f64() * 1e3 / f64::from(SECONDS)
}

fn table(measured: &[Vec<[f64; 3]>]) -> String {
    let mut table = String::from(
        "| load | Mbit/s | workers, ms of run time a second | all other threads, ms of run time a second | all other threads, % of one processor |\n|---|---|---|---|---|",
    );
    for ((name, _), figures) in LOADS.iter().zip(measured) {
        let middle = |column: usize| {
            median(figures.iter().map(|figures| figures[column]).collect()).unwrap_or_default()
        };
        let others = middle(2);
        table.push_str(&format!(
            "\n| {name} | {} | {} | {others:.3} | {:.3} |",
            shown(middle(0)),
            shown(middle(1)),
            others / 10.0
        ));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_are_told_from_the_others_and_new_threads_count() {
        let times = |all: &[(u32, &str, u64)]| {
            let time = |(id, name, millis): &(u32, &str, u64)| {
                (*id, ((*name).to_owned(), Duration::from_millis(*millis)))
            };
            all.iter().map(time).collect::<RunTimes>()
        };
        let before = times(&[(1, "gretel\n", 10), (2, "gretel-data-0\n", 100)]);
        let after = times(&[(1, "gretel\n", 20), (2, "gretel-data-0\n", 600), (3, "log\n", 10)]);
        assert_eq!(spent(&before, &after, true), 50.0);
        assert_eq!(spent(&before, &after, false), 2.0);
    }
}
