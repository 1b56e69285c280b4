//! The keys of packets that have one each.

use alloc::boxed::Box;
use alloc::vec;
use core::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::{KeySchedule, SessionKey};
use crate::rc4::Rc4;
use crate::rc4::lanes::{Chain, DATA, Lanes, Stream};

/// How many keys of missing packets are kept for them to arrive late.
pub const KEPT_KEYS: usize = 256;

/// How many keys are made ahead at most. More than any batch of packets needs: a batch that runs out waits for one key after the other.
pub const KEYS_AHEAD: usize = 160;

/// Room for both: 12 KiB, and only where a packet is missing or keys have been made ahead.
const ROOM: usize = 512;
const _: () = assert!(KEPT_KEYS + KEYS_AHEAD < ROOM);

/// The session keys of a stateless direction by packet number, from 0.
///
/// A stateless key depends on the one before and on no data. So keys can be made before there is a packet for them: in a lane that
/// [`apply`](super::apply) has to spare, for several sessions at once by [`make_keys`], or after a lone packet has left by
/// [`prepare`](Self::prepare).
pub struct PacketKeys {
    /// Its current key is that of packet `made - 1`.
    schedule: KeySchedule,
    made: u64,
    /// One more than the number of the newest packet.
    next: u64,
    /// The key of packet `next - 1`, from which the keys ahead can be made again.
    newest: Zeroizing<[u8; 16]>,
    /// A key in the making.
    interim: Zeroizing<[u8; 16]>,
    /// Keys of packets that are to come, at their number modulo [`ROOM`]; all but the last made. Empty, or [`ROOM`] slots.
    slots: Box<[Slot]>,
    /// The cipher of a packet, ready.
    ready: Option<Box<Ready>>,
}

#[derive(Clone, Zeroize, ZeroizeOnDrop)]
struct Slot {
    /// [`NOBODY`] where the slot is empty.
    number: u64,
    key: [u8; 16],
}

struct Ready {
    /// [`NOBODY`] once it has been used.
    number: u64,
    cipher: Rc4,
}

/// No packet's number.
const NOBODY: u64 = u64::MAX;

impl PacketKeys {
    pub(super) fn new(schedule: KeySchedule) -> Self {
        let newest = Zeroizing::new(*schedule.current().whole());
        Self {
            schedule,
            made: 0,
            next: 0,
            newest,
            interim: Zeroizing::default(),
            slots: Box::default(),
            ready: None,
        }
    }

    /// How many keys there are for packets to come.
    #[must_use]
    pub fn ahead(&self) -> usize {
        (self.made - self.next) as usize
    }

    /// Makes the cipher of the next packet ready: one packet then costs no more than its bytes.
    pub fn prepare(&mut self) {
        let number = self.next;
        if self.ready.as_ref().is_some_and(|ready| ready.number == number) {
            return;
        }
        let Some(key) = self.key(number) else { return };
        let cipher = key.cipher();
        match &mut self.ready {
            Some(ready) => **ready = Ready { number, cipher },
            None => self.ready = Some(Box::new(Ready { number, cipher })),
        }
    }

    /// Whether there is anything to [`release`](Self::release).
    #[must_use]
    pub fn is_holding(&self) -> bool {
        !self.slots.is_empty() || self.ready.is_some()
    }

    /// Gives back the memory that only a busy session needs: keys made ahead and a cipher made ready, which can be made again, and keys kept
    /// for late packets.
    pub fn release(&mut self) {
        self.slots = Box::default();
        self.ready = None;
        if self.made != self.next {
            self.schedule.accept(&self.newest);
            self.made = self.next;
        }
    }

    /// One more than the number of the newest packet.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// The key of a packet. It stays until [`consume`](Self::consume). `None`: the packet is too old, or its key has been consumed.
    ///
    /// `number` must be below `next` + [`KEYS_AHEAD`].
    pub(super) fn key(&mut self, number: u64) -> Option<SessionKey> {
        while self.made <= number {
            self.make();
        }
        if number + 1 == self.made && number >= self.next {
            return Some(self.schedule.current().clone());
        }
        let slot = self.slot(number)?;
        let key = slot.key;
        Some(self.schedule.current().like(&key))
    }

    /// Encrypts or decrypts a packet with its key, which stays. `false`: as with [`key`](Self::key).
    pub(super) fn cipher(&mut self, number: u64, body: &mut [u8]) -> bool {
        if let Some(ready) = self.ready.as_mut().filter(|ready| ready.number == number) {
            ready.number = NOBODY;
            ready.cipher.apply(body);
            return true;
        }
        self.key(number).map(|key| key.cipher().apply(body)).is_some()
    }

    /// A packet was sealed or opened: its key is not used again. Whether it was still there.
    pub(super) fn consume(&mut self, number: u64) -> bool {
        let Some(key) = self.key(number) else { return false };
        if let Some(slot) = self.slot(number) {
            slot.zeroize();
            slot.number = NOBODY;
        }
        if number >= self.next {
            self.next = number + 1;
            *self.newest = *key.whole();
        }
        true
    }

    /// The schedule, and the number of the packet whose key it gives next.
    pub(super) fn schedule(&self) -> (u64, &KeySchedule) {
        (self.made, &self.schedule)
    }

    /// Consumes the key of a packet far ahead, which is the current key of `schedule`. Those of the packets just before it are kept.
    pub(super) fn jump(&mut self, number: u64, schedule: KeySchedule) {
        while self.made < number {
            self.make();
        }
        self.put_newest_made();
        self.schedule = schedule;
        self.made = number + 1;
        self.next = self.made;
        *self.newest = *self.schedule.current().whole();
    }

    fn make(&mut self) {
        self.schedule.change(&mut self.interim);
        let key = self.schedule.current().like(&self.interim);
        let len = key.as_bytes().len();
        key.cipher().apply(&mut self.interim[..len]);
        self.keep_interim();
    }

    /// The key in the making is done: it becomes the newest, and the one before goes to its slot.
    fn keep_interim(&mut self) {
        self.put_newest_made();
        self.schedule.accept(&self.interim);
        self.made += 1;
    }

    /// Puts the last key made into its slot, unless it has been consumed.
    fn put_newest_made(&mut self) {
        if self.made <= self.next {
            return;
        }
        if self.slots.is_empty() {
            self.slots = vec![Slot { number: NOBODY, key: [0; 16] }; ROOM].into();
        }
        let number = self.made - 1;
        let key = *self.schedule.current().whole();
        self.slots[number as usize % ROOM] = Slot { number, key };
    }

    fn slot(&mut self, number: u64) -> Option<&mut Slot> {
        let oldest = self.next.saturating_sub(KEPT_KEYS as u64 + 1);
        let slot = self.slots.get_mut(number as usize % ROOM)?;
        (slot.number == number && number >= oldest).then_some(slot)
    }
}

impl Chain for PacketKeys {
    fn ask(&mut self) -> Option<[u8; 16]> {
        if self.ahead() >= KEYS_AHEAD {
            return None;
        }
        self.schedule.change(&mut self.interim);
        Some(self.schedule.current().repeat(&self.interim))
    }

    fn give(&mut self, stream: [u8; 16]) {
        let len = self.schedule.current().as_bytes().len();
        for (byte, stream) in self.interim[..len].iter_mut().zip(stream) {
            *byte ^= stream;
        }
        self.keep_interim();
    }
}

/// Makes keys for several sessions in lock-step, until each has `keys` ahead, [`KEYS_AHEAD`] at most.
pub fn make_keys(lanes: &mut Lanes, sessions: &mut [&mut PacketKeys], keys: usize) {
    for group in sessions.chunks_mut(DATA) {
        loop {
            let wanted = |session: &&mut PacketKeys| session.ahead() < keys.min(KEYS_AHEAD);
            group.sort_unstable_by_key(|session| !wanted(session));
            let count = group.iter().filter(|session| wanted(session)).count();
            if count == 0 {
                break;
            }
            let mut made = Zeroizing::new([[0; 16]; DATA]);
            let mut made_lanes = made.iter_mut();
            let mut streams: [Stream<'_>; DATA] = core::array::from_fn(|_| {
                ([0; 16], made_lanes.next().map_or(&mut [][..], |lane| &mut lane[..]))
            });
            for (stream, session) in streams.iter_mut().zip(&mut group[..count]) {
                stream.0 = session.ask().unwrap_or_default();
            }
            lanes.run(&mut streams[..count], None);
            for (stream, session) in made.iter().zip(&mut group[..count]) {
                session.give(*stream);
            }
        }
    }
}

impl fmt::Debug for PacketKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PacketKeys(next {}, {} ahead, …)", self.next, self.ahead())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mppe::{StartKey, Strength};

    const STRENGTHS: [Strength; 3] = [Strength::Bits40, Strength::Bits56, Strength::Bits128];

    fn schedule(strength: Strength) -> KeySchedule {
        KeySchedule::new(StartKey::from_bytes([7; 16]), strength)
    }

    #[test]
    fn keys_made_in_lanes_are_those_of_the_schedule() {
        for strength in STRENGTHS {
            let mut sessions: [PacketKeys; 6] =
                core::array::from_fn(|_| PacketKeys::new(schedule(strength)));
            sessions[1].prepare();
            sessions[4].key(20);
            make_keys(&mut Lanes::new(), &mut sessions.each_mut(), 30);
            for session in &mut sessions {
                let mut plain = schedule(strength);
                assert_eq!(session.ahead(), 30);
                for number in 0..100 {
                    let key = session.key(number).expect("a key");
                    assert_eq!(key.as_bytes(), plain.next().as_bytes(), "packet {number}");
                    assert!(session.consume(number));
                    assert!(!session.consume(number));
                }
            }
        }
    }

    #[test]
    fn released_keys_are_made_again() {
        let (mut keys, mut plain) =
            (PacketKeys::new(schedule(Strength::Bits56)), schedule(Strength::Bits56));
        for number in 0..50 {
            if number % 3 == 0 {
                make_keys(&mut Lanes::new(), &mut [&mut keys], 5);
            }
            if number % 7 == 0 {
                keys.release();
                assert_eq!((keys.ahead(), keys.slots.len()), (0, 0));
            }
            assert_eq!(keys.key(number).expect("a key").as_bytes(), plain.next().as_bytes());
            keys.consume(number);
        }
    }

    #[test]
    fn a_lone_packet_with_its_cipher_ready_allocates_nothing() {
        let mut keys = PacketKeys::new(schedule(Strength::Bits128));
        for number in 0..300 {
            keys.prepare();
            assert!(keys.cipher(number, &mut [0; 20]));
            assert!(keys.consume(number));
            assert_eq!(keys.slots.len(), 0);
        }
    }
}
