//! Waiting: epoll, and eventfd to wake a thread that waits.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::Duration;

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{EventfdFlags, Timespec, eventfd};
use rustix::io::Errno;

/// Wakes a thread that waits on it with [`Epoll`].
#[derive(Debug)]
pub struct EventFd(OwnedFd);

impl EventFd {
    /// A new one, not signalled, non-blocking.
    ///
    /// # Errors
    ///
    /// When there are no file descriptors left.
    pub fn new() -> io::Result<Self> {
        Ok(Self(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?))
    }

    /// Signals: it is readable until [`clear`](Self::clear) is called. Signalling twice is like once.
    pub fn signal(&self) {
        // The only failure is a counter at its limit, and then it is signalled already.
        let _ = rustix::io::retry_on_intr(|| rustix::io::write(&self.0, &1u64.to_ne_bytes()));
    }

    /// Takes the signal back.
    pub fn clear(&self) {
        let mut count = [0; 8];
        // The only failure is that it was not signalled.
        let _ = rustix::io::retry_on_intr(|| rustix::io::read(&self.0, &mut count));
    }
}

impl AsFd for EventFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Waits until some of many files are ready, readable if nothing else is said, level-triggered. Each has a token that the caller chose.
#[derive(Debug)]
pub struct Epoll(OwnedFd);

/// What a file is waited for to be. That it has failed is always told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interest {
    /// It has something to read.
    pub readable: bool,
    /// It takes something.
    pub writable: bool,
}

/// The most files that one [`Epoll::wait`] gives.
pub const MAX_READY: usize = 64;

impl Epoll {
    /// One that waits for nothing yet.
    ///
    /// # Errors
    ///
    /// When there are no file descriptors left.
    pub fn new() -> io::Result<Self> {
        Ok(Self(epoll::create(CreateFlags::CLOEXEC)?))
    }

    /// Adds a file to wait for.
    ///
    /// # Errors
    ///
    /// When it is there already or cannot be waited for.
    pub fn add(&self, file: impl AsFd, token: u64) -> io::Result<()> {
        Ok(epoll::add(&self.0, file, EventData::new_u64(token), EventFlags::IN)?)
    }

    /// Adds a socket that connects: it is ready once it has connected or failed, and then [`read_on`](Self::read_on) is wanted.
    ///
    /// # Errors
    ///
    /// When it is there already.
    pub fn add_connecting(&self, file: impl AsFd, token: u64) -> io::Result<()> {
        Ok(epoll::add(&self.0, file, EventData::new_u64(token), EventFlags::OUT)?)
    }

    /// Waits for a file that is there already to be readable, and for nothing else.
    ///
    /// # Errors
    ///
    /// When it is not there.
    pub fn read_on(&self, file: impl AsFd, token: u64) -> io::Result<()> {
        Ok(epoll::modify(&self.0, file, EventData::new_u64(token), EventFlags::IN)?)
    }

    /// Waits for a file that is there already to become what is wanted.
    ///
    /// # Errors
    ///
    /// When it is not there.
    pub fn watch(&self, file: impl AsFd, token: u64, wanted: Interest) -> io::Result<()> {
        let mut flags = EventFlags::empty();
        flags.set(EventFlags::IN, wanted.readable);
        flags.set(EventFlags::OUT, wanted.writable);
        Ok(epoll::modify(&self.0, file, EventData::new_u64(token), flags)?)
    }

    /// Removes a file. Needed even before closing it when another descriptor of it stays open.
    ///
    /// # Errors
    ///
    /// When it is not there.
    pub fn remove(&self, file: impl AsFd) -> io::Result<()> {
        Ok(epoll::delete(&self.0, file)?)
    }

    /// Waits until a file is readable or has failed, or `timeout` has passed (`None`: for ever), and puts the tokens of those files into
    /// `tokens`, at most [`MAX_READY`], in place of what it held. An interruption by a signal gives none.
    ///
    /// # Errors
    ///
    /// Only when the caller's use of it is wrong.
    pub fn wait(&self, timeout: Option<Duration>, tokens: &mut Vec<u64>) -> io::Result<()> {
        let timeout = timeout.map(|timeout| Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: timeout.subsec_nanos().into(),
        });
        tokens.clear();
        let mut room = [const { MaybeUninit::<epoll::Event>::uninit() }; MAX_READY];
        match epoll::wait(&self.0, &mut room[..], timeout.as_ref()) {
            Ok((events, _)) => {
                tokens.extend(events.iter().map(|event| event.data.u64()));
                Ok(())
            }
            Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Readable itself while any of its files is ready.
impl AsRawFd for Epoll {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_seen_until_it_is_cleared() {
        let event = EventFd::new().unwrap();
        let epoll = Epoll::new().unwrap();
        let waited = |timeout| {
            let mut tokens = vec![9];
            epoll.wait(timeout, &mut tokens).unwrap();
            tokens
        };
        epoll.add(&event, 7).unwrap();
        assert_eq!(waited(Some(Duration::ZERO)), []);
        event.signal();
        event.signal();
        for _ in 0..2 {
            assert_eq!(waited(None), [7]);
        }
        event.clear();
        assert_eq!(waited(Some(Duration::from_micros(200))), []);
        event.signal();
        epoll.remove(&event).unwrap();
        assert_eq!(waited(Some(Duration::ZERO)), []);
    }
}
