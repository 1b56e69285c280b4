//! The past: a row for each attempt that has ended, with its trail, in an SQLite file of the state directory.
//!
//! A disk may be slow, full or broken: rows are written on a thread of their own, wait in a bounded queue, and are dropped and counted when they
//! cannot be written. Serving never waits for them. Nothing secret is in them.

mod file;

use std::fs;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, OptionalExtension, params};
use serde_json::{Map, Value, json};
use sys::sandbox::{Role, Sandbox};

use crate::event::{Attempt, Event, Record, Subscriber, Summary};
use crate::trail::Packed;
use file::{COLUMNS, is_broken, open_to_read, prepare, write_all};

/// The file's name in the state directory.
const FILE: &str = "history.db";
/// Rows that may wait for the disk.
const QUEUE: usize = 1024;

/// How much of the past is kept; the oldest goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Attempts.
    pub attempts: u32,
    /// Days since their ends.
    pub days: u32,
    /// The file's largest size in MiB, as the directory may be in memory.
    pub megabytes: u32,
}

impl Bounds {
    /// The file's largest size.
    fn bytes(self) -> i64 {
        i64::from(self.megabytes) * 1024 * 1024
    }
}

impl Default for Bounds {
    fn default() -> Self {
        Self { attempts: 20_000, days: 90, megabytes: 16 }
    }
}

/// Keeps the past: a subscriber.
#[derive(Debug)]
pub struct History {
    rows: Option<SyncSender<Row>>,
    writer: Option<JoinHandle<()>>,
    reader: Reader,
}

/// Where the past can be read.
#[derive(Clone, Debug)]
pub struct Reader {
    /// One for all, open from the start: SQLite keeps a reader's file open as long as this process writes to it.
    connection: Arc<Mutex<Connection>>,
    troubles: Arc<Troubles>,
}

#[derive(Debug, Default)]
struct Troubles {
    /// Rows that were not written.
    lost: AtomicU64,
    /// What went wrong last.
    last: Mutex<Option<String>>,
}

impl Troubles {
    fn note(&self, error: String) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }
}

/// An attempt that is over. Times are in seconds since 1970 and in milliseconds.
#[derive(Debug)]
struct Row {
    ended: i64,
    session: Option<u64>,
    peer: String,
    summary: Option<Summary>,
    attempt: Attempt,
}

impl History {
    /// Opens or makes the file in a directory, and writes to it in a sandbox. One that cannot be read is set aside as `history.db.broken`.
    ///
    /// # Errors
    ///
    /// The directory cannot be written, or no thread be started.
    pub fn open(directory: &Path, bounds: Bounds, sandbox: Sandbox) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        let file = directory.join(FILE);
        let connection = match prepare(&file, bounds) {
            Err(error) if is_broken(&error) => {
                fs::rename(&file, directory.join("history.db.broken"))?;
                // What belongs to the broken file must not be taken for the new one's; they need not be there.
                for companion in ["history.db-wal", "history.db-shm"] {
                    let _ = fs::remove_file(directory.join(companion));
                }
                prepare(&file, bounds)
            }
            prepared => prepared,
        };
        let connection = connection.map_err(io::Error::other)?;
        let reading = open_to_read(&file).map_err(io::Error::other)?;
        let reader = Reader { connection: Arc::new(Mutex::new(reading)), troubles: Arc::default() };
        let (sender, rows) = sync_channel(QUEUE);
        let troubles = reader.troubles.clone();
        let writer =
            thread::Builder::new().name("history".to_owned()).spawn(move || {
                match sandbox.enter(Role::Disk) {
                    Ok(()) => write_all(&connection, bounds, &rows, &troubles),
                    Err(error) => troubles.note(error.to_string()),
                }
            })?;
        Ok(Self { rows: Some(sender), writer: Some(writer), reader })
    }

    /// Where the past can be read.
    #[must_use]
    pub fn reader(&self) -> Reader {
        self.reader.clone()
    }
}

impl Drop for History {
    fn drop(&mut self) {
        self.rows = None;
        if let Some(writer) = self.writer.take() {
            // It does not panic; if it did, there is nothing left to write.
            let _ = writer.join();
        }
    }
}

impl Subscriber for History {
    fn take(&self, record: &Record) {
        if record.untold {
            return;
        }
        let (summary, attempt) = match &record.event {
            Event::SessionEnded(summary, attempt) => (Some(summary.clone()), attempt.clone()),
            Event::NoSession(attempt) => (None, attempt.clone()),
            _ => return,
        };
        let peer = record.peer.map(|peer| peer.ip().to_string()).unwrap_or_default();
        let ended = seconds(record.at);
        let row = Row { ended, session: record.session, peer, summary, attempt };
        let taken = self.rows.as_ref().is_some_and(|rows| rows.try_send(row).is_ok());
        if !taken {
            self.reader.troubles.lost.fetch_add(1, Relaxed);
        }
    }
}

fn seconds(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// Which rows a person means: a session's number, a user, an address of either kind; everybody's for nothing.
const MEANT: &str =
    "(?1 = '' OR user = ?1 OR peer = ?1 OR address = ?1 OR CAST(session AS TEXT) = ?1)";

/// An attempt of the past with its trail.
#[derive(Debug)]
pub struct Past {
    /// The row, by its columns' names.
    pub attempt: Map<String, Value>,
    /// What happened, if it is still kept.
    pub trail: Option<Packed>,
}

impl Reader {
    /// The newest `limit` attempts, the newest first; of one user, peer, address in the tunnel or session if `whom` is not empty. Blocks.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub fn read(&self, limit: u32, whom: &str) -> rusqlite::Result<Vec<Value>> {
        let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let columns = COLUMNS.join(",");
        let sql = format!("SELECT {columns} FROM attempt WHERE {MEANT} ORDER BY id DESC LIMIT ?2");
        let mut statement = connection.prepare(&sql)?;
        let rows = statement.query_map(params![whom, limit], row_to_json)?;
        rows.map(|row| row.map(Value::Object)).collect()
    }

    /// How many attempts of `whom` there are, as in [`read`](Self::read). Blocks.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub fn count(&self, whom: &str) -> rusqlite::Result<u64> {
        let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let sql = format!("SELECT count(*) FROM attempt WHERE {MEANT}");
        let count: i64 = connection.query_row(&sql, [whom], |row| row.get(0))?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// The attempt that has so many newer ones among those of `whom`, as in [`read`](Self::read). Blocks.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub fn trail(&self, whom: &str, newer: u32) -> rusqlite::Result<Option<Past>> {
        let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let columns = COLUMNS.join(",");
        let sql = format!(
            "SELECT {columns}, steps FROM attempt LEFT JOIN trail ON trail.attempt = attempt.id WHERE {MEANT}
             ORDER BY id DESC LIMIT 1 OFFSET ?2"
        );
        let past = connection.prepare(&sql)?.query_row(params![whom, newer], |row| {
            let steps: Option<Vec<u8>> = row.get(COLUMNS.len())?;
            let trail = steps.as_deref().map(Packed::from_bytes);
            Ok(Past { attempt: row_to_json(row)?, trail })
        });
        past.optional()
    }

    /// How many attempts could not be written since the start, and what went wrong last.
    #[must_use]
    pub fn troubles(&self) -> (u64, Option<String>) {
        let last = self.troubles.last.lock().unwrap_or_else(PoisonError::into_inner);
        (self.troubles.lost.load(Relaxed), last.clone())
    }
}

fn row_to_json(row: &rusqlite::Row<'_>) -> rusqlite::Result<Map<String, Value>> {
    let mut attempt = Map::new();
    for (at, name) in COLUMNS.into_iter().enumerate() {
        let value = match row.get_ref(at)? {
            rusqlite::types::ValueRef::Integer(number) => json!(number),
            rusqlite::types::ValueRef::Text(text) => json!(String::from_utf8_lossy(text)),
            _ => Value::Null,
        };
        attempt.insert(name.to_owned(), value);
    }
    Ok(attempt)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::net::SocketAddrV4;
    use std::os::unix::fs::PermissionsExt;

    use std::time::Duration;

    use super::file::prune;
    use super::*;
    use crate::event::Bus;
    use crate::log::Log;
    use crate::verdict::{Evidence, Stage};

    fn record(peer: Ipv4Addr) -> Record {
        let evidence = Evidence::default();
        let judgement = evidence.judge_connection().unwrap();
        let attempt = Attempt {
            client: None,
            stage: Stage::Control,
            judgement,
            name: None,
            lasted: Duration::ZERO,
            trail: Packed::default(),
        };
        Record {
            at: SystemTime::now(),
            peer: Some(SocketAddrV4::new(peer, 4000)),
            session: None,
            untold: false,
            event: Event::NoSession(attempt),
        }
    }

    const ONE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
    const TWO: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

    #[test]
    fn the_past_outlives_the_server_and_can_be_searched() {
        let dir = tempfile::tempdir().unwrap();
        for peer in [ONE, TWO] {
            let history = History::open(dir.path(), Bounds::default(), Sandbox::off()).unwrap();
            history.take(&record(peer));
        }
        let history = History::open(dir.path(), Bounds::default(), Sandbox::off()).unwrap();
        let all = history.reader().read(10, "").unwrap();
        assert_eq!([&all[0]["peer"], &all[1]["peer"]], ["192.0.2.2", "192.0.2.1"]);
        assert!(all[0]["code"].as_str().unwrap().starts_with("G-"));
        assert_eq!(history.reader().read(10, "192.0.2.1").unwrap().len(), 1);
        assert_eq!(history.reader().read(1, "").unwrap().len(), 1);
        assert_eq!(history.reader().read(10, "' OR 1 --").unwrap().len(), 0);
        let mode = fs::metadata(dir.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_broken_file_is_set_aside() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FILE), [0x5a; 8192]).unwrap();
        let history = History::open(dir.path(), Bounds::default(), Sandbox::off()).unwrap();
        assert!(history.reader().read(10, "").unwrap().is_empty());
        assert!(dir.path().join("history.db.broken").exists());
    }

    #[test]
    fn what_cannot_be_written_is_counted_and_harms_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let history = History::open(dir.path(), Bounds::default(), Sandbox::off()).unwrap();
        let other = Connection::open(dir.path().join(FILE)).unwrap();
        other.execute("DROP TABLE attempt", []).unwrap();
        history.take(&record(ONE));
        let reader = history.reader();
        drop(history);
        let (lost, last) = reader.troubles();
        assert_eq!(lost, 1);
        assert!(last.unwrap().contains("no such table"));
    }

    #[test]
    fn rows_beyond_the_bounds_go_the_oldest_first() {
        let bounds = Bounds { attempts: 5, days: 2, megabytes: 1 };
        let dir = tempfile::tempdir().unwrap();
        let connection = prepare(&dir.path().join(FILE), bounds).unwrap();
        let insert = |id: i64, ended: i64| {
            let sql = "INSERT INTO attempt (id, ended, peer, stage, code, why) VALUES (?1, ?2, '', '', '', '')";
            connection.execute(sql, [id, ended]).unwrap();
        };
        let now = seconds(SystemTime::now());
        insert(1, now);
        insert(2, now);
        insert(6, now);
        insert(7, now - 2 * 86_400 - 1);
        prune(&connection, bounds).unwrap();
        let mut left = connection.prepare("SELECT id FROM attempt ORDER BY id").unwrap();
        let left: Vec<i64> =
            left.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        assert_eq!(left, [2, 6]);
    }

    #[test]
    fn where_attempts_alone_fill_the_file_the_oldest_make_way() {
        let bounds = Bounds { attempts: 1_000_000, days: 2, megabytes: 1 };
        let dir = tempfile::tempdir().unwrap();
        let connection = prepare(&dir.path().join(FILE), bounds).unwrap();
        let sql = "INSERT INTO attempt (ended, peer, stage, code, why) VALUES (?1, '', '', '', printf('%2000d', 1))";
        let now = seconds(SystemTime::now());
        while connection.execute(sql, [now]).is_ok() {}
        drop(connection);
        let history = History::open(dir.path(), bounds, Sandbox::off()).unwrap();
        history.take(&record(ONE));
        let reader = history.reader();
        drop(history);
        assert_eq!(reader.troubles(), (0, None));
        assert_eq!(reader.read(1, "").unwrap()[0]["peer"], "192.0.2.1");
    }

    #[test]
    fn a_trail_comes_back_with_its_attempt_and_goes_before_it() {
        let dir = tempfile::tempdir().unwrap();
        let history = History::open(dir.path(), Bounds::default(), Sandbox::off()).unwrap();
        let reader = history.reader();
        let bus = Bus::new(vec![Box::new(history)]);
        for peer in [ONE, TWO, ONE] {
            let source = bus.connection(SocketAddrV4::new(peer, 4000));
            source.publish(Event::Connected { local: "10.0.0.1:1723".parse().unwrap() });
            source.disconnected();
        }
        drop(bus);
        let past = reader.trail("192.0.2.1", 0).unwrap().unwrap();
        assert_eq!(past.attempt["peer"], "192.0.2.1");
        let trail = past.trail.unwrap();
        assert!(trail.began().unwrap() > 1_700_000_000);
        let shown = trail.show().unwrap();
        assert_eq!(shown[0].text, "connects to 10.0.0.1");
        assert_eq!(shown[1].text, "missing: a call");
        assert!(shown[2].text.starts_with("G-1") && shown[2].verdict == Some(false));
        assert_eq!(reader.count("192.0.2.1").unwrap(), 2);
        assert!(reader.trail("192.0.2.1", 1).unwrap().is_some());
        assert!(reader.trail("192.0.2.1", 2).unwrap().is_none());
        let other = Connection::open(dir.path().join(FILE)).unwrap();
        let megabyte = "UPDATE trail SET steps = zeroblob(3000000)";
        other.execute(megabyte, []).unwrap();
        prune(&other, Bounds::default()).unwrap();
        assert!(reader.trail("", 0).unwrap().unwrap().trail.is_some());
        let oldest = reader.trail("", 2).unwrap().unwrap();
        assert!(oldest.trail.is_none(), "8 MB do not hold three of 3 MB");
    }

    /// Counts lines.
    struct Lines(Arc<AtomicU64>);

    impl tracing::Subscriber for Lines {
        fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
            true
        }
        fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
            tracing::span::Id::from_u64(1)
        }
        fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
        fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
        fn event(&self, _: &tracing::Event<'_>) {
            self.0.fetch_add(1, Relaxed);
        }
        fn enter(&self, _: &tracing::span::Id) {}
        fn exit(&self, _: &tracing::span::Id) {}
    }

    /// How many attempts were said to be left out.
    #[derive(Clone, Default)]
    struct Untold(Arc<AtomicU64>);

    impl Subscriber for Untold {
        fn take(&self, record: &Record) {
            if let Event::AttemptsUntold(untold) = &record.event {
                self.0.fetch_add(untold.attempts, Relaxed);
            }
        }
    }

    #[test]
    fn ten_thousand_failing_attempts_fill_neither_log_nor_history_and_their_number_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let history = History::open(dir.path(), Bounds::default(), Sandbox::off()).unwrap();
        let reader = history.reader();
        let lines = Arc::new(AtomicU64::new(0));
        let told = Untold::default();
        tracing::subscriber::with_default(Lines(lines.clone()), || {
            let bus = Bus::new(vec![Box::new(Log), Box::new(history), Box::new(told.clone())]);
            for _ in 0..10_000 {
                let source = bus.connection(SocketAddrV4::new(ONE, 4000));
                source.publish(Event::Connected { local: "10.0.0.1:1723".parse().unwrap() });
                source.disconnected();
            }
            bus.tell_untold();
        });
        let (lines, rows) = (lines.load(Relaxed), reader.read(1000, "").unwrap().len());
        assert_eq!((lines, rows), (20 * 3 + 1, 20));
        assert_eq!(reader.troubles().0, 0);
        assert_eq!(told.0.load(Relaxed), 9_980);
    }
}
