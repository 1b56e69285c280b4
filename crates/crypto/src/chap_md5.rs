//! CHAP with MD5 (RFC 1994 §4.1). EAP-MD5 (RFC 3748 §5.4) computes the same value with the EAP identifier.

use md5::{Digest, Md5};
use subtle::ConstantTimeEq;

use crate::Password;

/// The 16-byte response: MD5 over identifier, password and challenge.
///
/// `id` is the identifier of the challenge packet. `challenge` may have any length.
pub fn response(id: u8, password: &Password, challenge: &[u8]) -> [u8; 16] {
    Md5::new()
        .chain_update([id])
        .chain_update(password.as_bytes())
        .chain_update(challenge)
        .finalize()
        .into()
}

/// Whether `received` is the right response. One of a wrong length is simply wrong.
pub fn verify(id: u8, password: &Password, challenge: &[u8], received: &[u8]) -> bool {
    response(id, password, challenge).as_slice().ct_eq(received).into()
}
