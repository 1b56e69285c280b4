//! What a user authenticates with: a clear-text password or its NT hash.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use md4::{Digest, Md4};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// A clear-text password as the secrets file holds it: UTF-8 bytes, overwritten when dropped.
///
/// Bytes that are not UTF-8 are kept as they are; where characters matter (MS-CHAP) they count as Latin-1.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Password(Vec<u8>);

impl Password {
    /// Takes over the bytes of a password.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The bytes as they were given, for CHAP-MD5 and PAP.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Compares with a password a peer sent (PAP), in a time that depends on the lengths only.
    pub fn matches(&self, other: &[u8]) -> bool {
        subtle::ConstantTimeEq::ct_eq(self.0.as_slice(), other).into()
    }

    /// The password as UTF-16, little endian, which MS-CHAP hashes (RFC 2759 §8.3).
    pub fn to_utf16le(&self) -> Zeroizing<Vec<u8>> {
        // Full size at once: growing would leave copies of the password behind.
        let mut utf16 = Zeroizing::new(Vec::with_capacity(2 * self.0.len()));
        let mut push = |unit: u16| utf16.extend_from_slice(&unit.to_le_bytes());
        match core::str::from_utf8(&self.0) {
            Ok(text) => text.encode_utf16().for_each(&mut push),
            Err(_) => self.0.iter().for_each(|&byte| push(u16::from(byte))),
        }
        utf16
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

impl From<String> for Password {
    fn from(text: String) -> Self {
        Self(text.into_bytes())
    }
}

impl From<&str> for Password {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().to_vec())
    }
}

/// The NT password hash: MD4 of the UTF-16LE password, 16 bytes (RFC 2759 §8.3). As good as the password for MS-CHAP.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct NtHash([u8; 16]);

impl NtHash {
    /// Hashes a clear-text password.
    pub fn of(password: &Password) -> Self {
        Self(Md4::digest(password.to_utf16le().as_slice()).into())
    }

    /// Takes a stored hash.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes of the hash.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// MD4 of the hash: `HashNtPasswordHash` of RFC 2759 §8.4, the root of the MPPE keys.
    pub(crate) fn hash(&self) -> Zeroizing<[u8; 16]> {
        Zeroizing::new(Md4::digest(self.0).into())
    }
}

impl fmt::Debug for NtHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NtHash(…)")
    }
}

/// What is stored for a user.
#[derive(Clone, Debug)]
pub enum Secret {
    /// The clear text: every method works.
    Password(Password),
    /// Only the NT hash: MS-CHAP works; CHAP-MD5, the LM response and 40/56-bit MPPE after MS-CHAP v1 do not.
    NtHash(NtHash),
}

impl Secret {
    /// The clear text, which methods other than MS-CHAP need; `None` when only the hash is stored.
    pub fn password(&self) -> Option<&Password> {
        match self {
            Self::Password(password) => Some(password),
            Self::NtHash(_) => None,
        }
    }

    /// The NT hash, computed from the password where that is stored.
    pub fn nt_hash(&self) -> NtHash {
        match self {
            Self::Password(password) => NtHash::of(password),
            Self::NtHash(hash) => hash.clone(),
        }
    }
}

impl From<Password> for Secret {
    fn from(password: Password) -> Self {
        Self::Password(password)
    }
}

impl From<NtHash> for Secret {
    fn from(hash: NtHash) -> Self {
        Self::NtHash(hash)
    }
}

#[cfg(test)]
mod tests {
    use alloc::{format, vec};

    use super::*;

    #[test]
    fn debug_shows_no_secret() {
        let password = Password::from("hunter2");
        assert_eq!(format!("{password:?}"), "Password(…)");
        assert_eq!(format!("{:?}", NtHash::of(&password)), "NtHash(…)");
        assert_eq!(format!("{:?}", Secret::from(password)), "Password(Password(…))");
    }

    #[test]
    fn utf8_becomes_utf16_with_surrogates() {
        let password = Password::from("aä€😀");
        assert_eq!(
            password.to_utf16le().as_slice(),
            [0x61, 0, 0xe4, 0, 0xac, 0x20, 0x3d, 0xd8, 0x00, 0xde]
        );
    }

    #[test]
    fn bytes_that_are_not_utf8_are_latin1() {
        let password = Password::new(vec![b'a', 0xe4, 0xff]);
        assert_eq!(password.to_utf16le().as_slice(), [0x61, 0, 0xe4, 0, 0xff, 0]);
    }

    #[test]
    fn a_password_matches_itself_only() {
        let password = Password::from("secret");
        assert!(password.matches(b"secret"));
        assert!(!password.matches(b"secreT"));
        assert!(!password.matches(b"secret "));
        assert!(!password.matches(b""));
    }

    #[test]
    fn a_stored_hash_gives_no_clear_text() {
        let hash = NtHash::of(&Password::from("x"));
        let secret = Secret::from(hash.clone());
        assert!(secret.password().is_none());
        assert_eq!(secret.nt_hash().as_bytes(), hash.as_bytes());
    }
}
