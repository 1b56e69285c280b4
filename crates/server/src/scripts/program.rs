//! One program with its arguments and its environment.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};
use tokio::task::spawn_blocking;

use crate::event::Event;

/// How long a script may run. pppd waits for ever, and its hooks do less.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);

/// A program to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    /// Without the program's own name.
    pub(crate) arguments: Vec<OsString>,
    /// All of its environment: pppd hands nothing of its own down.
    pub(crate) environment: Vec<(String, OsString)>,
}

/// Whether there is a script at `path`. An `Err` says why the file that is there cannot be one.
pub(super) fn is_there(path: &Path) -> io::Result<bool> {
    let metadata = match path.metadata() {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    if !metadata.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    if metadata.permissions().mode() & 0o111 == 0 {
        return Err(io::Error::other("it is not executable: chmod +x it, or remove it"));
    }
    Ok(true)
}

impl Program {
    /// The interface that it is for: every script's first argument.
    pub(super) fn interface(&self) -> OsString {
        self.arguments.first().cloned().unwrap_or_default()
    }

    /// The path, the number of arguments, the arguments and the environment, each ended by a NUL.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut text = Vec::new();
        let mut put = |bytes: &[u8]| {
            text.extend_from_slice(bytes);
            text.push(0);
        };
        put(self.path.as_os_str().as_bytes());
        put(self.arguments.len().to_string().as_bytes());
        for argument in &self.arguments {
            put(argument.as_bytes());
        }
        for (name, value) in &self.environment {
            put(&[name.as_bytes(), b"=", value.as_bytes()].concat());
        }
        text
    }

    /// The program that was encoded; `None` for anything else.
    pub(crate) fn decode(text: &[u8]) -> Option<Self> {
        let mut words = text.strip_suffix(&[0])?.split(|byte| *byte == 0);
        let mut word = || words.next().map(|word| OsString::from_vec(word.to_vec()));
        let path = PathBuf::from(word()?);
        let count: usize = word()?.to_str()?.parse().ok()?;
        let arguments = (0..count).map(|_| word()).collect::<Option<Vec<_>>>()?;
        let mut environment = Vec::new();
        while let Some(entry) = word() {
            let entry = entry.into_vec();
            let at = entry.iter().position(|byte| *byte == b'=')?;
            let name = String::from_utf8(entry[..at].to_vec()).ok()?;
            environment.push((name, OsString::from_vec(entry[at + 1..].to_vec())));
        }
        Some(Self { path, arguments, environment })
    }

    /// Runs the program to its end, or to that of the time it has. `tell` hears of the beginning and the end.
    pub(crate) async fn run(self, limit: Duration, tell: impl Fn(Event)) {
        let script = self.path.display().to_string();
        let failed = |error: String| tell(Event::ScriptFailed { script: script.clone(), error });
        // Starting a process waits for its file to be read, from wherever it is: not on the one thread that takes orders.
        let mut child = match spawn_blocking(move || self.start()).await {
            Ok(Ok(child)) => child,
            Ok(Err(error)) => return failed(error.to_string()),
            Err(error) => return failed(error.to_string()),
        };
        let pid = child.id().unwrap_or_default();
        tell(Event::ScriptStarted { script: script.clone(), pid });
        match tokio::time::timeout(limit, child.wait()).await {
            Ok(Ok(status)) => tell(Event::ScriptFinished { script, pid, status }),
            Ok(Err(error)) => failed(error.to_string()),
            Err(_) => {
                end_group(&mut child).await;
                failed(format!("it ran for more than {} s and was ended", limit.as_secs()));
            }
        }
    }

    fn start(&self) -> io::Result<Child> {
        let mut command = sys::process::script(&self.path);
        command
            .args(&self.arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        Command::from(command).spawn()
    }
}

/// Kills a program and all that it started, which is in its process group.
async fn end_group(child: &mut Child) {
    let pid = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    if let Some(pid) = pid {
        // It may have ended in this moment.
        let _ = kill_process_group(pid, Signal::KILL);
    }
    let _ = child.wait().await;
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        for argument in self.arguments.iter().take(1) {
            write!(f, " for {}", wire::Escaped(argument.as_encoded_bytes()))?;
        }
        Ok(())
    }
}
