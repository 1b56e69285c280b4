//! The hash in a key change (RFC 3079 §3.4 `GetNewKeyFromSHA`).
//!
//! What is hashed is two blocks long whatever the key length: start key, 40 times 00, current key, 40 times F2.

use sha1::block_api::compress;
use zeroize::{Zeroize, Zeroizing};

use super::StartKey;

/// The hash of a session's key changes: its start key, and what follows from that alone.
#[derive(Clone)]
pub(super) struct KeyChange {
    start: StartKey,
    #[cfg(target_arch = "x86_64")]
    midstate: x86_64::Midstate,
}

impl KeyChange {
    pub(super) fn new(start: StartKey) -> Self {
        Self {
            #[cfg(target_arch = "x86_64")]
            midstate: x86_64::Midstate::of(start.as_bytes()),
            start,
        }
    }

    /// Makes of a session key, of 8 or 16 bytes, the one that encrypts itself to the next. Only as many bytes of it count.
    pub(super) fn apply(&self, current: &[u8], next: &mut [u8; 16]) {
        #[cfg(target_arch = "x86_64")]
        if let Ok(current) = current.try_into()
            && let Some(cpu) = x86_64::Cpu::detect()
        {
            *next = cpu.change(self.start.as_bytes(), &self.midstate, current);
            return;
        }
        self.apply_plain(current, next);
    }

    fn apply_plain(&self, current: &[u8], next: &mut [u8; 16]) {
        let len = current.len();
        let end = 2 * len + 80;
        let mut blocks = Zeroizing::new([0; 128]);
        blocks[..len].copy_from_slice(&self.start.as_bytes()[..len]);
        blocks[len + 40..2 * len + 40].copy_from_slice(current);
        blocks[2 * len + 40..end].fill(0xf2);
        blocks[end] = 0x80;
        blocks[126..].copy_from_slice(&(8 * end as u16).to_be_bytes());
        let mut state = INITIAL;
        compress(&mut state, blocks.as_chunks().0);
        for (bytes, word) in next.as_chunks_mut().0.iter_mut().zip(state) {
            *bytes = word.to_be_bytes();
        }
        state.zeroize();
    }
}

/// SHA-1's state before the first block (FIPS 180-4 §5.3.1).
const INITIAL: [u32; 5] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];

/// SHA-1 by the processor's instructions, for 16-byte keys: all of it in registers, from the twelfth round on.
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, reason = "instructions that a processor may not have")]
mod x86_64 {
    use core::arch::x86_64::{
        __m128i, _mm_add_epi32, _mm_cvtsi128_si64, _mm_extract_epi32, _mm_extract_epi64,
        _mm_or_si128, _mm_set_epi32, _mm_set_epi64x, _mm_setzero_si128, _mm_sha1msg1_epu32,
        _mm_sha1msg2_epu32, _mm_sha1nexte_epu32, _mm_sha1rnds4_epu32, _mm_slli_si128,
        _mm_srli_si128, _mm_xor_si128,
    };

    use zeroize::{Zeroize, ZeroizeOnDrop};

    use super::INITIAL;
    use crate::rc4;

    cpufeatures::new!(has_sha, "sha", "sse2", "ssse3", "sse4.1");

    /// Proof that the processor has the instructions.
    #[derive(Clone, Copy)]
    pub(super) struct Cpu(());

    /// The state after twelve rounds, whose words are the start key and zeros: a, b, c, d, and e in the form in which the next round takes it.
    #[derive(Clone, Zeroize, ZeroizeOnDrop)]
    pub(super) struct Midstate([u32; 5]);

    impl Midstate {
        /// Zeros where there are no instructions that use it.
        pub(super) fn of(start: &[u8; 16]) -> Self {
            Cpu::detect().map_or(Self([0; 5]), |cpu| cpu.begin(start))
        }
    }

    impl Cpu {
        /// `None`: plain Rust has to do.
        pub(super) fn detect() -> Option<Self> {
            (!rc4::is_plain() && has_sha::get()).then_some(Self(()))
        }

        fn begin(self, start: &[u8; 16]) -> Midstate {
            // SAFETY: the instructions have been detected.
            unsafe { begin(start) }
        }

        pub(super) fn change(
            self,
            start: &[u8; 16],
            midstate: &Midstate,
            key: &[u8; 16],
        ) -> [u8; 16] {
            // SAFETY: the instructions have been detected.
            unsafe { change(start, midstate, key) }
        }
    }

    /// What blocks are chained by: a to d, the first in the highest lane; and e in the highest lane.
    #[derive(Clone, Copy)]
    struct Chained {
        abcd: __m128i,
        e: __m128i,
    }

    /// Between two rounds: a to d, and the same before the last four rounds. e is the a of then, rotated.
    #[derive(Clone, Copy)]
    struct State {
        abcd: __m128i,
        before: __m128i,
    }

    #[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
    fn begin(start: &[u8; 16]) -> Midstate {
        let mut state = first_rounds(initial(), words(start));
        for _ in 0..2 {
            state = four_rounds::<0>(state, _mm_setzero_si128());
        }
        let State { abcd, before } = state;
        let state = [
            _mm_extract_epi32::<3>(abcd),
            _mm_extract_epi32::<2>(abcd),
            _mm_extract_epi32::<1>(abcd),
            _mm_extract_epi32::<0>(abcd),
            _mm_extract_epi32::<3>(before),
        ];
        Midstate(state.map(i32::cast_unsigned))
    }

    #[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
    fn change(start: &[u8; 16], midstate: &Midstate, key: &[u8; 16]) -> [u8; 16] {
        const F2: i32 = 0xf2f2_f2f2_u32.cast_signed();
        /// The bit behind the message, and the message's length in bits.
        const END: i32 = 0x8000_0000_u32.cast_signed();
        const BITS: i32 = 8 * 112;
        let (key, none) = (words(key), _mm_setzero_si128());
        let [a, b, c, d, before] = midstate.0;
        let state = State { abcd: lanes(a, b, c, d), before: lanes(before, 0, 0, 0) };
        let block = [words(start), none, none, _mm_srli_si128::<8>(key)];
        let chained = last_rounds(four_rounds::<0>(state, block[3]), block, initial());
        let block = [
            _mm_or_si128(_mm_slli_si128::<8>(key), _mm_set_epi32(0, 0, F2, F2)),
            _mm_set_epi32(F2, F2, F2, F2),
            _mm_set_epi32(F2, F2, F2, F2),
            _mm_set_epi32(END, 0, 0, BITS),
        ];
        let mut state = first_rounds(chained, block[0]);
        for words in &block[1..] {
            state = four_rounds::<0>(state, *words);
        }
        let hash = last_rounds(state, block, chained).abcd;
        let high = _mm_extract_epi64::<1>(hash).cast_unsigned();
        let low = _mm_cvtsi128_si64(hash).cast_unsigned();
        (u128::from(high) << 64 | u128::from(low)).to_be_bytes()
    }

    /// The first four rounds of a block.
    #[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
    fn first_rounds(Chained { abcd, e }: Chained, words: __m128i) -> State {
        let words = _mm_add_epi32(e, words);
        State { abcd: _mm_sha1rnds4_epu32::<0>(abcd, words), before: abcd }
    }

    /// Four rounds with function `F` of FIPS 180-4 §4.1.1.
    #[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
    fn four_rounds<const F: i32>(State { abcd, before }: State, words: __m128i) -> State {
        let words = _mm_sha1nexte_epu32(before, words);
        State { abcd: _mm_sha1rnds4_epu32::<F>(abcd, words), before: abcd }
    }

    /// The rounds that follow the first sixteen of a block, which is behind `chained`.
    #[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
    fn last_rounds(state: State, block: [__m128i; 4], chained: Chained) -> Chained {
        let block = next(block);
        let state = four_rounds::<0>(state, block[3]);
        let (state, block) = twenty_rounds::<1>(state, block);
        let (state, block) = twenty_rounds::<2>(state, block);
        let (state, _) = twenty_rounds::<3>(state, block);
        Chained {
            abcd: _mm_add_epi32(state.abcd, chained.abcd),
            e: _mm_sha1nexte_epu32(state.before, chained.e),
        }
    }

    /// The twenty rounds of function `F`, and the words that they end with.
    #[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
    fn twenty_rounds<const F: i32>(
        mut state: State,
        mut block: [__m128i; 4],
    ) -> (State, [__m128i; 4]) {
        for _ in 0..5 {
            block = next(block);
            state = four_rounds::<F>(state, block[3]);
        }
        (state, block)
    }

    /// The last sixteen words of the message schedule, four further on (FIPS 180-4 §6.1.2).
    #[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
    fn next([a, b, c, d]: [__m128i; 4]) -> [__m128i; 4] {
        [b, c, d, _mm_sha1msg2_epu32(_mm_xor_si128(_mm_sha1msg1_epu32(a, b), c), d)]
    }

    #[target_feature(enable = "sse2")]
    fn initial() -> Chained {
        let [a, b, c, d, e] = INITIAL;
        Chained { abcd: lanes(a, b, c, d), e: lanes(e, 0, 0, 0) }
    }

    #[target_feature(enable = "sse2")]
    fn lanes(a: u32, b: u32, c: u32, d: u32) -> __m128i {
        let [a, b, c, d] = [a, b, c, d].map(u32::cast_signed);
        _mm_set_epi32(a, b, c, d)
    }

    #[target_feature(enable = "sse2")]
    fn words(bytes: &[u8; 16]) -> __m128i {
        let number = u128::from_be_bytes(*bytes);
        _mm_set_epi64x((number >> 64) as i64, number as i64)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn instructions_hash_as_plain_code_does(start in any::<[u8; 16]>(), key in any::<[u8; 16]>()) {
            let change = KeyChange::new(StartKey::from_bytes(start));
            let (mut one, mut other) = ([0; 16], [1; 16]);
            change.apply(&key, &mut one);
            change.apply_plain(&key, &mut other);
            prop_assert_eq!(one, other);
        }
    }
}
