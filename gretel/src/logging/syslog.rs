//! Syslog by its local socket (RFC 3164 §4.1, without the time, which every syslogd sets itself).

use std::fmt::Write as _;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use server::log::PPPD;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

/// Facilities: pppd writes to `local2`, pptpd to `daemon`.
const LOCAL2: u8 = 18;
const DAEMON: u8 = 3;

/// Sends every event to syslogd under the name of the program that would have written it.
#[derive(Debug)]
pub(super) struct Syslog {
    path: PathBuf,
    /// Connected anew when syslogd was started anew.
    socket: Mutex<Option<UnixDatagram>>,
}

impl Default for Syslog {
    fn default() -> Self {
        Self::at(Path::new("/dev/log"))
    }
}

impl Syslog {
    fn at(path: &Path) -> Self {
        Self { path: path.to_owned(), socket: Mutex::new(None) }
    }

    fn send(&self, message: &[u8]) {
        let Ok(mut socket) = self.socket.lock() else { return };
        for _ in 0..2 {
            if socket.is_none() {
                *socket = connect(&self.path);
            }
            match socket.as_ref().map(|socket| socket.send(message)) {
                // A full queue loses a line, as with syslog(3): the server waits for nobody.
                Some(Err(error)) if error.kind() != std::io::ErrorKind::WouldBlock => {
                    *socket = None
                }
                _ => return,
            }
        }
    }
}

fn connect(path: &Path) -> Option<UnixDatagram> {
    let socket = UnixDatagram::unbound().ok()?;
    socket.set_nonblocking(true).ok()?;
    socket.connect(path).ok()?;
    Some(socket)
}

impl<S: Subscriber> Layer<S> for Syslog {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let program = event.metadata().target();
        let facility = if program == PPPD { LOCAL2 } else { DAEMON };
        let priority = facility * 8 + severity(*event.metadata().level());
        let mut message = Message(format!("<{priority}>{program}[{}]: ", std::process::id()));
        event.record(&mut message);
        self.send(message.0.as_bytes());
    }
}

/// RFC 3164 §4.1.1.
fn severity(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}

/// The text of an event, without its fields: those are in it as the old programs had them.
struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            // Writing to a string does not fail.
            let _ = write!(self.0, "{value:?}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use server::log::PPTPD;
    use tracing_subscriber::layer::SubscriberExt;

    #[test]
    fn lines_arrive_under_the_old_names_also_after_syslogd_came_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let receive = |socket: &UnixDatagram| {
            let mut buffer = [0; 200];
            let length = socket.recv(&mut buffer).unwrap();
            String::from_utf8_lossy(&buffer[..length]).into_owned()
        };
        let id = std::process::id();
        let subscriber = tracing_subscriber::registry().with(Syslog::at(&path));
        tracing::subscriber::with_default(subscriber, || {
            // Nobody listens yet.
            tracing::info!(target: PPTPD, "lost");
            let first = UnixDatagram::bind(&path).unwrap();
            tracing::info!(target: PPTPD, session = 7, "MGR: Manager process started");
            assert_eq!(receive(&first), format!("<30>pptpd[{id}]: MGR: Manager process started"));
            drop(first);
            std::fs::remove_file(&path).unwrap();
            let second = UnixDatagram::bind(&path).unwrap();
            tracing::warn!(target: PPPD, "Using interface {}", "ppp0");
            assert_eq!(receive(&second), format!("<148>pppd[{id}]: Using interface ppp0"));
        });
    }
}
