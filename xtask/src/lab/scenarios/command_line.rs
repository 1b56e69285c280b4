//! `gretel serve` as a person starts it: without any file, and with files that are wrong.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use super::Scenario;
use crate::{
    lab::{
        caller::Caller,
        network::Process,
        segment::{INNER, NEIGHBOUR},
        server::{Files, wait_for_log},
        world::World,
    },
    workspace,
};

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "serve --quickstart needs no file, reaches the lan and undoes what it changed",
        compared: false,
        run: quickstart,
    },
    Scenario {
        name: "called as pptpd it is a daemon with pptpd's command line and files",
        compared: false,
        run: as_pptpd,
    },
    Scenario {
        name: "a server with broken files does not start, and says where they are broken",
        compared: false,
        run: broken_files,
    },
    Scenario {
        name: "with debug the log has the lines of pppd and of pptpd about each packet",
        compared: true,
        run: |world| {
            world.serve(&Files::SHIPPED)?;
            world.call("require-mppe-128")?.address()?;
            world.client()?.ping_all_sizes(INNER)?;
            for line in [
                "sent [LCP ConfReq id=0x1 <",
                "rcvd [LCP ConfReq id=0x1 <asyncmap 0x0>",
                "sent [CHAP Challenge id=0x",
                "rcvd [CCP ConfReq id=0x1 <mppe +H -M +S -L -D -C>]",
                "sent [IPCP ConfAck id=0x",
                "GRE: accepting packet #",
            ] {
                wait_for_log(&mut *world.server, line, PATIENCE)?;
            }
            world.end_and_check()
        },
    },
    Scenario {
        name: "a server that is told to read broken files again keeps what it had",
        compared: false,
        run: broken_reload,
    },
];

/// How long a server may take to start or to end.
const PATIENCE: Duration = Duration::from_secs(10);
/// How a server looks from the lan: whether it forwards and translates, and which interfaces and proxy ARP entries it has.
const STATE: &str = "cat /proc/sys/net/ipv4/ip_forward; nft list ruleset; ip -o link | cut -d' ' -f2; \
                     ip neighbour show proxy; ip -4 route show table all";

/// A server in the server's namespace, in a folder of its own.
struct Started {
    process: Process,
    log: PathBuf,
}

impl Started {
    fn new(folder: &Path, arguments: &[&str]) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let log = folder.join("log");
        let file = File::create(&log)?;
        let mut command = Command::new("ip");
        command.args(["netns", "exec", "server"]).arg(workspace::gretel()).arg("serve");
        command.args(arguments).current_dir(folder).stdin(Stdio::null());
        let child = command.stdout(file.try_clone()?).stderr(file).spawn()?;
        Ok(Self { process: Process { child }, log })
    }

    fn text(&self) -> Result<String> {
        fs::read_to_string(&self.log).with_context(|| self.log.display().to_string())
    }

    /// Waits until it serves.
    fn ready(&self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !self.text()?.contains("MGR: Manager process started") {
            ensure!(Instant::now() < deadline, "it does not start:\n{}", self.text()?);
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Waits for its end: whether it was a success, and what it said.
    fn end(mut self) -> Result<(bool, String)> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.process.child.try_wait()? {
                return Ok((status.success(), self.text()?));
            }
            ensure!(Instant::now() < deadline, "it does not end:\n{}", self.text()?);
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// What stands behind a word in the printed instructions.
    fn printed(&self, word: &str) -> Result<String> {
        let text = self.text()?;
        let line = text.lines().find_map(|line| line.trim_start().strip_prefix(word));
        Ok(line.with_context(|| format!("no {word} in\n{text}"))?.trim().to_owned())
    }
}

fn quickstart(world: &mut World) -> Result<()> {
    // The server's namespace is there, its server is not started.
    world.server.sh("echo 0 >/proc/sys/net/ipv4/ip_forward")?;
    let result = quickstart_in(world);
    world.server.sh("echo 1 >/proc/sys/net/ipv4/ip_forward")?;
    result
}

fn quickstart_in(world: &mut World) -> Result<()> {
    let before = world.server.sh(STATE)?;
    let etc = folder_state("/etc")?;
    let folder = world.segment.folder.join("quickstart");
    let arguments = ["--quickstart", "--pptpd-conf", "absent.conf", "--state-dir", "state"];
    let server = Started::new(&folder, &arguments)?;
    server.ready()?;
    let mut caller = Caller::new(world, "caller", "10.99.0.9")?;
    call_as_printed(&mut caller, &server)?;
    // The neighbour has no route to the clients' network: what it answers, it answers to the server's own address.
    caller.ping(NEIGHBOUR, 1372, 3)?;
    caller.disconnect()?;
    server.process.signal("TERM")?;
    let (success, text) = server.end()?;
    ensure!(success, "{text}");
    world.logged(&text);
    ensure!(world.server.sh(STATE)? == before, "left behind: {}", world.server.sh(STATE)?);
    ensure!(!folder.join("state").exists(), "its state directory was left behind");

    // Killed, it can undo nothing; the next start does.
    let server = Started::new(&folder, &arguments)?;
    server.ready()?;
    call_as_printed(&mut caller, &server)?;
    drop(server);
    ensure!(world.server.sh(STATE)? != before, "a server that was killed leaves nothing?");
    let server = Started::new(&folder, &arguments)?;
    server.ready()?;
    server.process.signal("TERM")?;
    let (success, text) = server.end()?;
    ensure!(success, "{text}");
    ensure!(world.server.sh(STATE)? == before, "left behind: {}", world.server.sh(STATE)?);
    ensure!(!folder.join("state").exists(), "a killed server's state directory was left behind");
    // A directory that was there before is somebody's, and stays with what is theirs.
    fs::create_dir(folder.join("state"))?;
    fs::write(folder.join("state/history.db.broken"), "theirs")?;
    let server = Started::new(&folder, &arguments)?;
    server.ready()?;
    let other = Started::new(&folder, &arguments)?.end()?;
    ensure!(!other.0 && other.1.contains("another server uses state/quickstart"), "{}", other.1);
    ensure!(world.server.sh(STATE)? != before, "a second server undid what the first one needs");
    server.process.signal("TERM")?;
    let (success, text) = server.end()?;
    ensure!(success, "{text}");
    ensure!(folder.join("state/history.db.broken").exists(), "somebody's file was removed");
    ensure!(!folder.join("state/quickstart").exists(), "its folder was left behind");
    ensure!(folder_state("/etc")? == etc, "a file of /etc was changed");
    caller.kill();
    Ok(())
}

fn as_pptpd(world: &mut World) -> Result<()> {
    let before = world.server.sh(STATE)?;
    let folder = world.segment.folder.join("as-pptpd");
    fs::create_dir_all(&folder)?;
    let path = |name: &str| folder.join(name).display().to_string();
    let files = Files::SHIPPED;
    fs::write(path("options"), files.options())?;
    fs::write(path("pptpd.conf"), files.pptpd_conf("/nonexistent"))?;
    let (conf, options, pid) = (path("pptpd.conf"), path("options"), path("pid"));
    let start = format!("{} -d -c {conf} -o {options} --pidfile {pid}", path("pptpd"));
    world.server.sh(&format!(
        "umask 077; echo '{}' >/etc/ppp/chap-secrets; ln -sf {} {}",
        files.secrets.trim_end(),
        workspace::gretel().display(),
        path("pptpd"),
    ))?;
    // A second one finds the port taken, says so and does not stay.
    world.server.sh(&start)?;
    let second = world.server.sh(&format!("{start}2 2>&1 && echo started || echo $?"))?;
    ensure!(second.contains("Address already in use") && second.contains("G-504"), "{second}");
    ensure!(second.trim_end().ends_with('1'), "{second}");
    let caller = Caller::new(world, "caller", "10.99.0.9")?;
    let check = caller.command("secret", &["--check"])?.stdin(Stdio::null()).output()?;
    let said = String::from_utf8_lossy(&check.stderr).into_owned();
    world.server.sh(&format!(
        "kill $(cat {pid}); for try in $(seq 100); do [ -e {pid} ] || exit 0; sleep 0.05; done; exit 1"
    ))?;
    ensure!(check.status.success(), "{said}");
    ensure!(world.server.sh(STATE)? == before, "left behind: {}", world.server.sh(STATE)?);
    world.server.sh("rm -f /etc/ppp/chap-secrets")?;
    Ok(())
}

/// Connects with the user and the password that the server printed.
fn call_as_printed(caller: &mut Caller, server: &Started) -> Result<()> {
    let (user, password) = (server.printed("user")?, server.printed("password")?);
    let network = server.printed("network")?;
    let network = network.split(',').next().unwrap_or_default();
    let inner = network.replace(".0/24", ".1");
    caller.connect_as(&user, &password, &["--route", network, "--route", "192.168.77.0/24"], &inner)
}

/// Names, sizes and times of the files under a folder.
fn folder_state(folder: &str) -> Result<String> {
    workspace::output(Command::new("find").args([folder, "-xdev", "-printf", "%p %s %T@\\n"]))
}

/// Files of a server, one of them broken, and what the complaint must hold.
const BROKEN: [(&str, &str, &str, [&str; 3]); 4] = [
    (
        "an address beyond its range",
        "localip 192.168.77.1\nremoteip 192.168.77.300\n",
        "name pptpd\n",
        ["pptpd.conf:2:21", "192.168.77.300", "^"],
    ),
    (
        "an inverted range",
        "localip 192.168.77.1\nremoteip 192.168.77.20-10\n",
        "name pptpd\n",
        ["pptpd.conf:2:", "20-10", "^"],
    ),
    (
        "an unknown option",
        "localip 192.168.77.1\nremoteip 192.168.77.9\noption options\n",
        "name pptpd\nrequire-mppe-182\n",
        ["options:2:1", "require-mppe-182", "require-mppe-128"],
    ),
    (
        "MPPE without its keys",
        "localip 192.168.77.1\nremoteip 192.168.77.9\noption options\n",
        "name pptpd\nrequire-pap\nrequire-mppe-128\n",
        ["options", "MPPE is required", "require-mschap-v2"],
    ),
];

fn broken_files(world: &mut World) -> Result<()> {
    let before = world.server.sh(STATE)?;
    for (what, conf, options, complaints) in BROKEN {
        let folder = world.segment.folder.join("broken");
        fs::create_dir_all(&folder)?;
        for (name, text) in
            [("pptpd.conf", conf), ("options", options), ("ppp", ""), ("secrets", "")]
        {
            fs::write(folder.join(name), text)?;
        }
        let server = Started::new(&folder, &ARGUMENTS)?;
        let (success, text) = server.end()?;
        ensure!(!success, "{what}: it started:\n{text}");
        for complaint in complaints {
            ensure!(text.contains(complaint), "{what}: no {complaint:?} in\n{text}");
        }
        ensure!(world.server.sh(STATE)? == before, "{what}: left behind something");
    }
    Ok(())
}

const ARGUMENTS: [&str; 10] = [
    "--pptpd-conf",
    "pptpd.conf",
    "--ppp-options",
    "ppp",
    "--chap-secrets",
    "secrets",
    "--pap-secrets",
    "secrets",
    "--state-dir",
    "state",
];

fn broken_reload(world: &mut World) -> Result<()> {
    world.serve(&Files::SHIPPED)?;
    let caller = Caller::new(world, "caller", "10.99.0.9")?;
    let mut steady = Caller::new(world, "steady", "10.99.0.10")?;
    steady.connect()?;
    for (name, lines, fault) in [
        ("pptpd-options", "require-mppe-182\n", "\"require-mppe-182\" is no option"),
        ("gretel.toml", "[session]\nidle = 1\nidel = 3\n", "there is no key session.idel"),
    ] {
        let file = world.segment.folder.join("gretel").join(name);
        // There need be no gretel.toml.
        let good = fs::read_to_string(&file).unwrap_or_default();
        let broken = format!("{good}{lines}");
        fs::write(&file, &broken)?;
        // Clients are called gretel too.
        let server = world.server.pid().context("the server does not run")?;
        world.server.sh(&format!("kill -HUP {server}"))?;
        let last = broken.lines().count();
        let said = format!("the old options stay: {}:{last}:1: error: {fault}", file.display());
        wait_for_log(&mut *world.server, &said, PATIENCE)?;
        // Nothing of the file counts: neither for who is there nor for who comes.
        let check = caller.command("secret", &["--check"])?.stdin(Stdio::null()).output()?;
        ensure!(check.status.success(), "{}", String::from_utf8_lossy(&check.stderr));
        thread::sleep(Duration::from_millis(1500));
        steady.ping(INNER, 1372, 3)?;
        match good.is_empty() {
            true => fs::remove_file(&file)?,
            false => fs::write(&file, good)?,
        }
    }
    steady.disconnect()?;
    world.check_released(PATIENCE)
}
