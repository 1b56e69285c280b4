//! Why a packet was dropped.

use alloc::boxed::Box;

/// Why [`DataPath`](super::DataPath) refused a packet: a counter, never an error that ends anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum DropReason {
    /// No enhanced GRE packet (RFC 2637 §4.1), or cut short.
    MalformedGre,
    /// Its call id is not ours.
    WrongCall,
    /// It has a sequence number but nothing to carry.
    EmptyPayload,
    /// Its sequence number was seen before.
    Duplicate,
    /// Its sequence number is too far behind.
    TooOld,
    /// Its sequence number is impossibly far ahead, or begins again without proof.
    TooFar,
    /// No PPP frame.
    MalformedPpp,
    /// Larger than the interface or the peer's MRU allows.
    Oversize,
    /// A network packet in clear where encryption is required or in use.
    Unencrypted,
    /// An encrypted packet, or one that must be, and no keys.
    NoKeys,
    /// The MPPE header is cut short or says that the packet is not encrypted.
    MalformedMppe,
    /// An encrypted packet too late for its key, or a second time.
    MppeTooOld,
    /// An encrypted packet whose coherency count is impossibly far ahead.
    MppeTooFar,
    /// An encrypted packet that gives no IP packet under any key in question.
    Undecryptable,
    /// Stateful MPPE has lost its place and waits for the peer's Reset-Ack.
    AwaitingReset,
    /// The network protocol of the packet is not open.
    NetworkClosed,
    /// No IPv4 or IPv6 packet.
    MalformedIp,
    /// Its source is not the address that the peer was given.
    SpoofedSource,
    /// The caller's buffer is too small.
    NoRoom,
    /// Congestion was marked on the way, and its ends do not know ECN (RFC 6040 §4.2).
    Congestion,
    /// The packet filter does not let it pass.
    Filtered,
}

impl DropReason {
    /// Every reason, in the order of their numbers.
    pub const ALL: [Self; 21] = [
        Self::MalformedGre,
        Self::WrongCall,
        Self::EmptyPayload,
        Self::Duplicate,
        Self::TooOld,
        Self::TooFar,
        Self::MalformedPpp,
        Self::Oversize,
        Self::Unencrypted,
        Self::NoKeys,
        Self::MalformedMppe,
        Self::MppeTooOld,
        Self::MppeTooFar,
        Self::Undecryptable,
        Self::AwaitingReset,
        Self::NetworkClosed,
        Self::MalformedIp,
        Self::SpoofedSource,
        Self::NoRoom,
        Self::Congestion,
        Self::Filtered,
    ];

    /// A label for metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MalformedGre => "malformed-gre",
            Self::WrongCall => "wrong-call",
            Self::EmptyPayload => "empty-payload",
            Self::Duplicate => "duplicate",
            Self::TooOld => "too-old",
            Self::TooFar => "too-far",
            Self::MalformedPpp => "malformed-ppp",
            Self::Oversize => "oversize",
            Self::Unencrypted => "unencrypted",
            Self::NoKeys => "no-keys",
            Self::MalformedMppe => "malformed-mppe",
            Self::MppeTooOld => "mppe-too-old",
            Self::MppeTooFar => "mppe-too-far",
            Self::Undecryptable => "undecryptable",
            Self::AwaitingReset => "awaiting-reset",
            Self::NetworkClosed => "network-closed",
            Self::MalformedIp => "malformed-ip",
            Self::SpoofedSource => "spoofed-source",
            Self::NoRoom => "no-room",
            Self::Congestion => "congestion",
            Self::Filtered => "filtered",
        }
    }
}

/// How many packets were dropped, by reason. Most calls drop none, and keep no figures.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drops(Option<Box<[u64; DropReason::ALL.len()]>>);

impl Drops {
    /// How many for `reason`.
    #[must_use]
    pub fn get(&self, reason: DropReason) -> u64 {
        self.0.as_ref().map_or(0, |counts| counts[reason as usize])
    }

    /// Whether there were none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// How many in all.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().flat_map(|counts| counts.iter()).sum()
    }

    pub(super) fn count(&mut self, reason: DropReason) {
        self.0.get_or_insert_default()[reason as usize] += 1;
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_reason_is_listed_at_its_number_with_a_label_of_its_own() {
        for (number, reason) in DropReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, number);
        }
        let labels: BTreeSet<_> = DropReason::ALL.map(DropReason::as_str).into_iter().collect();
        assert_eq!(labels.len(), DropReason::ALL.len());
    }
}
