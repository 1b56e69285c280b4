//! Records of logins in wtmp (utmp(5)), as glibc's `logwtmp` writes them.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::mem;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// One record: somebody has come, or gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Login<'a> {
    /// The terminal line; `ppp0`.
    pub line: &'a str,
    /// Who, and from where; `None` when the line is free again.
    pub user: Option<(&'a str, Ipv4Addr)>,
    /// When.
    pub at: SystemTime,
    /// The process that serves the line.
    pub process: u32,
}

/// Appends a record to a file, which must be there: an administrator who wants no records removes it.
///
/// # Errors
///
/// Those of opening and writing a file; `NotFound` when it is not there.
pub fn append(file: &Path, login: &Login<'_>) -> io::Result<()> {
    let mut file = OpenOptions::new().append(true).open(file)?;
    let record = record(login);
    // One write in append mode: the record is whole, whoever else writes.
    file.write_all(as_bytes(&record))
}

fn record(login: &Login<'_>) -> libc::utmpx {
    // SAFETY: all bytes zero is a valid `utmpx`: it consists of integers and arrays of them.
    let mut record: libc::utmpx = unsafe { mem::zeroed() };
    record.ut_type = if login.user.is_some() { libc::USER_PROCESS } else { libc::DEAD_PROCESS };
    record.ut_pid = login.process.cast_signed();
    copy(&mut record.ut_line, login.line);
    if let Some((user, address)) = login.user {
        copy(&mut record.ut_user, user);
        copy(&mut record.ut_host, &address.to_string());
        record.ut_addr_v6[0] = i32::from_ne_bytes(address.octets());
    }
    let since = login.at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    record.ut_tv.tv_sec = since.as_secs() as _;
    record.ut_tv.tv_usec = since.subsec_micros() as _;
    record
}

/// As much of `text` as there is room for; a zero byte ends it only where room is left (utmp(5)).
fn copy(field: &mut [libc::c_char], text: &str) {
    for (to, from) in field.iter_mut().zip(text.bytes()) {
        *to = from as libc::c_char;
    }
}

fn as_bytes(record: &libc::utmpx) -> &[u8] {
    let length = mem::size_of::<libc::utmpx>();
    // SAFETY: the record lives as long as the slice. It was zeroed as a whole and then changed field by field, so that no byte of it,
    // padding included, is uninitialised.
    unsafe { std::slice::from_raw_parts(std::ptr::from_ref(record).cast(), length) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn file(name: &str) -> std::path::PathBuf {
        std::env::temp_dir().join(format!("gretel-{name}-{}", std::process::id()))
    }

    #[test]
    fn last_shows_the_user_with_the_clients_address_until_the_end() {
        let file = file("wtmp");
        std::fs::write(&file, b"").unwrap();
        let came = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let user = Some(("scott", Ipv4Addr::new(192, 0, 2, 7)));
        let login = Login { line: "ppp0", user, at: came, process: 7 };
        append(&file, &login).unwrap();
        let went = came + Duration::from_secs(300);
        append(&file, &Login { user: None, at: went, ..login }).unwrap();
        assert_eq!(
            std::fs::metadata(&file).unwrap().len() as usize,
            2 * mem::size_of::<libc::utmpx>()
        );
        let last = Command::new("last").arg("-f").arg(&file).output();
        std::fs::remove_file(&file).unwrap();
        let Ok(last) = last else { return eprintln!("skipped: there is no `last` here") };
        let told = String::from_utf8(last.stdout).unwrap();
        let words: Vec<&str> = told.lines().next().unwrap_or_default().split_whitespace().collect();
        assert_eq!(words[..3], ["scott", "ppp0", "192.0.2.7"], "{told}");
        assert_eq!(words.last(), Some(&"(00:05)"), "{told}");
    }

    #[test]
    fn a_long_name_is_cut_and_nothing_is_written_where_there_is_no_file() {
        let long = "x".repeat(100);
        let login = Login { line: &long, user: None, at: SystemTime::UNIX_EPOCH, process: 7 };
        assert!(record(&login).ut_line.iter().all(|byte| *byte == b'x' as libc::c_char));
        let missing = file("no-wtmp");
        assert_eq!(append(&missing, &login).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(!missing.exists());
    }
}
