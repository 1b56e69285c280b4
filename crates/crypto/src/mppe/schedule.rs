//! The sequence of session keys of one direction (RFC 3078 §7.3, RFC 3079 §2.4 and §3.3).

use core::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::change::KeyChange;
use super::{StartKey, Strength};
use crate::rc4::Rc4;

/// Makes one session key after the other.
#[derive(Clone)]
pub struct KeySchedule {
    change: KeyChange,
    current: SessionKey,
    strength: Strength,
}

impl KeySchedule {
    /// A schedule whose [current](Self::current) key is the initial session key, made of the start key alone.
    pub fn new(start: StartKey, strength: Strength) -> Self {
        let mut initial = Zeroizing::new([0; 16]);
        let unchanged = start.clone();
        let change = KeyChange::new(start);
        change.apply(&unchanged.as_bytes()[..strength.key_len()], &mut initial);
        let current = SessionKey::new(&initial, strength);
        Self { change, current, strength }
    }

    /// The key in use now.
    pub fn current(&self) -> &SessionKey {
        &self.current
    }

    /// Changes the key and gives the new one: SHA-1 over start key and current key, the result encrypted with itself.
    ///
    /// The endless sequence of these is what stateless MPPE uses, one for each packet, the first one included.
    #[allow(clippy::should_implement_trait, reason = "it lends its own state and never ends")]
    pub fn next(&mut self) -> &SessionKey {
        let mut interim = Zeroizing::new([0; 16]);
        self.change(&mut interim);
        let key = &mut interim[..self.strength.key_len()];
        Rc4::new(key).apply(key);
        self.accept(&interim);
        &self.current
    }

    /// Makes the key that encrypts itself to the next one. Bytes past the key length are not to be used.
    pub(super) fn change(&self, interim: &mut [u8; 16]) {
        self.change.apply(self.current.as_bytes(), interim);
    }

    /// Makes `bytes` the current key.
    pub(super) fn accept(&mut self, bytes: &[u8; 16]) {
        self.current = SessionKey::new(bytes, self.strength);
    }
}

impl fmt::Debug for KeySchedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeySchedule({:?}, …)", self.strength)
    }
}

/// The RC4 key of one packet (stateless) or of up to 256 (stateful): 8 or 16 bytes.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct SessionKey {
    bytes: [u8; 16],
    len: u8,
}

impl SessionKey {
    fn new(bytes: &[u8; 16], strength: Strength) -> Self {
        let mut key = Self { bytes: *bytes, len: strength.key_len() as u8 };
        let salt = strength.salt();
        key.bytes[..salt.len()].copy_from_slice(salt);
        key
    }

    /// The 8 or 16 bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    /// All 16 bytes, those past the key length too.
    pub(super) fn whole(&self) -> &[u8; 16] {
        &self.bytes
    }

    /// A key of the same length of `bytes`, as they are.
    pub(super) fn like(&self, bytes: &[u8; 16]) -> Self {
        Self { bytes: *bytes, len: self.len }
    }

    /// 16 bytes that RC4 schedules to the same stream.
    pub(super) fn repeated(&self) -> [u8; 16] {
        self.repeat(&self.bytes)
    }

    /// [`repeated`](Self::repeated), for a key of the same length.
    pub(super) fn repeat(&self, bytes: &[u8; 16]) -> [u8; 16] {
        let mut bytes = *bytes;
        if self.len == 8 {
            bytes.copy_within(..8, 8);
        }
        bytes
    }

    /// A cipher at the start of this key's stream.
    pub fn cipher(&self) -> Rc4 {
        Rc4::new(&self.repeated())
    }
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionKey(…)")
    }
}
