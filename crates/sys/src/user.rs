//! Users of this system, and threads that become one of them.

use std::ffi::{CStr, CString};
use std::io;
use std::ptr;
use std::thread;

use rustix::process::{Gid, Uid, geteuid, getuid};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, set_capabilities, set_keep_capabilities,
    set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};

/// What is kept of root's capabilities while a server starts: all that it needs but rights to others' files. Its threads give up what they need no
/// more, each by itself ([`sandbox`](crate::sandbox)).
const KEPT: CapabilitySet = CapabilitySet::NET_ADMIN
    .union(CapabilitySet::NET_RAW)
    .union(CapabilitySet::NET_BIND_SERVICE)
    .union(CapabilitySet::BPF)
    // Sockets for a group that looks.
    .union(CapabilitySet::CHOWN)
    // To give up the rest of the bounding set.
    .union(CapabilitySet::SETPCAP)
    // Files that may be open, and memory that packets are in.
    .union(CapabilitySet::SYS_RESOURCE)
    .union(CapabilitySet::IPC_LOCK);

/// The longest entry of a user.
const LONGEST_ENTRY: usize = 1 << 16;
/// A user's groups at most; Linux has no more.
const MOST_GROUPS: usize = 1 << 16;

/// A user of this system (`passwd(5)`) with all groups (`group(5)`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    name: String,
    uid: u32,
    gid: u32,
    groups: Vec<u32>,
}

impl User {
    /// The user of this name; `None` where there is none.
    ///
    /// # Errors
    ///
    /// The system's databases cannot be read.
    pub fn named(name: &str) -> io::Result<Option<Self>> {
        let Ok(c_name) = CString::new(name) else { return Ok(None) };
        let Some((uid, gid)) = ids(&c_name)? else { return Ok(None) };
        let groups = groups(&c_name, gid)?;
        Ok(Some(Self { name: name.to_owned(), uid, gid, groups }))
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The user's number.
    #[must_use]
    pub fn uid(&self) -> u32 {
        self.uid
    }

    /// The number of the user's own group.
    #[must_use]
    pub fn gid(&self) -> u32 {
        self.gid
    }

    /// Whether it is root, by whatever name.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.uid == 0
    }

    /// Whether the calling thread is this user's.
    #[must_use]
    pub fn is_current(&self) -> bool {
        (getuid().as_raw(), geteuid().as_raw()) == (self.uid, self.uid)
    }

    /// Makes the calling thread, and those that it starts from now on, this user's, for good. Of its capabilities it keeps those that a server's start
    /// needs, and none over others' files.
    ///
    /// # Errors
    ///
    /// `PermissionDenied` without `CAP_SETUID` and `CAP_SETGID`; those of `setresuid(2)`. The thread must not go on then.
    pub fn assume(&self) -> io::Result<()> {
        set_keep_capabilities(true)?;
        self.switch()?;
        set_keep_capabilities(false)?;
        let kept = capabilities(None)?.permitted & KEPT;
        let inheritable = CapabilitySet::empty();
        Ok(set_capabilities(
            None,
            CapabilitySets { effective: kept, permitted: kept, inheritable },
        )?)
    }

    /// Does work with the rights that this user has, and no more, on a thread of its own.
    ///
    /// # Errors
    ///
    /// As [`assume`](Self::assume).
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> io::Result<T> {
        if self.is_current() {
            return Ok(work());
        }
        let joined = thread::scope(|scope| scope.spawn(|| self.switch().map(|()| work())).join());
        joined.unwrap_or_else(|_| Err(io::Error::other("a thread panicked")))
    }

    /// Groups first: who is no longer root may not change them.
    fn switch(&self) -> io::Result<()> {
        let groups: Vec<Gid> = self.groups.iter().map(|group| Gid::from_raw(*group)).collect();
        let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
        set_thread_groups(&groups)?;
        set_thread_res_gid(gid, gid, gid)?;
        Ok(set_thread_res_uid(uid, uid, uid)?)
    }
}

/// The numbers of a user and of the user's own group.
fn ids(name: &CStr) -> io::Result<Option<(u32, u32)>> {
    let mut buffer: Vec<libc::c_char> = vec![0; 1024];
    loop {
        // SAFETY: all bytes zero is a valid `passwd`: it consists of integers and pointers.
        let mut entry: libc::passwd = unsafe { std::mem::zeroed() };
        let mut found = ptr::null_mut();
        // SAFETY: the name ends with a zero byte, the buffer is as long as is said, and all live beyond the call. Of the entry only numbers
        // are read, no pointer into the buffer.
        let result = unsafe {
            let room = buffer.as_mut_ptr();
            libc::getpwnam_r(name.as_ptr(), &raw mut entry, room, buffer.len(), &raw mut found)
        };
        match result {
            0 if found.is_null() => return Ok(None),
            0 => return Ok(Some((entry.pw_uid, entry.pw_gid))),
            libc::ERANGE if buffer.len() < LONGEST_ENTRY => buffer.resize(buffer.len() * 2, 0),
            // What some databases say of a name that they do not have (getpwnam(3)).
            libc::ENOENT | libc::ESRCH => return Ok(None),
            error => return Err(io::Error::from_raw_os_error(error)),
        }
    }
}

/// All groups of a user whose own group is known.
fn groups(name: &CStr, own: u32) -> io::Result<Vec<u32>> {
    let mut groups = vec![0; 64];
    loop {
        let mut count = libc::c_int::try_from(groups.len()).unwrap_or(libc::c_int::MAX);
        // SAFETY: the name ends with a zero byte, there is room for `count` groups, and both live beyond the call.
        let result =
            unsafe { libc::getgrouplist(name.as_ptr(), own, groups.as_mut_ptr(), &raw mut count) };
        if result >= 0 {
            groups.truncate(usize::try_from(count).unwrap_or(0));
            return Ok(groups);
        }
        if groups.len() >= MOST_GROUPS {
            return Err(io::Error::other("the user is in too many groups"));
        }
        groups.resize(groups.len() * 2, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every Debian has it; it owns nothing.
    fn nobody() -> Option<User> {
        let found = User::named("nobody").unwrap();
        if found.is_none() {
            eprintln!("skipped: there is no user nobody");
        }
        found
    }

    #[test]
    fn names_are_looked_up_and_need_not_be_there() {
        let root = User::named("root").unwrap().unwrap();
        assert_eq!((root.uid(), root.gid(), root.name()), (0, 0, "root"));
        assert!(root.is_root() && root.groups.contains(&0));
        assert_eq!(User::named("no-such-user-of-gretel").unwrap(), None);
        assert_eq!(User::named("a\0b").unwrap(), None);
    }

    #[test]
    fn work_is_done_with_the_rights_of_another_user_and_this_thread_keeps_its_own() {
        let Some(nobody) = nobody() else { return };
        if !getuid().is_root() {
            return eprintln!("skipped: only root may become somebody else");
        }
        let file = std::env::temp_dir().join(format!("gretel-secret-{}", std::process::id()));
        std::fs::write(&file, "secret").unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&file, mode).unwrap();
        let (read, has) = nobody
            .run(|| (std::fs::read(&file).map(drop), capabilities(None).unwrap().permitted))
            .unwrap();
        assert_eq!(read.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        assert_eq!(has, CapabilitySet::empty());
        assert!(std::fs::read(&file).is_ok() && getuid().is_root() && !nobody.is_current());
        std::fs::remove_file(&file).unwrap();
    }

    #[test]
    fn a_thread_that_is_somebody_elses_keeps_what_starting_needs_and_no_right_to_files() {
        let Some(nobody) = nobody() else { return };
        let before = capabilities(None).unwrap().permitted;
        if !before.contains(CapabilitySet::SETUID | CapabilitySet::SETGID) {
            return eprintln!("skipped: only root may become somebody else");
        }
        let (current, kept, back) = thread::scope(|scope| {
            let thread = scope.spawn(|| {
                nobody.assume().unwrap();
                let root = User::named("root").unwrap().unwrap();
                (nobody.is_current(), capabilities(None).unwrap(), root.assume())
            });
            thread.join().unwrap()
        });
        assert!(current);
        assert_eq!((kept.permitted, kept.effective), (before & KEPT, before & KEPT));
        assert!(!kept.permitted.contains(CapabilitySet::DAC_OVERRIDE));
        assert_eq!(back.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    }
}
