//! What was seen, made into answers. Nothing here looks at the machine.

use std::time::{Duration, SystemTime};

use super::snapshot::{Snapshot, Tunnels};
use super::{Check, clash, rules};

/// The name of our program's file.
pub(super) const OURS: &str = "gretel";
/// A clock that says less is wrong: 2025-01-01, in seconds since 1970.
const EARLIEST: Duration = Duration::from_secs(1_735_689_600);
/// Files that a session has open: its control connection and its interface, which is opened once more while it is made.
const FILES_PER_SESSION: u64 = 3;
/// Files that the server has open without any session.
const FILES: u64 = 64;
/// Memory for a session with its queues, in bytes; measured, and rounded up.
const MEMORY_PER_SESSION: u64 = 256 << 10;

/// All checks, in the order in which a connection meets what they ask about.
#[must_use]
pub fn judge(seen: &Snapshot) -> Vec<Check> {
    let mut checks = vec![
        configuration(seen),
        rights(seen),
        gre_loop(seen),
        port(seen),
        reachable(seen),
        rules::tcp(seen),
        rules::gre_in(seen),
        rules::conntrack_helper(seen),
        rules::gre_out(seen),
        rules::reverse_path(seen),
        rules::forwarding(seen),
    ];
    if let Some(tunnels) = &seen.tunnels {
        checks.extend([
            rules::forward(seen, tunnels),
            rules::nat(seen, tunnels),
            clash::proxy_arp(seen, tunnels),
            clash::addresses(seen, tunnels),
            clash::mtu(seen, tunnels),
            name_servers(seen, tunnels),
            limits(seen, tunnels),
        ]);
    }
    checks.extend([clock(seen), clash::others(seen)]);
    checks
}

fn configuration(seen: &Snapshot) -> Check {
    const ID: &str = "configuration";
    const TITLE: &str = "the configuration can be served";
    match (&seen.errors[..], &seen.tunnels) {
        ([], Some(tunnels)) => {
            let (sessions, warnings) = (tunnels.sessions, seen.warnings);
            Check::fine(ID, TITLE, format!("{sessions} sessions, {warnings} warnings"))
        }
        ([], None) => Check::unknown(ID, TITLE, "the files could not be read"),
        ([first, rest @ ..], _) => {
            let more = match rest.len() {
                0 => String::new(),
                more => format!(", and {more} more"),
            };
            Check::trouble(ID, TITLE, format!("{first}{more}"), "gretel check")
        }
    }
}

fn rights(seen: &Snapshot) -> Check {
    const ID: &str = "rights";
    const TITLE: &str = "GRE packets can be sent and received";
    match &seen.probes.gre_loop {
        Ok(_) => Check::fine(ID, TITLE, "a raw socket could be opened"),
        Err(error) => Check::trouble(
            ID,
            TITLE,
            format!("no raw socket: {error}; that takes CAP_NET_RAW"),
            "sudo gretel doctor",
        ),
    }
}

fn gre_loop(seen: &Snapshot) -> Check {
    const ID: &str = "gre-loop";
    const TITLE: &str = "a GRE packet of this host to itself arrives";
    match seen.probes.gre_loop {
        Ok(true) => Check::fine(ID, TITLE, "it came back over lo"),
        Ok(false) => Check::trouble(
            ID,
            TITLE,
            "it did not come back over lo within a second: a rule drops it, or lo is down",
            "ip link set lo up; nft list ruleset",
        ),
        Err(_) => Check::unknown(ID, TITLE, "no raw socket could be opened"),
    }
}

fn port(seen: &Snapshot) -> Check {
    const ID: &str = "port";
    const TITLE: &str = "the server listens";
    let port = seen.listen.first().map_or(wire::control::PORT, std::net::SocketAddr::port);
    let Some(listener) = seen.listeners.first() else {
        let text = format!("nobody listens on TCP port {port}");
        return Check::trouble(ID, TITLE, text, "systemctl enable --now gretel");
    };
    let address = listener.address;
    let Some(process) = &listener.process else {
        let text = format!("somebody listens on {address}; whose socket it is cannot be seen");
        return Check::unknown(ID, TITLE, text);
    };
    let who = format!("{} (process {}) listens on {address}", process.name, process.id);
    if process.name == OURS {
        return Check::fine(ID, TITLE, who);
    }
    let stop = format!("systemctl disable --now {}", process.name);
    Check::trouble(ID, TITLE, format!("the port is taken: {who}"), stop)
}

fn reachable(seen: &Snapshot) -> Check {
    const ID: &str = "reachable";
    const TITLE: &str = "each address takes connections";
    let reached = &seen.probes.reached;
    if let Some((address, Err(error))) = reached.iter().find(|(_, outcome)| outcome.is_err()) {
        let text = format!("{address}, from this host itself: {error}");
        return Check::trouble(ID, TITLE, text, "nft list ruleset");
    }
    match reached.len() {
        0 => Check::unknown(ID, TITLE, "nobody listens, so there was nothing to try"),
        1 => Check::fine(ID, TITLE, format!("{}, from this host itself", reached[0].0)),
        many => Check::fine(ID, TITLE, format!("{many} addresses, from this host itself")),
    }
}

fn name_servers(seen: &Snapshot, tunnels: &Tunnels) -> Check {
    const ID: &str = "name-servers";
    const TITLE: &str = "name servers that clients are told of answer";
    let silent = seen.probes.name_servers.iter().find(|(_, outcome)| outcome.is_err());
    if let Some((server, Err(error))) = silent {
        let text = format!("{server}: {error}");
        return Check::trouble(ID, TITLE, text, "put a name server that answers behind ms-dns");
    }
    match tunnels.name_servers.len() {
        0 => Check::fine(ID, TITLE, "clients are told of none"),
        many => Check::fine(ID, TITLE, format!("{many} asked")),
    }
}

fn clock(seen: &Snapshot) -> Check {
    const ID: &str = "clock";
    const TITLE: &str = "the clock is right";
    let since = seen.now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let command = "timedatectl set-ntp true";
    match (since < EARLIEST, seen.clock_is_kept) {
        (true, _) => Check::trouble(ID, TITLE, "it says a year before 2025", command),
        (false, Some(true)) => Check::fine(ID, TITLE, "it follows a time source"),
        (false, _) => {
            let text = "the kernel was not told that it follows a time source";
            Check { command: Some(command.into()), ..Check::unknown(ID, TITLE, text) }
        }
    }
}

fn limits(seen: &Snapshot, tunnels: &Tunnels) -> Check {
    const ID: &str = "limits";
    const TITLE: &str = "there is room for all sessions";
    let sessions = tunnels.sessions as u64;
    let files = FILES + sessions * FILES_PER_SESSION;
    let memory = sessions * MEMORY_PER_SESSION;
    match (seen.files_limit, seen.memory_available) {
        (Some(limit), _) if limit < files => Check::trouble(
            ID,
            TITLE,
            format!("{sessions} sessions take {files} open files, and {limit} are allowed"),
            format!("systemctl edit gretel, and write: [Service] LimitNOFILE={files}"),
        ),
        (_, Some(free)) if free < memory => Check::trouble(
            ID,
            TITLE,
            format!(
                "{sessions} sessions take up to {} MiB of memory, and {} MiB are free",
                memory >> 20,
                free >> 20
            ),
            "lower connections in pptpd.conf, or give this host more memory",
        ),
        (Some(limit), Some(free)) => Check::fine(
            ID,
            TITLE,
            format!("{limit} open files and {} MiB of memory for {sessions} sessions", free >> 20),
        ),
        _ => Check::unknown(ID, TITLE, "the limits cannot be read"),
    }
}
