//! The past: a row for each attempt that has ended, in an SQLite file of the state directory.
//!
//! A disk may be slow, full or broken: rows are written on a thread of their own, wait in a bounded queue, and are dropped and counted when they
//! cannot be written. Serving never waits for them. Nothing secret is in them.

use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, ErrorCode, OpenFlags, params};
use serde_json::{Value, json};
use wire::Escaped;

use crate::event::{Attempt, Event, Record, Subscriber, Summary};

/// The file's name in the state directory.
const FILE: &str = "history.db";
/// Rows that may wait for the disk.
const QUEUE: usize = 1024;
/// Bytes of one of SQLite's pages, unless it is told otherwise.
const PAGE: i64 = 4096;
/// Rows written between two looks at the bounds.
const PRUNE_EVERY: u64 = 100;
/// How long a reader or writer waits for the other.
const PATIENCE: Duration = Duration::from_secs(2);

const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS attempt (
    id INTEGER PRIMARY KEY, ended INTEGER NOT NULL, session INTEGER, peer TEXT NOT NULL, user TEXT, address TEXT, client TEXT,
    stage TEXT NOT NULL, code TEXT NOT NULL, why TEXT NOT NULL, milliseconds INTEGER, connected INTEGER,
    sent INTEGER, sent_packets INTEGER, received INTEGER, received_packets INTEGER, gre_received INTEGER, gre_lost INTEGER,
    round_trip_us INTEGER)";
const COLUMNS: [&str; 18] = [
    "ended",
    "session",
    "peer",
    "user",
    "address",
    "client",
    "stage",
    "code",
    "why",
    "milliseconds",
    "connected",
    "sent",
    "sent_packets",
    "received",
    "received_packets",
    "gre_received",
    "gre_lost",
    "round_trip_us",
];

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
    /// Opens or makes the file in a directory. One that cannot be read is set aside as `history.db.broken`.
    ///
    /// # Errors
    ///
    /// The directory cannot be written, or no thread be started.
    pub fn open(directory: &Path, bounds: Bounds) -> io::Result<Self> {
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
        let writer = thread::Builder::new()
            .name("history".to_owned())
            .spawn(move || write_all(&connection, bounds, &rows, &troubles))?;
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

/// Every file that reading needs is open then.
fn open_to_read(file: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags)?;
    connection.busy_timeout(PATIENCE)?;
    connection.query_row("SELECT count(*) FROM attempt", [], |_| Ok(()))?;
    Ok(connection)
}

fn is_broken(error: &rusqlite::Error) -> bool {
    let broken = [ErrorCode::NotADatabase, ErrorCode::DatabaseCorrupt];
    error.sqlite_error_code().is_some_and(|code| broken.contains(&code))
}

fn prepare(file: &Path, bounds: Bounds) -> rusqlite::Result<Connection> {
    // Made here, so that nobody else can read it; if that fails, SQLite says why.
    let _ = fs::OpenOptions::new().create(true).append(true).mode(0o600).open(file);
    let connection = Connection::open(file)?;
    connection.busy_timeout(PATIENCE)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    let pages = i64::from(bounds.megabytes) * 1024 * 1024 / PAGE;
    connection.pragma_update(None, "max_page_count", pages)?;
    connection.execute(SCHEMA, [])?;
    prune(&connection, bounds)?;
    Ok(connection)
}

fn prune(connection: &Connection, bounds: Bounds) -> rusqlite::Result<()> {
    let oldest = seconds(SystemTime::now()) - i64::from(bounds.days) * 86_400;
    connection.execute("DELETE FROM attempt WHERE ended < ?1", [oldest])?;
    let newest = "DELETE FROM attempt WHERE id <= (SELECT max(id) FROM attempt) - ?1";
    connection.execute(newest, [bounds.attempts])?;
    Ok(())
}

fn write_all(connection: &Connection, bounds: Bounds, rows: &Receiver<Row>, troubles: &Troubles) {
    let mut written: u64 = 0;
    for row in rows {
        written += 1;
        let mut done = write(connection, &row);
        // When the file is full, old rows make way.
        if done.is_err() || written.is_multiple_of(PRUNE_EVERY) {
            done = prune(connection, bounds).and(done);
        }
        if let Err(error) = done {
            troubles.lost.fetch_add(1, Relaxed);
            let mut last = troubles.last.lock().unwrap_or_else(PoisonError::into_inner);
            *last = Some(error.to_string());
        }
    }
}

fn write(connection: &Connection, row: &Row) -> rusqlite::Result<()> {
    let summary = row.summary.as_ref();
    let number = |value: fn(&Summary) -> u64| {
        summary.map(|summary| i64::try_from(value(summary)).unwrap_or(i64::MAX))
    };
    let millis = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    let user = summary.and_then(|summary| summary.user.as_deref());
    let sql = format!(
        "INSERT INTO attempt ({}) VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,?18)",
        COLUMNS.join(",")
    );
    connection.prepare_cached(&sql)?.execute(params![
        row.ended,
        row.session.map(|session| i64::try_from(session).unwrap_or(i64::MAX)),
        row.peer,
        user.map(|user| Escaped(user).to_string()),
        summary.and_then(|summary| summary.address).map(|address: Ipv4Addr| address.to_string()),
        row.attempt.client,
        row.attempt.stage.to_string(),
        row.attempt.judgement.verdict.code,
        row.attempt.judgement.to_string(),
        summary.map(|summary| millis(summary.duration)),
        summary.and_then(|summary| summary.connected).map(millis),
        number(|summary| summary.sent),
        number(|summary| summary.sent_packets),
        number(|summary| summary.received),
        number(|summary| summary.received_packets),
        number(|summary| summary.gre_received),
        number(|summary| summary.gre_lost),
        summary
            .and_then(|summary| summary.round_trip)
            .map(|time| i64::try_from(time.as_micros()).unwrap_or(i64::MAX)),
    ])?;
    Ok(())
}

impl Reader {
    /// The newest `limit` attempts, the newest first; of one user, peer or address in the tunnel if `whom` is not empty. Blocks.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub fn read(&self, limit: u32, whom: &str) -> rusqlite::Result<Vec<Value>> {
        let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let sql = format!(
            "SELECT {} FROM attempt WHERE ?1 = '' OR user = ?1 OR peer = ?1 OR address = ?1 ORDER BY id DESC LIMIT ?2",
            COLUMNS.join(",")
        );
        let mut statement = connection.prepare(&sql)?;
        let rows = statement.query_map(params![whom, limit], |row| {
            let mut attempt = serde_json::Map::new();
            for (at, name) in COLUMNS.into_iter().enumerate() {
                let value = match row.get_ref(at)? {
                    rusqlite::types::ValueRef::Integer(number) => json!(number),
                    rusqlite::types::ValueRef::Text(text) => json!(String::from_utf8_lossy(text)),
                    _ => Value::Null,
                };
                attempt.insert(name.to_owned(), value);
            }
            Ok(Value::Object(attempt))
        })?;
        rows.collect()
    }

    /// How many attempts could not be written since the start, and what went wrong last.
    #[must_use]
    pub fn troubles(&self) -> (u64, Option<String>) {
        let last = self.troubles.last.lock().unwrap_or_else(PoisonError::into_inner);
        (self.troubles.lost.load(Relaxed), last.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddrV4;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::verdict::{Evidence, Stage};

    fn record(peer: Ipv4Addr) -> Record {
        let evidence = Evidence::default();
        let judgement = evidence.judge_connection().unwrap();
        let attempt = Attempt { client: None, stage: Stage::Control, judgement };
        Record {
            at: SystemTime::now(),
            peer: Some(SocketAddrV4::new(peer, 4000)),
            session: None,
            event: Event::NoSession(attempt),
        }
    }

    const ONE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
    const TWO: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

    #[test]
    fn the_past_outlives_the_server_and_can_be_searched() {
        let dir = tempfile::tempdir().unwrap();
        for peer in [ONE, TWO] {
            let history = History::open(dir.path(), Bounds::default()).unwrap();
            history.take(&record(peer));
        }
        let history = History::open(dir.path(), Bounds::default()).unwrap();
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
        let history = History::open(dir.path(), Bounds::default()).unwrap();
        assert!(history.reader().read(10, "").unwrap().is_empty());
        assert!(dir.path().join("history.db.broken").exists());
    }

    #[test]
    fn what_cannot_be_written_is_counted_and_harms_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let history = History::open(dir.path(), Bounds::default()).unwrap();
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
}
