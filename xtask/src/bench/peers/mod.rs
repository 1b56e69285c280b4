//! The same client and the same traffic against three servers, each in a guest of its own: what a server costs, beside its peers.

mod server;

use std::fs;

use anyhow::{Context, Result};

use super::{
    iperf,
    performance::{Section, median, shown},
};
use crate::{
    lab::{self, Caller, INNER, NEIGHBOUR, Segment},
    workspace,
};
pub(super) use server::{Peer, Server};

/// How the measurement names itself inside the lab's namespaces.
pub(crate) const INSIDE: &str = "bench-peers-inside";

/// How often every server has its turn, and how long each load runs, in seconds.
const ROUNDS: usize = 3;
const SECONDS: u32 = 5;
const GIB: f64 = (1_u64 << 30) as f64;

/// What is sent, to which address, and by which options of iperf3.
const LOADS: [(&str, &str, &str); 4] = [
    ("to a machine behind the server", NEIGHBOUR, ""),
    ("from a machine behind the server", NEIGHBOUR, "--reverse"),
    ("to the server itself", INNER, ""),
    ("from the server itself", INNER, "--reverse"),
];

const EXPLANATION: &str = "The same client (`gretel connect`, on the machine) and the same traffic (iperf3, one TCP stream, MPPE with 128 bits, stateless) against \
    servers in User-Mode Linux guests with the same kernel, memory and network interfaces, one at a time, taking turns; figures are medians. `pptpd`: Debian's, with its \
    `pppd`, through a pseudo-terminal. `kernel`: PPTP sockets and `ppp_mppe` of the guest's kernel, as accel-ppp uses them, negotiated by a small program of this \
    project. Processor time is all that the guest used on the machine, its kernel and, where the server itself is the other end, its iperf3 included. System calls cost \
    several times what they do on a machine of its own, so that absolute figures say nothing about one. `times`: greater is better for Gretel.";

/// Throughput in Mbit/s, and processor seconds of the guest for each GiB.
#[derive(Debug, Clone, Copy)]
struct Figures {
    throughput: f64,
    processor: f64,
}

/// Builds gretel and measures.
pub(crate) fn run() -> Result<bool> {
    super::run_in_sandbox(INSIDE)
}

/// The part of [`run`] that happens inside the lab's namespaces.
pub(crate) fn run_inside() -> Result<bool> {
    lab::furnish()?;
    let folder = workspace::lab_directory().join("bench-peers");
    fs::create_dir_all(&folder)?;
    let segment = Segment::new(folder)?;
    segment.neighbour.sh(&format!("ip route add {} via {INNER}", server::CLIENT_INNER))?;
    let mut caller = Caller::on(&segment, "caller", "10.99.0.9")?;
    let mut rounds: [Vec<[Figures; LOADS.len()]>; 3] = Default::default();
    for round in 1..=ROUNDS {
        for (peer, figures) in Peer::ALL.iter().zip(&mut rounds) {
            eprintln!("round {round} of {ROUNDS}: {}", peer.name());
            let measured = turn(*peer, &segment, &mut caller);
            figures.push(measured.with_context(|| peer.name())?);
        }
    }
    let medians = rounds.each_ref().map(|rounds| medians(rounds));
    let table = table(&medians);
    println!("\n{table}");
    Section {
        name: "Peers",
        command: "cargo xtask bench peers",
        explanation: EXPLANATION,
        table: &table,
    }
    .keep()?;
    Ok(true)
}

/// All loads against one server.
fn turn(peer: Peer, segment: &Segment, caller: &mut Caller) -> Result<[Figures; LOADS.len()]> {
    let mut server = Server::start(peer, segment)?;
    for host in [&caller.namespace, &segment.neighbour] {
        // The guest before had the same addresses, but other Ethernet addresses.
        host.sh("ip neighbour flush all")?;
    }
    segment.measure()?;
    caller.connect().with_context(|| server.log())?;
    let mut figures = Vec::new();
    for (what, address, options) in LOADS {
        let before = server.processor_time()?;
        let result = iperf::run(&caller.namespace, address, SECONDS, options)
            .with_context(|| format!("{what}; the server says:\n{}", server.log()))?;
        let used = (server.processor_time()? - before).as_secs_f64();
        let throughput = iperf::megabits(&result, "sum_received")?;
        let bytes = iperf::number(&result, "/end/sum_received/bytes")?;
        let one = Figures { throughput, processor: used / (bytes / GIB) };
        eprintln!("  {what}: {throughput:.0} Mbit/s, {:.1} s/GiB", one.processor);
        figures.push(one);
    }
    caller.disconnect()?;
    figures.try_into().ok().context("a load is missing")
}

fn medians(rounds: &[[Figures; LOADS.len()]]) -> [Figures; LOADS.len()] {
    std::array::from_fn(|load| {
        let of = |figure: fn(&Figures) -> f64| {
            median(rounds.iter().map(|round| figure(&round[load])).collect()).unwrap_or(f64::NAN)
        };
        Figures { throughput: of(|one| one.throughput), processor: of(|one| one.processor) }
    })
}

fn table(peers: &[[Figures; LOADS.len()]; 3]) -> String {
    let names: Vec<&str> = Peer::ALL.iter().map(|peer| peer.name()).collect();
    let mut table = format!(
        "| TCP, 1 stream | in | {} | times pptpd | times kernel |\n|---|---|---|---|---|---|---|",
        names.join(" | ")
    );
    for (load, (what, ..)) in LOADS.iter().enumerate() {
        let [pptpd, kernel, gretel] = peers.each_ref().map(|loads| loads[load].throughput);
        let times = [gretel / pptpd, gretel / kernel];
        table.push_str(&row(what, "Mbit/s", [pptpd, kernel, gretel], times));
    }
    for (load, (what, ..)) in LOADS.iter().enumerate() {
        let [pptpd, kernel, gretel] = peers.each_ref().map(|loads| loads[load].processor);
        let times = [pptpd / gretel, kernel / gretel];
        let what = format!("{what}: the guest's processor");
        table.push_str(&row(&what, "s/GiB", [pptpd, kernel, gretel], times));
    }
    table
}

fn row(what: &str, unit: &str, figures: [f64; 3], times: [f64; 2]) -> String {
    let figures = figures.map(shown).join(" | ");
    format!("\n| {what} | {unit} | {figures} | {:.2} | {:.2} |", times[0], times[1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_greater_where_gretel_is_better() {
        let all = |throughput, processor| [Figures { throughput, processor }; LOADS.len()];
        let table = table(&[all(50.0, 80.0), all(200.0, 10.0), all(400.0, 8.0)]);
        assert!(
            table.contains("| to the server itself | Mbit/s | 50.0 | 200 | 400 | 8.00 | 2.00 |")
        );
        let processor = "| to the server itself: the guest's processor | s/GiB | 80.0 | 10.0 | 8.00 | 10.00 | 1.25 |";
        assert!(table.contains(processor), "{table}");
    }
}
