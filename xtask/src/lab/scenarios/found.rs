//! Files as they are found in the wild, under the real pptpd and under gretel, in the same guest with the same client.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};

use super::{
    Scenario,
    package::{inside, prepare, with_guest},
};
use crate::{
    lab::{client::Call, pptpd::Pptpd, server::Server, world::World},
    workspace,
};

pub(crate) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "files as they are found make the same of a client as pptpd does",
    compared: false,
    run: |world| with_guest(world, compare),
}];

/// Configurations that the real pptpd takes, below `crates/config/tests/corpus`, and what their client wants.
const FOUND: [(&str, &str); 7] = [
    ("debian", ENCRYPTED),
    ("how-to", ENCRYPTED),
    ("rpm", ENCRYPTED),
    ("per-user", ENCRYPTED),
    ("hosted-server", ENCRYPTED),
    ("delegate", ENCRYPTED),
    ("without-passwords", "nomppe noccp"),
];
const ENCRYPTED: &str = "require-mppe-128";

/// Lines of the log that tools look for, at the level of a server without `debug`.
const PHRASES: [&str; 10] = [
    "CTRL: Client 10.99.0.2 control connection started",
    "CTRL: Starting call (launching pppd, opening GRE)",
    "CTRL: Client 10.99.0.2 control connection finished",
    "Using interface ppp0",
    "Connect: ppp0 <-->",
    "MPPE 128-bit stateless compression enabled",
    "local  IP address",
    "remote IP address",
    "Connect time",
    "Modem hangup",
];

/// What a server made of a client.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    /// The address and the encryption; `None`: it was refused.
    tunnel: Option<(String, String)>,
    /// The arguments of `ip-up` and `ip-down` but the terminal, and their variables but REMOTENUMBER, which pppd has since 2.5; of what is each
    /// session's own (terminal, process id, time, bytes, interface identifiers) the names.
    scripts: Vec<String>,
    /// The newest line of `last`, without times.
    record: String,
    phrases: Vec<&'static str>,
    /// How it ended when it was told to.
    status: String,
}

fn compare(world: &mut World, guest: &mut Pptpd) -> Result<()> {
    // Some of the files have proxyarp, and addresses that are in no network of the guest's.
    world.make(["G-502"]);
    prepare(guest)?;
    guest.copy("gretel", &workspace::gretel())?;
    inside(
        guest,
        r#"for script in ip-up ip-down; do
             printf '%s\n' '#!/bin/sh' 'PATH=/usr/bin:/bin' 'exec >>/run/record' 'echo "$(basename $0): $1 $3 $4 $5 $6"' \
                 'env | grep -vE "^(PATH|PWD|SHLVL|_|OLDPWD|REMOTENUMBER)=" |' \
                 'sed -E "s/^(PPPD_PID|CONNECT_TIME|BYTES_SENT|BYTES_RCVD|DEVICE|LLLOCAL|LLREMOTE)=.*/\1/" | sort | tr "\n" " "; echo done' >/etc/ppp/$script
             chmod 755 /etc/ppp/$script
         done"#,
    )?;
    for (name, wants) in FOUND {
        let folder = workspace::root().join("crates/config/tests/corpus").join(name);
        let theirs = outcome(world, guest, &folder, wants, "pptpd")
            .with_context(|| format!("pptpd, {name}"))?;
        let ours = outcome(world, guest, &folder, wants, "/mnt/gretel pptpd")
            .with_context(|| format!("gretel, {name}"))?;
        ensure!(ours == theirs, "{name}: pptpd made {theirs:#?}\nand gretel {ours:#?}");
        world.note(name, &format!("{ours:?}"));
    }
    Ok(())
}

/// Starts a server on the folder's files, as a daemon, and has `scott` call it, with the client's options `wants`.
fn outcome(
    world: &mut World,
    guest: &mut Pptpd,
    folder: &Path,
    wants: &str,
    server: &str,
) -> Result<Outcome> {
    inside(
        guest,
        "rm -f /etc/ppp/options* /etc/ppp/*-options /etc/ppp/chap-secrets; : >/var/log/wtmp; : >/run/record",
    )?;
    for file in fs::read_dir(folder)? {
        let file = file?;
        let name = file.file_name().to_string_lossy().into_owned();
        guest.copy(&name, &file.path())?;
        let place = if name == "pptpd.conf" { "/etc" } else { "/etc/ppp" };
        inside(guest, &format!("cp /mnt/{name} {place}; chmod 600 {place}/{name}"))?;
    }
    inside(guest, ": >>/etc/ppp/options; : >>/etc/ppp/chap-secrets")?;
    guest.sh(": >/run/syslog")?;
    inside(
        guest,
        &format!(
            "{server} && for try in $(seq 100); do ss -Hltn | grep -q :1723 && exit 0; sleep 0.1; done; exit 1"
        ),
    )?;
    let call = world.call_as("scott", "turquoise", wants)?;
    let tunnel = tunnel(&call);
    if tunnel.is_some() {
        inside(
            guest,
            "for try in $(seq 100); do grep -q done /run/record && break; sleep 0.1; done",
        )?;
        world.client()?.hang_up()?;
        inside(
            guest,
            "for try in $(seq 100); do [ $(grep -c done /run/record) = 2 ] && break; sleep 0.1; done",
        )?;
    }
    let end = inside(
        guest,
        "process=$(cat /run/pptpd.pid); kill $process
         for try in $(seq 100); do kill -0 $process 2>/dev/null || break; sleep 0.1; done
         pkill -TERM -x 'pptpctrl|pppd'; sleep 0.5
         kill -0 $process 2>/dev/null && echo lives || echo ended",
    )?;
    let log = guest.log()?;
    if tunnel.is_some() {
        world.logged(&log);
    }
    // What ended in this very second is still running to `last`.
    let record = inside(guest, "sleep 1.1; last -w -f /var/log/wtmp | head -n 1")?;
    // A client whom nobody knows is refused by pppd before it is asked who it is, and by gretel after.
    let wanted = |phrase: &&str| tunnel.is_some() && log.contains(phrase);
    let phrases = PHRASES.into_iter().filter(wanted).collect();
    // pptpd tells its plugin the client's address only with its own `logwtmp`; gretel knows it anyhow.
    let conf = fs::read_to_string(folder.join("pptpd.conf"))?;
    let has_address = conf.lines().any(|line| line.trim() == "logwtmp");
    Ok(Outcome {
        tunnel,
        scripts: first_and_last(&inside(guest, "cat /run/record")?),
        record: record
            .split_whitespace()
            .filter(|word| !word.contains(':') || word.starts_with('('))
            .filter(|word| has_address || *word != "10.99.0.2")
            .collect::<Vec<_>>()
            .join(" "),
        phrases,
        status: end.trim().to_owned(),
    })
}

/// What the first `ip-up` and the last `ip-down` wrote, two lines each: pppd runs both again when IPCP closes and opens again, and gretel does not.
fn first_and_last(record: &str) -> Vec<String> {
    let mut lines: Vec<String> = record.lines().map(str::to_owned).collect();
    if lines.len() > 4 {
        lines.drain(2..lines.len() - 2);
    }
    lines
}

fn tunnel(call: &Call) -> Option<(String, String)> {
    let address = call.address().ok()?.to_owned();
    Some((address, call.encryption().to_owned()))
}
