//! What rights the serving process has, as the kernel tells it.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use super::{Scenario, admin::gretel};
use crate::{
    lab::{
        caller::Caller,
        segment::INNER,
        server::{Files, wait_for_log},
        world::World,
    },
    workspace,
};

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
    Scenario {
        name: "as a user of its own the server does what it does as root, and no thread is root's",
        compared: false,
        run: |world| with_user(world, own_user),
    },
    Scenario {
        name: "what its own user cannot read keeps the server from starting, and is named",
        compared: false,
        run: |world| with_user(world, unreadable),
    },
];

/// A user that every Debian has.
const USER: &str = "daemon";

/// A script tells who runs it; the line behind `remoteip` asks for records in wtmp.
const OWN_USER: Files = Files {
    addresses: "192.168.77.100-103\nlogwtmp\npidfile /run/pptpd.pid",
    options: "require-mschap-v2\nrequire-mppe-128\nlinkname office\nip-up-script /run/hooks/ip-up\n\
              ip-down-script /run/hooks/ip-down\n",
    ..Files::SHIPPED
};
const SOON: Duration = Duration::from_secs(5);

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
    are_confined(&threads(world)?)?;
    let log = world.server.log()?;
    ensure!(!log.contains("this kernel has no"), "not all of it was there:\n{log}");
    caller.kill();
    world.end_and_check()
}

/// Each thread has what its role needs, and nothing else.
fn are_confined(threads: &[Thread]) -> Result<()> {
    let is_worker = |thread: &Thread| thread.name.starts_with("gretel-data");
    ensure!(threads.iter().any(is_worker), "no thread carries packets");
    for thread in threads {
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
    Ok(())
}

/// Runs something with `gretel.toml` naming the user; other scenarios do without.
fn with_user(world: &mut World, run: fn(&mut World) -> Result<()>) -> Result<()> {
    let toml = world.segment.folder.join("gretel/gretel.toml");
    fs::write(&toml, format!("[server]\nuser = \"{USER}\"\n"))?;
    let result = run(world);
    fs::remove_file(&toml)?;
    // The next server is root's again, and takes no directory of somebody else's.
    let state = world.segment.folder.join("gretel/state");
    world.server.sh(&format!("chown -R root: {}", state.display()))?;
    result
}

fn own_user(world: &mut World) -> Result<()> {
    world.server.sh(
        ": >/var/log/wtmp; mkdir -p /run/hooks; rm -f /run/hooks/log
         for name in ip-up ip-down; do
             printf '%s\\n' '#!/bin/sh' 'echo \"$(basename $0) $(id -u) $1\" >>/run/hooks/log' >/run/hooks/$name
             chmod 755 /run/hooks/$name
         done",
    )?;
    world.serve(&OWN_USER)?;
    let mut caller = Caller::new(world, "caller", "10.99.0.9")?;
    caller.connect()?;
    is_everywhere(world)?;
    ensure!(gretel(world, &["who"])?.contains("anna"), "nobody is there");
    hooks_have_said(world, "ip-up 0 ppp0\n")?;
    let marks = "cat /run/pptpd.pid /run/ppp0.pid /run/ppp-office.pid | sort | uniq -c | tr -s ' '
                 stat -c '%U %n' /run/*.pid; last -w -f /var/log/wtmp | head -n 1";
    let marks = world.server.sh(marks)?;
    let pid = world.server.pid().context("no server")?;
    for mark in [&format!(" 3 {pid}\n"), "root /run/ppp0.pid\n", "\nanna "] {
        ensure!(marks.contains(mark), "no {mark:?} in:\n{marks}");
    }

    // A secret that has changed counts at once, and after a reload.
    world.server.write_secrets("anna pptpd secret *\nbert pptpd other *\n")?;
    let mut second = Caller::new(world, "second", "10.99.0.10")?;
    second.connect_as("bert", "other", &[], INNER)?;
    world.server.sh(&format!("kill -HUP {pid}"))?;
    wait_for_log(&mut *world.server, "read again", SOON)?;
    ensure!(!world.server.log()?.contains("Not reloaded"), "the reload failed");
    gretel(world, &["kick", "bert"])?;
    second.kill();
    let deadline = Instant::now() + SOON;
    while !gretel(world, &["history"])?.contains("bert") {
        ensure!(Instant::now() < deadline, "no bert in the history");
        thread::sleep(Duration::from_millis(50));
    }

    world.server.kill()?;
    caller.kill();
    world.server.start(&OWN_USER)?;
    wait_for_log(&mut *world.server, "was still to be run", SOON)?;
    hooks_have_said(world, "ip-down 0 ppp0\n")?;
    caller.connect()?;
    is_everywhere(world)?;
    ensure!(gretel(world, &["history"])?.contains("bert"), "the history was lost");
    caller.kill();
    world.end_and_check()?;
    world.server.stop()?;
    let left = world.server.sh("ls /run/*.pid 2>/dev/null || true")?;
    ensure!(left.is_empty(), "left: {left}");
    let log = world.server.log()?;
    ensure!(!log.contains("Cannot"), "{log}");
    Ok(())
}

/// Every thread is the user's, and confined.
fn is_everywhere(world: &mut World) -> Result<()> {
    let ids = world.server.sh(&format!("id -u {USER}; id -g {USER}"))?;
    let (uid, gid) = ids.trim().split_once('\n').context("no user")?;
    let threads = threads(world)?;
    for thread in &threads {
        for (key, id) in [("Uid", uid), ("Gid", gid)] {
            let found = thread.value(key)?;
            ensure!(found.split_whitespace().all(|it| it == id), "{}: {key} {found}", thread.name);
        }
        let groups = thread.value("Groups")?;
        ensure!(groups.split_whitespace().all(|it| it == gid), "{}: {groups}", thread.name);
    }
    are_confined(&threads)
}

fn hooks_have_said(world: &mut World, line: &str) -> Result<()> {
    let log = world.server.sh(&format!(
        "for try in $(seq 100); do grep -qx '{}' /run/hooks/log && break; sleep 0.05; done; cat /run/hooks/log",
        line.trim()
    ))?;
    ensure!(log.contains(line), "no {line:?} in:\n{log}");
    Ok(())
}

fn unreadable(world: &mut World) -> Result<()> {
    world.serve(&OWN_USER)?;
    world.server.stop()?;
    let folder = world.segment.folder.join("gretel");
    let secrets = folder.join("secrets");
    let (folder, secrets) = (folder.display(), secrets.display());
    let program = workspace::gretel();
    let files = format!(
        "--pptpd-conf {folder}/pptpd.conf --ppp-options {folder}/ppp-options --gretel-toml {folder}/gretel.toml \
         --chap-secrets {secrets} --pap-secrets {secrets}"
    );
    world.server.sh(&format!("chmod 600 {secrets}"))?;
    let state = world.segment.folder.join("gretel/state");
    for command in ["check".to_owned(), format!("serve --state-dir {}", state.display())] {
        let said = world.server.sh(&format!(
            "timeout 10 {} {command} {files} 2>&1 && echo started; true",
            program.display()
        ))?;
        for words in [
            &format!("{folder}/gretel.toml:"),
            &format!(":1: error: {USER} cannot read {secrets}"),
            &format!("chgrp {USER} {secrets} && chmod 640 {secrets}"),
        ] {
            ensure!(said.contains(words), "{command}: no {words:?} in:\n{said}");
        }
        ensure!(!said.contains("started"), "{command}: {said}");
    }
    world.server.sh(&format!("chgrp {USER} {secrets} && chmod 640 {secrets}"))?;
    let said = world.server.sh(&format!("{} check {files}", program.display()))?;
    ensure!(!said.contains("group access"), "{said}");
    world.server.sh(&format!("chgrp root {secrets}; chmod 644 {secrets}"))?;
    Ok(())
}

fn no_sandbox(world: &mut World) -> Result<()> {
    world.serve(&Files { arguments: &["--no-sandbox"], ..Files::SHIPPED })?;
    wait_for_log(&mut *world.server, "keeps all rights of root", Duration::from_secs(5))?;
    for thread in threads(world)? {
        ensure!(thread.value("CapEff")? != NET_ADMIN && thread.value("Seccomp")? == "0");
    }
    world.end_and_check()
}
