//! How many lines of the readers and of the engine the tests and the fuzzers' corpora run through, and the least that it must be.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context, Result, ensure};

use crate::{
    packages,
    report::Report,
    workspace::{self, cargo, output, run as run_command},
};

/// A crate and its floor, in percent of its lines, tests left out.
struct Floor {
    name: &'static str,
    folder: &'static str,
    percent: f64,
}

const FLOORS: [Floor; 3] = [
    Floor { name: "gretel-wire", folder: "/crates/wire/src/", percent: 92.0 },
    Floor { name: "gretel-engine", folder: "/crates/engine/src/", percent: 91.0 },
    Floor { name: "gretel-config", folder: "/crates/config/src/", percent: 86.0 },
];

/// Measures and prints; `true` when no crate is below its floor.
pub(crate) fn run() -> Result<bool> {
    let mut report = Report::default();
    check(&mut report);
    Ok(report.close())
}

fn check(report: &mut Report) {
    report.check("tests and corpora run through the readers and the engine", || {
        let tools = Tools::find()?;
        let programs = measure()?;
        let lcov = tools.lines(&programs)?;
        let mut missed = Vec::new();
        for floor in &FLOORS {
            let [covered, all] = sum(&lcov, floor.folder, end_of_code);
            ensure!(all > 0, "no line of {} was measured", floor.name);
            let percent = f64::from(covered) / f64::from(all) * 100.0;
            let Floor { name, percent: least, .. } = floor;
            println!("     {name}: {covered} of {all} lines, {percent:.1} %, least {least:.1} %");
            if percent < *least {
                missed.push(*name);
            }
        }
        ensure!(missed.is_empty(), "fewer lines than agreed: {}", missed.join(", "));
        Ok(())
    });
}

/// Builds and runs what is measured; gives the programs that ran.
fn measure() -> Result<Vec<PathBuf>> {
    let profiles = profiles();
    if profiles.exists() {
        fs::remove_dir_all(&profiles).context("cannot remove old profiles")?;
    }
    let packages = FLOORS.iter().flat_map(|floor| ["-p", floor.name]);
    let workspace: Vec<&str> = ["test", "--lib", "--quiet"].into_iter().chain(packages).collect();
    let corpora =
        ["test", "--quiet", "--manifest-path", "fuzz/Cargo.toml", "--lib", "--test", "corpus"];
    let mut programs = Vec::new();
    for arguments in [&workspace[..], &corpora] {
        run_command(instrumented(arguments).stdout(std::process::Stdio::null()))?;
        let listed = output(instrumented(arguments).args(["--no-run", "--message-format=json"]))?;
        programs.extend(listed.lines().filter_map(executable));
    }
    ensure!(!programs.is_empty(), "no program was measured");
    Ok(programs)
}

/// A cargo command that counts what runs. It builds in a folder of its own, and optimises so little that lines stay lines.
fn instrumented(arguments: &[&str]) -> Command {
    let mut command = cargo();
    command
        .args(arguments)
        .env("RUSTFLAGS", "-C instrument-coverage")
        .env("CARGO_TARGET_DIR", folder())
        .env("CARGO_PROFILE_DEV_OPT_LEVEL", "1")
        .env("LLVM_PROFILE_FILE", profiles().join("%p-%m.profraw"));
    command
}

/// The program that a line of cargo's tells of.
fn executable(line: &str) -> Option<PathBuf> {
    let message: serde_json::Value = serde_json::from_str(line).ok()?;
    message["executable"].as_str().map(PathBuf::from)
}

/// LLVM's tools, of the version that the compiler is made with: others do not read its profiles.
struct Tools {
    major: String,
}

impl Tools {
    fn find() -> Result<Self> {
        let version = output(Command::new("rustc").arg("-vV"))?;
        let version = version.lines().find_map(|line| line.strip_prefix("LLVM version: "));
        let major = version.and_then(|version| version.split('.').next());
        let tools = Self { major: major.context("rustc does not name its LLVM")?.to_owned() };
        if tools.program("llvm-cov").arg("--version").output().is_err() {
            packages::install(&[&format!("llvm-{}", tools.major)])?;
        }
        Ok(tools)
    }

    fn program(&self, name: &str) -> Command {
        Command::new(format!("{name}-{}", self.major))
    }

    /// How often each line ran, in the format of `geninfo(1)`.
    fn lines(&self, programs: &[PathBuf]) -> Result<String> {
        let merged = folder().join("merged.profdata");
        let mut merge = self.program("llvm-profdata");
        merge.args(["merge", "--sparse", "-o"]).arg(&merged);
        for profile in fs::read_dir(profiles()).context("nothing was measured")? {
            merge.arg(profile?.path());
        }
        run_command(&mut merge)?;
        let mut export = self.program("llvm-cov");
        export.args(["export", "--format=lcov", "--instr-profile"]).arg(&merged);
        for (number, program) in programs.iter().enumerate() {
            if number > 0 {
                export.arg("--object");
            }
            export.arg(program);
        }
        output(&mut export)
    }
}

/// Lines that ran and all lines of the files in a folder. `end_of`: how many lines of a file count.
fn sum(lcov: &str, folder: &str, end_of: impl Fn(&str) -> usize) -> [u32; 2] {
    let mut sum = [0, 0];
    let mut end = 0;
    for line in lcov.lines() {
        if let Some(file) = line.strip_prefix("SF:") {
            end = if file.contains(folder) { end_of(file) } else { 0 };
        }
        let Some((number, count)) = line.strip_prefix("DA:").and_then(|it| it.split_once(','))
        else {
            continue;
        };
        if number.parse::<usize>().is_ok_and(|number| number <= end) {
            sum[0] += u32::from(count != "0");
            sum[1] += 1;
        }
    }
    sum
}

/// Where a file's tests begin, which would count themselves: they are last in the file, or are all of it.
fn end_of_code(file: &str) -> usize {
    if file.contains("/tests/") || file.ends_with("/tests.rs") {
        return 0;
    }
    let text = fs::read_to_string(file).unwrap_or_default();
    text.lines().take_while(|line| *line != "#[cfg(test)]").count()
}

fn folder() -> PathBuf {
    workspace::target().join("coverage")
}

fn profiles() -> PathBuf {
    folder().join("profiles")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_crate_are_summed_without_its_tests() {
        let lcov = "SF:/x/crates/wire/src/gre.rs\nDA:1,7\nDA:2,0\nDA:9,1\nend_of_record\n\
                    SF:/x/crates/wire/src/control/mod.rs\nDA:3,12\nend_of_record\n\
                    SF:/x/crates/engine/src/gre/mod.rs\nDA:1,1\nend_of_record\n";
        assert_eq!(sum(lcov, "/crates/wire/src/", |_| 5), [2, 3]);
        assert_eq!(end_of_code("/x/crates/engine/src/gre/tests.rs"), 0);
        let this = concat!(env!("CARGO_MANIFEST_DIR"), "/src/coverage.rs");
        assert!(end_of_code(this) < fs::read_to_string(this).unwrap().lines().count());
    }
}
