//! `gretel connect` against the server, without a guest.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};

use super::Scenario;
use crate::{
    lab::{
        client::megabits,
        network::{Namespace, Process},
        segment::{INNER, NEIGHBOUR, SERVER},
        server::Files,
        world::World,
    },
    workspace,
};

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "gretel connect moves traffic both ways in whole packets of every size",
        compared: true,
        run: traffic,
    },
    Scenario {
        name: "gretel connect --check tells every stage and leaves nothing",
        compared: true,
        run: check,
    },
    Scenario {
        name: "gretel connect --check fails with a wrong password and says so",
        compared: true,
        run: check_wrong_password,
    },
    Scenario {
        name: "ten clients of one server reach it at the same time",
        compared: false,
        run: ten_clients,
    },
];

/// A namespace on the wan with `gretel connect` in it.
struct Caller {
    process: Option<Process>,
    namespace: Namespace,
    folder: PathBuf,
}

impl Caller {
    fn new(world: &World, name: &'static str, address: &str) -> Result<Self> {
        let namespace = world.segment.wan_host(name, address)?;
        let folder = world.segment.folder.join(name);
        fs::create_dir_all(&folder)?;
        Ok(Self { process: None, namespace, folder })
    }

    fn command(&self, password: &str, arguments: &[&str]) -> Result<Command> {
        let file = self.folder.join("password");
        fs::write(&file, password)?;
        let mut command = self.namespace.command(workspace::gretel());
        command.args(["connect", SERVER, "--user", "anna", "--require-mppe", "--password-file"]);
        command.arg(file).arg("--state-dir").arg(self.folder.join("state")).args(arguments);
        Ok(command)
    }

    /// Connects, and waits until the server answers through the tunnel.
    fn connect(&mut self) -> Result<()> {
        let mut command = self.command("secret", &["--route", "192.168.77.0/24"])?;
        let log = self.folder.join("connect.log");
        self.process = Some(self.namespace.spawn(&mut command, &log)?);
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.ping(INNER, 56, 1).is_err() {
            ensure!(Instant::now() < deadline, "no tunnel:\n{}", text_of(&log));
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn ping(&self, address: &str, size: u16, count: u8) -> Result<()> {
        let ping = format!("ping -n -q -M do -c {count} -i 0.01 -W 1 -s {size} {address}");
        self.namespace.sh(&ping).map(|_| ())
    }

    /// Ends the client as a user does.
    fn disconnect(&mut self) -> Result<()> {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        process.signal("INT")?;
        let deadline = Instant::now() + Duration::from_secs(10);
        while process.child.try_wait()?.is_none() {
            let log = self.folder.join("connect.log");
            ensure!(Instant::now() < deadline, "gretel connect goes on:\n{}", text_of(&log));
            thread::sleep(Duration::from_millis(20));
        }
        let left = self.namespace.sh("ip -o link | cut -d' ' -f2; ip route")?;
        ensure!(!left.contains("ppp"), "the client leaves {left}");
        Ok(())
    }
}

fn text_of(log: &Path) -> String {
    fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

fn traffic(world: &mut World) -> Result<()> {
    world.serve(&Files::SHIPPED)?;
    let mut caller = Caller::new(world, "caller", "10.99.0.9")?;
    caller.connect()?;
    for size in (56..1372).step_by(7).chain([1372]) {
        caller.ping(INNER, size, 1)?;
    }
    caller.ping(NEIGHBOUR, 1372, 3)?;
    world.segment.neighbour.sh("pgrep -x iperf3 >/dev/null || iperf3 --server --daemon")?;
    for (way, option) in [("Mbit/s up", ""), ("Mbit/s down", "--reverse")] {
        let iperf = format!("timeout 20 iperf3 -c {NEIGHBOUR} -t 2 -f m {option}");
        let rate = megabits(&caller.namespace.sh(&iperf)?)?;
        world.note(way, &format!("{rate:.0}"));
        ensure!(rate > 0.5, "{way}: {rate}");
    }
    caller.disconnect()?;
    world.end_and_check()
}

fn check(world: &mut World) -> Result<()> {
    world.serve(&Files::SHIPPED)?;
    let caller = Caller::new(world, "caller", "10.99.0.9")?;
    let output = caller.command("secret", &["--check"])?.stdin(Stdio::null()).output()?;
    let both = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&both).into_owned();
    ensure!(output.status.success(), "{}: {text}", output.status);
    world.note("stages", text.lines().count().to_string().as_str());
    ensure!(text.lines().count() >= 4, "too few stages:\n{text}");
    world.end_and_check()
}

fn check_wrong_password(world: &mut World) -> Result<()> {
    world.serve(&Files::SHIPPED)?;
    let caller = Caller::new(world, "caller", "10.99.0.9")?;
    let output = caller.command("wrong", &["--check"])?.stdin(Stdio::null()).output()?;
    ensure!(!output.status.success(), "it succeeded: {}", output.stdout.escape_ascii());
    let both = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&both).to_lowercase();
    ensure!(text.contains("password") || text.contains("authentication"), "{text}");
    world.note("the client's exit status", &format!("{:?}", output.status.code()));
    world.end_and_check()
}

fn ten_clients(world: &mut World) -> Result<()> {
    let files = Files { addresses: "192.168.77.100-109", ..Files::SHIPPED };
    world.serve(&files)?;
    const NAMES: [&str; 10] = ["c0", "c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8", "c9"];
    let mut callers = Vec::new();
    for (index, name) in NAMES.into_iter().enumerate() {
        let mut caller = Caller::new(world, name, &format!("10.99.0.{}", 20 + index))?;
        caller.connect()?;
        callers.push(caller);
    }
    for caller in &callers {
        caller.ping(NEIGHBOUR, 1372, 2)?;
    }
    for caller in &mut callers {
        caller.disconnect()?;
    }
    world.end_and_check()
}
