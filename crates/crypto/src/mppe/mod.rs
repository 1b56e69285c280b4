//! Microsoft Point-to-Point Encryption (RFC 3078) and its keys (RFC 3079).
//!
//! A verified MS-CHAP exchange gives [`MasterKeys`]; they give a [`StartKey`] for each direction; a [`Sealer`] and an
//! [`Opener`] made of those encrypt and decrypt the bodies of packets, in place.
//!
//! ```text
//!   A B C D        coherency count      then: RC4(PPP protocol field and information)
//! +-+-+-+-+-------------------------+
//! |1|0|0|1|         12 bits         |   A 0x8000: key or table new, B and C: MPPC, D 0x1000: encrypted
//! +-+-+-+-+-------------------------+
//! ```
//!
//! The keys ([`PacketKeys`]) are apart from the packet ciphers, so that keys can be made ahead, and many packets of any sessions
//! encrypted or decrypted at once: [`Sealer::plan`] or [`Opener::plan`] for each of them, [`apply`] for all, and [`Opener::commit`] for
//! those that prove sane.

mod batch;
mod change;
mod keys;
mod master;
mod open;
mod schedule;
mod seal;
mod stateful;
mod stateless;

use core::fmt;

pub use batch::apply;
pub use keys::{KEPT_KEYS, KEYS_AHEAD, PacketKeys, make_keys};
pub use master::{MasterKeys, StartKey, StartKeys};
pub use open::{OpenError, Opener, Planned};
pub use schedule::{KeySchedule, SessionKey};
pub use seal::Sealer;
pub use stateless::MAX_KEY_CHANGES;

pub use crate::rc4::lanes::Lanes;

/// Length of the MPPE header in front of the encrypted bytes.
pub const HEADER_LEN: usize = 2;

/// Bit A of the header: the cipher was started anew for this packet.
pub const FLUSHED: u16 = 0x8000;
/// Bit D of the header: the packet is encrypted.
pub const ENCRYPTED: u16 = 0x1000;
/// The coherency count's bits of the header.
pub const COUNT_MASK: u16 = 0x0fff;

/// How many values the coherency count takes.
const COUNT_SPACE: u32 = 0x1000;

/// How many bits of a session key are secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Strength {
    /// 40 bits: 8-byte keys that start with D1 26 9E.
    Bits40,
    /// 56 bits: 8-byte keys that start with D1.
    Bits56,
    /// 128 bits: 16-byte keys.
    Bits128,
}

impl Strength {
    /// Length of a session key in bytes.
    pub const fn key_len(self) -> usize {
        match self {
            Self::Bits40 | Self::Bits56 => 8,
            Self::Bits128 => 16,
        }
    }

    /// The well-known bytes a weak key starts with (RFC 3079 §2.1, §2.2).
    const fn salt(self) -> &'static [u8] {
        match self {
            Self::Bits40 => &[0xd1, 0x26, 0x9e],
            Self::Bits56 => &[0xd1],
            Self::Bits128 => &[],
        }
    }
}

/// When keys change (RFC 3078 §8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Before every packet: packets can be lost and reordered.
    Stateless,
    /// Every 256 packets; the key stream runs on from packet to packet and a loss costs a CCP Reset-Request.
    Stateful,
}

/// `128-bit`, in pppd's words.
impl fmt::Display for Strength {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bits40 => "40-bit",
            Self::Bits56 => "56-bit",
            Self::Bits128 => "128-bit",
        })
    }
}

/// `stateless`, in pppd's words.
impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stateless => "stateless",
            Self::Stateful => "stateful",
        })
    }
}
