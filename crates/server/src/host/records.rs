//! What other tools look for while a session is up: files with our process id, and a record in wtmp.

use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use wire::Escaped;

use super::{Change, Host, Interface, Mark, wtmpdb};
use crate::event::{Event, Source};

/// How logins are recorded in wtmp, as the plugin `pptpd-logwtmp.so` does it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wtmp {
    /// The file: wtmp, or wtmpdb's database if its name ends with `.db`. Where it is not there nothing is recorded.
    pub file: PathBuf,
    /// Whether `DOMAIN\` is left out of users' names.
    pub strip_domain: bool,
}

impl Wtmp {
    /// Where this system keeps its records: wtmpdb's database where there is one, else `/var/log/wtmp` (utmp(5)).
    pub fn of_this_system() -> Self {
        let file = wtmpdb::place().unwrap_or_else(|| PathBuf::from("/var/log/wtmp"));
        Self { file, strip_domain: false }
    }
}

impl Interface {
    /// Writes the files in which tools look for the process behind an interface, as pppd does: `pppN.pid` and, for a link with a name,
    /// `ppp-NAME.pid`, in the directory `run`. They go with the interface.
    /// A shared interface has them already.
    pub fn write_process_files(&mut self, run: &Path, link_name: Option<&str>, source: &Source) {
        if self.shared.is_some() {
            return;
        }
        for file in process_files(run, &self.name, link_name) {
            self.changes.extend(self.host.write_file(&file, |failed| source.publish(failed)));
        }
    }

    /// Records in wtmp that `user` has come from `client` on this interface's line: its name, or on a shared one the client's address in the
    /// tunnel. That the line is free again is recorded when the interface goes, or at the next start after a crash.
    pub fn record_login(&mut self, wtmp: &Wtmp, user: &[u8], client: Ipv4Addr, source: &Source) {
        let line = match (&self.shared, self.ipv4) {
            (Some(_), Some(ipv4)) => ipv4.remote.to_string(),
            _ => self.name.to_string(),
        };
        let change = Change::Login { line: line.clone(), file: wtmp.file.clone() };
        if self.changes.contains(&change) {
            return;
        }
        let user = if wtmp.strip_domain { without_domain(user) } else { user };
        let mark = Mark::login(&wtmp.file, &line, Some((Escaped(user).to_string(), client)));
        let host = self.host.clone();
        match host.make(&change, |_| host.mark(mark)) {
            Ok(()) => self.changes.push(change),
            // Whoever wants no records removes the file.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                let error = error.to_string();
                source.publish(Event::HostFailed { what: "record logins", error });
            }
        }
    }
}

/// Files for an interface, and what is in them.
pub(super) fn process_files(
    run: &Path,
    interface: &str,
    link_name: Option<&str>,
) -> Vec<(PathBuf, String)> {
    let process = std::process::id();
    let mut files = vec![(run.join(format!("{interface}.pid")), format!("{process}\n"))];
    if let Some(name) = link_name {
        files.push((run.join(format!("ppp-{name}.pid")), format!("{process}\n{interface}\n")));
    }
    files
}

impl Host {
    /// Writes a file of ours, or tells that it could not be.
    pub(super) fn write_file(
        &self,
        (path, text): &(PathBuf, String),
        tell: impl FnOnce(Event),
    ) -> Option<Change> {
        let failed = |error: io::Error| Event::HostFailed {
            what: "write the file with the process id",
            error: error.to_string(),
        };
        self.keep_file(path, text).map_err(|error| tell(failed(error))).ok()
    }

    /// Writes a file that goes when the change that is given is undone.
    ///
    /// # Errors
    ///
    /// Those of writing it, and of noting that.
    pub(crate) fn keep_file(&self, path: &Path, text: &str) -> io::Result<Change> {
        let change = Change::File { path: path.to_owned() };
        let mark = Mark::File { path: path.to_owned(), text: Some(text.to_owned()) };
        self.make(&change, |_| self.mark(mark)).map(|()| change)
    }

    /// Makes a mark, or has it made.
    pub(super) fn mark(&self, mark: Mark) -> io::Result<()> {
        self.marker.borrow_mut().make(mark)
    }
}

/// The plugin's `pptpd-logwtmp-strip-domain`: what stands before `//`, and then before the first backslash, is left out.
fn without_domain(user: &[u8]) -> &[u8] {
    let slashes = user.windows(2).position(|pair| pair == b"//").map_or(0, |at| at + 2);
    let user = &user[slashes..];
    let backslash = user.iter().position(|byte| *byte == b'\\').map_or(0, |at| at + 1);
    &user[backslash..]
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::event::Bus;

    #[test]
    fn a_domain_is_stripped_as_the_plugin_strips_it() {
        for (given, left) in
            [("scott", "scott"), (r"OFFICE\scott", "scott"), ("a//b", "b"), (r"a//b\c", "c")]
        {
            assert_eq!(without_domain(given.as_bytes()), left.as_bytes());
        }
    }

    #[test]
    fn a_login_that_a_crash_left_open_is_closed_at_the_next_start() {
        let dir = tempfile::tempdir().unwrap();
        let bus = Bus::new(Vec::new());
        let file = dir.path().join("wtmp");
        fs::write(&file, b"").unwrap();
        let host = Host::open(dir.path(), &bus).unwrap();
        let change = Change::Login { line: "ppp0".into(), file: file.clone() };
        let user = Some(("scott".to_owned(), Ipv4Addr::new(192, 0, 2, 7)));
        host.make(&change, |_| host.mark(Mark::login(&file, "ppp0", user))).unwrap();
        let one = fs::metadata(&file).unwrap().len();
        // The process ends here, without a word.
        drop(host);
        drop(Host::open(dir.path(), &bus).unwrap());
        assert_eq!(fs::metadata(&file).unwrap().len(), 2 * one);
        // Once is enough.
        drop(Host::open(dir.path(), &bus).unwrap());
        assert_eq!(fs::metadata(&file).unwrap().len(), 2 * one);
        // What ended in this very second is still running to `last`.
        std::thread::sleep(std::time::Duration::from_millis(1100));
        let Ok(last) = std::process::Command::new("last").arg("-f").arg(&file).output() else {
            return eprintln!("skipped: there is no `last` here");
        };
        let told = String::from_utf8(last.stdout).unwrap();
        assert!(told.starts_with("scott    ppp0         192.0.2.7"), "{told}");
        assert!(told.contains("(00:00)"), "{told}");
    }
}
