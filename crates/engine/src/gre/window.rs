//! Which of the newest sequence numbers have been received.

use super::Receive;

const WORDS: usize = 32;

/// How many sequence numbers behind the newest a packet may be and still be told from a duplicate.
pub const WINDOW: u32 = (WORDS as u32 - 1) * 64;

/// A ring of bits, one for each sequence number modulo its size (the anti-replay window of RFC 6479): one word more
/// than the window, so that moving ahead clears whole words.
#[derive(Clone, Debug, Default)]
pub(super) struct Window {
    newest: Option<u32>,
    bits: [u64; WORDS],
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
        let words_ahead = match self.newest {
            Some(newest) => (seq / 64).wrapping_sub(newest / 64) % (1 << 26),
            None => WORDS as u32,
        };
        for step in 0..words_ahead.min(WORDS as u32) {
            self.bits[word(seq.wrapping_sub(step * 64))] = 0;
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
        self.bits[word(seq)] |= 1 << (seq % 64);
    }

    fn is_marked(&self, seq: u32) -> bool {
        self.bits[word(seq)] >> (seq % 64) & 1 == 1
    }
}

fn word(seq: u32) -> usize {
    (seq / 64) as usize % WORDS
}
