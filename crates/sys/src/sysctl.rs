//! Kernel settings under `/proc/sys`.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

/// Whether the kernel forwards IPv4 packets from one interface to another.
pub const IPV4_FORWARDING: &str = "net/ipv4/ip_forward";
/// Whether the kernel forwards IPv6 packets from one interface to another.
pub const IPV6_FORWARDING: &str = "net/ipv6/conf/all/forwarding";

/// Reads a setting by its path below `/proc/sys`, without the line end. Settings below `net` are those of the calling thread's
/// network namespace.
///
/// # Errors
///
/// `InvalidInput` for a path that leads elsewhere; those of reading a file.
pub fn read(path: &str) -> io::Result<String> {
    let value = fs::read_to_string(full_path(path)?).map_err(|error| with_path(path, &error))?;
    Ok(value.trim_end().to_owned())
}

/// Changes a setting by its path below `/proc/sys`.
///
/// # Errors
///
/// `InvalidInput` for a path that leads elsewhere or a value that the kernel refuses; those of writing a file.
pub fn write(path: &str, value: &str) -> io::Result<()> {
    fs::write(full_path(path)?, value).map_err(|error| with_path(path, &error))
}

fn full_path(path: &str) -> io::Result<PathBuf> {
    let below = Path::new(path);
    if below.components().all(|part| matches!(part, Component::Normal(_))) && !path.is_empty() {
        return Ok(Path::new("/proc/sys").join(below));
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{path:?} is no kernel setting")))
}

fn with_path(path: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("/proc/sys/{path}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::namespace;

    #[test]
    fn a_path_out_of_proc_sys_is_refused() {
        for path in ["", "/etc/passwd", "net/../../../etc/passwd", "./net"] {
            assert_eq!(read(path).unwrap_err().kind(), io::ErrorKind::InvalidInput, "{path}");
        }
    }

    #[test]
    fn a_setting_that_is_not_there_is_named_in_the_error() {
        let error = read("net/no/such").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(error.to_string().contains("/proc/sys/net/no/such"));
    }

    #[test]
    fn forwarding_is_switched_in_the_threads_own_namespace() {
        let before = read(IPV4_FORWARDING).unwrap();
        let result = namespace::run_in_new(|| {
            for value in ["1", "0", "1"] {
                write(IPV4_FORWARDING, value).unwrap();
                assert_eq!(read(IPV4_FORWARDING).unwrap(), value);
            }
        });
        if let Err(error) = result {
            eprintln!("skipped: no network namespace: {error}");
            return;
        }
        assert_eq!(read(IPV4_FORWARDING).unwrap(), before);
    }
}
