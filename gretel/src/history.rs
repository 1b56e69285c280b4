//! `gretel history`: attempts that have ended, from the server on this host.

use std::io::{self, Write};
use std::process::ExitCode;

use serde_json::{Value, json};
use server::admin::VERSION;

use crate::admin::{ServerArguments, bytes, shown, span, table, text};

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

/// Seconds since 1970 as `2026-11-24T02:09:43Z`, by the proleptic Gregorian calendar.
fn utc(seconds: u64) -> String {
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
    fn times_are_shown_as_the_calendar_has_them() {
        assert_eq!(utc(0), "1970-01-01T00:00:00Z");
        assert_eq!(utc(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(utc(1_709_251_199), "2024-02-29T23:59:59Z");
        assert_eq!(utc(1_795_486_183), "2026-11-24T02:09:43Z");
    }
}
