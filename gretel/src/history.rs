//! `gretel history`: attempts that have ended, from the server on this host.

use std::io::{self, Write};
use std::process::ExitCode;

use serde_json::{Value, json};
use server::admin::VERSION;

use crate::admin::{ServerArguments, bytes, shown, span, table, text, utc};

/// Which attempts.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Arguments {
    /// A user, or an address: the client's own or the one in the tunnel [default: everybody].
    #[arg(value_name = "USER|ADDRESS", default_value = "", hide_default_value = true)]
    whom: String,
    /// How many, at most 1000.
    #[arg(long, value_name = "NUMBER", default_value_t = 50)]
    limit: u32,
    #[command(flatten)]
    server: ServerArguments,
}

const HEADINGS: [&str; 8] = ["ENDED", "USER", "FROM", "CLIENT", "UP", "IN", "OUT", "WHY"];

/// Asks and prints.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let Arguments { whom, limit, server } = arguments;
    let request = json!({ "v": VERSION, "command": "history", "whom": whom, "limit": limit });
    let answer = server.look(&request)?;
    let mut out = io::stdout().lock();
    if server.json {
        writeln!(out, "{answer}")?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut rows = vec![HEADINGS.map(str::to_owned).to_vec()];
    rows.extend(answer["attempts"].as_array().into_iter().flatten().map(row));
    out.write_all(table(&rows).as_bytes())?;
    if let Some(lost) = answer["lost"].as_u64().filter(|lost| *lost > 0) {
        let why = shown(answer["trouble"].as_str().unwrap_or("the disk is too slow"));
        eprintln!("gretel: {lost} attempts since the server's start could not be kept: {why}");
    }
    Ok(ExitCode::SUCCESS)
}

fn row(attempt: &Value) -> Vec<String> {
    let amount = |key: &str| attempt[key].as_u64().map_or("-".to_owned(), bytes);
    vec![
        utc(attempt["ended"].as_u64().unwrap_or(0)),
        text(&attempt["user"]),
        text(&attempt["peer"]),
        text(&attempt["client"]),
        attempt["connected"].as_u64().map_or("-".to_owned(), |millis| span(millis / 1000)),
        amount("received"),
        amount("sent"),
        text(&attempt["why"]),
    ]
}
