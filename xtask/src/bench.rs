//! Figures of a running server.

use anyhow::{Result, bail};

/// How the benchmark names itself inside the lab's namespaces.
pub(crate) const INSIDE: &str = "bench-inside";

pub(crate) fn run() -> Result<bool> {
    bail!("no benchmark is built yet")
}

pub(crate) fn run_inside() -> Result<bool> {
    bail!("no benchmark is built yet")
}
