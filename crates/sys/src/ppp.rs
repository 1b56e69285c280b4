//! The kernel's own PPP, PPTP and MPPE (`ppp_generic`, `pptp`, `ppp_mppe`): what Gretel is measured against, and does without.
//!
//! ```text
//!   GRE ── PPTP socket ── Channel (LCP, CHAP) ── Unit (CCP, IPCP; MPPE) ── interface pppN
//! ```
//!
//! Frames go in and out from their protocol number on, which has two bytes.

use std::io;
use std::net::Ipv4Addr;
use std::num::NonZeroU32;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::ioctl::{Getter, Opcode, Setter, Updater, ioctl, opcode};
use rustix::net::{AddressFamily, Protocol, SocketFlags, SocketType, socket_with};
use zeroize::Zeroizing;

/// `AF_PPPOX` and `PX_PROTO_PPTP` of `linux/if_pppox.h`.
const FAMILY: u16 = 24;
const PPTP: NonZeroU32 = NonZeroU32::new(2).unwrap();
/// Bytes of a `sockaddr_pppox`, which is packed and as long as its longest form.
const ADDRESS_LEN: usize = 30;

/// Requests of `linux/ppp-ioctl.h`.
const GET_CHANNEL: Opcode = opcode::read::<libc::c_int>(b't', 55);
const ATTACH_CHANNEL: Opcode = opcode::write::<libc::c_int>(b't', 56);
const CONNECT: Opcode = opcode::write::<libc::c_int>(b't', 58);
const NEW_UNIT: Opcode = opcode::read_write::<libc::c_int>(b't', 62);
const SET_COMPRESSION: Opcode = opcode::write::<CompressionOption>(b't', 77);
const SET_MRU: Opcode = opcode::write::<libc::c_int>(b't', 82);
const SET_FLAGS: Opcode = opcode::write::<libc::c_int>(b't', 89);

/// Flags of `linux/ppp-ioctl.h`.
const SC_COMP_PROT: libc::c_int = 0x1;
const SC_COMP_AC: libc::c_int = 0x2;
const SC_CCP_OPEN: libc::c_int = 0x40;
const SC_CCP_UP: libc::c_int = 0x80;
const SC_MUST_COMP: libc::c_int = 0x40_0000;

/// Bytes of CCP's MPPE option, and of the key behind it.
const MPPE_OPTION_LEN: usize = 6;
const KEY_LEN: usize = 16;

/// `ppp_option_data` of `linux/ppp-ioctl.h`.
#[repr(C)]
struct CompressionOption {
    bytes: *const u8,
    len: u32,
    transmit: libc::c_int,
}

/// One call's GRE packets, as a channel of the kernel's PPP.
#[derive(Debug)]
pub struct Channel {
    device: OwnedFd,
    /// The channel lasts as long as its socket.
    _socket: OwnedFd,
    call_id: u16,
}

impl Channel {
    /// A channel between two addresses, for GRE packets to the peer's call `peer_call_id`. The kernel chooses our call id.
    ///
    /// # Errors
    ///
    /// `EAFNOSUPPORT` and `EPROTONOSUPPORT` (raw errors) without the kernel modules `pppox` and `pptp`, `NotFound` without `/dev/ppp`,
    /// `PermissionDenied` without `CAP_NET_ADMIN`.
    pub fn open(local: Ipv4Addr, peer: Ipv4Addr, peer_call_id: u16) -> io::Result<Self> {
        let family = AddressFamily::from_raw(FAMILY);
        let protocol = Some(Protocol::from_raw(PPTP));
        let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, protocol)?;
        bind(socket.as_fd(), &address(local, 0))?;
        let call_id = own_call_id(socket.as_fd())?;
        connect(socket.as_fd(), &address(peer, peer_call_id))?;
        // SAFETY: PPPIOCGCHAN writes one int.
        let number = unsafe { ioctl(&socket, Getter::<GET_CHANNEL, libc::c_int>::new()) }?;
        let device = open_device()?;
        set::<ATTACH_CHANNEL>(device.as_fd(), number)?;
        Ok(Self { device, _socket: socket, call_id })
    }

    /// The call id in packets to us.
    #[must_use]
    pub fn call_id(&self) -> u16 {
        self.call_id
    }

    /// Whether packets go without `ff 03` (`acfc`) and with protocol numbers of one byte (`pfc`).
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn set_header_compression(&self, acfc: bool, pfc: bool) -> io::Result<()> {
        let flags = if acfc { SC_COMP_AC } else { 0 } | if pfc { SC_COMP_PROT } else { 0 };
        set::<SET_FLAGS>(self.device.as_fd(), flags)
    }

    /// Sends a frame as it is.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn send(&self, frame: &[u8]) -> io::Result<()> {
        send(&self.device, frame)
    }

    /// The next frame of the link's own protocols, and before there is a [`Unit`] of any, and its length.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when there is none.
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        receive(&self.device, buffer)
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.device.as_fd()
    }
}

/// A direction of packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Packets that we send.
    Send,
    /// Packets that we receive.
    Receive,
}

/// How far CCP has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ccp {
    /// It negotiates: an acknowledgement that passes through the [`Unit`] starts MPPE in its direction.
    Negotiating,
    /// Both directions are encrypted; nothing else may pass.
    Up,
}

/// A network interface of the kernel's PPP, which exists as long as this value.
#[derive(Debug)]
pub struct Unit {
    device: OwnedFd,
    number: libc::c_int,
}

impl Unit {
    /// Makes an interface and connects a channel to it.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn create(channel: &Channel) -> io::Result<Self> {
        let device = open_device()?;
        let mut number: libc::c_int = -1;
        // SAFETY: PPPIOCNEWUNIT reads and writes one int, which `number` is; -1 asks for the first free one.
        unsafe { ioctl(&device, Updater::<NEW_UNIT, libc::c_int>::new(&mut number)) }?;
        set::<CONNECT>(channel.as_fd(), number)?;
        Ok(Self { device, number })
    }

    /// The interface's name.
    #[must_use]
    pub fn name(&self) -> String {
        format!("ppp{}", self.number)
    }

    /// Sets the largest packet that is received, in bytes.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn set_mru(&self, mru: u16) -> io::Result<()> {
        set::<SET_MRU>(self.device.as_fd(), mru.into())
    }

    /// Prepares MPPE for a direction: `option` is CCP's whole option (RFC 3078 §2.1), `key` where its key schedule starts. It begins
    /// with the acknowledgement of that option, so it must be prepared before one can pass.
    ///
    /// # Errors
    ///
    /// `InvalidInput` without the kernel module `ppp_mppe`.
    pub fn prepare_mppe(
        &self,
        direction: Direction,
        option: [u8; MPPE_OPTION_LEN],
        key: &[u8; KEY_LEN],
    ) -> io::Result<()> {
        let mut bytes = Zeroizing::new([0; MPPE_OPTION_LEN + KEY_LEN]);
        bytes[..MPPE_OPTION_LEN].copy_from_slice(&option);
        bytes[MPPE_OPTION_LEN..].copy_from_slice(key);
        let data = CompressionOption {
            bytes: bytes.as_ptr(),
            len: bytes.len() as u32,
            transmit: (direction == Direction::Send).into(),
        };
        // SAFETY: PPPIOCSCOMPRESS reads one `ppp_option_data`, which `CompressionOption` is laid out as, and the `len` bytes that it
        // points to, which outlive the call; it writes nothing.
        unsafe { ioctl(&self.device, Setter::<SET_COMPRESSION, _>::new(data)) }?;
        Ok(())
    }

    /// Tells the kernel how far CCP has come.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn set_ccp(&self, state: Ccp) -> io::Result<()> {
        let flags = match state {
            Ccp::Negotiating => SC_CCP_OPEN,
            Ccp::Up => SC_CCP_OPEN | SC_CCP_UP | SC_MUST_COMP,
        };
        set::<SET_FLAGS>(self.device.as_fd(), flags)
    }

    /// Sends a frame, which the kernel looks at if it is CCP's.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn send(&self, frame: &[u8]) -> io::Result<()> {
        send(&self.device, frame)
    }

    /// The next frame that is no network packet and none of the link's own protocols, and its length.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when there is none.
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        receive(&self.device, buffer)
    }
}

impl AsFd for Unit {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.device.as_fd()
    }
}

fn open_device() -> io::Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(rustix::fs::open("/dev/ppp", flags, Mode::empty())?)
}

fn send(device: &OwnedFd, frame: &[u8]) -> io::Result<()> {
    rustix::io::retry_on_intr(|| rustix::io::write(device, frame))?;
    Ok(())
}

fn receive(device: &OwnedFd, buffer: &mut [u8]) -> io::Result<usize> {
    Ok(rustix::io::retry_on_intr(|| rustix::io::read(device, &mut *buffer))?)
}

/// Makes a request of `/dev/ppp` that reads an int.
fn set<const REQUEST: Opcode>(device: BorrowedFd<'_>, value: libc::c_int) -> io::Result<()> {
    // SAFETY: every `REQUEST` that this module calls it with reads one int and writes nothing.
    unsafe { ioctl(device, Setter::<REQUEST, libc::c_int>::new(value)) }?;
    Ok(())
}

/// `sockaddr_pppox`: family, protocol, call id, two bytes of padding, IPv4 address, zeros.
fn address(host: Ipv4Addr, call_id: u16) -> [u8; ADDRESS_LEN] {
    let mut address = [0; ADDRESS_LEN];
    address[..2].copy_from_slice(&FAMILY.to_ne_bytes());
    address[2..6].copy_from_slice(&PPTP.get().to_ne_bytes());
    address[6..8].copy_from_slice(&call_id.to_ne_bytes());
    address[10..14].copy_from_slice(&host.octets());
    address
}

fn bind(socket: BorrowedFd<'_>, address: &[u8; ADDRESS_LEN]) -> io::Result<()> {
    // SAFETY: `address` has the length given and outlives the call, which reads it as bytes.
    let result = unsafe {
        libc::bind(socket.as_raw_fd(), address.as_ptr().cast(), ADDRESS_LEN as libc::socklen_t)
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn connect(socket: BorrowedFd<'_>, address: &[u8; ADDRESS_LEN]) -> io::Result<()> {
    // SAFETY: `address` has the length given and outlives the call, which reads it as bytes.
    let result = unsafe {
        libc::connect(socket.as_raw_fd(), address.as_ptr().cast(), ADDRESS_LEN as libc::socklen_t)
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The call id that the kernel chose for a socket that is bound.
fn own_call_id(socket: BorrowedFd<'_>) -> io::Result<u16> {
    let mut address = [0_u8; ADDRESS_LEN];
    let mut len = ADDRESS_LEN as libc::socklen_t;
    // SAFETY: the kernel writes at most `len` bytes to `address`, which has that many; both outlive the call.
    let result =
        unsafe { libc::getsockname(socket.as_raw_fd(), address.as_mut_ptr().cast(), &raw mut len) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(call_id_of(&address)) }
}

fn call_id_of(address: &[u8; ADDRESS_LEN]) -> u16 {
    u16::from_ne_bytes([address[6], address[7]])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_laid_out_as_the_kernels() {
        let address = address(Ipv4Addr::new(10, 99, 0, 1), 0x1234);
        assert_eq!(address[..2], FAMILY.to_ne_bytes());
        assert_eq!(address[2..6], PPTP.get().to_ne_bytes());
        assert_eq!(address[8..14], [0, 0, 10, 99, 0, 1]);
        assert_eq!(call_id_of(&address), 0x1234);
    }
}
