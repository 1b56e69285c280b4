//! Raw sockets for GRE: whole IPv4 packets in, GRE packets out, many with one system call.

pub(crate) mod filter;
pub(crate) mod hop;
mod receive;
mod send;

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::num::NonZero;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::net::{AddressFamily, Protocol, SocketFlags, SocketType, socket_with, sockopt};

pub use hop::Hop;
pub use receive::RecvBatch;
pub use send::{NotSent, SendBatch};

/// IP protocol number of GRE.
const GRE: u32 = 47;

/// What the socket's buffers should hold, in bytes. The default of 208 KiB drops bursts.
const BUFFER_LEN: usize = 8 << 20;

/// The most packets for one system call.
pub const BATCH: usize = 64;

/// A raw socket that receives a copy of every GRE packet to this network namespace, or a worker's share of them.
///
/// ICMP errors about packets that were sent are not reported on it. Too large packets are fragmented, but for those that are not to be.
#[derive(Debug)]
pub struct GreSocket {
    /// Receives, and sends nothing: an epoll set that has it is told of each packet that has left by it.
    socket: OwnedFd,
    /// Sends what may be fragmented, and receives nothing.
    divisible: OwnedFd,
    /// Sends what may not, and receives nothing.
    whole: OwnedFd,
}

impl GreSocket {
    /// Opens one in the calling thread's network namespace.
    ///
    /// # Errors
    ///
    /// `PermissionDenied` without `CAP_NET_RAW`.
    pub fn open() -> io::Result<Self> {
        let socket = open()?;
        // Beyond the limit for everybody only with CAP_NET_ADMIN, else up to that limit.
        sockopt::set_socket_recv_buffer_size_force(&socket, BUFFER_LEN)
            .or_else(|_| sockopt::set_socket_recv_buffer_size(&socket, BUFFER_LEN))?;
        // The tunnel's MTU was agreed before; a path that carries less must cost fragments, not connections.
        let divisible = open_sender(sockopt::Ipv4PathMtuDiscovery::DONT)?;
        let whole = open_sender(sockopt::Ipv4PathMtuDiscovery::DO)?;
        Ok(Self { socket, divisible, whole })
    }

    /// Keeps to one network interface: packets of others are not received, and none leave by them. A VRF's device stands for all interfaces
    /// of the VRF.
    ///
    /// # Errors
    ///
    /// `NotFound` or `ENODEV` (raw error) when there is no such interface; `InvalidInput` for a name that cannot be.
    pub fn bind_device(&self, name: &str) -> io::Result<()> {
        let length = libc::socklen_t::try_from(name.len())
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        for socket in [&self.socket, &self.divisible, &self.whole] {
            // SAFETY: the option takes as many bytes as it is told; they outlive the call, and the kernel only reads them.
            let result = unsafe {
                libc::setsockopt(
                    socket.as_raw_fd(),
                    libc::SOL_SOCKET,
                    libc::SO_BINDTODEVICE,
                    name.as_ptr().cast(),
                    length,
                )
            };
            if result < 0 {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(())
    }

    /// Lets through only enhanced GRE packets of PPTP (version 1, protocol type 880b) whose call id modulo `workers` is `index`. Packets
    /// that have arrived before stay in the socket's queue.
    ///
    /// # Errors
    ///
    /// `InvalidInput` when `workers` is 0; those of the kernel.
    pub fn attach_worker_filter(&self, index: usize, workers: usize) -> io::Result<()> {
        filter::attach(self.socket.as_fd(), index, workers)
    }

    /// Takes waiting packets, up to [`BATCH`], and gives how many; 0 when there are none.
    ///
    /// # Errors
    ///
    /// None that come from the network: those are swallowed.
    pub fn recv_batch(&self, batch: &mut RecvBatch) -> io::Result<usize> {
        batch.receive(self.socket.as_fd())
    }
}

/// A raw socket that sends.
fn open_sender(discovery: sockopt::Ipv4PathMtuDiscovery) -> io::Result<OwnedFd> {
    let socket = open()?;
    force_send_buffer(&socket)?;
    sockopt::set_ip_mtu_discover(&socket, discovery)?;
    // It would get a copy of each packet otherwise. What it sends says its source address, and the loopback interface may be down.
    sockopt::set_ip_freebind(&socket, true)?;
    rustix::net::bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0))?;
    Ok(socket)
}

/// A raw socket for GRE.
fn open() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let protocol = NonZero::new(GRE).map(Protocol::from_raw);
    Ok(socket_with(AddressFamily::INET, SocketType::RAW, flags, protocol)?)
}

/// Beyond the limit for everybody only with `CAP_NET_ADMIN`, else up to that limit.
pub(crate) fn force_send_buffer(socket: &OwnedFd) -> io::Result<()> {
    sockopt::set_socket_send_buffer_size_force(socket, BUFFER_LEN)
        .or_else(|_| sockopt::set_socket_send_buffer_size(socket, BUFFER_LEN))?;
    Ok(())
}

impl AsFd for GreSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests;
