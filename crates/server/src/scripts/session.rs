//! One session's scripts, in their order.

use std::ffi::OsString;
use std::net::Ipv4Addr;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use wire::Escaped;

use super::program::{Program, is_there};
use super::queue::{Job, Queue};
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

/// The scripts of one session. They go on to their end when this is dropped. Most of its life a session keeps this and runs none: arguments and
/// environment are made when a program is.
pub(crate) struct SessionScripts {
    settings: Rc<Settings>,
    identity: Identity,
    /// The addresses at our end and the client's, once they are agreed on.
    ipv4: Option<(Ipv4Addr, Ipv4Addr)>,
    ipv6: Option<Box<(String, String)>>,
    queue: Rc<Queue>,
    /// What is owed at the end, the latest last, with the notes of that on disk.
    owed: Vec<(Occasion, Option<PathBuf>)>,
    has_ipv4_begun: bool,
}

/// What has a script at its beginning and one at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Occasion {
    Login,
    Ipv4,
    Ipv6,
}

impl Occasion {
    fn up(self, paths: &ScriptPaths) -> &Path {
        match self {
            Self::Login => &paths.auth_up,
            Self::Ipv4 => &paths.ip_up,
            Self::Ipv6 => &paths.ipv6_up,
        }
    }

    fn down(self, paths: &ScriptPaths) -> &Path {
        match self {
            Self::Login => &paths.auth_down,
            Self::Ipv4 => &paths.ip_down,
            Self::Ipv6 => &paths.ipv6_down,
        }
    }

    /// The name of what is owed.
    fn debt(self) -> &'static str {
        match self {
            Self::Login => "auth-down",
            Self::Ipv4 => "ip-down",
            Self::Ipv6 => "ipv6-down",
        }
    }
}

impl SessionScripts {
    /// The scripts of a session whose peer has been let in; runs `auth-up`.
    pub(crate) fn begin(
        scripts: Scripts,
        settings: Rc<Settings>,
        source: Source,
        identity: Identity,
    ) -> Self {
        let queue = Queue::new(scripts, source, &identity.interface, identity.address);
        let (ipv4, ipv6, owed) = (None, None, Vec::new());
        let mut session =
            Self { settings, identity, ipv4, ipv6, queue, owed, has_ipv4_begun: false };
        if !session.identity.user.is_empty() {
            session.pair(Occasion::Login);
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
        if self.ipv4.is_some() {
            return false;
        }
        self.ipv4 = Some((local, remote));
        let settings = self.settings.clone();
        let path = &settings.scripts.ip_pre_up;
        if !self.runnable(path) {
            return false;
        }
        let program = self.program(path, Occasion::Ipv4);
        self.queue.push(Job { program, note: None, then: Some(Box::new(then)) });
        true
    }

    /// IPv4 packets can flow: runs `ip-up`, the first time.
    pub(crate) fn ipv4_up(&mut self, local: Ipv4Addr, remote: Ipv4Addr) {
        self.ipv4.get_or_insert((local, remote));
        if !std::mem::replace(&mut self.has_ipv4_begun, true) {
            self.pair(Occasion::Ipv4);
        }
    }

    /// IPv6 packets can flow: runs `ipv6-up`, the first time.
    pub(crate) fn ipv6_up(&mut self, local: &str, remote: &str) {
        if self.ipv6.is_none() {
            self.ipv6 = Some(Box::new((local.to_owned(), remote.to_owned())));
            self.pair(Occasion::Ipv6);
        }
    }

    /// The session is over: runs what is owed, the latest first.
    pub(crate) fn end(mut self, traffic: Traffic) {
        let facts = [
            ("CONNECT_TIME", traffic.connected.as_secs()),
            ("BYTES_SENT", traffic.sent),
            ("BYTES_RCVD", traffic.received),
        ];
        while let Some((occasion, note)) = self.owed.pop() {
            let mut program = self.program(occasion.down(&self.settings.scripts), occasion);
            let facts = facts.map(|(name, value)| (name.to_owned(), value.to_string().into()));
            program.environment.extend(facts);
            self.queue.push(Job { program, note, then: None });
        }
    }

    /// Runs a script of a beginning, and owes the one of its end.
    fn pair(&mut self, occasion: Occasion) {
        let settings = self.settings.clone();
        let (up, down) = (occasion.up(&settings.scripts), occasion.down(&settings.scripts));
        if self.runnable(down) {
            let program = self.program(down, occasion);
            let note = self.queue.scripts().0.debts.owe(occasion.debt(), &program);
            let note = note.map_err(|error| {
                let error = error.to_string();
                self.queue.source().publish(Event::HostFailed {
                    what: "note what a crash would leave undone",
                    error,
                });
            });
            self.owed.push((occasion, note.ok()));
        }
        if self.runnable(up) {
            let program = self.program(up, occasion);
            self.queue.push(Job { program, note: None, then: None });
        }
    }

    fn runnable(&self, path: &Path) -> bool {
        is_there(path).unwrap_or_else(|error| {
            let script = path.display().to_string();
            let error = error.to_string();
            self.queue.source().publish(Event::ScriptFailed { script, error });
            false
        })
    }

    fn program(&self, path: &Path, occasion: Occasion) -> Program {
        let arguments = match occasion {
            Occasion::Login => self.login_arguments(),
            Occasion::Ipv4 => {
                let (local, remote) = self.ipv4.map_or_else(Default::default, |(local, remote)| {
                    (local.to_string(), remote.to_string())
                });
                self.ip_arguments(local, remote)
            }
            Occasion::Ipv6 => {
                let (local, remote) = self.ipv6.as_deref().cloned().unwrap_or_default();
                self.ip_arguments(local, remote)
            }
        };
        Program { path: path.to_owned(), arguments, environment: self.environment() }
    }

    /// pppd(8): interface-name peer-name user-name tty-device speed.
    fn login_arguments(&self) -> Vec<OsString> {
        let interface = &self.identity.interface;
        vec![
            interface.into(),
            os_string(&self.identity.user),
            LOGIN.into(),
            terminal(interface).into(),
            self.settings.speed.to_string().into(),
        ]
    }

    /// pppd(8): interface-name tty-device speed local-IP-address remote-IP-address ipparam. The last is left out where there is none.
    fn ip_arguments(&self, local: String, remote: String) -> Vec<OsString> {
        let interface = &self.identity.interface;
        let mut arguments = vec![
            interface.into(),
            terminal(interface).into(),
            self.settings.speed.to_string().into(),
            local.into(),
            remote.into(),
        ];
        arguments.extend(match &self.settings.ip_param {
            IpParam::ClientAddress => Some(self.identity.client.to_string().into()),
            IpParam::Fixed(text) => text.as_ref().map(OsString::from),
        });
        arguments
    }

    /// pppd's variables for a script of the session.
    fn environment(&self) -> Vec<(String, OsString)> {
        let mut environment = environment(&self.identity, &self.settings);
        let mut set = |name: &str, value: &dyn ToString| {
            environment.retain(|(known, _)| known != name);
            environment.push((name.into(), value.to_string().into()));
        };
        if let Some((local, remote)) = &self.ipv4 {
            set("IPLOCAL", local);
            set("IPREMOTE", remote);
        }
        if let Some((local, remote)) = self.ipv6.as_deref() {
            set("LLLOCAL", local);
            set("LLREMOTE", remote);
        }
        environment
    }
}

/// pppd's variables for every script of a session.
fn environment(identity: &Identity, settings: &Settings) -> Vec<(String, OsString)> {
    let interface = &identity.interface;
    let number = settings.caller_number.clone().unwrap_or_else(|| identity.client.to_string());
    let digits = interface.rfind(|it: char| !it.is_ascii_digit()).map_or(0, |at| at + 1);
    let mut environment: Vec<(String, OsString)> = vec![
        ("DEVICE".into(), terminal(interface).into()),
        ("IFNAME".into(), interface.into()),
        ("UNIT".into(), interface.get(digits..).unwrap_or_default().into()),
        ("SPEED".into(), settings.speed.to_string().into()),
        ("ORIG_UID".into(), "0".into()),
        ("PPPLOGNAME".into(), LOGIN.into()),
        ("PPPD_PID".into(), std::process::id().to_string().into()),
        ("REMOTENUMBER".into(), number.into()),
    ];
    if !identity.user.is_empty() {
        environment.push(("PEERNAME".into(), os_string(&identity.user)));
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
