//! A PPTP server in a guest.

use std::{env, fs, time::Duration};

use anyhow::{Context, Result};

use crate::{
    kernel_pptp,
    lab::{Guest, INNER, SERVER_GUEST, Segment, System},
    workspace,
};

/// The client's address in every tunnel.
pub(super) const CLIENT_INNER: &str = "192.168.77.100";

/// The options of pptpd and of Gretel alike; what follows `nobsdcomp` says nothing to Gretel.
const OPTIONS: &str = "name pptpd\nrefuse-pap\nrefuse-chap\nrefuse-mschap\nrequire-mschap-v2\nrequire-mppe-128\n\
                       nodefaultroute\nproxyarp\nnobsdcomp\nnovj\nnovjccomp\nnologfd\nlock\n";

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::bench) enum Peer {
    Pptpd,
    Kernel,
    Gretel,
}

impl Peer {
    pub(super) const ALL: [Self; 3] = [Self::Pptpd, Self::Kernel, Self::Gretel];

    pub(in crate::bench) fn name(self) -> &'static str {
        match self {
            Self::Pptpd => "pptpd",
            Self::Kernel => "kernel",
            Self::Gretel => "Gretel",
        }
    }

    /// The guest's name, and its folder's.
    fn guest(self) -> &'static str {
        match self {
            Self::Pptpd => "pptpd",
            Self::Kernel => "kernel",
            Self::Gretel => "gretel",
        }
    }

    /// Shell commands that start it in the background.
    fn start(self) -> Result<String> {
        Ok(match self {
            Self::Pptpd => {
                "setsid pptpd --fg --conf /mnt/pptpd.conf >/run/server.log 2>&1 &".to_owned()
            }
            Self::Kernel => {
                let (xtask, command) = (env::current_exe()?, kernel_pptp::COMMAND);
                format!(
                    "setsid {} {command} anna secret {INNER} {CLIENT_INNER} >/run/server.log 2>&1 &",
                    xtask.display()
                )
            }
            Self::Gretel => format!(
                "insmod /usr/lib/uml/modules/$(uname -r)/kernel/drivers/net/tun.ko
                 setsid {} serve --pptpd-conf /mnt/pptpd.conf --gretel-toml /mnt/gretel.toml --state-dir /run/gretel >/run/server.log 2>&1 &",
                workspace::gretel().display()
            ),
        })
    }
}

/// A guest with a server in it, and iperf3's.
pub(in crate::bench) struct Server {
    guest: Guest,
    peer: Peer,
}

impl Server {
    /// A server for one client at a time.
    pub(super) fn start(peer: Peer, segment: &Segment) -> Result<Self> {
        Self::start_for(peer, segment, CLIENT_INNER, "session")
    }

    /// A server whose clients get these addresses. `mode` is Gretel's of its interfaces.
    pub(in crate::bench) fn start_for(
        peer: Peer,
        segment: &Segment,
        addresses: &str,
        mode: &str,
    ) -> Result<Self> {
        let (name, folder) = (peer.guest(), &segment.folder);
        let guest = Guest::start(name, folder, &segment.switch, &SERVER_GUEST, System::Shell)?;
        let conf =
            format!("option /etc/ppp/pptpd-options\nlocalip {INNER}\nremoteip {addresses}\n");
        fs::write(folder.join(name).join("pptpd.conf"), conf)?;
        fs::write(folder.join(name).join("options"), OPTIONS)?;
        let own = format!("[interface]\nmode = \"{mode}\"\n");
        fs::write(folder.join(name).join("gretel.toml"), own)?;
        let mut server = Self { guest, peer };
        server.prepare().with_context(|| server.log())?;
        Ok(server)
    }

    fn prepare(&mut self) -> Result<()> {
        let start = self.peer.start()?;
        self.guest.sh(
            20,
            &format!(
                "echo 1 >/proc/sys/net/ipv4/ip_forward
                 for interface in vec0 vec1; do ethtool -K $interface tso on; done
                 cp /mnt/options /etc/ppp/pptpd-options
                 : >/etc/ppp/options
                 umask 077
                 echo 'anna pptpd secret *' >/etc/ppp/chap-secrets
                 {start}
                 iperf3 --server --daemon
                 for try in $(seq 200); do
                     listening=$(ss -Hltn)
                     case $listening in *:1723*:5201*|*:5201*:1723*) exit 0;; esac
                     sleep 0.05
                 done
                 exit 1"
            ),
        )?;
        Ok(())
    }

    /// What the guest has left of its memory, in KiB.
    pub(in crate::bench) fn available(&mut self) -> Result<f64> {
        let line = self.sh("grep MemAvailable: /proc/meminfo")?;
        let figure = line.split_whitespace().nth(1).context("MemAvailable")?;
        Ok(figure.parse()?)
    }

    /// Runs a script in the guest.
    pub(in crate::bench) fn sh(&mut self, script: &str) -> Result<String> {
        self.guest.sh(20, script).with_context(|| self.log())
    }

    pub(super) fn processor_time(&self) -> Result<Duration> {
        self.guest.processor_time()
    }

    /// Has the guest use this processor of the machine's only.
    pub(super) fn keep_to(&self, processor: usize) -> Result<()> {
        self.guest.keep_to(processor)
    }

    /// What the server, and programs that use the system log, have said.
    pub(super) fn log(&mut self) -> String {
        let text = self.guest.sh(10, "tail -n 25 /run/server.log /run/syslog");
        text.unwrap_or_else(|error| format!("{error:#}"))
    }
}
