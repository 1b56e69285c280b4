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
