//! `gretel check`: what the configuration does, what of it counts for nothing, and what is unsafe.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use config::{Class, Config, Diagnostic, Origin, Pool, Severity};
use serde_json::{Value, json};
use server::Examined;

use crate::pptpd;
use crate::serve::FileArguments;

/// What to look at, and how to say it.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    files: FileArguments,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Take warnings for errors.
    #[arg(long)]
    strict: bool,
    /// What pptpd would be started with, as DAEMON_OPTS in /etc/default/pptpd.
    #[arg(last = true, value_name = "OPTIONS OF PPTPD", allow_hyphen_values = true)]
    pptpd: Vec<String>,
}

/// Says what there is to say. Success means that a server would start.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut files = arguments.files.files(None);
    if !arguments.pptpd.is_empty() {
        let typed = std::iter::once("pptpd").chain(arguments.pptpd.iter().map(String::as_str));
        pptpd::Arguments::try_parse_from(typed)?.apply(&mut files.paths);
    }
    let examined = files.examine();
    let bad = if arguments.strict { Severity::Warning } else { Severity::Error };
    let good = examined.diagnostics.0.iter().all(|diagnostic| diagnostic.severity < bad);
    let mut out = io::stdout().lock();
    if arguments.json {
        serde_json::to_writer_pretty(&mut out, &as_json(&examined, good))?;
        writeln!(out)?;
    } else {
        out.write_all(as_text(&examined, good).as_bytes())?;
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn as_text(examined: &Examined, good: bool) -> String {
    let mut text = String::new();
    if let Some(config) = &examined.config {
        text.push_str(&lines(&config.origins));
        text.push('\n');
        for line in summary(config, examined.users) {
            text.push_str(&format!("{line}\n"));
        }
        text.push('\n');
    }
    if !examined.diagnostics.0.is_empty() {
        text.push_str(&examined.diagnostics.render());
        text.push_str("\n\n");
    }
    let count = |severity, one: &str| {
        let found = examined.diagnostics.0.iter().filter(|found| found.severity == severity);
        match found.count() {
            1 => format!("1 {one}"),
            count => format!("{count} {one}s"),
        }
    };
    let (errors, warnings) = (count(Severity::Error, "error"), count(Severity::Warning, "warning"));
    let verdict = if good { "fine" } else { "refused" };
    text.push_str(&format!("{verdict}: {errors}, {warnings}\n"));
    text
}

/// Each line of the files with what becomes of it.
fn lines(origins: &[Origin]) -> String {
    let mut text = String::new();
    let mut file = None;
    for origin in origins {
        if file != Some(&origin.file) {
            file = Some(&origin.file);
            text.push_str(&format!("{}\n", shown(&origin.file.display().to_string())));
        }
        let words = words(origin);
        let class = origin.class.word();
        text.push_str(&format!("{:>5}  {words:<36}  {class:<8}  {}\n", origin.line, why(origin)));
    }
    text
}

fn words(origin: &Origin) -> String {
    let argument = origin.argument.as_deref().unwrap_or_default();
    shown(&[&origin.word, argument].join(" ")).trim().to_owned()
}

/// What it does, or what to do instead.
fn why(origin: &Origin) -> &'static str {
    match origin.class {
        Class::Honoured | Class::Harmless => origin.meaning,
        Class::Ignored(remedy) | Class::Refused(remedy) => remedy,
    }
}

/// What the server would do, in a few lines.
fn summary(config: &Config, users: usize) -> Vec<String> {
    let listen: Vec<String> = config.listen.iter().map(ToString::to_string).collect();
    let addresses = match config.slots.as_slice() {
        [] => "no addresses".to_owned(),
        [(local, _), ..] if config.delegate => format!("{local} here, each user's own there"),
        [(local, remote)] => format!("{local} here, {remote} there"),
        [(local, first), .., (_, last)] => format!("{local} here, {first} to {last} there"),
    };
    let mut lines = vec![
        format!("listens on     {}", listen.join(", ")),
        format!("sessions       {}: {addresses}", config.slots.len()),
        format!("name           {}", shown(&String::from_utf8_lossy(&config.name))),
        format!("authentication {}", methods(config).join(", ")),
        format!("encryption     {}", encryption(config)),
    ];
    let pools = config.pools.iter().filter_map(|pool| {
        let (local, remote) = pool.slots.first()?;
        let (_, last) = pool.slots.last()?;
        let (name, sessions) = (&pool.name, pool.slots.len());
        Some(format!("pool           {name}, {sessions}: {local} here, {remote} to {last} there"))
    });
    lines.extend(pools);
    if config.auth {
        lines.push(format!("users          {users}"));
    }
    lines
}

fn methods(config: &Config) -> Vec<&'static str> {
    let methods = [
        (config.mschap_v2, "MS-CHAPv2"),
        (config.mschap, "MS-CHAP"),
        (config.chap_md5, "CHAP-MD5"),
        (config.pap, "PAP"),
        (!config.auth, "none"),
    ];
    methods.into_iter().filter(|(used, _)| *used).map(|(_, name)| name).collect()
}

fn encryption(config: &Config) -> &'static str {
    let mppe = &config.options.mppe;
    match (mppe.off(), mppe.bits40, mppe.bits128) {
        (true, ..) => "none",
        (_, false, false) => "MPPE 128 when the client wants it",
        (_, true, false) => "MPPE 40 required",
        (_, false, true) => "MPPE 128 required",
        (_, true, true) => "MPPE 128, 56 or 40 required",
    }
}

/// Without anything that could change a terminal.
fn shown(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '.' } else { c }).collect()
}

fn as_json(examined: &Examined, good: bool) -> Value {
    let config = examined.config.as_ref();
    json!({
        "good": good,
        "users": examined.users,
        "sessions": config.map(|config| config.all_slots().count()),
        "pools": config.map(|config| config.pools.iter().map(pool_as_json).collect::<Vec<_>>()),
        "listen": config.map(|config| config.listen.iter().map(ToString::to_string).collect::<Vec<_>>()),
        "authentication": config.map(methods),
        "encryption": config.map(encryption),
        "lines": config.map(|config| config.origins.iter().map(line_as_json).collect::<Vec<_>>()),
        "diagnostics": examined.diagnostics.0.iter().map(diagnostic_as_json).collect::<Vec<_>>(),
    })
}

fn pool_as_json(pool: &Pool) -> Value {
    json!({ "name": pool.name, "users": pool.users, "sessions": pool.slots.len() })
}

fn line_as_json(origin: &Origin) -> Value {
    json!({
        "file": origin.file.display().to_string(),
        "line": origin.line,
        "name": origin.name,
        "word": origin.word,
        "argument": origin.argument,
        "class": origin.class.word(),
        "meaning": origin.meaning,
        "remedy": origin.class.remedy(),
    })
}

fn diagnostic_as_json(diagnostic: &Diagnostic) -> Value {
    let severity = match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    };
    json!({
        "severity": severity,
        "file": diagnostic.file.display().to_string(),
        "line": diagnostic.line,
        "column": diagnostic.column,
        "message": diagnostic.message,
        "remedy": diagnostic.remedy,
    })
}
