//! The way from the control plane into a worker.

use std::io;
use std::mem;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sys::event::EventFd;
use sys::tun::Tun;

use crate::hand_over::HandOver;
use crate::hops::{Ends, Way};
use crate::{Command, Counters, NewCall};

/// A letter to a worker.
#[derive(Debug)]
pub(crate) enum Letter {
    /// A new call.
    Add(NewCall, Arc<Counters>),
    /// A command for the call of this id.
    Command(u16, Command),
    /// The worker's queue of an interface that calls share, and the ways to all workers, in their order.
    Share(Tun, Arc<[HandOver]>),
    /// Which address the call of this id has on the shared interface; every worker knows all.
    Address(u16, Option<Ipv4Addr>),
    /// The way to the peer of the call of this id, if it is between these addresses.
    Way(u16, Ends, Option<Way>),
    /// End the thread.
    Stop,
}

/// Letters to one worker, in order. The worker takes them all at once, and takes no lock when there are none.
///
/// Under the lock all three are changed together: there are letters, the flag is set, the bell is rung; or none of these.
#[derive(Debug)]
pub(crate) struct Mailbox {
    letters: Mutex<Vec<Letter>>,
    is_filled: AtomicBool,
    pub(crate) bell: EventFd,
}

impl Mailbox {
    pub(crate) fn new() -> io::Result<Self> {
        let letters = Mutex::new(Vec::with_capacity(64));
        Ok(Self { letters, is_filled: AtomicBool::new(false), bell: EventFd::new()? })
    }

    /// Puts a letter in and wakes the worker.
    pub(crate) fn post(&self, letter: Letter) {
        let mut letters = self.lock();
        letters.push(letter);
        if letters.len() == 1 {
            self.is_filled.store(true, Ordering::Release);
            self.bell.signal();
        }
    }

    /// Exchanges the letters for `empty`, whose room serves for the next ones.
    pub(crate) fn take(&self, empty: &mut Vec<Letter>) {
        if self.is_filled.load(Ordering::Acquire) {
            let mut letters = self.lock();
            self.bell.clear();
            self.is_filled.store(false, Ordering::Release);
            mem::swap(&mut *letters, empty);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Letter>> {
        // Pushing and swapping leave the queue whole even when a thread panics.
        self.letters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Duration;

    use sys::event::Epoll;

    use super::*;

    #[test]
    fn letters_come_out_in_order_and_only_once() {
        let mailbox = Mailbox::new().unwrap();
        for call in 0..3 {
            mailbox.post(Letter::Command(call, Command::Remove));
        }
        let mut letters = Vec::new();
        mailbox.take(&mut letters);
        let calls: Vec<_> = letters
            .drain(..)
            .map(|letter| match letter {
                Letter::Command(call, Command::Remove) => call,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(calls, [0, 1, 2]);
        mailbox.take(&mut letters);
        assert!(letters.is_empty());
    }

    #[test]
    fn no_letter_is_left_lying_while_the_worker_sleeps() {
        const LETTERS: usize = 100_000;
        let mailbox = Mailbox::new().unwrap();
        let epoll = Epoll::new().unwrap();
        epoll.add(&mailbox.bell, 0).unwrap();
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for _ in 0..LETTERS / 2 {
                        mailbox.post(Letter::Stop);
                    }
                });
            }
            let (mut letters, mut tokens, mut taken) = (Vec::new(), Vec::new(), 0);
            while taken < LETTERS {
                // Also when it is awake for another reason.
                let timeout = if taken % 3 == 0 { 0 } else { 10 };
                epoll.wait(Some(Duration::from_secs(timeout)), &mut tokens).unwrap();
                assert!(timeout == 0 || tokens == [0], "the bell was not rung");
                mailbox.take(&mut letters);
                taken += letters.drain(..).count();
            }
            epoll.wait(Some(Duration::ZERO), &mut tokens).unwrap();
            assert!(tokens.is_empty(), "the bell rings for nothing");
        });
    }
}
