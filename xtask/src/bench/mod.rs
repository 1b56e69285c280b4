//! Measurements, each with its command, and the page that keeps them.

mod crypto;
mod iperf;
mod peers;
pub(crate) mod performance;
mod picture;
mod scale;
mod server;
mod tunnel;

use std::fs;

use anyhow::{Result, bail};

use crate::{lab, packages, workspace};

pub(crate) use peers::{INSIDE as PEERS_INSIDE, run_inside as run_peers_inside};
pub(crate) use scale::{
    GUESTS_INSIDE, INSIDE as SCALE_INSIDE, connections, run_guests_inside,
    run_inside as run_scale_inside, storm,
};
pub(crate) use server::{INSIDE, run_inside};
pub(crate) use tunnel::used;
pub(crate) use tunnel::{EVENTS_INSIDE, run_events_inside};
pub(crate) use tunnel::{INSIDE as TUNNEL_INSIDE, run_inside as run_tunnel_inside};

/// Measures what is named; without a name, a running server.
pub(crate) fn run(what: &[String]) -> Result<bool> {
    match what {
        [] => server::run(),
        [one] if one == "crypto" => crypto::run(),
        [one, options @ ..] if one == "tunnel" => tunnel::run(options),
        [one] if one == "events" => tunnel::run_events(),
        [one, choice @ ..] if one == "peers" => peers::run(choice),
        [one] if one == "pictures" => performance::draw_pictures().map(|()| true),
        [one, rest @ ..] if one == "scale" => scale::run(rest),
        _ => bail!(
            "nothing to measure is called {what:?}: there are `cargo xtask bench` and, behind that, `crypto`, `tunnel`, `events`, `peers`, `scale` and `pictures`"
        ),
    }
}

/// Builds gretel, and runs this program's command `inside` with these arguments in the lab's namespaces.
fn run_in_sandbox(inside: &str, arguments: &[String]) -> Result<bool> {
    packages::install_missing()?;
    workspace::build_wide_registers()?;
    workspace::build_gretel()?;
    fs::create_dir_all(workspace::lab_directory())?;
    let mut command = vec![inside.to_owned()];
    command.extend_from_slice(arguments);
    lab::run_sandbox(&command)
}
