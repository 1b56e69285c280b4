//! A provider's server and its customers, in namespaces of one machine.
//!
//! ```text
//!   customers 10.96.0.2 (and 10.96.128.0/18) ── 10.96.0.1 provider 10.97.0.1 ── 10.97.0.2 neighbour
//! ```
//!
//! Thousands of sessions come from `customers`, a few that are watched from `neighbour`: each `gretel load` sees every GRE packet of its namespace.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::{
    lab::{Namespace, Process, wire},
    workspace,
};

/// Open files that a process may have.
const FILES: &str = "20000";
/// Users of each kind in the secrets file.
const USERS: u32 = 10_000;

/// The namespaces and the folder of a run.
pub(super) struct Bed {
    provider: Namespace,
    customers: Option<Namespace>,
    neighbour: Namespace,
    folder: PathBuf,
}

/// Where a load comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum From {
    Customers,
    /// Customers with other addresses than the first thousands of those.
    MoreCustomers,
    Neighbour,
}

impl Bed {
    /// Namespaces without a server.
    pub(super) fn new(name: &str) -> Result<Self> {
        let folder = workspace::lab_directory().join(name);
        fs::create_dir_all(&folder)?;
        let (provider, neighbour) = (Namespace::new("provider")?, Namespace::new("neighbour")?);
        wire((&neighbour, "eth0"), (&provider, "neighbour"))?;
        neighbour.sh("ip address add 10.97.0.2/24 dev eth0")?;
        provider.sh("ip address add 10.97.0.1/24 dev neighbour")?;
        let mut bed = Self { provider, customers: None, neighbour, folder };
        bed.connect_customers()?;
        Ok(bed)
    }

    /// New customers at the addresses of the old ones.
    pub(super) fn connect_customers(&mut self) -> Result<()> {
        let customers = Namespace::new("customers")?;
        wire((&customers, "eth0"), (&self.provider, "customers"))?;
        customers.sh("ip address add 10.96.0.2/24 dev eth0
             ip route add default via 10.96.0.1
             ip route add local 10.96.128.0/18 dev lo")?;
        self.provider.sh("ip address add 10.96.0.1/24 dev customers
             ip route add 10.96.128.0/18 via 10.96.0.2")?;
        self.customers = Some(customers);
        Ok(())
    }

    /// The power fails at all customers: nothing leaves them any more, not even the end of their TCP connections.
    pub(super) fn cut_power(&mut self, load: Load) -> Result<()> {
        self.provider.sh("ip link set customers down")?;
        drop(load);
        self.customers = None;
        Ok(())
    }

    /// Starts the server, with `interface.mode` and more of its own settings.
    pub(super) fn serve(&self, mode: &str, settings: &str) -> Result<Process> {
        let path = |name: &str| self.folder.join(name);
        let options = path("options");
        fs::write(
            path("pptpd.conf"),
            format!(
                "option {}\nlocalip 10.64.0.1\nremoteip 10.65.0-63.0-255\nconnections 16384\n",
                options.display()
            ),
        )?;
        fs::write(
            &options,
            "name pptpd\nrequire-mschap-v2\nrequire-mppe-128\nlcp-echo-interval 30\nlcp-echo-failure 4\n",
        )?;
        fs::write(path("gretel.toml"), format!("[interface]\nmode = \"{mode}\"\n{settings}"))?;
        fs::write(path("empty"), "")?;
        fs::write(path("password"), "secret")?;
        fs::write(path("secrets"), secrets())?;
        let mut command = self.provider.command("prlimit");
        command.arg(format!("--nofile={FILES}")).arg(workspace::gretel()).arg("serve");
        for (option, file) in [
            ("--pptpd-conf", "pptpd.conf"),
            ("--ppp-options", "empty"),
            ("--chap-secrets", "secrets"),
            ("--pap-secrets", "empty"),
            ("--gretel-toml", "gretel.toml"),
            ("--state-dir", "state"),
        ] {
            command.arg(option).arg(path(file));
        }
        self.provider.spawn(&mut command, &path("serve.log"))
    }

    /// Waits until the server listens.
    pub(super) fn wait_for_server(&self) -> Result<()> {
        let listens = || Ok(self.provider.sh("ss -Hltn")?.contains(":1723"));
        wait_for("gretel serve", Duration::from_secs(20), listens)
            .with_context(|| fs::read_to_string(self.folder.join("serve.log")).unwrap_or_default())
    }

    fn customers(&self) -> Result<&Namespace> {
        self.customers.as_ref().context("there are no customers")
    }

    /// Starts this program's `command` at both ends of so many connections: the provider's and the customers'.
    pub(super) fn hold_connections(
        &self,
        command: &str,
        connections: usize,
    ) -> Result<(Process, Process)> {
        let start = |namespace: &Namespace, end: &str| {
            let mut limited = namespace.command("prlimit");
            limited.arg(format!("--nofile={FILES}")).arg(env::current_exe()?);
            limited.args([command, end, &connections.to_string()]);
            namespace.spawn(&mut limited, &self.folder.join("connections.log"))
        };
        Ok((start(&self.provider, "listen")?, start(self.customers()?, "10.96.0.1")?))
    }

    /// Starts `gretel load`. `name` is that of its files.
    pub(super) fn load(&self, from: From, name: &str, arguments: &str) -> Result<Load> {
        let (namespace, server, sources) = match from {
            From::Customers => (self.customers()?, "10.96.0.1", "10.96.128.1-10.96.191.250"),
            From::MoreCustomers => (self.customers()?, "10.96.0.1", "10.96.160.1-10.96.191.250"),
            From::Neighbour => (&self.neighbour, "10.97.0.1", "10.97.0.2-10.97.0.2"),
        };
        let mut command = namespace.command("prlimit");
        command
            .arg(format!("--nofile={FILES}"))
            .arg(workspace::gretel())
            .args(["load", server, "--json", "--source-addresses", sources, "--password-file"])
            .arg(self.folder.join("password"))
            .args(arguments.split_whitespace());
        Load::start(command, &self.folder, name)
    }
}

/// A running `gretel load`.
pub(super) struct Load {
    pub(super) process: Process,
    log: PathBuf,
    json: PathBuf,
}

impl Load {
    /// Starts `command`, which is a `gretel load --json`, with files in `folder` for what it prints.
    pub(super) fn start(mut command: Command, folder: &Path, name: &str) -> Result<Self> {
        let (log, json) = (folder.join(format!("{name}.log")), folder.join(format!("{name}.json")));
        command
            .stdin(Stdio::null())
            .stdout(fs::File::create(&json)?)
            .stderr(fs::File::create(&log)?);
        let child = command.spawn().context("cannot start gretel load")?;
        Ok(Self { process: Process { child }, log, json })
    }

    /// Waits until so many sessions are up at once.
    pub(super) fn wait_until_up(&mut self, sessions: u64, patience: Duration) -> Result<()> {
        self.wait_until(sessions, patience, |up, _| up >= sessions).map(|_| ())
    }

    /// Waits until each of so many sessions is up or has failed, and gives how many are up.
    pub(super) fn wait_until_settled(&mut self, sessions: u64, patience: Duration) -> Result<u64> {
        self.wait_until(sessions, patience, |up, failed| up + failed >= sessions)
    }

    fn wait_until(
        &mut self,
        sessions: u64,
        patience: Duration,
        enough: impl Fn(u64, u64) -> bool,
    ) -> Result<u64> {
        let deadline = Instant::now() + patience;
        loop {
            let text = fs::read_to_string(&self.log)?;
            let last = text.lines().next_back().unwrap_or_default();
            if let Some((up, failed)) = number_before(last, "up").zip(number_before(last, "failed"))
                && enough(up, failed)
            {
                return Ok(up);
            }
            let ended = self.process.child.try_wait()?.is_some();
            ensure!(
                !ended && Instant::now() < deadline,
                "{sessions} sessions do not come up: {last}"
            );
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// Waits for its end and gives its figures.
    pub(super) fn finish(mut self, patience: Duration) -> Result<Value> {
        let ended = || Ok(self.process.child.try_wait()?.is_some());
        wait_for("the end of gretel load", patience, ended)?;
        let text = fs::read_to_string(&self.json)?;
        serde_json::from_str(&text)
            .with_context(|| fs::read_to_string(&self.log).unwrap_or_default())
    }
}

/// What `gretel load` says of `name` in a line such as `12 s  40 up, 0 on their way, 1 failed, 0 lost`.
fn number_before(line: &str, name: &str) -> Option<u64> {
    let words: Vec<_> = line.split_whitespace().collect();
    let at = words.iter().position(|word| word.trim_end_matches(',') == name)?;
    words.get(at.checked_sub(1)?)?.parse().ok()
}

fn secrets() -> String {
    let both = |user| format!("user{user} pptpd secret *\ncustomer{user} pptpd secret *\n");
    (0..USERS).map(both).collect()
}

/// What the kernel says of a process's memory, in KiB.
pub(super) fn resident(pid: u32) -> Result<f64> {
    kibibytes(Path::new(&format!("/proc/{pid}/status")), "VmRSS:")
}

/// What the machine has left, in KiB.
pub(super) fn available() -> Result<f64> {
    kibibytes(Path::new("/proc/meminfo"), "MemAvailable:")
}

fn kibibytes(file: &Path, name: &str) -> Result<f64> {
    let text = fs::read_to_string(file)?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let figure = line.and_then(|line| line.split_whitespace().next()).context(name.to_owned())?;
    Ok(figure.parse()?)
}

/// Open files of a process.
pub(super) fn open_files(pid: u32) -> Result<usize> {
    Ok(fs::read_dir(format!("/proc/{pid}/fd"))?.count())
}

/// Ends a process with a signal, and gives how long that took.
pub(super) fn end(mut process: Process, patience: Duration) -> Result<Duration> {
    let start = Instant::now();
    process.signal("TERM")?;
    wait_for("the server's end", patience, || Ok(process.child.try_wait()?.is_some()))?;
    Ok(start.elapsed())
}

/// Asks again and again.
pub(super) fn wait_for(
    what: &str,
    patience: Duration,
    mut ready: impl FnMut() -> Result<bool>,
) -> Result<()> {
    let deadline = Instant::now() + patience;
    while !ready()? {
        if Instant::now() > deadline {
            bail!("{what} does not come");
        }
        thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}
