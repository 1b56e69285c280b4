//! Faults that are really made, each with the verdict that it must get: `cargo xtask faults`.
//!
//! A scenario is named `fault CODE: what is made`. Each makes its fault with what a real one is made of, lets a client try, and waits for the code in the server's log.

mod endings;
mod login;
mod played;
mod reach;
pub(crate) mod table;
mod tunnel;

use std::{process::Stdio, time::Duration};

use anyhow::{Result, ensure};

use super::Scenario;
use crate::lab::{
    caller::Caller,
    server::{Files, wait_for_log},
    world::World,
};

/// All of them.
pub(crate) fn all() -> impl Iterator<Item = &'static Scenario> {
    [reach::SCENARIOS, login::SCENARIOS, played::SCENARIOS, tunnel::SCENARIOS, endings::SCENARIOS]
        .into_iter()
        .flatten()
}

/// Where the clients call from.
const ADDRESS: &str = "10.99.0.9";

/// How soon the verdict must be there once the attempt is over.
const SOON: Duration = Duration::from_secs(10);

/// `name` begins with the verdict's code.
const fn fault(name: &'static str, run: fn(&mut World) -> Result<()>) -> Scenario {
    Scenario { name, compared: false, run }
}

fn serve(world: &mut World, files: &Files) -> Result<()> {
    world.server.sh("nft delete table ip wall 2>/dev/null || true")?;
    world.serve(files)
}

fn caller(world: &World) -> Result<Caller> {
    Caller::new(world, "caller", ADDRESS)
}

/// A packet filter with one rule.
fn wall(hook: &str, rule: &str) -> String {
    format!(
        "nft 'add table ip wall; add chain ip wall here {{ type filter hook {hook} priority 0; }}; add rule ip wall here {rule}'"
    )
}

/// Waits for the verdict about the attempt from an address. Another one about it is an error.
fn told(world: &mut World, address: &str, code: &str) -> Result<()> {
    wait_for_log(&mut *world.server, &format!("{code}: "), SOON)?;
    let log = world.server.log()?;
    let verdicts: Vec<_> =
        log.lines().filter(|line| line.contains(address) && line.contains(". G-")).collect();
    ensure!(
        verdicts.iter().any(|line| line.contains(code)) && verdicts.len() == 1,
        "{code} was expected, the log has\n{}",
        verdicts.join("\n")
    );
    world.server.sh("nft delete table ip wall 2>/dev/null || true")?;
    world.end_and_check()
}

/// An attempt that must fail, with its verdict.
fn ends_with(world: &mut World, caller: &Caller, code: &str) -> Result<()> {
    attempt(caller, "anna", "secret")?;
    told(world, ADDRESS, code)
}

pub(super) fn attempt(caller: &Caller, user: &str, password: &str) -> Result<()> {
    let mut command = caller.command_as(user, password, &["--check", "--timeout", "5"])?;
    let output = command.stdin(Stdio::null()).output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(!output.status.success(), "the client got through: {said}");
    Ok(())
}

/// pppd and pptp of Debian, in a guest.
fn stock(world: &mut World, options: &str, code: &str) -> Result<()> {
    stock_on(world, &Files::SHIPPED, options, code)
}

/// As [`stock`], on a server with other files.
fn stock_on(world: &mut World, files: &Files, options: &str, code: &str) -> Result<()> {
    serve(world, files)?;
    let call = world.call(options)?;
    call.ensure_refused()?;
    wait_for_log(&mut *world.server, &format!("{code}: "), SOON)?;
    world.end_and_check()
}
