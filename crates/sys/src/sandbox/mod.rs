//! Least privilege: what a thread gives up before it sees a byte from the network, for good.
//!
//! * Capabilities: all but those of its [`Role`]; the bounding and ambient sets are emptied, and no program gives any back (`no_new_privs`).
//! * System calls: those of its role's rows in the table in `calls`. Any other answers `ENOSYS`, as on a kernel that does not have it, and the kernel
//!   logs it. Libraries know that answer and have another way; a process that was killed for a call that a library's new version makes would
//!   take every session with it.
//! * Files: those beneath the [`Places`] that were named (Landlock).
//!
//! A thread confines itself, as a first act; threads that it starts are confined like it.

mod calls;
mod capabilities;
mod files;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use rustix::thread::{CapabilitySet, secure_computing_mode, set_no_new_privs};
use seccompiler::BpfProgram;

use files::Files;

/// What a thread is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The control plane: connections, sessions, interfaces, addresses. Keeps `CAP_NET_ADMIN`.
    Control,
    /// Moves packets between files that are open, or closes them. Opens none.
    Packets,
    /// Follows routes and neighbours, and tells the network cards' filters of our addresses. Keeps `CAP_BPF`.
    Ways,
    /// Writes to a database.
    Disk,
    /// Sends lines to a log daemon.
    Log,
}

impl Role {
    const ALL: [Self; 5] = [Self::Control, Self::Packets, Self::Ways, Self::Disk, Self::Log];

    fn capabilities(self) -> CapabilitySet {
        match self {
            // Interfaces, addresses, routes, neighbours. Raw sockets and listeners are open by then.
            Self::Control => CapabilitySet::NET_ADMIN,
            // Some kernels want it of whoever changes a map, others only of who makes one.
            Self::Ways => CapabilitySet::BPF,
            Self::Packets | Self::Disk | Self::Log => CapabilitySet::empty(),
        }
    }

    /// Whether its rows of the table hold calls that open files.
    fn opens_files(self) -> bool {
        matches!(self, Self::Control | Self::Disk)
    }
}

/// The files that confined threads may open: all that is beneath these paths. A path that is not there when the sandbox is made counts for
/// nothing, also when it comes later.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// To read.
    pub read: Vec<PathBuf>,
    /// To read, write, make and remove.
    pub write: Vec<PathBuf>,
}

/// What threads of each role are confined to. Clones are the same sandbox.
#[derive(Clone, Debug, Default)]
pub struct Sandbox(Option<Arc<Walls>>);

#[derive(Debug)]
struct Walls {
    /// By role; `None` where the kernel or this program has no filters.
    filters: Option<[BpfProgram; Role::ALL.len()]>,
    files: Option<Files>,
}

impl Sandbox {
    /// None: [`enter`](Self::enter) does nothing.
    #[must_use]
    pub fn off() -> Self {
        Self(None)
    }

    /// Makes one of what this kernel has; [`lacking`](Self::lacking) tells what it has not.
    ///
    /// # Errors
    ///
    /// A place that is there cannot be opened.
    pub fn prepare(places: &Places) -> io::Result<Self> {
        let filters = match secure_computing_mode() {
            Ok(_) => calls::filters()?,
            // The kernel was built without.
            Err(_) => None,
        };
        Ok(Self(Some(Arc::new(Walls { filters, files: Files::allow(places)? }))))
    }

    /// What the kernel has not, in words for the log.
    #[must_use]
    pub fn lacking(&self) -> Vec<&'static str> {
        let Some(walls) = &self.0 else { return Vec::new() };
        let filter = walls.filters.is_none().then_some("system call filters (seccomp)");
        let files = walls.files.is_none().then_some("file access rules (Landlock)");
        filter.into_iter().chain(files).collect()
    }

    /// Confines the calling thread, and those that it starts from now on, for good. Without seccomp or Landlock in the kernel it does the rest.
    ///
    /// # Errors
    ///
    /// What the kernel refused; the thread must not go on then.
    pub fn enter(&self, role: Role) -> io::Result<()> {
        let Some(walls) = &self.0 else { return Ok(()) };
        // At a thread's first allocation the C library counts the processors, in a file: what is refused then would be in the kernel's log.
        drop(std::hint::black_box(Vec::<u8>::with_capacity(64)));
        capabilities::keep(role.capabilities())?;
        set_no_new_privs(true)?;
        if let Some(files) = walls.files.as_ref().filter(|_| role.opens_files()) {
            files.enter()?;
        }
        if let Some(filters) = &walls.filters {
            calls::install(&filters[role as usize])?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
