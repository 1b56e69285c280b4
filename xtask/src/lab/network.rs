//! Network namespaces and the wires between them.

use std::{
    fs::File,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
};

use anyhow::{Context, Result};
use sys::namespace;

use crate::workspace::output;

/// A network namespace, removed when dropped.
#[derive(Debug)]
pub(crate) struct Namespace {
    pub(crate) name: &'static str,
}

impl Namespace {
    /// Makes the namespace, with its loopback interface up.
    pub(crate) fn new(name: &'static str) -> Result<Self> {
        output(Command::new("ip").args(["netns", "add", name]))?;
        let namespace = Self { name };
        namespace.sh("ip link set lo up")?;
        Ok(namespace)
    }

    /// A command that will run inside.
    pub(crate) fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", self.name]).arg(program.as_ref());
        command
    }

    /// Runs a shell script inside and gives its output; an error when it fails.
    pub(crate) fn sh(&self, script: &str) -> Result<String> {
        output(self.command("sh").args(["-c", script]).stdin(Stdio::null()))
    }

    /// Runs `work` on a thread inside.
    pub(crate) fn inside<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let file = File::open(format!("/run/netns/{}", self.name)).context(self.name)?;
        let enter = || {
            namespace::enter(&file).context("cannot enter the namespace")?;
            work()
        };
        thread::scope(|scope| match scope.spawn(enter).join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    }

    /// Starts a program inside that writes to a log file.
    pub(crate) fn spawn(&self, command: &mut Command, log: &Path) -> Result<Process> {
        let file = File::create(log).with_context(|| log.display().to_string())?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("cannot start {command:?}"))?;
        Ok(Process { child })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let removed = Command::new("ip").args(["netns", "del", self.name]).status();
        if !removed.is_ok_and(|status| status.success()) {
            eprintln!("xtask: namespace {} stays until the lab ends", self.name);
        }
    }
}

/// A program that the lab started; killed when dropped.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) child: Child,
}

impl Process {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by name, as `TERM`.
    pub(crate) fn signal(&self, name: &str) -> Result<()> {
        output(Command::new("kill").args([&format!("-{name}"), &self.pid().to_string()]))?;
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only for a process that has ended and been waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Connects two namespaces by a pair of interfaces.
pub(crate) fn wire(left: (&Namespace, &str), right: (&Namespace, &str)) -> Result<()> {
    let (left, left_name) = left;
    let (right, right_name) = right;
    // A namespace that was removed a moment ago may not have taken its wires with it yet.
    right.sh(&format!("ip link del {right_name} 2>/dev/null || true"))?;
    output(Command::new("ip").args([
        "link", "add", left_name, "netns", left.name, "type", "veth", "peer", "name", right_name,
        "netns", right.name,
    ]))?;
    left.sh(&format!("ip link set {left_name} up"))?;
    right.sh(&format!("ip link set {right_name} up"))?;
    Ok(())
}

/// Makes a switch inside a namespace.
pub(crate) fn bridge(namespace: &Namespace, name: &str) -> Result<()> {
    // A switch is no packet filter. Where `br_netfilter` is loaded, Linux makes it one.
    namespace.sh(&format!(
        "ip link add {name} type bridge && ip link set {name} up || exit 1
         filter=/proc/sys/net/bridge/bridge-nf-call-iptables
         [ ! -e $filter ] || echo 0 >$filter"
    ))?;
    Ok(())
}

/// Has what guests send through the switch's interfaces travel on, and arrive, on the processors that this program keeps to: by itself Linux
/// does that in the sender's context, and counts it as the sender's processor time.
pub(crate) fn carry_on(namespace: &Namespace) -> Result<()> {
    namespace.sh("own=$(awk '/^Cpus_allowed:/ { print $2 }' /proc/self/status)
         for set in /sys/class/net/*/queues/rx-*/rps_cpus; do echo $own >$set || exit 1; done")?;
    Ok(())
}

/// Plugs an interface of the switch's namespace into it.
pub(crate) fn plug(namespace: &Namespace, bridge: &str, interface: &str) -> Result<()> {
    namespace.sh(&format!("ip link set {interface} master {bridge} up"))?;
    Ok(())
}
