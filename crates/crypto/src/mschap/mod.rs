//! MS-CHAP, both versions, and what they share: the NT challenge response.

pub mod v1;
pub mod v2;

use des::Des;
use des::cipher::{BlockCipherEncrypt, KeyInit};
use zeroize::Zeroizing;

/// Length of the value field of a response of either version.
pub const RESPONSE_LEN: usize = 49;

/// `ChallengeResponse` (RFC 2759 §8.5, RFC 2433 §A.5): the challenge, encrypted with three DES keys made of the hash.
fn challenge_response(challenge: &[u8; 8], password_hash: &[u8; 16]) -> [u8; 24] {
    let mut keys = Zeroizing::new([0u8; 21]);
    keys[..16].copy_from_slice(password_hash);
    let mut response = [0u8; 24];
    let (blocks, _) = response.as_chunks_mut::<8>();
    let (keys, _) = keys.as_chunks::<7>();
    for (block, key) in blocks.iter_mut().zip(keys) {
        *block = des_encrypt(key, challenge);
    }
    response
}

/// `DesEncrypt` (RFC 2759 §8.6): one block under a 56-bit key given as 7 bytes.
fn des_encrypt(key: &[u8; 7], clear: &[u8; 8]) -> [u8; 8] {
    let key = spread_key(key);
    let mut block = (*clear).into();
    Des::new(&(*key).into()).encrypt_block(&mut block);
    block.into()
}

/// Spreads 56 key bits over 8 bytes, 7 to each, the lowest bit being odd parity.
fn spread_key(key: &[u8; 7]) -> Zeroizing<[u8; 8]> {
    let bits = key.iter().fold(0u64, |bits, &byte| (bits << 8) | u64::from(byte));
    Zeroizing::new(core::array::from_fn(|n| {
        let seven = ((bits >> (49 - 7 * n)) as u8 & 0x7f) << 1;
        seven | u8::from(seven.count_ones().is_multiple_of(2))
    }))
}

/// The name that is hashed: the part after the last backslash, as Windows leaves the domain out.
fn account(user: &[u8]) -> &[u8] {
    user.rsplit(|&byte| byte == b'\\').next().unwrap_or(user)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn des_keys_get_odd_parity() {
        let spread = spread_key(&[0xfc, 0x15, 0x6a, 0xf7, 0xed, 0xcd, 0x6c]);
        assert_eq!(*spread, [0xfd, 0x0b, 0x5b, 0x5e, 0x7f, 0x6e, 0x34, 0xd9]);
        let spread = spread_key(&[0x0e, 0xdd, 0xe3, 0x33, 0x7d, 0x42, 0x7f]);
        assert_eq!(*spread, [0x0e, 0x6e, 0x79, 0x67, 0x37, 0xea, 0x08, 0xfe]);
    }

    #[test]
    fn the_domain_is_left_out_of_the_account_name() {
        assert_eq!(account(b"fred"), b"fred");
        assert_eq!(account(b"DOMAIN\\fred"), b"fred");
        assert_eq!(account(b"a\\b\\fred"), b"fred");
        assert_eq!(account(b"fred\\"), b"");
    }
}
