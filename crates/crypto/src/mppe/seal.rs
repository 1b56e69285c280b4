//! Encryption of outgoing packets.

use alloc::boxed::Box;

use super::{
    COUNT_MASK, ENCRYPTED, FLUSHED, KeySchedule, Mode, PacketKeys, SessionKey, StartKey, Strength,
};
use crate::rc4::Rc4;

/// Encrypts the packets of one direction.
#[derive(Debug)]
pub struct Sealer {
    /// Coherency count of the next packet.
    count: u16,
    mode: Running,
}

#[derive(Debug)]
enum Running {
    Stateless(PacketKeys),
    Stateful {
        schedule: KeySchedule,
        /// Boxed: it is large, and stateless sessions have none.
        cipher: Box<Rc4>,
        flush: bool,
    },
}

impl Sealer {
    /// A sealer whose first packet has coherency count 0.
    pub fn new(start: StartKey, strength: Strength, mode: Mode) -> Self {
        let schedule = KeySchedule::new(start, strength);
        let mode = match mode {
            Mode::Stateless => Running::Stateless(PacketKeys::new(schedule)),
            Mode::Stateful => {
                let cipher = Box::new(schedule.current().cipher());
                Running::Stateful { schedule, cipher, flush: false }
            }
        };
        Self { count: 0, mode }
    }

    /// Encrypts `body` (PPP protocol field and information) in place and gives the header to put in front of it.
    ///
    /// Stateful: the first packet does not carry bit A. RFC 3078 §3.1 would have it, but Linux changes its key at every
    /// bit A and never sets it on its own first packet; other peers have just initialised their tables anyway.
    pub fn seal(&mut self, body: &mut [u8]) -> u16 {
        let bits = match &mut self.mode {
            Running::Stateless(keys) => {
                let number = keys.next();
                keys.cipher(number, body);
                keys.consume(number);
                FLUSHED | ENCRYPTED
            }
            Running::Stateful { schedule, cipher, flush } => {
                if core::mem::take(flush) {
                    self.count |= 0xff;
                }
                let flag = self.count & 0xff == 0xff;
                if flag {
                    **cipher = schedule.next().cipher();
                }
                cipher.apply(body);
                if flag { FLUSHED | ENCRYPTED } else { ENCRYPTED }
            }
        };
        self.header(bits)
    }

    /// [`seal`](Self::seal) for a packet among many: gives its header, and the key that [`apply`](super::apply) is to encrypt `body` with.
    /// `None`: that has been done, as the cipher runs on from packet to packet.
    pub fn plan(&mut self, body: &mut [u8]) -> (u16, Option<SessionKey>) {
        let Running::Stateless(keys) = &mut self.mode else { return (self.seal(body), None) };
        let number = keys.next();
        let key = keys.key(number);
        keys.consume(number);
        (self.header(FLUSHED | ENCRYPTED), key)
    }

    /// The keys of packets to come. `None` in stateful mode.
    pub fn keys(&mut self) -> Option<&mut PacketKeys> {
        match &mut self.mode {
            Running::Stateless(keys) => Some(keys),
            Running::Stateful { .. } => None,
        }
    }

    fn header(&mut self, bits: u16) -> u16 {
        let header = bits | self.count;
        self.count = (self.count + 1) & COUNT_MASK;
        header
    }

    /// Answers a CCP Reset-Request: the next packet starts a new cipher and carries bit A. Stateless: nothing to do.
    ///
    /// Peers disagree on what bit A means outside the regular key change: RFC 3078 §3.1 starts the table anew with the
    /// current key, Linux changes the key first. So the coherency count jumps to the next regular change (low byte FF),
    /// which all peers do alike; a peer that asked for a reset takes any count.
    pub fn flush(&mut self) {
        if let Running::Stateful { flush, .. } = &mut self.mode {
            *flush = true;
        }
    }
}
