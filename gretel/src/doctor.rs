//! `gretel doctor`: this host as a server, before any client comes; or the way to another server.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::{Value, json};
use server::Password;
use server::doctor::{self, Check, Outcome, Snapshot, Target};

use crate::serve::FileArguments;

/// What to look at, and what to do about it.
///
/// Exit status: 0 nothing is in trouble, 1 something is.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Examine the way to this PPTP server, of any make, in place of this host: a host name or address, with :PORT if it is not 1723.
    #[arg(conflicts_with_all = ["fix", "unfix"])]
    host: Option<String>,
    /// Log in there as this user too, to see encryption and addresses.
    #[arg(long, requires = "host")]
    user: Option<String>,
    /// A file with the password in its first line; without it the password is asked for.
    #[arg(long, value_name = "FILE", requires = "user")]
    password_file: Option<PathBuf>,
    /// Read the password from the first line of standard input.
    #[arg(long, requires = "user", conflicts_with = "password_file")]
    password_stdin: bool,
    /// How long each stage of a connection may take, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 6)]
    timeout: u64,
    #[command(flatten)]
    files: FileArguments,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Take what is unknown for trouble.
    #[arg(long)]
    strict: bool,
    /// Make the changes that are safe, until the next boot or --unfix; each is printed first.
    #[arg(long, conflicts_with_all = ["json", "unfix"])]
    fix: bool,
    /// Take back what --fix changed.
    #[arg(long, conflicts_with = "json")]
    unfix: bool,
    /// Where changes to this host are noted until they are undone.
    #[arg(long, value_name = "DIR", default_value = "/run/gretel-doctor")]
    state_dir: PathBuf,
}

/// Examines, prints, and mends what it was told to.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    if arguments.unfix {
        return unfix(arguments);
    }
    let checks = match &arguments.host {
        Some(host) => examine_path(arguments, host)?,
        None => examine_host(arguments)?,
    };
    let bad = if arguments.strict { Outcome::Unknown } else { Outcome::Trouble };
    let good = checks.iter().all(|check| check.outcome < bad);
    let mut out = io::stdout().lock();
    if arguments.json {
        serde_json::to_writer_pretty(&mut out, &as_json(&checks, good))?;
        writeln!(out)?;
    } else {
        let colours = out.is_terminal() && std::env::var_os("NO_COLOR").is_none();
        out.write_all(as_text(&checks, colours).as_bytes())?;
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn examine_host(arguments: &Arguments) -> anyhow::Result<Vec<Check>> {
    let files = arguments.files.files(None);
    let checks = examine(&files)?;
    if arguments.fix && fix(arguments, &checks)? {
        return examine(&files);
    }
    Ok(checks)
}

fn examine_path(arguments: &Arguments, host: &str) -> anyhow::Result<Vec<Check>> {
    let login = match &arguments.user {
        Some(user) => Some((user.clone(), password(arguments, user)?)),
        None => None,
    };
    let target = Target {
        server: host.to_owned(),
        login,
        patience: Duration::from_secs(arguments.timeout.max(1)),
        state_dir: arguments.state_dir.join("path"),
    };
    Ok(doctor::examine_path(&target, doctor::firewall_rules().ok().as_ref()))
}

fn password(arguments: &Arguments, user: &str) -> anyhow::Result<Password> {
    let file = match (&arguments.password_file, arguments.password_stdin) {
        (None, true) => Some(PathBuf::from("/dev/stdin")),
        (file, _) => file.clone(),
    };
    crate::connect::password(user, file.as_deref())
}

fn examine(files: &server::Files) -> anyhow::Result<Vec<Check>> {
    let snapshot = Snapshot::take(files).context("cannot examine this host")?;
    Ok(doctor::judge(&snapshot))
}

/// Gives whether there was anything to mend.
fn fix(arguments: &Arguments, checks: &[Check]) -> anyhow::Result<bool> {
    let mut tried = 0;
    let mut failed = 0;
    doctor::fix(checks, &arguments.state_dir, |remedy, done| match done {
        None => {
            tried += 1;
            eprintln!("fix: {remedy}");
        }
        Some(Ok(())) => {}
        Some(Err(error)) => {
            failed += 1;
            eprintln!("fix: that failed: {error}");
        }
    })
    .context("nothing was changed")?;
    match (tried, failed) {
        (0, _) => eprintln!("fix: there is nothing that is safe to change"),
        (_, 0) => eprintln!("fix: until the next boot; \"gretel doctor --unfix\" takes it back\n"),
        _ => bail!("{failed} of {tried} changes failed: run it as root"),
    }
    Ok(tried > 0)
}

fn unfix(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    doctor::unfix(&arguments.state_dir, |what| eprintln!("unfix: took back {what}"))
        .context("cannot take back what was changed")?;
    Ok(ExitCode::SUCCESS)
}

fn as_text(checks: &[Check], colours: bool) -> String {
    let mut text = String::new();
    for check in checks {
        let (word, colour) = match check.outcome {
            Outcome::Fine => ("ok", "32"),
            Outcome::Unknown => ("unknown", "33"),
            Outcome::Trouble => ("TROUBLE", "31"),
        };
        let word = match colours {
            true => format!("\x1b[{colour}m{word:<8}\x1b[0m"),
            false => format!("{word:<8}"),
        };
        text.push_str(&format!("{word} {}: {}\n", check.title, shown(&check.seen)));
        if let Some(command) = &check.command {
            text.push_str(&format!("{:9}-> {}\n", "", shown(command)));
        }
    }
    let count = |outcome| checks.iter().filter(|check| check.outcome == outcome).count();
    let (trouble, unknown) = (count(Outcome::Trouble), count(Outcome::Unknown));
    text.push_str(&format!(
        "\n{trouble} in trouble, {unknown} unknown, {} fine\n",
        count(Outcome::Fine)
    ));
    if checks.iter().any(|check| check.remedy.is_some()) {
        text.push_str("\"gretel doctor --fix\" does what is safe of this.\n");
    }
    text
}

/// Without anything that could change a terminal.
fn shown(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn as_json(checks: &[Check], good: bool) -> Value {
    let check = |check: &Check| {
        json!({
            "id": check.id,
            "title": check.title,
            "outcome": check.outcome.word(),
            "seen": check.seen,
            "command": check.command,
            "fixable": check.remedy.is_some(),
        })
    };
    json!({ "good": good, "checks": checks.iter().map(check).collect::<Vec<_>>() })
}
