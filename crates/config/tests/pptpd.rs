//! The reader of `pptpd.conf` beside Debian's pptpd, where that is installed: what it takes is taken here too, and what it refuses
//! is refused, or told.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use config::{Config, Paths};

const PPTPD: &str = "/usr/sbin/pptpd";
/// Exit status of timeout(1) when the program was still running.
const STILL_RUNS: i32 = 124;
/// Exit status of pptpd when it does not take its file.
const REFUSES: i32 = 1;

/// What becomes of a file here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Here {
    /// Not a word.
    Served,
    /// With a warning.
    Told,
    Refused,
}

/// Files, whether pptpd takes them, and what becomes of them here.
const FILES: &[(&str, bool, Here)] = &[
    ("localip 10.0.0.1\nremoteip 10.0.0.5-9\nconnections 5\n", true, Here::Served),
    ("localip\t10.0.0.1\nremoteip\t10.0.0.5-9\n", true, Here::Served),
    ("localip 10.0.0.1\nremoteip 10.0.0.5-6,10.0.0.9\nconnections 3\n", true, Here::Served),
    ("localip 10.0.0.1-3\nremoteip 10.0.0.5-7\nconnections 3\n", true, Here::Served),
    ("localip 10.0.0.1,10.0.0.1\nremoteip 10.0.0.5-9\nconnections 2\n", true, Here::Told),
    ("localip 10.0.0.1\nremoteip 10.0.0.1-5\n", true, Here::Told),
    ("localip 10.0.0.1\nremoteip 10.0.0.5-9\nconnections 5x\n", true, Here::Told),
    ("localip 10.0.0.1\nremoteip 10.0.0.5-9\nstimeout x\n", true, Here::Told),
    ("localip 10.0.0.1\nremoteip 10.0.0.5-9\nspeed fast\n", true, Here::Told),
    (" localip 10.0.0.1\nremoteip 10.0.0.5-9\n", true, Here::Told),
    ("remoteip 10.0.0.5-9\n", true, Here::Told),
    ("", true, Here::Told),
    ("localip 10.0.0.1\nlocalip 10.0.0.2\nremoteip 10.0.0.5-9\n", true, Here::Told),
    ("localip 10.0.0.1\nremoteip 10.0.0.5-9 # all\n", false, Here::Told),
    ("localip 10.0.0.1\r\nremoteip 10.0.0.5-9\r\n", false, Here::Told),
    ("localip 10.0.0.1\nremoteip 10.0.0.5, 10.0.0.6\nconnections 2\n", false, Here::Served),
    ("localip 10.0.0.1\nremoteip 10.0.0-1.5-9\nconnections 10\n", false, Here::Served),
    ("localip 10.0.0.1\nremoteip 10.0.0.5,10.0.0.5\n", false, Here::Refused),
    ("localip 10.0.0.1\nremoteip 10.0.0.5-7,10.0.0.6\n", false, Here::Refused),
    ("localip 10.0.0.1\nremoteip 10.0.0.9-5\n", false, Here::Refused),
    ("localip 10.0.0.1\nremoteip 10.0.0.300\n", false, Here::Refused),
    ("localip 10.0.0.1\nremoteip\n", false, Here::Refused),
];

/// Whether pptpd starts with this file, in a network of its own. `None` where it cannot be tried.
fn pptpd_takes(text: &str) -> Option<bool> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let pid = tempfile::NamedTempFile::new().unwrap();
    let status = Command::new("unshare")
        .args(["--net", "timeout", "2", PPTPD, "--fg", "--option", "/dev/null", "--conf"])
        .arg(file.path())
        .arg("--pidfile")
        .arg(pid.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .ok()?;
    match status.code() {
        Some(STILL_RUNS) => Some(true),
        Some(REFUSES) => Some(false),
        _ => None,
    }
}

fn here(text: &str) -> Here {
    let read = |path: &Path| match path.ends_with("pptpd.conf") {
        true => Ok(text.as_bytes().to_vec()),
        // So that nothing is to be said about authentication.
        false if path.ends_with("options") => Ok(b"require-mschap-v2\n".to_vec()),
        false => Err(io::Error::from(io::ErrorKind::NotFound)),
    };
    match Config::load_with(&Paths::default(), b"gate", &read, &|_| None) {
        Err(_) => Here::Refused,
        Ok((_, said)) if said.0.is_empty() => Here::Served,
        Ok(_) => Here::Told,
    }
}

#[test]
fn files_become_here_what_is_expected_of_them() {
    for (text, takes, expected) in FILES {
        assert_eq!(here(text), *expected, "{text:?}");
        assert!(!takes || *expected != Here::Refused, "pptpd takes {text:?}");
    }
}

#[test]
fn pptpd_takes_and_refuses_the_files_as_the_table_says() {
    let can_be_tried = pptpd_takes(FILES[0].0) == Some(true);
    if !Path::new(PPTPD).exists() || !can_be_tried {
        return eprintln!(
            "skipped: {PPTPD} is not installed, or there are no rights to make a network"
        );
    }
    thread::scope(|scope| {
        for (text, takes, _) in FILES {
            scope.spawn(move || assert_eq!(pptpd_takes(text), Some(*takes), "{text:?}"));
        }
    });
}
