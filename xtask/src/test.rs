//! The test command: everything that must hold, summed into one closing line.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    thread,
    time::Instant,
};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    packages,
    report::{Report, closing_line, test_results},
    shared_data,
    workspace::{self, cargo, output, run as run_command},
};

/// How long each fuzzer looks for something new, in seconds.
const FUZZ_SECONDS: u32 = 10;

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
    fuzz(&mut report);
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

/// Lets every fuzzer look for a while, two at a time, from its corpus. What it finds lies in
/// `fuzz/artifacts`; what it learns does not go into the committed corpus.
fn fuzz(report: &mut Report) {
    let mut targets = Vec::new();
    report.check("the fuzzers are built", || {
        if !has(&["fuzz", "--version"]) {
            run_command(cargo().args(["install", "--quiet", "--locked", "cargo-fuzz"]))?;
        }
        let list = output(cargo().args(["fuzz", "list"]))?;
        targets = list.split_whitespace().map(str::to_owned).collect();
        ensure!(!targets.is_empty(), "there is no fuzz target");
        run_command(fuzzer().args(["fuzz", "build"]))
    });
    for pair in targets.chunks(2) {
        thread::scope(|scope| {
            // Each is one thread of work, and the machines that run this have two processors.
            let running: Vec<_> =
                pair.iter().map(|target| (target, scope.spawn(|| fuzz_one(target)))).collect();
            for (target, found) in running {
                report.check(
                    &format!("the fuzzer {target} finds nothing in {FUZZ_SECONDS} s"),
                    || found.join().unwrap_or_else(|_| bail!("the check itself panicked")),
                );
            }
        });
    }
}

fn fuzz_one(target: &str) -> Result<()> {
    let learned = workspace::target().join("fuzz-corpus").join(target);
    std::fs::create_dir_all(&learned)?;
    for (number, seed) in shared_data::seeds(target)?.iter().enumerate() {
        std::fs::write(learned.join(format!("shared-{number}")), seed)?;
    }
    let corpus = workspace::root().join("fuzz/corpus").join(target);
    let mut command = fuzzer();
    command.args(["fuzz", "run", target]).arg(&learned);
    if corpus.exists() {
        command.arg(&corpus);
    }
    let result = command
        .args(["--", &format!("-max_total_time={FUZZ_SECONDS}"), "-rss_limit_mb=2048"])
        .stdin(Stdio::null())
        .output()
        .context("cannot start cargo fuzz")?;
    if !result.status.success() {
        bail!("{}", last_lines(&String::from_utf8_lossy(&result.stderr), 40));
    }
    Ok(())
}

/// A cargo command that may use the sanitisers, which the stable compiler has but hides.
fn fuzzer() -> Command {
    let mut command = cargo();
    command.env("RUSTC_BOOTSTRAP", "1");
    command
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

fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}
