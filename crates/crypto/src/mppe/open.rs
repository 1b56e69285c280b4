//! Decryption of incoming packets: what both modes share.

use alloc::boxed::Box;

use super::stateful::StatefulOpener;
use super::stateless::StatelessOpener;
use super::{COUNT_MASK, ENCRYPTED, FLUSHED, Mode, PacketKeys, SessionKey, StartKey, Strength};
use crate::rc4::Rc4;

/// Decrypts the packets of one direction.
///
/// MPPE has no integrity check. Whether a key fits is judged by the caller's `sane`, and nothing a packet claims changes
/// the state unless `sane` likes the plain text: packets of a forger cost time, never the connection.
#[derive(Debug)]
pub struct Opener(Inner);

#[derive(Debug)]
enum Inner {
    Stateless(StatelessOpener),
    Stateful(Box<StatefulOpener>),
}

impl Opener {
    /// An opener that expects coherency count 0 first.
    pub fn new(start: StartKey, strength: Strength, mode: Mode) -> Self {
        Self(match mode {
            Mode::Stateless => Inner::Stateless(StatelessOpener::new(start, strength)),
            Mode::Stateful => Inner::Stateful(Box::new(StatefulOpener::new(start, strength))),
        })
    }

    /// Decrypts `body` (what follows the MPPE `header`) in place.
    ///
    /// `distance` is how far the GRE sequence number has moved since the newest packet opened so far (before the first:
    /// since the keys were put in place), at least 1; or 0 for a packet that is older than that one. A packet can ask
    /// for no more key changes than that. `sane` judges the plain text. After an error `body` is as it was before.
    pub fn open(
        &mut self,
        header: u16,
        distance: u32,
        body: &mut [u8],
        sane: impl Fn(&[u8]) -> bool,
    ) -> Result<(), OpenError> {
        if header & ENCRYPTED == 0 {
            return Err(OpenError::NotEncrypted);
        }
        let count = header & COUNT_MASK;
        match &mut self.0 {
            Inner::Stateless(opener) => opener.open(count, distance, body, sane),
            Inner::Stateful(opener) => {
                opener.open(count, header & FLUSHED != 0, distance, body, sane)
            }
        }
    }

    /// Finds the key of a packet among many, and changes nothing: the packets planned since the last [`commit`](Self::commit) may come
    /// in any order, and `distance` counts from the newest packet committed. [`apply`](super::apply) decrypts.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open), but for [`OpenError::Insane`].
    pub fn plan(&mut self, header: u16, distance: u32) -> Result<Planned, OpenError> {
        if header & ENCRYPTED == 0 {
            return Err(OpenError::NotEncrypted);
        }
        match &mut self.0 {
            Inner::Stateless(opener) => opener.plan(header & COUNT_MASK, distance),
            Inner::Stateful(_) => Ok(Planned::Alone),
        }
    }

    /// A planned packet has proved sane. One that has not is not to be committed, and has changed nothing.
    ///
    /// # Errors
    ///
    /// [`OpenError::TooOld`]: it was committed before, a duplicate.
    pub fn commit(&mut self, number: u64) -> Result<(), OpenError> {
        match &mut self.0 {
            Inner::Stateless(opener) => opener.commit(number),
            Inner::Stateful(_) => Err(OpenError::TooOld),
        }
    }

    /// The keys of packets to come. `None` in stateful mode.
    pub fn keys(&mut self) -> Option<&mut PacketKeys> {
        match &mut self.0 {
            Inner::Stateless(opener) => Some(opener.keys()),
            Inner::Stateful(_) => None,
        }
    }
}

/// How a packet among many is to be opened.
#[derive(Debug)]
pub enum Planned {
    /// With this key.
    Key {
        /// What [`Opener::commit`] wants to be told.
        number: u64,
        /// What [`apply`](super::apply) wants to be told.
        key: SessionKey,
    },
    /// By [`Opener::open`], after all packets planned before it have been committed: its key depends on them, or is not certain.
    Alone,
}

/// Decrypts `body` with the start of the stream of `key` if `sane` likes the result, and gives the cipher that then
/// stands behind the packet; otherwise puts `body` back as it was.
pub(super) fn try_key(
    key: &SessionKey,
    body: &mut [u8],
    sane: impl Fn(&[u8]) -> bool,
) -> Option<Rc4> {
    let mut cipher = key.cipher();
    cipher.apply(body);
    if sane(body) {
        return Some(cipher);
    }
    key.cipher().apply(body);
    None
}

/// Why a packet was not opened. No error changes which keys later packets are tried with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Bit D is clear: the packet is not encrypted, or MPPC-compressed.
    #[error("the MPPE header says that the packet is not encrypted")]
    NotEncrypted,
    /// Stateful mode: a packet is missing. The caller sends a CCP Reset-Request (not for each packet anew) and goes on.
    #[error("packets are missing and the cipher must be reset")]
    NeedsReset,
    /// A late packet whose key is not kept (any more), or was used before: a duplicate.
    #[error("the packet is too old or a duplicate")]
    TooOld,
    /// The coherency count is farther ahead than the GRE sequence number or the limit on key changes permits.
    #[error("the packet is {advance} packets ahead, more than the {allowed} possible")]
    TooFar {
        /// The smallest number of packets the coherency count can have moved.
        advance: u32,
        /// The largest number allowed.
        allowed: u32,
    },
    /// No key in question gave a plain text that `sane` liked.
    #[error("the packet does not decrypt to anything sensible")]
    Insane,
}
