//! One receive queue of an interface: its memory, and a socket of each worker on it.

use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::Attachment;
use super::ring::{Mapping, Ring};
use crate::raw::hop::{ETHERNET_LEN, FRAME_HEADER_LEN, is_intact};
use crate::raw::{BATCH, RecvBatch, SendBatch, force_send_buffer};

/// Frames that wait for packets, and frames for packets that leave. Rings have as many entries.
const FILL: u32 = 2048;
const SEND: u32 = 1024;
const FRAMES: u32 = FILL + SEND;
/// Bytes of a frame: a packet of 1,500 bytes behind the room that the kernel leaves before it, and larger ones.
pub(super) const FRAME_LEN: usize = 2048;

/// A queue whose last user went a moment ago is still in use: it is tried so often, after so long.
const BUSY_TRIES: u32 = 50;
const BUSY_WAIT: Duration = Duration::from_millis(10);

/// How often the kernel is told that there is something to send, before it is left for the next time. It sends 32 packets each time.
const MAX_KICKS: u32 = 8;

/// What the sockets of a queue share.
#[derive(Debug)]
struct Shared {
    frames: Mapping,
    frame_len: usize,
    rings: Mutex<Rings>,
    /// The socket to which the memory belongs.
    first: Arc<OwnedFd>,
}

/// The rings that are the queue's, not a socket's. Taken for a batch, not for a packet.
#[derive(Debug)]
struct Rings {
    /// Frames for packets that come.
    fill: Ring<u64>,
    /// Frames of packets that have left.
    completion: Ring<u64>,
    /// Frames that hold nothing, for packets that are to leave.
    free: Vec<u64>,
}

/// A worker's socket on a queue.
#[derive(Debug)]
pub(super) struct Socket {
    socket: Arc<OwnedFd>,
    received: Ring<Descriptor>,
    sent: Ring<Descriptor>,
    shared: Arc<Shared>,
    interface: u32,
}

/// `struct xdp_desc`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Descriptor {
    address: u64,
    len: u32,
    options: u32,
}

impl Socket {
    pub(super) fn descriptor(&self) -> i32 {
        self.socket.as_raw_fd()
    }
}

/// A worker's socket on a queue of an interface, to which the program gives packets.
#[derive(Debug)]
pub struct XdpSocket {
    socket: Socket,
    /// The IPv4 identification of the next packet.
    id: u16,
    _attachment: Arc<Attachment>,
}

impl XdpSocket {
    pub(super) fn new(socket: Socket, attachment: Arc<Attachment>) -> Self {
        Self { socket, id: 0, _attachment: attachment }
    }

    /// The index of the interface.
    #[must_use]
    pub fn interface(&self) -> u32 {
        self.socket.interface
    }

    /// Takes waiting packets, up to [`BATCH`], and gives how many; 0 when there are none. They are IPv4 packets as those of a raw socket; what has
    /// a wrong header checksum is passed over, as the kernel does.
    pub fn recv_batch(&mut self, batch: &mut RecvBatch) -> usize {
        let Socket { received, shared, .. } = &mut self.socket;
        let waiting = received.filled().min(BATCH as u32);
        let mut frames = [0; BATCH];
        let mut count = 0;
        for frame in frames.iter_mut().take(waiting as usize) {
            let Descriptor { address, len, .. } = received.take();
            *frame = address;
            let (at, len) = (address as usize, len as usize);
            let packet = len.checked_sub(ETHERNET_LEN);
            let start = packet.and_then(|len| shared.frames.bytes(at + ETHERNET_LEN, len));
            let (Some(start), Some(len)) = (start, packet) else { continue };
            // SAFETY: the kernel has given this frame to us until it is in the fill ring again, which is below; `len` bytes of it are inside the
            // mapping, and nobody else reads or writes them.
            let packet = unsafe { std::slice::from_raw_parts(start, len) };
            if is_intact(packet) {
                batch.put(count, packet);
                count += 1;
            }
        }
        if waiting > 0 {
            received.taken();
            let mut rings = shared.rings();
            for frame in &frames[..waiting as usize] {
                rings.fill.put(*frame - *frame % shared.frame_len as u64);
            }
            rings.fill.placed();
        }
        count
    }

    /// Sends the packets of a batch whose next hop is by this interface and takes them. Those for which there is no frame wait on.
    pub fn send_batch(&mut self, batch: &mut SendBatch) {
        let interface = self.socket.interface;
        let Socket { sent, shared, .. } = &mut self.socket;
        let wanted = batch.waiting_for(interface).min(sent.room() as usize);
        if wanted == 0 {
            return;
        }
        let mut frames = [0; BATCH];
        let given = shared.rings().frames(&mut frames[..wanted]);
        let mut taken = [0; BATCH];
        let mut count = 0;
        for (index, (ip, hop, packet)) in batch.framed(&mut self.id) {
            let len = FRAME_HEADER_LEN + packet.len();
            if count == given || hop.interface != interface || len > shared.frame_len {
                continue;
            }
            let address = frames[count];
            let Some(start) = shared.frames.bytes(address as usize, len) else { continue };
            let headers = hop.headers(&ip, packet.len());
            // SAFETY: the frame is ours (it was free) until it is in the send ring, which is below; `len` bytes of it are inside the mapping. The
            // sources are memory of our own.
            unsafe {
                ptr::copy_nonoverlapping(headers.as_ptr(), start, headers.len());
                ptr::copy_nonoverlapping(packet.as_ptr(), start.add(headers.len()), packet.len());
            }
            sent.put(Descriptor { address, len: len as u32, options: 0 });
            taken[count] = index;
            count += 1;
        }
        if count < given {
            shared.rings().free.extend(&frames[count..given]);
        }
        if count == 0 {
            return;
        }
        sent.placed();
        for index in &taken[..count] {
            batch.take(*index);
        }
        self.kick();
    }

    /// Has the kernel send what is in the ring.
    fn kick(&self) {
        for _ in 0..MAX_KICKS {
            // SAFETY: without a message nothing is read.
            let _ = unsafe {
                libc::sendto(
                    self.socket.socket.as_raw_fd(),
                    ptr::null(),
                    0,
                    libc::MSG_DONTWAIT,
                    ptr::null(),
                    0,
                )
            };
            // Whatever the answer was: what could not leave is still there, and leaves with what comes next.
            if self.socket.sent.pending() == 0 {
                return;
            }
        }
    }
}

impl AsFd for XdpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.socket.as_fd()
    }
}

impl Shared {
    fn rings(&self) -> MutexGuard<'_, Rings> {
        // Whoever panicked has lost a frame at worst.
        self.rings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rings {
    /// Takes as many frames as there is room for, of those that are free, and gives how many.
    fn frames(&mut self, frames: &mut [u64]) -> usize {
        let done = self.completion.filled();
        for _ in 0..done {
            let frame = self.completion.take();
            self.free.push(frame);
        }
        if done > 0 {
            self.completion.taken();
        }
        let count = self.free.len().min(frames.len());
        for (frame, free) in frames.iter_mut().zip(self.free.drain(self.free.len() - count..)) {
            *frame = free;
        }
        count
    }
}

/// Opens a socket for each of `workers` workers on a queue.
pub(super) fn open(interface: u32, queue: usize, workers: usize) -> io::Result<Vec<Socket>> {
    let mut tries = 0;
    loop {
        match try_open(interface, queue as u32, workers) {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy && tries < BUSY_TRIES => {
                tries += 1;
                thread::sleep(BUSY_WAIT);
            }
            result => return result,
        }
    }
}

fn try_open(interface: u32, queue: u32, workers: usize) -> io::Result<Vec<Socket>> {
    let frames = Mapping::anonymous(FRAMES as usize * FRAME_LEN)?;
    let first = socket()?;
    set(
        &first,
        libc::XDP_UMEM_REG,
        &libc::xdp_umem_reg {
            addr: frames.address(),
            len: frames.len() as u64,
            chunk_size: FRAME_LEN as u32,
            headroom: 0,
            flags: 0,
            tx_metadata_len: 0,
        },
    )?;
    set(&first, libc::XDP_UMEM_FILL_RING, &FILL)?;
    set(&first, libc::XDP_UMEM_COMPLETION_RING, &SEND)?;
    let offsets = offsets(&first)?;
    let mut fill = Ring::of(first.as_fd(), offsets.fr, FILL, libc::XDP_UMEM_PGOFF_FILL_RING)?;
    let completion =
        Ring::of(first.as_fd(), offsets.cr, SEND, libc::XDP_UMEM_PGOFF_COMPLETION_RING)?;
    let mut addresses = (0..u64::from(FRAMES)).map(|number| number * FRAME_LEN as u64);
    for address in addresses.by_ref().take(FILL as usize) {
        fill.put(address);
    }
    fill.placed();
    let rings = Mutex::new(Rings { fill, completion, free: addresses.collect() });
    let first = Arc::new(first);
    let shared =
        Arc::new(Shared { frames, frame_len: FRAME_LEN, rings, first: Arc::clone(&first) });
    let mut sockets = vec![join(first, &shared, interface, queue)?];
    for _ in 1..workers {
        sockets.push(join(Arc::new(socket()?), &shared, interface, queue)?);
    }
    Ok(sockets)
}

/// Gives a socket its own rings and binds it to the queue.
fn join(
    socket: Arc<OwnedFd>,
    shared: &Arc<Shared>,
    interface: u32,
    queue: u32,
) -> io::Result<Socket> {
    set(&socket, libc::XDP_RX_RING, &FILL)?;
    set(&socket, libc::XDP_TX_RING, &SEND)?;
    let offsets = offsets(&socket)?;
    let received = Ring::of(socket.as_fd(), offsets.rx, FILL, libc::XDP_PGOFF_RX_RING as u64)?;
    let sent = Ring::of(socket.as_fd(), offsets.tx, SEND, libc::XDP_PGOFF_TX_RING as u64)?;
    let is_first = Arc::ptr_eq(&socket, &shared.first);
    let address = libc::sockaddr_xdp {
        sxdp_family: libc::AF_XDP as u16,
        sxdp_flags: if is_first { libc::XDP_COPY } else { libc::XDP_SHARED_UMEM },
        sxdp_ifindex: interface,
        sxdp_queue_id: queue,
        sxdp_shared_umem_fd: if is_first { 0 } else { shared.first.as_raw_fd().cast_unsigned() },
    };
    // SAFETY: `address` is a `sockaddr_xdp` of the length given, and outlives the call.
    let result = unsafe {
        libc::bind(
            socket.as_raw_fd(),
            (&raw const address).cast(),
            mem::size_of_val(&address) as libc::socklen_t,
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(Socket { socket, received, sent, shared: Arc::clone(shared), interface })
}

fn socket() -> io::Result<OwnedFd> {
    // SAFETY: socket(2) takes no pointer.
    let socket = unsafe {
        libc::socket(libc::AF_XDP, libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK, 0)
    };
    if socket < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just opened this descriptor for us, and nobody else knows of it.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    force_send_buffer(&socket)?;
    Ok(socket)
}

fn set<T>(socket: &OwnedFd, option: libc::c_int, value: &T) -> io::Result<()> {
    // SAFETY: the kernel reads the value, whose size is given and which outlives the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_XDP,
            option,
            ptr::from_ref(value).cast(),
            mem::size_of::<T>() as libc::socklen_t,
        )
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Where in its mappings a socket's rings are.
fn offsets(socket: &OwnedFd) -> io::Result<libc::xdp_mmap_offsets> {
    // SAFETY: it is integers alone.
    let mut offsets: libc::xdp_mmap_offsets = unsafe { mem::zeroed() };
    let mut len = mem::size_of_val(&offsets) as libc::socklen_t;
    // SAFETY: the kernel writes at most `len` bytes to `offsets`, which has as many; both outlive the call.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_XDP,
            libc::XDP_MMAP_OFFSETS,
            (&raw mut offsets).cast(),
            &raw mut len,
        )
    };
    match result {
        0 if len as usize == mem::size_of_val(&offsets) => Ok(offsets),
        // Before Linux 5.4 there are no flags.
        0 => Err(io::ErrorKind::Unsupported.into()),
        _ => Err(io::Error::last_os_error()),
    }
}
