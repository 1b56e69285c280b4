//! The scripts that pppd runs when a session comes and goes (pppd(8), SCRIPTS), with its arguments and its environment.
//!
//! Each session's scripts run one after the other, in tasks of their own, so that nothing waits for them but [`Event`]s and, where there is
//! an `ip-pre-up`, the session itself. The [helper](crate::helper) runs them. What a session owes at its end (`ip-down` for an `ip-up`) is noted on disk before it becomes due: the
//! next start after a crash runs it.

mod debts;
mod program;
mod queue;
mod session;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, Notify, Semaphore};

use crate::event::{Bus, Event};
use crate::helper::{Answer, Helper, Order};
use debts::Debts;
pub(crate) use program::{LIMIT, Program};
pub(crate) use session::{Identity, SessionScripts, Traffic};

/// Programs that run at the same time; more wait for their turn.
const MAX_RUNNING: usize = 32;
/// As many more for scripts that a session waits for, so that hooks that hang keep nobody out.
const MAX_AWAITED: usize = 16;
/// How long the server waits for scripts when it stops. What is still owed then is run at the next start.
const FAREWELL: Duration = Duration::from_secs(30);

/// Where the scripts are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptPaths {
    /// When the peer has proved who it is.
    pub auth_up: PathBuf,
    /// When that is over.
    pub auth_down: PathBuf,
    /// When the interface has its IPv4 addresses and is still down; it comes up when the script has ended.
    pub ip_pre_up: PathBuf,
    /// When IPv4 packets can flow.
    pub ip_up: PathBuf,
    /// When they no longer can.
    pub ip_down: PathBuf,
    /// When IPv6 packets can flow.
    pub ipv6_up: PathBuf,
    /// When they no longer can.
    pub ipv6_down: PathBuf,
}

impl ScriptPaths {
    /// The scripts of a directory, under pppd's names.
    #[must_use]
    pub fn in_directory(directory: &Path) -> Self {
        Self {
            auth_up: directory.join("auth-up"),
            auth_down: directory.join("auth-down"),
            ip_pre_up: directory.join("ip-pre-up"),
            ip_up: directory.join("ip-up"),
            ip_down: directory.join("ip-down"),
            ipv6_up: directory.join("ipv6-up"),
            ipv6_down: directory.join("ipv6-down"),
        }
    }
}

impl ScriptPaths {
    /// Whether there is any script. Ten thousand sessions need nothing for those that there are not.
    pub(crate) fn is_any_there(&self) -> bool {
        let all = [&self.auth_up, &self.auth_down, &self.ip_pre_up, &self.ip_up];
        let more = [&self.ip_down, &self.ipv6_up, &self.ipv6_down];
        all.into_iter().chain(more).any(|path| path.exists())
    }
}

impl Default for ScriptPaths {
    fn default() -> Self {
        Self::in_directory(Path::new("/etc/ppp"))
    }
}

/// What the sixth argument of `ip-up` is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IpParam {
    /// The client's address, as pptpd gives it.
    ClientAddress,
    /// `ipparam`, or nothing.
    Fixed(Option<String>),
}

/// Runs the scripts of all sessions.
#[derive(Clone)]
pub(crate) struct Scripts(Rc<Inner>);

struct Inner {
    helper: Helper,
    debts: Debts,
    turns: Semaphore,
    awaited_turns: Semaphore,
    /// Held by the session whose scripts run, by its interface.
    lines: RefCell<HashMap<OsString, Arc<Mutex<()>>>>,
    /// Sessions of which a script runs or waits.
    busy: Cell<usize>,
    idle: Notify,
}

impl Scripts {
    /// Scripts that `helper` runs, and whose debts are noted under `state_dir`. Those of an earlier process that did not end properly are run now.
    pub(crate) fn open(state_dir: &Path, helper: Helper, bus: &Bus) -> io::Result<Self> {
        let debts = Debts::open(state_dir)?;
        let scripts = Self(Rc::new(Inner {
            helper,
            debts,
            turns: Semaphore::new(MAX_RUNNING),
            awaited_turns: Semaphore::new(MAX_AWAITED),
            lines: RefCell::default(),
            busy: Cell::new(0),
            idle: Notify::new(),
        }));
        let mut leftovers: BTreeMap<OsString, Vec<_>> = BTreeMap::new();
        for (file, program) in scripts.0.debts.leftovers()? {
            leftovers.entry(program.interface()).or_default().push((file, program));
        }
        for (interface, programs) in leftovers {
            let (runner, bus, line) = (scripts.clone(), bus.clone(), scripts.line(&interface));
            scripts.spawn(async move {
                let _turn = line.lock().await;
                for (file, program) in programs {
                    bus.server(Event::LeftoverUndone(format!("{program} was still to be run")));
                    runner.run(program, false, |event| bus.server(event)).await;
                    runner.0.debts.settle(&file);
                }
            });
        }
        Ok(scripts)
    }

    /// Who may run scripts for the interface of this name. Sessions take turns in their order: a name is soon another session's, and
    /// an `ip-down` that comes late must not undo that one's `ip-up`. pppd keeps its interface until its scripts have ended.
    fn line(&self, interface: impl AsRef<OsStr>) -> Arc<Mutex<()>> {
        let interface = interface.as_ref().to_owned();
        self.0.lines.borrow_mut().entry(interface).or_default().clone()
    }

    /// Forgets a line, unless others wait for it: there are as many as addresses.
    fn forget_line(&self, name: &str, line: &Arc<Mutex<()>>) {
        const OURS_AND_THE_MAPS: usize = 2;
        if Arc::strong_count(line) == OURS_AND_THE_MAPS {
            self.0.lines.borrow_mut().remove(OsStr::new(name));
        }
    }

    /// Waits until no script runs and none waits, within reason.
    pub(crate) async fn farewell(&self) {
        let all = async {
            while self.0.busy.get() > 0 {
                self.0.idle.notified().await;
            }
        };
        // What takes longer stays noted.
        let _ = tokio::time::timeout(FAREWELL, all).await;
    }

    /// Runs work that [`farewell`](Self::farewell) waits for.
    fn spawn(&self, work: impl Future<Output = ()> + 'static) {
        self.0.busy.set(self.0.busy.get() + 1);
        let scripts = self.clone();
        tokio::task::spawn_local(async move {
            work.await;
            scripts.0.busy.set(scripts.0.busy.get() - 1);
            scripts.0.idle.notify_one();
        });
    }

    /// Runs one program when it is its turn, and tells what became of it. `awaited`: a session waits for it.
    async fn run(&self, program: Program, awaited: bool, tell: impl Fn(Event)) {
        let turns = if awaited { &self.0.awaited_turns } else { &self.0.turns };
        // The semaphores are never closed.
        let _turn = turns.acquire().await;
        let script = program.path.display().to_string();
        let failed = |error: String| tell(Event::ScriptFailed { script: script.clone(), error });
        let mut answers = match self.0.helper.begin(Order::Run(program)) {
            Ok((_, answers)) => answers,
            Err(error) => return failed(error.to_string()),
        };
        let mut pid = 0;
        loop {
            match answers.recv().await {
                Some(Answer::Started(started)) => {
                    pid = started;
                    tell(Event::ScriptStarted { script: script.clone(), pid });
                }
                Some(Answer::Ended(status)) => {
                    return tell(Event::ScriptFinished { script, pid, status });
                }
                Some(Answer::Failed(error)) => return failed(error),
                _ => {
                    return failed(
                        "the process that runs scripts is gone: restart the server".into(),
                    );
                }
            }
        }
    }

    /// Who runs them.
    pub(crate) fn helper(&self) -> &Helper {
        &self.0.helper
    }
}

#[cfg(test)]
mod tests;
