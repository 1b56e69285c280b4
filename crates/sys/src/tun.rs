//! TUN: network interfaces whose other side is this process, an IP packet or a super-packet (many segments of one flow) for a read or write.

mod queues;
mod writer;

use std::io::{self, IoSlice, IoSliceMut};
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::thread;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::net::netdevice::name_to_index;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

pub use queues::queue_of;
pub use writer::{Write, Writer};

/// The longest interface name, in bytes.
pub const MAX_NAME_LEN: usize = libc::IFNAMSIZ - 1;

/// How often an interface that is still in use is tried again.
const BUSY_TRIES: u32 = 20;
/// How long between two tries. Closing a TUN device takes the kernel some 20 ms.
const BUSY_WAIT: Duration = Duration::from_millis(10);

/// Bytes of an [`OffloadHeader`].
pub const OFFLOAD_HEADER_LEN: usize = 10;

/// A `virtio_net_hdr` in this machine's byte order (`linux/virtio_net.h`): what is left to do to a packet. All zero: nothing.
pub type OffloadHeader = [u8; OFFLOAD_HEADER_LEN];

/// What packets an interface takes and gives besides plain ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offloads {
    /// TCP super-packets, and packets whose checksum is still to be completed.
    pub tcp: bool,
    /// UDP super-packets (Linux 6.2 and later).
    pub udp: bool,
}

/// Bits of `TUNSETOFFLOAD` (`linux/if_tun.h`): checksums, TCP over IPv4 and IPv6 with and without ECN.
const OFFLOAD_TCP: libc::c_uint =
    libc::TUN_F_CSUM | libc::TUN_F_TSO4 | libc::TUN_F_TSO6 | libc::TUN_F_TSO_ECN;
/// Equal-sized UDP datagrams over IPv4 and IPv6.
const OFFLOAD_UDP: libc::c_uint = libc::TUN_F_USO4 | libc::TUN_F_USO6;

/// A TUN interface, which exists as long as this value, or one of its [queues](Tun::create_queues), as long as any of them. It is made down and without addresses; see [`Netlink`](crate::netlink::Netlink).
///
/// Closing it takes the kernel some 20 ms, in which it changes no other interface.
#[derive(Debug)]
pub struct Tun {
    file: OwnedFd,
    name: String,
    index: u32,
    /// Whether the kernel writes and reads an [`OffloadHeader`] before each packet.
    has_header: bool,
    offloads: Offloads,
}

impl Tun {
    /// Makes a TUN interface in the calling thread's network namespace, with all offloads that this kernel has. In `name_pattern` the
    /// kernel puts the first free number for a `%d` (`ppp%d` becomes `ppp0`); without one it is the name.
    ///
    /// An interface of that name that is just being closed is waited for, for at most 200 ms.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a name that cannot be; `PermissionDenied` without `CAP_NET_ADMIN`; `NotFound` without `/dev/net/tun`;
    /// `ResourceBusy` when the interface is somebody else's.
    pub fn create(name_pattern: &str) -> io::Result<Self> {
        match Self::open(name_pattern, libc::IFF_VNET_HDR) {
            Ok(mut tun) => {
                tun.has_header = true;
                tun.offloads = ask_for_offloads(tun.as_fd());
                Ok(tun)
            }
            Err(error) if is_refused(&error) => Self::create_plain(name_pattern),
            Err(error) => Err(error),
        }
    }

    /// As [`create`](Self::create), but without any offload: one plain IP packet for a read or write.
    ///
    /// # Errors
    ///
    /// Those of [`create`](Self::create).
    pub fn create_plain(name_pattern: &str) -> io::Result<Self> {
        Self::open(name_pattern, 0)
    }

    /// Has the kernel give plain packets from now on.
    ///
    /// # Errors
    ///
    /// Those of the kernel; none are known.
    pub fn forgo_offloads(&mut self) -> io::Result<()> {
        set_offloads(self.as_fd(), 0)?;
        self.offloads = Offloads::default();
        Ok(())
    }

    /// `flags`: further `IFF_*` of `linux/if_tun.h`.
    fn open(name_pattern: &str, flags: i32) -> io::Result<Self> {
        let flags = flags | libc::IFF_TUN | libc::IFF_NO_PI;
        let mut tries = 0;
        let (file, name) = loop {
            match open(name_pattern, flags) {
                Err(error) if error.raw_os_error() == Some(libc::EBUSY) && tries < BUSY_TRIES => {
                    tries += 1;
                    thread::sleep(BUSY_WAIT);
                }
                result => break result?,
            }
        };
        let any = socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
        let index = name_to_index(any, &name)?;
        Ok(Self { file, name, index, has_header: false, offloads: Offloads::default() })
    }

    /// The interface's name when it was made.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The interface's index.
    #[must_use]
    pub fn index(&self) -> u32 {
        self.index
    }

    /// What the kernel gives here, and takes, besides plain packets.
    #[must_use]
    pub fn offloads(&self) -> Offloads {
        self.offloads
    }

    /// Takes the next packet that the kernel sends through this interface, with what is left to do to it, and gives its length: up to
    /// 64 KiB where there are [`offloads`](Self::offloads), else up to the interface's MTU. A longer packet than `buffer` is cut.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when there is none. `EBADFD` (raw error) when the interface has been deleted, `EIO` when it is down.
    pub fn read(&self, header: &mut OffloadHeader, buffer: &mut [u8]) -> io::Result<usize> {
        *header = [0; OFFLOAD_HEADER_LEN];
        let read = |header: &mut OffloadHeader, buffer: &mut [u8]| {
            if self.has_header {
                let mut parts = [IoSliceMut::new(header), IoSliceMut::new(buffer)];
                rustix::io::readv(&self.file, &mut parts)
            } else {
                rustix::io::read(&self.file, buffer).map(|len| len + OFFLOAD_HEADER_LEN)
            }
        };
        let len = rustix::io::retry_on_intr(|| read(&mut *header, &mut *buffer))?;
        Ok(len.saturating_sub(OFFLOAD_HEADER_LEN))
    }

    /// Gives the kernel a packet as received through this interface, in pieces, of which the first is to be an [`OffloadHeader`]. A header
    /// that asks for something that is not among the [`offloads`](Self::offloads) is the caller's fault.
    ///
    /// # Errors
    ///
    /// `EIO` when the interface is down, `InvalidInput` when it is no IP packet, does not begin with a header, or does not fit it; `EBADFD` when
    /// the interface has been deleted.
    pub fn write(&self, pieces: &[IoSlice<'_>]) -> io::Result<()> {
        let pieces = match pieces {
            [header, packet @ ..] if header.len() == OFFLOAD_HEADER_LEN => {
                if self.has_header {
                    pieces
                } else {
                    packet
                }
            }
            _ => return Err(io::ErrorKind::InvalidInput.into()),
        };
        rustix::io::retry_on_intr(|| rustix::io::writev(&self.file, pieces))?;
        Ok(())
    }
}

impl AsFd for Tun {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Whether an error of [`Tun::read`] or [`Tun::write`] says that the interface is gone for good.
#[must_use]
pub fn is_gone(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::BADFD | Errno::NODEV))
}

/// Whether the kernel does not know a flag that was asked for.
fn is_refused(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EINVAL)
}

/// Asks for all offloads, then for fewer, until the kernel agrees.
fn ask_for_offloads(tun: BorrowedFd<'_>) -> Offloads {
    for offloads in [Offloads { tcp: true, udp: true }, Offloads { tcp: true, udp: false }] {
        let bits = OFFLOAD_TCP | if offloads.udp { OFFLOAD_UDP } else { 0 };
        if set_offloads(tun, bits).is_ok() {
            return offloads;
        }
    }
    Offloads::default()
}

fn set_offloads(tun: BorrowedFd<'_>, bits: libc::c_uint) -> io::Result<()> {
    // SAFETY: TUNSETOFFLOAD takes a number and no pointer.
    let result =
        unsafe { libc::ioctl(tun.as_raw_fd(), libc::TUNSETOFFLOAD, libc::c_ulong::from(bits)) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn open(name_pattern: &str, flags: i32) -> io::Result<(OwnedFd, String)> {
    let mut request = request(name_pattern, flags)?;
    let file = rustix::fs::open(
        "/dev/net/tun",
        OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    // SAFETY: TUNSETIFF reads and writes one `ifreq`, which `request` is, and the borrow lasts for the call.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw mut request) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    let name = request.ifr_name.iter().map(|byte| byte.cast_unsigned());
    let name = name.take_while(|byte| *byte != 0).collect();
    Ok((file, String::from_utf8(name).map_err(io::Error::other)?))
}

fn request(name_pattern: &str, flags: i32) -> io::Result<libc::ifreq> {
    let invalid = || {
        let text = format!("{name_pattern:?} cannot be the name of an interface");
        io::Error::new(io::ErrorKind::InvalidInput, text)
    };
    let odd = |byte: u8| !byte.is_ascii_graphic() || byte == b'/' || byte == b':';
    if name_pattern.is_empty() || name_pattern.len() > MAX_NAME_LEN || name_pattern.bytes().any(odd)
    {
        return Err(invalid());
    }
    // SAFETY: `ifreq` is an array of bytes and a union of plain values and pointers, for all of which zero is a value.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    for (place, byte) in request.ifr_name.iter_mut().zip(name_pattern.bytes()) {
        *place = byte.cast_signed();
    }
    request.ifr_ifru.ifru_flags = i16::try_from(flags).map_err(|_| invalid())?;
    Ok(request)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, UdpSocket};
    use std::time::Instant;

    use super::*;
    use crate::namespace;
    use crate::netlink::Netlink;

    pub(super) const LOCAL: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
    pub(super) const REMOTE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

    pub(super) fn isolated(test: impl FnOnce(Netlink) + Send) {
        if let Err(error) = namespace::run_in_new(|| test(Netlink::open().unwrap())) {
            eprintln!("skipped: no network namespace: {error}");
        }
    }

    /// An IPv4 packet with UDP from REMOTE to LOCAL, without UDP checksum.
    pub(super) fn datagram(port: u16, payload: &[u8]) -> Vec<u8> {
        let len = u16::try_from(28 + payload.len()).unwrap().to_be_bytes();
        let udp_len = u16::try_from(8 + payload.len()).unwrap().to_be_bytes();
        let mut packet = vec![0x45, 0, len[0], len[1], 0, 1, 0, 0, 64, 17, 0, 0];
        packet.extend_from_slice(&REMOTE.octets());
        packet.extend_from_slice(&LOCAL.octets());
        let sum: u32 = packet.chunks(2).map(|it| u32::from(it[0]) << 8 | u32::from(it[1])).sum();
        let checksum = !((sum & 0xffff) + (sum >> 16)) as u16;
        packet[10..12].copy_from_slice(&checksum.to_be_bytes());
        packet.extend_from_slice(&[
            0,
            99,
            (port >> 8) as u8,
            port as u8,
            udp_len[0],
            udp_len[1],
            0,
            0,
        ]);
        packet.extend_from_slice(payload);
        packet
    }

    fn write(tun: &Tun, packet: &[u8]) -> io::Result<()> {
        tun.write(&[IoSlice::new(&[0; OFFLOAD_HEADER_LEN]), IoSlice::new(packet)])
    }

    pub(super) fn read_udp(tun: &Tun) -> Vec<u8> {
        let give_up = Instant::now() + Duration::from_secs(5);
        let (mut header, mut buffer) = ([0; OFFLOAD_HEADER_LEN], [0; 2048]);
        loop {
            match tun.read(&mut header, &mut buffer) {
                Ok(len) if buffer[9] == 17 => return buffer[..len].to_vec(),
                Ok(_) => {}
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
            }
            assert!(Instant::now() < give_up, "no packet came");
            thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn packets_pass_both_ways_with_and_without_offloads() {
        for create in [Tun::create, Tun::create_plain] {
            packets_pass_both_ways(create);
        }
    }

    fn packets_pass_both_ways(create: fn(&str) -> io::Result<Tun>) {
        isolated(|mut netlink| {
            let tun = create("ppp%d").unwrap();
            assert_eq!(tun.name(), "ppp0");
            netlink.set_up(tun.index(), true).unwrap();
            netlink.add_peer_address(tun.index(), LOCAL, REMOTE).unwrap();
            let socket = UdpSocket::bind((LOCAL, 0)).unwrap();
            socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();

            socket.send_to(b"down", (REMOTE, 9)).unwrap();
            let packet = read_udp(&tun);
            assert_eq!((&packet[16..20], &packet[28..]), (&REMOTE.octets()[..], &b"down"[..]));

            write(&tun, &datagram(socket.local_addr().unwrap().port(), b"up")).unwrap();
            let mut buffer = [0; 64];
            let (len, from) = socket.recv_from(&mut buffer).unwrap();
            assert_eq!((&buffer[..len], from.ip()), (&b"up"[..], REMOTE.into()));
        });
    }

    #[test]
    fn datagrams_come_as_one_super_packet_where_there_are_offloads() {
        isolated(|mut netlink| {
            let tun = Tun::create("ppp%d").unwrap();
            assert!(tun.offloads().tcp, "every kernel since 2.6.27 has them");
            assert_eq!(Tun::create_plain("ppp%d").unwrap().offloads(), Offloads::default());
            netlink.set_up(tun.index(), true).unwrap();
            netlink.add_peer_address(tun.index(), LOCAL, REMOTE).unwrap();
            // Equal-sized datagrams in one message (UDP_SEGMENT, udp(7)).
            let socket = UdpSocket::bind((LOCAL, 0)).unwrap();
            let size: libc::c_int = 100;
            // SAFETY: the option takes a number, whose size is given and which outlives the call.
            let result = unsafe {
                libc::setsockopt(
                    socket.as_raw_fd(),
                    libc::SOL_UDP,
                    libc::UDP_SEGMENT,
                    (&raw const size).cast(),
                    mem::size_of_val(&size) as libc::socklen_t,
                )
            };
            assert_eq!(result, 0);
            socket.send_to(&[7; 1000], (REMOTE, 9)).unwrap();
            let packet = read_udp(&tun);
            let expected = if tun.offloads().udp { 1028 } else { 128 };
            assert_eq!(packet.len(), expected);
        });
    }

    #[test]
    fn a_write_without_a_header_is_refused() {
        isolated(|_| {
            let tun = Tun::create("ppp%d").unwrap();
            for pieces in [&[][..], &[IoSlice::new(&datagram(9, b"up"))]] {
                assert_eq!(tun.write(pieces).unwrap_err().kind(), io::ErrorKind::InvalidInput);
            }
        });
    }

    #[test]
    fn an_interface_that_is_down_refuses_packets_but_is_not_gone() {
        isolated(|_| {
            let tun = Tun::create("ppp%d").unwrap();
            let error = write(&tun, &datagram(9, b"up")).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EIO));
            assert!(!is_gone(&error));
        });
    }

    #[test]
    fn an_interface_that_somebody_deletes_is_gone() {
        isolated(|mut netlink| {
            let tun = Tun::create("ppp%d").unwrap();
            netlink.delete_link(tun.index()).unwrap();
            assert!(is_gone(&tun.read(&mut [0; OFFLOAD_HEADER_LEN], &mut [0; 64]).unwrap_err()));
            assert!(is_gone(&write(&tun, &datagram(9, b"up")).unwrap_err()));
        });
    }

    #[test]
    fn a_name_is_free_again_after_closing_and_busy_before() {
        isolated(|mut netlink| {
            let tun = Tun::create("vpn-ann").unwrap();
            let error = Tun::create("vpn-ann").unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ResourceBusy);
            drop(tun);
            let tun = Tun::create("vpn-ann").unwrap();
            assert_eq!(netlink.index_of("vpn-ann").unwrap(), tun.index());
        });
    }

    #[test]
    fn names_that_cannot_be_are_refused() {
        for name in ["", "sixteen-letters-", "a b", "a/b", "ppp\0", "ppp:1", "é"] {
            let error = Tun::create(name).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{name:?}");
        }
    }
}
