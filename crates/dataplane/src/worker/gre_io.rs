//! How a worker's GRE packets come and leave.

use std::io;

use sys::event::Epoll;
use sys::raw::{GreSocket, NotSent, RecvBatch, SendBatch};

/// Whence packets come: a batch is of one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Source(u64);

/// A worker's way to the network: the raw socket.
pub(super) struct GreIo {
    raw: GreSocket,
}

impl GreIo {
    pub(super) fn new(raw: GreSocket) -> Self {
        Self { raw }
    }

    /// Has all sources watched, with tokens from `first` on.
    pub(super) fn watch(&self, epoll: &Epoll, first: u64) -> io::Result<()> {
        epoll.add(&self.raw, first)
    }

    /// The source that has the token `offset` behind the first.
    pub(super) fn source(&self, offset: u64) -> Option<Source> {
        (offset == 0).then_some(Source(offset))
    }

    /// Takes waiting packets of a source and gives how many.
    pub(super) fn receive(&mut self, _source: Source, batch: &mut RecvBatch) -> io::Result<usize> {
        self.raw.recv_batch(batch)
    }

    /// Sends all packets of a batch, which is empty then. Those that cannot be sent are passed to `not_sent`.
    pub(super) fn send(&mut self, batch: &mut SendBatch, not_sent: impl FnMut(NotSent)) {
        batch.flush(&self.raw, not_sent);
    }
}
