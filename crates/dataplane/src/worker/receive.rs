//! From the network to the interfaces: a batch at a time.

use std::net::Ipv4Addr;
use std::ops::Range;
use std::thread;

use crypto::mppe::{self, SessionKey};
use engine::data::Plan;
use sys::raw::{BATCH, RecvBatch};
use sys::tun::Write;
use wire::gre::Outer;

use super::gre_io::Source;
use super::{ERROR_PAUSE, Worker};
use crate::Notice;
use crate::counters::count;
use crate::offload::{MAX_PIECES, Packets, Whole};

/// Where an IP packet lies in the batch that was received.
pub(super) struct Arrival {
    slot: usize,
    range: Range<usize>,
}

/// The packets of a [`Join`](crate::offload::Join) by their place among the arrivals.
struct Arrivals<'a> {
    incoming: &'a mut RecvBatch,
    arrivals: &'a [Arrival],
}

impl Packets for Arrivals<'_> {
    fn packet(&self, id: usize) -> &[u8] {
        let Arrival { slot, range } = &self.arrivals[id];
        &self.incoming.packet(*slot)[range.clone()]
    }

    fn packet_mut(&mut self, id: usize) -> &mut [u8] {
        let Arrival { slot, range } = &self.arrivals[id];
        &mut self.incoming.packet_mut(*slot)[range.clone()]
    }
}

/// Every packet of a batch can be joined.
const _: () = assert!(MAX_PIECES >= BATCH);

impl Worker {
    /// Takes a batch of packets from the network. `false`: stop.
    pub(super) fn read_network(&mut self, source: Source) -> bool {
        let received = match self.io.gre.receive(source, &mut self.incoming) {
            Ok(received) => received,
            Err(_) => {
                count(&self.io.totals.receive_errors);
                thread::sleep(ERROR_PAUSE);
                return true;
            }
        };
        self.received += received;
        self.is_behind |= received == BATCH;
        // What the control plane said before a packet could be provoked by it (a call added before its reply, keys before the last
        // Configure-Ack) is in the mailbox before the packet arrives: read now, it is heard first.
        if received > 0 && !self.read_mailbox() {
            return false;
        }
        // A lone packet costs least by itself.
        if received > 1 {
            self.open_many(received);
        }
        for index in 0..received {
            self.take_packet(index);
        }
        self.plans.clear();
        self.deliver_arrivals();
        true
    }

    /// Decrypts what can be decrypted together. The packets are looked at again, and judged, one after the other.
    fn open_many(&mut self, received: usize) {
        let mut first = None;
        for index in 0..received {
            let planned = self.plan(index);
            let (key, plan) = match planned {
                Some((call, key, plan)) => {
                    first.get_or_insert(call);
                    (Some(key), Some(plan))
                }
                None => (None, None),
            };
            self.keys.push(key);
            self.plans.push(plan);
        }
        let chain = first.and_then(|call: u16| self.sessions[usize::from(call)].as_mut());
        let slots = self.incoming.packets_mut(received).zip(self.keys.drain(..));
        let bodies = slots.filter_map(|(slot, key)| {
            let (key, body) = key?;
            Some((key, &mut slot[body]))
        });
        mppe::apply(
            &mut self.io.lanes,
            bodies,
            chain.and_then(|session| session.path.receive_keys()),
        );
    }

    /// Whose packet it is, what decrypts which part of its slot, and how to go on then.
    fn plan(&mut self, index: usize) -> Option<(u16, (SessionKey, Range<usize>), Plan)> {
        if self.incoming.is_truncated(index) {
            return None;
        }
        let packet = self.incoming.packet(index);
        let outer = Outer::parse(packet).ok()?;
        let call = call_id(packet, &outer)?;
        let session = self.sessions[usize::from(call)].as_mut()?;
        if session.route.ends.peer != outer.source {
            return None;
        }
        let gre = &packet[outer.start..outer.end];
        let (key, plan) = session.path.plan_inbound(self.io.now, gre)?;
        let body = outer.start + plan.body.start..outer.start + plan.body.end;
        Some((call, (key, body), plan))
    }

    fn take_packet(&mut self, index: usize) {
        let is_truncated = self.incoming.is_truncated(index);
        let packet = self.incoming.packet_mut(index);
        let parsed = Outer::parse(packet).ok().filter(|_| !is_truncated);
        let Some((outer, call)) = parsed.and_then(|outer| {
            let call = call_id(packet, &outer)?;
            Some((outer, call))
        }) else {
            count(&self.io.totals.malformed);
            return;
        };
        // Between opening the socket and setting its filter.
        if usize::from(call) % self.workers != self.index {
            return;
        }
        let Some(session) = &mut self.sessions[usize::from(call)] else {
            return self.unknown_call(outer.source, call);
        };
        if session.route.ends.peer != outer.source {
            session.counters.wrong_peer().add_one();
            count(&self.io.totals.wrong_peers);
            if let Some(suppressed) = self.wrong_peers.allow(self.io.now) {
                let generation = session.generation;
                let from = outer.source;
                self.io.notify(Notice::WrongPeer { call, generation, from, suppressed });
            }
            return;
        }
        session.touch(&mut self.touched);
        let plan = self.plans.get(index).and_then(Option::as_ref);
        let tos = packet[1];
        let gre = &mut packet[outer.start..outer.end];
        let arrived = session.receive(&mut self.io, gre, tos, plan);
        let has_held = session.path.has_held();
        if let Some((range, offloads)) = arrived {
            let range = outer.start + range.start..outer.start + range.end;
            self.arrivals.push(Arrival { slot: index, range });
            let id = self.arrivals.len() - 1;
            let packets = Arrivals { incoming: &mut self.incoming, arrivals: &self.arrivals };
            self.join.add(call, id, &packets, offloads);
        }
        if has_held {
            self.deliver_held(call);
        }
    }

    /// Gives the interfaces the packets of a batch, joined where that can be.
    fn deliver_arrivals(&mut self) {
        let mut packets = Arrivals { incoming: &mut self.incoming, arrivals: &self.arrivals };
        let Self { io, sessions, writer, written, not_written, .. } = self;
        self.join.take(&mut packets, |joined| {
            let writes = joined.filter_map(|Whole { owner, count, header, pieces }| {
                let session = sessions[usize::from(owner)].as_ref()?;
                let tun = session.interface(io, count)?;
                written.push((owner, count));
                Some(Write { tun, header, pieces })
            });
            writer.write(writes, |index, error| not_written.push((index, error)));
        });
        self.arrivals.clear();
        while let Some((index, error)) = self.not_written.pop() {
            let (call, count) = self.written[index];
            let Some(session) = &self.sessions[usize::from(call)] else { continue };
            if let Some(error) = session.not_written(error, count) {
                self.interface_gone(call, error);
            }
        }
        self.written.clear();
    }

    /// Packets that waited for another which has come, or waited long enough: they follow those of the batch.
    pub(super) fn deliver_held(&mut self, call: u16) {
        self.deliver_arrivals();
        let Some(session) = &mut self.sessions[usize::from(call)] else { return };
        if let Some(error) = session.take_ready(&mut self.io) {
            self.interface_gone(call, error);
        }
    }

    fn unknown_call(&mut self, from: Ipv4Addr, call_id: u16) {
        count(&self.io.totals.unknown_calls);
        if let Some(suppressed) = self.unknown_calls.allow(self.io.now) {
            self.io.notify(Notice::UnknownCall { from, call_id, suppressed });
        }
    }
}

/// The call id in a GRE packet (RFC 2637 §4.1).
fn call_id(packet: &[u8], outer: &Outer) -> Option<u16> {
    let bytes = packet.get(outer.start + 6..outer.start + 8)?;
    Some(u16::from_be_bytes(bytes.try_into().ok()?))
}
