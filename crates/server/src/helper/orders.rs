//! The server's end: giving orders, and hearing what became of them.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;
use zeroize::Zeroizing;

use super::message::Frame;
use super::{Allowed, Answer, Order};

/// How long a helper may take to close what is open when the server stops.
const PATIENCE: Duration = Duration::from_secs(10);

/// Gives orders to the helper process.
#[derive(Clone)]
pub(crate) struct Helper(Rc<Inner>);

struct Inner {
    next: Cell<u64>,
    /// Bounded by those who give orders: each waits for its turn, and for the answers.
    letters: RefCell<Option<UnboundedSender<Zeroizing<Vec<u8>>>>>,
    /// Who waits for answers, by the matter's number.
    waiting: RefCell<HashMap<u64, UnboundedSender<Answer>>>,
    /// Whether the helper is gone.
    gone: watch::Sender<bool>,
}

/// Tells a helper what it may be asked to run, before anything else.
pub(super) fn allow(mut socket: &UnixStream, allowed: Allowed) -> io::Result<()> {
    socket.write_all(&Order::Allow(allowed).frame(0).to_bytes()?)
}

impl Helper {
    /// The helper at the other end of a socket. Wants a `LocalSet` around it.
    ///
    /// # Errors
    ///
    /// The socket cannot be waited for.
    pub(crate) fn connect(socket: UnixStream) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let (read, write) = tokio::net::UnixStream::from_std(socket)?.into_split();
        let (letters, waiting) = unbounded_channel();
        let helper = Self(Rc::new(Inner {
            next: Cell::new(1),
            letters: RefCell::new(Some(letters)),
            waiting: RefCell::default(),
            gone: watch::Sender::new(false),
        }));
        tokio::task::spawn_local(send_all(write, waiting));
        tokio::task::spawn_local(helper.clone().hear_all(read));
        Ok(helper)
    }

    /// Gives an order that begins a matter: its number, and what will be said about it. Nothing at all when the helper is gone.
    pub(crate) fn begin(&self, order: Order) -> io::Result<(u64, UnboundedReceiver<Answer>)> {
        let number = self.0.next.replace(self.0.next.get() + 1);
        let (tell, answers) = unbounded_channel();
        let letter = order.frame(number).to_bytes()?;
        if !*self.0.gone.borrow() && self.send(letter) {
            self.0.waiting.borrow_mut().insert(number, tell);
        }
        Ok((number, answers))
    }

    /// Gives an order whose answer goes to whoever hears others, too.
    ///
    /// # Errors
    ///
    /// It is too long, or the helper is gone.
    pub(crate) fn tell(&self, order: Order, answers: &UnboundedSender<Answer>) -> io::Result<()> {
        let number = self.0.next.replace(self.0.next.get() + 1);
        let letter = order.frame(number).to_bytes()?;
        if *self.0.gone.borrow() || !self.send(letter) {
            return Err(io::Error::other("the helper process is gone: restart the server"));
        }
        self.0.waiting.borrow_mut().insert(number, answers.clone());
        Ok(())
    }

    /// Gives an order about a matter that was begun, and ends it.
    pub(crate) fn close(&self, number: u64) {
        if let Ok(letter) = Order::Close.frame(number).to_bytes() {
            // A helper that is gone has closed it.
            self.send(letter);
        }
    }

    /// Says that there are no more orders, and waits until the helper has closed what was open, within reason.
    pub(crate) async fn farewell(&self) {
        self.0.letters.borrow_mut().take();
        let mut gone = self.0.gone.subscribe();
        let _ = tokio::time::timeout(PATIENCE, gone.wait_for(|gone| *gone)).await;
    }

    fn send(&self, letter: Zeroizing<Vec<u8>>) -> bool {
        self.0.letters.borrow().as_ref().is_some_and(|letters| letters.send(letter).is_ok())
    }

    async fn hear_all(self, mut socket: OwnedReadHalf) {
        while let Ok(Some(frame)) = Frame::read(&mut socket).await {
            let Ok(answer) = Answer::read(&frame) else { break };
            let is_last = !matches!(answer, Answer::Started(_));
            let mut waiting = self.0.waiting.borrow_mut();
            if let Some(who) = waiting.get(&frame.number) {
                // Whoever does not wait any more does not want to know.
                let _ = who.send(answer);
            }
            if is_last {
                waiting.remove(&frame.number);
            }
        }
        self.0.gone.send_replace(true);
        self.0.waiting.borrow_mut().clear();
    }
}

async fn send_all(mut socket: OwnedWriteHalf, mut letters: UnboundedReceiver<Zeroizing<Vec<u8>>>) {
    while let Some(letter) = letters.recv().await {
        if socket.write_all(&letter).await.is_err() {
            return;
        }
    }
    // The helper has heard all. That it is gone is as good.
    let _ = socket.shutdown().await;
}

impl std::fmt::Debug for Helper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Helper").field("gone", &*self.0.gone.borrow()).finish_non_exhaustive()
    }
}

#[cfg(test)]
impl Helper {
    /// A helper in this process that runs anything, for at most `limit`.
    pub(crate) fn within(limit: Duration) -> Self {
        Self::of(Allowed { folder: "/".into(), ..Allowed::default() }, limit)
    }

    /// A helper in this process.
    pub(crate) fn allowed(allowed: Allowed) -> Self {
        Self::of(allowed, Duration::from_secs(1))
    }

    fn of(allowed: Allowed, limit: Duration) -> Self {
        let (ours, theirs) = UnixStream::pair().unwrap();
        allow(&ours, allowed).unwrap();
        tokio::task::spawn_local(async move { super::work::serve(theirs, limit).await.unwrap() });
        Self::connect(ours).unwrap()
    }
}
