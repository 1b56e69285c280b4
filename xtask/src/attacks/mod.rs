//! Attacks on a server that has a live session, and what they do to it: `cargo xtask attacks`.
//!
//! The attacker is a process of its own in a namespace of its own. It shares the machine's processors with the server, as everything in the
//! lab does, so that three things keep the figures about the server and not about stolen time: it is pinned to the last processor and nice,
//! it sends at a limited rate, and the live session's load is far below what the machine can carry. That session moves TCP both ways at a
//! fixed rate: it falls behind when packets are lost or late. What the attack costs the server is shown beside it.

mod attack;
mod control;
mod gre;
mod measure;
mod session;
mod tunnel;

use std::{fs, time::Duration};

use anyhow::{Context, Result, bail};

pub(crate) use attack::Target;
use attack::{ATTACKS, Attack};
use measure::{Bed, Figures};

use crate::{
    bench::performance::{Section, load_average},
    lab::{Kind, World, furnish, run_sandbox},
    workspace,
};

/// How the command names itself inside the lab's namespaces.
pub(crate) const INSIDE: &str = "attacks-inside";
/// How the attacker's process is called.
pub(crate) const STRIKE: &str = "strike";

/// How long the session is measured at a time, and how often under each attack.
const TIME: Duration = Duration::from_secs(2);
const WINDOWS: usize = 3;

const EXPLANATION: &str = "A live session moves 80 Mbit/s of TCP each way while the server is attacked from another machine of the lab, as [hostile-traffic.md](hostile-traffic.md) says. \
    Each attack is made three times, for two seconds and more, between times of calm; `kept` is the median of the three, each compared with the calm right before and after it. \
    `newcomer`: how long somebody else took to get in meanwhile, the longest of three. Server, session and attacker share the machine's processors.";

/// Builds gretel and attacks it; a filter is a part of an attack's name.
pub(crate) fn run(arguments: &[String]) -> Result<bool> {
    crate::packages::install_missing()?;
    workspace::build_gretel()?;
    fs::create_dir_all(workspace::lab_directory())?;
    let mut inside = vec![INSIDE.to_owned()];
    inside.extend_from_slice(arguments);
    run_sandbox(&inside)
}

/// The part of [`run`] that happens inside the lab's namespaces. The table is printed and written to `target/lab/attacks.md`, and
/// to `docs/performance.md` where no attack was left out.
pub(crate) fn run_inside(arguments: &[String]) -> Result<bool> {
    furnish()?;
    let filter = arguments.first().map_or("", String::as_str);
    let mut world = World::new(Kind::Gretel)?;
    let mut table = format!("{}\n", Figures::HEADINGS);
    let mut held = true;
    for attack in ATTACKS.iter().filter(|attack| attack.name.contains(filter)) {
        let bed = Bed::new(&mut world)?;
        let row = match bed.under(attack, TIME, WINDOWS) {
            Ok(figures) => {
                held &= figures.trouble().is_none();
                figures.row(attack.name)
            }
            Err(error) => {
                held = false;
                format!("| {} | {error:#} |", attack.name)
            }
        };
        println!("{row}");
        table.push_str(&format!("{row}\n"));
        // A session that did not survive cannot say goodbye.
        let _ = bed.end();
        world.clear()?;
    }
    println!("\n{table}");
    fs::write(workspace::lab_directory().join("attacks.md"), &table)?;
    if filter.is_empty() {
        let explanation = format!("{EXPLANATION} {}", load_average()?);
        let (name, command) = ("Attacks", "cargo xtask attacks");
        Section { name, command, explanation: &explanation, table: &table }.keep()?;
    }
    Ok(held)
}

/// Attacks a server for a short time with everything that has this target: its live session keeps its throughput.
pub(crate) fn withstand(world: &mut World, target: Target) -> Result<()> {
    world.spare(&["10.99.0.66", "10.96."]);
    let bed = Bed::new(world)?;
    for attack in ATTACKS.iter().filter(|attack| attack.target == target) {
        let mut figures = bed.under(attack, TIME, 1).context(attack.name)?;
        if figures.trouble().is_some() {
            // The machine is shared: what is wrong has to show in the median.
            println!("AGAIN {}", figures.row(attack.name));
            figures = bed.under(attack, TIME, WINDOWS).context(attack.name)?;
        }
        if let Some(trouble) = figures.trouble() {
            bail!("{trouble}:\n{}\n{}", Figures::HEADINGS, figures.row(attack.name));
        }
    }
    bed.end()
}

/// The attacker's process: carries out the attack of this name for so many milliseconds, and prints as it goes how many have passed and how
/// much it has sent.
pub(crate) fn strike(arguments: &[String]) -> Result<bool> {
    let [name, millis] = arguments else { bail!("an attack and its milliseconds are wanted") };
    let attack = ATTACKS.iter().find(|attack| attack.name == name).context("no such attack")?;
    attack.run(Duration::from_millis(millis.parse()?)).map(|()| true)
}
