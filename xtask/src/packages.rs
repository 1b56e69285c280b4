//! The Debian packages that the tests need.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result};

use crate::workspace::{as_root, run};

/// Real clients and servers, a kernel for guests, tools to watch them, and the compiler that builds libFuzzer.
const PACKAGES: [&str; 18] = [
    "apt-utils",
    "ethtool",
    "fail2ban",
    "g++",
    "iperf3",
    "iproute2",
    "iputils-ping",
    "kmod",
    "nftables",
    "ppp",
    "pptp-linux",
    "pptpd",
    "procps",
    "systemd",
    "tcpdump",
    "tshark",
    "user-mode-linux",
    "util-linux",
];

/// What a package's maintainer script asks before it starts a service; 101 forbids it.
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Installs what is missing. No service is started, now or at the next boot: the lab starts what it
/// needs in its own namespaces.
pub(crate) fn install_missing() -> Result<()> {
    let missing: Vec<&str> = PACKAGES.into_iter().filter(|name| !installed(name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    install(&missing)?;
    if missing.contains(&"pptpd") && Path::new("/run/systemd/system").exists() {
        run(as_root("systemctl")?.args(["disable", "--quiet", "pptpd.service"]))?;
    }
    Ok(())
}

/// Installs packages; no service is started.
pub(crate) fn install(missing: &[&str]) -> Result<()> {
    println!("installing {}", missing.join(" "));
    let policy = Policy::forbid_services()?;
    let apt = |arguments: &[&str]| {
        run(as_root("apt-get")?.env("DEBIAN_FRONTEND", "noninteractive").args(arguments))
    };
    apt(&["update", "-qq"])?;
    let mut install = vec!["install", "-y", "-qq", "--no-install-recommends"];
    install.extend(missing);
    let installed = apt(&install);
    drop(policy);
    installed
}

fn installed(package: &str) -> bool {
    Command::new("dpkg-query")
        .args(["-W", "-f", "${db:Status-Status}", package])
        .output()
        .is_ok_and(|output| output.stdout == b"installed")
}

/// Keeps services from starting until it is dropped.
struct Policy {
    /// The file that stood there before, to be put back.
    before: Option<String>,
}

impl Policy {
    fn forbid_services() -> Result<Self> {
        let before = match Path::new(POLICY).exists() {
            true => Some(fs::read_to_string(POLICY).context(POLICY)?),
            false => None,
        };
        write_policy("#!/bin/sh\nexit 101\n")?;
        Ok(Self { before })
    }
}

impl Drop for Policy {
    fn drop(&mut self) {
        let result = match &self.before {
            Some(text) => write_policy(text),
            None => as_root("rm").and_then(|mut rm| run(rm.args(["-f", POLICY]))),
        };
        if let Err(error) = result {
            eprintln!("xtask: {POLICY} is not as it was: {error:#}");
        }
    }
}

fn write_policy(text: &str) -> Result<()> {
    run(as_root("sh")?.args(["-c", r#"printf %s "$1" >"$0" && chmod 755 "$0""#, POLICY, text]))
}
