//! Sealing and opening of packets, against other ways to do the same.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

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

/// Builds the benchmark and gives its executable, for [`kernel_shaped`].
pub(super) fn build() -> Result<PathBuf> {
    let mut cargo = workspace::cargo();
    cargo.args(["bench", "--quiet", "--package", "gretel-crypto", "--bench", "mppe", "--no-run"]);
    let messages = workspace::output(cargo.args(["--message-format", "json"]))?;
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut executables =
        messages.filter_map(|message| Some(message["executable"].as_str()?.into()));
    executables.next_back().context("cargo bench names no executable")
}

/// What (a) takes for a packet of 1,400 bytes now, in microseconds.
pub(super) fn kernel_shaped(executable: &Path) -> Result<f64> {
    let table = workspace::output(Command::new(executable).args(["--bench", "--length", "1400"]))?;
    let row = table.lines().find(|line| line.contains("| (a)")).context("no row of (a)")?;
    let nanos = row.split('|').nth(3).context("no median of (a)")?;
    Ok(nanos.trim().parse::<f64>()? / 1000.0)
}
