//! The journal by its own socket (systemd's "Native Journal Protocol"): unlike standard error it takes a line's program, importance and fields.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use server::Sandbox;
use server::log::PPTPD;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

use super::queue::Queue;
use super::syslog::{facility, severity};

/// Sends every event to the journal under the identifier of the program that would have written it, with `GRETEL_SESSION` and `GRETEL_PEER`.
#[derive(Debug)]
pub(super) struct Journal(pub(super) Queue);

impl Journal {
    /// Sends to the socket at `path`.
    ///
    /// # Errors
    /// Nobody has that socket, or as [`Queue::start`].
    pub(super) fn at(path: &Path, sandbox: Sandbox) -> io::Result<Self> {
        UnixDatagram::unbound()?.connect(path)?;
        let lost = |lost| {
            let mut entry = Entry::new(PPTPD, Level::WARN);
            entry.put("MESSAGE", &super::lost(lost));
            entry.0
        };
        Queue::start(path, lost, sandbox).map(Self)
    }
}

impl<S: Subscriber> Layer<S> for Journal {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let metadata = event.metadata();
        let mut entry = Entry::new(metadata.target(), *metadata.level());
        event.record(&mut entry);
        self.0.push(entry.0);
    }
}

/// A datagram of fields.
struct Entry(Vec<u8>);

impl Entry {
    fn new(program: &str, level: Level) -> Self {
        let mut entry = Self(Vec::with_capacity(256));
        entry.put("SYSLOG_IDENTIFIER", program);
        entry.put("SYSLOG_FACILITY", &facility(program).to_string());
        entry.put("SYSLOG_PID", &std::process::id().to_string());
        entry.put("PRIORITY", &severity(level).to_string());
        entry
    }

    /// A field in the form that takes any value: its length stands before it.
    fn put(&mut self, name: &str, value: &str) {
        self.0.extend_from_slice(name.as_bytes());
        self.0.push(b'\n');
        self.0.extend_from_slice(&(value.len() as u64).to_le_bytes());
        self.0.extend_from_slice(value.as_bytes());
        self.0.push(b'\n');
    }
}

impl Visit for Entry {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let value = format!("{value:?}");
        match field.name() {
            "message" => self.put("MESSAGE", &value),
            name => self.put(&format!("GRETEL_{}", name.to_ascii_uppercase()), &value),
        }
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[test]
    fn an_entry_has_program_importance_text_and_fields() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        assert!(Journal::at(&path, Sandbox::off()).is_err(), "nobody listens there");
        let daemon = UnixDatagram::bind(&path).unwrap();
        let journal = Journal::at(&path, Sandbox::off()).unwrap();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(journal), || {
            tracing::warn!(target: "pppd", session = 7, "two\nlines");
        });
        let mut buffer = [0; 500];
        let length = daemon.recv(&mut buffer).unwrap();
        let mut expected = Entry(Vec::new());
        let id = std::process::id().to_string();
        for (name, value) in [
            ("SYSLOG_IDENTIFIER", "pppd"),
            ("SYSLOG_FACILITY", "18"),
            ("SYSLOG_PID", &id),
            ("PRIORITY", "4"),
            ("MESSAGE", "two\nlines"),
            ("GRETEL_SESSION", "7"),
        ] {
            expected.put(name, value);
        }
        let text = String::from_utf8_lossy(&buffer[..length]);
        assert_eq!(text, String::from_utf8_lossy(&expected.0));
        assert!(text.contains("MESSAGE\n\u{9}\0\0\0\0\0\0\0two\nlines\n"), "{text:?}");
    }
}
