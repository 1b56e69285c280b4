//! What the lab asks of a server, whichever it is.

use std::{
    collections::BTreeSet,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};

use super::carrying::Carrying;

/// A server's three files.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    /// Lines of the options file that `pptpd.conf` names.
    pub(crate) options: &'static str,
    /// Lines of `chap-secrets` and `pap-secrets`.
    pub(crate) secrets: &'static str,
    /// More lines of `pptpd.conf`.
    pub(crate) conf: &'static str,
    /// `remoteip` of `pptpd.conf`.
    pub(crate) addresses: &'static str,
    /// More arguments for `gretel serve`.
    pub(crate) arguments: &'static [&'static str],
    /// A program that is to run `gretel serve`, and its arguments.
    pub(crate) within: &'static [&'static str],
}

impl Files {
    /// Debian's shipped options and one user.
    pub(crate) const SHIPPED: Self = Self {
        options: "refuse-pap\nrefuse-chap\nrefuse-mschap\nrequire-mschap-v2\nrequire-mppe-128\n",
        secrets: "anna pptpd secret *\n",
        conf: "",
        addresses: "192.168.77.100-103",
        arguments: &[],
        within: &[],
    };

    /// `pptpd.conf`, naming the options file at `options`.
    pub(crate) fn pptpd_conf(&self, options: &str) -> String {
        let Self { addresses, conf, .. } = self;
        format!("option {options}\nlocalip {}\nremoteip {addresses}\n{conf}", super::segment::INNER)
    }

    /// The options file: what every server here needs, then the case's own lines.
    pub(crate) fn options(&self) -> String {
        let Self { options, .. } = self;
        format!(
            "name pptpd\nproxyarp\nnodefaultroute\nlock\nnobsdcomp\nnovj\nnovjccomp\nnologfd\ndebug\n\
             lcp-echo-interval 1\nlcp-echo-failure 4\n{options}"
        )
    }
}

/// A PPTP server at [`super::segment::SERVER`].
pub(crate) trait Server {
    /// `gretel` or `pptpd`.
    fn name(&self) -> &'static str;

    /// Writes the files and starts the server; an error when it is not ready within seconds.
    fn start(&mut self, files: &Files) -> Result<()>;

    /// Says how packets are carried from the next start on. Only Gretel has a choice.
    fn carry(&mut self, _carrying: &Carrying) {}

    /// Ends the server with SIGTERM and waits for its end.
    fn stop(&mut self) -> Result<()>;

    /// Ends the server at once, as SIGKILL does.
    fn kill(&mut self) -> Result<()>;

    /// Writes another `chap-secrets` while the server runs.
    fn write_secrets(&mut self, secrets: &str) -> Result<()>;

    /// What the server has logged since its start.
    fn log(&mut self) -> Result<String>;

    /// What it has logged in all its starts since this was asked last; nothing where verdicts are not known.
    fn take_logs(&mut self) -> Result<String> {
        Ok(String::new())
    }

    /// Runs a shell script beside the server, in its network.
    fn sh(&mut self, script: &str) -> Result<String>;

    /// The server's process; `None` where sessions are processes of their own.
    fn pid(&self) -> Option<u32>;

    /// How many files the server has open; `None` where sessions are processes of their own.
    fn open_files(&mut self) -> Result<Option<usize>>;
}

/// What a session leaves in a server's network, and must take away again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Traces {
    network: BTreeSet<String>,
    open_files: Option<usize>,
}

impl Traces {
    /// The same network without a server in it, and so without the interface that its sessions may share.
    pub(crate) fn without_server(&self) -> Self {
        let of_server = |line: &&String| line.contains("ppp") || line.contains(" proxy");
        let network = self.network.iter().filter(|line| !of_server(line)).cloned().collect();
        Self { network, open_files: None }
    }

    pub(crate) fn of(server: &mut dyn Server) -> Result<Self> {
        let network = server.sh("ip -o link | cut -d' ' -f2
             ip neighbour show proxy
             ip -4 route show table all
             ip -6 route show table all | grep ppp
             nft list ruleset 2>/dev/null || true")?;
        Ok(Self {
            network: network.lines().map(|line| line.trim().to_owned()).collect(),
            open_files: server.open_files()?,
        })
    }

    /// Waits until the server's network is as it was.
    pub(crate) fn wait_until_gone(&self, server: &mut dyn Server, limit: Duration) -> Result<()> {
        let deadline = Instant::now() + limit;
        loop {
            let now = Self::of(server)?;
            if now == *self {
                return Ok(());
            }
            let left: Vec<_> = now.network.difference(&self.network).collect();
            let lost: Vec<_> = self.network.difference(&now.network).collect();
            ensure!(
                Instant::now() < deadline,
                "after {limit:?} there is still {left:?}, missing is {lost:?}; open files {:?}, before {:?}",
                now.open_files,
                self.open_files
            );
            thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Waits until the server's log holds a text.
pub(crate) fn wait_for_log(server: &mut dyn Server, text: &str, limit: Duration) -> Result<()> {
    let deadline = Instant::now() + limit;
    loop {
        let log = server.log()?;
        if log.contains(text) {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "no {text:?} in {}'s log:\n{log}", server.name());
        thread::sleep(Duration::from_millis(50));
    }
}
