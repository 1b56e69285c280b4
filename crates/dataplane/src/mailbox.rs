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
    /// The worker's queues of an interface that calls share, and the ways to all workers, in their order.
    Share(Vec<Tun>, Arc<[HandOver]>),
    /// Which address the call of this id has on the shared interface; every worker knows all.
    Address(u16, Option<Ipv4Addr>),
    /// The way to the peer of the call of this id, if it is between these addresses.
    Way(u16, Ends, Option<Way>),
    /// End the thread.
    Stop,
}

/// How many letters may lie there without the bell: so many are worth a wake-up.
const QUIET: usize = 64;

/// Letters to one worker, in order. The worker takes them all at once, and takes no lock when there are none.
///
/// Under the lock all is changed together: while there are letters the flag is set, and the bell is rung unless all of them are quiet ones.
#[derive(Debug)]
pub(crate) struct Mailbox {
    waiting: Mutex<Waiting>,
    is_filled: AtomicBool,
    pub(crate) bell: EventFd,
}

#[derive(Debug)]
struct Waiting {
    letters: Vec<Letter>,
    is_rung: bool,
}

impl Mailbox {
    pub(crate) fn new() -> io::Result<Self> {
        let waiting = Waiting { letters: Vec::with_capacity(QUIET), is_rung: false };
        let (waiting, is_filled) = (Mutex::new(waiting), AtomicBool::new(false));
        Ok(Self { waiting, is_filled, bell: EventFd::new()? })
    }

    /// Puts a letter in and wakes the worker.
    pub(crate) fn post(&self, letter: Letter) {
        self.put(letter, true);
    }

    /// Puts a letter in that the worker reads when it is awake the next time: a wake-up costs more than most letters.
    pub(crate) fn post_quietly(&self, letter: Letter) {
        self.put(letter, false);
    }

    fn put(&self, letter: Letter, is_urgent: bool) {
        let mut waiting = self.lock();
        waiting.letters.push(letter);
        self.is_filled.store(true, Ordering::Release);
        if !waiting.is_rung && (is_urgent || waiting.letters.len() >= QUIET) {
            waiting.is_rung = true;
            self.bell.signal();
        }
    }

    /// Exchanges the letters for `empty`, whose room serves for the next ones.
    pub(crate) fn take(&self, empty: &mut Vec<Letter>) {
        if self.is_filled.load(Ordering::Acquire) {
            let mut waiting = self.lock();
            if mem::take(&mut waiting.is_rung) {
                self.bell.clear();
            }
            self.is_filled.store(false, Ordering::Release);
            mem::swap(&mut waiting.letters, empty);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Pushing and swapping leave the queue whole even when a thread panics.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
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
    fn quiet_letters_wake_nobody_until_they_are_many_or_another_comes() {
        let mailbox = Mailbox::new().unwrap();
        let epoll = Epoll::new().unwrap();
        epoll.add(&mailbox.bell, 0).unwrap();
        let is_rung = || {
            let mut tokens = Vec::new();
            epoll.wait(Some(Duration::ZERO), &mut tokens).unwrap();
            !tokens.is_empty()
        };
        let mut letters = Vec::new();
        let quiet = || mailbox.post_quietly(Letter::Address(1, None));
        for urgent in [false, true] {
            (1..QUIET).for_each(|_| quiet());
            assert!(!is_rung());
            if urgent {
                mailbox.post(Letter::Stop);
            } else {
                quiet();
            }
            assert!(is_rung());
            mailbox.take(&mut letters);
            assert_eq!(letters.drain(..).count(), QUIET);
            assert!(!is_rung());
        }
        // A worker that is awake for something else finds them.
        quiet();
        mailbox.take(&mut letters);
        assert_eq!(letters.len(), 1);
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
