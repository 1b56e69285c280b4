//! The admin sockets: who is connected, ending sessions, the past. Described in docs/admin-socket.md.
//!
//! Two sockets, as looking and acting are separate rights: the file's permissions say who has which.

mod answer;
mod request;
mod trail;

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::WriteHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::shared::Shared;
use request::Request;

/// The socket for looking and acting, in the state directory.
pub const ADMIN_SOCKET: &str = "admin.sock";
/// The socket for looking only, in the state directory.
pub const MONITOR_SOCKET: &str = "monitor.sock";
/// The version of requests and answers.
pub const VERSION: u64 = 1;

/// Bytes of a request's line.
const LONGEST_LINE: usize = 4096;
/// Clients of one socket at once; others wait.
const MOST_CLIENTS: usize = 16;
/// How long a client may be silent, and how long it may take to read an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a socket's clients may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rights {
    Look,
    Act,
}

/// A listening socket; its file goes with it.
#[derive(Debug)]
pub(crate) struct Door {
    listener: UnixListener,
    path: PathBuf,
    rights: Rights,
}

/// Opens both sockets. The state directory must be this process's own.
///
/// # Errors
///
/// The directory cannot be written.
pub(crate) fn open(state_dir: &Path) -> io::Result<[Door; 2]> {
    Ok([
        Door::open(state_dir.join(ADMIN_SOCKET), Rights::Act)?,
        Door::open(state_dir.join(MONITOR_SOCKET), Rights::Look)?,
    ])
}

impl Door {
    fn open(path: PathBuf, rights: Rights) -> io::Result<Self> {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let door = Self { listener: UnixListener::bind(&path)?, path, rights };
        door.permit()?;
        Ok(door)
    }

    /// Acting is its owner's; looking is for the group of the state directory too.
    fn permit(&self) -> io::Result<()> {
        let mode = match self.rights {
            Rights::Act => 0o600,
            Rights::Look => {
                let folder = self.path.parent().unwrap_or(Path::new("/"));
                chown(&self.path, None, Some(fs::metadata(folder)?.gid()))?;
                0o660
            }
        };
        fs::set_permissions(&self.path, fs::Permissions::from_mode(mode))
    }

    /// Serves clients for as long as it is polled.
    pub(crate) async fn serve(self, shared: Rc<Shared>) {
        let places = Arc::new(Semaphore::new(MOST_CLIENTS));
        loop {
            // It is closed by nobody.
            let Ok(place) = places.clone().acquire_owned().await else { return };
            let Ok((stream, _)) = self.listener.accept().await else {
                // Out of files: they come back.
                tokio::time::sleep(Duration::from_millis(200)).await;
                continue;
            };
            let (rights, shared) = (self.rights, shared.clone());
            tokio::task::spawn_local(async move {
                // A client that goes away in the middle is no trouble of ours.
                let _ = converse(stream, rights, &shared).await;
                drop(place);
            });
        }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        // The next start removes it too.
        let _ = fs::remove_file(&self.path);
    }
}

/// Answers one client's requests, line by line.
async fn converse(mut stream: UnixStream, rights: Rights, shared: &Shared) -> io::Result<()> {
    let (read, mut write) = stream.split();
    let mut reader = BufReader::new(read);
    loop {
        let mut line = Vec::new();
        let longest = LONGEST_LINE as u64 + 1;
        let mut limited = (&mut reader).take(longest);
        timeout(PATIENCE, limited.read_until(b'\n', &mut line)).await??;
        if line.is_empty() {
            return Ok(());
        }
        let whole = line.ends_with(b"\n");
        let request = Request::parse(&line);
        if whole && let Ok(Request::Trail { whom, follow: true, .. }) = &request {
            trail::follow(whom, shared, &mut reader, &mut write).await?;
            continue;
        }
        let answer = match request {
            _ if !whole => answer::error("a request is one line of at most 4096 bytes"),
            Ok(request) => answer::answer(request, rights, shared).await,
            Err(why) => answer::error(&why),
        };
        send(&mut write, &answer).await?;
        if !whole {
            return Ok(());
        }
    }
}

/// Sends one line.
async fn send(write: &mut WriteHalf<'_>, answer: &Value) -> io::Result<()> {
    timeout(PATIENCE, write.write_all(format!("{answer}\n").as_bytes())).await?
}
