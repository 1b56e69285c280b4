//! wtmpdb's database, where that has taken the place of wtmp: an SQLite file with one row for each login, as wtmpdb 0.75 has it.
//!
//! A database answers when the disk does, and others write there too: rows are written on a thread of their own, in order.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use rusqlite::{Connection, OpenFlags, params};

/// Where wtmpdb keeps it, and where it did before version 0.10.
const PLACES: [&str; 2] = ["/var/lib/wtmpdb/wtmp.db", "/var/log/wtmp.db"];

/// `USER_PROCESS` of wtmpdb.h.
const USER_PROCESS: i64 = 3;
/// The service's name in the records.
const SERVICE: &str = "pptpd";
/// How long to wait while another program writes.
const PATIENCE: Duration = Duration::from_secs(5);
/// Rows that may wait for the disk.
const QUEUE: usize = 1024;

/// The system's database, if it has one.
pub(super) fn place() -> Option<PathBuf> {
    PLACES.iter().map(PathBuf::from).find(|place| place.exists())
}

/// Whether a file of records is such a database, and not a wtmp.
pub(super) fn is_database(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension == "db")
}

/// Somebody has come, or gone.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) file: PathBuf,
    /// The line, which is an interface's name.
    pub(super) line: String,
    /// Who, and from where; `None` when the line is free again.
    pub(super) user: Option<(String, Ipv4Addr)>,
    pub(super) at: SystemTime,
}

/// Writes rows, and has written them all when it is dropped.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    running: Option<(SyncSender<Row>, JoinHandle<()>)>,
    /// What went wrong since it was asked last.
    failed: Arc<Mutex<Option<String>>>,
}

impl Writer {
    /// Has a row written soon.
    pub(super) fn write(&mut self, row: Row) {
        if self.running.is_none() {
            let (sender, rows) = sync_channel(QUEUE);
            let failed = self.failed.clone();
            let builder = thread::Builder::new().name("gretel-records".into());
            match builder.spawn(move || write_all(&rows, &failed)) {
                Ok(thread) => self.running = Some((sender, thread)),
                Err(error) => return note(&self.failed, error.to_string()),
            }
        }
        if let Some((sender, _)) = &self.running
            && sender.try_send(row).is_err()
        {
            note(&self.failed, "the disk is too slow: a record is lost".into());
        }
    }

    /// What went wrong since this was asked last.
    pub(super) fn take_error(&self) -> Option<String> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Some((sender, thread)) = self.running.take() {
            drop(sender);
            // A thread that panicked has said so already.
            let _ = thread.join();
        }
    }
}

fn note(failed: &Mutex<Option<String>>, error: String) {
    failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
}

fn write_all(rows: &Receiver<Row>, failed: &Mutex<Option<String>>) {
    for row in rows {
        if let Err(error) = write(&row) {
            note(failed, format!("{}: {error}", row.file.display()));
        }
    }
}

/// The file is opened anew for each row: it may be rotated at any time.
fn write(row: &Row) -> rusqlite::Result<()> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let database = Connection::open_with_flags(&row.file, flags)?;
    database.busy_timeout(PATIENCE)?;
    let since = row.at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let at = i64::try_from(since.as_micros()).unwrap_or(i64::MAX);
    match &row.user {
        Some((user, client)) => database.execute(
            "INSERT INTO wtmp (Type, User, Login, TTY, RemoteHost, Service) VALUES (?, ?, ?, ?, ?, ?)",
            params![USER_PROCESS, user, at, row.line, client.to_string(), SERVICE],
        )?,
        None => database.execute(
            "UPDATE wtmp SET Logout = ? WHERE ID = \
             (SELECT max(ID) FROM wtmp WHERE TTY = ? AND Service = ? AND Logout IS NULL)",
            params![at, row.line, SERVICE],
        )?,
    };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table as wtmpdb makes it.
    const TABLE: &str = "CREATE TABLE wtmp(ID INTEGER PRIMARY KEY, Type INTEGER, User TEXT NOT NULL, Login INTEGER, Logout INTEGER, \
                         TTY TEXT, RemoteHost TEXT, Service TEXT) STRICT;";

    fn row(file: &Path, user: Option<&str>, second: u64) -> Row {
        Row {
            file: file.into(),
            line: "ppp0".into(),
            user: user.map(|user| (user.into(), Ipv4Addr::new(192, 0, 2, 7))),
            at: SystemTime::UNIX_EPOCH + Duration::from_secs(second),
        }
    }

    #[test]
    fn a_login_is_a_row_that_the_logout_completes() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("wtmp.db");
        Connection::open(&file).unwrap().execute_batch(TABLE).unwrap();
        let mut writer = Writer::default();
        for (user, second) in [(Some("scott"), 10), (None, 70), (Some("lulu"), 80)] {
            writer.write(row(&file, user, second));
        }
        drop(writer);
        let database = Connection::open(&file).unwrap();
        let mut query = database
            .prepare("SELECT User, Login, Logout, TTY, RemoteHost, Service FROM wtmp ORDER BY ID")
            .unwrap();
        let rows = query
            .query_map([], |row| {
                let text = |at| row.get::<_, String>(at);
                Ok((text(0)?, row.get(1)?, row.get(2)?, [text(3)?, text(4)?, text(5)?]))
            })
            .unwrap();
        let rows: Vec<(String, i64, Option<i64>, [String; 3])> = rows.map(Result::unwrap).collect();
        let place = ["ppp0", "192.0.2.7", "pptpd"].map(str::to_owned);
        assert_eq!(
            rows,
            [
                ("scott".into(), 10_000_000, Some(70_000_000), place.clone()),
                ("lulu".into(), 80_000_000, None, place),
            ]
        );
    }

    #[test]
    fn a_database_that_is_none_is_an_error_and_is_not_made() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = Writer::default();
        let missing = folder.path().join("wtmp.db");
        writer.write(row(&missing, Some("scott"), 10));
        let failed = writer.failed.clone();
        drop(writer);
        assert!(failed.lock().unwrap().take().unwrap().contains("wtmp.db"));
        assert!(!missing.exists());
    }
}
