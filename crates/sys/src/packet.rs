//! Sending by `AF_PACKET`: straight to an interface, past routing, netfilter and queueing disciplines (packet(7)).

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, OwnedFd};
use std::ptr;

use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

use crate::raw::hop::FRAME_HEADER_LEN;
use crate::raw::{BATCH, SendBatch, force_send_buffer};

/// `ETH_P_IP` in network order.
const ETHERTYPE_IPV4: u16 = 0x0800u16.to_be();

/// A socket that sends and receives nothing.
#[derive(Debug)]
pub struct PacketSocket {
    socket: OwnedFd,
    /// The IPv4 identification of the next packet.
    id: u16,
}

impl PacketSocket {
    /// Opens one in the calling thread's network namespace.
    ///
    /// # Errors
    ///
    /// `PermissionDenied` without `CAP_NET_RAW`.
    pub fn open() -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::PACKET, SocketType::RAW, flags, None)?;
        force_send_buffer(&socket)?;
        let on: libc::c_int = 1;
        // SAFETY: the option takes a number, whose size is given and which outlives the call.
        let result = unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_QDISC_BYPASS,
                (&raw const on).cast(),
                mem::size_of_val(&on) as libc::socklen_t,
            )
        };
        if result < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { socket, id: 0 })
    }

    /// Sends the packets of a batch whose next hop is known and takes them, up to one that the kernel refuses.
    pub fn send_batch(&mut self, batch: &mut SendBatch) {
        let mut frames = Frames::new();
        let mut chosen = [0; BATCH];
        for (index, (ip, hop, packet)) in batch.framed(&mut self.id) {
            chosen[frames.filled] = index;
            frames.add(hop.interface, hop.next, hop.headers(&ip, packet.len()), packet);
        }
        if frames.filled == 0 {
            return;
        }
        frames.link();
        // SAFETY: the first `filled` messages point to addresses and vectors in `frames`, which point to headers in `frames` and to packets in
        // `batch`, with their lengths; all of that outlives the call, which only reads it.
        let sent = unsafe {
            libc::sendmmsg(
                self.socket.as_raw_fd(),
                frames.messages.as_mut_ptr(),
                frames.filled as libc::c_uint,
                libc::MSG_DONTWAIT as _,
            )
        };
        // A refused one, and those behind it, are the raw socket's.
        for index in &chosen[..usize::try_from(sent).unwrap_or(0)] {
            batch.take(*index);
        }
    }
}

/// The arguments of `sendmmsg`.
struct Frames {
    addresses: [libc::sockaddr_ll; BATCH],
    headers: [[u8; FRAME_HEADER_LEN]; BATCH],
    vectors: [[libc::iovec; 2]; BATCH],
    messages: [libc::mmsghdr; BATCH],
    filled: usize,
}

impl Frames {
    fn new() -> Self {
        // SAFETY: all of these are integers, and pointers that may be null.
        unsafe { mem::zeroed() }
    }

    fn add(
        &mut self,
        interface: u32,
        next: [u8; 6],
        header: [u8; FRAME_HEADER_LEN],
        packet: &[u8],
    ) {
        let address = &mut self.addresses[self.filled];
        address.sll_family = libc::AF_PACKET as libc::c_ushort;
        address.sll_protocol = ETHERTYPE_IPV4;
        address.sll_ifindex = interface.cast_signed();
        address.sll_halen = next.len() as libc::c_uchar;
        address.sll_addr[..next.len()].copy_from_slice(&next);
        self.headers[self.filled] = header;
        // The kernel only reads what a sent vector points to.
        let [_, vector] = &mut self.vectors[self.filled];
        vector.iov_base = packet.as_ptr().cast_mut().cast();
        vector.iov_len = packet.len();
        self.filled += 1;
    }

    /// Makes the messages point to the rest of `self`, which must not move until they have been used.
    fn link(&mut self) {
        let parts = self.addresses.iter_mut().zip(&mut self.headers).zip(&mut self.vectors);
        for (message, ((address, header), vectors)) in
            self.messages.iter_mut().zip(parts).take(self.filled)
        {
            vectors[0].iov_base = header.as_mut_ptr().cast();
            vectors[0].iov_len = header.len();
            let message = &mut message.msg_hdr;
            message.msg_name = ptr::from_mut(address).cast();
            message.msg_namelen = mem::size_of::<libc::sockaddr_ll>() as libc::socklen_t;
            message.msg_iov = vectors.as_mut_ptr();
            message.msg_iovlen = 2;
        }
    }
}
