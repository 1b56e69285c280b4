//! What other tools look for while a session is up, in folders of root's: files with our process id, and records of logins. A server that has given
//! root's name up has its [helper](crate::helper) make them.

use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use sys::utmp::{self, Login};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::wtmpdb;
use crate::event::{Bus, Event};
use crate::helper::{Answer, Helper, Order};

/// What is said of marks that the helper could not make.
const WHAT: &str = "write what other tools look for";

/// One of them, to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Mark {
    /// A file has this text; `None`: it is gone.
    File { path: PathBuf, text: Option<String> },
    /// Somebody has come on a line or, with no user, it is free again: a row in wtmp or in wtmpdb's database.
    Login {
        file: PathBuf,
        line: String,
        user: Option<(String, Ipv4Addr)>,
        at: SystemTime,
        process: u32,
    },
}

impl Mark {
    /// That a line is taken by this process's client, or free again, from now on.
    pub(super) fn login(file: &Path, line: &str, user: Option<(String, Ipv4Addr)>) -> Self {
        let (file, line) = (file.to_owned(), line.to_owned());
        Self::Login { file, line, user, at: SystemTime::now(), process: std::process::id() }
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::File { path, .. } | Self::Login { file: path, .. } => path,
        }
    }

    /// Makes it, with this process's rights. Rows of a database are written soon.
    ///
    /// # Errors
    ///
    /// Those of writing a file; `NotFound` where there is no wtmp. And what went wrong with an earlier row of the database.
    pub(crate) fn make(self, wtmpdb: &mut wtmpdb::Writer) -> io::Result<()> {
        let named = |path: &Path, error: io::Error| {
            io::Error::new(error.kind(), format!("{}: {error}", path.display()))
        };
        match self {
            Self::File { path, text: Some(text) } => {
                fs::write(&path, text).map_err(|error| named(&path, error))
            }
            Self::File { path, text: None } => {
                fs::remove_file(&path).map_err(|error| named(&path, error))
            }
            Self::Login { file, line, user, at, .. } if wtmpdb::is_database(&file) => {
                wtmpdb.write(wtmpdb::Row { file, line, user, at });
                wtmpdb.take_error().map_or(Ok(()), |error| Err(io::Error::other(error)))
            }
            Self::Login { file, line, user, at, process } => {
                let user = user.as_ref().map(|(user, client)| (user.as_str(), *client));
                utmp::append(&file, &Login { line: &line, user, at, process })
                    .map_err(|error| named(&file, error))
            }
        }
    }
}

/// Who makes marks.
#[derive(Debug)]
pub(super) enum Marker {
    /// This process.
    Here(wtmpdb::Writer),
    /// The helper. What it cannot do is told when it says so.
    Helper { helper: Helper, answers: UnboundedSender<Answer> },
}

impl Default for Marker {
    fn default() -> Self {
        Self::Here(wtmpdb::Writer::default())
    }
}

impl Marker {
    /// The helper, whose complaints go to `bus`. Wants a `LocalSet` around it.
    pub(super) fn helper(helper: Helper, bus: Bus) -> Self {
        let (answers, mut complaints) = unbounded_channel();
        tokio::task::spawn_local(async move {
            while let Some(answer) = complaints.recv().await {
                if let Answer::Failed(error) = answer {
                    bus.server(Event::HostFailed { what: WHAT, error });
                }
            }
        });
        Self::Helper { helper, answers }
    }

    /// Makes one, or has it made, after those before.
    ///
    /// # Errors
    ///
    /// As [`Mark::make`].
    pub(super) fn make(&mut self, mark: Mark) -> io::Result<()> {
        match self {
            Self::Here(wtmpdb) => mark.make(wtmpdb),
            Self::Helper { helper, answers } => {
                if mark.path().to_str().is_none() {
                    let error =
                        format!("{} is no UTF-8: give it another name", mark.path().display());
                    return Err(io::Error::new(io::ErrorKind::InvalidInput, error));
                }
                helper.tell(Order::Mark(mark), answers)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Duration;

    use super::*;
    use crate::event::{Record, Subscriber};
    use crate::helper::Allowed;
    use crate::settings::Settings;

    /// Keeps what the host failed to do.
    #[derive(Clone, Default)]
    struct Complaints(std::sync::Arc<Mutex<Vec<String>>>);

    impl Subscriber for Complaints {
        fn take(&self, record: &Record) {
            if let Event::HostFailed { error, .. } = &record.event {
                self.0.lock().unwrap().push(error.clone());
            }
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_helper_makes_marks_where_they_belong_and_refuses_others() {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("run");
        fs::create_dir(&run).unwrap();
        let settings = Settings {
            run_dir: run.clone(),
            pid_file: Some(folder.path().join("pptpd.pid")),
            ..Settings::new(Vec::new())
        };
        let complaints = Complaints::default();
        let bus = Bus::new(vec![Box::new(complaints.clone())]);
        let file =
            |path: PathBuf, text: Option<&str>| Mark::File { path, text: text.map(Into::into) };
        tokio::task::LocalSet::new()
            .run_until(async {
                let helper = Helper::allowed(Allowed::by(&settings));
                let mut marker = Marker::helper(helper.clone(), bus);
                let made = [
                    file(run.join("ppp0.pid"), Some("17\n")),
                    file(folder.path().join("pptpd.pid"), Some("17\n")),
                    file(run.join("ppp1.pid"), Some("17\n")),
                    file(run.join("ppp1.pid"), None),
                    // There is none to remove, which is as it should be.
                    file(run.join("ppp1.pid"), None),
                ];
                let refused = [
                    file(run.join("sshd.pid"), Some("1\n")),
                    file(folder.path().join("ppp0.pid"), Some("1\n")),
                    file(run.join("../ppp0.pid"), Some("1\n")),
                    file(run.join("ppp0.pid"), Some("a line\nof text\n")),
                    Mark::login(&folder.path().join("wtmp"), "ppp0", None),
                ];
                let count = refused.len();
                for mark in made.into_iter().chain(refused) {
                    marker.make(mark).unwrap();
                }
                helper.farewell().await;
                for _ in 0..100 {
                    if complaints.0.lock().unwrap().len() >= count {
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                let said = complaints.0.lock().unwrap().clone();
                assert_eq!(said.len(), count, "{said:?}");
                let why = ["when the server started", "no process id"];
                assert!(said.iter().all(|it| why.iter().any(|why| it.contains(why))), "{said:?}");
            })
            .await;
        let names = |dir: &Path| {
            let entries = fs::read_dir(dir).unwrap();
            let mut names: Vec<_> = entries.map(|it| it.unwrap().file_name()).collect();
            names.sort();
            names
        };
        assert_eq!(names(&run), ["ppp0.pid"]);
        assert_eq!(names(folder.path()), ["pptpd.pid", "run"]);
        assert_eq!(fs::read_to_string(run.join("ppp0.pid")).unwrap(), "17\n");
    }
}
