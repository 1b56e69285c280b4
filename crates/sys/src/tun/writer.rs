//! Many writes with one system call.

use std::io;
use std::mem;
use std::os::fd::AsRawFd;
use std::ptr;

use super::{OFFLOAD_HEADER_LEN, OffloadHeader, Tun};

/// The most writes of one system call.
const AT_ONCE: usize = 64;

/// Writes packets to interfaces, many with one system call: `io_submit(2)`, which carries out at once what cannot wait, as a TUN's write. Where
/// the kernel has no such call, each is a system call of its own.
#[derive(Debug)]
pub struct Writer {
    context: Option<Context>,
    headers: Box<[OffloadHeader; AT_ONCE]>,
    /// Those of all packets that wait, one packet after the other.
    pieces: Vec<Piece>,
    /// Of the packets that wait: the interface's descriptor, and where the pieces end.
    packets: Vec<(i32, usize)>,
    blocks: Vec<Block>,
}

/// A packet for an interface.
#[derive(Debug)]
pub struct Write<'a, P> {
    /// Where it is received.
    pub tun: &'a Tun,
    /// What is left to do to it. What is not among the interface's [offloads](Tun::offloads) is not to be asked for.
    pub header: OffloadHeader,
    /// The packet, piece by piece.
    pub pieces: P,
}

/// `struct iovec`, whose address is a number: it points into what is borrowed while it is used.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Piece {
    start: usize,
    len: usize,
}

/// `struct iocb` (`linux/aio_abi.h`).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Block {
    data: u64,
    /// `aio_key` and `aio_rw_flags`, whose order is the machine's; both are 0.
    key_and_flags: u64,
    operation: u16,
    priority: i16,
    file: u32,
    buffer: u64,
    len: u64,
    offset: i64,
    reserved: u64,
    flags: u32,
    event_file: u32,
}

/// `IOCB_CMD_PWRITEV`: the buffer is vectors, the length is how many.
const WRITE_VECTORS: u16 = 8;

/// `struct io_event`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Event {
    data: u64,
    block: u64,
    result: i64,
    second_result: i64,
}

impl Default for Writer {
    fn default() -> Self {
        Self::new()
    }
}

impl Writer {
    /// One that makes many writes at once, if the kernel has a context for it (`fs.aio-max-nr`).
    #[must_use]
    pub fn new() -> Self {
        Self { context: Context::new().ok(), ..Self::one_by_one() }
    }

    /// One that makes a system call for each packet.
    #[must_use]
    pub fn one_by_one() -> Self {
        Self {
            context: None,
            headers: Box::new([[0; OFFLOAD_HEADER_LEN]; AT_ONCE]),
            pieces: Vec::with_capacity(4 * AT_ONCE),
            packets: Vec::with_capacity(AT_ONCE),
            blocks: Vec::with_capacity(AT_ONCE),
        }
    }

    /// Gives the kernel packets as received through their interfaces, in order. `failed` is called with the place of each that was not taken; the
    /// errors are those of [`Tun::write`].
    pub fn write<'a, P: IntoIterator<Item = &'a [u8]>>(
        &mut self,
        packets: impl IntoIterator<Item = Write<'a, P>>,
        mut failed: impl FnMut(usize, io::Error),
    ) {
        // A caller that panicked has left something.
        self.packets.clear();
        self.pieces.clear();
        let mut first = 0;
        for Write { tun, header, pieces } in packets {
            let place = self.packets.len();
            self.headers[place] = header;
            if tun.has_header {
                self.pieces.push(Piece::of(&self.headers[place]));
            }
            self.pieces.extend(pieces.into_iter().map(Piece::of));
            self.packets.push((tun.file.as_raw_fd(), self.pieces.len()));
            if self.packets.len() == AT_ONCE {
                self.flush(|index, error| failed(first + index, error));
                first += AT_ONCE;
            }
        }
        self.flush(|index, error| failed(first + index, error));
    }

    /// Writes all that waits. Everything that the pieces point to is borrowed by the caller.
    fn flush(&mut self, mut failed: impl FnMut(usize, io::Error)) {
        let mut done = 0;
        if self.packets.len() > 1
            && let Some(context) = &self.context
        {
            self.blocks.clear();
            let mut start = 0;
            for (index, (file, end)) in self.packets.iter().enumerate() {
                self.blocks.push(Block::write(index, *file, &self.pieces[start..*end]));
                start = *end;
            }
            done = context.carry_out(&self.blocks, &mut failed);
        }
        let start = |index: usize| index.checked_sub(1).map_or(0, |before| self.packets[before].1);
        for index in done..self.packets.len() {
            let (file, end) = self.packets[index];
            if let Err(error) = write(file, &self.pieces[start(index)..end]) {
                failed(index, error);
            }
        }
        self.packets.clear();
        self.pieces.clear();
    }
}

impl Piece {
    fn of(bytes: &[u8]) -> Self {
        Self { start: bytes.as_ptr().expose_provenance(), len: bytes.len() }
    }
}

impl Block {
    fn write(index: usize, file: i32, pieces: &[Piece]) -> Self {
        Self {
            data: index as u64,
            key_and_flags: 0,
            operation: WRITE_VECTORS,
            priority: 0,
            file: file.cast_unsigned(),
            buffer: pieces.as_ptr().expose_provenance() as u64,
            len: pieces.len() as u64,
            offset: 0,
            reserved: 0,
            flags: 0,
            event_file: 0,
        }
    }
}

fn write(file: i32, pieces: &[Piece]) -> io::Result<()> {
    loop {
        // SAFETY: a `Piece` is an `iovec`; what it points to is borrowed by the caller of `Writer::write`, and only read.
        let written =
            unsafe { libc::writev(file, pieces.as_ptr().cast(), pieces.len() as libc::c_int) };
        if written >= 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// An `aio_context_t`.
#[derive(Debug)]
struct Context(libc::c_ulong);

impl Context {
    fn new() -> io::Result<Self> {
        let mut context: libc::c_ulong = 0;
        // SAFETY: the kernel writes a context to the variable, which outlives the call.
        let result = unsafe { libc::syscall(libc::SYS_io_setup, AT_ONCE, &raw mut context) };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(Self(context)) }
    }

    /// Carries out writes, in order, and gives how many were begun; the others have not been.
    fn carry_out(&self, blocks: &[Block], failed: &mut impl FnMut(usize, io::Error)) -> usize {
        let mut pointers = [ptr::null::<Block>(); AT_ONCE];
        for (pointer, block) in pointers.iter_mut().zip(blocks) {
            *pointer = block;
        }
        // SAFETY: as many pointers as are said point to blocks, whose buffers are vectors, and those point to what the caller of `Writer::write`
        // has borrowed. A TUN's write has read all of it when the call returns.
        let begun =
            unsafe { libc::syscall(libc::SYS_io_submit, self.0, blocks.len(), pointers.as_ptr()) };
        let Ok(begun @ 1..) = usize::try_from(begun) else { return 0 };
        let mut events: [mem::MaybeUninit<Event>; AT_ONCE] = [mem::MaybeUninit::uninit(); AT_ONCE];
        let now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: there is room for as many events as are asked for, and all of it outlives the call.
        let ended = unsafe {
            libc::syscall(
                libc::SYS_io_getevents,
                self.0,
                begun,
                begun,
                events.as_mut_ptr(),
                &raw const now,
            )
        };
        for event in events.iter().take(usize::try_from(ended).unwrap_or(0)) {
            // SAFETY: the kernel has written as many events as it said.
            let Event { data, result, .. } = unsafe { event.assume_init_read() };
            let index = data as usize;
            if result < 0 && index < begun {
                failed(index, io::Error::from_raw_os_error(-result as i32));
            }
        }
        begun
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: the context is ours, and nothing is under way in it.
        unsafe { libc::syscall(libc::SYS_io_destroy, self.0) };
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::time::Duration;

    use super::super::tests::{LOCAL, REMOTE, datagram, isolated};
    use super::*;

    fn port(socket: &UdpSocket) -> u16 {
        socket.local_addr().unwrap().port()
    }

    #[test]
    fn kernels_that_tests_run_on_take_many_at_once() {
        assert!(Writer::new().context.is_some());
        assert!(Writer::one_by_one().context.is_none());
    }

    #[test]
    fn packets_arrive_in_order_in_one_call_or_many() {
        for make in [Writer::new, Writer::one_by_one] {
            for create in [Tun::create, Tun::create_plain] {
                isolated(|mut netlink| {
                    let tun = create("ppp%d").unwrap();
                    netlink.set_up(tun.index(), true).unwrap();
                    netlink.add_peer_address(tun.index(), LOCAL, REMOTE).unwrap();
                    let socket = UdpSocket::bind((LOCAL, 0)).unwrap();
                    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
                    let mut writer = make();
                    // More than fit into one call.
                    let packets: Vec<Vec<u8>> =
                        (0..150_u8).map(|number| datagram(port(&socket), &[number; 100])).collect();
                    let writes = packets.iter().map(|packet| Write {
                        tun: &tun,
                        header: [0; OFFLOAD_HEADER_LEN],
                        pieces: [&packet[..20], &packet[20..]],
                    });
                    writer.write(writes, |index, error| panic!("{index}: {error}"));
                    let mut buffer = [0; 200];
                    for number in 0..150 {
                        let (len, _) = socket.recv_from(&mut buffer).unwrap();
                        assert_eq!(buffer[..len], [number; 100]);
                    }
                });
            }
        }
    }

    #[test]
    fn each_failure_is_told_with_its_place() {
        for make in [Writer::new, Writer::one_by_one] {
            isolated(|mut netlink| {
                let (up, down) = (Tun::create("ppp%d").unwrap(), Tun::create("ppp%d").unwrap());
                netlink.set_up(up.index(), true).unwrap();
                let packet = datagram(9, b"up");
                let mut failed = Vec::new();
                let writes = [&up, &down, &up, &down].map(|tun| Write {
                    tun,
                    header: [0; OFFLOAD_HEADER_LEN],
                    pieces: [&packet[..]],
                });
                make().write(writes, |index, error| failed.push((index, error.raw_os_error())));
                assert_eq!(failed, [(1, Some(libc::EIO)), (3, Some(libc::EIO))]);
            });
        }
    }
}
