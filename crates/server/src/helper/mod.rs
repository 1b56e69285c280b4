//! A second process that does what the server has given up the right to do: it runs scripts, asks PAM, looks at this host while an attempt
//! goes badly (`look`), and, where the server is another user than root, writes what other tools look for (`host::Mark`).
//!
//! The server starts it first of all, as the same program, and then confines itself. The helper keeps the rights of root and takes orders from the server
//! alone, over a socket that nobody else has. It does not trust them: it runs the programs that the
//! configuration named before the server was confined, and those in `/etc/ppp`, and hands no variable on that would make a shell or the
//! loader run anything else.

mod allowed;
mod message;
mod orders;
mod work;

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

pub(crate) use allowed::Allowed;
pub(crate) use message::{Answer, Login, Order};
pub(crate) use orders::Helper;

use crate::settings::Settings;

/// The name of the command that a helper is started with.
pub const COMMAND: &str = "helper";

/// Starts a helper for a server with these settings; gives the server's end of the socket. The helper ends when that is closed.
///
/// # Errors
///
/// No process or socket could be made.
pub fn start(settings: &Settings) -> io::Result<UnixStream> {
    let (ours, theirs) = UnixStream::pair()?;
    // The file that this process runs, also when another has taken its name meanwhile.
    let mut command = Command::new("/proc/self/exe");
    command
        .arg0("gretel")
        .arg(COMMAND)
        .env_clear()
        .stdin(Stdio::from(std::os::fd::OwnedFd::from(theirs)))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    // It is not waited for: it ends after this process, or with it.
    drop(command.spawn()?);
    orders::allow(&ours, Allowed::by(settings))?;
    Ok(ours)
}

/// What the helper does, until the server closes its end of the socket, which is this process's standard input.
///
/// # Errors
///
/// Standard input is no such socket.
pub fn run() -> io::Result<()> {
    // Its own name and session: what ends the server's terminal or its group must not end scripts that are still to be run.
    let _ = rustix::thread::set_name(c"gretel-helper");
    let _ = rustix::process::setsid();
    let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let work = async { work::serve(socket, crate::scripts::LIMIT).await };
    tokio::task::LocalSet::new().block_on(&runtime, work)
}
