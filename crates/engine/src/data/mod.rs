//! What a worker does to each packet of a call: GRE, PPP framing, MPPE, and the gates between the peer and the network.

pub mod filter;
mod inbound;
mod ip;
mod mss;
mod outbound;
mod reason;
mod reorder;
mod traffic;

pub use inbound::Plan;
pub use mss::clamp_mss;
pub use outbound::{HEADROOM, Outbound};
pub use reason::{DropReason, Drops};
pub use traffic::{Destination, Traffic};

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::ops::Range;
use core::time::Duration;

use crypto::mppe::{Mode, Opener, PacketKeys, Sealer};
use filter::{Direction, Filters};
use reorder::Reorder;
use wire::ppp::Protocol;

use crate::Instant;
use crate::gre::{self, Sequencer};
use crate::ppp::{Framing, Keys, NetworkPermit};
use crate::rate::TokenBucket;

/// How much larger than the MRU a received PPP frame may be. With MRU 1400, Windows sends 1,400-byte IP packets inside MPPE:
/// frames of 1,405 bytes.
pub const MRU_SLACK: usize = 64;

/// The MRU that holds until LCP has agreed on one (RFC 1661 §6.1).
const DEFAULT_MRU: u16 = 1500;

/// The least time between two [`Inbound::ResetNeeded`].
const RESET_INTERVAL: Duration = Duration::from_millis(200);

/// How far behind the newest sequence number the first packet under new keys may be.
const KEYS_SLACK: u32 = 64;

/// A packet that is farther ahead than this, after a loss or a forger's, can cost thousands of key changes, a millisecond and more. Keys of
/// packets nearer than this are made once, in stateless mode; in stateful mode the tries are few.
const FAR: u32 = 256;
const FAR_STATEFUL: u32 = 16;
/// So many of those are tried at once: the first genuine one brings the two ends together.
const FAR_AT_ONCE: u32 = 16;
/// And so many a second, unless the caller chooses otherwise.
pub const FAR_PER_SECOND: u32 = 20;

/// What a [`DataPath`] is told before it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// The call id in packets to us.
    pub our_call_id: u16,
    /// The call id in packets to the peer.
    pub peer_call_id: u16,
    /// Whether packets from the peer must come from the address that it was given (the server's rule; to a client, anybody may write).
    pub check_source: bool,
    /// Whether the MSS of TCP connections is lowered to what fits, both ways.
    pub clamp_mss: bool,
}

/// What to do with a received GRE packet. Ranges are of the packet's buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inbound {
    /// An IP packet for the network.
    Ip(Range<usize>),
    /// A whole PPP frame for [`Link`](crate::ppp::Link).
    Control(Range<usize>),
    /// A network packet that came before its keys or its network protocol: it may be kept, whole, for a moment, and given to
    /// [`DataPath::reinject`] after the next command. The range is the PPP frame.
    Early(Range<usize>),
    /// Stateful MPPE has lost its place: `Link` must send a CCP Reset-Request. The packet is dropped.
    ResetNeeded,
    /// A copy waits for the packet before it (stateful MPPE only): [`DataPath::take_ready`] gives it later.
    Held,
    /// Only an acknowledgement: done with.
    AckOnly,
    /// Dropped and counted.
    Drop(DropReason),
}

/// What went through a [`DataPath`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// IP packets from the peer.
    pub received_packets: u64,
    /// Their bytes.
    pub received_bytes: u64,
    /// IP packets to the peer.
    pub sent_packets: u64,
    /// Their bytes.
    pub sent_bytes: u64,
    /// Packets dropped, both ways.
    pub drops: Drops,
}

/// One call's packets, both ways. Nothing in here allocates for a packet, but for the first that is dropped, the first after a lost one, and for copies of
/// packets out of order in stateful MPPE mode (at most 32 for at most 50 ms).
#[derive(Debug)]
pub struct DataPath {
    config: Config,
    framing: Framing,
    sequencer: Sequencer,
    permit: Option<NetworkPermit>,
    sealer: Option<Sealer>,
    opener: Option<Receiver>,
    /// Encrypted packets far ahead that are tried in a second.
    far_per_second: u32,
    /// Whether the cipher of the next packet to the peer is ready.
    is_prepared: bool,
    /// The ECN field of the IP packet around the one that is taken.
    outer_ecn: u8,
    filters: Option<Arc<Filters>>,
    /// A packet that counts as traffic has passed since it was last asked.
    is_active: bool,
    stats: Stats,
    traffic: Traffic,
}

/// What a call costs here, but for keys and packets that are kept for late ones.
const _: () = assert!(size_of::<DataPath>() <= 664);

/// MPPE for received packets.
#[derive(Debug)]
struct Receiver {
    opener: Opener,
    /// GRE sequence number of the newest packet opened.
    newest: u32,
    /// Packets that may be tried far ahead.
    far: TokenBucket,
    /// In stateful mode.
    stateful: Option<Box<Stateful>>,
}

#[derive(Debug, Default)]
struct Stateful {
    reorder: Reorder,
    /// From a loss until a fresh start of the cipher.
    awaiting_reset: Option<AwaitingReset>,
}

#[derive(Clone, Copy, Debug)]
struct AwaitingReset {
    /// When the last Reset-Request was asked for, or answered.
    since: Instant,
    /// The Reset-Ack has come: packets wait for the fresh start, which they may have overtaken.
    acked: bool,
}

impl DataPath {
    /// The packet path of a call that has just been connected: only control frames pass.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let framing =
            Framing { acfc: false, pfc: false, peer_mru: DEFAULT_MRU, our_mru: DEFAULT_MRU };
        Self {
            config,
            framing,
            sequencer: Sequencer::new(),
            permit: None,
            sealer: None,
            opener: None,
            far_per_second: FAR_PER_SECOND,
            is_prepared: false,
            outer_ecn: 0,
            filters: None,
            is_active: false,
            stats: Stats::default(),
            traffic: Traffic::default(),
        }
    }

    /// LCP is open: write frames like this from now on. Received frames are taken with or without compressed headers at any time.
    pub fn set_framing(&mut self, framing: Framing) {
        self.framing = framing;
    }

    /// From the next keys on so many encrypted packets a second, and sixteen at once, may claim to be hundreds of keys ahead: each costs up to
    /// a millisecond. [`FAR_PER_SECOND`] is a good choice.
    pub fn set_far_per_second(&mut self, packets: u32) {
        self.far_per_second = packets;
    }

    /// CCP is open: encrypt and decrypt with these keys, from coherency count 0.
    pub fn install_keys(&mut self, keys: &Keys) {
        self.is_prepared = false;
        let send = &keys.send;
        self.sealer = Some(Sealer::new(send.start.clone(), send.strength, send.mode));
        let receive = &keys.receive;
        self.opener = Some(Receiver {
            opener: Opener::new(receive.start.clone(), receive.strength, receive.mode),
            newest: self.sequencer.newest().unwrap_or(0).wrapping_sub(KEYS_SLACK),
            far: TokenBucket::new(FAR_AT_ONCE, self.far_per_second, Instant::ZERO),
            stateful: (receive.mode == Mode::Stateful).then(Box::default),
        });
    }

    /// CCP is no longer open: encrypted packets cannot be read, and none are sent in clear where encryption is required.
    pub fn remove_keys(&mut self) {
        self.sealer = None;
        self.opener = None;
    }

    /// Makes the ciphers of the next packet each way ready, so that a lone one costs no more than its bytes. For when there is nothing else
    /// to do. Stateful mode has no such work.
    pub fn prepare(&mut self) {
        if let Some(keys) = self.send_keys() {
            keys.prepare();
            self.is_prepared = true;
        }
        if let Some(keys) = self.receive_keys() {
            keys.prepare();
        }
    }

    /// Whether there is memory to [`release`](Self::release).
    pub fn is_holding(&mut self) -> bool {
        self.keys().any(|keys| keys.is_holding())
    }

    /// Gives back the memory that only a busy call needs.
    pub fn release(&mut self) {
        self.is_prepared = false;
        self.keys().for_each(PacketKeys::release);
    }

    /// The keys of packets to the peer, to be made ahead while [`crypto::mppe::apply`] runs. `None` in stateful mode and in clear.
    pub fn send_keys(&mut self) -> Option<&mut PacketKeys> {
        self.sealer.as_mut()?.keys()
    }

    /// The keys of packets from the peer, as [`send_keys`](Self::send_keys).
    pub fn receive_keys(&mut self) -> Option<&mut PacketKeys> {
        self.opener.as_mut()?.opener.keys()
    }

    /// [`send_keys`](Self::send_keys) and [`receive_keys`](Self::receive_keys).
    pub fn keys(&mut self) -> impl Iterator<Item = &mut PacketKeys> {
        let send = self.sealer.as_mut().and_then(Sealer::keys);
        let receive = self.opener.as_mut().and_then(|receiver| receiver.opener.keys());
        send.into_iter().chain(receive)
    }

    /// The peer sent a CCP Reset-Request: the next packet starts the cipher afresh.
    pub fn reset_transmit(&mut self) {
        if let Some(sealer) = &mut self.sealer {
            sealer.flush();
        }
    }

    /// The peer sent a CCP Reset-Ack: its next packet starts the cipher afresh. When that one is lost, a reset is asked for again.
    pub fn receive_reset_acked(&mut self, now: Instant) {
        if let Some(Receiver { stateful: Some(stateful), .. }) = &mut self.opener
            && let Some(awaiting) = &mut stateful.awaiting_reset
        {
            *awaiting = AwaitingReset { since: now, acked: true };
        }
    }

    /// Network packets may pass as `permit` says; a later permit replaces it.
    pub fn open_network(&mut self, permit: NetworkPermit) {
        self.permit = Some(permit);
    }

    /// No network packet passes any more.
    pub fn close_network(&mut self) {
        self.permit = None;
    }

    /// Takes the ECN field of the IP packets around those that are given from now on: their congestion marks are handed on (RFC 6040 §4.2).
    pub fn set_outer_ecn(&mut self, ecn: u8) {
        self.outer_ecn = ecn;
    }

    /// From now on only packets that match may pass, or count as traffic.
    pub fn set_filters(&mut self, filters: Arc<Filters>) {
        self.filters = Some(filters);
    }

    /// Whether an IP packet that counts as traffic has passed since this was last asked.
    pub fn take_activity(&mut self) -> bool {
        core::mem::take(&mut self.is_active)
    }

    /// Looks at a packet that would pass as its filters do.
    fn filter(
        &mut self,
        direction: Direction,
        protocol: Protocol,
        packet: &[u8],
    ) -> Result<(), DropReason> {
        let Some(filters) = &self.filters else {
            self.is_active = true;
            return Ok(());
        };
        let matches = |program: &Option<filter::Program>| {
            program.as_ref().is_none_or(|program| program.matches(direction, protocol, packet))
        };
        if !matches(&filters.pass) {
            return Err(DropReason::Filtered);
        }
        self.is_active |= matches(&filters.active);
        Ok(())
    }

    /// When an acknowledgement must leave in an [`ack_frame`](Self::ack_frame). `None`: nothing to acknowledge.
    #[must_use]
    pub fn ack_deadline(&self) -> Option<Instant> {
        self.sequencer.ack_due_at()
    }

    /// When [`take_ready`](Self::take_ready) has to be called although no packet came. `None` always but in stateful MPPE mode.
    #[must_use]
    pub fn held_deadline(&self) -> Option<Instant> {
        self.opener.as_ref()?.stateful.as_ref()?.reorder.until()
    }

    /// Whether packets wait for one before them, so that [`take_ready`](Self::take_ready) is wanted. Never but in stateful MPPE mode.
    #[must_use]
    pub fn has_held(&self) -> bool {
        let stateful = self.opener.as_ref().and_then(|receiver| receiver.stateful.as_ref());
        stateful.is_some_and(|stateful| !stateful.reorder.is_empty())
    }

    /// Counts a packet that somebody else had to refuse.
    pub fn refuse(&mut self, reason: DropReason) {
        self.count_drop(reason);
    }

    /// The figures so far.
    #[must_use]
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// With whom the peer talks.
    #[must_use]
    pub fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// The figures of the sequence numbers.
    #[must_use]
    pub fn gre_stats(&self) -> gre::Stats {
        self.sequencer.stats()
    }

    /// The newest sequence number received. `None` before the first.
    #[must_use]
    pub fn newest_received(&self) -> Option<u32> {
        self.sequencer.newest()
    }

    /// The smoothed time from a packet to its acknowledgement.
    #[must_use]
    pub fn round_trip(&self) -> Option<Duration> {
        self.sequencer.round_trip()
    }

    /// The largest IP packet that passes, in bytes. `None` while the network is closed.
    #[must_use]
    pub fn mtu(&self) -> Option<u16> {
        self.permit.as_ref().map(NetworkPermit::mtu)
    }

    fn count_drop(&mut self, reason: DropReason) -> DropReason {
        self.stats.drops.count(reason);
        reason
    }
}

#[cfg(test)]
mod tests;
