//! Programs that are owed: an `ip-up` that was run wants its `ip-down`, also when this process does not live to run it.
//!
//! One file for each in the state directory, removed when the program has been run. Its contents are
//! [`Program::encode`]'s.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::program::Program;

/// The notes of all programs owed.
pub(super) struct Debts {
    dir: PathBuf,
}

impl Debts {
    pub(super) fn open(state_dir: &Path) -> io::Result<Self> {
        let dir = state_dir.join("scripts");
        fs::create_dir_all(&dir).map_err(|error| {
            io::Error::new(error.kind(), format!("cannot make {}: {error}", dir.display()))
        })?;
        Ok(Self { dir })
    }

    /// Notes that `program` is owed. Names of notes sort by age.
    pub(super) fn owe(&self, name: &str, program: &Program) -> io::Result<PathBuf> {
        let name = format!("{:020} {name}", sys::monotonic_nanos());
        let file = self.dir.join(&name);
        let fresh = self.dir.join(format!("{name}.new"));
        fs::write(&fresh, program.encode())?;
        fs::rename(fresh, &file)?;
        Ok(file)
    }

    /// The program has been run.
    pub(super) fn settle(&self, file: &Path) {
        // A note that cannot be removed has the program run once more at the next start.
        let _ = fs::remove_file(file);
    }

    /// What an earlier process owed, the latest first.
    pub(super) fn leftovers(&self) -> io::Result<Vec<(PathBuf, Program)>> {
        let mut programs = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let file = entry?.path();
            match fs::read(&file).ok().as_deref().and_then(Program::decode) {
                Some(program) => programs.push((file, program)),
                None => self.settle(&file),
            }
        }
        programs.sort_by(|(one, _), (other, _)| other.cmp(one));
        Ok(programs)
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    fn program() -> Program {
        Program {
            path: "/etc/ppp/ip-down".into(),
            arguments: vec!["ppp0".into(), "".into(), OsString::from_vec(vec![0xff, b'x'])],
            environment: vec![("PEERNAME".into(), "a=b".into()), ("UNIT".into(), "0".into())],
        }
    }

    #[test]
    fn a_program_is_owed_until_it_is_settled() {
        let dir = tempfile::tempdir().unwrap();
        let debts = Debts::open(dir.path()).unwrap();
        let file = debts.owe("ip-down", &program()).unwrap();
        let again = Debts::open(dir.path()).unwrap();
        assert_eq!(again.leftovers().unwrap(), [(file.clone(), program())]);
        again.settle(&file);
        assert!(again.leftovers().unwrap().is_empty());
    }

    #[test]
    fn a_torn_note_is_thrown_away() {
        let whole = program().encode();
        for length in 0..whole.len() {
            let read = Program::decode(&whole[..length]);
            assert_ne!(read, Some(program()), "{length} bytes");
        }
        let dir = tempfile::tempdir().unwrap();
        let debts = Debts::open(dir.path()).unwrap();
        fs::write(dir.path().join("scripts/torn"), &whole[..20]).unwrap();
        assert!(debts.leftovers().unwrap().is_empty());
        assert_eq!(fs::read_dir(dir.path().join("scripts")).unwrap().count(), 0);
    }
}
