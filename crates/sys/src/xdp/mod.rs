//! AF_XDP: GRE packets past the kernel's network stack, both ways, in copy mode (`Documentation/networking/af_xdp.rst`).
//!
//! An interface gets an XDP program (`program`), and each of its receive queues memory for frames (`queue`), on which each worker has a socket
//! of its own. Frames are copied between that memory and the batches that workers work on.

mod program;
mod queue;
mod ring;

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use crate::bpf;
use queue::Socket;

pub use queue::XdpSocket;

/// As many as there are.
const CALL_IDS: usize = 1 << 16;
/// Queues that an interface may have; more is no network card.
const MAX_QUEUES: usize = 256;
/// The largest IP packet of an interface that is taken: with its Ethernet header it has to fit what the kernel leaves of a chunk, behind its
/// `XDP_PACKET_HEADROOM`. What does not fit would be lost after the program has taken it.
const MAX_MTU: u32 = queue::FRAME_LEN as u32 - 256 - 14;

/// `XDP_FLAGS_SKB_MODE`, `XDP_FLAGS_DRV_MODE` (`linux/if_link.h`).
const GENERIC: u32 = 1 << 1;
const NATIVE: u32 = 1 << 2;

/// The calls whose packets are taken, on all interfaces. Those of others, of other programs for instance, are left to the kernel.
#[derive(Clone, Debug)]
pub struct XdpCalls(Arc<OwnedFd>);

impl XdpCalls {
    /// None yet.
    ///
    /// # Errors
    ///
    /// `PermissionDenied` without the capabilities for it; `ENOSYS` where the kernel has no bpf(2).
    pub fn new() -> io::Result<Self> {
        let map = bpf::create_map(bpf::ARRAY, [4; 2], CALL_IDS)?;
        Ok(Self(Arc::new(map)))
    }

    /// Packets with this call id to this address of ours are taken from now on, or none with this call id.
    ///
    /// # Errors
    ///
    /// Those of the kernel; none are known.
    pub fn set(&self, call_id: u16, address: Option<Ipv4Addr>) -> io::Result<()> {
        let address = address.unwrap_or(Ipv4Addr::UNSPECIFIED);
        bpf::update_map(self.0.as_fd(), u32::from(call_id).to_ne_bytes(), address.octets())
    }

    pub(crate) fn map(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// An interface whose GRE packets come by AF_XDP: it is so until the last of its sockets is closed.
#[derive(Debug)]
pub struct XdpInterface {
    /// For each worker its sockets, one for each queue of the interface.
    pub sockets: Vec<Vec<XdpSocket>>,
    /// Whether the driver runs the program itself, rather than the kernel's stack for it.
    pub is_native: bool,
}

/// What keeps the program where it is.
#[derive(Debug)]
pub(crate) struct Attachment {
    _link: OwnedFd,
    _program: OwnedFd,
    _sockets: OwnedFd,
}

impl XdpInterface {
    /// Opens sockets for `workers` workers on the interface of this index and MTU in the calling thread's network namespace, and attaches the program: in the driver, or
    /// else in the kernel's stack.
    ///
    /// # Errors
    ///
    /// `Unsupported` when its packets are too large; `ResourceBusy` when another program is attached; `PermissionDenied` without the
    /// capabilities.
    pub fn open((index, mtu): (u32, u32), workers: usize, calls: &XdpCalls) -> io::Result<Self> {
        let workers = workers.max(1);
        if mtu > MAX_MTU {
            let text = format!("its MTU of {mtu} is more than {MAX_MTU}");
            return Err(io::Error::new(io::ErrorKind::Unsupported, text));
        }
        let map = bpf::create_map(bpf::XSK_MAP, [4; 2], MAX_QUEUES * workers)?;
        let program = program::load(calls.map(), map.as_fd(), workers)?;
        let mut sockets: Vec<Vec<Socket>> = (0..workers).map(|_| Vec::new()).collect();
        for queue in 0..MAX_QUEUES {
            let opened = match queue::open(index, queue, workers) {
                // There are no more.
                Err(error) if error.kind() == io::ErrorKind::InvalidInput && queue > 0 => break,
                opened => opened?,
            };
            for (worker, socket) in opened.into_iter().enumerate() {
                let key = (queue * workers + worker) as u32;
                bpf::update_map(map.as_fd(), key.to_ne_bytes(), socket.descriptor().to_ne_bytes())?;
                sockets[worker].push(socket);
            }
        }
        let (link, is_native) = attach(program.as_fd(), index)?;
        let kept = Arc::new(Attachment { _link: link, _program: program, _sockets: map });
        let with_attachment = |socket: Socket| XdpSocket::new(socket, Arc::clone(&kept));
        let sockets = sockets
            .into_iter()
            .map(|of_worker| of_worker.into_iter().map(with_attachment).collect());
        Ok(Self { sockets: sockets.collect(), is_native })
    }
}

fn attach(program: BorrowedFd<'_>, interface: u32) -> io::Result<(OwnedFd, bool)> {
    match bpf::attach_xdp(program, interface, NATIVE) {
        Ok(link) => Ok((link, true)),
        Err(error) if error.kind() == io::ErrorKind::ResourceBusy => Err(error),
        // No such mode there, or something that stands in its way (queues, MTU, LRO).
        Err(_) => Ok((bpf::attach_xdp(program, interface, GENERIC)?, false)),
    }
}

#[cfg(test)]
mod tests;
