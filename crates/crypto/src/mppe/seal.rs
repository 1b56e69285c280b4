//! Encryption of outgoing packets.

use alloc::boxed::Box;

use super::{COUNT_MASK, ENCRYPTED, FLUSHED, KeySchedule, Mode, StartKey, Strength};
use crate::rc4::Rc4;

/// Encrypts the packets of one direction.
#[derive(Debug)]
pub struct Sealer {
    schedule: KeySchedule,
    /// Coherency count of the next packet.
    count: u16,
    mode: Running,
}

#[derive(Debug)]
enum Running {
    Stateless,
    Stateful {
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
            Mode::Stateless => Running::Stateless,
            Mode::Stateful => {
                Running::Stateful { cipher: Box::new(schedule.current().cipher()), flush: false }
            }
        };
        Self { schedule, count: 0, mode }
    }

    /// Encrypts `body` (PPP protocol field and information) in place and gives the header to put in front of it.
    ///
    /// Stateful: the first packet does not carry bit A. RFC 3078 §3.1 would have it, but Linux changes its key at every
    /// bit A and never sets it on its own first packet; other peers have just initialised their tables anyway.
    pub fn seal(&mut self, body: &mut [u8]) -> u16 {
        let bits = match &mut self.mode {
            Running::Stateless => {
                self.schedule.next().cipher().apply(body);
                FLUSHED | ENCRYPTED
            }
            Running::Stateful { cipher, flush } => {
                if core::mem::take(flush) {
                    self.count |= 0xff;
                }
                let flag = self.count & 0xff == 0xff;
                if flag {
                    **cipher = self.schedule.next().cipher();
                }
                cipher.apply(body);
                if flag { FLUSHED | ENCRYPTED } else { ENCRYPTED }
            }
        };
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
