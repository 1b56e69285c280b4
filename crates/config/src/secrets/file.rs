//! A secrets file as it changes.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::Secrets;
use crate::diagnostic::{Diagnostics, File, Place};

/// A secrets file that is read again when it has changed.
#[derive(Debug)]
pub struct SecretsFile {
    path: PathBuf,
    /// The group that may read it.
    group: Option<u32>,
    seen: Option<Version>,
    secrets: Secrets,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Version {
    inode: u64,
    size: u64,
    /// Of contents or rights: it changes with every write, even of a tool that sets the time of modification back.
    changed: (i64, i64),
}

impl SecretsFile {
    /// A file that has not been read yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), group: None, seen: None, secrets: Secrets::default() }
    }

    /// The same file, which this group (its number) may read, and nobody else.
    #[must_use]
    pub fn for_group(self, group: Option<u32>) -> Self {
        Self { group, ..self }
    }

    /// Its name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The secrets as they were last read.
    pub fn known(&self) -> &Secrets {
        &self.secrets
    }

    /// The secrets as the file has them now, and what there is to say about it if it was read anew.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn refresh(&mut self) -> Result<(&Secrets, Diagnostics), String> {
        let failed = |error| format!("cannot read {}: {error}", self.path.display());
        let metadata = std::fs::metadata(&self.path).map_err(failed)?;
        let version = Version {
            inode: metadata.ino(),
            size: metadata.size(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        };
        let mut diagnostics = Diagnostics::default();
        if self.seen != Some(version) {
            let text = crate::read_file(&self.path).map(Zeroizing::new).map_err(failed)?;
            let is_meant = self.group == Some(metadata.gid());
            let mode = if is_meant { 0o640 } else { 0o600 };
            if metadata.mode() & 0o077 & !mode != 0 {
                let (path, input) = (&self.path, &text[..]);
                let mut file = File { path, input, secret: true, diagnostics: &mut diagnostics };
                let message = "the secret file has world and/or group access";
                let remedy = format!("chmod {mode:o} {}", path.display());
                file.warn(&Place::default(), message, remedy);
            }
            let (secrets, found) = Secrets::parse(&self.path, &text);
            diagnostics.0.extend(found.0);
            (self.secrets, self.seen) = (secrets, Some(version));
        }
        Ok((&self.secrets, diagnostics))
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn edits_are_seen_and_open_rights_are_told_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("chap-secrets");
        fs::write(&path, "scott * one *\n").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        let mut file = SecretsFile::new(&path);
        let (secrets, said) = file.refresh().unwrap();
        assert_eq!(secrets.len(), 1);
        assert!(said.render().contains("chmod 600"), "{}", said.render());
        assert!(file.refresh().unwrap().1.0.is_empty());

        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "scott * one *\nlulu * two *\n").unwrap();
        let (secrets, said) = file.refresh().unwrap();
        assert!(secrets.knows_client(b"lulu") && said.0.is_empty());

        fs::remove_file(&path).unwrap();
        assert!(file.refresh().unwrap_err().contains("chap-secrets"));
    }

    #[test]
    fn the_group_that_is_meant_may_read_and_nobody_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("chap-secrets");
        fs::write(&path, "scott * one *\n").unwrap();
        let group = fs::metadata(&path).unwrap().gid();
        let said = |group, mode| {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            SecretsFile::new(&path).for_group(group).refresh().unwrap().1.render()
        };
        assert_eq!(said(Some(group), 0o640), "");
        assert!(said(Some(group), 0o660).contains("chmod 640"));
        assert!(said(Some(group), 0o644).contains("chmod 640"));
        assert!(said(Some(group + 1), 0o640).contains("chmod 600"));
        assert!(said(None, 0o640).contains("chmod 600"));
    }
}
