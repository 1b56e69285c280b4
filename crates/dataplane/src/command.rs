//! What the control plane tells a worker.

use std::net::Ipv4Addr;
use std::sync::Arc;

use engine::data::filter::Filters;
use engine::data::{Config, FAR_PER_SECOND};
use engine::ppp::{Framing, Keys, NetworkPermit};
use sys::tun::Tun;

/// What of the TOS (traffic class) of a packet in the tunnel is copied to the packet around it. What comes from a peer hands its congestion
/// marks on to the packet inside in any case (RFC 6040 §4.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TosPolicy {
    /// Nothing, as the kernel's PPTP has it: for peers of which it is not known that they hand congestion marks on (RFC 6040 §4.3). A router
    /// on the way that marked instead of dropping would not be heard.
    #[default]
    Clear,
    /// ECN (RFC 6040 §4.1, normal mode).
    Ecn,
    /// ECN and DSCP. Routers on the way may then reorder the packets of a call, and many peers drop what comes late (RFC 2983 §5.1).
    All,
}

impl TosPolicy {
    /// What a packet gets.
    pub(crate) fn outer(self, inner: u8) -> u8 {
        match self {
            Self::Clear => 0,
            Self::Ecn => inner & 3,
            Self::All => inner,
        }
    }
}

/// Whether packets around those of the tunnel may be fragmented on their way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FragmentPolicy {
    /// They may, as the kernel's PPTP has it: a way that carries less than was thought costs fragments, not connections.
    #[default]
    Allow,
    /// They may not: one that is too large is lost.
    Forbid,
    /// As the packet in the tunnel says (RFC 2003 §3.1).
    Copy,
}

impl FragmentPolicy {
    /// What a packet gets.
    pub(crate) fn forbidden(self, inner: bool) -> bool {
        match self {
            Self::Allow => false,
            Self::Forbid => true,
            Self::Copy => inner,
        }
    }
}

/// What one call may cost in a second; of either a burst is allowed besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Control frames that are passed on to the control plane.
    pub control_frames: u32,
    /// Encrypted packets that are tried though they claim to be hundreds of keys ahead.
    pub far_packets: u32,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { control_frames: 100, far_packets: FAR_PER_SECOND }
    }
}

/// A call that has been connected: GRE packets flow from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewCall {
    /// A number of the control plane's that no other call ever has; it comes back in every notice, so that a notice about an earlier call
    /// with the same call id is told apart.
    pub generation: u64,
    /// The control connection's other end: GRE packets are taken from this address only, and sent to it.
    pub peer: Ipv4Addr,
    /// The control connection's address here, from which GRE packets are sent.
    pub local: Ipv4Addr,
    /// The call ids and rules of the packet path.
    pub path: Config,
    /// What of the TOS of the packets inside their GRE packets get.
    pub tos: TosPolicy,
    /// Whether they may be fragmented on their way.
    pub fragments: FragmentPolicy,
    /// What it may cost.
    pub bounds: Bounds,
    /// Whether the control plane hears of each packet from the peer ([`Notice::Packet`](crate::Notice::Packet)).
    pub trace: bool,
}

/// What to do with a call. Commands for one call are carried out in the order in which they were given.
#[derive(Debug)]
pub enum Command {
    /// Send this whole PPP frame.
    Frame(Vec<u8>),
    /// Send this IP packet, if the network is open, as if it came from the interface.
    Packet(Vec<u8>),
    /// LCP is open: write frames like this from now on.
    Framing(Framing),
    /// CCP is open: encrypt and decrypt with these keys from now on.
    Keys(Keys),
    /// CCP is no longer open.
    KeysGone,
    /// The peer sent a CCP Reset-Request.
    ResetTransmit,
    /// The peer sent a CCP Reset-Ack.
    ReceiveResetAcked,
    /// From now on only packets that match may pass, or count as traffic.
    Filters(Arc<Filters>),
    /// Network packets may pass. A later permit replaces an earlier one.
    OpenNetwork {
        /// What may pass.
        permit: NetworkPermit,
        /// The interface, which the worker reads, writes and finally closes. `None` keeps the present one; without any, the
        /// [shared](crate::Dataplane::share) one is the call's, by the peer's IPv4 address; without that, packets from the peer are counted and dropped.
        tun: Option<Tun>,
    },
    /// No network packet passes any more. The interface stays; what is sent to it is dropped.
    CloseNetwork,
    /// Tell with whom the peer talks: [`Notice::Traffic`](crate::Notice::Traffic) follows.
    ReportTraffic,
    /// The call has ended: forget it and close its interface. [`Notice::Removed`](crate::Notice::Removed) follows.
    Remove,
}
