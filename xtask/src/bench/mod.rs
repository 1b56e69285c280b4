//! Measurements, each with its command, and the page that keeps them.

mod crypto;
mod performance;
mod server;

use anyhow::{Result, bail};

pub(crate) use server::{INSIDE, run_inside};

/// Measures what is named; without a name, a running server.
pub(crate) fn run(what: &[String]) -> Result<bool> {
    match what {
        [] => server::run(),
        [one] if one == "crypto" => crypto::run(),
        _ => bail!(
            "nothing to measure is called {what:?}: there are `cargo xtask bench` and `cargo xtask bench crypto`"
        ),
    }
}
