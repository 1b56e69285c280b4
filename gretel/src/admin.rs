//! Asking the server on this host, over its admin sockets.

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::Value;
use server::admin::{ADMIN_SOCKET, MONITOR_SOCKET};

/// A server that takes longer is stuck.
const PATIENCE: Duration = Duration::from_secs(10);

/// Which server.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ServerArguments {
    /// The server's --state-dir, where its sockets are.
    #[arg(long, value_name = "DIR", default_value = "/run/gretel")]
    state_dir: PathBuf,
    /// Print the server's answer as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

impl ServerArguments {
    /// Asks for something that changes nothing.
    pub(crate) fn look(&self, request: &Value) -> anyhow::Result<Value> {
        look(&self.state_dir, request)
    }

    /// Asks for something that changes nothing, and that has many answers: gives one after the other, however long they take.
    pub(crate) fn watch(
        &self,
        request: &Value,
    ) -> anyhow::Result<impl Iterator<Item = anyhow::Result<Value>>> {
        let stream = connect(&self.state_dir.join(MONITOR_SOCKET), request)?;
        stream.set_read_timeout(None)?;
        Ok(BufReader::new(stream).lines().map(|line| read_answer(&line?)))
    }

    /// Asks for something to be done.
    pub(crate) fn act(&self, request: &Value) -> anyhow::Result<Value> {
        ask(&self.state_dir.join(ADMIN_SOCKET), request)
    }
}

/// Asks the server with this state directory for something that changes nothing.
pub(crate) fn look(state_dir: &Path, request: &Value) -> anyhow::Result<Value> {
    ask(&state_dir.join(MONITOR_SOCKET), request)
}

fn ask(socket: &Path, request: &Value) -> anyhow::Result<Value> {
    let mut line = String::new();
    let stream = connect(socket, request)?;
    BufReader::new(stream).read_line(&mut line).context("the server does not answer")?;
    read_answer(&line)
}

/// Sends a request.
fn connect(socket: &Path, request: &Value) -> anyhow::Result<UnixStream> {
    let mut stream = UnixStream::connect(socket).map_err(|error| {
        let hint = match error.kind() {
            ErrorKind::NotFound | ErrorKind::ConnectionRefused => {
                "no server runs with this --state-dir: `systemctl status gretel`"
            }
            ErrorKind::PermissionDenied => "run it as root",
            _ => "is the server well? `systemctl status gretel`",
        };
        anyhow::anyhow!("cannot ask the server at {}: {error}; {hint}", socket.display())
    })?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(format!("{request}\n").as_bytes()).context("cannot ask the server")?;
    Ok(stream)
}

fn read_answer(line: &str) -> anyhow::Result<Value> {
    let answer: Value = serde_json::from_str(line).context("the server's answer is no JSON")?;
    if let Some(error) = answer["error"].as_str() {
        bail!("the server refuses: {}", shown(error));
    }
    Ok(answer)
}

/// Without anything that could change a terminal.
pub(crate) fn shown(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Rows under their headings, each column as wide as it must be.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{:<width$}", shown(cell)));
        let line = cells.collect::<Vec<_>>().join("  ");
        format!("{}\n", line.trim_end())
    };
    rows.iter().map(line).collect()
}

/// A value's text; a dash where there is none.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Seconds as `2d03h`, `3h07m` or `5m09s`.
pub(crate) fn span(seconds: u64) -> String {
    match seconds {
        0..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds / 3600 % 24),
    }
}

/// Bytes as `17`, `3.2k`, `41.0M` or `1.5G`.
pub(crate) fn bytes(count: u64) -> String {
    let units = [(1e9, 'G'), (1e6, 'M'), (1e3, 'k')];
    let amount = count as f64;
    match units.iter().find(|(unit, _)| amount >= *unit) {
        Some((unit, letter)) => format!("{:.1}{letter}", amount / unit),
        None => count.to_string(),
    }
}

/// Seconds since 1970 as `2026-11-24T02:09:43Z`, by the proleptic Gregorian calendar.
pub(crate) fn utc(seconds: u64) -> String {
    // Days since 0000-03-01, so that a leap day ends its year.
    let days = seconds / 86_400 + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_nothing_changes_the_terminal() {
        let row = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
        let text = table(&[row(["USER", "X"]), row(["a\x1b[31m", "1"]), row(["anna-maria", "2"])]);
        assert_eq!(text, "USER        X\na [31m      1\nanna-maria  2\n");
    }

    #[test]
    fn spans_and_amounts_are_short() {
        assert_eq!([59, 3_599, 3_661, 90_000].map(span), ["0m59s", "59m59s", "1h01m", "1d01h"]);
        assert_eq!([999, 1_500, 41_000_000].map(bytes), ["999", "1.5k", "41.0M"]);
    }

    #[test]
    fn times_are_shown_as_the_calendar_has_them() {
        assert_eq!(utc(0), "1970-01-01T00:00:00Z");
        assert_eq!(utc(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(utc(1_709_251_199), "2024-02-29T23:59:59Z");
        assert_eq!(utc(1_795_486_183), "2026-11-24T02:09:43Z");
    }
}
