//! This host as a PPTP server, examined before any client comes; and the way to a server of any make ([`examine_path`]).
//!
//! [`Snapshot::take`] looks at the machine, [`judge()`] says what that means, [`fix()`] makes the changes that are safe.

mod clash;
pub mod firewall;
mod fix;
mod judge;
mod path;
mod probe;
mod processes;
mod rules;
mod snapshot;

use std::fmt;

pub use fix::{fix, unfix};
pub use judge::judge;
pub use path::{Target, examine_path};
pub(crate) use probe::ask_name_servers;
pub(crate) use processes::listener;
pub use processes::{Listener, Process};
pub(crate) use rules::is_in_local_network;
pub use snapshot::{Probes, Snapshot, Tunnels, firewall_rules};

use crate::host::Change;

/// What became of one question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// A word for programs, `forwarding`.
    pub id: &'static str,
    /// The question, for people.
    pub title: &'static str,
    /// The answer.
    pub outcome: Outcome,
    /// What was seen. It may hold text that others wrote: escape it before it is shown.
    pub seen: String,
    /// What to type.
    pub command: Option<String>,
    /// What [`fix()`] would do.
    pub remedy: Option<Remedy>,
}

/// The answer to a question about this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// As it should be.
    Fine,
    /// It could not be seen, or not be judged.
    Unknown,
    /// Clients will have trouble.
    Trouble,
}

impl Outcome {
    /// A word for programs.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Fine => "fine",
            Self::Unknown => "unknown",
            Self::Trouble => "trouble",
        }
    }
}

/// A change that is safe to make and can be undone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Set a kernel setting.
    Sysctl {
        /// Its path below `/proc/sys`.
        path: String,
        /// What it is now.
        before: String,
        /// What to set.
        value: &'static str,
    },
    /// Add an nftables table of ours.
    Table {
        /// Its name; its family is `ip`.
        name: &'static str,
        /// The script that makes it.
        script: String,
    },
}

impl Remedy {
    fn change(&self) -> Change {
        match self {
            Self::Sysctl { path, before, .. } => {
                Change::Sysctl { path: path.clone(), before: before.clone() }
            }
            Self::Table { name, .. } => {
                Change::NftTable { family: "ip".into(), name: (*name).into() }
            }
        }
    }
}

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sysctl { path, before, value } => {
                write!(f, "set /proc/sys/{path} to {value} (it is {before})")
            }
            Self::Table { name, .. } => write!(f, "add the nftables table ip {name}"),
        }
    }
}

impl Check {
    fn fine(id: &'static str, title: &'static str, seen: impl Into<String>) -> Self {
        Self { id, title, outcome: Outcome::Fine, seen: seen.into(), command: None, remedy: None }
    }

    fn unknown(id: &'static str, title: &'static str, seen: impl Into<String>) -> Self {
        Self { outcome: Outcome::Unknown, ..Self::fine(id, title, seen) }
    }

    fn trouble(
        id: &'static str,
        title: &'static str,
        seen: impl Into<String>,
        command: impl Into<String>,
    ) -> Self {
        let command = Some(command.into());
        Self { outcome: Outcome::Trouble, command, ..Self::fine(id, title, seen) }
    }

    fn with(self, remedy: Remedy) -> Self {
        Self { remedy: Some(remedy), ..self }
    }
}

#[cfg(test)]
mod tests;
