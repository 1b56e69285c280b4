//! The sequence of session keys of one direction (RFC 3078 §7.3, RFC 3079 §2.4 and §3.3).

use core::fmt;

use sha1::block_api::compress;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::{StartKey, Strength};
use crate::rc4::Rc4;

/// Makes one session key after the other.
#[derive(Clone)]
pub struct KeySchedule {
    start: StartKey,
    current: SessionKey,
    strength: Strength,
}

impl KeySchedule {
    /// A schedule whose [current](Self::current) key is the initial session key, made of the start key alone.
    pub fn new(start: StartKey, strength: Strength) -> Self {
        let unchanged = SessionKey::new(start.as_bytes(), strength, false);
        let initial = new_key_from_sha(&start, &unchanged, strength);
        let current = SessionKey::new(&initial, strength, true);
        Self { start, current, strength }
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
        let mut interim = self.interim();
        let key = &mut interim[..self.strength.key_len()];
        Rc4::new(key).apply(key);
        self.accept(&interim);
        &self.current
    }

    /// The key that encrypts itself to the next one. Bytes past the key length are not to be used.
    pub(super) fn interim(&self) -> Zeroizing<[u8; 16]> {
        new_key_from_sha(&self.start, &self.current, self.strength)
    }

    /// Makes `bytes` the current key.
    pub(super) fn accept(&mut self, bytes: &[u8; 16]) {
        self.current = SessionKey::new(bytes, self.strength, true);
    }
}

/// RFC 3079 §3.4 `GetNewKeyFromSHA`.
///
/// What is hashed is two blocks long whatever the key length: start key, 40 times 00, current key, 40 times F2.
fn new_key_from_sha(
    start: &StartKey,
    current: &SessionKey,
    strength: Strength,
) -> Zeroizing<[u8; 16]> {
    let len = strength.key_len();
    let end = 2 * len + 80;
    let mut blocks = Zeroizing::new([0; 128]);
    blocks[..len].copy_from_slice(&start.as_bytes()[..len]);
    blocks[len + 40..2 * len + 40].copy_from_slice(current.as_bytes());
    blocks[2 * len + 40..end].fill(0xf2);
    blocks[end] = 0x80;
    blocks[126..].copy_from_slice(&(8 * end as u16).to_be_bytes());
    let mut state = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
    compress(&mut state, blocks.as_chunks().0);
    let mut key = Zeroizing::new([0; 16]);
    for (bytes, word) in key.as_chunks_mut().0.iter_mut().zip(state) {
        *bytes = word.to_be_bytes();
    }
    state.zeroize();
    key
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
    fn new(bytes: &[u8; 16], strength: Strength, salted: bool) -> Self {
        let mut key = Self { bytes: *bytes, len: strength.key_len() as u8 };
        if salted {
            let salt = strength.salt();
            key.bytes[..salt.len()].copy_from_slice(salt);
        }
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
        core::array::from_fn(|at| self.bytes[at % usize::from(self.len)])
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
