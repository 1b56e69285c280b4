//! Many packets with one `sendmmsg(2)`.

use std::io;
use std::mem;
use std::net::Ipv4Addr;
use std::ops::Range;
use std::os::fd::{AsRawFd, OwnedFd};
use std::ptr;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::hop::{Hop, Ipv4};
use super::{BATCH, GreSocket};

/// How often a flush waits for room in the socket's or the device's queue.
const MAX_WAITS: u32 = 3;
/// How long each time.
const WAIT: Timespec = Timespec { tv_sec: 0, tv_nsec: 1_000_000 };

/// What is never fragmented: every link carries so much (RFC 791 §3.1 with the largest header, and GRE's), in bytes.
const NEVER_FRAGMENTED: usize = 508;

/// Up to [`BATCH`] GRE packets that leave together.
#[derive(Debug)]
pub struct SendBatch {
    /// [`BATCH`] slots of `packet_len` bytes.
    buffer: Box<[u8]>,
    packet_len: usize,
    entries: Vec<Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    /// Where it lies in the buffer.
    packet: Range<usize>,
    destination: Ipv4Addr,
    source: Ipv4Addr,
    tos: u8,
    dont_fragment: bool,
    hop: Option<Hop>,
    is_taken: bool,
    tag: u16,
}

/// A packet that could not be sent.
#[derive(Debug)]
pub struct NotSent {
    /// What it was pushed with.
    pub tag: u16,
    /// Why. `EAGAIN` or `ENOBUFS`: a queue stayed full.
    pub error: io::Error,
}

impl SendBatch {
    /// Room for packets of up to `packet_len` bytes, without the IP header.
    #[must_use]
    pub fn new(packet_len: usize) -> Self {
        let packet_len = packet_len.max(1);
        Self {
            buffer: vec![0; packet_len * BATCH].into(),
            packet_len,
            entries: Vec::with_capacity(BATCH),
        }
    }

    /// How many packets wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none wait.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether there is no room for another packet: [`flush`](Self::flush) is wanted.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.entries.len() == BATCH
    }

    /// The room for the next packet, to be filled from its GRE header on before [`push`](Self::push). Empty when the batch is full.
    pub fn room(&mut self) -> &mut [u8] {
        let start = self.entries.len() * self.packet_len;
        self.buffer.get_mut(start..start + self.packet_len).unwrap_or_default()
    }

    /// Adds the packet that was written to `packet` in [`room`](Self::room). It leaves from `source`, so that an answer comes from the
    /// address that was called; unspecified: from the address that the route has. `tag` comes back when it cannot be sent.
    ///
    /// # Panics
    ///
    /// When the batch is full or `packet` is not in the room.
    pub fn push(
        &mut self,
        packet: Range<usize>,
        destination: Ipv4Addr,
        source: Ipv4Addr,
        tag: u16,
    ) {
        let fits = packet.start <= packet.end && packet.end <= self.packet_len;
        assert!(fits && !self.is_full(), "a packet beyond the room for it");
        let start = self.entries.len() * self.packet_len;
        let packet = start + packet.start..start + packet.end;
        self.entries.push(Entry {
            packet,
            destination,
            source,
            tos: 0,
            dont_fragment: false,
            hop: None,
            is_taken: false,
            tag,
        });
    }

    /// Gives the packet that was added last this TOS, and says whether it may be fragmented on its way. Without, the TOS is 0 and it may.
    pub fn mark_last(&mut self, tos: u8, dont_fragment: bool) {
        if let Some(entry) = self.entries.last_mut() {
            (entry.tos, entry.dont_fragment) = (tos, dont_fragment);
        }
    }

    /// Says which way the packet that was added last goes, when it does not leave by a raw socket.
    pub fn route_last(&mut self, hop: Hop) {
        if let Some(entry) = self.entries.last_mut() {
            // Which source address it would get is the raw socket's to find out.
            entry.hop = Some(hop).filter(|_| !entry.source.is_unspecified());
        }
    }

    /// The packets that still wait, whose next hop is known and takes them whole, each with its place, in order. `id` is the last identification given.
    pub(crate) fn framed(&self, id: &mut u16) -> impl Iterator<Item = (usize, (Ipv4, Hop, &[u8]))> {
        self.entries.iter().enumerate().filter_map(|(index, entry)| {
            let takes = |hop: &Hop| !entry.is_taken && hop.fits(entry.packet.len());
            let hop = entry.hop.filter(takes)?;
            *id = id.wrapping_add(1);
            let ip = Ipv4 {
                source: entry.source,
                destination: entry.destination,
                tos: entry.tos,
                dont_fragment: entry.dont_fragment,
                id: *id,
            };
            Some((index, (ip, hop, &self.buffer[entry.packet.clone()])))
        })
    }

    /// How many packets still wait that may go by this interface.
    pub(crate) fn waiting_for(&self, interface: u32) -> usize {
        let goes = |entry: &&Entry| {
            !entry.is_taken && entry.hop.is_some_and(|hop| hop.interface == interface)
        };
        self.entries.iter().filter(goes).count()
    }

    /// A packet has left another way than by [`flush`](Self::flush).
    pub(crate) fn take(&mut self, index: usize) {
        self.entries[index].is_taken = true;
    }

    /// The waiting packets, each in the whole [`room`](Self::room) that it was written to, in order.
    pub fn rooms_mut(&mut self) -> impl Iterator<Item = &mut [u8]> {
        self.buffer.chunks_exact_mut(self.packet_len).take(self.entries.len())
    }

    /// Adds a copy of a packet. As for [`push`](Self::push).
    ///
    /// # Panics
    ///
    /// As for [`push`](Self::push).
    pub fn push_copy(&mut self, packet: &[u8], destination: Ipv4Addr, source: Ipv4Addr, tag: u16) {
        self.room()[..packet.len()].copy_from_slice(packet);
        self.push(0..packet.len(), destination, source, tag);
    }

    /// Sends all packets that still wait, in order, and gives how many left. Each that cannot be sent is passed to `not_sent` and skipped. Waits
    /// for a full queue for a few milliseconds at most. The batch is empty after.
    pub fn flush(&mut self, socket: &GreSocket, mut not_sent: impl FnMut(NotSent)) -> usize {
        let mut sent = 0;
        let mut waits = 0;
        let mut next = 0;
        self.entries.retain(|entry| !entry.is_taken);
        while next < self.entries.len() {
            match self.send_from(next, socket) {
                Ok(count) => {
                    sent += count;
                    next += count;
                }
                Err((Errno::INTR, _)) => {}
                Err((Errno::AGAIN | Errno::NOBUFS, sender)) if waits < MAX_WAITS => {
                    waits += 1;
                    let mut files = [PollFd::new(sender, PollFlags::OUT)];
                    // Whatever came of waiting, the next try shows it.
                    let _ = poll(&mut files, Some(&WAIT));
                }
                Err((error, _)) => {
                    not_sent(NotSent { tag: self.entries[next].tag, error: error.into() });
                    next += 1;
                }
            }
        }
        self.entries.clear();
        sent
    }

    /// Sends the packets from `first` on, up to one that fails, or that may be fragmented where those before may not, or the other way round.
    /// Gives how many left, at least one, or which of the sockets did not take them.
    fn send_from<'a>(
        &mut self,
        first: usize,
        socket: &'a GreSocket,
    ) -> Result<usize, (Errno, &'a OwnedFd)> {
        let mut headers = Headers::new();
        let mut dont_fragment = None;
        for (index, entry) in self.entries[first..].iter().enumerate() {
            if entry.packet.len() > NEVER_FRAGMENTED
                && *dont_fragment.get_or_insert(entry.dont_fragment) != entry.dont_fragment
            {
                break;
            }
            headers.fill(index, entry, &self.buffer[entry.packet.clone()]);
        }
        headers.link();
        let sender = if dont_fragment == Some(true) { &socket.whole } else { &socket.divisible };
        let count = headers.filled;
        // SAFETY: the first `count` (at most BATCH) messages point to addresses, vectors and control data in `headers` and to packets in
        // `buffer`, with their lengths; both are borrowed here and outlive the call, which only reads them.
        let sent = unsafe {
            libc::sendmmsg(
                sender.as_raw_fd(),
                headers.messages.as_mut_ptr(),
                count as libc::c_uint,
                libc::MSG_DONTWAIT as _,
            )
        };
        match usize::try_from(sent) {
            Ok(0) => Err((Errno::AGAIN, sender)),
            Ok(sent) => Ok(sent),
            Err(_) => {
                let error = Errno::from_io_error(&io::Error::last_os_error());
                Err((error.unwrap_or(Errno::IO), sender))
            }
        }
    }
}

/// A control message of type `IP_PKTINFO`: what leaves from which address. Laid out as `cmsg(3)` asks: header, then data aligned as the header.
#[repr(C)]
#[derive(Clone, Copy)]
struct PacketInfo {
    header: libc::cmsghdr,
    info: libc::in_pktinfo,
}

impl PacketInfo {
    /// Without the padding at the end.
    const LEN: usize = mem::offset_of!(Self, info) + mem::size_of::<libc::in_pktinfo>();
}

/// A control message of type `IP_TOS`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Tos {
    header: libc::cmsghdr,
    tos: libc::c_int,
}

impl Tos {
    /// Without the padding at the end.
    const LEN: usize = mem::offset_of!(Self, tos) + mem::size_of::<libc::c_int>();
}

/// Both control messages of a packet, each aligned as its header.
#[repr(C)]
#[derive(Clone, Copy)]
struct Control {
    info: PacketInfo,
    /// Left out where it is 0.
    tos: Tos,
}

/// The arguments of `sendmmsg` for a batch.
struct Headers {
    addresses: [libc::sockaddr_in; BATCH],
    vectors: [libc::iovec; BATCH],
    control: [Control; BATCH],
    messages: [libc::mmsghdr; BATCH],
    filled: usize,
}

impl Headers {
    fn new() -> Self {
        // SAFETY: all of these are integers, and pointers that may be null.
        unsafe { mem::zeroed() }
    }

    fn fill(&mut self, index: usize, entry: &Entry, packet: &[u8]) {
        self.addresses[index].sin_family = libc::AF_INET as libc::sa_family_t;
        self.addresses[index].sin_addr.s_addr = u32::from_ne_bytes(entry.destination.octets());
        // The kernel only reads what a sent vector points to.
        self.vectors[index].iov_base = packet.as_ptr().cast_mut().cast();
        self.vectors[index].iov_len = packet.len();
        let Control { info, tos } = &mut self.control[index];
        info.header.cmsg_len = PacketInfo::LEN as _;
        info.header.cmsg_level = libc::IPPROTO_IP;
        info.header.cmsg_type = libc::IP_PKTINFO;
        info.info.ipi_spec_dst.s_addr = u32::from_ne_bytes(entry.source.octets());
        tos.header.cmsg_len = Tos::LEN as _;
        tos.header.cmsg_level = libc::IPPROTO_IP;
        tos.header.cmsg_type = libc::IP_TOS;
        tos.tos = entry.tos.into();
        self.filled = index + 1;
    }

    /// Makes the messages point to the rest of `self`, which must not move until they have been used.
    fn link(&mut self) {
        let parts = self.addresses.iter_mut().zip(&mut self.vectors).zip(&mut self.control);
        for (message, ((address, vector), control)) in
            self.messages.iter_mut().zip(parts).take(self.filled)
        {
            let header = &mut message.msg_hdr;
            header.msg_name = ptr::from_mut(address).cast();
            header.msg_namelen = mem::size_of::<libc::sockaddr_in>() as libc::socklen_t;
            header.msg_iov = vector;
            header.msg_iovlen = 1;
            let is_marked = control.tos.tos != 0;
            let len =
                if is_marked { mem::size_of::<Control>() } else { mem::size_of::<PacketInfo>() };
            header.msg_control = ptr::from_mut(control).cast();
            header.msg_controllen = len as _;
        }
    }
}
