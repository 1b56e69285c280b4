//! What a worker tells the control plane.

use std::io;
use std::net::Ipv4Addr;

use engine::data::{DropReason, Traffic};

use crate::Snapshot;

/// What a worker tells the control plane. `call` is our call id, `generation` that of [`NewCall`](crate::NewCall).
#[derive(Debug)]
pub enum Notice {
    /// A whole PPP frame for `engine::ppp::Link`.
    Frame {
        /// Our call id.
        call: u16,
        /// The call's generation.
        generation: u64,
        /// The frame.
        frame: Vec<u8>,
    },
    /// Something happened for the first time.
    First {
        /// Our call id.
        call: u16,
        /// The call's generation.
        generation: u64,
        /// What.
        what: First,
    },
    /// A GRE packet with a sequence number came from the peer; only where the call asks for it, and at most a hundred a second.
    Packet {
        /// Our call id.
        call: u16,
        /// The call's generation.
        generation: u64,
        /// Its sequence number.
        seq: u32,
        /// The number behind the newest before it; `None` for the first packet.
        expected: Option<u32>,
        /// Why it was dropped, if it was.
        dropped: Option<DropReason>,
        /// How many before it have had no notice.
        suppressed: u64,
    },
    /// The peer asked all DHCP servers; the interface has the packet too. At most once a second.
    DhcpRequest {
        /// Our call id.
        call: u16,
        /// The call's generation.
        generation: u64,
        /// The IPv4 packet.
        packet: Vec<u8>,
    },
    /// With whom the peer talks ([`Command::ReportTraffic`](crate::Command::ReportTraffic)).
    Traffic {
        /// Our call id.
        call: u16,
        /// The call's generation.
        generation: u64,
        /// What its packets have shown.
        traffic: Box<Traffic>,
    },
    /// Stateful MPPE has lost its place: `Link` must send a CCP Reset-Request.
    ResetNeeded {
        /// Our call id.
        call: u16,
        /// The call's generation.
        generation: u64,
    },
    /// A GRE packet for a call that does not exist. At most one notice a second from each worker.
    UnknownCall {
        /// Who sent it.
        from: Ipv4Addr,
        /// The call id in it.
        call_id: u16,
        /// How many more there were since the last such notice.
        suppressed: u64,
    },
    /// A GRE packet for this call from another address than the peer's, dropped. At most one notice a second from each worker.
    WrongPeer {
        /// Our call id.
        call: u16,
        /// The call's generation.
        generation: u64,
        /// Who sent it.
        from: Ipv4Addr,
        /// How many more there were, of any call, since the last such notice.
        suppressed: u64,
    },
    /// A GRE packet could not be sent. Only the first time for a call; the others are counted.
    NotSent {
        /// Our call id.
        call: u16,
        /// The call's generation.
        generation: u64,
        /// What the kernel said.
        error: io::Error,
    },
    /// The call's interface has been deleted by somebody else, and closed here.
    InterfaceGone {
        /// Our call id.
        call: u16,
        /// The call's generation.
        generation: u64,
        /// What the kernel said.
        error: io::Error,
    },
    /// The call has been removed and its interface is closed.
    Removed {
        /// Our call id.
        call: u16,
        /// The call's generation.
        generation: u64,
        /// Its final figures.
        counters: Box<Snapshot>,
    },
    /// A worker had to give up: its interfaces are closed and its calls carry nothing any more.
    WorkerFailed {
        /// Which one.
        worker: usize,
        /// Why.
        error: io::Error,
    },
}

/// What happens for the first time in a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum First {
    /// A GRE packet from the peer.
    GreReceived,
    /// A GRE packet to the peer.
    GreSent,
    /// An IP packet from the peer that was allowed into the network.
    PacketReceived,
    /// An IP packet from the network to the peer.
    PacketSent,
}
