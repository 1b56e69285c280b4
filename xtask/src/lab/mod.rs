//! The lab: servers against real clients.
//!
//! Everything runs in namespaces of the lab's own (see [`sandbox`]) and in guests (see [`guest`]).
//! Results and logs lie in `target/lab`.

mod alarms;
mod boot;
mod caller;
mod carrying;
mod client;
mod differences;
mod gretel;
mod guest;
mod network;
mod pptpd;
mod sandbox;
mod scenarios;
mod segment;
mod server;
mod stranger;
mod syslog;
mod world;

use std::fs;

use anyhow::{Context, Result, ensure};

use crate::{deb, packages, report::Report, workspace};
use carrying::Carrying;
use differences::Differences;
use scenarios::{Scenario, faults};

pub(crate) use boot::System;
pub(crate) use caller::Caller;
pub(crate) use client::megabits;
pub(crate) use guest::Guest;
pub(crate) use network::{Namespace, Process, carry_on, wire};
pub(crate) use sandbox::{furnish, run as run_sandbox};
pub(crate) use segment::{INNER, NEIGHBOUR, SERVER_GUEST, SERVER_PORT, Segment};
pub(crate) use server::Files;
pub(crate) use stranger::{HandMadeCall, Stranger, call_request, start_request};
pub(crate) use syslog::write as write_syslog;
pub(crate) use world::World;

/// How the lab names itself inside its namespaces.
pub(crate) const INSIDE: &str = "lab-inside";
/// The option that has the main scenarios run with packets carried by each way, with one worker and with two.
const EVERY_WAY: &str = "--every-way";
/// How the lab names the system log of its guests.
pub(crate) const SYSLOG: &str = "syslog-to";

/// Which server a scenario runs against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Gretel,
    Pptpd,
    /// Gretel, whose sessions share an interface.
    Shared,
}

/// What is run, as the arguments say it.
#[derive(Debug)]
struct Choice {
    /// A part of the scenarios' titles, or `--list`.
    filter: String,
    carrying: Carrying,
    /// [`EVERY_WAY`].
    every_way: bool,
    /// `--interface shared`: every scenario to which that applies, with one interface for all sessions.
    shared: bool,
}

impl Choice {
    fn parse(arguments: &[String]) -> Result<Self> {
        let (carrying, mut words) = Carrying::parse(arguments)?;
        let at = words.iter().position(|word| word == "--interface");
        let shared = at.is_some();
        if let Some(at) = at {
            let mode: Vec<String> = words.drain(at..words.len().min(at + 2)).skip(1).collect();
            ensure!(mode == ["shared"], "--interface is shared, or not said");
        }
        let every_way = words.iter().any(|word| word == EVERY_WAY);
        words.retain(|word| word != EVERY_WAY);
        ensure!(!(shared && every_way), "{EVERY_WAY} has scenarios of both kinds of interface");
        ensure!(words.len() <= 1, "one part of a scenario's name, in quotes");
        let filter = words.pop().unwrap_or_default();
        Ok(Self { filter, carrying, every_way, shared })
    }

    fn all(&self) -> Box<dyn Iterator<Item = (Kind, &'static Scenario)>> {
        match self {
            Self { shared: true, .. } => Box::new(scenarios::shared()),
            Self { every_way: true, .. } => Box::new(scenarios::main()),
            _ => Box::new(scenarios::all()),
        }
    }

    fn carryings(&self) -> Vec<Carrying> {
        if self.every_way { Carrying::every().collect() } else { vec![self.carrying.clone()] }
    }
}

/// Builds what is tested and runs the scenarios whose names contain the first argument.
pub(crate) fn run(arguments: &[String]) -> Result<bool> {
    let choice = Choice::parse(arguments)?;
    if choice.filter == "--list" {
        for (kind, scenario) in choice.all() {
            println!("{}", scenario.title(kind));
        }
        return Ok(true);
    }
    packages::install_missing()?;
    workspace::build_wide_registers()?;
    let filter = &choice.filter;
    let chosen = |title: &str| title.contains(filter.as_str());
    if choice.all().any(|(kind, one)| kind != Kind::Pptpd && chosen(&one.title(kind))) {
        workspace::build_gretel()?;
    }
    if !choice.shared && scenarios::package().any(|one| chosen(&one.title(Kind::Gretel))) {
        deb::build()?;
    }
    let folder = workspace::lab_directory();
    if folder.exists() {
        fs::remove_dir_all(&folder).context("cannot empty target/lab")?;
    }
    fs::create_dir_all(&folder)?;
    let mut inside = vec![INSIDE.to_owned()];
    inside.extend_from_slice(arguments);
    sandbox::run(&inside)
}

/// Runs the scenarios that make a fault, those whose names begin with `fault` and the first argument, and writes their results into the page of verdicts.
pub(crate) fn run_faults(arguments: &[String]) -> Result<bool> {
    let filter = match arguments.first() {
        Some(code) => format!("fault {code}"),
        None => "fault".to_owned(),
    };
    let passed = run(&[filter])?;
    println!("\n{}", faults::table::write()?);
    Ok(passed)
}

/// The part of [`run`] that happens inside the lab's namespaces.
pub(crate) fn run_inside(arguments: &[String]) -> Result<bool> {
    sandbox::furnish()?;
    let choice = Choice::parse(arguments)?;
    let filter = &choice.filter;
    let mut report = Report::default();
    let mut differences = Differences::default();
    for carrying in &choice.carryings() {
        let label = if choice.every_way { carrying.title() } else { String::new() };
        for kind in [Kind::Gretel, Kind::Shared, Kind::Pptpd] {
            let is_meant = |scenario: &Scenario| scenario.title(kind).contains(filter.as_str());
            let chosen: Vec<&Scenario> = choice
                .all()
                .filter(|(of, scenario)| *of == kind && is_meant(scenario))
                .map(|(_, scenario)| scenario)
                .collect();
            if !chosen.is_empty() {
                run_against(kind, (carrying, &label), &chosen, &mut report, &mut differences);
            }
        }
    }
    if let Some(table) = differences.table() {
        let file = workspace::lab_directory().join("differences.md");
        fs::write(&file, &table).with_context(|| file.display().to_string())?;
        println!("\n{table}\nThis table is in {}", file.display());
    }
    if !choice.every_way && !choice.shared {
        faults::table::keep(&report, filter)?;
    }
    Ok(report.close())
}

/// Runs scenarios against one server, in a world that they share, with packets carried so; the label is put behind their titles. Gretel has to pass; what `pptpd` does not do is a difference.
fn run_against(
    kind: Kind,
    (carrying, label): (&Carrying, &str),
    scenarios: &[&Scenario],
    report: &mut Report,
    differences: &mut Differences,
) {
    let mut world = None;
    for scenario in scenarios {
        let title = scenario.title(kind) + label;
        let mut once = || run_once(kind, carrying, scenario, &mut world, differences);
        match kind {
            Kind::Pptpd => report.observe(&title, once),
            // The machine is shared and a guest's clock stands still while others compute: a failure has to show twice.
            Kind::Gretel | Kind::Shared => report.check(&title, || {
                let Err(first) = once() else { return Ok(()) };
                println!("AGAIN {title}, which failed: {first:#}");
                once()
            }),
        }
    }
}

fn run_once(
    kind: Kind,
    carrying: &Carrying,
    scenario: &Scenario,
    shared: &mut Option<World>,
    differences: &mut Differences,
) -> Result<()> {
    if shared.is_none() {
        *shared = Some(World::new(kind)?);
    }
    let Some(world) = shared else { return Ok(()) };
    world.carry(carrying.clone());
    world.make(alarms::codes(scenario.name));
    let result = (scenario.run)(world);
    let noted = world.take_notes();
    if scenario.compared && kind != Kind::Shared {
        differences.note(kind, scenario.name, noted);
    }
    let log = world.server.log().unwrap_or_default();
    let system_log = if result.is_err() { world.clients_log() } else { String::new() };
    let cleared = world.clear();
    let alarms = world.ensure_no_false_alarm();
    if result.is_err() {
        // Whatever went wrong must not go on.
        *shared = None;
    }
    result.with_context(|| {
        let log = tail(&log);
        format!(
            "the client's system log ends with:\n{system_log}\nthe server's log ends with:\n{log}\n"
        )
    })?;
    cleared?;
    alarms
}

/// The last lines of a log.
fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(25)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_choice_is_read_in_any_order_and_nonsense_is_refused() {
        let parsed =
            |text: &str| Choice::parse(&text.split(' ').map(str::to_owned).collect::<Vec<_>>());
        let choice = parsed("--interface shared ten --workers 2").expect("arguments");
        assert!(choice.shared && choice.filter == "ten");
        assert_eq!(choice.carrying, Carrying::default().with_workers(2));
        assert!(!parsed("ten").expect("arguments").shared);
        assert!(parsed("ten --interface").is_err());
        assert!(parsed("--interface own").is_err());
        assert!(parsed("ten clients").is_err());
    }
}
