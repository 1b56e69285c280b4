//! `gretel kick`: end sessions of the server on this host.

use std::io::{self, Write};
use std::process::ExitCode;

use serde_json::json;
use server::admin::VERSION;

use crate::admin::{ServerArguments, shown};

/// Whom, and why.
///
/// Exit status: 0 sessions were ended, 1 there was none.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Arguments {
    /// A session's number, a user, or an address: the client's own or the one in the tunnel.
    #[arg(value_name = "SESSION|USER|ADDRESS")]
    whom: String,
    /// Why, for the log.
    #[arg(long, default_value = "")]
    reason: String,
    #[command(flatten)]
    server: ServerArguments,
}

/// Asks and prints.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let Arguments { whom, reason, server } = arguments;
    let request = json!({ "v": VERSION, "command": "kick", "whom": whom, "reason": reason });
    let answer = server.act(&request)?;
    let kicked = answer["kicked"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut out = io::stdout().lock();
    if server.json {
        writeln!(out, "{answer}")?;
    } else {
        for session in kicked {
            writeln!(out, "session {session} is ended")?;
        }
    }
    if kicked.is_empty() {
        eprintln!("gretel: no session of {}: `gretel who` lists them", shown(whom));
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}
