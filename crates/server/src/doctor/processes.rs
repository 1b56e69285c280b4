//! Who listens, and what runs here (`proc(5)`).

use std::collections::HashMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A running program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub id: u32,
    /// The name of its program.
    pub name: String,
}

/// A socket that takes TCP connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Where.
    pub address: SocketAddr,
    /// Whose it is; `None` when that cannot be seen.
    pub process: Option<Process>,
}

/// State of a listening socket in `/proc/net/tcp`.
const LISTEN: &str = "0A";

/// Programs that serve PPTP.
const SERVERS: [&str; 5] = ["gretel", "pptpd", "accel-pppd", "mpd5", "pptp-server"];

/// Running programs that serve PPTP.
pub(super) fn servers() -> Vec<Process> {
    // By their files: our own process may have the name of the server that it takes the place of.
    let file = |id: u32| fs::read_link(format!("/proc/{id}/exe")).is_ok();
    let mut found: Vec<Process> = ids().filter(|id| file(*id)).filter_map(process).collect();
    found.retain(|process| SERVERS.contains(&process.name.as_str()));
    found
}

/// Who keeps others from listening on an address.
pub(crate) fn listener(address: SocketAddr) -> Option<Listener> {
    let everywhere = |it: &Listener| it.address.ip().is_unspecified();
    let clashes = |it: &Listener| {
        everywhere(it) || address.ip().is_unspecified() || it.address.ip() == address.ip()
    };
    listeners(address.port()).into_iter().find(clashes)
}

/// Sockets of the calling thread's network namespace that listen on a port.
pub(super) fn listeners(port: u16) -> Vec<Listener> {
    let mut found = Vec::new();
    for file in ["/proc/thread-self/net/tcp", "/proc/thread-self/net/tcp6"] {
        let text = fs::read_to_string(file).unwrap_or_default();
        found.extend(text.lines().skip(1).filter_map(listening));
    }
    found.retain(|(address, _)| address.port() == port);
    let owners = owners(found.iter().map(|(_, inode)| inode.as_str()));
    let listener = |(address, inode): (SocketAddr, String)| Listener {
        address,
        process: owners.get(&inode).cloned(),
    };
    found.into_iter().map(listener).collect()
}

/// `sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode`
fn listening(line: &str) -> Option<(SocketAddr, String)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (local, state, inode) = (words.get(1)?, words.get(3)?, words.get(9)?);
    let (address, port) = local.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    // Words of 32 bits in the order of the machine.
    let words = address.as_bytes().chunks(8).map(|word| {
        let word = std::str::from_utf8(word).ok()?;
        u32::from_str_radix(word, 16).ok().map(u32::to_ne_bytes)
    });
    let bytes = words.collect::<Option<Vec<_>>>()?.concat();
    let address: IpAddr = match (<[u8; 4]>::try_from(&bytes[..]), <[u8; 16]>::try_from(&bytes[..]))
    {
        (Ok(four), _) => Ipv4Addr::from(four).into(),
        (_, Ok(sixteen)) => Ipv6Addr::from(sixteen).into(),
        _ => return None,
    };
    (*state == LISTEN).then(|| (SocketAddr::new(address, port), (*inode).to_owned()))
}

/// Who has sockets with these inode numbers.
fn owners<'a>(inodes: impl Iterator<Item = &'a str>) -> HashMap<String, Process> {
    let wanted: HashMap<String, &str> =
        inodes.map(|inode| (format!("socket:[{inode}]"), inode)).collect();
    let mut owners = HashMap::new();
    if wanted.is_empty() {
        return owners;
    }
    for id in ids() {
        let Ok(files) = fs::read_dir(format!("/proc/{id}/fd")) else { continue };
        for file in files.flatten() {
            let link = fs::read_link(file.path()).unwrap_or_default();
            let inode = link.to_str().and_then(|link| wanted.get(link));
            if let (Some(inode), Some(process)) = (inode, process(id)) {
                owners.entry((*inode).to_owned()).or_insert(process);
            }
        }
    }
    owners
}

fn ids() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// A process by the name of its program's file; a kernel thread, or one of somebody else, by the name that it gives itself.
fn process(id: u32) -> Option<Process> {
    let file = fs::read_link(format!("/proc/{id}/exe")).ok();
    let of_file = file.and_then(|file| {
        let name = file.file_name()?.to_string_lossy().into_owned();
        Some(name.trim_end_matches(" (deleted)").to_owned())
    });
    let name = of_file.or_else(|| {
        let name = fs::read_to_string(format!("/proc/{id}/comm")).ok()?;
        Some(name.trim_end().to_owned())
    })?;
    Some(Process { id, name })
}

/// How many files a process may have open (`/proc/PID/limits`).
pub(super) fn files_limit(id: Option<u32>) -> Option<u64> {
    let id = id.map_or_else(|| "self".to_owned(), |id| id.to_string());
    let text = fs::read_to_string(format!("/proc/{id}/limits")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    match line.split_whitespace().next()? {
        "unlimited" => Some(u64::MAX),
        number => number.parse().ok(),
    }
}

/// Memory that can be had without swapping, in bytes (`/proc/meminfo`).
pub(super) fn memory_available() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// Names of the kernel's modules that are loaded (`/proc/modules`); one that is built in is not among them.
pub(super) fn modules() -> Vec<String> {
    let text = fs::read_to_string("/proc/modules").unwrap_or_default();
    text.lines().filter_map(|line| Some(line.split(' ').next()?.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_listener_of_this_process_is_found_and_a_line_of_nonsense_is_not_one() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let found = listeners(address.port());
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].address, address);
        assert_eq!(found[0].process.as_ref().unwrap().id, std::process::id());
        for line in ["", "0: 01:zz", "0: 0100007F:06BB x 01 a b c d e f", "0: é:1 2 0A 4 5 6 7 8 9"]
        {
            assert_eq!(listening(line), None, "{line}");
        }
        assert!(files_limit(None).unwrap() > 0 && memory_available().unwrap() > 0);
    }
}
