//! `gretel who`: the sessions of the server on this host.

use std::io::{self, Write};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use server::admin::VERSION;

use crate::admin::{ServerArguments, bytes, span, table, text};

/// Which server, and how to print.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    server: ServerArguments,
    /// Watch for a second and print what went each way in it, in kbit/s.
    #[arg(long, conflicts_with = "json")]
    rates: bool,
}

const HEADINGS: [&str; 10] =
    ["SESSION", "USER", "FROM", "ADDRESS", "CLIENT", "UP", "IN", "OUT", "LOST", "RTT"];

/// Asks and prints.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let request = json!({ "v": VERSION, "command": "who" });
    let mut answer = arguments.server.look(&request)?;
    let mut out = io::stdout().lock();
    if arguments.server.json {
        writeln!(out, "{answer}")?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut earlier = None;
    if arguments.rates {
        let asked = Instant::now();
        thread::sleep(Duration::from_secs(1));
        let later = arguments.server.look(&request)?;
        earlier = Some((std::mem::replace(&mut answer, later), asked.elapsed()));
    }
    let mut rows = vec![HEADINGS.map(str::to_owned).to_vec()];
    for session in answer["sessions"].as_array().into_iter().flatten() {
        let before = earlier.as_ref().map(|(answer, time)| (same(answer, session), *time));
        rows.push(row(session, before));
    }
    out.write_all(table(&rows).as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// The same session in another answer.
fn same<'a>(answer: &'a Value, session: &Value) -> Option<&'a Value> {
    let mut sessions = answer["sessions"].as_array()?.iter();
    sessions.find(|other| other["session"] == session["session"])
}

fn row(session: &Value, before: Option<(Option<&Value>, Duration)>) -> Vec<String> {
    let number = |key: &str| session[key].as_u64().unwrap_or(0);
    let carried = |key: &str| match before {
        None => bytes(number(key)),
        Some((None, _)) => "-".to_owned(),
        Some((Some(before), time)) => {
            let bytes = number(key).saturating_sub(before[key].as_u64().unwrap_or(0));
            format!("{:.0}", bytes as f64 * 8.0 / 1000.0 / time.as_secs_f64())
        }
    };
    let lost = number("gre_lost");
    let came = number("gre_received");
    vec![
        text(&session["session"]),
        text(&session["user"]),
        text(&session["peer"]),
        text(&session["address"]),
        text(&session["client"]),
        span(number("uptime")),
        carried("received_bytes"),
        carried("sent_bytes"),
        format!("{:.1}%", lost as f64 * 100.0 / (lost + came).max(1) as f64),
        match session["round_trip_us"].as_u64() {
            Some(micros) => format!("{:.1}ms", micros as f64 / 1000.0),
            None => "-".to_owned(),
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_a_row_of_totals_or_of_rates() {
        let early = json!({ "session": 3, "received_bytes": 1000, "sent_bytes": 500 });
        let late = json!({
            "session": 3, "user": "anna", "peer": "192.0.2.7:4000", "address": "10.0.0.2",
            "client": null, "uptime": 61, "received_bytes": 126_000, "sent_bytes": 500,
            "gre_lost": 1, "gre_received": 99, "round_trip_us": 1500
        });
        let totals = row(&late, None);
        let expected = [
            "3",
            "anna",
            "192.0.2.7:4000",
            "10.0.0.2",
            "-",
            "1m01s",
            "126.0k",
            "500",
            "1.0%",
            "1.5ms",
        ];
        assert_eq!(totals, expected);
        let rates = row(&late, Some((Some(&early), Duration::from_secs(1))));
        assert_eq!(rates[6..8], ["1000", "0"]);
    }
}
