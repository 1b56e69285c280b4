//! The test command: everything that must hold, summed into one closing line.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context, Result};

use crate::{
    fuzz, packages,
    report::{Report, closing_line, test_results},
    workspace::{self, cargo, run as run_command},
};

/// Runs everything; `true` when all of it holds.
pub(crate) fn run() -> Result<bool> {
    let start = Instant::now();
    let mut report = Report::default();
    report.check("the lab's packages are installed", packages::install_missing);
    cargo_check(&mut report, "the source is formatted", &["fmt", "--all", "--check"]);
    cargo_check(
        &mut report,
        "clippy has nothing to say",
        &["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"],
    );
    cargo_check(
        &mut report,
        "wire, crypto and engine link without an operating system",
        &[
            "build",
            "--quiet",
            "--release",
            "--locked",
            "--manifest-path",
            "xtask/no-os-proof/Cargo.toml",
            "--target-dir",
            "target/no-os-proof",
        ],
    );
    report.check("the documentation builds without a warning", || {
        let mut doc = cargo();
        doc.args(["doc", "--quiet", "--workspace", "--no-deps", "--document-private-items"]);
        run_command(doc.env("RUSTDOCFLAGS", "-D warnings"))
    });
    report.check("licences, bans and sources are as agreed", deny);
    cargo_tests(&mut report, "tests of the workspace", &["test", "--workspace", "--no-fail-fast"]);
    cargo_tests(
        &mut report,
        "corpora of the fuzz targets",
        &["test", "--manifest-path", "fuzz/Cargo.toml", "--release", "--no-fail-fast"],
    );
    fuzz::briefly(&mut report);
    lab(&mut report);
    println!("{:.0} minutes in all", start.elapsed().as_secs_f32() / 60.0);
    Ok(report.close())
}

/// A cargo command that must succeed.
fn cargo_check(report: &mut Report, name: &str, arguments: &[&str]) {
    report.check(name, || run_command(cargo().args(arguments)));
}

/// A cargo command whose tests are counted one by one.
fn cargo_tests(report: &mut Report, name: &str, arguments: &[&str]) {
    println!("\n{name}");
    match stream(cargo().args(arguments)) {
        Ok((text, success)) => {
            let (passed, failed) = test_results(&text);
            report.add(passed, failed, name);
            if !success && failed == 0 {
                report.fail(&format!("{name}: cargo failed before or beside the tests"));
            } else if passed == 0 {
                report.fail(&format!("{name}: nothing was tested"));
            }
        }
        Err(error) => report.fail(&format!("{name}: {error:#}")),
    }
}

/// Checks dependencies against `deny.toml`. The database of advisories is not asked: it is on the
/// network.
fn deny() -> Result<()> {
    if !has(&["deny", "--version"]) {
        run_command(cargo().args(["install", "--quiet", "--locked", "cargo-deny"]))?;
    }
    run_command(cargo().args([
        "deny",
        "--log-level",
        "error",
        "check",
        "licenses",
        "bans",
        "sources",
    ]))
}

/// The lab counts for itself.
fn lab(report: &mut Report) {
    println!("\nlab");
    let result = std::env::current_exe()
        .map_err(Into::into)
        .and_then(|xtask| stream(Command::new(xtask).arg("lab").current_dir(workspace::root())));
    match result.map(|(text, success)| (closing_line(&text), success)) {
        Ok((Some((passed, failed)), success)) => {
            report.add(passed, failed, "lab");
            if (failed == 0) != success || passed == 0 {
                report.fail("lab: its figures and its exit status do not agree");
            }
        }
        Ok((None, _)) => report.fail("lab: it ended without a closing line"),
        Err(error) => report.fail(&format!("lab: {error:#}")),
    }
}

fn has(arguments: &[&str]) -> bool {
    cargo().args(arguments).output().is_ok_and(|output| output.status.success())
}

/// Runs a command, shows its standard output as it comes, and gives it with whether it succeeded.
fn stream(command: &mut Command) -> Result<(String, bool)> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {command:?}"))?;
    let mut text = String::new();
    if let Some(output) = child.stdout.take() {
        for line in BufReader::new(output).split(b'\n') {
            let line = String::from_utf8_lossy(&line?).into_owned();
            println!("{line}");
            text.push_str(&line);
            text.push('\n');
        }
    }
    Ok((text, child.wait()?.success()))
}
