//! MS-CHAP v1 (RFC 2433).
//!
//! The value of a response is 49 bytes: LM response (24), NT response (24), and a flag that is not zero when the NT
//! response counts.

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{RESPONSE_LEN, challenge_response, des_encrypt};
use crate::mppe::MasterKeys;
use crate::{NtHash, Password, Secret};

/// The NT response (RFC 2433 §A.5): 24 bytes over the 8-byte challenge.
pub fn nt_response(challenge: &[u8; 8], hash: &NtHash) -> [u8; 24] {
    challenge_response(challenge, hash.as_bytes())
}

/// The LM response (RFC 2433 §A.1). Of no value as a proof: it depends on 14 upper-case characters, 7 at a time.
pub fn lm_response(challenge: &[u8; 8], password: &Password) -> [u8; 24] {
    challenge_response(challenge, &lm_hash(password))
}

/// The LM hash (RFC 2433 §A.2): `KGS!@#$%` encrypted with each half of the first 14 characters, ASCII in upper case.
pub fn lm_hash(password: &Password) -> Zeroizing<[u8; 16]> {
    let mut text = Zeroizing::new([0u8; 14]);
    for (upper, byte) in text.iter_mut().zip(password.as_bytes()) {
        *upper = byte.to_ascii_uppercase();
    }
    let mut hash = Zeroizing::new([0u8; 16]);
    let (keys, _) = text.as_chunks::<7>();
    let (blocks, _) = hash.as_chunks_mut::<8>();
    for (block, key) in blocks.iter_mut().zip(keys) {
        *block = des_encrypt(key, b"KGS!@#$%");
    }
    hash
}

/// The client's side: the 49-byte value with the NT response only, as RFC 2433 §6 advises.
pub fn respond(challenge: &[u8; 8], hash: &NtHash) -> [u8; RESPONSE_LEN] {
    let mut value = [0u8; RESPONSE_LEN];
    value[24..48].copy_from_slice(&nt_response(challenge, hash));
    value[48] = 1;
    value
}

/// The server's side: checks the value of a response and gives the master keys of RFC 3079 §2 when it is right.
///
/// `value` must be 49 bytes. A response that asks for its LM part to be used (flag 0) is wrong unless `accept_lm`, and
/// always when `secret` holds no clear text. `None` means: refuse, whatever the reason.
pub fn verify(
    secret: &Secret,
    challenge: &[u8; 8],
    value: &[u8],
    accept_lm: bool,
) -> Option<MasterKeys> {
    let value: &[u8; RESPONSE_LEN] = value.try_into().ok()?;
    let hash = secret.nt_hash();
    let use_nt = value[48] != 0;
    let right = if use_nt {
        nt_response(challenge, &hash).as_slice().ct_eq(&value[24..48])
    } else if accept_lm {
        lm_response(challenge, secret.password()?).as_slice().ct_eq(&value[..24])
    } else {
        return None;
    };
    bool::from(right).then(|| master_keys(secret, challenge))
}

/// The master keys of RFC 3079 §2, for the client, which knows its secret to be right when the server says Success.
pub fn master_keys(secret: &Secret, challenge: &[u8; 8]) -> MasterKeys {
    let lm_hash = secret.password().map(lm_hash);
    MasterKeys::from_v1(lm_hash.as_deref(), &secret.nt_hash(), challenge)
}
