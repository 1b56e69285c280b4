//! One session's scripts, in their order.

use std::ffi::OsString;
use std::net::Ipv4Addr;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use wire::Escaped;

use super::program::{Program, is_there};
use super::{IpParam, ScriptPaths, Scripts};
use crate::event::{Event, Source};
use crate::log::terminal;
use crate::settings::Settings;

/// Whom pppd's scripts are told to run for.
const LOGIN: &str = "root";

/// Who a session is for.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    /// The client's address outside the tunnel.
    pub(crate) client: Ipv4Addr,
    /// The user's name; empty where nobody was asked.
    pub(crate) user: Vec<u8>,
    /// The session's interface.
    pub(crate) interface: String,
    /// The client's address in the tunnel, where the interface is shared.
    pub(crate) address: Option<Ipv4Addr>,
}

/// What a session moved, for its last scripts.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) connected: Duration,
    pub(crate) sent: u64,
    pub(crate) received: u64,
}

/// The scripts of one session. They go on to their end when this is dropped.
pub(crate) struct SessionScripts {
    scripts: Scripts,
    source: Source,
    settings: Rc<Settings>,
    /// Arguments that all scripts of IP share: interface, terminal, speed.
    line: [OsString; 3],
    auth_arguments: Vec<OsString>,
    parameter: Option<OsString>,
    environment: Vec<(String, OsString)>,
    queue: UnboundedSender<Job>,
    /// What is owed at the end, the latest last.
    owed: Vec<Owed>,
    /// `ip-pre-up` has had its turn.
    prepared: bool,
    ipv4: bool,
    ipv6: bool,
}

/// A program that must be run when the session ends.
struct Owed {
    program: Program,
    note: Option<PathBuf>,
}

struct Job {
    program: Program,
    /// The note of the debt that is paid.
    note: Option<PathBuf>,
    /// What waits for it.
    then: Option<Box<dyn FnOnce()>>,
}

impl SessionScripts {
    /// The scripts of a session whose peer has been let in; runs `auth-up`.
    pub(crate) fn begin(
        scripts: Scripts,
        settings: Rc<Settings>,
        source: Source,
        identity: &Identity,
    ) -> Self {
        let (queue, mut jobs) = unbounded_channel::<Job>();
        let (runner, told) = (scripts.clone(), source.clone());
        let name = &identity.interface;
        let line = scripts.line(name);
        // What is one session's alone of a shared interface is the address.
        let shared = identity.address.map(|address| format!("{name} {address}"));
        let shared = shared.map(|name| (scripts.line(&name), name));
        scripts.spawn(async move {
            let mut turn = line.lock().await;
            if let Some((line, _)) = &shared {
                // What an earlier process left undone has been done now.
                drop(turn);
                turn = line.lock().await;
            }
            while let Some(job) = jobs.recv().await {
                let awaited = job.then.is_some();
                runner.run(job.program, awaited, |event| told.publish(event)).await;
                if let Some(note) = job.note {
                    runner.0.debts.settle(&note);
                }
                if let Some(then) = job.then {
                    then();
                }
            }
            drop(turn);
            if let Some((line, name)) = shared {
                runner.forget_line(name, line);
            }
        });
        let terminal = terminal(&identity.interface);
        let user = os_string(&identity.user);
        let parameter = match &settings.ip_param {
            IpParam::ClientAddress => Some(identity.client.to_string().into()),
            IpParam::Fixed(text) => text.as_ref().map(OsString::from),
        };
        let speed: OsString = settings.speed.to_string().into();
        let mut session = Self {
            line: [identity.interface.clone().into(), terminal.clone().into(), speed.clone()],
            auth_arguments: vec![
                identity.interface.clone().into(),
                user.clone(),
                LOGIN.into(),
                terminal.clone().into(),
                speed,
            ],
            parameter,
            environment: environment(identity, user, &terminal, &settings),
            scripts,
            source,
            settings,
            queue,
            owed: Vec::new(),
            prepared: false,
            ipv4: false,
            ipv6: false,
        };
        if !identity.user.is_empty() {
            session.pair(
                |paths| (&paths.auth_up, &paths.auth_down),
                session.auth_arguments.clone(),
                "auth-down",
            );
        }
        session
    }

    /// Runs `ip-pre-up`, the first time and where there is one, and then calls `then`. Whether it does.
    pub(crate) fn before_ipv4(
        &mut self,
        local: Ipv4Addr,
        remote: Ipv4Addr,
        then: impl FnOnce() + 'static,
    ) -> bool {
        if std::mem::replace(&mut self.prepared, true) {
            return false;
        }
        self.set("IPLOCAL", local.to_string());
        self.set("IPREMOTE", remote.to_string());
        let path = self.settings.scripts.ip_pre_up.clone();
        if !self.runnable(&path) {
            return false;
        }
        let arguments = self.ip_arguments(&local.to_string(), &remote.to_string());
        let program = self.program(&path, arguments);
        self.enqueue(Job { program, note: None, then: Some(Box::new(then)) });
        true
    }

    /// IPv4 packets can flow: runs `ip-up`, the first time. After [`before_ipv4`](Self::before_ipv4).
    pub(crate) fn ipv4_up(&mut self, local: Ipv4Addr, remote: Ipv4Addr) {
        if std::mem::replace(&mut self.ipv4, true) {
            return;
        }
        let arguments = self.ip_arguments(&local.to_string(), &remote.to_string());
        self.pair(|paths| (&paths.ip_up, &paths.ip_down), arguments, "ip-down");
    }

    /// IPv6 packets can flow: runs `ipv6-up`, the first time.
    pub(crate) fn ipv6_up(&mut self, local: &str, remote: &str) {
        if std::mem::replace(&mut self.ipv6, true) {
            return;
        }
        self.set("LLLOCAL", local.to_owned());
        self.set("LLREMOTE", remote.to_owned());
        let arguments = self.ip_arguments(local, remote);
        self.pair(|paths| (&paths.ipv6_up, &paths.ipv6_down), arguments, "ipv6-down");
    }

    /// The session is over: runs what is owed, the latest first.
    pub(crate) fn end(mut self, traffic: Traffic) {
        let facts = [
            ("CONNECT_TIME", traffic.connected.as_secs()),
            ("BYTES_SENT", traffic.sent),
            ("BYTES_RCVD", traffic.received),
        ];
        while let Some(Owed { mut program, note }) = self.owed.pop() {
            let facts = facts.map(|(name, value)| (name.to_owned(), value.to_string().into()));
            program.environment.extend(facts);
            self.enqueue(Job { program, note, then: None });
        }
    }

    /// Runs a script of a beginning, and owes the one of its end.
    fn pair(
        &mut self,
        choose: impl Fn(&ScriptPaths) -> (&PathBuf, &PathBuf),
        arguments: Vec<OsString>,
        name: &str,
    ) {
        let settings = self.settings.clone();
        let (up, down) = choose(&settings.scripts);
        if self.runnable(down) {
            let program = self.program(down, arguments.clone());
            let note = self.scripts.0.debts.owe(name, &program);
            let note = note.map_err(|error| {
                let error = error.to_string();
                self.source.publish(Event::HostFailed {
                    what: "note what a crash would leave undone",
                    error,
                });
            });
            self.owed.push(Owed { program, note: note.ok() });
        }
        if self.runnable(up) {
            let program = self.program(up, arguments);
            self.enqueue(Job { program, note: None, then: None });
        }
    }

    fn runnable(&self, path: &Path) -> bool {
        is_there(path).unwrap_or_else(|error| {
            let script = path.display().to_string();
            self.source.publish(Event::ScriptFailed { script, error: error.to_string() });
            false
        })
    }

    fn program(&self, path: &Path, arguments: Vec<OsString>) -> Program {
        Program { path: path.to_owned(), arguments, environment: self.environment.clone() }
    }

    /// pppd(8): interface-name tty-device speed local-IP-address remote-IP-address ipparam. The last is left out where there is none.
    fn ip_arguments(&self, local: &str, remote: &str) -> Vec<OsString> {
        let addresses = [local.into(), remote.into()];
        self.line.iter().cloned().chain(addresses).chain(self.parameter.clone()).collect()
    }

    fn set(&mut self, name: &str, value: String) {
        self.environment.retain(|(known, _)| known != name);
        self.environment.push((name.into(), value.into()));
    }

    fn enqueue(&self, job: Job) {
        // The task ends after the queue.
        let _ = self.queue.send(job);
    }
}

/// pppd's variables for every script of the session.
fn environment(
    identity: &Identity,
    user: OsString,
    terminal: &str,
    settings: &Settings,
) -> Vec<(String, OsString)> {
    let interface = &identity.interface;
    let number = settings.caller_number.clone().unwrap_or_else(|| identity.client.to_string());
    let digits = interface.rfind(|it: char| !it.is_ascii_digit()).map_or(0, |at| at + 1);
    let mut environment: Vec<(String, OsString)> = vec![
        ("DEVICE".into(), terminal.into()),
        ("IFNAME".into(), interface.into()),
        ("UNIT".into(), interface.get(digits..).unwrap_or_default().into()),
        ("SPEED".into(), settings.speed.to_string().into()),
        ("ORIG_UID".into(), "0".into()),
        ("PPPLOGNAME".into(), LOGIN.into()),
        ("PPPD_PID".into(), std::process::id().to_string().into()),
        ("REMOTENUMBER".into(), number.into()),
    ];
    if !user.is_empty() {
        environment.push(("PEERNAME".into(), user));
    }
    if let Some(name) = &settings.link_name {
        environment.push(("LINKNAME".into(), name.into()));
    }
    if let Some(file) = &settings.call_file {
        environment.push(("CALL_FILE".into(), file.into()));
    }
    for (name, value) in &settings.script_variables {
        environment.retain(|(known, _)| known != name);
        environment.extend(value.as_ref().map(|value| (name.clone(), value.into())));
    }
    environment
}

/// A name as a program can be given it: one with a NUL, which cannot, is written out.
fn os_string(name: &[u8]) -> OsString {
    if name.contains(&0) {
        return Escaped(name).to_string().into();
    }
    OsString::from_vec(name.to_vec())
}
