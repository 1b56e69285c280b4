//! Measurements, each with its command, and the page that keeps them.

mod crypto;
mod performance;
mod server;
mod tunnel;

use anyhow::{Result, bail};

pub(crate) use server::{INSIDE, run_inside};
pub(crate) use tunnel::{INSIDE as TUNNEL_INSIDE, run_inside as run_tunnel_inside};

/// Measures what is named; without a name, a running server.
pub(crate) fn run(what: &[String]) -> Result<bool> {
    match what {
        [] => server::run(),
        [one] if one == "crypto" => crypto::run(),
        [one] if one == "tunnel" => tunnel::run(),
        _ => bail!(
            "nothing to measure is called {what:?}: there are `cargo xtask bench`, `cargo xtask bench crypto` and `cargo xtask bench tunnel`"
        ),
    }
}
