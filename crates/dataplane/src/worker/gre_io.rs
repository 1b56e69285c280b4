//! How a worker's GRE packets come and leave.

use std::io;

use sys::event::Epoll;
use sys::packet::PacketSocket;
use sys::raw::{GreSocket, NotSent, RecvBatch, SendBatch};
use sys::xdp::XdpSocket;

/// Whence packets come: a batch is of one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Raw,
    Xdp(usize),
}

/// A worker's way to the network: the raw socket, and perhaps a faster one for what that can carry.
pub(crate) struct GreIo {
    raw: GreSocket,
    fast: Fast,
}

/// Sockets past the kernel's network stack.
pub(crate) enum Fast {
    None,
    /// For packets that leave.
    Packet(PacketSocket),
    /// Both ways, one for each queue of each interface.
    Xdp(Vec<XdpSocket>),
}

impl GreIo {
    pub(crate) fn new(raw: GreSocket, fast: Fast) -> Self {
        Self { raw, fast }
    }

    /// Has all sources watched, with tokens from `first` on.
    pub(super) fn watch(&self, epoll: &Epoll, first: u64) -> io::Result<()> {
        epoll.add(&self.raw, first)?;
        for (socket, token) in self.xdp().iter().zip(first + 1..) {
            epoll.add(socket, token)?;
        }
        Ok(())
    }

    /// The source that has the token `offset` behind the first.
    pub(super) fn source(&self, offset: u64) -> Option<Source> {
        let index = match offset.checked_sub(1) {
            None => return Some(Source::Raw),
            Some(index) => usize::try_from(index).ok()?,
        };
        (index < self.xdp().len()).then_some(Source::Xdp(index))
    }

    /// Takes waiting packets of a source and gives how many.
    pub(super) fn receive(&mut self, source: Source, batch: &mut RecvBatch) -> io::Result<usize> {
        match (source, &mut self.fast) {
            (Source::Xdp(index), Fast::Xdp(sockets)) => {
                Ok(sockets.get_mut(index).map_or(0, |socket| socket.recv_batch(batch)))
            }
            _ => self.raw.recv_batch(batch),
        }
    }

    /// Sends all packets of a batch, which is empty then: those that a faster way takes by it, all others by the raw socket. Those that cannot be
    /// sent are passed to `not_sent`.
    pub(super) fn send(&mut self, batch: &mut SendBatch, not_sent: impl FnMut(NotSent)) {
        match &mut self.fast {
            Fast::None => {}
            Fast::Packet(socket) => socket.send_batch(batch),
            Fast::Xdp(sockets) => sockets.iter_mut().for_each(|socket| socket.send_batch(batch)),
        }
        batch.flush(&self.raw, not_sent);
    }

    fn xdp(&self) -> &[XdpSocket] {
        match &self.fast {
            Fast::Xdp(sockets) => sockets,
            Fast::None | Fast::Packet(_) => &[],
        }
    }
}
