//! The project's own commands, run as `cargo xtask COMMAND`.
//!
//! * `test`: everything that must hold, with one closing line `N passed, N failed`.
//! * `lab [FILTER] [--io WAY] [--workers NUMBER] [--every-way | --interface shared]`: `gretel` and the real `pptpd` against real clients, in namespaces and guests.
//! * `faults [FILTER]`: those of the lab's scenarios in which a fault is really made; the results go into `docs/verdicts/README.md`.
//! * `attacks [FILTER]`: what attacks do to a server and to a session that is live meanwhile.
//! * `storm [soak]`: ten thousand customers at once; tens of thousands one after the other.
//! * `fuzz --hours NUMBER`: the fuzzers for a long time.
//! * `coverage`: how much of the readers and the engine tests and corpora run through, with a floor.
//! * `deb`: the Debian package.
//! * `bench [crypto | tunnel | events | peers | scale]`: set-up rate, throughput and memory of a running server; sealing and opening of packets; a tunnel;
//!   what events cost;
//!   Gretel beside other servers.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "a command line tool prints its results")]

mod attacks;
mod bench;
mod coverage;
mod deb;
mod fuzz;
mod kernel_pptp;
mod lab;
mod packages;
mod report;
mod shared_data;
mod test;
mod workspace;

use std::process::ExitCode;

use anyhow::{Result, bail};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs one command; `false` when something it tests does not hold.
fn dispatch(arguments: &[String]) -> Result<bool> {
    let (command, rest) = match arguments.split_first() {
        Some((command, rest)) => (command.as_str(), rest),
        None => ("help", arguments),
    };
    match command {
        "test" => test::run(),
        "lab" => lab::run(rest),
        "faults" => lab::run_faults(rest),
        "bench" => bench::run(rest),
        "attacks" => attacks::run(rest),
        "storm" => bench::storm::run(rest),
        "deb" => deb::build().map(|_| true),
        "fuzz" => fuzz::run(rest),
        "coverage" => coverage::run(),
        attacks::INSIDE => attacks::run_inside(rest),
        attacks::STRIKE => attacks::strike(rest),
        lab::INSIDE => lab::run_inside(rest),
        bench::INSIDE => bench::run_inside(),
        bench::TUNNEL_INSIDE => bench::run_tunnel_inside(rest),
        bench::EVENTS_INSIDE => bench::run_events_inside(),
        bench::PEERS_INSIDE => bench::run_peers_inside(rest),
        bench::SCALE_INSIDE => bench::run_scale_inside(),
        bench::GUESTS_INSIDE => bench::run_guests_inside(),
        bench::connections::COMMAND => bench::connections::hold(rest),
        bench::storm::INSIDE => bench::storm::run_inside(),
        bench::storm::SOAK_INSIDE => bench::storm::run_soak_inside(),
        lab::SYSLOG => lab::write_syslog(rest),
        kernel_pptp::COMMAND => kernel_pptp::serve(rest),
        "help" | "--help" | "-h" => {
            println!("{HELP}");
            Ok(true)
        }
        other => bail!("no command {other:?}\n{HELP}"),
    }
}

const HELP: &str = "\
cargo xtask test           everything that must hold (installs the packages it needs)
cargo xtask lab [FILTER]   real clients and servers; FILTER is a part of a scenario's name
cargo xtask lab --list     the scenarios
cargo xtask lab [FILTER] --io raw|packet|xdp --workers NUMBER
                           the same, with packets carried so
cargo xtask lab [FILTER] --every-way
                           the main ones, with packets carried by each way, with one worker and with two
cargo xtask lab [FILTER] --interface shared
                           every scenario to which that applies, with one interface for all sessions
cargo xtask faults [CODE]  the scenarios in which a fault is really made, with the verdict it must get
cargo xtask attacks [FILTER]  a live session's throughput before and under each attack, the server's growth
cargo xtask bench          set-up rate, throughput, memory
cargo xtask bench crypto   sealing and opening of packets
cargo xtask bench tunnel   throughput, processor time and delay of a tunnel
cargo xtask bench tunnel [WAY]... [--rounds NUMBER] [--one-stream]
                           the same of the ways whose names begin so, with one TCP stream only: printed, not kept
cargo xtask bench tunnel queues  lengths of a shared interface's queue: throughput, delay under load
cargo xtask bench events   what events cost while packets flow
cargo xtask bench peers [SERVER…] [--load WORDS] [--rounds NUMBER] [--seconds NUMBER]
                           Gretel beside pptpd and the kernel's PPTP, each in a guest; only the whole is kept
cargo xtask bench pictures the pictures of docs/performance.md, from its tables
cargo xtask bench scale    ten thousand sessions: set-up rate, memory, idle cost, stop; and pptpd's beside Gretel's, each in a guest
cargo xtask bench scale guests  the latter alone
cargo xtask storm          ten thousand customers come back at once, while others work
cargo xtask storm soak     tens of thousands of sessions come and go: what grows
cargo xtask fuzz --hours NUMBER  all fuzzers, two at a time, for so long in all
cargo xtask coverage       how much of the readers and the engine tests and corpora run through
cargo xtask deb            the Debian package";
