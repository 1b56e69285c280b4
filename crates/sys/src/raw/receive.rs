//! Many packets with one `recvmmsg(2)`.

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

use rustix::io::Errno;

use super::BATCH;

/// Room for [`BATCH`] packets, and those of the last [`recv_batch`](super::GreSocket::recv_batch).
#[derive(Debug)]
pub struct RecvBatch {
    /// [`BATCH`] slots of `packet_len` bytes.
    buffer: Box<[u8]>,
    packet_len: usize,
    /// How many packets are taken at a time.
    limit: usize,
    lengths: [usize; BATCH],
    truncated: [bool; BATCH],
}

impl RecvBatch {
    /// Room for packets of up to `packet_len` bytes, IP header included. Longer ones are cut.
    #[must_use]
    pub fn new(packet_len: usize) -> Self {
        let packet_len = packet_len.max(1);
        Self {
            buffer: vec![0; packet_len * BATCH].into(),
            packet_len,
            limit: BATCH,
            lengths: [0; BATCH],
            truncated: [false; BATCH],
        }
    }

    /// Takes no more than `limit` packets at a time, and at least one.
    #[must_use]
    pub fn limited_to(self, limit: usize) -> Self {
        Self { limit: limit.clamp(1, BATCH), ..self }
    }

    /// The packet at `index` of those just received: an IPv4 packet from its header on.
    ///
    /// # Panics
    ///
    /// When `index` is not below [`BATCH`].
    #[must_use]
    pub fn packet(&self, index: usize) -> &[u8] {
        let start = index * self.packet_len;
        &self.buffer[start..start + self.lengths[index]]
    }

    /// As [`packet`](Self::packet), to be changed.
    ///
    /// # Panics
    ///
    /// When `index` is not below [`BATCH`].
    pub fn packet_mut(&mut self, index: usize) -> &mut [u8] {
        let start = index * self.packet_len;
        &mut self.buffer[start..start + self.lengths[index]]
    }

    /// The packets just received, `count` of them, in order.
    pub fn packets_mut(&mut self, count: usize) -> impl Iterator<Item = &mut [u8]> {
        let slots = self.buffer.chunks_exact_mut(self.packet_len).zip(&self.lengths);
        slots.take(count).map(|(slot, len)| &mut slot[..*len])
    }

    /// Whether the packet at `index` was longer than its room and has been cut.
    ///
    /// # Panics
    ///
    /// When `index` is not below [`BATCH`].
    #[must_use]
    pub fn is_truncated(&self, index: usize) -> bool {
        self.truncated[index]
    }

    /// Makes `packet`, or as much of it as there is room for, the packet at `index`.
    pub(crate) fn put(&mut self, index: usize, packet: &[u8]) {
        let len = packet.len().min(self.packet_len);
        let start = index * self.packet_len;
        self.buffer[start..start + len].copy_from_slice(&packet[..len]);
        self.lengths[index] = len;
        self.truncated[index] = len < packet.len();
    }

    pub(super) fn receive(&mut self, socket: BorrowedFd<'_>) -> io::Result<usize> {
        let mut vectors = self.vectors();
        let mut headers = vectors.each_mut().map(|vector| {
            // SAFETY: a `mmsghdr` is integers and pointers, for all of which zero is a value: no name, no data, no control.
            let mut header: libc::mmsghdr = unsafe { mem::zeroed() };
            header.msg_hdr.msg_iov = vector;
            header.msg_hdr.msg_iovlen = 1;
            header
        });
        // SAFETY: there are BATCH headers, of which the first `limit` (at most BATCH) are used; each points to one vector in `vectors`, which points to a slot of `buffer` of its own, all of
        // which outlive the call and are borrowed by nobody else. There is no timeout.
        let received = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                headers.as_mut_ptr(),
                self.limit as libc::c_uint,
                libc::MSG_DONTWAIT as _,
                ptr::null_mut(),
            )
        };
        let Ok(received) = usize::try_from(received) else {
            return swallow(io::Error::last_os_error());
        };
        for (index, header) in headers.iter().enumerate().take(received) {
            self.lengths[index] = (header.msg_len as usize).min(self.packet_len);
            self.truncated[index] = header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0;
        }
        Ok(received)
    }

    fn vectors(&mut self) -> [libc::iovec; BATCH] {
        let mut slots = self.buffer.chunks_exact_mut(self.packet_len);
        std::array::from_fn(|_| {
            let slot = slots.next().unwrap_or_default();
            libc::iovec { iov_base: slot.as_mut_ptr().cast(), iov_len: slot.len() }
        })
    }
}

/// Nothing to receive, an interruption, and news of earlier packets (ICMP) are no errors.
fn swallow(error: io::Error) -> io::Result<usize> {
    match Errno::from_io_error(&error) {
        Some(
            Errno::AGAIN
            | Errno::INTR
            | Errno::CONNREFUSED
            | Errno::HOSTUNREACH
            | Errno::HOSTDOWN
            | Errno::NETUNREACH
            | Errno::NETDOWN
            | Errno::NONET
            | Errno::MSGSIZE
            | Errno::NOPROTOOPT
            | Errno::PROTO
            | Errno::OPNOTSUPP
            | Errno::ACCESS,
        ) => Ok(0),
        _ => Err(error),
    }
}
