//! Guests: Linux kernels with PPP that run as ordinary processes (User-Mode Linux).
//!
//! A guest sees the machine's own files, read-only, so that every installed program runs in it
//! unchanged; what programs write is covered by memory. The lab gives it work over its console: a
//! script lies in the guest's folder, the console names it, and the guest puts the output beside it.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use rustix::{
    io::Errno,
    process::Pid,
    thread::{CpuSet, sched_setaffinity},
};

use crate::workspace;

use super::{
    boot::{self, System},
    network::{Namespace, plug},
};

/// How long a guest may take to start; two seconds are usual.
const BOOT: Duration = Duration::from_secs(60);

/// What `/proc` counts processor time in (`USER_HZ`, the same on every machine that Gretel runs on).
const TICKS_PER_SECOND: u64 = 100;

/// A running guest; powered off when dropped.
#[derive(Debug)]
pub(crate) struct Guest {
    name: &'static str,
    folder: PathBuf,
    child: Child,
    console: Receiver<String>,
    scripts: usize,
}

/// A network interface of a guest.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Interface {
    /// The tap interface at the outer end.
    pub(crate) tap: &'static str,
    /// The switch that the tap is plugged into.
    pub(crate) bridge: &'static str,
    /// Address and prefix length inside the guest.
    pub(crate) address: &'static str,
}

impl Guest {
    /// Starts a guest whose interfaces `vec0`, `vec1`, … are plugged into switches of `namespace`,
    /// and waits until it takes work.
    pub(crate) fn start(
        name: &'static str,
        folder: &Path,
        namespace: &Namespace,
        interfaces: &[Interface],
        system: System,
    ) -> Result<Self> {
        let folder = folder.join(name);
        fs::create_dir_all(&folder)?;
        let init = folder.join("init");
        fs::write(&init, boot::script(&folder, interfaces, system))?;
        fs::set_permissions(&init, fs::Permissions::from_mode(0o755))?;

        let mut command = namespace.command("linux.uml");
        // What is written stays in memory, apt's indexes of all packages among it.
        command.args(["mem=512M", "root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro"]);
        command.args(["con=null", "con0=fd:0,fd:1", "quiet"]);
        command.arg(format!("init={}", init.display()));
        for (index, interface) in interfaces.iter().enumerate() {
            let tap = interface.tap;
            namespace
                .sh(&format!("ip link show {tap} 2>/dev/null || ip tuntap add {tap} mode tap"))?;
            plug(namespace, interface.bridge, tap)?;
            command.arg(format!("vec{index}:transport=tap,ifname={tap}"));
        }
        let mut child = command
            .env("HOME", &folder)
            .env("TMPDIR", "/dev/shm")
            .env("LD_PRELOAD", workspace::wide_registers())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(folder.join("kernel.log"))?)
            .process_group(0)
            .spawn()
            .context("cannot start linux.uml")?;
        let console = read_console(&mut child, folder.join("console.log"))?;
        let mut guest = Self { name, folder, child, console, scripts: 0 };
        guest.wait_for("LAB-READY", BOOT)?;
        Ok(guest)
    }

    /// Runs a shell script in the guest and gives what it printed, on both channels; an error when
    /// it fails or takes longer than `seconds`.
    pub(crate) fn sh(&mut self, seconds: u32, script: &str) -> Result<String> {
        let number = self.scripts;
        self.scripts += 1;
        fs::write(self.folder.join(format!("{number}.sh")), script)?;
        let input = self.child.stdin.as_mut().context("the guest's console is closed")?;
        writeln!(input, "{number} {seconds}")?;
        let limit = Duration::from_secs(u64::from(seconds) + 5);
        let line = self.wait_for(&format!("LAB-DONE {number} "), limit)?;
        let text = fs::read(self.folder.join(format!("{number}.out")))?;
        let text = String::from_utf8_lossy(&text).into_owned();
        let status = line.rsplit(' ').next().unwrap_or_default();
        ensure!(status == "0", "{}: status {status} from {script:?}\n{text}", self.name);
        Ok(text)
    }

    /// Processor time so far of the guest, its kernel and its programs alike, as this machine sees it. Programs are processes of the
    /// guest's group, or were and have been waited for.
    pub(crate) fn processor_time(&self) -> Result<Duration> {
        let ticks: u64 = self.processes()?.iter().map(|(_, ticks)| ticks).sum();
        Ok(Duration::from_millis(1000 * ticks / TICKS_PER_SECOND))
    }

    /// Has the guest use one of this machine's processors only, as it has one of its own only: its kernel and its programs run by turns, and
    /// waking each other on another processor costs many times what it does on the same one.
    pub(crate) fn keep_to(&self, processor: usize) -> Result<()> {
        let mut only = CpuSet::new();
        only.set(processor);
        for (process, _) in self.processes()? {
            // What is begun later inherits this.
            match sched_setaffinity(Pid::from_raw(process), &only) {
                // It has ended by now.
                Ok(()) | Err(Errno::SRCH) => {}
                Err(error) => return Err(error).context("a guest's processor"),
            }
        }
        Ok(())
    }

    /// The processes of the guest's group, and the processor time of each.
    fn processes(&self) -> Result<Vec<(i32, u64)>> {
        let group = self.child.id().to_string();
        let mut processes = Vec::new();
        for entry in fs::read_dir("/proc")? {
            // It may have ended by now, and then its parent has its time.
            let Ok(stat) = fs::read_to_string(entry?.path().join("stat")) else { continue };
            processes.extend(in_group(&stat, &group));
        }
        Ok(processes)
    }

    /// Ends the guest at once, as a power cut does.
    pub(crate) fn cut_power(&mut self) {
        // The kernel has helper processes in its group; all of them are ours.
        let group = format!("-{}", self.child.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.child.wait();
    }

    /// Waits for a console line that begins with `start`.
    fn wait_for(&mut self, start: &str, limit: Duration) -> Result<String> {
        let deadline = Instant::now() + limit;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.console.recv_timeout(left) {
                Ok(line) if line.starts_with(start) => return Ok(line),
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => {
                    bail!("{}: no {start:?} within {limit:?}", self.name)
                }
                Err(RecvTimeoutError::Disconnected) => {
                    bail!("{}: ended, see {}", self.name, self.folder.display())
                }
            }
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.child.stdin = None;
        let deadline = Instant::now() + Duration::from_secs(3);
        while Instant::now() < deadline {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
        self.cut_power();
    }
}

/// Copies the console to a file and to a channel.
fn read_console(child: &mut Child, log: PathBuf) -> Result<Receiver<String>> {
    let output = child.stdout.take().context("the guest has no console")?;
    let mut log = fs::File::create(log)?;
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            // The log is for people; a full disk does not end the guest.
            let _ = writeln!(log, "{line}");
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    Ok(receiver)
}

/// The process in a line of `/proc/PID/stat` (proc(5)) and its processor time, that of children included, if it belongs to this group.
fn in_group(stat: &str, group: &str) -> Option<(i32, u64)> {
    let process = stat.split(' ').next()?.parse().ok()?;
    // The name, in brackets, may hold anything.
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    if fields.get(2) != Some(&group) {
        return None;
    }
    let ticks: Option<u64> =
        fields.get(11..15)?.iter().map(|field| field.parse::<u64>().ok()).sum();
    Some((process, ticks?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_counts_children_and_no_other_group() {
        let stat = "7 (a) b) S 1 42 42 0 -1 4194560 5 0 0 0 100 20 3 4 20 0 1 0 99 0 0";
        assert_eq!(in_group(stat, "42"), Some((7, 127)));
        assert_eq!(in_group(stat, "4"), None);
        assert_eq!(in_group("7 (cut", "42"), None);
    }
}
