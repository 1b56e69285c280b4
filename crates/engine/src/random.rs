//! Random values from a seed, so that every run of an engine can be repeated.

use core::fmt;

use sha1::{Digest, Sha1};
use zeroize::Zeroize;

const BLOCK: usize = 20;

/// A generator of random values: the blocks SHA-1(seed ‖ counter), the counter as 8 bytes, most significant first.
///
/// The values are as hard to guess as the seed is: a caller on a real network takes its 32 bytes from the operating system, and
/// gives no two engines the same seed. Magic numbers, challenges, identifiers and call ids come from here.
pub struct Random {
    seed: [u8; 32],
    /// Bytes of the sequence that are used up. No block is kept: every session has a generator, and few draw anything once they are up.
    used: u64,
}

impl Random {
    /// A generator that starts at the beginning of `seed`'s sequence.
    #[must_use]
    pub const fn new(seed: [u8; 32]) -> Self {
        Self { seed, used: 0 }
    }

    /// Fills `out` with the next bytes of the sequence.
    pub fn fill(&mut self, out: &mut [u8]) {
        let mut rest = out;
        while !rest.is_empty() {
            let mut block = self.block(self.used / BLOCK as u64);
            let begun = (self.used % BLOCK as u64) as usize;
            let len = rest.len().min(BLOCK - begun);
            let (now, later) = rest.split_at_mut(len);
            now.copy_from_slice(&block[begun..begun + len]);
            block.zeroize();
            self.used = self.used.wrapping_add(len as u64);
            rest = later;
        }
    }

    /// The next four bytes as a number.
    pub fn u32(&mut self) -> u32 {
        let mut bytes = [0; 4];
        self.fill(&mut bytes);
        u32::from_be_bytes(bytes)
    }

    /// The next two bytes as a number.
    pub fn u16(&mut self) -> u16 {
        let mut bytes = [0; 2];
        self.fill(&mut bytes);
        u16::from_be_bytes(bytes)
    }

    fn block(&self, counter: u64) -> [u8; BLOCK] {
        Sha1::new().chain_update(self.seed).chain_update(counter.to_be_bytes()).finalize().into()
    }
}

impl Drop for Random {
    fn drop(&mut self) {
        self.seed.zeroize();
    }
}

impl fmt::Debug for Random {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Random(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_sequence_however_it_is_cut() {
        let mut whole = [0; 64];
        Random::new([7; 32]).fill(&mut whole);
        let mut cut = Random::new([7; 32]);
        let mut pieces = alloc::vec::Vec::new();
        for len in [1, 0, 3, 20, 19, 21] {
            let mut piece = alloc::vec![0; len];
            cut.fill(&mut piece);
            pieces.extend(piece);
        }
        assert_eq!(pieces, whole);
    }

    #[test]
    fn the_first_block_is_the_hash_of_seed_and_counter_zero() {
        let digest = Sha1::new().chain_update([1; 32]).chain_update([0; 8]).finalize();
        assert_eq!(Random::new([1; 32]).u32().to_be_bytes(), digest[..4]);
    }

    #[test]
    fn different_seeds_differ_and_the_seed_is_not_shown() {
        assert_ne!(Random::new([1; 32]).u32(), Random::new([2; 32]).u32());
        assert_eq!(alloc::format!("{:?}", Random::new([1; 32])), "Random(..)");
    }
}
