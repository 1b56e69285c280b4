//! Where the log goes: to the journal when systemd runs us, to syslog when we are a daemon, to standard error otherwise.

mod journal;
mod queue;
mod syslog;

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::Context as _;
use tracing::{Level, Subscriber};
use tracing_subscriber::Registry;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::{self, MakeWriter, time::FormatTime};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use journal::Journal;
use queue::Queue;
use server::Sandbox;
use syslog::Syslog;

/// Where programs of the C library send log lines.
const SYSLOG_SOCKET: &str = "/dev/log";
/// Where the journal takes entries (systemd's "Native Journal Protocol").
const JOURNAL_SOCKET: &str = "/run/systemd/journal/socket";

/// What starts the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sink {
    /// Standard error, or the journal where that is what it leads to.
    StandardError,
    /// `/dev/log`: nobody reads our standard error.
    Syslog,
}

/// The log, for as long as the process has something to say. When dropped it waits for lines that have not left, a second at most.
#[must_use = "lines that have not left when the process ends are lost"]
pub(crate) struct Log(Vec<Queue>);

impl Drop for Log {
    fn drop(&mut self) {
        for queue in &self.0 {
            queue.flush();
        }
    }
}

/// Sets the log up, once; lines go to `file` as well. What sends them elsewhere does so in the sandbox.
///
/// # Errors
/// The operating system has no thread for the lines.
pub(crate) fn start(
    sink: Sink,
    debug: bool,
    file: Option<File>,
    sandbox: &Sandbox,
) -> anyhow::Result<Log> {
    let level = LevelFilter::from_level(if debug { Level::DEBUG } else { Level::INFO });
    let mut queues = Vec::new();
    let mut into = |queue: io::Result<Queue>| {
        let queue = queue.context("cannot start the log")?;
        queues.push(queue.clone());
        anyhow::Ok(move || queue.clone())
    };
    let copy =
        file.map(|file| into(Queue::into_stream(file, lost_line, sandbox.clone()))).transpose()?;
    let copy = copy.map(|writer| lines(writer).with_filter(level));
    let log = Registry::default().with(copy);
    if sink == Sink::Syslog {
        let syslog = Syslog::at(Path::new(SYSLOG_SOCKET), sandbox.clone())
            .context("cannot start the log")?;
        queues.push(syslog.0.clone());
        log.with(syslog.with_filter(level)).init();
        return Ok(Log(queues));
    }
    if stderr_is_the_journal()
        && let Ok(journal) = Journal::at(Path::new(JOURNAL_SOCKET), sandbox.clone())
    {
        queues.push(journal.0.clone());
        log.with(journal.with_filter(level)).init();
        return Ok(Log(queues));
    }
    let writer = into(Queue::into_stream(io::stderr(), lost_line, sandbox.clone()))?;
    log.with(lines(writer).with_filter(level)).init();
    Ok(Log(queues))
}

/// What stands in the log where lines are missing.
fn lost(lines: u64) -> String {
    format!("Lines missing here: {lines}. Whoever keeps this log did not take them in time")
}

/// The same as a line for a terminal or a file.
fn lost_line(lines: u64) -> Vec<u8> {
    format!("{}\n", lost(lines)).into_bytes()
}

/// Lines for a terminal or a file.
fn lines<S, W>(writer: W) -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + 'static,
{
    fmt::layer().with_writer(writer).with_ansi(false).with_timer(Seconds)
}

/// Seconds and milliseconds since 1970: what a reader of a terminal needs is the distance between lines.
struct Seconds;

impl FormatTime for Seconds {
    fn format_time(&self, w: &mut fmt::format::Writer<'_>) -> std::fmt::Result {
        let now = std::time::SystemTime::now();
        let since = now.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        write!(w, "{}.{:03}", since.as_secs(), since.subsec_millis())
    }
}

/// systemd names the device and inode of the stream that it gave us as standard error.
fn stderr_is_the_journal() -> bool {
    let Ok(named) = std::env::var("JOURNAL_STREAM") else { return false };
    let Ok(stderr) = std::fs::metadata("/dev/stderr") else { return false };
    named == format!("{}:{}", stderr.dev(), stderr.ino())
}
