//! The way from the control plane into a worker.

use std::io;
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sys::event::EventFd;

use crate::{Command, Counters, NewCall};

/// A letter to a worker.
#[derive(Debug)]
pub(crate) enum Letter {
    /// A new call.
    Add(NewCall, Arc<Counters>),
    /// A command for the call of this id.
    Command(u16, Command),
    /// End the thread.
    Stop,
}

/// Letters to one worker, in order. The worker takes them all at once, and takes no lock when there are none.
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
        self.lock().push(letter);
        // The worker has been rung for already when the flag is still set.
        if !self.is_filled.swap(true, Ordering::AcqRel) {
            self.bell.signal();
        }
    }

    /// Exchanges the letters for `empty`, whose room serves for the next ones.
    pub(crate) fn take(&self, empty: &mut Vec<Letter>) {
        if self.is_filled.load(Ordering::Acquire) {
            self.is_filled.store(false, Ordering::Release);
            self.bell.clear();
            mem::swap(&mut *self.lock(), empty);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Letter>> {
        // Pushing and swapping leave the queue whole even when a thread panics.
        self.letters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
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
}
