//! The sequence of session keys of one direction (RFC 3078 §7.3, RFC 3079 §2.4 and §3.3).

use core::fmt;

use sha1::{Digest, Sha1};
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
        let mut interim = new_key_from_sha(&self.start, &self.current, self.strength);
        let key = &mut interim[..self.strength.key_len()];
        Rc4::new(key).apply(key);
        self.current = SessionKey::new(&interim, self.strength, true);
        &self.current
    }
}

/// RFC 3079 §3.4 `GetNewKeyFromSHA`: bytes past the key length are not to be used.
fn new_key_from_sha(
    start: &StartKey,
    current: &SessionKey,
    strength: Strength,
) -> Zeroizing<[u8; 16]> {
    let len = strength.key_len();
    let mut digest = Sha1::new()
        .chain_update(&start.as_bytes()[..len])
        .chain_update([0x00; 40])
        .chain_update(current.as_bytes())
        .chain_update([0xf2; 40])
        .finalize();
    let mut key = Zeroizing::new([0; 16]);
    key.copy_from_slice(&digest[..16]);
    digest.as_mut_slice().zeroize();
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

    /// A cipher at the start of this key's stream.
    pub fn cipher(&self) -> Rc4 {
        Rc4::new(self.as_bytes())
    }
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionKey(…)")
    }
}
