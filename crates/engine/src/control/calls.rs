//! The calls on one control connection.

use alloc::vec::Vec;

use crate::Instant;

/// How far a call has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The peer asked for it and waits for our decision (server).
    Requested {
        /// The highest speed that the peer accepts, in bits a second.
        maximum_bps: u32,
    },
    /// To be placed once the connection is established (client).
    Waiting,
    /// We asked for it (client).
    Placed { until: Instant },
    /// Up.
    Connected,
    /// We asked the server to clear it (client).
    Clearing { until: Instant },
}

/// One call. At least one of the two ids is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) ours: Option<u16>,
    pub(super) peers: Option<u16>,
    /// The peer's receive window, in packets.
    pub(super) window: u16,
    pub(super) stage: Stage,
}

/// A few calls: a list, searched from the start.
#[derive(Clone, Debug, Default)]
pub(super) struct Calls(Vec<Call>);

impl Calls {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn add(&mut self, call: Call) {
        // Nearly always the only one.
        self.0.reserve_exact(1);
        self.0.push(call);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Call> {
        self.0.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Call> {
        self.0.iter_mut()
    }

    pub(super) fn by_ours(&mut self, id: u16) -> Option<&mut Call> {
        self.0.iter_mut().find(|call| call.ours == Some(id))
    }

    pub(super) fn by_peers(&mut self, id: u16) -> Option<&mut Call> {
        self.0.iter_mut().find(|call| call.peers == Some(id))
    }

    /// Takes out the first call that `wanted` likes.
    pub(super) fn take(&mut self, wanted: impl Fn(&Call) -> bool) -> Option<Call> {
        let at = self.0.iter().position(wanted)?;
        Some(self.0.remove(at))
    }
}
