//! `gretel connect`, in a namespace of its own.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};

use super::{
    carrying::Carrying,
    network::{Namespace, Process},
    segment::{INNER, SERVER, Segment},
    world::World,
};
use crate::workspace;

/// A namespace on the wan with `gretel connect` in it.
pub(crate) struct Caller {
    pub(crate) process: Option<Process>,
    pub(crate) namespace: Namespace,
    folder: PathBuf,
    carrying: Carrying,
}

impl Caller {
    pub(crate) fn new(world: &World, name: &'static str, address: &str) -> Result<Self> {
        let carrying = world.carrying.clone();
        Ok(Self { carrying, ..Self::on(&world.segment, name, address)? })
    }

    /// As [`new`](Self::new), where there is no world.
    pub(crate) fn on(segment: &Segment, name: &'static str, address: &str) -> Result<Self> {
        Self::in_namespace(segment, segment.wan_host(name, address)?)
    }

    /// In a namespace that is there.
    pub(crate) fn in_namespace(segment: &Segment, namespace: Namespace) -> Result<Self> {
        let folder = segment.folder.join(namespace.name);
        fs::create_dir_all(&folder)?;
        Ok(Self { process: None, namespace, folder, carrying: Carrying::default() })
    }

    /// Where it keeps its files.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn command(&self, password: &str, arguments: &[&str]) -> Result<Command> {
        self.command_as("anna", password, arguments)
    }

    /// As [`command`](Self::command), as another user. The client insists on encryption, unless the arguments say `--no-mppe`.
    pub(crate) fn command_as(
        &self,
        user: &str,
        password: &str,
        arguments: &[&str],
    ) -> Result<Command> {
        let file = self.folder.join("password");
        // Another client may be reading it.
        if fs::read(&file).ok().as_deref() != Some(password.as_bytes()) {
            fs::write(&file, password)?;
        }
        let mut command = self.namespace.command(workspace::gretel());
        command.args(["connect", SERVER, "--user", user]);
        if !arguments.contains(&"--no-mppe") {
            command.arg("--require-mppe");
        }
        command.arg("--password-file").arg(file).arg("--state-dir").arg(self.folder.join("state"));
        command.args(arguments);
        command.args(self.carrying.of_client());
        Ok(command)
    }

    /// Connects, and waits until the server answers through the tunnel.
    pub(crate) fn connect(&mut self) -> Result<()> {
        self.connect_as("anna", "secret", &["--route", "192.168.77.0/24"], INNER)
    }

    /// As [`connect`](Self::connect), as another user, to a server with another inner address.
    pub(crate) fn connect_as(
        &mut self,
        user: &str,
        password: &str,
        arguments: &[&str],
        inner: &str,
    ) -> Result<()> {
        self.start(user, password, arguments)?;
        let log = self.folder.join("connect.log");
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.ping(inner, 56, 1).is_err() {
            ensure!(Instant::now() < deadline, "no tunnel:\n{}", text_of(&log));
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Starts to connect, and waits for nothing.
    pub(crate) fn start(&mut self, user: &str, password: &str, arguments: &[&str]) -> Result<()> {
        let mut command = self.command_as(user, password, arguments)?;
        self.process = Some(self.namespace.spawn(&mut command, &self.folder.join("connect.log"))?);
        Ok(())
    }

    pub(crate) fn ping(&self, address: &str, size: u16, count: u8) -> Result<()> {
        let ping = format!("ping -n -q -M do -c {count} -i 0.01 -W 1 -s {size} {address}");
        self.namespace.sh(&ping).map(|_| ())
    }

    /// Ends the client as SIGKILL does.
    pub(crate) fn kill(&mut self) {
        self.process = None;
    }

    /// Ends the client as a user does.
    pub(crate) fn disconnect(&mut self) -> Result<()> {
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
