//! Several RC4 streams in lock-step.

use core::array;
use core::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop};

use super::{BLOCK, IDENTITY, Table, portable};

/// How many streams encrypt in lock-step. More of them gain little: four keep the processor's store unit busy.
pub(crate) const DATA: usize = 4;

/// The lane that schedules a key of a [`Chain`] while the others encrypt.
pub(super) const SPARE: usize = DATA;

/// The most bytes of each stream in one go: as many as scheduling a key has steps.
pub(super) const STRIDE: usize = 256;

/// Keys of which each is made by RC4 from the one before: they wait for each other, but not for any data.
pub(crate) trait Chain {
    /// The key whose stream is wanted next. `None`: no more keys are wanted.
    fn ask(&mut self) -> Option<[u8; BLOCK]>;
    /// The beginning of the stream of the key that was asked for.
    fn give(&mut self, stream: [u8; BLOCK]);
}

/// What is encrypted in one lane, from the beginning of its key's stream on. Shorter keys are repeated to 16 bytes.
pub(crate) type Stream<'a> = ([u8; BLOCK], &'a mut [u8]);

/// The memory in which several streams are encrypted at a time: one for each thread, as it is large and wiped only when it is dropped.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Lanes {
    state: State,
    /// Stands in for the data where a stream is at its end.
    rest: [[u8; STRIDE]; DATA],
}

/// The streams' permutations and indices. The instructions of [`x86_64`](super::x86_64) rely on the layout.
#[repr(C, align(256))]
#[derive(Zeroize)]
pub(super) struct State {
    pub(super) tables: [Table; DATA + 1],
    pub(super) keys: [[u8; BLOCK]; DATA + 1],
    /// Below 256.
    pub(super) j: [u64; DATA],
    /// All streams stand at the same byte. A multiple of [`BLOCK`], below 256.
    pub(super) i: u64,
}

impl Default for Lanes {
    fn default() -> Self {
        Self::new()
    }
}

impl Lanes {
    /// Memory that holds nothing.
    #[must_use]
    pub fn new() -> Self {
        let state = State {
            tables: [IDENTITY; DATA + 1],
            keys: [[0; BLOCK]; DATA + 1],
            j: [0; DATA],
            i: 0,
        };
        Self { state, rest: [[0; STRIDE]; DATA] }
    }

    /// Encrypts up to [`DATA`] streams, the longest first, and makes keys of `chain` where the spare lane can.
    pub(crate) fn run(&mut self, streams: &mut [Stream<'_>], mut chain: Option<&mut dyn Chain>) {
        debug_assert!(streams.len() <= DATA);
        debug_assert!(streams.is_sorted_by_key(|(_, data)| usize::MAX - data.len()));
        for (lane, (key, _)) in self.state.keys.iter_mut().zip(streams.iter()) {
            *lane = *key;
        }
        self.state.schedule(streams.len(), &mut chain);
        let longest = streams.first().map_or(0, |(_, data)| data.len());
        for start in (0..longest).step_by(STRIDE) {
            let len = (longest - start).min(STRIDE).next_multiple_of(BLOCK);
            self.generate(streams, start, len, &mut chain);
        }
    }

    /// Encrypts bytes `start` to `start + len` of each stream that has them.
    fn generate(
        &mut self,
        streams: &mut [Stream<'_>],
        start: usize,
        len: usize,
        chain: &mut Option<&mut dyn Chain>,
    ) {
        let active = streams.iter().filter(|(_, data)| data.len() > start).count();
        for ((_, data), rest) in streams.iter().zip(&mut self.rest) {
            if let Some(data) = data.get(start..).filter(|data| data.len() < len) {
                rest[..data.len()].copy_from_slice(data);
            }
        }
        let mut whole = streams.iter_mut().map(|(_, data)| data.get_mut(start..start + len));
        let mut rests = self.rest.iter_mut().map(|rest| &mut rest[..len]);
        let lanes = array::from_fn(|_| {
            let rest = rests.next();
            whole.next().flatten().or(rest).unwrap_or_default()
        });
        self.state.generate(active, lanes, chain);
        for ((_, data), rest) in streams.iter_mut().zip(&self.rest) {
            if let Some(data) = data.get_mut(start..).filter(|data| data.len() < len) {
                data.copy_from_slice(&rest[..data.len()]);
            }
        }
    }
}

impl fmt::Debug for Lanes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lanes(…)")
    }
}

impl State {
    /// Schedules the keys of the first `count` lanes, and one of `chain`.
    fn schedule(&mut self, count: usize, chain: &mut Option<&mut dyn Chain>) {
        self.tables = [IDENTITY; DATA + 1];
        self.j = [0; DATA];
        self.i = 0;
        let spare = if count > 2 { self.ask(chain) } else { false };
        match count {
            0 => {}
            1 => super::schedule(&mut self.tables[0], &self.keys[0]),
            2 => self.schedule_lanes::<2>(),
            _ if spare => self.schedule_lanes::<{ DATA + 1 }>(),
            _ => self.schedule_lanes::<DATA>(),
        }
        if spare {
            self.give(chain);
        }
    }

    /// XORs key stream into `data`, which all have the same length, a multiple of [`BLOCK`] of at most [`STRIDE`]. The first `active` count.
    fn generate(
        &mut self,
        active: usize,
        data: [&mut [u8]; DATA],
        chain: &mut Option<&mut dyn Chain>,
    ) {
        let len = data[0].len();
        match active {
            0 => {}
            1 => {
                let mut j = self.j[0] as u8;
                let [data, ..] = data;
                let (blocks, _) = data.as_chunks_mut();
                super::generate(&mut self.tables[0], self.i as u8, &mut j, blocks);
                self.j[0] = j.into();
            }
            2 => self.generate_lanes::<2>(data),
            _ if len == STRIDE && self.ask(chain) => {
                self.tables[SPARE] = IDENTITY;
                self.generate_and_schedule(data);
                self.give(chain);
            }
            _ => self.generate_lanes::<DATA>(data),
        }
        self.i = (self.i + len as u64) % 256;
    }

    /// Puts a key of `chain` into the spare lane, if one is wanted.
    fn ask(&mut self, chain: &mut Option<&mut dyn Chain>) -> bool {
        let key = chain.as_mut().and_then(|chain| chain.ask());
        if let Some(key) = key {
            self.keys[SPARE] = key;
        }
        key.is_some()
    }

    /// Gives `chain` the stream of the key that has been scheduled in the spare lane.
    fn give(&mut self, chain: &mut Option<&mut dyn Chain>) {
        let mut stream = [[0; BLOCK]];
        super::generate(&mut self.tables[SPARE], 0, &mut 0, &mut stream);
        if let Some(chain) = chain {
            chain.give(stream[0]);
        }
    }

    /// Schedules the keys of the first `N` lanes: 2, [`DATA`], or all.
    fn schedule_lanes<const N: usize>(&mut self) {
        #[cfg(target_arch = "x86_64")]
        if let Some(cpu) = super::x86_64::Cpu::detect() {
            return cpu.schedule_lanes::<N>(self);
        }
        portable::schedule_lanes::<N>(self);
    }

    /// XORs key stream into the first `N` of `data`: 2, or all.
    fn generate_lanes<const N: usize>(&mut self, data: [&mut [u8]; DATA]) {
        #[cfg(target_arch = "x86_64")]
        if let Some(cpu) = super::x86_64::Cpu::detect() {
            return cpu.generate_lanes::<N>(self, data);
        }
        portable::generate_lanes::<N>(self, data);
    }

    /// XORs key stream into `data`, [`STRIDE`] bytes each, and schedules the spare lane's key.
    fn generate_and_schedule(&mut self, data: [&mut [u8]; DATA]) {
        #[cfg(target_arch = "x86_64")]
        if let Some(cpu) = super::x86_64::Cpu::detect() {
            return cpu.generate_and_schedule(self, data);
        }
        portable::generate_lanes::<DATA>(self, data);
        portable::schedule(&mut self.tables[SPARE], &self.keys[SPARE]);
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;
    use crate::rc4::Rc4;

    /// Hashes nothing: each key is the stream of the key before.
    struct Keys {
        current: [u8; BLOCK],
        wanted: usize,
        made: Vec<[u8; BLOCK]>,
    }

    impl Chain for Keys {
        fn ask(&mut self) -> Option<[u8; BLOCK]> {
            (self.made.len() < self.wanted).then_some(self.current)
        }

        fn give(&mut self, stream: [u8; BLOCK]) {
            self.made.push(stream);
            self.current = stream;
        }
    }

    fn keys(wanted: usize) -> Keys {
        Keys { current: [9; BLOCK], wanted, made: Vec::new() }
    }

    impl State {
        fn duplicate(&self) -> Self {
            Self { tables: self.tables, keys: self.keys, j: self.j, i: self.i }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn portable_lanes_agree_with_the_instructions(
            keys in any::<[[u8; BLOCK]; DATA + 1]>(),
            blocks in 0usize..=STRIDE / BLOCK,
        ) {
            let mut left = Lanes::new().state.duplicate();
            left.keys = keys;
            let mut right = left.duplicate();
            left.schedule_lanes::<{ DATA + 1 }>();
            portable::schedule_lanes::<{ DATA + 1 }>(&mut right);
            prop_assert_eq!(left.tables, right.tables);
            let (mut left_data, mut right_data) = ([[1; STRIDE]; DATA], [[1; STRIDE]; DATA]);
            left.tables[SPARE] = IDENTITY;
            right.tables[SPARE] = IDENTITY;
            left.generate_and_schedule(left_data.each_mut().map(|lane| &mut lane[..]));
            portable::generate_lanes::<DATA>(&mut right, right_data.each_mut().map(|lane| &mut lane[..]));
            portable::schedule(&mut right.tables[SPARE], &right.keys[SPARE]);
            prop_assert_eq!((left_data, left.tables, left.j), (right_data, right.tables, right.j));
            let len = blocks * BLOCK;
            left.generate_lanes::<DATA>(left_data.each_mut().map(|lane| &mut lane[..len]));
            portable::generate_lanes::<DATA>(&mut right, right_data.each_mut().map(|lane| &mut lane[..len]));
            left.i = len as u64 % 256;
            right.i = left.i;
            left.generate_lanes::<2>(left_data.each_mut().map(|lane| &mut lane[..len]));
            portable::generate_lanes::<2>(&mut right, right_data.each_mut().map(|lane| &mut lane[..len]));
            prop_assert_eq!((left_data, left.tables, left.j), (right_data, right.tables, right.j));
            (left.tables, right.tables) = ([IDENTITY; DATA + 1], [IDENTITY; DATA + 1]);
            left.schedule_lanes::<2>();
            portable::schedule_lanes::<2>(&mut right);
            left.schedule_lanes::<DATA>();
            portable::schedule_lanes::<DATA>(&mut right);
            prop_assert_eq!(left.tables, right.tables);
        }

        /// Lengths of any mixture, with and without a chain, give what one stream after the other gives.
        #[test]
        fn lanes_encrypt_as_single_streams_do(
            mut lengths in prop::collection::vec(prop_oneof![0usize..40, 0usize..1600], 0..=DATA),
            seed in any::<[u8; BLOCK]>(),
            wanted in 0usize..9,
        ) {
            lengths.sort_unstable_by(|left, right| right.cmp(left));
            let mut bodies: Vec<_> = lengths.iter().map(|len| vec![0x5a; *len]).collect();
            let key = |lane: usize| seed.map(|byte| byte ^ lane as u8);
            let mut streams: Vec<Stream<'_>> =
                bodies.iter_mut().enumerate().map(|(lane, body)| (key(lane), &mut body[..])).collect();
            let mut chain = keys(wanted);
            Lanes::new().run(&mut streams, Some(&mut chain));
            for (lane, body) in bodies.iter().enumerate() {
                let mut expected = vec![0x5a; body.len()];
                Rc4::new(&key(lane)).apply(&mut expected);
                prop_assert_eq!(body, &expected);
            }
            let mut expected = [9; BLOCK];
            for made in &chain.made {
                let mut stream = [0; BLOCK];
                Rc4::new(&expected).apply(&mut stream);
                prop_assert_eq!(made, &stream);
                expected = stream;
            }
            let longest = lengths.first().copied().unwrap_or(0);
            let possible = if lengths.len() > 2 { 1 + longest.next_multiple_of(BLOCK) / STRIDE } else { 0 };
            prop_assert!(chain.made.len() <= possible.min(wanted));
        }

        /// A stream is the same however it is cut, and whatever instructions made it.
        #[test]
        fn single_streams_are_those_of_plain_rust(key in any::<[u8; BLOCK]>(), cuts in prop::collection::vec(0usize..70, 1..20)) {
            let mut plain = IDENTITY;
            portable::schedule(&mut plain, &key);
            let (mut i, mut j) = (0, 0);
            let mut cipher = Rc4::new(&key);
            for cut in cuts {
                let mut data = vec![0; cut];
                cipher.apply(&mut data);
                for byte in data {
                    prop_assert_eq!(byte, portable::step(&mut plain, &mut i, &mut j));
                }
            }
        }
    }
}
