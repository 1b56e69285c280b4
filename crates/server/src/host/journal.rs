//! Changes to this host that outlive the process, noted before they are made and struck out after they are undone, so that the
//! next start after a crash can undo what is left.
//!
//! One small file for each change in the state directory; its name is the change. The kernel removes interfaces with the process.

use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

/// A change that has to be undone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A proxy ARP entry for this address on this interface.
    ProxyArp {
        /// The interface's name.
        interface: String,
        /// The address that we answer for.
        address: Ipv4Addr,
    },
    /// Proxy ARP entries for addresses that follow each other.
    ProxyArpRun {
        /// The interface's name.
        interface: String,
        /// The first address.
        first: Ipv4Addr,
        /// The last.
        last: Ipv4Addr,
    },
    /// A route to one address outside every tunnel.
    HostRoute {
        /// The address.
        destination: Ipv4Addr,
        /// The interface's name.
        interface: String,
    },
    /// A kernel setting, with the value that it had.
    Sysctl {
        /// Its path under `/proc/sys`, `net/ipv4/ip_forward`.
        path: String,
        /// What to put back.
        before: String,
    },
    /// A file of ours that others look for.
    File {
        /// Its path.
        path: PathBuf,
    },
    /// A record in wtmp that somebody has come.
    Login {
        /// The line, which is an interface's name.
        line: String,
        /// The file with the record.
        file: PathBuf,
    },
    /// An nftables table of ours.
    NftTable {
        /// `ip`, `inet`, …
        family: String,
        /// Its name.
        name: String,
    },
}

/// The notes of all changes.
#[derive(Clone, Debug)]
pub struct Journal {
    dir: PathBuf,
}

impl Journal {
    /// Opens the journal in a directory, which is made if need be.
    ///
    /// # Errors
    ///
    /// When the directory cannot be made.
    pub fn open(dir: &Path) -> io::Result<Self> {
        let dir = dir.join("changes");
        fs::create_dir_all(&dir).map_err(|error| {
            io::Error::new(error.kind(), format!("cannot make {}: {error}", dir.display()))
        })?;
        Ok(Self { dir })
    }

    /// Notes a change that is about to be made.
    ///
    /// # Errors
    ///
    /// When the note cannot be written: then the change must not be made.
    pub fn note(&self, change: &Change) -> io::Result<()> {
        let note = self.dir.join(change.file_name());
        let fresh = self.dir.join("new");
        fs::write(&fresh, change.line())?;
        fs::rename(fresh, note)
    }

    /// Strikes out a change that has been undone.
    pub fn strike(&self, change: &Change) {
        // A note that cannot be removed is undone once more at the next start, which does no harm.
        let _ = fs::remove_file(self.dir.join(change.file_name()));
    }

    /// Changes that an earlier process noted and did not undo.
    ///
    /// # Errors
    ///
    /// When the directory cannot be read.
    pub fn leftovers(&self) -> io::Result<Vec<Change>> {
        let mut changes = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let text = fs::read_to_string(entry?.path()).unwrap_or_default();
            changes.extend(Change::parse(text.trim_end()));
        }
        Ok(changes)
    }
}

impl Change {
    fn file_name(&self) -> String {
        let words = match self {
            Self::ProxyArp { interface, address } => format!("proxy-arp {interface} {address}"),
            Self::ProxyArpRun { interface, first, last } => {
                format!("proxy-arp-run {interface} {first}-{last}")
            }
            Self::HostRoute { destination, interface } => {
                format!("route {interface} {destination}")
            }
            Self::Sysctl { path, .. } => format!("sysctl {path}"),
            Self::NftTable { family, name } => format!("nft {family} {name}"),
            Self::File { path } => format!("file {}", path.display()),
            Self::Login { line, .. } => format!("login {line}"),
        };
        words.replace(['/', ' '], "_")
    }

    fn line(&self) -> String {
        match self {
            Self::ProxyArp { interface, address } => format!("proxy-arp {interface} {address}\n"),
            Self::ProxyArpRun { interface, first, last } => {
                format!("proxy-arp-run {interface} {first}-{last}\n")
            }
            Self::HostRoute { destination, interface } => {
                format!("route {interface} {destination}\n")
            }
            Self::Sysctl { path, before } => format!("sysctl {path} {before}\n"),
            Self::NftTable { family, name } => format!("nft {family} {name}\n"),
            Self::File { path } => format!("file {}\n", path.display()),
            Self::Login { line, file } => format!("login {line} {}\n", file.display()),
        }
    }

    fn parse(line: &str) -> Option<Self> {
        if let Some(path) = line.strip_prefix("file ") {
            return Some(Self::File { path: path.into() });
        }
        let words: Vec<&str> = line.splitn(3, ' ').collect();
        match words[..] {
            ["proxy-arp", interface, address] => {
                Some(Self::ProxyArp { interface: interface.into(), address: address.parse().ok()? })
            }
            ["proxy-arp-run", interface, run] => {
                let (first, last) = run.split_once('-')?;
                let (first, last) = (first.parse().ok()?, last.parse().ok()?);
                Some(Self::ProxyArpRun { interface: interface.into(), first, last })
            }
            ["route", interface, destination] => Some(Self::HostRoute {
                interface: interface.into(),
                destination: destination.parse().ok()?,
            }),
            ["sysctl", path, before] => {
                Some(Self::Sysctl { path: path.into(), before: before.into() })
            }
            ["login", line, file] => Some(Self::Login { line: line.into(), file: file.into() }),
            ["nft", family, name] => {
                Some(Self::NftTable { family: family.into(), name: name.into() })
            }
            _ => None,
        }
    }
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::ProxyArp { interface, address } => {
                write!(f, "proxy ARP entry for {address} on {interface}")
            }
            Self::ProxyArpRun { interface, first, last } => {
                write!(f, "proxy ARP entries for {first} to {last} on {interface}")
            }
            Self::HostRoute { destination, interface } => {
                write!(f, "route to {destination} on {interface}")
            }
            Self::Sysctl { path, before } => write!(f, "/proc/sys/{path}, which was {before}"),
            Self::NftTable { family, name } => write!(f, "nftables table {family} {name}"),
            Self::File { path } => write!(f, "{}", path.display()),
            Self::Login { line, .. } => write!(f, "login on {line}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_noted_and_not_struck_out_is_left_over() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::open(dir.path()).unwrap();
        let arp =
            Change::ProxyArp { interface: "eth0".into(), address: Ipv4Addr::new(10, 0, 0, 7) };
        let run = Change::ProxyArpRun {
            interface: "eth0".into(),
            first: Ipv4Addr::new(10, 0, 0, 8),
            last: Ipv4Addr::new(10, 0, 1, 7),
        };
        let sysctl = Change::Sysctl { path: "net/ipv4/ip_forward".into(), before: "0".into() };
        let table = Change::NftTable { family: "ip".into(), name: "gretel".into() };
        let file = Change::File { path: "/run/ppp0 0.pid".into() };
        let login = Change::Login { line: "ppp0".into(), file: "/var/log/w tmp".into() };
        for change in [&arp, &run, &sysctl, &table, &file, &login] {
            journal.note(change).unwrap();
        }
        journal.strike(&sysctl);
        let mut left = Journal::open(dir.path()).unwrap().leftovers().unwrap();
        left.sort_by_key(|change| change.to_string());
        assert_eq!(left, [file, login, table, run, arp]);
    }

    #[test]
    fn a_torn_note_is_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::open(dir.path()).unwrap();
        fs::write(dir.path().join("changes/x"), "proxy-arp eth0 10.0.").unwrap();
        assert!(journal.leftovers().unwrap().is_empty());
    }
}
