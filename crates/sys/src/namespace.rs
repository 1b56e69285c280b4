//! Network namespaces, for tests and the lab. A namespace belongs to a thread; threads started from it inherit it.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::thread;

use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe};

use crate::netlink::Netlink;

/// Moves the calling thread into a new, empty network namespace, which ends with the last thread, socket or file that refers to it.
///
/// # Errors
///
/// `PermissionDenied` without `CAP_SYS_ADMIN`.
pub fn enter_new() -> io::Result<()> {
    // SAFETY: of all that `unshare` can separate only the table of file descriptors could make a descriptor that is held elsewhere
    // invalid; a new network namespace leaves every descriptor as it is.
    Ok(unsafe { unshare_unsafe(UnshareFlags::NEWNET) }?)
}

/// The calling thread's network namespace.
///
/// # Errors
///
/// When `/proc` is not mounted.
pub fn current() -> io::Result<OwnedFd> {
    Ok(File::open("/proc/thread-self/ns/net")?.into())
}

/// Moves the calling thread into a network namespace.
///
/// # Errors
///
/// `PermissionDenied` without `CAP_SYS_ADMIN`.
pub fn enter(namespace: impl AsFd) -> io::Result<()> {
    let kind = Some(LinkNameSpaceType::Network);
    Ok(move_into_link_name_space(namespace.as_fd(), kind)?)
}

/// Runs `work` on a new thread in a new network namespace whose loopback interface is up, and gives its result. A panic in `work`
/// goes on in the caller.
///
/// # Errors
///
/// `PermissionDenied` without `CAP_SYS_ADMIN`; then `work` has not run.
pub fn run_in_new<T: Send>(work: impl FnOnce() -> T + Send) -> io::Result<T> {
    let isolated = || {
        enter_new()?;
        let mut netlink = Netlink::open()?;
        let loopback = netlink.index_of("lo").map_err(io::Error::other)?;
        netlink.set_up(loopback, true).map_err(io::Error::other)?;
        Ok(work())
    };
    thread::scope(|scope| match scope.spawn(isolated).join() {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}
