//! What the link hands to the packet path once something has been agreed.

use core::net::Ipv4Addr;

use crypto::mppe::{Mode, StartKey, Strength};

/// How PPP frames may be written on this link, as LCP agreed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Framing {
    /// The peer lets us leave out `ff 03` (RFC 1661 §6.6).
    pub acfc: bool,
    /// The peer lets us send one-byte protocol numbers (RFC 1661 §6.5).
    pub pfc: bool,
    /// The largest information field that the peer wants to receive, in bytes.
    pub peer_mru: u16,
    /// The largest information field that we asked for, in bytes.
    pub our_mru: u16,
}

/// MPPE as agreed for one direction.
#[derive(Clone, Debug)]
pub struct DirectionKeys {
    /// The key to start the schedule from (RFC 3079).
    pub start: StartKey,
    /// Key length.
    pub strength: Strength,
    /// Whether the key changes with every packet.
    pub mode: Mode,
}

/// MPPE as agreed for both directions. Comes with every (re-)opening of CCP.
#[derive(Clone, Debug)]
pub struct Keys {
    /// For packets that we send.
    pub send: DirectionKeys,
    /// For packets that we receive.
    pub receive: DirectionKeys,
}

/// IPv4 addresses that IPCP agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv4Agreed {
    /// Our address in the tunnel.
    pub local: Ipv4Addr,
    /// The peer's address in the tunnel.
    pub remote: Ipv4Addr,
    /// Name servers that the peer gave us (client side).
    pub dns: [Option<Ipv4Addr>; 2],
}

/// Interface identifiers that IPV6CP agreed on (RFC 5072 §4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv6Agreed {
    /// The lower 64 bits of our link-local address.
    pub local_id: [u8; 8],
    /// The lower 64 bits of the peer's link-local address.
    pub remote_id: [u8; 8],
}

/// Leave to carry network packets. Only [`Link`](super::Link) makes one: the peer is authenticated (or the
/// configuration waives that), at least one of IPCP and IPV6CP is open, and where encryption is required CCP has
/// agreed on MPPE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetworkPermit {
    pub(super) ipv4: Option<Ipv4Agreed>,
    pub(super) ipv6: Option<Ipv6Agreed>,
    pub(super) encryption_required: bool,
    pub(super) mtu: u16,
}

impl NetworkPermit {
    /// IPv4 addresses, when IPCP is open.
    pub fn ipv4(&self) -> Option<Ipv4Agreed> {
        self.ipv4
    }

    /// Interface identifiers, when IPV6CP is open.
    pub fn ipv6(&self) -> Option<Ipv6Agreed> {
        self.ipv6
    }

    /// Whether a network packet outside MPPE must be dropped, in both directions.
    pub fn encryption_required(&self) -> bool {
        self.encryption_required
    }

    /// The largest IP packet for this link, in bytes: the smaller of what the peer receives and what the
    /// configuration allows, less the MPPE overhead when MPPE is in use.
    pub fn mtu(&self) -> u16 {
        self.mtu
    }

    /// A permit for tests of the packet path that have no link.
    #[doc(hidden)]
    pub fn for_tests(
        ipv4: Option<Ipv4Agreed>,
        ipv6: Option<Ipv6Agreed>,
        encryption_required: bool,
        mtu: u16,
    ) -> Self {
        Self { ipv4, ipv6, encryption_required, mtu }
    }
}
