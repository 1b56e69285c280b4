//! MS-CHAP v2 (RFC 2759).
//!
//! The value of a response is 49 bytes: peer challenge (16), reserved (8, zero), NT response (24), flags (1, zero).
//! User names are given whole; what stands before the last backslash is left out of the hashes.

use sha1::{Digest, Sha1};
use subtle::ConstantTimeEq;

use super::{RESPONSE_LEN, account, challenge_response};
use crate::NtHash;
use crate::mppe::MasterKeys;

/// Length of an authenticator response: `S=` and 40 hexadecimal digits.
pub const AUTHENTICATOR_RESPONSE_LEN: usize = 42;

/// The 8-byte challenge that is really answered: SHA-1 over both challenges and the user name (RFC 2759 §8.2).
pub fn challenge_hash(
    peer_challenge: &[u8; 16],
    authenticator_challenge: &[u8; 16],
    user: &[u8],
) -> [u8; 8] {
    let digest = Sha1::new()
        .chain_update(peer_challenge)
        .chain_update(authenticator_challenge)
        .chain_update(account(user))
        .finalize();
    let mut hash = [0; 8];
    hash.copy_from_slice(&digest[..8]);
    hash
}

/// The 24-byte NT response (RFC 2759 §8.1).
pub fn nt_response(
    authenticator_challenge: &[u8; 16],
    peer_challenge: &[u8; 16],
    user: &[u8],
    hash: &NtHash,
) -> [u8; 24] {
    let challenge = challenge_hash(peer_challenge, authenticator_challenge, user);
    challenge_response(&challenge, hash.as_bytes())
}

/// The server's proof that it too knows the secret: `S=` and 40 upper-case hexadecimal digits (RFC 2759 §8.7).
pub fn authenticator_response(
    hash: &NtHash,
    nt_response: &[u8; 24],
    peer_challenge: &[u8; 16],
    authenticator_challenge: &[u8; 16],
    user: &[u8],
) -> [u8; AUTHENTICATOR_RESPONSE_LEN] {
    let inner = Sha1::new()
        .chain_update(hash.hash().as_slice())
        .chain_update(nt_response)
        .chain_update(b"Magic server to client signing constant")
        .finalize();
    let digest = Sha1::new()
        .chain_update(inner)
        .chain_update(challenge_hash(peer_challenge, authenticator_challenge, user))
        .chain_update(b"Pad to make it do more than one iteration")
        .finalize();
    let mut text = *b"S=0000000000000000000000000000000000000000";
    let (pairs, _) = text[2..].as_chunks_mut::<2>();
    for (pair, byte) in pairs.iter_mut().zip(digest) {
        *pair = [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
    }
    text
}

const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// What a right response gives the server.
#[derive(Clone, Debug)]
pub struct Verified {
    /// The start of the Success message: `S=` and 40 hexadecimal digits.
    pub authenticator_response: [u8; AUTHENTICATOR_RESPONSE_LEN],
    /// The root of the MPPE keys (RFC 3079 §3).
    pub keys: MasterKeys,
}

/// The server's side: checks the value of a response.
///
/// `None` when it is wrong or not 49 bytes long. The reserved bytes and flags are not looked at.
pub fn verify(
    hash: &NtHash,
    user: &[u8],
    authenticator_challenge: &[u8; 16],
    value: &[u8],
) -> Option<Verified> {
    let Response { peer_challenge, nt_response: received } = Response::parse(value)?;
    let wanted = nt_response(authenticator_challenge, &peer_challenge, user, hash);
    bool::from(wanted.as_slice().ct_eq(&received)).then(|| Verified {
        authenticator_response: authenticator_response(
            hash,
            &received,
            &peer_challenge,
            authenticator_challenge,
            user,
        ),
        keys: MasterKeys::from_v2(hash, &received),
    })
}

/// A response, as the client makes it and remembers it until the server's Success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The client's own random challenge.
    pub peer_challenge: [u8; 16],
    /// The proof.
    pub nt_response: [u8; 24],
}

impl Response {
    /// Answers a challenge. `peer_challenge` must be random.
    pub fn new(
        hash: &NtHash,
        user: &[u8],
        authenticator_challenge: &[u8; 16],
        peer_challenge: [u8; 16],
    ) -> Self {
        let nt_response = nt_response(authenticator_challenge, &peer_challenge, user, hash);
        Self { peer_challenge, nt_response }
    }

    /// Takes the value of a response apart; `None` when it is not 49 bytes long.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let value: &[u8; RESPONSE_LEN] = value.try_into().ok()?;
        let (mut peer_challenge, mut nt_response) = ([0; 16], [0; 24]);
        peer_challenge.copy_from_slice(&value[..16]);
        nt_response.copy_from_slice(&value[24..48]);
        Some(Self { peer_challenge, nt_response })
    }

    /// The 49 bytes of the value field.
    pub fn to_bytes(&self) -> [u8; RESPONSE_LEN] {
        let mut value = [0; RESPONSE_LEN];
        value[..16].copy_from_slice(&self.peer_challenge);
        value[24..48].copy_from_slice(&self.nt_response);
        value
    }

    /// The client's side of the proof: checks the message of a Success packet and gives the MPPE master keys.
    ///
    /// `message` starts with `S=` and 40 hexadecimal digits; what follows (` M=…` or nothing) is free. `None` means
    /// that the server does not know the secret: the client must end the connection (RFC 2759 §5).
    pub fn check_success(
        &self,
        hash: &NtHash,
        user: &[u8],
        authenticator_challenge: &[u8; 16],
        message: &[u8],
    ) -> Option<MasterKeys> {
        let mut received = *message.first_chunk::<AUTHENTICATOR_RESPONSE_LEN>()?;
        received.make_ascii_uppercase();
        let wanted = authenticator_response(
            hash,
            &self.nt_response,
            &self.peer_challenge,
            authenticator_challenge,
            user,
        );
        bool::from(wanted.as_slice().ct_eq(&received))
            .then(|| MasterKeys::from_v2(hash, &self.nt_response))
    }
}
