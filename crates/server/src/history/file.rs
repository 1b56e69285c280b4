//! The history's file: two tables, bounded.

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::Receiver;
use std::time::{Duration, SystemTime};

use rusqlite::{Connection, ErrorCode, OpenFlags, params};
use wire::Escaped;

use super::{Bounds, Row, Troubles, seconds};
use crate::event::Summary;

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
const TRAILS: &str =
    "CREATE TABLE IF NOT EXISTS trail (attempt INTEGER PRIMARY KEY, steps BLOB NOT NULL)";
pub(super) const COLUMNS: [&str; 18] = [
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

/// Every file that reading needs is open then.
pub(super) fn open_to_read(file: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags)?;
    connection.busy_timeout(PATIENCE)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.query_row("SELECT count(*) FROM attempt", [], |_| Ok(()))?;
    Ok(connection)
}

pub(super) fn is_broken(error: &rusqlite::Error) -> bool {
    let broken = [ErrorCode::NotADatabase, ErrorCode::DatabaseCorrupt];
    error.sqlite_error_code().is_some_and(|code| broken.contains(&code))
}

pub(super) fn prepare(file: &Path, bounds: Bounds) -> rusqlite::Result<Connection> {
    // Made here, so that nobody else can read it; if that fails, SQLite says why.
    let _ = fs::OpenOptions::new().create(true).append(true).mode(0o600).open(file);
    let connection = Connection::open(file)?;
    connection.busy_timeout(PATIENCE)?;
    // Temporary files would be outside the folders that may be written.
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "max_page_count", bounds.bytes() / PAGE)?;
    connection.execute(SCHEMA, [])?;
    connection.execute(TRAILS, [])?;
    prune(&connection, bounds)?;
    Ok(connection)
}

/// What is too old goes, then what is too much.
pub(super) fn prune(connection: &Connection, bounds: Bounds) -> rusqlite::Result<()> {
    let oldest = seconds(SystemTime::now()) - i64::from(bounds.days) * 86_400;
    connection.execute("DELETE FROM attempt WHERE ended < ?1", [oldest])?;
    let newest = "DELETE FROM attempt WHERE id <= (SELECT max(id) FROM attempt) - ?1";
    connection.execute(newest, [bounds.attempts])?;
    // However many fail, they leave half of the places to those that worked.
    let failed = "DELETE FROM attempt WHERE connected IS NULL AND id <=
        (SELECT id FROM attempt WHERE connected IS NULL ORDER BY id DESC LIMIT 1 OFFSET ?1)";
    connection.execute(failed, [bounds.attempts / 2])?;
    prune_orphans(connection)?;
    // Trails take half of the file: an attempt's row outlives its trail.
    prune_trails(connection, bounds.bytes() / 2)
}

/// The newest trails stay, as many as fit.
fn prune_trails(connection: &Connection, bytes: i64) -> rusqlite::Result<()> {
    let sql = "DELETE FROM trail WHERE attempt IN (SELECT attempt FROM
        (SELECT attempt, sum(length(steps)) OVER (ORDER BY attempt DESC) AS total FROM trail) WHERE total > ?1)";
    connection.execute(sql, [bytes])?;
    Ok(())
}

/// The oldest eighth goes.
fn prune_oldest(connection: &Connection) -> rusqlite::Result<()> {
    let oldest =
        "DELETE FROM attempt WHERE id <= (SELECT min(id) + (max(id) - min(id)) / 8 FROM attempt)";
    connection.execute(oldest, [])?;
    prune_orphans(connection)
}

/// Trails whose attempts have gone go too.
fn prune_orphans(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM trail WHERE attempt NOT IN (SELECT id FROM attempt)", [])?;
    Ok(())
}

pub(super) fn write_all(
    connection: &Connection,
    bounds: Bounds,
    rows: &Receiver<Row>,
    troubles: &Troubles,
) {
    let mut written: u64 = 0;
    for row in rows {
        written += 1;
        let mut done = write(connection, &row);
        // When the file is full, old rows and trails make way.
        if done.as_ref().is_err_and(is_full) {
            let room = prune_trails(connection, bounds.bytes() / 4);
            done = room.and_then(|()| write(connection, &row));
        }
        if done.as_ref().is_err_and(is_full) {
            let room = prune_oldest(connection);
            done = room.and_then(|()| write(connection, &row));
        }
        if done.is_err() || written.is_multiple_of(PRUNE_EVERY) {
            done = prune(connection, bounds).and(done);
        }
        if let Err(error) = done {
            troubles.lost.fetch_add(1, Relaxed);
            troubles.note(error.to_string());
        }
    }
}

fn is_full(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DiskFull)
}

/// The row and its trail, or neither.
fn write(connection: &Connection, row: &Row) -> rusqlite::Result<()> {
    let both = connection.unchecked_transaction()?;
    write_row(&both, row)?;
    let steps = row.attempt.trail.as_bytes();
    both.prepare_cached("INSERT INTO trail (attempt, steps) VALUES (last_insert_rowid(), ?1)")?
        .execute([steps])?;
    both.commit()
}

fn write_row(connection: &Connection, row: &Row) -> rusqlite::Result<()> {
    let summary = row.summary.as_ref();
    let number = |value: fn(&Summary) -> u64| {
        summary.map(|summary| i64::try_from(value(summary)).unwrap_or(i64::MAX))
    };
    let millis = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    let user = summary.and_then(|summary| summary.user.as_deref());
    let user = user.or(row.attempt.name.as_deref());
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
