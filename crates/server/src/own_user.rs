//! The user that the server is once it has started (`server.user`): who that is, what must be readable for that user, and what becomes the user's.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, lchown};
use std::path::{Path, PathBuf};

use config::{Config, Diagnostics, Severity};
use sys::user::User;

/// The key of `gretel.toml`.
const KEY: &str = "server.user";
/// What makes interfaces.
const TUN: &str = "/dev/net/tun";
/// What the package brings for the service.
const EXAMPLE: &str = "/usr/share/doc/gretel/examples/own-user.conf";

/// What there is in a directory of ours: entries of these names, or with what follows such a beginning.
const ENTRIES: [&str; 7] =
    ["lock", "changes", "scripts", "quickstart", "admin.sock", "monitor.sock", "history.db"];

/// The user that the configuration names; `None` for root, and where there is no such user, which `diagnostics` is told.
pub(crate) fn named(config: &Config, diagnostics: &mut Diagnostics) -> Option<User> {
    let name = config.user.as_ref()?;
    let (message, remedy) = match User::named(name) {
        Ok(Some(user)) => return Some(user).filter(|user| !user.is_root()),
        Ok(None) => {
            let remedy = format!("adduser --system --group --no-create-home {name}");
            (format!("there is no user {name}"), remedy)
        }
        Err(error) => {
            let message = format!("the user {name} cannot be looked up: {error}");
            (message, "write a user of /etc/passwd".to_owned())
        }
    };
    diagnostics.0.push(config.blame(KEY, message, remedy));
    None
}

/// What the user cannot open of that which the server opens once it is the user. Files that are not there are not missed here.
pub(crate) fn objections(config: &Config, user: &User, files: &[PathBuf]) -> Diagnostics {
    let look = || {
        let unreadable =
            files.iter().filter_map(|file| obstacle(file, &File::open(file).map(drop)));
        let tun = File::options().read(true).write(true).open(TUN).map(drop);
        (unreadable.collect::<Vec<_>>(), obstacle(Path::new(TUN), &tun))
    };
    let name = user.name();
    let mut diagnostics = Diagnostics::default();
    let (unreadable, tun) = match user.run(look) {
        Ok(seen) => seen,
        Err(error) => {
            let message = format!("whether {name} can read the files was not seen: {error}");
            let mut said = config.blame(KEY, message, format!("as root: {}", becoming()));
            said.severity = Severity::Note;
            diagnostics.0.push(said);
            return diagnostics;
        }
    };
    for Obstacle { file, at } in unreadable {
        let shown = at.display();
        let (message, remedy) = if at == file {
            let message = format!("{name} cannot read {shown}");
            (message, format!("chgrp {name} {shown} && chmod 640 {shown}"))
        } else {
            let message =
                format!("{name} cannot read {}, as it cannot enter {shown}", file.display());
            (message, format!("chgrp {name} {shown} && chmod g+x {shown}"))
        };
        diagnostics.0.push(config.blame(KEY, message, remedy));
    }
    if tun.is_some() {
        let message = format!("{name} cannot open {TUN}, so that there would be no interfaces");
        diagnostics.0.push(config.blame(KEY, message, format!("chmod 666 {TUN}")));
    }
    diagnostics
}

/// A file that could not be opened for want of rights.
struct Obstacle {
    file: PathBuf,
    /// The file, or the folder on the way to it that may not be entered.
    at: PathBuf,
}

fn obstacle(file: &Path, opened: &io::Result<()>) -> Option<Obstacle> {
    if !opened.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied) {
        return None;
    }
    let mut folders: Vec<&Path> = file.ancestors().skip(1).collect();
    folders.reverse();
    // Who may not enter a folder cannot look at anything in it.
    let shut = folders.into_iter().find(|folder| {
        let inside = folder.join(".").symlink_metadata();
        inside.is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
    });
    Some(Obstacle { file: file.to_owned(), at: shut.unwrap_or(file).to_owned() })
}

/// Makes this thread, and those that it starts, the user's. Directories of the server's own become the user's before; they are made if need be.
///
/// # Errors
///
/// In words: what cannot be, and what to do.
pub fn become_user(user: &User, own: &[&Path]) -> io::Result<()> {
    if user.is_current() {
        return Ok(());
    }
    for directory in own {
        fs::create_dir_all(directory)?;
        hand_over(directory, user)?;
    }
    user.assume().map_err(|error| {
        let name = user.name();
        let text = format!("cannot become {name} ({KEY} in gretel.toml): {error}: {}", becoming());
        io::Error::new(error.kind(), text)
    })
}

fn becoming() -> String {
    format!(
        "it takes root, with CAP_SETUID, CAP_SETGID and CAP_CHOWN: the service has them with {EXAMPLE}"
    )
}

/// Gives a directory and what is in it to a user, if it is root's.
fn hand_over(directory: &Path, user: &User) -> io::Result<()> {
    let shown = directory.display();
    let metadata = fs::metadata(directory)?;
    if metadata.uid() == user.uid() {
        return Ok(());
    }
    // Whoever writes there could have put links to others' files in it.
    if metadata.uid() != 0 || metadata.mode() & 0o022 != 0 {
        let name = user.name();
        return Err(io::Error::other(format!(
            "{shown} is to be {name}'s, and others can write there: chown -R {name}: {shown}, if that is right"
        )));
    }
    let entries = entries(directory)?;
    if let Some(other) = entries.iter().find(|entry| !is_ours(entry)) {
        return Err(io::Error::other(format!(
            "{shown} is not Gretel's alone, there is {}: name another directory",
            other.display()
        )));
    }
    give(directory, &entries, user).map_err(|error| {
        let text = format!("cannot give {shown} to {}: {error}: {}", user.name(), becoming());
        io::Error::new(error.kind(), text)
    })
}

fn is_ours(entry: &Path) -> bool {
    let name = entry.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    ENTRIES.iter().any(|ours| name.starts_with(ours))
}

/// The directory last: until then it is root's, and so is what is in it.
fn give(directory: &Path, entries: &[PathBuf], user: &User) -> io::Result<()> {
    for entry in entries {
        if entry.symlink_metadata()?.is_dir() {
            give(entry, &self::entries(entry)?, user)?;
        } else {
            lchown(entry, Some(user.uid()), Some(user.gid()))?;
        }
    }
    // A group that may look stays.
    let group = Some(user.gid()).filter(|_| fs::metadata(directory).is_ok_and(|it| it.gid() == 0));
    lchown(directory, Some(user.uid()), group)
}

fn entries(directory: &Path) -> io::Result<Vec<PathBuf>> {
    fs::read_dir(directory)?.map(|entry| entry.map(|entry| entry.path())).collect()
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// Every Debian has this user; tests that need root are for root.
    fn nobody() -> Option<User> {
        let found = User::named("nobody").unwrap();
        let is_root = rustix::process::geteuid().is_root();
        if found.is_none() || !is_root {
            eprintln!("skipped: this wants root, and a user nobody");
        }
        found.filter(|_| is_root)
    }

    /// A folder that everybody may enter, with a file for root alone.
    fn secret(folder: &Path) -> PathBuf {
        let file = folder.join("chap-secrets");
        fs::write(&file, "scott * turquoise *\n").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
        fs::set_permissions(folder, Permissions::from_mode(0o755)).unwrap();
        file
    }

    #[test]
    fn what_the_user_cannot_read_is_named_with_the_command_that_mends_it() {
        let Some(nobody) = nobody() else { return };
        let folder = tempfile::tempdir().unwrap();
        let file = secret(folder.path());
        let seen = || obstacle(&file, &File::open(&file).map(drop)).map(|it| it.at);
        assert_eq!(nobody.run(seen).unwrap().as_ref(), Some(&file));
        fs::set_permissions(folder.path(), Permissions::from_mode(0o700)).unwrap();
        assert_eq!(nobody.run(seen).unwrap().as_deref(), Some(folder.path()));
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        lchown(&file, None, Some(nobody.gid())).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        assert_eq!(nobody.run(seen).unwrap(), None);
        // What is not there is somebody else's to tell.
        fs::remove_file(&file).unwrap();
        assert_eq!(nobody.run(seen).unwrap(), None);
    }

    #[test]
    fn directories_of_ours_become_the_users_and_others_do_not() {
        let Some(nobody) = nobody() else { return };
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        fs::create_dir_all(state.join("changes")).unwrap();
        fs::write(state.join("changes/file_x"), "file /x\n").unwrap();
        fs::write(state.join("history.db-wal"), "").unwrap();
        hand_over(&state, &nobody).unwrap();
        for path in ["", "changes", "changes/file_x", "history.db-wal"] {
            let owner = fs::metadata(state.join(path)).unwrap();
            assert_eq!((owner.uid(), owner.gid()), (nobody.uid(), nobody.gid()), "{path}");
        }
        hand_over(&state, &nobody).unwrap();

        let shared = folder.path().join("shared");
        fs::create_dir(&shared).unwrap();
        fs::write(shared.join("syslog"), "").unwrap();
        assert!(hand_over(&shared, &nobody).unwrap_err().to_string().contains("not Gretel's"));
        assert_eq!(fs::metadata(&shared).unwrap().uid(), 0);
        fs::remove_file(shared.join("syslog")).unwrap();
        fs::set_permissions(&shared, Permissions::from_mode(0o777)).unwrap();
        assert!(hand_over(&shared, &nobody).unwrap_err().to_string().contains("can write"));
    }
}
