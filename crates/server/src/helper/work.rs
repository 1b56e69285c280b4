//! The helper's end: carrying orders out.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use sys::pam;
use tokio::io::AsyncWriteExt;
use tokio::net::unix::OwnedWriteHalf;
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

use super::message::Frame;
use super::{Allowed, Answer, Login, Order};
use crate::event::Event;
use crate::host::{Mark, WtmpdbWriter};
use crate::look::Question;
use crate::scripts::Program;

/// The name under which PAM knows the server: Debian's pppd brings `/etc/pam.d/ppp`.
const PAM_SERVICE: &str = "ppp";

/// Users' sessions with PAM that are open, by the number of the matter.
type Sessions = Rc<RefCell<HashMap<u64, pam::Session>>>;

/// Carries out orders until the other end has no more, and ends what is open then. `limit`: how long a program may run.
///
/// # Errors
///
/// Those of reading, and `InvalidData` for what is no order: the server would not say that.
pub(super) async fn serve(socket: UnixStream, limit: Duration) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    let (mut read, write) = tokio::net::UnixStream::from_std(socket)?.into_split();
    let answers = Answers(Rc::new(Mutex::new(write)));
    let Some(first) = Frame::read(&mut read).await? else { return Ok(()) };
    let Order::Allow(allowed) = Order::read(first)? else {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "no first order"));
    };
    let sessions = Sessions::default();
    let mut wtmpdb = WtmpdbWriter::default();
    let stop = Arc::new(AtomicBool::new(false));
    while let Some(frame) = Frame::read(&mut read).await? {
        let number = frame.number;
        match Order::read(frame)? {
            // Once only: nobody who came into the server later says what it may do.
            Order::Allow(_) => {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "allowed twice"));
            }
            Order::Run(program) => run(number, program, limit, &allowed, &answers),
            Order::Ask(login) => ask(number, login, &sessions, &answers),
            Order::Look(question) => look(number, question, &stop, &answers),
            // At once, so that one follows the other.
            Order::Mark(mark) => answers.say(number, make(mark, &allowed, &mut wtmpdb)),
            Order::Close => {
                let session = sessions.borrow_mut().remove(&number);
                // Closing takes the modules their time.
                spawn_blocking(move || drop(session));
            }
        }
    }
    stop.store(true, Relaxed);
    let open = std::mem::take(&mut *sessions.borrow_mut());
    // A module that panicked has closed what it could.
    let _ = spawn_blocking(move || drop(open)).await;
    Ok(())
}

fn run(number: u64, program: Program, limit: Duration, allowed: &Allowed, answers: &Answers) {
    let answers = answers.clone();
    if let Some(objection) = allowed.objection(&program) {
        return answers.say(number, Answer::Failed(objection));
    }
    tokio::task::spawn_local(program.run(limit, move |event| {
        let answer = match event {
            Event::ScriptStarted { pid, .. } => Answer::Started(pid),
            Event::ScriptFinished { status, .. } => Answer::Ended(status),
            Event::ScriptFailed { error, .. } => Answer::Failed(error),
            _ => return,
        };
        answers.say(number, answer);
    }));
}

fn ask(number: u64, login: Login, sessions: &Sessions, answers: &Answers) {
    let (sessions, answers) = (sessions.clone(), answers.clone());
    tokio::task::spawn_local(async move {
        // It may take seconds.
        let asked = spawn_blocking(move || {
            pam::Session::open(pam::Question {
                service: PAM_SERVICE,
                services: None,
                user: &login.user,
                password: login.password,
                tty: "pptp",
                remote_host: &login.client,
            })
        });
        let asked = asked.await.unwrap_or_else(|error| {
            Err(pam::Refused { password: false, reason: error.to_string() })
        });
        let answer = match asked {
            Ok(session) => {
                sessions.borrow_mut().insert(number, session);
                Answer::Admitted
            }
            Err(pam::Refused { password, reason }) => Answer::Refused { password, reason },
        };
        answers.say(number, answer);
    });
}

fn look(number: u64, question: Question, stop: &Arc<AtomicBool>, answers: &Answers) {
    let (stop, answers) = (stop.clone(), answers.clone());
    tokio::task::spawn_local(async move {
        let seen = spawn_blocking(move || crate::look::look(&question, &stop)).await;
        answers.say(
            number,
            match seen {
                Ok(Ok(seen)) => Answer::Seen(seen),
                Ok(Err(error)) => Answer::Failed(error.to_string()),
                Err(error) => Answer::Failed(error.to_string()),
            },
        );
    });
}

fn make(mark: Mark, allowed: &Allowed, wtmpdb: &mut WtmpdbWriter) -> Answer {
    if let Some(objection) = allowed.objection_to(&mark) {
        return Answer::Failed(objection);
    }
    match mark.make(wtmpdb) {
        // Whoever wants no records removes the file, and a file that is to go may be gone.
        Err(error) if error.kind() != io::ErrorKind::NotFound => Answer::Failed(error.to_string()),
        _ => Answer::Marked,
    }
}

/// Says what became of orders.
#[derive(Clone)]
struct Answers(Rc<Mutex<OwnedWriteHalf>>);

impl Answers {
    fn say(&self, number: u64, answer: Answer) {
        let socket = self.0.clone();
        tokio::task::spawn_local(async move {
            // The turns are given in the order in which they were asked for. A server that is gone asks nothing more.
            let letter = answer.frame(number).to_bytes().or_else(|error| {
                // Whoever asked must hear something.
                Answer::Failed(error.to_string()).frame(number).to_bytes()
            });
            if let Ok(letter) = letter {
                let _ = socket.lock().await.write_all(&letter).await;
            }
        });
    }
}
