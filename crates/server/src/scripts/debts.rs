//! Programs that are owed: an `ip-up` that was run wants its `ip-down`, also when this process does not live to run it.
//!
//! One file for each in the state directory, removed when the program has been run. Its contents are the path, the number of arguments, the
//! arguments and the environment, each ended by a NUL.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
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
        fs::write(&fresh, encode(program))?;
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
            match fs::read(&file).ok().as_deref().and_then(decode) {
                Some(program) => programs.push((file, program)),
                None => self.settle(&file),
            }
        }
        programs.sort_by(|(one, _), (other, _)| other.cmp(one));
        Ok(programs)
    }
}

fn encode(program: &Program) -> Vec<u8> {
    let mut text = Vec::new();
    let mut put = |bytes: &[u8]| {
        text.extend_from_slice(bytes);
        text.push(0);
    };
    put(program.path.as_os_str().as_bytes());
    put(program.arguments.len().to_string().as_bytes());
    for argument in &program.arguments {
        put(argument.as_bytes());
    }
    for (name, value) in &program.environment {
        put(&[name.as_bytes(), b"=", value.as_bytes()].concat());
    }
    text
}

fn decode(text: &[u8]) -> Option<Program> {
    let mut words = text.strip_suffix(&[0])?.split(|byte| *byte == 0);
    let mut word = || words.next().map(|word| OsString::from_vec(word.to_vec()));
    let path = PathBuf::from(word()?);
    let count: usize = word()?.to_str()?.parse().ok()?;
    let arguments = (0..count).map(|_| word()).collect::<Option<Vec<_>>>()?;
    let mut environment = Vec::new();
    while let Some(entry) = word() {
        let entry = entry.into_vec();
        let at = entry.iter().position(|byte| *byte == b'=')?;
        let name = String::from_utf8(entry[..at].to_vec()).ok()?;
        environment.push((name, OsString::from_vec(entry[at + 1..].to_vec())));
    }
    Some(Program { path, arguments, environment })
}

#[cfg(test)]
mod tests {
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
        let whole = encode(&program());
        for length in 0..whole.len() {
            let read = decode(&whole[..length]);
            assert_ne!(read, Some(program()), "{length} bytes");
        }
        let dir = tempfile::tempdir().unwrap();
        let debts = Debts::open(dir.path()).unwrap();
        fs::write(dir.path().join("scripts/torn"), &whole[..20]).unwrap();
        assert!(debts.leftovers().unwrap().is_empty());
        assert_eq!(fs::read_dir(dir.path().join("scripts")).unwrap().count(), 0);
    }
}
