//! TUN: network interfaces whose other side is this process, one IP packet for a read or write.

use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::thread;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::net::netdevice::name_to_index;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

/// The longest interface name, in bytes.
pub const MAX_NAME_LEN: usize = libc::IFNAMSIZ - 1;

/// How often an interface that is still in use is tried again.
const BUSY_TRIES: u32 = 20;
/// How long between two tries. Closing a TUN device takes the kernel some 20 ms.
const BUSY_WAIT: Duration = Duration::from_millis(10);

/// A TUN interface, which exists as long as this value. It is made down and without addresses; see [`Netlink`](crate::netlink::Netlink).
///
/// Closing it takes the kernel some 20 ms, in which it changes no other interface.
#[derive(Debug)]
pub struct Tun {
    file: OwnedFd,
    name: String,
    index: u32,
}

impl Tun {
    /// Makes a TUN interface in the calling thread's network namespace. In `name_pattern` the kernel puts the first free number for a `%d`
    /// (`ppp%d` becomes `ppp0`); without one it is the name. Packets come and go bare, without a header before the IP header.
    ///
    /// An interface of that name that is just being closed is waited for, for at most 200 ms.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a name that cannot be; `PermissionDenied` without `CAP_NET_ADMIN`; `NotFound` without `/dev/net/tun`;
    /// `ResourceBusy` when the interface is somebody else's.
    pub fn create(name_pattern: &str) -> io::Result<Self> {
        Self::create_with(name_pattern, libc::IFF_TUN | libc::IFF_NO_PI)
    }

    /// `flags`: `IFF_*` of `linux/if_tun.h`.
    fn create_with(name_pattern: &str, flags: i32) -> io::Result<Self> {
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
        Ok(Self { file, name, index })
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

    /// Takes the next IP packet that the kernel sends through this interface, and gives its length. A longer packet than `buffer` is cut.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when there is none. `EBADFD` (raw error) when the interface has been deleted, `EIO` when it is down.
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::io::retry_on_intr(|| rustix::io::read(&self.file, &mut *buffer))?)
    }

    /// Gives the kernel an IP packet as received through this interface.
    ///
    /// # Errors
    ///
    /// `EIO` when the interface is down, `InvalidInput` when it is no IP packet, `EBADFD` when the interface has been deleted.
    pub fn write(&self, packet: &[u8]) -> io::Result<()> {
        rustix::io::retry_on_intr(|| rustix::io::write(&self.file, packet))?;
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

    const LOCAL: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
    const REMOTE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

    fn isolated(test: impl FnOnce(Netlink) + Send) {
        if let Err(error) = namespace::run_in_new(|| test(Netlink::open().unwrap())) {
            eprintln!("skipped: no network namespace: {error}");
        }
    }

    /// An IPv4 packet with UDP from REMOTE to LOCAL, without UDP checksum.
    fn datagram(port: u16, payload: &[u8]) -> Vec<u8> {
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

    fn read_udp(tun: &Tun) -> Vec<u8> {
        let give_up = Instant::now() + Duration::from_secs(5);
        let mut buffer = [0; 2048];
        loop {
            match tun.read(&mut buffer) {
                Ok(len) if buffer[9] == 17 => return buffer[..len].to_vec(),
                Ok(_) => {}
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
            }
            assert!(Instant::now() < give_up, "no packet came");
            thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn packets_pass_both_ways() {
        isolated(|mut netlink| {
            let tun = Tun::create("ppp%d").unwrap();
            assert_eq!(tun.name(), "ppp0");
            netlink.set_up(tun.index(), true).unwrap();
            netlink.add_peer_address(tun.index(), LOCAL, REMOTE).unwrap();
            let socket = UdpSocket::bind((LOCAL, 0)).unwrap();
            socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();

            socket.send_to(b"down", (REMOTE, 9)).unwrap();
            let packet = read_udp(&tun);
            assert_eq!((&packet[16..20], &packet[28..]), (&REMOTE.octets()[..], &b"down"[..]));

            tun.write(&datagram(socket.local_addr().unwrap().port(), b"up")).unwrap();
            let mut buffer = [0; 64];
            let (len, from) = socket.recv_from(&mut buffer).unwrap();
            assert_eq!((&buffer[..len], from.ip()), (&b"up"[..], REMOTE.into()));
        });
    }

    #[test]
    fn an_interface_that_is_down_refuses_packets_but_is_not_gone() {
        isolated(|_| {
            let tun = Tun::create("ppp%d").unwrap();
            let error = tun.write(&datagram(9, b"up")).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EIO));
            assert!(!is_gone(&error));
        });
    }

    #[test]
    fn an_interface_that_somebody_deletes_is_gone() {
        isolated(|mut netlink| {
            let tun = Tun::create("ppp%d").unwrap();
            netlink.delete_link(tun.index()).unwrap();
            assert!(is_gone(&tun.read(&mut [0; 64]).unwrap_err()));
            assert!(is_gone(&tun.write(&datagram(9, b"up")).unwrap_err()));
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
