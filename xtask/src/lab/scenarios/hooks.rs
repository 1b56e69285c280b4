//! Scripts that pppd runs as sessions come and go.

use anyhow::{Result, ensure};

use super::{Kind, Scenario};
use crate::lab::{
    segment::INNER,
    server::{Files, wait_for_log},
    world::World,
};

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "ip-up and ip-down get the arguments and variables that pppd gives",
        compared: true,
        run: arguments,
    },
    Scenario {
        name: "ip-down is run for a session of a server that was killed",
        compared: false,
        run: after_a_kill,
    },
    Scenario {
        name: "auth-up, ip-pre-up and ip-up follow each other, and IPv4 waits for ip-pre-up",
        compared: false,
        run: order,
    },
    Scenario {
        name: "Debian's own scripts run the hooks in their folders, for IPv4 and for IPv6",
        compared: false,
        run: debians,
    },
    Scenario {
        name: "last shows the user with the client's address, and files the process",
        compared: true,
        run: records,
    },
];

/// The line behind `remoteip` of `pptpd.conf` asks for records in wtmp.
const RECORDED: Files = Files {
    addresses: "192.168.77.100-103\nlogwtmp",
    options: "require-mschap-v2\nrequire-mppe-128\nlinkname office\n",
    ..Files::SHIPPED
};

const FILES: Files = Files {
    options: "require-mschap-v2\nrequire-mppe-128\nip-up-script /run/hooks/ip-up\n\
              ip-down-script /run/hooks/ip-down\nset OFFICE=osaka\n",
    ..Files::SHIPPED
};

const ORDER: Files = Files {
    options: "require-mschap-v2\nrequire-mppe-128\nauth-up-script /run/hooks/auth-up\n\
              ip-pre-up-script /run/hooks/ip-pre-up\nip-up-script /run/hooks/ip-up\n\
              ip-down-script /run/hooks/ip-down\nauth-down-script /run/hooks/auth-down\n",
    ..Files::SHIPPED
};

/// Hooks that write down what they are given.
fn install(world: &mut World) -> Result<()> {
    world.server.sh("mkdir -p /run/hooks; rm -f /run/hooks/log
         for name in auth-up ip-up ip-down auth-down; do
             printf '%s\\n' '#!/bin/sh' 'PATH=/usr/bin:/bin' 'exec >>/run/hooks/log' \
                 'echo \"$(basename $0): $*\"' 'env | sort | sed \"s/^/$(basename $0) /\"' \
                 'echo \"$(basename $0) done\"' >/run/hooks/$name
             chmod 755 /run/hooks/$name
         done")?;
    Ok(())
}

/// The hooks' log, once `name` has ended.
fn log_of(world: &mut World, name: &str) -> Result<String> {
    world.server.sh(&format!(
        "for try in $(seq 100); do grep -q '^{name} done' /run/hooks/log && break; sleep 0.05; done
         cat /run/hooks/log"
    ))
}

fn arguments(world: &mut World) -> Result<()> {
    install(world)?;
    world.serve(&FILES)?;
    let address = world.call("require-mppe-128")?.address()?.to_owned();
    log_of(world, "ip-up")?;
    world.client()?.ping_all_sizes(INNER)?;
    world.end_and_check()?;
    let log = log_of(world, "ip-down")?;
    for name in ["ip-up", "ip-down"] {
        let given = log.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
        let words: Vec<&str> = given.unwrap_or_default().split(' ').collect();
        ensure!(words.len() == 6, "{name} got {words:?}:\n{log}");
        // The terminal is a label, and differs.
        let rest = [&words[..1], &words[2..]].concat().join(" ");
        ensure!(rest == format!("ppp0 115200 {INNER} {address} 10.99.0.2"), "{name} got {rest}");
        world.note(&format!("arguments of {name} but the terminal"), &rest);
        let names: Vec<&str> = log
            .lines()
            .filter_map(|line| line.strip_prefix(&format!("{name} "))?.split_once('='))
            .map(|(name, _)| name)
            .filter(|name| !["PATH", "PWD", "SHLVL", "_", "OLDPWD"].contains(name))
            .collect();
        for wanted in ["DEVICE", "IFNAME", "IPLOCAL", "IPREMOTE", "PEERNAME", "SPEED", "OFFICE"] {
            ensure!(names.contains(&wanted), "{name} has no {wanted}: {names:?}");
        }
        if name == "ip-down" {
            for wanted in ["CONNECT_TIME", "BYTES_SENT", "BYTES_RCVD"] {
                ensure!(names.contains(&wanted), "{name} has no {wanted}: {names:?}");
            }
        }
        world.note(&format!("variables of {name}"), &names.join(" "));
    }
    for line in ["ip-up PEERNAME=anna", "ip-up OFFICE=osaka", "ip-up IFNAME=ppp0"] {
        ensure!(log.lines().any(|it| it == line), "no {line} in\n{log}");
    }
    Ok(())
}

fn debians(world: &mut World) -> Result<()> {
    world.server.sh(
        r#"mkdir -p /run/hooks; rm -f /run/hooks/log; cd /etc/ppp
        for name in ip-up ip-down ipv6-up ipv6-down; do
            cp debian/$name $name; mkdir $name.d
            printf '%s\n' '#!/bin/sh' \
                "echo \"$name \$1 \$PPP_IFACE \$PPP_LOCAL \$PPP_REMOTE \$PPP_IPPARAM.\" >>/run/hooks/log" >$name.d/10look
            chmod 755 $name $name.d/10look
        done"#,
    )?;
    let result = debians_are_run(world);
    world.server.sh("rm -r /etc/ppp/ip-up* /etc/ppp/ip-down* /etc/ppp/ipv6-*")?;
    result
}

fn debians_are_run(world: &mut World) -> Result<()> {
    world.serve(&Files::SHIPPED)?;
    let address = world.call("require-mppe-128")?.address()?.to_owned();
    world.client()?.ping_all_sizes(INNER)?;
    world.end_and_check()?;
    // Sessions of a shared interface have no IPv6.
    let ipv6: &[&str] = if world.kind == Kind::Shared { &[] } else { &["ipv6-up", "ipv6-down"] };
    let last = ipv6.last().unwrap_or(&"ip-down");
    let log = world.server.sh(&format!(
        "for try in $(seq 100); do grep -q '^ip-down' /run/hooks/log && grep -q '^{last}' /run/hooks/log && break; sleep 0.05; done
         cat /run/hooks/log",
    ))?;
    for name in ["ip-up", "ip-down"] {
        let line = format!("{name} ppp0 ppp0 {INNER} {address} 10.99.0.2.");
        ensure!(log.lines().any(|it| it == line), "no {line:?} in:\n{log}");
    }
    for name in ipv6 {
        let line = log.lines().find(|line| line.starts_with(&format!("{name} ppp0 ppp0 fe80::")));
        let line = line.unwrap_or_default();
        ensure!(
            line.matches(" fe80::").count() == 2 && line.ends_with(" 10.99.0.2."),
            "{name}:\n{log}"
        );
    }
    Ok(())
}

fn order(world: &mut World) -> Result<()> {
    install(world)?;
    world.server.sh(
        "printf '%s\\n' '#!/bin/sh' 'PATH=/usr/sbin:/usr/bin:/bin' 'exec >>/run/hooks/log 2>&1' \\
         'echo \"ip-pre-up: $*\"' 'ping -c 2 -i 0.2 -W 1 $5 >/dev/null && echo reached' \\
         'echo \"ip-pre-up done\"' >/run/hooks/ip-pre-up; chmod 755 /run/hooks/ip-pre-up",
    )?;
    world.serve(&ORDER)?;
    let address = world.call("require-mppe-128")?.address()?.to_owned();
    log_of(world, "ip-up")?;
    world.client()?.ping_all_sizes(INNER)?;
    world.end_and_check()?;
    let log = log_of(world, "auth-down")?;
    ensure!(!log.lines().any(|line| line == "reached"), "packets did not wait:\n{log}");
    let told: Vec<&str> = log.lines().filter(|line| line.contains(": ppp0 ")).collect();
    let tail = format!("115200 {INNER} {address} 10.99.0.2");
    let expected = [
        "auth-up: ppp0 anna root /dev/pptp/ppp0 115200".to_owned(),
        format!("ip-pre-up: ppp0 /dev/pptp/ppp0 {tail}"),
        format!("ip-up: ppp0 /dev/pptp/ppp0 {tail}"),
        format!("ip-down: ppp0 /dev/pptp/ppp0 {tail}"),
        "auth-down: ppp0 anna root /dev/pptp/ppp0 115200".to_owned(),
    ];
    ensure!(told == expected, "{told:#?}");
    Ok(())
}

fn after_a_kill(world: &mut World) -> Result<()> {
    install(world)?;
    world.serve(&FILES)?;
    world.call("require-mppe-128")?.address()?;
    log_of(world, "ip-up")?;
    world.server.kill()?;
    world.server.start(&FILES)?;
    wait_for_log(&mut *world.server, "was still to be run", std::time::Duration::from_secs(5))?;
    let log = log_of(world, "ip-down")?;
    ensure!(log.lines().any(|line| line.starts_with("ip-down: ppp0 ")), "{log}");
    ensure!(log.lines().filter(|line| *line == "ip-down done").count() == 1, "{log}");
    // A shared interface has one, of the server that runs now.
    let expected = if world.kind == Kind::Shared { "/run/ppp0.pid lives" } else { "" };
    let files = world.server.sh(
        "for file in $(ls /run/*.pid | grep ppp); do echo $file $(kill -0 $(head -n 1 $file) && echo lives); done 2>/dev/null",
    )?;
    ensure!(files.trim() == expected, "left: {files}");
    world.end_and_check()
}

fn records(world: &mut World) -> Result<()> {
    // /var/log is the scenario's own.
    world.server.sh(": >/var/log/wtmp")?;
    world.serve(&RECORDED)?;
    world.call("require-mppe-128")?.address()?;
    world.client()?.ping_all_sizes(INNER)?;
    let during = record(world)?;
    ensure!(during.starts_with("anna ppp0 10.99.0.2 "), "last shows {during:?}");
    world.note("last, during the session", &words(&during));
    let files = world
        .server
        .sh("head -v -n 9 /run/ppp*.pid; kill -0 $(cat /run/ppp0.pid) && echo lives")?;
    // The process numbers differ.
    let shape: String = files.replace(|it: char| it.is_ascii_digit(), "").replace("lives", "");
    ensure!(
        shape
            .split_whitespace()
            .eq("==> /run/ppp-office.pid <== ppp ==> /run/ppp.pid <==".split(' '))
            && files.contains("lives"),
        "process files: {files}"
    );
    world.end_and_check()?;
    let files = world.server.sh("ls /run/ppp*.pid 2>/dev/null || true")?;
    ensure!(files.trim().is_empty(), "left: {files}");
    // What ended in this very second is still running to `last`.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let after = record(world)?;
    ensure!(after.ends_with("(00:00)"), "last shows {after:?}");
    world.note("last, after it", &words(&after));
    Ok(())
}

/// The newest record, with single spaces.
fn record(world: &mut World) -> Result<String> {
    let told = world.server.sh("last -w -f /var/log/wtmp")?;
    Ok(told.lines().next().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" "))
}

/// A record without its times.
fn words(record: &str) -> String {
    let times = |word: &&str| !word.contains(':') || word.starts_with('(');
    let words: Vec<&str> = record.split(' ').filter(times).collect();
    words.join(" ")
}
