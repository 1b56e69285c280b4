//! pptpd's command line, typed to the real `pptpd` and to gretel under its name, on the same files.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};

use super::Scenario;
use crate::{
    lab::{
        server::{Files, Server},
        world::World,
    },
    workspace,
};

pub(super) const NAME: &str =
    "every flag does what it does with pptpd, with the same status, address and process file";

pub(crate) const SCENARIOS: &[Scenario] =
    &[Scenario { name: NAME, compared: false, run: same_as_pptpd }];

/// Typed behind `-c FILE`, unless they name a file themselves. `PID`, `OPTIONS` are files of the scenario.
const SAME: [&str; 26] = [
    "",
    "-d",
    "--debug",
    "-C 2",
    "--connections 2",
    "-e /bin/true",
    "--ppp /bin/true",
    "-i",
    "--noipparam",
    "-D -o OPTIONS",
    "--delegate --option OPTIONS",
    "-l 127.0.0.1",
    "--listen localhost",
    "-p PID",
    "--pidfile PID",
    "-s 9600",
    "-t 5",
    "-w",
    "--logwtmp",
    "a word",
    "-o /nonexistent",
    "-c /nonexistent",
    "-x",
    "--nosuch",
    "-l",
    "-C",
];

/// What only prints something.
const PRINT: [&str; 4] = ["-h", "--help", "-v", "--version"];

/// What is different on purpose, each with its reason in `docs/differences-from-pptpd.md`: what pptpd makes of it, and what gretel does.
const DIFFERENT: [(&str, &str, &str); 3] = [
    // This pptpd is built without.
    ("-V eth0", "status 1", "status 0, listens on 0.0.0.0%eth0:1723, process file /run/pptpd.pid"),
    // The child that cannot listen has left its terminal by then.
    ("-l 192.0.2.1", "status 0, process file /run/pptpd.pid", "status 1"),
    ("-C x", "status 0, listens on 0.0.0.0:1723, process file /run/pptpd.pid", "status 1"),
];

fn same_as_pptpd(world: &mut World) -> Result<()> {
    let folder = world.segment.folder.join("flags");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("conf"), Files::SHIPPED.pptpd_conf(&at(&folder, "plain")))?;
    fs::write(folder.join("plain"), Files::SHIPPED.options())?;
    fs::write(folder.join("options"), format!("{}192.168.77.1:\n", Files::SHIPPED.options()))?;
    let gretel = at(&folder, "pptpd");
    world.server.sh(&format!("ln -sf {} {gretel}", workspace::gretel().display()))?;
    let server = &mut *world.server;
    for arguments in SAME {
        let theirs = daemon(server, &folder, "pptpd", arguments)?;
        let ours = daemon(server, &folder, &gretel, arguments)?;
        ensure!(ours == theirs, "{arguments:?}: pptpd {theirs}, gretel {ours}");
    }
    for arguments in PRINT {
        for program in ["pptpd", &gretel] {
            let said = server.sh(&format!("{program} {arguments}"))?;
            ensure!(!said.is_empty(), "{program} {arguments} prints nothing");
        }
    }
    for (arguments, expected, other) in DIFFERENT {
        let theirs = daemon(server, &folder, "pptpd", arguments)?;
        let ours = daemon(server, &folder, &gretel, arguments)?;
        ensure!(theirs == expected, "{arguments}: pptpd {theirs}");
        ensure!(ours == other, "{arguments}: gretel {ours}");
    }
    for flag in ["-f", "--fg"] {
        for program in ["pptpd", &gretel] {
            foreground(server, &folder, program, flag)
                .with_context(|| format!("{program} {flag}"))?;
        }
    }
    Ok(())
}

fn at(folder: &Path, name: &str) -> String {
    folder.join(name).display().to_string()
}

/// Starts a daemon and ends it with SIGTERM: its status, where it listened, and where its process id was.
fn daemon(
    server: &mut dyn Server,
    folder: &Path,
    program: &str,
    arguments: &str,
) -> Result<String> {
    let arguments =
        arguments.replace("PID", &at(folder, "pid")).replace("OPTIONS", &at(folder, "options"));
    let conf = match arguments.starts_with("-c ") {
        true => String::new(),
        false => format!("-c {}", at(folder, "conf")),
    };
    let (pid, said) = (at(folder, "pid"), at(folder, "said"));
    let told = server.sh(&format!(
        r#"rm -f /run/pptpd.pid {pid}
           {program} {conf} {arguments} >{said} 2>&1 </dev/null
           status=$?
           listening() {{ ss -Hltn 'sport = :1723' | awk '{{print $4}}' | tr '\n' ' '; }}
           if [ $status = 0 ]; then
               for try in $(seq 50); do
                   file=$(ls /run/pptpd.pid {pid} 2>/dev/null)
                   [ -n "$file" ] && [ -s $file ] && [ -n "$(listening)" ] && break
                   sleep 0.1
               done
           fi
           printf 'status %s' $status
           [ -z "$(listening)" ] || printf ', listens on %s' $(listening)
           [ -z "$file" ] || printf ', process file %s' $file
           if [ -n "$file" ]; then
               kill $(cat $file) 2>/dev/null
               for try in $(seq 100); do [ -z "$(listening)" ] && exit 0; sleep 0.1; done
               printf ', still listens'
           fi"#
    ))?;
    Ok(told.trim().replace(&pid, "PID"))
}

/// Starts a server that stays in the foreground, which ends with status 0 when it is told to.
fn foreground(server: &mut dyn Server, folder: &Path, program: &str, flag: &str) -> Result<()> {
    let (conf, said) = (at(folder, "conf"), at(folder, "said"));
    server.sh(&format!(
        r#"{program} -c {conf} {flag} >{said} 2>&1 </dev/null &
           for try in $(seq 100); do ss -Hltn | grep -q :1723 && break; sleep 0.1; done
           kill -0 $! && kill $! && wait $!"#
    ))?;
    Ok(())
}
