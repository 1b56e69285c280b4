//! Packets of PPTP as they pass by: GRE, TCP of one port, and all that goes through TUN interfaces (packet(7)).

use std::io;
use std::mem;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with, sockopt};

use crate::raw::filter::{jump_if_equal, set, step};

/// IP protocol numbers.
const TCP: u32 = 6;
const GRE: u32 = 47;
/// `ARPHRD_NONE` of `linux/if_arp.h`: an interface without link headers, as TUN is one.
const NO_LINK_HEADER: u32 = 0xfffe;
/// What the kernel knows beside the packet's bytes (`linux/filter.h`).
const BESIDE: u32 = libc::SKF_AD_OFF.cast_unsigned();
/// What the socket's buffer should hold, in bytes.
const BUFFER_LEN: usize = 8 << 20;
/// The same, where a glance is enough.
const SMALL_BUFFER_LEN: usize = 64 << 10;
const ADDRESS_LEN: libc::socklen_t = mem::size_of::<libc::sockaddr_ll>() as libc::socklen_t;

/// A packet that passed by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passed {
    /// How many of its bytes are in the buffer, from its IP header on.
    pub len: usize,
    /// How many there were.
    pub original_len: usize,
    /// The index of its interface.
    pub interface: u32,
    /// Whether that is a TUN interface.
    pub is_tun: bool,
    /// Whether this host sent it.
    pub outgoing: bool,
}

/// A socket that receives copies of them.
#[derive(Debug)]
pub struct CaptureSocket(OwnedFd);

impl CaptureSocket {
    /// Opens one in the calling thread's network namespace, for all its interfaces.
    ///
    /// # Errors
    ///
    /// `PermissionDenied` without `CAP_NET_RAW`.
    pub fn open(port: u16) -> io::Result<Self> {
        Self::with(&mut program(port), BUFFER_LEN)
    }

    /// Opens one for GRE packets from and to one address only, as they pass this host's interfaces: in front of its packet filter on the way in, behind
    /// it on the way out.
    ///
    /// # Errors
    ///
    /// As for [`open`](Self::open).
    pub fn gre_of(peer: Ipv4Addr) -> io::Result<Self> {
        Self::with(&mut gre_program(peer), SMALL_BUFFER_LEN)
    }

    fn with(program: &mut [libc::sock_filter], buffer_len: usize) -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        // Without a protocol nothing is received before the filter is in place.
        let socket = socket_with(AddressFamily::PACKET, SocketType::DGRAM, flags, None)?;
        // Beyond the limit for everybody only with CAP_NET_ADMIN, else up to that limit.
        sockopt::set_socket_recv_buffer_size_force(&socket, buffer_len)
            .or_else(|_| sockopt::set_socket_recv_buffer_size(&socket, buffer_len))?;
        set(socket.as_fd(), program)?;
        let address = everywhere();
        // SAFETY: `address` is a `sockaddr_ll` of the length given, and outlives the call. The descriptor is borrowed, so it is open.
        let result =
            unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), ADDRESS_LEN) };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(Self(socket)) }
    }

    /// The next packet.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when there is none.
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<Passed> {
        let mut from = everywhere();
        let mut len = ADDRESS_LEN;
        // SAFETY: the kernel writes at most `buffer.len()` bytes to `buffer` and at most `len` to `from`, which is that long; both outlive
        // the call. With MSG_TRUNC the result may be larger than the buffer; it is bounded below.
        let received = unsafe {
            libc::recvfrom(
                self.0.as_raw_fd(),
                buffer.as_mut_ptr().cast(),
                buffer.len(),
                libc::MSG_TRUNC,
                (&raw mut from).cast(),
                &raw mut len,
            )
        };
        let Ok(original_len) = usize::try_from(received) else {
            return Err(io::Error::last_os_error());
        };
        Ok(Passed {
            len: original_len.min(buffer.len()),
            original_len,
            interface: from.sll_ifindex.cast_unsigned(),
            is_tun: u32::from(from.sll_hatype) == NO_LINK_HEADER,
            outgoing: from.sll_pkttype == libc::PACKET_OUTGOING,
        })
    }

    /// How many packets were lost since the last time, because nobody took them out in time.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub fn lost(&self) -> io::Result<u32> {
        let mut figures = libc::tpacket_stats { tp_packets: 0, tp_drops: 0 };
        let mut len = mem::size_of::<libc::tpacket_stats>() as libc::socklen_t;
        // SAFETY: `figures` has room for `len` bytes, and both outlive the call.
        let result = unsafe {
            libc::getsockopt(
                self.0.as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_STATISTICS,
                (&raw mut figures).cast(),
                &raw mut len,
            )
        };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(figures.tp_drops) }
    }
}

impl AsFd for CaptureSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for CaptureSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// The program sees the packet from the IP header on. Reading behind the packet's end drops it.
fn program(port: u16) -> [libc::sock_filter; LEN] {
    const ACCEPT: u8 = LEN as u8 - 2;
    const DROP: u8 = LEN as u8 - 1;
    let at = |line: u8, target: u8| target - line - 1;
    let port = u32::from(port);
    let fragment = (libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K) as u16;
    [
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, BESIDE + libc::SKF_AD_HATYPE as u32),
        jump_if_equal(NO_LINK_HEADER, at(1, ACCEPT), 0),
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, BESIDE + libc::SKF_AD_PROTOCOL as u32),
        jump_if_equal(libc::ETH_P_IP as u32, 0, at(3, DROP)),
        step(libc::BPF_LD | libc::BPF_B | libc::BPF_ABS, 9),
        jump_if_equal(GRE, at(5, ACCEPT), 0),
        jump_if_equal(TCP, 0, at(6, DROP)),
        step(libc::BPF_LD | libc::BPF_H | libc::BPF_ABS, 6),
        libc::sock_filter { code: fragment, jt: at(8, DROP), jf: 0, k: 0x1fff },
        // x: length of the IP header, options included; what follows are offsets into the TCP header.
        step(libc::BPF_LDX | libc::BPF_B | libc::BPF_MSH, 0),
        step(libc::BPF_LD | libc::BPF_H | libc::BPF_IND, 0),
        jump_if_equal(port, at(11, ACCEPT), 0),
        step(libc::BPF_LD | libc::BPF_H | libc::BPF_IND, 2),
        jump_if_equal(port, at(13, ACCEPT), at(13, DROP)),
        step(libc::BPF_RET | libc::BPF_K, u32::MAX),
        step(libc::BPF_RET | libc::BPF_K, 0),
    ]
}

const LEN: usize = 16;

/// GRE over IPv4 from or to an address. A fragment that is not the first has no GRE header, and is dropped.
fn gre_program(peer: Ipv4Addr) -> [libc::sock_filter; GRE_LEN] {
    const ACCEPT: u8 = GRE_LEN as u8 - 2;
    const DROP: u8 = GRE_LEN as u8 - 1;
    let at = |line: u8, target: u8| target - line - 1;
    let (peer, fragment) = (u32::from(peer), (libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K) as u16);
    [
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, BESIDE + libc::SKF_AD_PROTOCOL as u32),
        jump_if_equal(libc::ETH_P_IP as u32, 0, at(1, DROP)),
        step(libc::BPF_LD | libc::BPF_B | libc::BPF_ABS, 9),
        jump_if_equal(GRE, 0, at(3, DROP)),
        step(libc::BPF_LD | libc::BPF_H | libc::BPF_ABS, 6),
        libc::sock_filter { code: fragment, jt: at(5, DROP), jf: 0, k: 0x1fff },
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 12),
        jump_if_equal(peer, at(7, ACCEPT), 0),
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 16),
        jump_if_equal(peer, at(9, ACCEPT), at(9, DROP)),
        step(libc::BPF_RET | libc::BPF_K, u32::MAX),
        step(libc::BPF_RET | libc::BPF_K, 0),
    ]
}

const GRE_LEN: usize = 12;

/// All protocols on all interfaces: only so are packets seen that this host sends.
fn everywhere() -> libc::sockaddr_ll {
    // SAFETY: all bytes zero is a valid `sockaddr_ll`: it consists of integers.
    let mut address: libc::sockaddr_ll = unsafe { mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
    address
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{TcpListener, TcpStream, UdpSocket};

    use super::*;
    use crate::namespace;
    use crate::netlink::Netlink;
    use crate::tun::Tun;

    #[test]
    fn gre_of_one_address_is_seen_and_that_of_another_is_not() {
        use crate::raw::{GreSocket, SendBatch};
        let outcome = namespace::run_in_new(|| {
            let [peer, other] = [Ipv4Addr::new(127, 0, 0, 2), Ipv4Addr::new(127, 0, 0, 3)];
            let socket = CaptureSocket::gre_of(peer).unwrap();
            let gre = GreSocket::open().unwrap();
            let mut out = SendBatch::new(64);
            for to in [peer, other] {
                out.push_copy(&[0x30, 1, 0x88, 0x0b, 0, 0, 0, 7], to, Ipv4Addr::LOCALHOST, 0);
            }
            out.flush(&gre, |_| {});
            let mut buffer = [0; 40];
            let mut seen = 0;
            while let Ok(passed) = socket.receive(&mut buffer) {
                assert_eq!((&buffer[16..20], passed.original_len), (&peer.octets()[..], 28));
                seen += 1;
            }
            // Once as it goes, once as it comes.
            assert_eq!(seen, 2);
        });
        match outcome {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                eprintln!("skipped: no network namespace: {error}");
            }
            outcome => outcome.unwrap(),
        }
    }

    #[test]
    fn tcp_of_the_port_and_packets_of_a_tun_are_seen_and_others_are_not() {
        let outcome = namespace::run_in_new(|| {
            let listeners =
                [1723, 1724].map(|port| TcpListener::bind(("127.0.0.1", port)).unwrap());
            let tun = Tun::create("ppp%d").unwrap();
            let mut netlink = Netlink::open().unwrap();
            netlink.set_up(tun.index(), true).unwrap();
            netlink
                .add_peer_address(tun.index(), [10, 0, 0, 1].into(), [10, 0, 0, 2].into())
                .unwrap();
            let socket = CaptureSocket::open(1723).unwrap();
            for listener in &listeners {
                let mut stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
                stream.write_all(b"hello").unwrap();
            }
            let udp = UdpSocket::bind("0.0.0.0:0").unwrap();
            udp.send_to(b"inner", "10.0.0.2:9").unwrap();
            udp.send_to(b"other", "127.0.0.1:9").unwrap();
            let mut buffer = [0; 40];
            let (mut tcp, mut inner) = (0, 0);
            while let Ok(passed) = socket.receive(&mut buffer) {
                assert!(passed.len <= 40 && passed.len <= passed.original_len);
                // The kernel may have IPv6 to say on the TUN too.
                if passed.is_tun && buffer[0] == 0x45 && buffer[9] == 17 {
                    assert_eq!((passed.original_len, passed.outgoing), (33, true));
                    assert_eq!(passed.interface, tun.index());
                    inner += 1;
                } else if !passed.is_tun {
                    assert_eq!(buffer[9], 6);
                    let ports: [u8; 4] = buffer[20..24].try_into().unwrap();
                    assert!(ports[..2] == [6, 0xbb] || ports[2..] == [6, 0xbb], "{ports:?}");
                    tcp += 1;
                }
            }
            assert!(tcp >= 8 && inner == 1, "{tcp} {inner}");
            assert_eq!(socket.lost().unwrap(), 0);
        });
        match outcome {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                eprintln!("skipped: no network namespace: {error}");
            }
            outcome => outcome.unwrap(),
        }
    }
}
