//! Loads by iperf3, and its results.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::lab::Namespace;

/// How often a load is tried while iperf3's server is busy.
const TRIES: usize = 10;

/// Runs iperf3 against the server at `address` for `seconds`, and gives its result.
pub(super) fn run(from: &Namespace, address: &str, seconds: u32, options: &str) -> Result<Value> {
    // iperf3 gives its error in the result.
    let limit = seconds + 28;
    let script = format!(
        "timeout {limit} iperf3 --client {address} --time {seconds} --json {options} || true"
    );
    for _ in 0..TRIES {
        let result: Value = serde_json::from_str(&from.sh(&script)?).context("iperf3")?;
        match result.get("error").and_then(Value::as_str) {
            None => return Ok(result),
            // Its server is still at the test before.
            Some(error) if error.contains("busy") => std::thread::sleep(Duration::from_secs(1)),
            Some(error) => bail!("iperf3: {error}"),
        }
    }
    bail!("iperf3's server stays busy")
}

/// A number of a result.
pub(super) fn number(result: &Value, pointer: &str) -> Result<f64> {
    result.pointer(pointer).and_then(Value::as_f64).with_context(|| format!("iperf3: no {pointer}"))
}

/// Megabits per second of one of its sums.
pub(super) fn megabits(result: &Value, sum: &str) -> Result<f64> {
    Ok(number(result, &format!("/end/{sum}/bits_per_second"))? / 1e6)
}
