//! The keys of packets that have one each.

use alloc::boxed::Box;
use alloc::vec;
use core::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::{KeySchedule, SessionKey};
use crate::rc4::BLOCK;
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
/// [`apply`](super::apply) has to spare, for several sessions side by side by [`make_keys`], or after a lone packet has left by
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
    /// How many numbers have passed since [`make_keys`] was here last.
    used: u16,
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
            used: 0,
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
            let passed = u16::try_from(number + 1 - self.next).unwrap_or(u16::MAX);
            self.used = self.used.saturating_add(passed);
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

    /// Whether [`make_keys`] is to make another one. If not, it has been here.
    fn wants_more(&mut self) -> bool {
        let wants = self.ahead() < usize::from(self.used).min(KEYS_AHEAD);
        if !wants {
            self.used = 0;
        }
        wants
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

/// Makes keys of packets to come for several sessions side by side: until each has as many ahead as it has used since the last time,
/// [`KEYS_AHEAD`] at most. A session that wants keys when no other does gets none: it gains nothing by them.
pub fn make_keys<'a>(lanes: &mut Lanes, sessions: impl IntoIterator<Item = &'a mut PacketKeys>) {
    let mut sessions = sessions.into_iter();
    let mut chosen: [Option<&mut PacketKeys>; DATA] = Default::default();
    loop {
        for place in &mut chosen {
            while place.as_mut().is_none_or(|keys| !keys.wants_more()) {
                *place = sessions.next();
                if place.is_none() {
                    break;
                }
            }
        }
        let count = chosen.iter().flatten().count();
        if count < 2 {
            break;
        }
        let mut made = Zeroizing::new([[0; BLOCK]; DATA]);
        let mut asking = chosen.iter_mut().flatten();
        let mut streams: [Stream<'_>; DATA] = made.each_mut().map(|made| {
            let key = asking.next().and_then(|keys| keys.ask());
            (key.unwrap_or_default(), &mut made[..])
        });
        lanes.run(&mut streams[..count], None);
        for (keys, stream) in chosen.iter_mut().flatten().zip(made.iter()) {
            keys.give(*stream);
        }
    }
    for keys in chosen.into_iter().flatten() {
        keys.used = 0;
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

    fn use_up(keys: &mut PacketKeys, plain: &mut KeySchedule, count: u64) {
        for _ in 0..count {
            let number = keys.next();
            assert_eq!(keys.key(number).expect("a key").as_bytes(), plain.next().as_bytes());
            assert!(keys.consume(number));
            assert!(!keys.consume(number));
        }
    }

    #[test]
    fn keys_made_side_by_side_are_those_of_the_schedule() {
        for strength in STRENGTHS {
            let mut sessions: [PacketKeys; 6] =
                core::array::from_fn(|_| PacketKeys::new(schedule(strength)));
            let mut plain: [KeySchedule; 6] = core::array::from_fn(|_| schedule(strength));
            sessions[1].prepare();
            sessions[4].key(20);
            for used in [[1, 1, 1, 1, 1, 1], [30, 0, 2, 7, 30, 200], [0, 0, 3, 0, 9, 1]] {
                let mut before = [0; 6];
                for at in 0..6 {
                    use_up(&mut sessions[at], &mut plain[at], used[at]);
                    before[at] = sessions[at].ahead();
                }
                make_keys(&mut Lanes::new(), &mut sessions);
                let wanted = |at: usize| before[at].max(KEYS_AHEAD.min(used[at] as usize));
                assert!((0..6).all(|at| sessions[at].ahead() <= wanted(at)));
                assert!((0..6).filter(|at| sessions[*at].ahead() < wanted(*at)).count() <= 1);
            }
            for (session, plain) in sessions.iter_mut().zip(&mut plain) {
                use_up(session, plain, 100);
            }
        }
    }

    #[test]
    fn a_session_alone_gets_no_keys() {
        let mut sessions: [PacketKeys; 3] =
            core::array::from_fn(|_| PacketKeys::new(schedule(Strength::Bits128)));
        use_up(&mut sessions[1], &mut schedule(Strength::Bits128), 5);
        make_keys(&mut Lanes::new(), &mut sessions);
        assert_eq!(sessions.map(|session| session.ahead()), [0, 0, 0]);
    }

    #[test]
    fn released_keys_are_made_again() {
        let (mut keys, mut plain) =
            (PacketKeys::new(schedule(Strength::Bits56)), schedule(Strength::Bits56));
        for number in 0..50 {
            if number % 3 == 0 {
                keys.key(number + 5);
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
