//! What happens to a server over months: a full disk, no files left, interfaces that others remove, a log that nobody reads.

use std::{
    fs,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use super::Scenario;
use crate::{
    lab::{
        caller::Caller,
        segment::INNER,
        server::{Files, wait_for_log},
        world::World,
    },
    workspace::output,
};

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario { name: "with a full disk sessions come and go", compared: false, run: full_disk },
    Scenario {
        name: "without files to open live sessions go on, and new ones come when there are some again",
        compared: false,
        run: no_files,
    },
    Scenario {
        name: "an interface that somebody removes ends its session and no other",
        compared: false,
        run: interface_removed,
    },
];

const PATIENCE: Duration = Duration::from_secs(10);

/// The state directory and the log file are on a disk that has no byte left.
fn full_disk(world: &mut World) -> Result<()> {
    let folder = world.segment.folder.join("gretel");
    let (state, toml) = (folder.join("state"), folder.join("gretel.toml"));
    let _disk = TinyDisk::mount(&state)?;
    fs::write(&toml, format!("[records]\nlog-file = {:?}\n", state.join("log")))?;
    let served = world.serve(&Files::SHIPPED);
    // Other scenarios do without it.
    fs::remove_file(&toml)?;
    served?;
    output(
        Command::new("sh").args(["-c", "cat /dev/zero >\"$0/fill\" 2>/dev/null; true"]).arg(&state),
    )?;
    ensure!(fs::write(state.join("more"), [0; 4096]).is_err(), "the disk is not full");
    let mut caller = Caller::new(world, "caller", "10.99.0.9")?;
    for _ in 0..2 {
        caller.connect()?;
        caller.ping(INNER, 56, 10)?;
        caller.disconnect()?;
    }
    let log = world.server.log()?;
    ensure!(!log.contains("panicked"), "the server panicked:\n{log}");
    ensure!(log.matches("G-601").count() == 2, "the ends of two sessions are not told:\n{log}");
    let _ = fs::remove_file(state.join("fill"));
    let _ = fs::remove_file(state.join("more"));
    world.check_released(PATIENCE)?;
    world.server.stop()
}

/// A file system of a few pages, gone when dropped.
struct TinyDisk(std::path::PathBuf);

impl TinyDisk {
    fn mount(at: &std::path::Path) -> Result<Self> {
        fs::create_dir_all(at)?;
        let mut mount = Command::new("mount");
        output(mount.args(["-t", "tmpfs", "-o", "size=256k,mode=755", "tmpfs"]).arg(at))?;
        Ok(Self(at.to_owned()))
    }
}

impl Drop for TinyDisk {
    fn drop(&mut self) {
        // The server may have files open there still.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// The limit on open files falls to what is open.
fn no_files(world: &mut World) -> Result<()> {
    world.serve(&Files::SHIPPED)?;
    let mut caller = Caller::new(world, "caller", "10.99.0.9")?;
    caller.connect()?;
    let pid = world.server.pid().context("no server")?;
    let limit = |files: usize| {
        let files = format!("--nofile={files}:");
        output(Command::new("prlimit").args(["--pid", &pid.to_string(), &files])).map(drop)
    };
    limit(4)?;
    let newcomer = Caller::new(world, "newcomer", "10.99.0.10")?;
    let check = |seconds: &str| -> Result<bool> {
        let mut check = newcomer.command("secret", &["--check", "--no-tun"])?;
        let mut patient = Command::new("timeout");
        patient.arg(seconds).arg(check.get_program()).args(check.get_args());
        check.stdin(Stdio::null());
        Ok(patient.stdin(Stdio::null()).output()?.status.success())
    };
    ensure!(!check("3")?, "a connection without a file");
    wait_for_log(&mut *world.server, "Cannot accept a connection", PATIENCE)?;
    caller.ping(INNER, 56, 50).context("the live session does not go on")?;
    let log = world.server.log()?;
    let told = log.matches("Cannot accept a connection").count();
    ensure!(told <= 3, "it is told {told} times");
    limit(1024)?;
    let begun = Instant::now();
    while !check("5")? {
        ensure!(begun.elapsed() < PATIENCE, "nobody new gets in again");
        thread::sleep(Duration::from_millis(100));
    }
    caller.disconnect()?;
    world.end_and_check()
}

fn interface_removed(world: &mut World) -> Result<()> {
    world.make(["G-501"]);
    world.serve(&Files::SHIPPED)?;
    let mut caller = Caller::new(world, "caller", "10.99.0.9")?;
    caller.connect()?;
    let mut other = Caller::new(world, "other", "10.99.0.10")?;
    other.connect()?;
    world.server.sh("ip link del ppp0")?;
    wait_for_log(&mut *world.server, "the server's interface was removed", PATIENCE)?;
    other.ping(INNER, 56, 10).context("the other session does not go on")?;
    caller.kill();
    caller.connect().context("the client is not let in again")?;
    caller.disconnect()?;
    other.disconnect()?;
    world.end_and_check()
}
