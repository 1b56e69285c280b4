//! Throughput, processor time and delay of a tunnel between two namespaces, against other ways on the same cable.

mod bed;
mod events;
mod measure;

pub(crate) use bed::used;
pub(crate) use events::{INSIDE as EVENTS_INSIDE, run_events, run_events_inside};

use std::{fs, process::Command};

use anyhow::Result;

use super::performance::{Section, median, shown};
use crate::{lab, workspace};
use bed::{BEHIND_VXLAN, Bed, INNER, OUTER};
use measure::{Figures, NAMES, measure};

/// How the measurement names itself inside the lab's namespaces.
pub(crate) const INSIDE: &str = "bench-tunnel-inside";

/// How often every way has its turn.
const ROUNDS: usize = 3;

/// A way from one end to the other.
enum Way {
    /// `gretel`, with arguments for the server and for the client.
    Gretel(&'static [&'static str], &'static [&'static str]),
    /// Without `gretel`, to this address.
    Bare(&'static str),
}

/// The server's end of both cables by AF_XDP.
const XDP_1: [&str; 8] =
    ["--workers", "1", "--io", "xdp", "--io-interface", "near", "--io-interface", "other"];
const XDP_2: [&str; 8] =
    ["--workers", "2", "--io", "xdp", "--io-interface", "near", "--io-interface", "other"];

/// Columns of ratios: what they are called, and the way.
const RATIOS: [(&str, usize); 3] =
    [("raw, 1 worker", 1), ("AF_PACKET, 1 worker", 3), ("AF_XDP, 2 workers", 6)];

/// All ways; the first is what ratios are to.
const WAYS: [(&str, Way); 9] = [
    ("naive", Way::Gretel(&["--workers", "1", "--naive-io"], &["--naive-io"])),
    ("raw sockets, 1 worker", Way::Gretel(&["--workers", "1"], &[])),
    ("raw sockets, 2 workers", Way::Gretel(&["--workers", "2"], &[])),
    (
        "AF_PACKET, 1 worker",
        Way::Gretel(&["--workers", "1", "--io", "packet"], &["--io", "packet"]),
    ),
    (
        "AF_PACKET, 2 workers",
        Way::Gretel(&["--workers", "2", "--io", "packet"], &["--io", "packet"]),
    ),
    ("AF_XDP, 1 worker", Way::Gretel(&XDP_1, &["--io", "xdp"])),
    ("AF_XDP, 2 workers", Way::Gretel(&XDP_2, &["--io", "xdp"])),
    ("VXLAN without offloads", Way::Bare(BEHIND_VXLAN)),
    ("bare veth", Way::Bare(OUTER)),
];

const EXPLANATION: &str = "`gretel serve` and two `gretel connect` in three namespaces on one machine, joined by veth pairs, MPPE with 128 bits, stateless; \
    iperf3 runs on the same processors, everything at nice -15. All ways take turns; figures are medians. `naive` is what anybody would write first: \
    one packet for each poll and system call, RC4 in plain Rust (as fast as the crate `rc4`) and one packet at a time with nothing made ahead, without super-packets. \
    AF_PACKET sends past the kernel's stack and receives by raw sockets, AF_XDP does both past it, in copy mode. `gretel connect` has one worker always; a session \
    is on one worker, so that a second one serves other sessions only. Processor time is that of the processes' threads, softirqs in their context included; veth charges the receiver's softirq to the \
    sender. VXLAN without offloads, one packet at a time through the kernel, stands in for a tunnel in the kernel; it encrypts nothing: add (a) of \
    Cryptography twice for each 1400 bytes to compare it. 100 sessions are those of one `gretel load`, whose long echoes the server's kernel answers. `times naive`: greater is better for throughput, smaller for the others.";

/// Builds gretel and measures.
pub(crate) fn run() -> Result<bool> {
    super::run_in_sandbox(INSIDE, &[])
}

/// The part of [`run`] that happens inside the lab's namespaces.
pub(crate) fn run_inside() -> Result<bool> {
    lab::furnish()?;
    // What else this machine does disturbs less.
    let this = std::process::id().to_string();
    workspace::output(Command::new("renice").args(["-n", "-15", "-p", &this]))?;
    let bed = Bed::new()?;
    let mut rounds: Vec<Vec<Figures>> = WAYS.iter().map(|_| Vec::new()).collect();
    for round in 1..=ROUNDS {
        for ((name, way), figures) in WAYS.iter().zip(&mut rounds) {
            eprintln!("round {round} of {ROUNDS}: {name}");
            figures.push(match way {
                Way::Bare(address) => measure(&bed, address, None)?,
                Way::Gretel(serve, connect) => {
                    let tunnel = bed.tunnel(serve, connect)?;
                    let figures = measure(&bed, INNER, Some(&tunnel))?;
                    tunnel.end()?;
                    figures
                }
            });
        }
    }
    let medians: Vec<Figures> = rounds.iter().map(|rounds| medians(rounds)).collect();
    let table = table(&medians);
    println!("\n{table}");
    // Delays above all tell more of the machine's other work than of a tunnel.
    let load = fs::read_to_string("/proc/loadavg")?;
    let load: Vec<&str> = load.split_whitespace().take(3).collect();
    let load = load.join(", ");
    let section = Section {
        name: "Tunnel",
        command: "cargo xtask bench tunnel",
        explanation: &format!("{EXPLANATION} The machine's load average at the end was {load}."),
        table: &table,
    };
    section.keep()?;
    Ok(true)
}

fn medians(rounds: &[Figures]) -> Figures {
    std::array::from_fn(|row| median(rounds.iter().filter_map(|figures| figures[row]).collect()))
}

fn table(ways: &[Figures]) -> String {
    let names: Vec<&str> = WAYS.iter().map(|(name, _)| *name).collect();
    let mut table = format!("| what | in | {} |{}\n|---|---|", names.join(" | "), ratios());
    table.push_str(&"---|".repeat(WAYS.len() + RATIOS.len()));
    for (row, (what, unit)) in NAMES.iter().enumerate() {
        table.push_str(&format!("\n| {what} | {unit} |"));
        for figures in ways {
            table.push_str(&format!(" {} |", figures[row].map(shown).unwrap_or_default()));
        }
        for (_, way) in RATIOS {
            let ratio = ways[way][row].zip(ways[0][row]).map(|(fast, naive)| fast / naive);
            let ratio = ratio.map(|ratio| format!("{ratio:.2}")).unwrap_or_default();
            table.push_str(&format!(" {ratio} |"));
        }
    }
    table
}

/// The heads of the columns of ratios.
fn ratios() -> String {
    RATIOS.iter().map(|(name, _)| format!(" {name}, times naive |")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
