//! What happens to a server over months: a full disk, no files left, interfaces that others remove, a log that nobody reads.

use std::{
    fs,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{Scenario, package::with_guest_of};
use crate::{
    lab::{
        boot::System,
        caller::Caller,
        guest::Guest,
        segment::{INNER, SERVER_GUEST, Segment},
        server::{Files, wait_for_log},
        world::World,
    },
    workspace::{self, output},
};

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario { name: "with a full disk sessions come and go", compared: false, run: full_disk },
    Scenario {
        name: "without files to open live sessions go on, and new ones come when there are some again",
        compared: false,
        run: no_files,
    },
    Scenario {
        name: "when the clock jumps sessions, locks and the lengths of things stay as they are",
        compared: false,
        run: |world| with_guest_of(world, start_guest, clock_jumps),
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
    // The client that gives up waiting is accepted when it has gone.
    world.make(["G-110"]);
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

/// A server in a guest: the clock is a whole machine's.
fn start_guest(segment: &Segment) -> Result<Guest> {
    let mut guest =
        Guest::start("clock", &segment.folder, &segment.switch, &SERVER_GUEST, System::Shell)?;
    let (folder, files) = (segment.folder.join("clock"), Files::SHIPPED);
    fs::write(folder.join("pptpd.conf"), files.pptpd_conf("/mnt/options"))?;
    fs::write(folder.join("options"), files.options())?;
    fs::write(folder.join("secrets"), files.secrets)?;
    fs::write(folder.join("gretel.toml"), "[limits]\nlogin-failures = 3\n")?;
    guest.sh(
        20,
        &format!(
            "insmod /usr/lib/uml/modules/$(uname -r)/kernel/drivers/net/tun.ko
             echo 1 >/proc/sys/net/ipv4/ip_forward
             : >/etc/ppp/options
             setsid {} serve --pptpd-conf /mnt/pptpd.conf --chap-secrets /mnt/secrets --gretel-toml /mnt/gretel.toml \
                 --state-dir /run/gretel >/run/server.log 2>&1 &
             for try in $(seq 200); do ss -Hltn | grep -q :1723 && exit 0; sleep 0.05; done
             cat /run/server.log; exit 1",
            workspace::gretel().display()
        ),
    )?;
    Ok(guest)
}

fn clock_jumps(world: &mut World, guest: &mut Guest) -> Result<()> {
    let gretel = workspace::gretel().display().to_string();
    let mut caller = Caller::new(world, "caller", "10.99.0.9")?;
    caller.connect()?;
    let guesser = Caller::new(world, "guesser", "10.99.0.66")?;
    for _ in 0..3 {
        super::faults::attempt(&guesser, "anna", "guess")?;
    }
    let begun = Instant::now();
    for jump in ["+2 years", "-5 years"] {
        guest.sh(5, &format!("date -s '{jump}'"))?;
        // LCP echoes are due meanwhile.
        thread::sleep(Duration::from_secs(3));
        caller.ping(INNER, 56, 20).with_context(|| format!("{jump} ended the session"))?;
        let locks = guest.sh(5, &format!("{gretel} locks --state-dir /run/gretel"))?;
        ensure!(locks.contains("address 10.99.0.66"), "{jump} lifted the lock:\n{locks}");
        let who = guest.sh(5, &format!("{gretel} who --json --state-dir /run/gretel"))?;
        let who: Value = serde_json::from_str(&who)?;
        let up = who["sessions"][0]["uptime"].as_u64().context("no session")?;
        ensure!(up <= begun.elapsed().as_secs() + 60, "{jump} made the session {up} s old");
    }
    caller.disconnect()?;
    caller.connect().context("nobody gets in any more")?;
    caller.disconnect()?;
    let history = guest.sh(5, &format!("{gretel} history anna --json --state-dir /run/gretel"))?;
    let history: Value = serde_json::from_str(&history)?;
    let kept = history["attempts"].as_array().context("no history")?;
    let millis: Vec<u64> = kept.iter().filter_map(|one| one["connected"].as_u64()).collect();
    let longest = begun.elapsed() + Duration::from_secs(60);
    ensure!(
        millis.len() == 2 && millis.iter().all(|millis| u128::from(*millis) < longest.as_millis()),
        "the history has other sessions: {history}"
    );
    Ok(())
}
