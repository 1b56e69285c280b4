//! Which of the newest sequence numbers have been received.

use alloc::boxed::Box;

use super::Receive;

const WORDS: usize = 32;

/// How many sequence numbers behind the newest a packet may be and still be told from a duplicate.
pub const WINDOW: u32 = (WORDS as u32 - 1) * 64;

/// Remembers a bit for each of the newest sequence numbers, in words of 64.
#[derive(Clone, Debug, Default)]
pub(super) struct Window {
    newest: Option<u32>,
    /// While nothing is missing: those of the newest number's word, behind which so many words are complete, and the others empty.
    bits: u64,
    complete: u8,
    /// Otherwise: one bit for each sequence number modulo its size (the anti-replay window of RFC 6479): one word more than the window, so
    /// that moving ahead clears whole words.
    ring: Option<Box<[u64; WORDS]>>,
}

impl Window {
    pub(super) fn newest(&self) -> Option<u32> {
        self.newest
    }

    pub(super) fn classify(&self, seq: u32) -> Receive {
        let Some(newest) = self.newest else { return Receive::New { distance: 1 } };
        let ahead = seq.wrapping_sub(newest);
        let behind = newest.wrapping_sub(seq);
        match () {
            () if ahead != 0 && ahead < 1 << 31 => Receive::New { distance: ahead },
            () if behind >= WINDOW => Receive::TooOld,
            () if self.is_marked(seq) => Receive::Duplicate,
            () => Receive::Late,
        }
    }

    /// Makes `seq` the newest; it is ahead of the newest so far.
    pub(super) fn advance(&mut self, seq: u32) {
        let ahead = self.newest.map_or(0, |newest| words_between(newest, seq));
        if ahead == 1 && self.ring.is_none() && self.bits == u64::MAX {
            self.complete = (self.complete + 1).min(WORDS as u8 - 1);
            self.bits = 0;
        } else if ahead > 0 {
            let ring = self.ring();
            for step in 0..ahead.min(WORDS as u32) {
                ring[word(seq.wrapping_sub(step * 64))] = 0;
            }
            if ring.iter().filter(|bits| **bits == u64::MAX).count() == WORDS - 1 {
                (self.bits, self.complete, self.ring) = (0, WORDS as u8 - 1, None);
            }
        }
        self.newest = Some(seq);
        self.mark(seq);
    }

    /// Forgets all numbers but `seq`, which is the newest.
    pub(super) fn restart(&mut self, seq: u32) {
        *self = Self::default();
        self.advance(seq);
    }

    pub(super) fn mark(&mut self, seq: u32) {
        if self.ring.is_none() && self.words_behind(seq) == 0 {
            self.bits |= bit(seq);
        } else {
            self.ring()[word(seq)] |= bit(seq);
        }
    }

    fn is_marked(&self, seq: u32) -> bool {
        match (&self.ring, self.words_behind(seq)) {
            (Some(ring), _) => ring[word(seq)] & bit(seq) != 0,
            (None, 0) => self.bits & bit(seq) != 0,
            (None, behind) => behind <= u32::from(self.complete),
        }
    }

    fn words_behind(&self, seq: u32) -> u32 {
        self.newest.map_or(0, |newest| words_between(seq, newest))
    }

    /// The ring, made of what is known where there is none.
    fn ring(&mut self) -> &mut [u64; WORDS] {
        self.ring.get_or_insert_with(|| {
            let mut ring = [0; WORDS];
            let newest = self.newest.unwrap_or(0);
            for behind in 1..=u32::from(self.complete) {
                ring[word(newest.wrapping_sub(behind * 64))] = u64::MAX;
            }
            ring[word(newest)] = self.bits;
            Box::new(ring)
        })
    }
}

/// How many words `later` is ahead of `earlier`.
fn words_between(earlier: u32, later: u32) -> u32 {
    (later / 64).wrapping_sub(earlier / 64) % (1 << 26)
}

fn word(seq: u32) -> usize {
    (seq / 64) as usize % WORDS
}

fn bit(seq: u32) -> u64 {
    1 << (seq % 64)
}
