//! Throughput, processor time and delay of a tunnel between two namespaces, against other ways on the same cable.

mod bed;
mod events;
mod measure;
mod options;
mod queues;
mod ways;

pub(crate) use bed::used;
pub(crate) use events::{INSIDE as EVENTS_INSIDE, run_events, run_events_inside};

use std::{path::Path, process::Command};

use anyhow::{Context, Result, ensure};

use super::performance::{Section, load_average, median, shown};
use super::{crypto, run_in_sandbox};
use crate::{lab, workspace};
use bed::{Bed, INNER};
use measure::{COMPARED, Figures, NAMES, measure, one_stream};
use options::Options;
use ways::{RATIOS, STAND_IN, VXLAN, WAYS, Way};

/// How the measurement names itself inside the lab's namespaces.
pub(crate) const INSIDE: &str = "bench-tunnel-inside";

/// The longest packet of the VXLAN, on average, by which it is one that carries packets one at a time.
const PLAIN_PACKET: f64 = 1400.0;

const EXPLANATION: &str = "`gretel serve` and two `gretel connect` in three namespaces on one machine, joined by veth pairs, MPPE with 128 bits, stateless; \
    iperf3 runs on the same processors, everything at nice -15. All ways take turns; figures are medians. `naive` is what anybody would write first: \
    one packet for each poll and system call, RC4 in plain Rust (as fast as the crate `rc4`) and one packet at a time with nothing made ahead, without super-packets. \
    AF_PACKET sends past the kernel's stack and receives by raw sockets, AF_XDP does both past it, in copy mode. `gretel connect` has one worker always; a session \
    is on one worker, so that a second one serves other sessions only. Processor time is that of the processes' threads, softirqs in their context included; veth charges the receiver's softirq to the \
    sender. `whole machine` is all that its processors did meanwhile (`/proc/stat`), softirqs in nobody's context and other work too: \
    on a quiet machine it checks the sum of the processes. VXLAN without offloads, one packet at a time through the kernel (its counters prove it), stands in for a tunnel in the kernel, and \
    encrypts nothing: (a) of Cryptography, measured in turns with all else here, is added twice for each 1400 bytes. 100 sessions are those of one `gretel load`, whose long echoes the server's kernel answers. `times …`: greater is better for throughput, smaller for the others.";

/// Builds gretel and the benchmark of its cryptography, and measures.
pub(crate) fn run(arguments: &[String]) -> Result<bool> {
    if arguments == ["queues"] {
        return run_in_sandbox(INSIDE, arguments);
    }
    // Wrong ones are told before anything is built.
    Options::parse(arguments)?;
    let crypto = crypto::build()?.display().to_string();
    run_in_sandbox(INSIDE, &[&[crypto], arguments].concat())
}

/// The part of [`run`] that happens inside the lab's namespaces. The first argument is the benchmark of cryptography.
pub(crate) fn run_inside(arguments: &[String]) -> Result<bool> {
    if arguments == ["queues"] {
        return queues::run_inside();
    }
    let (crypto, arguments) = arguments.split_first().context("no benchmark of cryptography")?;
    let options = Options::parse(arguments)?;
    let bed = prepare()?;
    let ways: Vec<_> = WAYS.iter().filter(|(name, _)| options.wants(name)).collect();
    let mut rounds: Vec<Vec<Figures>> = ways.iter().map(|_| Vec::new()).collect();
    let (mut kernel_shaped, mut sleepers) = (Vec::new(), Vec::new());
    for round in 1..=options.rounds {
        kernel_shaped.push(crypto::kernel_shaped(Path::new(crypto))?);
        sleepers.extend(measure::sleepers()?);
        for ((name, way), figures) in ways.iter().zip(&mut rounds) {
            eprintln!("round {round} of {}: {name}", options.rounds);
            figures.push(take_turn(&bed, way, &options)?);
        }
    }
    if options.wants(VXLAN) {
        let len = bed.vxlan_packet_len()?;
        ensure!(len < PLAIN_PACKET, "the VXLAN's packets are of {len:.0} bytes: super-packets");
    }
    let names = ways.iter().map(|(name, _)| *name);
    let mut columns: Vec<_> = names.zip(rounds.iter().map(|rounds| medians(rounds))).collect();
    let kernel_shaped = median(kernel_shaped).unwrap_or_default();
    columns.extend(stand_in(&columns, kernel_shaped));
    let table = table(&columns);
    let sleepers = median(sleepers).map_or_else(String::new, |time| {
        format!(
            "A round trip between two processors that had slept took {time:.2} ms: a ping through the tunnel wakes a program three times more than one over bare veth."
        )
    });
    println!("\n{table}\n(a) took {kernel_shaped:.2} us for 1400 bytes. {sleepers}");
    if !options.is_whole() {
        return Ok(true);
    }
    // Delays above all tell more of the machine's other work than of a tunnel.
    let explanation =
        format!("{EXPLANATION} (a) took {kernel_shaped:.2} us. {sleepers} {}", load_average()?);
    Section {
        name: "Tunnel",
        command: "cargo xtask bench tunnel",
        explanation: &explanation,
        table: &table,
    }
    .keep()?;
    Ok(true)
}

/// Makes the bed. Everything that runs in it goes before what else this machine does.
fn prepare() -> Result<Bed> {
    lab::furnish()?;
    let this = std::process::id().to_string();
    workspace::output(Command::new("renice").args(["-n", "-15", "-p", &this]))?;
    Bed::new()
}

fn take_turn(bed: &Bed, way: &Way, options: &Options) -> Result<Figures> {
    let measure = |address: &str, tunnel| {
        if !options.one_stream {
            return measure(bed, address, tunnel);
        }
        let _server = bed.iperf_server()?;
        one_stream(bed, address, tunnel)
    };
    match way {
        Way::Bare(address) => measure(address, None),
        Way::Gretel(serve, connect) => {
            let tunnel = bed.tunnel("", serve, connect)?;
            let figures = measure(INNER, Some(&tunnel))?;
            tunnel.end()?;
            Ok(figures)
        }
    }
}

/// A tunnel in the kernel: what carries packets, and what would encrypt and decrypt each.
fn stand_in(columns: &[(&str, Figures)], kernel_shaped: f64) -> Option<(&'static str, Figures)> {
    let (_, vxlan) = columns.iter().find(|(name, _)| *name == VXLAN)?;
    let mut figures = [None; NAMES.len()];
    for row in COMPARED {
        figures[row] = vxlan[row].map(|carried| carried + 2.0 * kernel_shaped);
    }
    Some((STAND_IN, figures))
}

fn medians(rounds: &[Figures]) -> Figures {
    std::array::from_fn(|row| median(rounds.iter().filter_map(|figures| figures[row]).collect()))
}

/// A row for each figure that any way has, a column for each way, and one for each of [`RATIOS`] of which both are there.
fn table(columns: &[(&str, Figures)]) -> String {
    let of = |wanted: &str| columns.iter().find(|(name, _)| *name == wanted);
    let ratios: Vec<_> =
        RATIOS.iter().filter_map(|(way, base)| Some((of(way)?, of(base)?))).collect();
    let names = columns.iter().map(|(name, _)| format!(" {name} |"));
    let heads = ratios.iter().map(|((way, _), (base, _))| format!(" {way}, times {base} |"));
    let mut table = format!("| what | in |{}", names.chain(heads).collect::<String>());
    table.push_str("\n|---|---|");
    table.push_str(&"---|".repeat(columns.len() + ratios.len()));
    for (row, (what, unit)) in NAMES.iter().enumerate() {
        if columns.iter().all(|(_, figures)| figures[row].is_none()) {
            continue;
        }
        table.push_str(&format!("\n| {what} | {unit} |"));
        for (_, figures) in columns {
            table.push_str(&format!(" {} |", figures[row].map(shown).unwrap_or_default()));
        }
        for ((_, way), (_, base)) in &ratios {
            let ratio = way[row].zip(base[row]).map(|(way, base)| way / base);
            let ratio = ratio.map(|ratio| format!("{ratio:.2}")).unwrap_or_default();
            table.push_str(&format!(" {ratio} |"));
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use ways::NAIVE;

    #[test]
    fn medians_leave_out_what_a_way_does_not_have() {
        let figures = |value| [None, Some(value)].into_iter().chain([Some(1.0); NAMES.len() - 2]);
        let rounds: Vec<Figures> = [3.0, 1.0, 2.0]
            .map(|value| {
                let values: Vec<_> = figures(value).collect();
                std::array::from_fn(|row| values[row])
            })
            .to_vec();
        assert_eq!(medians(&rounds)[..3], [None, Some(2.0), Some(1.0)]);
    }

    #[test]
    fn the_stand_in_encrypts_and_decrypts_each_packet() {
        let mut vxlan = [None; NAMES.len()];
        vxlan[COMPARED[0]] = Some(2.5);
        let mut columns = vec![(VXLAN, vxlan)];
        columns.extend(stand_in(&columns, 3.0));
        columns.push((RATIOS[0].0, columns[1].1));
        let (name, figures) = columns[1];
        assert_eq!((name, figures[COMPARED[0]], figures[COMPARED[1]]), (STAND_IN, Some(8.5), None));
        assert!(stand_in(&columns[1..], 3.0).is_none());
    }

    #[test]
    fn a_table_has_the_ratios_of_the_ways_that_took_part() {
        let figures = |first| std::array::from_fn(|row| (row == 0).then_some(first));
        let (way, base) = RATIOS[0];
        assert_eq!(base, NAIVE);
        let table = table(&[(base, figures(4.0)), (way, figures(10.0))]);
        let lines: Vec<_> = table.lines().collect();
        assert_eq!(lines[0], format!("| what | in | {base} | {way} | {way}, times {base} |"));
        assert_eq!(lines[2..], [format!("| {} | Mbit/s | 4.00 | 10.0 | 2.50 |", NAMES[0].0)]);
    }
}
