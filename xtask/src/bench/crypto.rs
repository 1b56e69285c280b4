//! Sealing and opening of packets, against other ways to do the same.

use std::process::Stdio;

use anyhow::{Context, Result, ensure};

use super::performance::Section;
use crate::workspace;

/// Runs the benchmark that stands beside the code and keeps its table.
pub(crate) fn run() -> Result<bool> {
    let output = workspace::cargo()
        .args(["bench", "--quiet", "--package", "gretel-crypto", "--bench", "mppe"])
        .stderr(Stdio::inherit())
        .output()
        .context("cargo bench")?;
    ensure!(output.status.success(), "cargo bench: {}", output.status);
    let table = String::from_utf8(output.stdout)?;
    print!("{table}");
    Section {
        name: "Cryptography",
        command: "cargo xtask bench crypto",
        explanation: "One packet with a 128-bit stateless key of its own: the key change and RC4 over its bytes. All ways take turns in one process, each on \
                      32 packets a turn; the figures are those of one packet. (a) is shaped like Linux's `ppp_mppe`: SHA-1 in plain code over four pieces, \
                      RC4 with a table of 32-bit words, from one buffer into another. `cipher ready`: key and table were made after the packet before had left.",
        table: &table,
    }
    .keep()?;
    Ok(true)
}
