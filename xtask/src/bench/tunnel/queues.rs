//! The queue between the kernel and the worker: how long it may be, and what manages it.

use anyhow::Result;

use super::{
    bed::{BEHIND, Bed},
    measure::{SECONDS, under_load},
    prepare,
};
use crate::{
    bench::{
        iperf::{megabits, run},
        performance::{Section, load_average, median, shown},
    },
    lab::Namespace,
};

const ROUNDS: usize = 3;

/// The load: four streams of a machine behind the server, whose packets the server forwards, so that no queue of a sender's own holds them back.
const LOAD: &str = "--parallel 4 --reverse";

/// What manages the queue, and how many packets or super-packets the interface's own holds.
const QUEUES: [(&str, u32); 7] = [
    ("pfifo_fast", 500),
    ("pfifo_fast", 100),
    ("pfifo_fast", 32),
    ("pfifo_fast", 16),
    ("pfifo_fast", 8),
    ("noqueue", 500),
    (CODEL, 500),
];
/// Not every kernel has it.
const CODEL: &str = "fq_codel";

/// The figures of a queue.
type Figures = [f64; NAMES.len()];

const NAMES: [&str; 4] = [
    "TCP, 4 streams to the client, Mbit/s",
    "ping of another session, 99th percentile, ms",
    "ping of the same session, 99th percentile, ms",
    "dropped, of a thousand",
];

const EXPLANATION: &str = "One session is saturated by four TCP streams from a machine behind a server with a shared interface and one worker, by raw sockets. The queue of the shared \
    interface is the kernel's: it holds as many packets or super-packets as `ip link set ppp0 txqueuelen` says, and what does not fit is dropped. Before it stands a queueing discipline, or none (`noqueue`). All take turns; figures are medians.";

/// Measures, and keeps the table.
pub(super) fn run_inside() -> Result<bool> {
    let bed = prepare()?;
    let behind = bed.behind()?;
    let has_codel = bed.far.sh(&format!("tc qdisc replace dev lo root {CODEL}")).is_ok();
    let queues: Vec<_> = QUEUES.iter().filter(|(name, _)| has_codel || *name != CODEL).collect();
    let missing = if has_codel { "" } else { " This kernel has no `fq_codel`." };
    let mut rounds: Vec<Vec<Figures>> = queues.iter().map(|_| Vec::new()).collect();
    for round in 1..=ROUNDS {
        for (queue, figures) in queues.iter().zip(&mut rounds) {
            eprintln!("round {round} of {ROUNDS}: {queue:?}");
            figures.push(measure(&bed, &behind, **queue)?);
        }
    }
    let table = table(&queues, &rounds);
    println!("\n{table}");
    Section {
        name: "Queues",
        command: "cargo xtask bench tunnel queues",
        explanation: &format!("{EXPLANATION}{missing} {}", load_average()?),
        table: &table,
    }
    .keep()?;
    Ok(true)
}

fn measure(bed: &Bed, behind: &Namespace, (discipline, len): (&str, u32)) -> Result<Figures> {
    let tunnel = bed.tunnel("[interface]\nmode = \"shared\"\n", &["--workers", "1"], &[])?;
    bed.far.sh(&format!(
        "ip link set ppp0 txqueuelen {len} && tc qdisc replace dev ppp0 root {discipline}"
    ))?;
    bed.route_behind()?;
    let _server = bed.iperf_server_in(behind)?;
    let before = bed.sent_and_dropped()?;
    let received = megabits(&run(&bed.near, BEHIND, SECONDS, LOAD)?, "sum_received")?;
    let after = bed.sent_and_dropped()?;
    let [sent, dropped] = [0, 1].map(|at| after[at] - before[at]);
    let figures = [
        received,
        under_load(bed, &bed.other, BEHIND, LOAD)?,
        under_load(bed, &bed.near, BEHIND, LOAD)?,
        1000.0 * dropped / (sent + dropped).max(1.0),
    ];
    tunnel.end()?;
    Ok(figures)
}

fn table(queues: &[&(&str, u32)], rounds: &[Vec<Figures>]) -> String {
    let mut table = String::from("| queueing discipline | length |");
    NAMES.iter().for_each(|name| table.push_str(&format!(" {name} |")));
    table.push_str("\n|---|---|");
    table.push_str(&"---|".repeat(NAMES.len()));
    for ((discipline, len), rounds) in queues.iter().zip(rounds) {
        table.push_str(&format!("\n| {discipline} | {len} |"));
        for row in 0..NAMES.len() {
            let figure = median(rounds.iter().map(|figures| figures[row]).collect());
            table.push_str(&format!(" {} |", figure.map(shown).unwrap_or_default()));
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_queue_has_a_row_of_medians() {
        let figures = [3.0, 1.0, 2.0].map(|figure| [figure; NAMES.len()]).to_vec();
        let queues: Vec<_> = QUEUES.iter().collect();
        let table = table(&queues, &vec![figures; QUEUES.len()]);
        let lines: Vec<_> = table.lines().collect();
        assert_eq!(lines.len(), 2 + QUEUES.len());
        assert_eq!(lines[2], "| pfifo_fast | 500 | 2.00 | 2.00 | 2.00 | 2.00 |");
    }
}
