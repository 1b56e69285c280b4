//! From an MS-CHAP exchange to the start key of each direction (RFC 3079 §2 and §3).

use core::fmt;

use sha1::{Digest, Sha1};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::Strength;
use crate::NtHash;

/// The root of a connection's MPPE keys.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct MasterKeys(Source);

#[derive(Clone, Zeroize, ZeroizeOnDrop)]
enum Source {
    /// MS-CHAP v1: both directions use the same keys.
    V1 {
        /// The first 8 bytes of the LM hash, the start key of 40 and 56 bits; absent where only the NT hash is known.
        lm_key: Option<[u8; 8]>,
        /// The start key of 128 bits.
        start: [u8; 16],
    },
    /// MS-CHAP v2: the `MasterKey` of RFC 3079 §3.4.
    V2 { master: [u8; 16] },
}

impl MasterKeys {
    /// RFC 3079 §2: keys of an MS-CHAP v1 exchange.
    ///
    /// `lm_hash` is wanted for 40 and 56 bits only (see [`MasterKeys::supports`]); `challenge` is the server's.
    pub fn from_v1(lm_hash: Option<&[u8; 16]>, hash: &NtHash, challenge: &[u8; 8]) -> Self {
        let hash_hash = hash.hash();
        let start = first_16(
            Sha1::new()
                .chain_update(hash_hash.as_slice())
                .chain_update(hash_hash.as_slice())
                .chain_update(challenge),
        );
        let lm_key = lm_hash.and_then(|hash| hash.first_chunk::<8>()).copied();
        Self(Source::V1 { lm_key, start: *start })
    }

    /// RFC 3079 §3.4 `GetMasterKey`: keys of an MS-CHAP v2 exchange.
    pub fn from_v2(hash: &NtHash, nt_response: &[u8; 24]) -> Self {
        let master = first_16(
            Sha1::new()
                .chain_update(hash.hash().as_slice())
                .chain_update(nt_response)
                .chain_update(b"This is the MPPE Master Key"),
        );
        Self(Source::V2 { master: *master })
    }

    /// Whether keys of this strength can be made: 40 and 56 bits after MS-CHAP v1 need the LM hash, hence the password.
    pub fn supports(&self, strength: Strength) -> bool {
        !matches!(
            (&self.0, strength),
            (Source::V1 { lm_key: None, .. }, Strength::Bits40 | Strength::Bits56)
        )
    }

    /// The start keys of both directions, from the point of view of the server (`is_server`) or of the client.
    ///
    /// Where `strength` is not [supported](Self::supports) the keys are secret still, but no peer has the same.
    pub fn start_keys(&self, is_server: bool, strength: Strength) -> StartKeys {
        match &self.0 {
            Source::V1 { lm_key, start } => {
                let mut key = StartKey(*start);
                if let (Some(lm_key), Strength::Bits40 | Strength::Bits56) = (lm_key, strength) {
                    key = StartKey([0; 16]);
                    key.0[..8].copy_from_slice(lm_key);
                }
                StartKeys { send: key.clone(), receive: key }
            }
            Source::V2 { master } => StartKeys {
                send: asymmetric_start_key(master, is_server),
                receive: asymmetric_start_key(master, !is_server),
            },
        }
    }
}

/// RFC 3079 §3.4 `GetAsymmetricStartKey`, for the direction in which the server sends or the client does. Weaker keys
/// are the first bytes of the 128-bit one.
fn asymmetric_start_key(master: &[u8; 16], server_sends: bool) -> StartKey {
    let magic: &[u8] = if server_sends {
        b"On the client side, this is the receive key; on the server side, it is the send key."
    } else {
        b"On the client side, this is the send key; on the server side, it is the receive key."
    };
    let key = first_16(
        Sha1::new()
            .chain_update(master)
            .chain_update([0x00; 40])
            .chain_update(magic)
            .chain_update([0xf2; 40]),
    );
    StartKey(*key)
}

fn first_16(hash: Sha1) -> Zeroizing<[u8; 16]> {
    let mut digest = hash.finalize();
    let mut key = Zeroizing::new([0; 16]);
    key.copy_from_slice(&digest[..16]);
    digest.as_mut_slice().zeroize();
    key
}

impl fmt::Debug for MasterKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Source::V1 { .. } => f.write_str("MasterKeys(MS-CHAP v1, …)"),
            Source::V2 { .. } => f.write_str("MasterKeys(MS-CHAP v2, …)"),
        }
    }
}

/// The start keys of the two directions of a connection, as one end sees them.
#[derive(Clone, Debug)]
pub struct StartKeys {
    /// For this end's [`Sealer`](super::Sealer).
    pub send: StartKey,
    /// For this end's [`Opener`](super::Opener).
    pub receive: StartKey,
}

/// The key a direction's key schedule starts from: 16 bytes, of which 40 and 56 bits use the first 8.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct StartKey([u8; 16]);

impl StartKey {
    /// Takes a start key that was made elsewhere.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Debug for StartKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StartKey(…)")
    }
}
