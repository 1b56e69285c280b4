//! Waiting: epoll, and eventfd to wake a thread that waits.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::buffer::spare_capacity;
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

/// Waits until some of many files are readable, level-triggered. Each has a token that the caller chose.
pub struct Epoll {
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
}

impl fmt::Debug for Epoll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Epoll").field("epoll", &self.epoll).finish_non_exhaustive()
    }
}

/// A file that has something to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    /// The token it was added with.
    pub token: u64,
    /// It has failed or its other end is gone.
    pub failed: bool,
}

impl Epoll {
    /// Gives at most `capacity` files at a time.
    ///
    /// # Errors
    ///
    /// When there are no file descriptors left.
    pub fn new(capacity: usize) -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        Ok(Self { epoll, events: Vec::with_capacity(capacity.max(1)) })
    }

    /// Adds a file to wait for.
    ///
    /// # Errors
    ///
    /// When it is there already or cannot be waited for.
    pub fn add(&self, file: impl AsFd, token: u64) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, file, EventData::new_u64(token), EventFlags::IN)?)
    }

    /// Removes a file. Needed even before closing it when another descriptor of it stays open.
    ///
    /// # Errors
    ///
    /// When it is not there.
    pub fn remove(&self, file: impl AsFd) -> io::Result<()> {
        Ok(epoll::delete(&self.epoll, file)?)
    }

    /// Waits until a file is readable or `timeout` has passed (`None`: for ever), and gives how many are; see [`ready`](Self::ready).
    /// An interruption by a signal gives 0.
    ///
    /// # Errors
    ///
    /// Only when the caller's use of it is wrong.
    pub fn wait(&mut self, timeout: Option<Duration>) -> io::Result<usize> {
        let timeout = timeout.map(|timeout| Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: timeout.subsec_nanos().into(),
        });
        self.events.clear();
        match epoll::wait(&self.epoll, spare_capacity(&mut self.events), timeout.as_ref()) {
            Ok(count) => Ok(count),
            Err(Errno::INTR) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    /// The file at `index` of what [`wait`](Self::wait) has found.
    ///
    /// # Panics
    ///
    /// When `index` is not below what `wait` gave.
    #[must_use]
    pub fn ready(&self, index: usize) -> Ready {
        // A packed struct: its fields are copied out before they are used.
        let event = self.events[index];
        let (flags, data) = (event.flags, event.data);
        let failed = flags.intersects(EventFlags::ERR | EventFlags::HUP);
        Ready { token: data.u64(), failed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_seen_until_it_is_cleared() {
        let event = EventFd::new().unwrap();
        let mut epoll = Epoll::new(4).unwrap();
        epoll.add(&event, 7).unwrap();
        assert_eq!(epoll.wait(Some(Duration::ZERO)).unwrap(), 0);
        event.signal();
        event.signal();
        for _ in 0..2 {
            assert_eq!(epoll.wait(None).unwrap(), 1);
            assert_eq!(epoll.ready(0), Ready { token: 7, failed: false });
        }
        event.clear();
        assert_eq!(epoll.wait(Some(Duration::from_micros(200))).unwrap(), 0);
        event.signal();
        epoll.remove(&event).unwrap();
        assert_eq!(epoll.wait(Some(Duration::ZERO)).unwrap(), 0);
    }
}
