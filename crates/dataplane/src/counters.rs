//! Figures that the control plane can read at any time.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use engine::data::{DataPath, DropReason};

const REASONS: usize = DropReason::ALL.len();

macro_rules! figures {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// The figures of one call. Its worker writes them, anybody reads them; each is right by itself, and they may be some microseconds
        /// apart.
        #[derive(Debug, Default)]
        pub struct Counters {
            $($name: AtomicU64,)*
            /// From the first one on.
            drops: OnceLock<Box<[AtomicU64; REASONS]>>,
        }

        /// The figures of one call at one moment.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Snapshot {
            $($(#[$doc])* pub $name: u64,)*
            drops: [u64; REASONS],
        }

        impl Counters {
            /// The figures now.
            #[must_use]
            pub fn snapshot(&self) -> Snapshot {
                Snapshot {
                    $($name: self.$name.load(Relaxed),)*
                    drops: self.drops.get().map_or([0; REASONS], |drops| {
                        drops.each_ref().map(|drops| drops.load(Relaxed))
                    }),
                }
            }

            $(pub(crate) fn $name(&self) -> Figure<'_> {
                Figure(&self.$name)
            })*
        }
    };
}

figures! {
    /// IP packets from the peer that were allowed into the network.
    received_packets,
    /// Their bytes.
    received_bytes,
    /// Those of them that were for a single address: neither broadcast nor multicast.
    received_unicast,
    /// IP packets to the peer.
    sent_packets,
    /// Their bytes.
    sent_bytes,
    /// GRE packets with a sequence number that were accepted.
    gre_received,
    /// GRE packets with a sequence number that were made for the peer.
    gre_sent,
    /// GRE packets from the peer that went missing.
    gre_lost,
    /// GRE packets from the peer that came after a later one.
    gre_reordered,
    /// GRE packets of ours that the kernel did not send.
    not_sent,
    /// GRE packets for this call from another address.
    wrong_peer,
    /// IP packets from the peer that found no interface, or one that did not take them: it is down.
    no_interface,
    /// PPP control frames that the control plane did not take.
    frames_refused,
    /// Packets that came before their keys or network protocol, and were not kept or kept in vain.
    early_dropped,
    /// When the last IP packet went either way, by the monotonic clock, in nanoseconds; 0 when none has.
    last_activity,
    /// The smoothed time from a packet of ours to its acknowledgement, in microseconds; 0 before the first.
    round_trip_micros,
}

/// One figure, written by one thread.
pub(crate) struct Figure<'a>(&'a AtomicU64);

impl Figure<'_> {
    /// Only the call's worker adds, so that no increment can get lost between load and store.
    pub(crate) fn add(&self, count: u64) {
        self.0.store(self.0.load(Relaxed) + count, Relaxed);
    }

    pub(crate) fn add_one(&self) {
        self.add(1);
    }

    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }
}

impl Counters {
    /// Takes over what the packet path has counted.
    pub(crate) fn publish(&self, path: &DataPath) {
        let stats = path.stats();
        self.received_packets().set(stats.received_packets);
        self.received_bytes().set(stats.received_bytes);
        self.received_unicast().set(path.traffic().unicast.into());
        self.sent_packets().set(stats.sent_packets);
        self.sent_bytes().set(stats.sent_bytes);
        if !stats.drops.is_empty() {
            for (place, reason) in self.drops.get_or_init(Box::default).iter().zip(DropReason::ALL)
            {
                place.store(stats.drops.get(reason), Relaxed);
            }
        }
        let gre = path.gre_stats();
        self.gre_received().set(gre.received);
        self.gre_sent().set(gre.sent);
        self.gre_lost().set(gre.lost);
        self.gre_reordered().set(gre.reordered);
        let micros = path.round_trip().as_ref().map_or(0, Duration::as_micros);
        self.round_trip_micros().set(u64::try_from(micros).unwrap_or(u64::MAX));
    }
}

impl Snapshot {
    /// How many packets the packet path dropped for `reason`, both ways.
    #[must_use]
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.drops[reason as usize]
    }

    /// How many packets the packet path dropped in all, both ways.
    #[must_use]
    pub fn dropped_in_all(&self) -> u64 {
        self.drops.iter().sum()
    }
}

/// The figures of all workers together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// GRE packets for calls that do not exist.
    pub unknown_calls: u64,
    /// GRE packets from another address than the call's peer.
    pub wrong_peers: u64,
    /// Packets that were no IPv4 packet with an enhanced GRE header, or too long.
    pub malformed: u64,
    /// Notices that the control plane did not take.
    pub notices_refused: u64,
    /// GRE packets that the kernel did not send, of all calls.
    pub not_sent: u64,
    /// Errors of the kernel's when receiving.
    pub receive_errors: u64,
    /// Packets from the shared interface for an address that no call has, broadcasts and IPv6 among them.
    pub no_destination: u64,
    /// Packets from the shared interface that were handed over to the worker that has their call.
    pub handed_over: u64,
    /// Packets that were not, as too many waited for that worker.
    pub hand_over_full: u64,
}

/// One worker's part of [`Totals`].
#[derive(Debug, Default)]
pub(crate) struct WorkerTotals {
    pub(crate) unknown_calls: AtomicU64,
    pub(crate) wrong_peers: AtomicU64,
    pub(crate) malformed: AtomicU64,
    pub(crate) notices_refused: AtomicU64,
    pub(crate) not_sent: AtomicU64,
    pub(crate) receive_errors: AtomicU64,
    pub(crate) no_destination: AtomicU64,
    pub(crate) handed_over: AtomicU64,
    pub(crate) hand_over_full: AtomicU64,
}

impl WorkerTotals {
    pub(crate) fn add_to(&self, totals: &mut Totals) {
        totals.unknown_calls += self.unknown_calls.load(Relaxed);
        totals.wrong_peers += self.wrong_peers.load(Relaxed);
        totals.malformed += self.malformed.load(Relaxed);
        totals.notices_refused += self.notices_refused.load(Relaxed);
        totals.not_sent += self.not_sent.load(Relaxed);
        totals.receive_errors += self.receive_errors.load(Relaxed);
        totals.no_destination += self.no_destination.load(Relaxed);
        totals.handed_over += self.handed_over.load(Relaxed);
        totals.hand_over_full += self.hand_over_full.load(Relaxed);
    }
}

/// Adds one to a figure of [`WorkerTotals`].
pub(crate) fn count(figure: &AtomicU64) {
    figure.fetch_add(1, Relaxed);
}
