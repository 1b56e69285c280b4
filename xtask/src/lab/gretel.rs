//! `gretel serve`, in a namespace of this machine.

use std::{
    fs,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use super::{
    carrying::Carrying,
    network::{Namespace, Process},
    segment::Segment,
    server::{Files, Server, wait_for_log},
};
use crate::workspace;

/// Gretel as a server.
#[derive(Debug)]
pub(crate) struct Gretel {
    pub(crate) namespace: Namespace,
    pub(crate) process: Option<Process>,
    folder: PathBuf,
    starts: usize,
    /// The starts whose logs have been taken.
    taken: usize,
    carrying: Carrying,
    /// The first lines of `gretel.toml`; a scenario's own follow them.
    own: &'static str,
}

impl Gretel {
    pub(crate) fn new(segment: &Segment, own: &'static str) -> Result<Self> {
        let folder = segment.folder.join("gretel");
        fs::create_dir_all(folder.join("state"))?;
        Ok(Self {
            namespace: segment.server_host()?,
            process: None,
            folder,
            starts: 0,
            taken: 0,
            carrying: Carrying::default(),
            own,
        })
    }

    fn log_file(&self) -> PathBuf {
        self.log_of(self.starts)
    }

    fn log_of(&self, start: usize) -> PathBuf {
        self.folder.join(format!("{start}.log"))
    }
}

impl Server for Gretel {
    fn name(&self) -> &'static str {
        "gretel"
    }

    fn start(&mut self, files: &Files) -> Result<()> {
        self.starts += 1;
        let path = |name: &str| self.folder.join(name);
        let options = path("pptpd-options");
        fs::write(path("pptpd.conf"), files.pptpd_conf(&options.display().to_string()))?;
        fs::write(&options, files.options())?;
        fs::write(path("ppp-options"), "")?;
        fs::write(path("secrets"), files.secrets)?;
        if !self.own.is_empty() {
            let toml = path("gretel.toml");
            let theirs = fs::read_to_string(&toml).unwrap_or_default();
            let theirs = theirs.strip_prefix(self.own).unwrap_or(&theirs);
            fs::write(&toml, format!("{}{theirs}", self.own))?;
        }
        let mut command = match files.within {
            [] => self.namespace.command(workspace::gretel()),
            [program, arguments @ ..] => {
                let mut command = self.namespace.command(program);
                command.args(arguments).arg(workspace::gretel());
                command
            }
        };
        command.arg("serve").args(files.arguments);
        command.args(self.carrying.of_server("eth1"));
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
        self.process = Some(self.namespace.spawn(&mut command, &self.log_file())?);
        wait_for_log(self, "MGR: Manager process started", Duration::from_secs(10))
    }

    fn carry(&mut self, carrying: &Carrying) {
        self.carrying = carrying.clone();
    }

    fn stop(&mut self) -> Result<()> {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        process.signal("TERM")?;
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            if let Some(status) = process.child.try_wait()? {
                ensure!(status.success(), "gretel ended with {status}:\n{}", self.log()?);
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "gretel does not end:\n{}", self.log()?);
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn kill(&mut self) -> Result<()> {
        // Dropping it kills it.
        self.process = None;
        Ok(())
    }

    fn write_secrets(&mut self, secrets: &str) -> Result<()> {
        fs::write(self.folder.join("secrets"), secrets).context("chap-secrets")
    }

    fn log(&mut self) -> Result<String> {
        Ok(String::from_utf8_lossy(&fs::read(self.log_file())?).into_owned())
    }

    fn take_logs(&mut self) -> Result<String> {
        let mut logs = String::new();
        for start in self.taken + 1..=self.starts {
            let log = fs::read(self.log_of(start)).with_context(|| format!("log {start}"))?;
            logs.push_str(&String::from_utf8_lossy(&log));
        }
        self.taken = self.starts;
        Ok(logs)
    }

    fn sh(&mut self, script: &str) -> Result<String> {
        self.namespace.sh(script)
    }

    fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Process::pid)
    }

    fn open_files(&mut self) -> Result<Option<usize>> {
        let Some(process) = &self.process else { return Ok(None) };
        let folder = format!("/proc/{}/fd", process.pid());
        Ok(Some(fs::read_dir(&folder).context(folder)?.count()))
    }
}
