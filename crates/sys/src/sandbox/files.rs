//! Which files may be opened (Landlock, `landlock(7)`).

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, BitFlags, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreated,
    RulesetCreatedAttr,
};

use super::Places;

/// The newest set of rights that is asked for; an older kernel is asked for what it has. V5 (Linux 6.10) adds commands to devices, which
/// TUN needs.
const NEWEST: ABI = ABI::V5;

/// Files that every role that opens files needs. What it may do with them, beside reading:
const DEVICES: [&str; 2] = ["/dev/net/tun", "/dev/null"];

/// Rules that threads can follow.
#[derive(Debug)]
pub(super) struct Files(RulesetCreated);

impl Files {
    /// Rules for these places; `None` on a kernel without Landlock.
    pub(super) fn allow(places: &Places) -> io::Result<Option<Self>> {
        let all = AccessFs::from_all(NEWEST);
        let mut rules = Ruleset::default().handle_access(all).and_then(Ruleset::create);
        let read = AccessFs::ReadFile | AccessFs::ReadDir;
        // What nobody makes here: programs and devices.
        let write = all & !(AccessFs::Execute | AccessFs::MakeChar | AccessFs::MakeBlock);
        let device = AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::IoctlDev;
        let places = places
            .read
            .iter()
            .map(|path| (path.as_path(), read))
            .chain(places.write.iter().map(|path| (path.as_path(), write)))
            .chain(DEVICES.iter().map(|path| (Path::new(path), device)));
        for (path, access) in places {
            if let Some(rule) = rule(path, access)? {
                rules = rules.and_then(|rules| rules.add_rule(rule));
            }
        }
        let rules = rules.map_err(io::Error::other)?;
        let file: Option<OwnedFd> = rules.try_clone()?.into();
        Ok(file.map(|_| Self(rules)))
    }

    /// Has the calling thread follow them.
    pub(super) fn enter(&self) -> io::Result<()> {
        self.0.try_clone()?.restrict_self().map(|_| ()).map_err(io::Error::other)
    }
}

/// A rule for a path; `None` where there is nothing.
fn rule(path: &Path, access: BitFlags<AccessFs>) -> io::Result<Option<PathBeneath<PathFd>>> {
    if !path.try_exists()? {
        return Ok(None);
    }
    // Rights to a directory's entries mean nothing for a file.
    let access = if path.is_dir() { access } else { access & AccessFs::from_file(NEWEST) };
    let file = PathFd::new(path).map_err(io::Error::other)?;
    Ok(Some(PathBeneath::new(file, access)))
}
