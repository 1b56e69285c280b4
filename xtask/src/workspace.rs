//! Where things are, and how commands are run.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

/// The top of the source tree.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("/"))
}

/// Where cargo builds.
pub(crate) fn target() -> PathBuf {
    match env::var_os("CARGO_TARGET_DIR") {
        Some(directory) => root().join(directory),
        None => root().join("target"),
    }
}

/// Where the lab keeps its logs and results.
pub(crate) fn lab_directory() -> PathBuf {
    target().join("lab")
}

/// The server and client under test: the program that the variable `GRETEL` names, else the one of
/// this source tree in the release profile.
pub(crate) fn gretel() -> PathBuf {
    match env::var_os("GRETEL") {
        Some(program) => program.into(),
        None => target().join("release/gretel"),
    }
}

/// Builds [`gretel`], unless it is named by the caller.
pub(crate) fn build_gretel() -> Result<()> {
    if env::var_os("GRETEL").is_some() {
        return Ok(());
    }
    run(cargo().args(["build", "--release", "--quiet", "--package", "gretel"]))
}

/// A library without which guests do not start on some processors: see its own page.
pub(crate) fn wide_registers() -> PathBuf {
    wide_registers_target().join("release/libwide_registers.so")
}

/// Builds [`wide_registers`].
pub(crate) fn build_wide_registers() -> Result<()> {
    let mut build = cargo();
    build.args(["build", "--release", "--quiet", "--locked", "--manifest-path"]);
    run(build
        .arg("xtask/wide-registers/Cargo.toml")
        .arg("--target-dir")
        .arg(wide_registers_target()))
}

fn wide_registers_target() -> PathBuf {
    target().join("wide-registers")
}

/// A cargo command in the source tree.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or("cargo".into()));
    command.current_dir(root());
    command
}

/// Runs a command to its end; an error when it fails.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot start {command:?}"))?;
    if !status.success() {
        bail!("{command:?}: {status}");
    }
    Ok(())
}

/// Runs a command to its end and gives what it printed; an error, with its standard error, when it
/// fails.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot start {command:?}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        bail!("{command:?}: {}\n{text}{}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(text)
}

/// A command as the super-user: the packages and the namespaces need one.
pub(crate) fn as_root(program: &str) -> Result<Command> {
    if output(Command::new("id").arg("-u"))?.trim() == "0" {
        return Ok(Command::new(program));
    }
    let mut command = Command::new("sudo");
    command.args(["--preserve-env", program]);
    Ok(command)
}
