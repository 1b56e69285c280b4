//! The queues between the kernel and a worker: how long they may be.

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

/// How many streams of a machine behind the server are the load, whose packets the server forwards, so that no queue of a sender's own holds them
/// back.
const STREAMS: [u32; 2] = [4, 32];

/// How many packets or super-packets a queue holds.
const LENGTHS: [u32; 4] = [1000, 500, 100, 32];

/// The figures of a queue.
type Figures = [f64; NAMES.len()];

const NAMES: [&str; 5] = [
    "TCP to the client, Mbit/s",
    "ping of another session, 99th percentile, ms",
    "ping of the same session, 99th percentile, ms",
    "standing queue, ms",
    "dropped, of a thousand",
];

const EXPLANATION: &str = "One session is saturated by TCP streams from a machine behind a server with a shared interface and one worker, by raw sockets. The queues of the shared \
    interface are the kernel's: each holds as many packets or super-packets as `ip link set ppp0 txqueuelen` says, and what does not fit is dropped. The other session's \
    packets have a queue of their own, as most have. No queueing discipline counts: a TUN takes whatever its own queue has room for, so that nothing ever waits in one (CoDel included). \
    `standing queue`: the most that every ping of 100 ms took, in the saturated session's queue; CoDel would drop where that is above 5 ms (RFC 8289). All take turns; figures are medians.";

/// Measures, and keeps the table.
pub(super) fn run_inside() -> Result<bool> {
    let bed = prepare()?;
    let behind = bed.behind()?;
    let mut rows: Vec<(u32, u32, Vec<Figures>)> = STREAMS
        .into_iter()
        .flat_map(|streams| LENGTHS.map(|length| (streams, length, Vec::new())))
        .collect();
    for round in 1..=ROUNDS {
        for (streams, length, figures) in &mut rows {
            eprintln!("round {round} of {ROUNDS}: {streams} streams, {length} packets");
            figures.push(measure(&bed, &behind, *streams, *length)?);
        }
    }
    let table = table(&rows);
    println!("\n{table}");
    Section {
        name: "Queues",
        command: "cargo xtask bench tunnel queues",
        explanation: &format!("{EXPLANATION} {}", load_average()?),
        table: &table,
    }
    .keep()?;
    Ok(true)
}

fn measure(bed: &Bed, behind: &Namespace, streams: u32, length: u32) -> Result<Figures> {
    let tunnel = bed.tunnel("[interface]\nmode = \"shared\"\n", &["--workers", "1"], &[])?;
    bed.far.sh(&format!("ip link set ppp0 txqueuelen {length}"))?;
    bed.route_behind()?;
    let _server = bed.iperf_server_in(behind)?;
    let load = format!("--parallel {streams} --reverse");
    let before = bed.sent_and_dropped()?;
    let received = megabits(&run(&bed.near, BEHIND, SECONDS, &load)?, "sum_received")?;
    let after = bed.sent_and_dropped()?;
    let [sent, dropped] = [0, 1].map(|at| after[at] - before[at]);
    let others = under_load(bed, &bed.other, BEHIND, &load)?;
    let own = under_load(bed, &bed.near, BEHIND, &load)?;
    let figures = [
        received,
        others.worst_of_hundred,
        own.worst_of_hundred,
        own.standing,
        1000.0 * dropped / (sent + dropped).max(1.0),
    ];
    tunnel.end()?;
    Ok(figures)
}

fn table(rows: &[(u32, u32, Vec<Figures>)]) -> String {
    let mut table = String::from("| streams | length |");
    NAMES.iter().for_each(|name| table.push_str(&format!(" {name} |")));
    table.push_str("\n|---|---|");
    table.push_str(&"---|".repeat(NAMES.len()));
    for (streams, length, rounds) in rows {
        table.push_str(&format!("\n| {streams} | {length} |"));
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
        let table = table(&[(4, 500, figures.clone()), (32, 100, figures)]);
        let lines: Vec<_> = table.lines().collect();
        assert_eq!(lines.len(), 4);
        assert_eq!(lines[2], "| 4 | 500 | 2.00 | 2.00 | 2.00 | 2.00 | 2.00 |");
    }
}
