//! Where the log goes: to the journal when systemd runs us, to standard error otherwise.

use std::os::unix::fs::MetadataExt;

use tracing::Level;
use tracing_subscriber::Registry;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::{self, time::FormatTime};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// Sets the log up, once.
pub(crate) fn start(debug: bool) {
    let level = LevelFilter::from_level(if debug { Level::DEBUG } else { Level::INFO });
    if stderr_is_the_journal()
        && let Ok(journal) = tracing_journald::layer()
    {
        return Registry::default().with(journal.with_filter(level)).init();
    }
    let lines = fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_target(false)
        .with_timer(Seconds)
        .with_filter(level);
    Registry::default().with(lines).init();
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
