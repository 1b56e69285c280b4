//! Two clients and a server in namespaces of their own.
//!
//! ```text
//!   near 10.98.0.2 ── 10.98.0.1 far 10.97.0.1 ── 10.97.0.2 other
//! ```
//!
//! What is measured runs between `near` and `far`; `other` has a session of its own, whose packets wait for those of the first.

use std::{
    fs,
    path::PathBuf,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail, ensure};

use crate::{
    lab::{Namespace, Process, wire},
    workspace,
};

/// The server's address in every tunnel.
pub(super) const INNER: &str = "192.168.77.1";
/// The server's address on the cable to `near`.
pub(super) const OUTER: &str = "10.98.0.1";
/// A machine behind the server.
pub(super) const BEHIND: &str = "10.96.0.2";
/// The server's address behind the VXLAN.
pub(super) const BEHIND_VXLAN: &str = "192.168.78.1";

/// How long a load holds its sessions, in seconds.
pub(super) const HOLD: u32 = 3;

/// How long anything may take to come up.
const PATIENCE: Duration = Duration::from_secs(10);

/// The namespaces, and iperf3's server in `far`.
pub(super) struct Bed {
    pub(super) near: Namespace,
    pub(super) other: Namespace,
    pub(super) far: Namespace,
    folder: PathBuf,
}

impl Bed {
    pub(super) fn new() -> Result<Self> {
        let folder = workspace::lab_directory().join("bench-tunnel");
        fs::create_dir_all(&folder)?;
        let (near, far) = (Namespace::new("near")?, Namespace::new("far")?);
        let other = Namespace::new("other")?;
        for (client, name, net) in [(&near, "near", 98), (&other, "other", 97)] {
            wire((client, "eth0"), (&far, name))?;
            client.sh(&format!("ip address add 10.{net}.0.2/24 dev eth0"))?;
            far.sh(&format!("ip address add 10.{net}.0.1/24 dev {name}"))?;
        }
        let bed = Self { near, other, far, folder };
        bed.lay_vxlan()?;
        Ok(bed)
    }

    /// A tunnel of the kernel's, in which every packet goes by itself: the offloads of the tunnel device are off.
    fn lay_vxlan(&self) -> Result<()> {
        for (end, cable, own, peer) in [(&self.near, "eth0", 2, 1), (&self.far, "near", 1, 2)] {
            end.sh(&format!(
                "ip link add vxlan0 type vxlan id 7 local 10.98.0.{own} remote 10.98.0.{peer} dev {cable} dstport 4789
                 ip link set vxlan0 mtu 1400 up
                 ip address add 192.168.78.{own}/24 dev vxlan0
                 ethtool -K vxlan0 tso off gso off gro off >/dev/null"
            ))?;
        }
        Ok(())
    }

    /// Bytes of a packet, on average, of all that have gone through the VXLAN to the server so far: none is a super-packet.
    pub(super) fn vxlan_packet_len(&self) -> Result<f64> {
        let text = self.far.sh("cd /sys/class/net/vxlan0/statistics && cat rx_bytes rx_packets")?;
        let figures: Vec<f64> = text.split_whitespace().filter_map(|it| it.parse().ok()).collect();
        let [bytes, packets] = figures[..] else { bail!("no statistics of the VXLAN: {text}") };
        Ok(bytes / packets)
    }

    /// The machine at [`BEHIND`], to which the server forwards.
    pub(super) fn behind(&self) -> Result<Namespace> {
        let behind = Namespace::new("behind")?;
        wire((&behind, "eth0"), (&self.far, "behind"))?;
        behind.sh("ip address add 10.96.0.2/24 dev eth0 && ip route add default via 10.96.0.1")?;
        self.far.sh("ip address add 10.96.0.1/24 dev behind && sysctl -q net.ipv4.ip_forward=1")?;
        Ok(behind)
    }

    /// Has both clients reach [`BEHIND`] through their tunnels.
    pub(super) fn route_behind(&self) -> Result<()> {
        for client in [&self.near, &self.other] {
            client.sh("ip route replace 10.96.0.0/24 dev ppp0")?;
        }
        Ok(())
    }

    /// Packets and super-packets that the server's first interface has sent so far, and dropped.
    pub(super) fn sent_and_dropped(&self) -> Result<[f64; 2]> {
        let files = "cd /sys/class/net/ppp0/statistics && cat tx_packets tx_dropped";
        let text = self.far.sh(files)?;
        let figures: Vec<f64> = text.split_whitespace().filter_map(|it| it.parse().ok()).collect();
        figures.try_into().map_err(|_| anyhow!("no statistics of ppp0: {text}"))
    }

    /// Starts iperf3's server at the tunnel's end anew, and gives it back.
    pub(super) fn iperf_server(&self) -> Result<Process> {
        self.iperf_server_in(&self.far)
    }

    /// As [`iperf_server`](Self::iperf_server), elsewhere.
    pub(super) fn iperf_server_in(&self, namespace: &Namespace) -> Result<Process> {
        let mut command = namespace.command("iperf3");
        command.args(["--server", "--forceflush"]);
        let server = namespace.spawn(&mut command, &self.folder.join("iperf3.log"))?;
        wait_for("iperf3", || Ok(namespace.sh("ss -Hltn")?.contains(":5201")))?;
        Ok(server)
    }

    /// Starts `gretel serve`, with this `gretel.toml`, and both clients.
    pub(super) fn tunnel(&self, toml: &str, serve: &[&str], connect: &[&str]) -> Result<Tunnel> {
        let path = |name: &str| self.folder.join(name);
        let options = path("options");
        let conf = format!(
            "option {}\nlocalip {INNER}\nremoteip 192.168.77.100-239\nconnections 140\n",
            options.display()
        );
        fs::write(path("pptpd.conf"), conf)?;
        fs::write(&options, "name pptpd\nrequire-mschap-v2\nrequire-mppe-128\nnodefaultroute\n")?;
        fs::write(path("ppp-options"), "")?;
        fs::write(path("gretel.toml"), toml)?;
        fs::write(path("secrets"), "anna pptpd secret *\nbert pptpd secret *\n")?;
        fs::write(path("password"), "secret")?;
        let mut command = self.far.command(workspace::gretel());
        command.arg("serve").args(serve);
        for (option, file) in [
            ("--pptpd-conf", "pptpd.conf"),
            ("--ppp-options", "ppp-options"),
            ("--chap-secrets", "secrets"),
            ("--pap-secrets", "secrets"),
            ("--gretel-toml", "gretel.toml"),
            ("--state-dir", "state"),
        ] {
            command.arg(option).arg(path(file));
        }
        let server = self.far.spawn(&mut command, &path("serve.log"))?;
        wait_for("gretel serve", || Ok(self.far.sh("ss -Hltn")?.contains(":1723")))?;
        let client = self.client(&self.near, "anna", OUTER, connect)?;
        let other = self.client(&self.other, "bert", "10.97.0.1", connect)?;
        Ok(Tunnel { client, other, server })
    }

    /// Has this many more sessions of `near` send long echoes for [`HOLD`], more than the machine can carry, and gives the report as JSON.
    pub(super) fn load(&self, sessions: usize) -> Result<String> {
        let password = self.folder.join("password");
        let (gretel, password) = (workspace::gretel(), password.display().to_string());
        self.near.sh(&format!(
            "{} load {OUTER} --user anna --password-file {password} --sessions {sessions} --at-once 32 --hold {HOLD} \
             --traffic bulk:1500 --json --quiet || true",
            gretel.display()
        ))
    }

    fn client(
        &self,
        namespace: &Namespace,
        user: &str,
        server: &str,
        arguments: &[&str],
    ) -> Result<Process> {
        let mut command = namespace.command(workspace::gretel());
        command.args(["connect", server, "--user", user, "--require-mppe", "--password-file"]);
        command.arg(self.folder.join("password")).arg("--state-dir");
        command.arg(self.folder.join(format!("state-{user}"))).args(arguments);
        let log = self.folder.join(format!("{user}.log"));
        let client = namespace.spawn(command.stdin(Stdio::null()), &log)?;
        let ping = format!("ping -n -q -c 1 -W 1 {INNER} >/dev/null 2>&1 && echo up || true");
        wait_for("the tunnel", || Ok(namespace.sh(&ping)?.contains("up")))
            .with_context(|| fs::read_to_string(&log).unwrap_or_default())?;
        Ok(client)
    }
}

/// A server and its clients.
pub(super) struct Tunnel {
    client: Process,
    other: Process,
    server: Process,
}

impl Tunnel {
    /// Processor time so far of the client and of the server.
    pub(super) fn used(&self) -> Result<[Duration; 2]> {
        Ok([used(self.client.pid())?, used(self.server.pid())?])
    }

    pub(super) fn server_pid(&self) -> u32 {
        self.server.pid()
    }

    /// Ends all three.
    pub(super) fn end(mut self) -> Result<()> {
        self.client.signal("INT")?;
        self.other.signal("INT")?;
        self.server.signal("TERM")?;
        for process in [&mut self.client, &mut self.other, &mut self.server] {
            let deadline = Instant::now() + PATIENCE;
            while process.child.try_wait()?.is_none() {
                ensure!(Instant::now() < deadline, "process {} goes on", process.pid());
                thread::sleep(Duration::from_millis(20));
            }
        }
        Ok(())
    }
}

/// The run time of a process's living threads, softirqs in their context included (`/proc/PID/task/TID/schedstat`).
pub(crate) fn used(pid: u32) -> Result<Duration> {
    let mut nanos = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let text = fs::read_to_string(task?.path().join("schedstat"))?;
        nanos += text.split_whitespace().next().context("schedstat")?.parse::<u64>()?;
    }
    Ok(Duration::from_nanos(nanos))
}

fn wait_for(what: &str, ready: impl Fn() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !ready()? {
        if Instant::now() > deadline {
            bail!("{what} does not come up");
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
