//! Syslog by its local socket (RFC 3164 §4.1, without the time, which every syslogd sets itself).

use std::fmt::Write as _;
use std::io;
use std::path::Path;

use server::Sandbox;
use server::log::{PPPD, PPTPD};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

use super::queue::Queue;

/// Facilities: pppd writes to `local2`, pptpd to `daemon`.
const LOCAL2: u8 = 18;
const DAEMON: u8 = 3;

/// Sends every event to syslogd under the name of the program that would have written it.
#[derive(Debug)]
pub(super) struct Syslog(pub(super) Queue);

impl Syslog {
    /// Sends to the socket at `path`.
    ///
    /// # Errors
    /// As [`Queue::start`].
    pub(super) fn at(path: &Path, sandbox: Sandbox) -> io::Result<Self> {
        let lost = |lost| (header(PPTPD, Level::WARN) + &super::lost(lost)).into_bytes();
        Queue::start(path, lost, sandbox).map(Self)
    }
}

impl<S: Subscriber> Layer<S> for Syslog {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let metadata = event.metadata();
        let mut message = Message(header(metadata.target(), *metadata.level()));
        event.record(&mut message);
        self.0.push(message.0.into_bytes());
    }
}

/// What stands before a line's text.
fn header(program: &str, level: Level) -> String {
    let priority = facility(program) * 8 + severity(level);
    format!("<{priority}>{program}[{}]: ", std::process::id())
}

/// RFC 3164 §4.1.1: where the old programs' lines are filed.
pub(super) fn facility(program: &str) -> u8 {
    if program == PPPD { LOCAL2 } else { DAEMON }
}

/// RFC 3164 §4.1.1: how much a line matters.
pub(super) fn severity(level: Level) -> u8 {
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
    use std::os::unix::net::UnixDatagram;

    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[test]
    fn lines_arrive_under_the_old_names() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let daemon = UnixDatagram::bind(&path).unwrap();
        let receive = || {
            let mut buffer = [0; 200];
            let length = daemon.recv(&mut buffer).unwrap();
            String::from_utf8_lossy(&buffer[..length]).into_owned()
        };
        let id = std::process::id();
        let subscriber =
            tracing_subscriber::registry().with(Syslog::at(&path, Sandbox::off()).unwrap());
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(target: PPTPD, session = 7, "MGR: Manager process started");
            assert_eq!(receive(), format!("<30>pptpd[{id}]: MGR: Manager process started"));
            tracing::warn!(target: PPPD, "Using interface {}", "ppp0");
            assert_eq!(receive(), format!("<148>pppd[{id}]: Using interface ppp0"));
        });
    }
}
