//! Faults that are really made, each with the verdict that it must get.

use std::{
    fs,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Result, ensure};

use super::Scenario;
use crate::{
    lab::{
        caller::Caller,
        segment::SERVER,
        server::{Files, wait_for_log},
        stranger::{call_request, start_request},
        world::World,
    },
    workspace,
};

pub(crate) const SCENARIOS: &[Scenario] = &[
    fault("fault: GRE is dropped on its way to the server", |world| {
        blocked(world, "output", "drop", "G-101")
    }),
    fault("fault: GRE is dropped by the server's own firewall", |world| {
        serve(world, &Files::SHIPPED)?;
        world.server.sh(&wall("input", "ip protocol 47 drop"))?;
        let caller = caller(world)?;
        ends_with(world, &caller, "G-115")
    }),
    fault("fault: GRE is dropped on its way back", |world| {
        blocked(world, "input", "drop", "G-102")
    }),
    fault("fault: GRE comes from another address than TCP", from_elsewhere),
    fault("fault: a router changes call ids", |world| {
        blocked(world, "output", "@th,48,16 set 0x1234", "G-104")
    }),
    fault("fault: the server's own firewall keeps GRE in", |world| {
        serve(world, &Files::SHIPPED)?;
        world.server.sh(&wall("output", "ip protocol 47 drop"))?;
        let caller = caller(world)?;
        ends_with(world, &caller, "G-105")
    }),
    fault("fault: the control connection is reset", |world| {
        stranger(world, &[start_request(), call_request()].concat(), "reset", "G-106")
    }),
    fault("fault: something else than PPTP comes to the port", |world| {
        stranger(world, b"GET / HTTP/1.0\r\n\r\n", "close", "G-108")
    }),
    fault("fault: the port is opened and nothing is said", |world| {
        stranger(world, b"", "close", "G-109")
    }),
    fault("fault: a client starts and places no call", |world| {
        stranger(world, &start_request(), "close", "G-110")
    }),
    fault("fault: the user is in no file", |world| {
        let files = Files { secrets: "bert pptpd secret *\n", ..Files::SHIPPED };
        login(world, &files, "anna", "secret", "G-201")
    }),
    fault("fault: the user has another server's name", |world| {
        let files = Files { secrets: "anna l2tpd secret *\n", ..Files::SHIPPED };
        login(world, &files, "anna", "secret", "G-211")
    }),
    fault("fault: the client puts a domain in front of its name", |world| {
        login(world, &Files::SHIPPED, "OFFICE\\anna", "secret", "G-202")
    }),
    fault("fault: the password is wrong", |world| {
        login(world, &Files::SHIPPED, "anna", "wrong", "G-203")
    }),
    fault("fault: the user may have no address here", |world| {
        let files = Files { secrets: "anna pptpd secret -\n", ..Files::SHIPPED };
        login(world, &files, "anna", "secret", "G-207")
    }),
    fault("fault: the client knows only PAP", |world| {
        stock(world, "refuse-chap refuse-mschap refuse-mschap-v2 refuse-eap", "G-213")
    }),
    fault("fault: the client refuses encryption", |world| stock(world, "nomppe", "G-303")),
    fault("fault: the client encrypts with 40 bits only", |world| {
        stock(world, "require-mppe-40 nomppe-128", "G-305")
    }),
    fault("fault: the caller's address may not call", |world| {
        let files =
            Files { options: "require-mppe-128\nallow-number 10.99.0.77\n", ..Files::SHIPPED };
        login(world, &files, "anna", "secret", "G-209")
    }),
    fault("fault: every address is taken", |world| {
        serve(world, &Files { addresses: "192.168.77.100", ..Files::SHIPPED })?;
        let mut first = caller(world)?;
        first.connect()?;
        let second = Caller::new(world, "second", "10.99.0.10")?;
        attempt(&second, "anna", "secret")?;
        first.disconnect()?;
        told(world, "10.99.0.10", "G-401")
    }),
    fault("fault: the client's address is in no network of the server's", |world| {
        serve(world, &Files { addresses: "172.31.9.100-103", ..Files::SHIPPED })?;
        let mut caller = caller(world)?;
        caller.connect()?;
        caller.disconnect()?;
        told(world, ADDRESS, "also G-502")
    }),
    fault("fault: packets come from addresses that are not the client's", |world| {
        serve(world, &Files::SHIPPED)?;
        let mut caller = caller(world)?;
        caller.connect()?;
        caller.namespace.sh(
            "ip address add 172.16.5.5/32 dev lo; ping -q -c 40 -i 0.01 -W 1 -I 172.16.5.5 192.168.77.1 || true",
        )?;
        caller.disconnect()?;
        told(world, ADDRESS, "also G-608")
    }),
    fault("fault: the line loses many packets", |world| {
        serve(world, &Files::SHIPPED)?;
        let mut caller = caller(world)?;
        caller.connect()?;
        caller.namespace.sh(&wall("output", "ip protocol 47 numgen random mod 100 < 20 drop"))?;
        caller.namespace.sh("ping -q -c 1000 -i 0.002 -W 1 192.168.77.1 || true")?;
        caller.namespace.sh("nft delete table ip wall")?;
        caller.disconnect()?;
        told(world, ADDRESS, "also G-609")
    }),
    fault("fault: the client vanishes", |world| {
        serve(world, &Files::SHIPPED)?;
        let mut caller = caller(world)?;
        caller.connect()?;
        caller.namespace.sh(&wall("output", "drop"))?;
        caller.kill();
        told(world, ADDRESS, "G-606")
    }),
    fault("fault: nothing is said for as long as idle allows", |world| {
        ended_by_server(world, "require-mppe-128\nidle 1\n", "G-602")
    }),
    fault("fault: the session lasts as long as maxconnect allows", |world| {
        ended_by_server(world, "require-mppe-128\nmaxconnect 1\n", "G-603")
    }),
    fault("fault: the user logs in from another place with the same address", |world| {
        serve(world, &Files { secrets: "anna pptpd secret 192.168.77.102\n", ..Files::SHIPPED })?;
        let mut first = caller(world)?;
        first.connect()?;
        let mut second = Caller::new(world, "second", "10.99.0.10")?;
        second.connect()?;
        second.disconnect()?;
        told(world, ADDRESS, "G-611")
    }),
    fault("fail2ban's filter finds failed logins with their addresses and nothing else", fail2ban),
    fault("a healthy session gets no fault for a verdict, and the server's end neither", healthy),
];

/// Where the clients call from.
const ADDRESS: &str = "10.99.0.9";

/// How soon the verdict must be there once the attempt is over.
const SOON: Duration = Duration::from_secs(10);

const fn fault(name: &'static str, run: fn(&mut World) -> Result<()>) -> Scenario {
    Scenario { name, compared: false, run }
}

fn serve(world: &mut World, files: &Files) -> Result<()> {
    world.server.sh("nft delete table ip wall 2>/dev/null || true")?;
    world.serve(files)
}

fn caller(world: &World) -> Result<Caller> {
    Caller::new(world, "caller", ADDRESS)
}

/// A packet filter with one rule.
fn wall(hook: &str, rule: &str) -> String {
    format!(
        "nft 'add table ip wall; add chain ip wall here {{ type filter hook {hook} priority 0; }}; add rule ip wall here {rule}'"
    )
}

/// Waits for the verdict about the attempt from an address. Another one about it is an error.
fn told(world: &mut World, address: &str, code: &str) -> Result<()> {
    wait_for_log(&mut *world.server, &format!("{code}: "), SOON)?;
    let log = world.server.log()?;
    let verdicts: Vec<_> =
        log.lines().filter(|line| line.contains(address) && line.contains(". G-")).collect();
    ensure!(
        verdicts.iter().any(|line| line.contains(code)) && verdicts.len() == 1,
        "{code} was expected, the log has\n{}",
        verdicts.join("\n")
    );
    world.server.sh("nft delete table ip wall 2>/dev/null || true")?;
    world.end_and_check()
}

/// An attempt that must fail, with its verdict.
fn ends_with(world: &mut World, caller: &Caller, code: &str) -> Result<()> {
    attempt(caller, "anna", "secret")?;
    told(world, ADDRESS, code)
}

pub(super) fn attempt(caller: &Caller, user: &str, password: &str) -> Result<()> {
    let mut command = caller.command_as(user, password, &["--check", "--timeout", "5"])?;
    let output = command.stdin(Stdio::null()).output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(!output.status.success(), "the client got through: {said}");
    Ok(())
}

/// A rule for GRE in the client's own packet filter.
fn blocked(world: &mut World, hook: &str, what: &str, code: &str) -> Result<()> {
    serve(world, &Files::SHIPPED)?;
    let caller = caller(world)?;
    caller.namespace.sh(&wall(hook, &format!("ip protocol 47 {what}")))?;
    ends_with(world, &caller, code)
}

/// A router that translates GRE to another address than TCP.
fn from_elsewhere(world: &mut World) -> Result<()> {
    serve(world, &Files::SHIPPED)?;
    let caller = caller(world)?;
    caller.namespace.sh(&wall("output", "ip protocol 47 ip saddr set 10.99.0.19"))?;
    ends_with(world, &caller, "G-103")
}

fn login(world: &mut World, files: &Files, user: &str, password: &str, code: &str) -> Result<()> {
    serve(world, files)?;
    let caller = caller(world)?;
    attempt(&caller, user, password)?;
    told(world, ADDRESS, code)
}

/// pppd and pptp of Debian, in a guest.
fn stock(world: &mut World, options: &str, code: &str) -> Result<()> {
    serve(world, &Files::SHIPPED)?;
    let call = world.call(options)?;
    call.ensure_refused()?;
    wait_for_log(&mut *world.server, &format!("{code}: "), SOON)?;
    world.end_and_check()
}

fn ended_by_server(world: &mut World, options: &'static str, code: &str) -> Result<()> {
    serve(world, &Files { options, ..Files::SHIPPED })?;
    let mut caller = caller(world)?;
    caller.connect()?;
    told(world, ADDRESS, code)
}

/// Sends bytes to port 1723, and then closes the connection or resets it.
fn stranger(world: &mut World, bytes: &[u8], end: &str, code: &str) -> Result<()> {
    serve(world, &Files::SHIPPED)?;
    let caller = caller(world)?;
    let text: String = bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect();
    let linger = if end == "reset" {
        "setsockopt($s, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0));"
    } else {
        ""
    };
    caller.namespace.sh(&format!(
        "perl -MSocket -e 'socket(my $s, PF_INET, SOCK_STREAM, 0); \
         connect($s, pack_sockaddr_in(1723, inet_aton(\"{SERVER}\"))) or die; \
         syswrite($s, \"{text}\"); select(undef, undef, undef, 0.3); {linger} close($s)'"
    ))?;
    told(world, ADDRESS, code)
}

fn healthy(world: &mut World) -> Result<()> {
    serve(world, &Files::SHIPPED)?;
    let mut caller = caller(world)?;
    caller.connect()?;
    world.call("require-mppe-128")?.address()?;
    world.client()?.ping_all_sizes(crate::lab::segment::INNER)?;
    world.client()?.hang_up()?;
    caller.disconnect()?;
    world.check_released(SOON)?;
    caller.connect()?;
    world.server.stop()?;
    let log = world.server.log()?;
    let ends: Vec<_> = log.lines().filter(|line| line.contains("Session of")).collect();
    let fine = |line: &&&str| line.contains(". G-601: ") && !line.contains("also G-");
    ensure!(ends.iter().filter(fine).count() == 2, "{}", ends.join("\n"));
    ensure!(ends.len() == 3 && ends[2].contains(". G-605: "), "{}", ends.join("\n"));
    world.check_released_without_server()
}

/// A user's name can look like the line that the filter waits for.
fn fail2ban(world: &mut World) -> Result<()> {
    serve(world, &Files::SHIPPED)?;
    let mut caller = caller(world)?;
    attempt(&caller, "anna", "wrong")?;
    attempt(
        &caller,
        "x failed CHAP authentication (MS-CHAPv2 from 192.0.2.66: wrong password)",
        "x",
    )?;
    caller.connect()?;
    caller.disconnect()?;
    let log = world.server.log()?;
    let lines = log.lines().filter_map(|line| {
        let (_, text) = line.split_once(" pppd: ")?;
        let text = text.rsplit_once(" session=").map_or(text, |(text, _)| text);
        Some(format!("Nov 24 01:02:03 router pppd[99]: {text}\n"))
    });
    let file = world.segment.folder.join("fail2ban.log");
    fs::write(&file, lines.collect::<String>())?;
    // What it includes lies beside it, as where it is installed.
    let folder = &world.segment.folder;
    fs::copy("/etc/fail2ban/filter.d/common.conf", folder.join("common.conf"))?;
    let filter = folder.join("gretel.conf");
    fs::copy(workspace::root().join("packaging/fail2ban/gretel.conf"), &filter)?;
    let found =
        Command::new("fail2ban-regex").args(["--out", "ip"]).arg(&file).arg(filter).output()?;
    let found = String::from_utf8_lossy(&found.stdout).into_owned();
    ensure!(
        found.lines().eq([ADDRESS, ADDRESS]),
        "found {found:?} in\n{}",
        fs::read_to_string(&file)?
    );
    world.end_and_check()
}
