//! The same client and the same traffic against three servers, each in a guest of its own: what a server costs, beside its peers.

mod choice;
mod server;

use std::{fs, process::Command};

use anyhow::{Context, Result};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use super::{
    iperf,
    performance::{Section, median, shown},
};
use crate::{
    lab::{self, Caller, INNER, NEIGHBOUR, Segment},
    workspace,
};
use choice::Choice;
pub(super) use server::{Peer, Server};

/// How the measurement names itself inside the lab's namespaces.
pub(crate) const INSIDE: &str = "bench-peers-inside";

const GIB: f64 = (1_u64 << 30) as f64;

/// What is sent, to which address, and by which options of iperf3.
type Load = (&'static str, &'static str, &'static str);

const LOADS: [Load; 4] = [
    ("to a machine behind the server", NEIGHBOUR, ""),
    ("from a machine behind the server", NEIGHBOUR, "--reverse"),
    ("to the server itself", INNER, ""),
    ("from the server itself", INNER, "--reverse"),
];

const EXPLANATION: &str = "The same client (`gretel connect`, on the machine) and the same traffic (iperf3, one TCP stream, MPPE with 128 bits, stateless) against \
    servers in User-Mode Linux guests with the same kernel, memory and network interfaces (with TCP segmentation offload, as network cards have it), one at a \
    time, taking turns; figures are medians. A guest has one processor, and one of the machine's for itself; the others have everything else, the way of a packet \
    through the switch and its arrival included. `pptpd`: Debian's, with its `pppd`, through a pseudo-terminal. `kernel`: PPTP sockets and `ppp_mppe` of the \
    guest's kernel, as accel-ppp uses them, negotiated by a small program of this project. Processor time is all that the guest used on the machine, its kernel and, where the server itself is the other end, its iperf3 included. System calls cost \
    several times what they do on a machine of its own, so that absolute figures say nothing about one. `times`: greater is better for Gretel.";

/// Throughput in Mbit/s, and processor seconds of the guest for each GiB.
#[derive(Debug, Clone, Copy)]
struct Figures {
    throughput: f64,
    processor: f64,
}

/// Builds gretel and measures what the arguments choose.
pub(crate) fn run(arguments: &[String]) -> Result<bool> {
    Choice::parse(arguments)?;
    super::run_in_sandbox(INSIDE, arguments)
}

/// The part of [`run`] that happens inside the lab's namespaces.
pub(crate) fn run_inside(arguments: &[String]) -> Result<bool> {
    let choice = Choice::parse(arguments)?;
    lab::furnish()?;
    // What else this machine does disturbs less.
    let this = std::process::id().to_string();
    workspace::output(Command::new("renice").args(["-n", "-15", "-p", &this]))?;
    let folder = workspace::lab_directory().join("bench-peers");
    fs::create_dir_all(&folder)?;
    let segment = Segment::new(folder)?;
    segment.neighbour.sh(&format!("ip route add {} via {INNER}", server::CLIENT_INNER))?;
    let processor = set_processor_aside()?;
    let mut caller = Caller::on(&segment, "caller", "10.99.0.9")?;
    let mut rounds: Vec<Vec<Vec<Figures>>> = choice.peers.iter().map(|_| Vec::new()).collect();
    for round in 1..=choice.rounds {
        for (peer, figures) in choice.peers.iter().zip(&mut rounds) {
            eprintln!("round {round} of {}: {}", choice.rounds, peer.name());
            let measured = turn(*peer, &choice, &segment, &mut caller, processor);
            figures.push(measured.with_context(|| peer.name())?);
        }
    }
    let medians: Vec<Vec<Figures>> = rounds.iter().map(|rounds| medians(rounds)).collect();
    let table = table(&choice, &medians);
    println!("\n{table}");
    if choice == Choice::default() {
        let (name, command) = ("Peers", "cargo xtask bench peers");
        Section { name, command, explanation: EXPLANATION, table: &table }.keep()?;
    }
    Ok(true)
}

/// Keeps this program, and what it starts from now on, from the last processor, which is the guests'. `None`: there is one only.
fn set_processor_aside() -> Result<Option<usize>> {
    let mut others = sched_getaffinity(None)?;
    let last = (0..CpuSet::MAX_CPU).rfind(|cpu| others.is_set(*cpu));
    let Some(last) = last.filter(|_| others.count() > 1) else { return Ok(None) };
    others.unset(last);
    sched_setaffinity(None, &others)?;
    Ok(Some(last))
}

/// The chosen loads against one server, whose guest has a processor for itself.
fn turn(
    peer: Peer,
    choice: &Choice,
    segment: &Segment,
    caller: &mut Caller,
    processor: Option<usize>,
) -> Result<Vec<Figures>> {
    let mut server = Server::start(peer, segment)?;
    if let Some(processor) = processor {
        server.keep_to(processor)?;
        lab::carry_on(&segment.switch)?;
    }
    for host in [&caller.namespace, &segment.neighbour] {
        // The guest before had the same addresses, but other Ethernet addresses.
        host.sh("ip neighbour flush all")?;
    }
    segment.measure()?;
    caller.connect().with_context(|| server.log())?;
    let mut figures = Vec::new();
    for (what, address, options) in &choice.loads {
        let before = server.processor_time()?;
        let result = iperf::run(&caller.namespace, address, choice.seconds, options)
            .with_context(|| format!("{what}; the server says:\n{}", server.log()))?;
        let used = (server.processor_time()? - before).as_secs_f64();
        let throughput = iperf::megabits(&result, "sum_received")?;
        let bytes = iperf::number(&result, "/end/sum_received/bytes")?;
        let one = Figures { throughput, processor: used / (bytes / GIB) };
        eprintln!("  {what}: {throughput:.0} Mbit/s, {:.1} s/GiB", one.processor);
        figures.push(one);
    }
    caller.disconnect()?;
    Ok(figures)
}

/// Of each load, over all rounds.
fn medians(rounds: &[Vec<Figures>]) -> Vec<Figures> {
    let loads = rounds.first().map_or(0, Vec::len);
    let of = |load: usize, figure: fn(&Figures) -> f64| {
        median(rounds.iter().map(|round| figure(&round[load])).collect()).unwrap_or(f64::NAN)
    };
    let both = |load| Figures {
        throughput: of(load, |one| one.throughput),
        processor: of(load, |one| one.processor),
    };
    (0..loads).map(both).collect()
}

/// `peers`: the figures of each peer, those of each load.
fn table(choice: &Choice, peers: &[Vec<Figures>]) -> String {
    let gretel = choice.peers.iter().position(|peer| *peer == Peer::Gretel);
    let others = |gretel: usize| (0..peers.len()).filter(move |peer| *peer != gretel);
    let name = |peer: usize| choice.peers[peer].name();
    let mut table = "| TCP, 1 stream | in |".to_owned();
    (0..peers.len()).for_each(|peer| table += &format!(" {} |", name(peer)));
    let ratios: Vec<usize> = gretel.map(|gretel| others(gretel).collect()).unwrap_or_default();
    ratios.iter().for_each(|other| table += &format!(" times {} |", name(*other)));
    table += &format!("\n|{}", "---|".repeat(2 + peers.len() + ratios.len()));
    let mut row = |what: &str, unit: &str, figures: Vec<f64>, ratio: fn(f64, f64) -> f64| {
        table += &format!("\n| {what} | {unit} |");
        figures.iter().for_each(|figure| table += &format!(" {} |", shown(*figure)));
        for other in &ratios {
            let ratio = gretel.map_or(f64::NAN, |gretel| ratio(figures[gretel], figures[*other]));
            table += &format!(" {ratio:.2} |");
        }
    };
    for (load, (what, ..)) in choice.loads.iter().enumerate() {
        let figures = peers.iter().map(|loads| loads[load].throughput).collect();
        row(what, "Mbit/s", figures, |gretel, other| gretel / other);
    }
    for (load, (what, ..)) in choice.loads.iter().enumerate() {
        let figures = peers.iter().map(|loads| loads[load].processor).collect();
        let what = format!("{what}: the guest's processor");
        row(&what, "s/GiB", figures, |gretel, other| other / gretel);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_greater_where_gretel_is_better() {
        let all = |throughput, processor| vec![Figures { throughput, processor }; LOADS.len()];
        let figures = [all(50.0, 80.0), all(200.0, 10.0), all(400.0, 8.0)];
        let table = table(&Choice::default(), &figures);
        assert!(
            table.contains("| to the server itself | Mbit/s | 50.0 | 200 | 400 | 8.00 | 2.00 |")
        );
        let processor = "| to the server itself: the guest's processor | s/GiB | 80.0 | 10.0 | 8.00 | 10.00 | 1.25 |";
        assert!(table.contains(processor), "{table}");
    }

    #[test]
    fn a_part_has_the_columns_and_rows_of_what_was_chosen() {
        let choice = Choice::parse(&["gretel", "kernel", "--load", "from the"].map(str::to_owned));
        let figures = [(300.0, 8.0), (200.0, 10.0)];
        let figures =
            figures.map(|(throughput, processor)| vec![Figures { throughput, processor }]);
        let table = table(&choice.expect("a choice"), &figures);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines[0], "| TCP, 1 stream | in | Gretel | kernel | times kernel |");
        assert_eq!(lines[2], "| from the server itself | Mbit/s | 300 | 200 | 1.50 |");
        let processor =
            "| from the server itself: the guest's processor | s/GiB | 8.00 | 10.0 | 1.25 |";
        assert_eq!(lines[3..], [processor]);
    }
}
