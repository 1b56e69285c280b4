//! What rights the serving process has, as the kernel tells it.

use std::{fs, time::Duration};

use anyhow::{Context, Result, ensure};

use super::Scenario;
use crate::lab::{caller::Caller, server::Files, server::wait_for_log, world::World};

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "every thread has given up what it does not need before it serves",
        compared: false,
        run: every_thread_is_confined,
    },
    Scenario {
        name: "without a sandbox the server says so and keeps its rights",
        compared: false,
        run: no_sandbox,
    },
];

/// `CAP_NET_ADMIN`, as `/proc` shows a set of it alone.
const NET_ADMIN: &str = "0000000000001000";
const NONE: &str = "0000000000000000";

/// A thread of the server, and lines of its `/proc/PID/task/TID/status`.
struct Thread {
    name: String,
    status: String,
}

impl Thread {
    fn value(&self, key: &str) -> Result<&str> {
        let found = self.status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        found.map(str::trim).with_context(|| format!("no {key} in:\n{}", self.status))
    }
}

/// The threads of the process that listens.
fn threads(world: &mut World) -> Result<Vec<Thread>> {
    let listening = world.server.sh("ss -ltnpH 'sport = 1723'")?;
    let pid = listening
        .split_once("pid=")
        .and_then(|(_, rest)| rest.split(|letter: char| !letter.is_ascii_digit()).next())
        .with_context(|| format!("nobody listens: {listening}"))?;
    let folder = format!("/proc/{pid}/task");
    let mut threads = Vec::new();
    for task in fs::read_dir(&folder).context(folder)? {
        let task = task?.path();
        let read = |name: &str| fs::read_to_string(task.join(name));
        threads.push(Thread { name: read("comm")?.trim().to_owned(), status: read("status")? });
    }
    Ok(threads)
}

fn every_thread_is_confined(world: &mut World) -> Result<()> {
    world.serve(&Files::SHIPPED)?;
    let mut caller = Caller::new(world, "caller", "10.99.0.9")?;
    caller.connect()?;
    let threads = threads(world)?;
    let is_worker = |thread: &&Thread| thread.name.starts_with("gretel-data");
    ensure!(threads.iter().any(|thread| is_worker(&thread)), "no thread carries packets");
    for thread in &threads {
        let is_control = !["gretel-", "history", "log", "relay"]
            .iter()
            .any(|beginning| thread.name.starts_with(beginning));
        let wanted = if is_control { NET_ADMIN } else { NONE };
        for (key, value) in [
            ("CapEff", wanted),
            ("CapPrm", wanted),
            ("CapInh", NONE),
            ("CapBnd", NONE),
            ("CapAmb", NONE),
            ("NoNewPrivs", "1"),
            // SECCOMP_MODE_FILTER.
            ("Seccomp", "2"),
        ] {
            let found = thread.value(key)?;
            ensure!(found == value, "{}: {key} is {found} and not {value}", thread.name);
        }
    }
    let log = world.server.log()?;
    ensure!(!log.contains("this kernel has no"), "not all of it was there:\n{log}");
    caller.kill();
    world.end_and_check()
}

fn no_sandbox(world: &mut World) -> Result<()> {
    world.serve(&Files { arguments: &["--no-sandbox"], ..Files::SHIPPED })?;
    wait_for_log(&mut *world.server, "keeps all rights of root", Duration::from_secs(5))?;
    for thread in threads(world)? {
        ensure!(thread.value("CapEff")? != NET_ADMIN && thread.value("Seccomp")? == "0");
    }
    world.end_and_check()
}
