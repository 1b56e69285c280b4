//! Enhanced GRE's sequence and acknowledgement numbers for one call (RFC 2637 §4).

mod round_trip;
mod window;

pub use window::WINDOW;

use core::time::Duration;

use round_trip::RoundTrip;
use window::Window;

use crate::Instant;

/// How long a received packet may wait for one of ours to carry its acknowledgement.
///
/// The peers seen take 50 to 100 ms; macOS stops sending when half of our window is unacknowledged.
pub const ACK_DELAY: Duration = Duration::from_millis(40);

/// So many packets received without an acknowledgement sent make one due at once.
pub const ACK_EVERY: u32 = 16;

/// After so long without an accepted packet, one that is too old starts the window anew: the peer began again, or a
/// forged packet had carried the window far ahead.
pub const RESTART_AFTER: Duration = Duration::from_secs(5);

/// How far ahead of the newest a number may be that comes right behind it: a burst of so many lost packets is survived.
pub const LEAP: u32 = 16_384;

/// How much farther for each millisecond since the newest: no sender is faster, so that whoever is farther ahead guesses. A forged packet
/// from the peer's address has to hit both the call id and one number in a hundred thousand.
pub const LEAP_PER_MILLISECOND: u32 = 1000;

/// What a received sequence number means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receive {
    /// Newer than all before: `distance` numbers after the newest (1: in order; the first packet too).
    New {
        /// How far the number moved.
        distance: u32,
    },
    /// Not seen before, but a newer one was: it was reordered on the way.
    Late,
    /// Seen before.
    Duplicate,
    /// Too far behind the newest ([`WINDOW`]) to know whether it was seen.
    TooOld,
    /// Farther ahead of the newest than the peer can be by now.
    TooFar,
    /// One of these two after a silence ([`RESTART_AFTER`]): the peer began again, or somebody forges its packets.
    Restart,
}

/// What happened to the sequence numbers of one call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Packets with a sequence number that were accepted.
    pub received: u64,
    /// Numbers that were skipped and have not come late.
    pub lost: u64,
    /// Packets that came after a newer one.
    pub reordered: u64,
    /// Packets that came again, and were dropped.
    pub duplicates: u64,
    /// Packets too far behind or ahead, and dropped.
    pub too_old: u64,
    /// Acknowledgements of packets that we never sent, and ignored.
    pub false_acks: u64,
    /// Sequence numbers that we have used.
    pub sent: u64,
}

/// The sequence numbers of one call, both ways.
///
/// Receiving is in two steps, so that a forged packet changes nothing: [`classify`](Self::classify) looks, and
/// [`commit`](Self::commit) remembers once the packet has proved sane.
///
/// There is no send window: Windows and Linux ignore it too, and Android never acknowledges anything, so that
/// acknowledgements only ever measure the round trip.
#[derive(Clone, Debug, Default)]
pub struct Sequencer {
    /// The number that our next packet gets. Ours start at 0: Android delays a first packet of any other number.
    next: u32,
    window: Window,
    last_accepted: Instant,
    /// Packets received since our last acknowledgement.
    unacknowledged: u32,
    ack_due: Option<Instant>,
    round_trip: RoundTrip,
    stats: Stats,
}

impl Sequencer {
    /// A call on which nothing has been sent or received.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the sequence number for a packet that is sent now.
    pub fn take_next(&mut self, now: Instant) -> u32 {
        let seq = self.next;
        self.next = seq.wrapping_add(1);
        self.stats.sent += 1;
        self.round_trip.sent(now, seq);
        seq
    }

    /// The sequence number that the next packet gets.
    #[must_use]
    pub fn next(&self) -> u32 {
        self.next
    }

    /// Looks at a received sequence number, and changes nothing. The peer's first one may have any value: 0 from
    /// Windows, 1 from pptp-linux, Cisco and macOS.
    #[must_use]
    pub fn classify(&self, now: Instant, seq: u32) -> Receive {
        let silence = now - self.last_accepted;
        let receive = match self.window.classify(seq) {
            // Before the first packet nothing is too far.
            Receive::New { distance } if self.newest().is_some() && distance > leap(silence) => {
                Receive::TooFar
            }
            receive => receive,
        };
        match receive {
            Receive::TooOld | Receive::TooFar if silence >= RESTART_AFTER => Receive::Restart,
            receive => receive,
        }
    }

    /// Remembers a received sequence number, and that it wants an acknowledgement. Gives what it was: duplicates and
    /// packets too old are only counted.
    pub fn commit(&mut self, now: Instant, seq: u32) -> Receive {
        let receive = self.classify(now, seq);
        match receive {
            Receive::New { distance } => {
                self.window.advance(seq);
                self.stats.lost += u64::from(distance) - 1;
                self.accept(now);
                self.want_ack(now);
            }
            Receive::Restart => {
                self.window.restart(seq);
                self.accept(now);
                self.want_ack(now);
            }
            Receive::Late => {
                self.window.mark(seq);
                self.stats.lost = self.stats.lost.saturating_sub(1);
                self.stats.reordered += 1;
                self.accept(now);
            }
            Receive::Duplicate => self.stats.duplicates += 1,
            Receive::TooOld | Receive::TooFar => self.stats.too_old += 1,
        }
        receive
    }

    /// Takes an acknowledgement from the peer. One of a packet never sent is ignored: Cisco's first packet
    /// acknowledges `ffffffff`, macOS's 0, before they have received anything.
    pub fn acknowledged(&mut self, now: Instant, ack: u32) {
        if u64::from(self.next.wrapping_sub(1).wrapping_sub(ack)) < self.stats.sent.min(1 << 31) {
            self.round_trip.acknowledged(now, ack);
        } else {
            self.stats.false_acks += 1;
        }
    }

    /// The acknowledgement that our next packet should carry, if one is wanted; the packet takes it along, so that
    /// it is due no longer.
    pub fn take_ack(&mut self) -> Option<u32> {
        self.ack_due.take()?;
        self.unacknowledged = 0;
        self.window.newest()
    }

    /// Whether the next packet will carry an acknowledgement.
    #[must_use]
    pub fn wants_ack(&self) -> bool {
        self.ack_due.is_some()
    }

    /// When an acknowledgement must leave, on its own if need be. `None` when there is nothing to acknowledge.
    #[must_use]
    pub fn ack_due_at(&self) -> Option<Instant> {
        self.ack_due
    }

    /// The newest sequence number received.
    #[must_use]
    pub fn newest(&self) -> Option<u32> {
        self.window.newest()
    }

    /// The smoothed time from a packet of ours to its acknowledgement, which holds the peer's delay too. `None`
    /// before the first.
    #[must_use]
    pub fn round_trip(&self) -> Option<Duration> {
        self.round_trip.smoothed()
    }

    /// The figures so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.stats
    }

    fn accept(&mut self, now: Instant) {
        self.last_accepted = now;
        self.stats.received += 1;
    }

    fn want_ack(&mut self, now: Instant) {
        self.unacknowledged = self.unacknowledged.saturating_add(1);
        if self.unacknowledged >= ACK_EVERY {
            self.ack_due = Some(now);
        } else {
            self.ack_due.get_or_insert(now + ACK_DELAY);
        }
    }
}

/// The farthest that a number can be ahead after so long without a packet.
fn leap(silence: Duration) -> u32 {
    let millis = u32::try_from(silence.as_millis()).unwrap_or(u32::MAX);
    millis.saturating_mul(LEAP_PER_MILLISECOND).saturating_add(LEAP)
}

#[cfg(test)]
mod tests;
