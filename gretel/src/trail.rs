//! `gretel trail`: what happened in an attempt to connect, from the server on this host.

use std::io::{self, Write};
use std::process::ExitCode;

use serde_json::{Value, json};
use server::admin::VERSION;

use crate::admin::{ServerArguments, shown, span, text, utc};

/// Which attempt.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Arguments {
    /// A session's number, an address (the client's own or the one in the tunnel) or a user, who logged in or tried to; the newest attempt of it is
    /// shown [default: the newest of all].
    #[arg(value_name = "SESSION|ADDRESS|USER", default_value = "", hide_default_value = true)]
    whom: String,
    /// Show the attempt that was so many before the newest.
    #[arg(long, value_name = "NUMBER", default_value_t = 0, hide_default_value = true)]
    earlier: u32,
    /// Show what happens while it happens, until the end: of the attempt that goes on, or of the next one.
    #[arg(long, conflicts_with = "earlier")]
    follow: bool,
    #[command(flatten)]
    server: ServerArguments,
}

/// There is no such attempt.
const NONE: u8 = 2;

/// Asks and prints.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let Arguments { whom, earlier, follow, server } = arguments;
    let request = json!({ "v": VERSION, "command": "trail", "whom": whom, "newer": earlier, "follow": follow });
    if *follow {
        return watch(server, &request);
    }
    let answer = server.look(&request)?;
    let mut printer = Printer::default();
    if server.json {
        writeln!(io::stdout(), "{answer}")?;
    } else if answer["attempt"].is_null() {
        eprintln!("gretel: no attempt of that kind is known: `gretel history` lists them");
    } else {
        io::stdout().write_all(printer.print(&answer).as_bytes())?;
        others(whom, *earlier, &answer);
    }
    Ok(status(&answer))
}

/// Prints what comes, until the end.
fn watch(server: &ServerArguments, request: &Value) -> anyhow::Result<ExitCode> {
    let mut printer = Printer::default();
    let mut last = Value::Null;
    for answer in server.watch(request)? {
        let answer = answer?;
        let mut out = io::stdout().lock();
        if server.json {
            writeln!(out, "{answer}")?;
        } else if answer["waiting"] == true {
            eprintln!("waiting for the next attempt; Ctrl-C ends it");
        } else {
            out.write_all(printer.print(&answer).as_bytes())?;
        }
        out.flush()?;
        last = answer;
        if ending(&last).is_some() {
            break;
        }
    }
    anyhow::ensure!(ending(&last).is_some(), "the server has gone away");
    Ok(status(&last))
}

/// Whether nothing went wrong, if the steps hold a verdict.
fn ending(answer: &Value) -> Option<bool> {
    answer["steps"].as_array()?.iter().find_map(|step| step["fine"].as_bool())
}

fn status(answer: &Value) -> ExitCode {
    let attempt = &answer["attempt"];
    match ending(answer).or(attempt["fine"].as_bool()) {
        Some(true) => ExitCode::SUCCESS,
        None if attempt.is_null() => NONE.into(),
        _ => ExitCode::FAILURE,
    }
}

/// How to see the others that were meant.
fn others(whom: &str, earlier: u32, answer: &Value) {
    let Some(others) = answer["earlier"].as_u64().filter(|others| *others > 0) else { return };
    let whom = if whom.is_empty() { String::new() } else { format!(" {}", shown(whom)) };
    let next = earlier + 1;
    eprintln!(
        "gretel: {others} before it: `gretel trail{whom} --earlier {next}` shows the one before, `gretel history{whom}` lists them"
    );
}

/// Prints steps below the headings of their parts.
#[derive(Debug, Default)]
struct Printer {
    /// Parts that have had their heading.
    parts: Vec<String>,
}

impl Printer {
    fn print(&mut self, answer: &Value) -> String {
        let mut out = String::new();
        let attempt = &answer["attempt"];
        if attempt.is_object() {
            out.push_str(&heading(attempt));
        }
        match answer["steps"].as_array() {
            Some(steps) => steps.iter().for_each(|step| self.step(step, &mut out)),
            None => {
                out.push_str("\nIts steps are not kept any more.\n");
                out.push_str(&format!("\n{}\n", shown(&text(&attempt["why"]))));
            }
        }
        if let (Some(true), Some(missing)) =
            (attempt["live"].as_bool(), attempt["missing"].as_str())
            && ending(answer).is_none()
        {
            out.push_str(&format!("{:>12}  (so far) {}\n", "", shown(missing)));
        }
        out
    }

    fn step(&mut self, step: &Value, out: &mut String) {
        let text = shown(&text(&step["text"]));
        if step["fine"].is_boolean() {
            return out.push_str(&format!("\n{text}\n"));
        }
        if let Some(part) = step["part"].as_str()
            && !self.parts.iter().any(|known| known == part)
        {
            self.parts.push(part.to_owned());
            out.push_str(&format!("\n{}\n", shown(part)));
        }
        let time = step["ms"].as_u64().map_or("...".to_owned(), time);
        let by = step["by"].as_str().unwrap_or("");
        out.push_str(&format!("{time:>12}  {by:<6}  {text}\n"));
    }
}

/// `anna from 192.0.2.7, Windows Vista or later, session 3, 2026-11-24T02:09:43Z`.
fn heading(attempt: &Value) -> String {
    let known = |key: &str| (!attempt[key].is_null()).then(|| shown(&text(&attempt[key])));
    let user = known("user").unwrap_or_else(|| "nobody".to_owned());
    let mut words = vec![format!("{user} from {}", shown(&text(&attempt["peer"])))];
    words.extend(known("client"));
    words.extend(known("session").map(|session| format!("session {session}")));
    words.extend(attempt["since"].as_u64().map(utc));
    words.extend((attempt["live"] == true).then(|| "still there".to_owned()));
    format!("{}\n", words.join(", "))
}

/// Milliseconds as `12.345 s`, or as a span where they are many.
fn time(millis: u64) -> String {
    match millis {
        0..100_000 => format!("{}.{:03} s", millis / 1000, millis % 1000),
        _ => span(millis / 1000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_stand_below_their_parts_and_the_verdict_is_last() {
        let step = |ms: u64, part: &str, by: Value, text: &str| json!({ "ms": ms, "part": part, "by": by, "text": text, "fine": null });
        let (control, call) = ("Control connection (TCP 1723)", "Call and GRE");
        let answer = json!({
            "attempt": { "live": false, "user": "anna", "peer": "192.0.2.7", "session": 3, "since": 1_795_486_183, "fine": false },
            "steps": [
                step(0, control, json!("client"), "connects to 10.0.0.1"),
                step(41, call, json!(null), "the call is up"),
                step(42, control, json!("client"), "Set-Link-Info"),
                { "ms": null, "part": null, "by": null, "text": "9 steps are not kept", "fine": null },
                step(125_000, call, json!("server"), "first GRE packet went\x1b[1m"),
                { "ms": 130_000, "part": null, "by": null, "text": "G-101: nothing came", "fine": false },
            ],
        });
        let printed = Printer::default().print(&answer);
        let expected = "anna from 192.0.2.7, session 3, 2026-11-24T02:09:43Z

Control connection (TCP 1723)
     0.000 s  client  connects to 10.0.0.1

Call and GRE
     0.041 s          the call is up
     0.042 s  client  Set-Link-Info
         ...          9 steps are not kept
       2m05s  server  first GRE packet went [1m

G-101: nothing came
";
        assert_eq!(printed, expected);
        assert_eq!(ending(&answer), Some(false));
    }

    #[test]
    fn an_attempt_that_goes_on_tells_what_is_missing() {
        let answer = json!({
            "attempt": { "live": true, "peer": "192.0.2.7", "missing": "missing: a call" }, "steps": []
        });
        let printed = Printer::default().print(&answer);
        assert_eq!(
            printed,
            "nobody from 192.0.2.7, still there\n              (so far) missing: a call\n"
        );
    }
}
