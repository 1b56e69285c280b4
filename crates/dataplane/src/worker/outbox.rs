//! Packets to peers that leave together: encrypted many at a time, sent with one system call.

use std::mem;
use std::ops::Range;

use crypto::mppe::{self, Lanes, PacketKeys, SessionKey};
use sys::raw::{BATCH, NotSent, SendBatch};

use super::gre_io::GreIo;
use crate::hops::{Ends, Way};

/// Where a call's packets go, and where they come from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Route {
    pub(super) ends: Ends,
    call: u16,
    /// Past the raw socket, where there is such a way and it is known.
    pub(super) way: Option<Way>,
}

impl Route {
    pub(super) fn new(ends: Ends, call: u16) -> Self {
        Self { ends, call, way: None }
    }

    /// That of the next packet. With a neighbour that may be gone it is the raw socket's, so that the kernel looks; those behind go on as before.
    pub(super) fn next(&mut self) -> Self {
        let mut next = *self;
        if self.way.as_mut().is_some_and(|way| mem::take(&mut way.is_stale)) {
            next.way = None;
        }
        next
    }
}

/// What the IP header around a packet says about it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Marks {
    pub(super) tos: u8,
    pub(super) dont_fragment: bool,
}

/// Packets of any calls, in order.
pub(super) struct Outbox {
    batch: SendBatch,
    /// For each packet of the batch: what of its room is still to be encrypted.
    seals: Vec<Option<(SessionKey, Range<usize>)>>,
    /// How many packets leave together at most.
    limit: usize,
}

impl Outbox {
    /// Room for `limit` packets, [`BATCH`] at most, of up to `packet_len` bytes.
    pub(super) fn new(packet_len: usize, limit: usize) -> Self {
        let batch = SendBatch::new(packet_len);
        Self { batch, seals: Vec::with_capacity(BATCH), limit: limit.clamp(1, BATCH) }
    }

    /// The room for the next packet. Empty when it is full.
    pub(super) fn room(&mut self) -> &mut [u8] {
        self.batch.room()
    }

    /// Adds the packet that was written to `packet` in [`room`](Self::room), of which `seal` is still to be encrypted. It leaves with
    /// these marks.
    pub(super) fn push(
        &mut self,
        packet: Range<usize>,
        seal: Option<(SessionKey, Range<usize>)>,
        route: &Route,
        marks: Marks,
    ) {
        self.batch.push(packet, route.ends.peer, route.ends.local, route.call);
        self.batch.mark_last(marks.tos, marks.dont_fragment);
        if let Some(way) = &route.way {
            self.batch.route_last(way.hop);
        }
        self.seals.push(seal);
    }

    /// Whether [`flush`](Self::flush) is wanted.
    pub(super) fn is_full(&self) -> bool {
        self.batch.len() >= self.limit
    }

    /// How many packets wait.
    pub(super) fn len(&self) -> usize {
        self.batch.len()
    }

    /// Encrypts and sends everything. Keys of `chain` are made ahead meanwhile.
    pub(super) fn flush(
        &mut self,
        gre: &mut GreIo,
        lanes: &mut Lanes,
        chain: Option<&mut PacketKeys>,
        not_sent: impl FnMut(NotSent),
    ) {
        let rooms = self.batch.rooms_mut().zip(self.seals.drain(..));
        let bodies = rooms.filter_map(|(room, seal)| {
            let (key, body) = seal?;
            Some((key, &mut room[body]))
        });
        mppe::apply(lanes, bodies, chain);
        gre.send(&mut self.batch, not_sent);
    }
}
