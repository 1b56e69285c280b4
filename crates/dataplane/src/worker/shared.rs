//! The interface that calls share: the worker's queues of it, and whose packets come out.

use std::io;
use std::mem;
use std::sync::Arc;

use engine::TokenBucket;
use sys::event::Epoll;
use sys::tun::{self, OFFLOAD_HEADER_LEN, OffloadHeader, Tun};

use super::directory::Directory;
use super::limit;
use super::{HANDED_OVER, INTERFACE_BYTES, INTERFACE_READS, SHARED, Worker};
use crate::counters::count;
use crate::hand_over::{HandOver, Handed};
use crate::{IoMode, Notice};

/// A worker's part of a shared interface.
pub(super) struct Shared {
    /// Packets to it go by the first.
    queues: Vec<Tun>,
    /// Of the calls of all workers.
    pub(super) directory: Directory,
    /// The ways to all workers, this one's among them.
    ways: Arc<[HandOver]>,
    /// Room for what the others hand over.
    handed: Handed,
    /// How many senders may be told that their packets are too long for a session.
    pub(super) too_big: TokenBucket,
}

impl Shared {
    /// The queues of the worker with this index, which waits for them and for what is handed over to it.
    pub(super) fn open(
        epoll: &Epoll,
        index: usize,
        mode: IoMode,
        mut queues: Vec<Tun>,
        ways: Arc<[HandOver]>,
    ) -> io::Result<Self> {
        for (token, queue) in (SHARED..).zip(&mut queues) {
            if mode == IoMode::Naive {
                // A kernel that has offloads lets go of them.
                let _ = queue.forgo_offloads();
            }
            epoll.add(&*queue, token)?;
        }
        let own = ways.get(index).ok_or(io::ErrorKind::InvalidInput)?;
        epoll.add(&own.bell, HANDED_OVER)?;
        let (directory, handed) = (Directory::default(), Handed::new());
        Ok(Self { queues, directory, ways, handed, too_big: limit::told() })
    }

    /// The interface, to write to.
    pub(super) fn tun(&self) -> Option<&Tun> {
        self.queues.first()
    }
}

impl Worker {
    /// Takes packets from a queue of the shared interface. `false`: that is gone, and so is the worker's work.
    pub(super) fn read_shared(&mut self, queue: u64) -> bool {
        let mut bytes = 0;
        let mut is_empty = false;
        for _ in 0..INTERFACE_READS {
            let shared = self.io.shared.as_ref();
            let Some(tun) = shared.and_then(|shared| shared.queues.get(queue as usize)) else {
                return true;
            };
            let mut header = [0; OFFLOAD_HEADER_LEN];
            match tun.read(&mut header, &mut self.io.super_packet) {
                Ok(len) => {
                    bytes += len;
                    let buffer = mem::take(&mut self.io.super_packet);
                    self.sort(&header, &buffer[..len]);
                    self.io.super_packet = buffer;
                }
                // There is nothing, or somebody has taken it down; it may come up again.
                Err(error) if !tun::is_gone(&error) => {
                    is_empty = true;
                    break;
                }
                Err(error) => {
                    self.io.notify(Notice::WorkerFailed { worker: self.index, error });
                    return false;
                }
            }
            if bytes >= INTERFACE_BYTES {
                break;
            }
        }
        self.is_behind |= !is_empty;
        true
    }

    /// Sends a packet of the shared interface to the peer that has its destination, or has the worker do it that has the call.
    fn sort(&mut self, header: &OffloadHeader, packet: &[u8]) {
        let Some(shared) = &self.io.shared else { return };
        let Some(call) = shared.directory.find(packet) else {
            return count(&self.io.totals.no_destination);
        };
        let worker = usize::from(call) % self.workers;
        if worker == self.index {
            return self.send(call, header, packet);
        }
        let taken = shared.ways.get(worker).is_some_and(|way| way.push(header, packet));
        let totals = &self.io.totals;
        count(if taken { &totals.handed_over } else { &totals.hand_over_full });
    }

    /// Takes what other workers have handed over.
    pub(super) fn take_handed_over(&mut self) {
        let Some(shared) = &mut self.io.shared else { return };
        let mut handed = mem::take(&mut shared.handed);
        if let Some(way) = shared.ways.get(self.index) {
            way.take(&mut handed);
        }
        for (header, packet) in handed.iter() {
            let shared = self.io.shared.as_ref();
            let call = shared.and_then(|shared| shared.directory.find(packet));
            // The address may have moved to another worker's call meanwhile.
            match call.filter(|call| usize::from(*call) % self.workers == self.index) {
                Some(call) => self.send(call, header, packet),
                None => count(&self.io.totals.no_destination),
            }
        }
        handed.clear();
        if let Some(shared) = &mut self.io.shared {
            shared.handed = handed;
        }
    }

    fn send(&mut self, call: u16, header: &OffloadHeader, packet: &[u8]) {
        let Some(session) = &mut self.sessions[usize::from(call)] else {
            return count(&self.io.totals.no_destination);
        };
        session.send(&mut self.io, header, packet);
        session.touch(&mut self.touched);
    }
}
