//! What the server keeps of its rights.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sys::sandbox::{Places, Sandbox};

use crate::settings::Settings;

/// What is read while serving, beside the configuration: names of hosts and services, the system's time zone, and the libraries that look names up.
const READ: [&str; 4] = ["/etc", "/usr", "/lib", "/lib64"];
/// Settings of the kernel's network, which are put back when the server ends.
const KERNEL_SETTINGS: &str = "/proc/sys/net";

/// A sandbox for a server with these settings. `own`: its own directories, of state and of the history, which are made if need be.
///
/// # Errors
///
/// One of them cannot be made, or a folder be opened.
pub fn sandbox(settings: &Settings, own: &[&Path]) -> io::Result<Sandbox> {
    if !settings.sandbox {
        return Ok(Sandbox::off());
    }
    for directory in own {
        fs::create_dir_all(directory)?;
    }
    let folder = |file: &PathBuf| file.parent().map(Path::to_owned);
    let read = READ.iter().map(PathBuf::from).chain(settings.folders.iter().cloned());
    // Process ids and records of logins: whoever rotates or removes those makes new files.
    let files = [settings.pid_file.as_ref(), settings.wtmp.as_ref().map(|wtmp| &wtmp.file)];
    let marks: Vec<PathBuf> = std::iter::once(settings.run_dir.clone())
        .chain(files.into_iter().flatten().filter_map(folder))
        .collect();
    // They are the helper's work then.
    let (seen, written) = match settings.user {
        Some(_) => (marks, Vec::new()),
        None => (Vec::new(), marks),
    };
    let write = own.iter().map(PathBuf::from).chain([KERNEL_SETTINGS.into()]);
    Sandbox::prepare(&Places {
        read: read.chain(seen).collect(),
        write: write.chain(written).collect(),
    })
}
