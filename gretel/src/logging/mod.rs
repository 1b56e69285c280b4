//! Where the log goes: to the journal when systemd runs us, to syslog when we are a daemon, to standard error otherwise.

mod syslog;

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::sync::Mutex;

use server::log::{PPPD, PPTPD};
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::Registry;
use tracing_subscriber::filter::{FilterExt, LevelFilter, filter_fn};
use tracing_subscriber::fmt::{self, MakeWriter, time::FormatTime};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use syslog::Syslog;

/// What starts the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sink {
    /// Standard error, or the journal where that is what it leads to.
    StandardError,
    /// `/dev/log`: nobody reads our standard error.
    Syslog,
}

/// Sets the log up, once; lines go to `file` as well.
pub(crate) fn start(sink: Sink, debug: bool, file: Option<File>) {
    let level = LevelFilter::from_level(if debug { Level::DEBUG } else { Level::INFO });
    let copy = file.map(|file| lines(Mutex::new(file)).with_filter(level));
    let log = Registry::default().with(copy);
    match sink {
        Sink::Syslog => log.with(Syslog::default().with_filter(level)).init(),
        Sink::StandardError => {
            if stderr_is_the_journal()
                && let (Some(pptpd), Some(pppd)) = (journal(PPTPD, level), journal(PPPD, level))
            {
                return log.with(pptpd).with(pppd).init();
            }
            log.with(lines(std::io::stderr).with_filter(level)).init();
        }
    }
}

/// Lines for a terminal or a file.
fn lines<S, W>(writer: W) -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + 'static,
{
    fmt::layer().with_writer(writer).with_ansi(false).with_timer(Seconds)
}

/// The journal's entries of one of the two old programs, under its identifier.
fn journal<S: Subscriber + for<'a> LookupSpan<'a>>(
    program: &'static str,
    level: LevelFilter,
) -> Option<impl Layer<S>> {
    let own = filter_fn(move |event: &Metadata<'_>| event.target() == program);
    let layer = tracing_journald::layer().ok()?;
    let layer =
        layer.with_syslog_identifier(program.into()).with_field_prefix(Some("GRETEL".into()));
    Some(layer.with_filter(level.and(own)))
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
