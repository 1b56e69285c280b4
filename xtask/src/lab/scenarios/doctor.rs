//! `gretel doctor`, on the server's host and from a client's place.

use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::Scenario;
use crate::lab::{caller::Caller, segment::SERVER, server::Files, world::World};
use crate::workspace;

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "gretel doctor HOST finds nothing wrong and tells what the server offers",
        compared: true,
        run: nothing_wrong,
    },
    Scenario {
        name: "gretel doctor HOST tells where the trouble lies",
        compared: true,
        run: troubles,
    },
    Scenario {
        name: "gretel doctor HOST tells the server's own firewall from one here",
        compared: false,
        run: servers_firewall,
    },
    Scenario {
        name: "gretel doctor --fix shows and makes what is safe, and --unfix takes it back",
        compared: false,
        run: fix_and_unfix,
    },
    Scenario {
        name: "gretel doctor finds the server listening and reachable",
        compared: false,
        run: on_the_server,
    },
];

/// What was said about each question.
struct Answers(Value);

impl Answers {
    fn of(command: &mut Command) -> Result<Self> {
        let output = command.arg("--json").output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        Ok(Self(serde_json::from_slice(&output.stdout).with_context(|| said.into_owned())?))
    }

    fn check(&self, id: &str, outcome: &str, words: &str) -> Result<()> {
        let all = self.0["checks"].as_array().context("no checks")?;
        let check = all
            .iter()
            .find(|check| check["id"] == id)
            .with_context(|| format!("{id}: {all:#?}"))?;
        let seen = check["seen"].as_str().unwrap_or_default();
        ensure!(check["outcome"] == outcome && seen.contains(words), "{id}: {check:#}");
        Ok(())
    }
}

/// Examines the way to the server, without logging in if there is no password.
fn examine(caller: &Caller, password: Option<&str>) -> Result<Answers> {
    let mut command = caller.namespace.command("sh");
    let gretel = workspace::gretel();
    let login = match password {
        Some(password) => (format!("echo {password} |"), "--user anna --password-stdin"),
        None => (String::new(), ""),
    };
    let state = caller.folder().join("state");
    let script = format!(
        "{} {} doctor {SERVER} {} --timeout 3 --state-dir {} \"$@\"",
        login.0,
        gretel.display(),
        login.1,
        state.display()
    );
    Answers::of(command.args(["-c", &script, "sh"]))
}

/// What calls get that are placed to look at the server and given up then, each with one way to log in.
const LOOKING: [&str; 2] = ["G-111", "G-213"];
/// What the doctor's connection to this host's own port gets, which says nothing.
const KNOCKING: [&str; 1] = ["G-109"];

fn nothing_wrong(world: &mut World) -> Result<()> {
    world.make(LOOKING);
    world.make(["G-203"]);
    world.serve(&Files::SHIPPED)?;
    let caller = Caller::new(world, "caller", "10.99.0.9")?;
    let answers = examine(&caller, Some("secret"))?;
    for (id, words) in [
        ("tcp", "ms"),
        ("control", "by"),
        ("gre", "ms"),
        ("lcp", "MRU"),
        ("mtu", "up to 1"),
        ("authentication", "MS-CHAPv2"),
        ("login", "MS-CHAPv2"),
        ("encryption", "128"),
        ("addresses", "192.168.77.1"),
    ] {
        answers.check(id, "fine", words)?;
    }
    let mtu =
        answers.0["checks"].as_array().into_iter().flatten().find(|check| check["id"] == "mtu");
    world.note("sizes", mtu.and_then(|check| check["seen"].as_str()).unwrap_or_default());
    let answers = examine(&caller, Some("wrong"))?;
    answers.check("login", "trouble", "the server")?;
    world.end_and_check()
}

fn troubles(world: &mut World) -> Result<()> {
    world.make(LOOKING);
    world.make(["G-101", "G-102"]);
    world.serve(&Files::SHIPPED)?;
    let caller = Caller::new(world, "caller", "10.99.0.9")?;
    // On the way: what the switch drops.
    for (rule, id, place) in [
        ("ip protocol gre drop", "gre", "on the way"),
        ("tcp dport 1723 drop", "tcp", "on the way"),
        ("ip protocol gre ip length > 1300 drop", "mtu", "1300 bytes came back"),
    ] {
        world.segment.switch.sh(&format!(
            "nft 'table bridge fault {{ chain f {{ type filter hook forward priority 0; {rule}; }}; }}'"
        ))?;
        let answers = examine(&caller, None);
        world.segment.switch.sh("nft delete table bridge fault")?;
        answers?.check(id, "trouble", place)?;
    }
    // This host: what its own rules drop.
    caller.namespace.sh(
        "nft 'table inet fault { chain f { type filter hook output priority 0; ip protocol gre drop; }; }'",
    )?;
    let answers = examine(&caller, None);
    caller.namespace.sh("nft delete table inet fault")?;
    // The server's packets come, but it does not hear ours.
    answers?.check("lcp", "trouble", "this host")?;
    examine(&caller, None)?.check("lcp", "fine", "MRU")?;
    // The server: nobody listens.
    world.server.stop()?;
    examine(&caller, None)?.check("tcp", "trouble", "the server")?;
    world.check_released_without_server()
}

/// From a client's place the server's firewall looks like one on the way; one of this host's own is named.
fn servers_firewall(world: &mut World) -> Result<()> {
    world.make(LOOKING);
    world.make(["G-105", "G-115"]);
    world.serve(&Files::SHIPPED)?;
    let caller = Caller::new(world, "caller", "10.99.0.9")?;
    for (hook, id) in [("input", "lcp"), ("output", "gre")] {
        world.server.sh(&format!(
            "nft 'table ip wall {{ chain f {{ type filter hook {hook} priority 0; ip protocol gre drop; }}; }}'"
        ))?;
        let answers = examine(&caller, None);
        world.server.sh("nft delete table ip wall")?;
        answers?.check(id, "trouble", "on the way, or the server's firewall")?;
    }
    examine(&caller, None)?.check("lcp", "fine", "MRU")?;
    world.end_and_check()
}

/// A host that passes nothing on, whose reverse path filter is strict though it has two ways out, and where nothing translates the clients' addresses.
const UNFIT: &str = "ip route add default via 10.99.0.254 dev eth1
    ip route add default via 192.168.77.9 dev eth0 metric 100
    echo 0 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv4/conf/eth1/rp_filter";
/// What `--fix` changes of that.
const STATE: &str =
    "cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv4/conf/eth1/rp_filter; nft list tables";

fn fix_and_unfix(world: &mut World) -> Result<()> {
    world.make(KNOCKING);
    world.serve(&Files { addresses: "172.31.9.100-103", ..Files::SHIPPED })?;
    world.server.sh(UNFIT)?;
    let before = world.server.sh(STATE)?;
    let result = (|| {
        let said = world.server.sh(&doctor(world, "--fix 2>&1"))?;
        for shown in ["fix: ", "ip_forward", "rp_filter", "gretel_doctor", "--unfix"] {
            ensure!(said.contains(shown), "no {shown:?} in\n{said}");
        }
        let after = world.server.sh(STATE)?;
        ensure!(after == "1\n2\ntable ip gretel_doctor\n", "{after}\n{said}");
        // It has examined the host once more.
        ensure!(said.contains("ok       this host passes packets on"), "{said}");
        let said = world.server.sh(&doctor(world, "--unfix 2>&1"))?;
        ensure!(said.matches("unfix: took back").count() == 3, "{said}");
        let after = world.server.sh(STATE)?;
        ensure!(after == before, "--unfix left {after}");
        Ok(())
    })();
    world.server.sh(
        "ip route del default metric 100; ip route del default; nft delete table ip gretel_doctor 2>/dev/null
         echo 1 >/proc/sys/net/ipv4/ip_forward; echo 0 >/proc/sys/net/ipv4/conf/eth1/rp_filter",
    )?;
    result?;
    world.end_and_check()
}

/// A command that examines the server's host, whatever comes out.
fn doctor(world: &World, arguments: &str) -> String {
    let folder = world.segment.folder.join("gretel");
    let file = |name: &str| folder.join(name).display().to_string();
    format!(
        "{} doctor --pptpd-conf {} --ppp-options {} --chap-secrets {} --state-dir {} {arguments} || true",
        workspace::gretel().display(),
        file("pptpd.conf"),
        file("ppp-options"),
        file("secrets"),
        file("doctor"),
    )
}

fn on_the_server(world: &mut World) -> Result<()> {
    world.make(KNOCKING);
    world.serve(&Files::SHIPPED)?;
    let text = world.server.sh(&doctor(world, "--json"))?;
    let Ok(answers) = serde_json::from_str(&text) else { bail!("this is no JSON: {text}") };
    let answers = Answers(answers);
    for (id, words) in [
        ("configuration", "4 sessions"),
        ("port", "gretel (process"),
        ("reachable", "addresses, from this host"),
        ("gre-loop", "lo"),
        ("firewall-tcp", "TCP 1723"),
        ("firewall-gre-in", "protocol 47"),
        ("forwarding", "1"),
        ("proxy-arp", "eth0"),
        ("others", "none runs"),
    ] {
        answers.check(id, "fine", words)?;
    }
    world.end_and_check()
}
