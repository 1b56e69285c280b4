//! `gretel locks` and `gretel unlock`: who is locked out after failed logins at the server on this host.

use std::io::{self, Write};
use std::process::ExitCode;

use serde_json::{Value, json};
use server::admin::VERSION;

use crate::admin::{ServerArguments, shown, span, table, text};

/// Which entries.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Also show those whose failures count but do not lock them yet.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    server: ServerArguments,
}

/// Whom.
///
/// Exit status: 0 locks were lifted, 1 there was none.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct UnlockArguments {
    /// A client's address, or a user's name as `gretel locks` shows it.
    #[arg(value_name = "ADDRESS|USER", required_unless_present = "all", conflicts_with = "all")]
    whom: Option<String>,
    /// Lift every lock.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    server: ServerArguments,
}

const HEADINGS: [&str; 4] = ["LOCKED", "FAILURES", "REFUSED", "LEFT"];

/// Asks and prints.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let answer = arguments.server.look(&json!({ "v": VERSION, "command": "locks" }))?;
    let mut out = io::stdout().lock();
    if arguments.server.json {
        writeln!(out, "{answer}")?;
        return Ok(ExitCode::SUCCESS);
    }
    let entries = answer["locks"].as_array().map(Vec::as_slice).unwrap_or_default();
    let shown = entries.iter().filter(|entry| arguments.all || !entry["locked"].is_null());
    let mut rows = vec![HEADINGS.map(str::to_owned).to_vec()];
    rows.extend(shown.map(row));
    out.write_all(table(&rows).as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

fn row(entry: &Value) -> Vec<String> {
    let subject = match &entry["address"] {
        Value::Null => format!("user {}", text(&entry["user"])),
        address => format!("address {}", text(address)),
    };
    let left = entry["locked"].as_u64().map_or("not locked".to_owned(), span);
    vec![subject, text(&entry["failures"]), text(&entry["refused"]), left]
}

/// Asks and prints.
pub(crate) fn unlock(arguments: &UnlockArguments) -> anyhow::Result<ExitCode> {
    let UnlockArguments { whom, all, server } = arguments;
    let request = match whom {
        Some(whom) => json!({ "v": VERSION, "command": "unlock", "whom": whom }),
        None => json!({ "v": VERSION, "command": "unlock", "all": all }),
    };
    let answer = server.act(&request)?;
    let unlocked = answer["unlocked"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut out = io::stdout().lock();
    if server.json {
        writeln!(out, "{answer}")?;
    } else {
        for subject in unlocked {
            writeln!(out, "{} is unlocked", shown(&text(subject)))?;
        }
    }
    if unlocked.is_empty() {
        let whom = whom.as_deref().map_or("nobody".to_owned(), shown);
        eprintln!("gretel: {whom} is not locked: `gretel locks` lists who is");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_users_are_told_apart() {
        let entry = json!({ "address": null, "user": "10.0.0.1", "failures": 30, "locked": 61, "refused": 2 });
        assert_eq!(row(&entry), ["user 10.0.0.1", "30", "2", "1m01s"]);
        let entry = json!({ "address": "10.0.0.1", "user": null, "failures": 1, "locked": null, "refused": 0 });
        assert_eq!(row(&entry), ["address 10.0.0.1", "1", "0", "not locked"]);
    }
}
