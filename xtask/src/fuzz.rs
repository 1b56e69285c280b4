//! The fuzzers: briefly, as a part of the test command, and for hours.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    report::Report,
    shared_data,
    workspace::{self, cargo, output, run as run_command},
};

/// How long each fuzzer looks for something new in the test command, in seconds.
const BRIEFLY: u32 = 10;
/// How long a crash is made smaller, in seconds.
const MINIMISE: u32 = 120;

/// Fuzzes for hours: `--hours NUMBER`, which all targets share, two at a time. `true` when nothing was found.
pub(crate) fn run(arguments: &[String]) -> Result<bool> {
    let hours: f32 = match arguments {
        [option, hours] if option == "--hours" => {
            hours.parse().context("--hours wants a number")?
        }
        _ => bail!("cargo xtask fuzz --hours NUMBER"),
    };
    ensure!((0.01..=10_000.0).contains(&hours), "--hours wants a number from 0.01 to 10000");
    let mut report = Report::default();
    let before = artifacts()?;
    let targets = build(&mut report);
    let seconds = (hours * 3600.0 / targets.len().div_ceil(2).max(1) as f32).max(1.0);
    fuzz(&mut report, &targets, seconds as u32);
    for crash in artifacts()?.difference(&before) {
        println!("{}", crash.display());
        match minimise(crash) {
            Ok(small) => println!("  as small as it gets: {}", small.display()),
            Err(error) => println!("  not made smaller: {error:#}"),
        }
    }
    println!("What the fuzzers have learned is in {}", learned().display());
    Ok(report.close())
}

/// Lets every fuzzer look for a while.
pub(crate) fn briefly(report: &mut Report) {
    let targets = build(report);
    fuzz(report, &targets, BRIEFLY);
}

/// Builds all targets, and names them.
fn build(report: &mut Report) -> Vec<String> {
    let mut targets = Vec::new();
    report.check("the fuzzers are built", || {
        if output(cargo().args(["fuzz", "--version"])).is_err() {
            run_command(cargo().args(["install", "--quiet", "--locked", "cargo-fuzz"]))?;
        }
        let list = output(cargo().args(["fuzz", "list"]))?;
        targets = list.split_whitespace().map(str::to_owned).collect();
        ensure!(!targets.is_empty(), "there is no fuzz target");
        run_command(fuzzer().args(["fuzz", "build"]))
    });
    targets
}

/// Runs the targets two at a time, each from its corpus. What they find lies in `fuzz/artifacts`; what they learn does not go into the
/// committed corpus.
fn fuzz(report: &mut Report, targets: &[String], seconds: u32) {
    for pair in targets.chunks(2) {
        thread::scope(|scope| {
            // Each is one thread of work, and the machines that run this have two processors.
            let running: Vec<_> = pair
                .iter()
                .map(|target| (target, scope.spawn(|| fuzz_one(target, seconds))))
                .collect();
            for (target, found) in running {
                report.check(&format!("the fuzzer {target} finds nothing in {seconds} s"), || {
                    found.join().unwrap_or_else(|_| bail!("the check itself panicked"))
                });
            }
        });
    }
}

fn fuzz_one(target: &str, seconds: u32) -> Result<()> {
    let learned = learned().join(target);
    fs::create_dir_all(&learned)?;
    for (number, seed) in shared_data::seeds(target)?.iter().enumerate() {
        fs::write(learned.join(format!("shared-{number}")), seed)?;
    }
    let corpus = workspace::root().join("fuzz/corpus").join(target);
    let mut command = fuzzer();
    command.args(["fuzz", "run", target]).arg(&learned);
    if corpus.exists() {
        command.arg(&corpus);
    }
    let result = command
        .args(["--", &format!("-max_total_time={seconds}"), "-rss_limit_mb=2048"])
        .stdin(Stdio::null())
        .output()
        .context("cannot start cargo fuzz")?;
    if !result.status.success() {
        bail!("{}", last_lines(&String::from_utf8_lossy(&result.stderr), 40));
    }
    Ok(())
}

/// Makes a crash as small as it gets in a while; gives the file of the small one.
fn minimise(crash: &Path) -> Result<PathBuf> {
    let target = crash.parent().and_then(Path::file_name).context("an artifact of no target")?;
    let mut command = fuzzer();
    command.args(["fuzz", "tmin"]).arg(target).arg(crash);
    command.args(["--", &format!("-max_total_time={MINIMISE}")]).stdin(Stdio::null());
    let before = artifacts()?;
    // It fails when the time is up, and has written what it had by then.
    let _ = command.output().context("cannot start cargo fuzz")?;
    let made = artifacts()?;
    let smallest = made
        .difference(&before)
        .min_by_key(|file| fs::metadata(file).map_or(u64::MAX, |file| file.len()));
    smallest.cloned().context("nothing smaller was found")
}

/// All inputs that have broken a promise.
fn artifacts() -> Result<BTreeSet<PathBuf>> {
    let folder = workspace::root().join("fuzz/artifacts");
    let mut files = BTreeSet::new();
    let Ok(targets) = fs::read_dir(folder) else { return Ok(files) };
    for target in targets {
        for file in fs::read_dir(target?.path())? {
            files.insert(file?.path());
        }
    }
    Ok(files)
}

/// Where inputs that led somewhere new are kept from run to run.
fn learned() -> PathBuf {
    workspace::target().join("fuzz-corpus")
}

/// A cargo command that may use the sanitisers, which the stable compiler has but hides.
fn fuzzer() -> Command {
    let mut command = cargo();
    command.env("RUSTC_BOOTSTRAP", "1");
    command
}

fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}
