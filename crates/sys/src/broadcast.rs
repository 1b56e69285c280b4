//! IPv4 broadcasts of all interfaces of this host, as they pass by.

use std::io;
use std::mem;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

use crate::raw::filter::{jump_if_equal, set, step};

/// IP protocol number of UDP.
const UDP: u32 = 17;
/// The Ethernet address of all.
const EVERYBODY: [u8; 6] = [0xff; 6];

/// A packet socket that receives UDP packets to 255.255.255.255 and to one network's broadcast address, from their IP header on
/// (packet(7)). Packets that this host sends are passed over.
#[derive(Debug)]
pub struct BroadcastSocket(OwnedFd);

impl BroadcastSocket {
    /// Opens one in the calling thread's network namespace.
    ///
    /// # Errors
    ///
    /// `PermissionDenied` without `CAP_NET_RAW`.
    pub fn open(broadcast: Ipv4Addr) -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        // Without a protocol nothing is received before the filter is in place.
        let socket = socket_with(AddressFamily::PACKET, SocketType::DGRAM, flags, None)?;
        let mut program = [
            step(libc::BPF_LD | libc::BPF_B | libc::BPF_ABS, 9),
            jump_if_equal(UDP, 0, 4),
            step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 16),
            jump_if_equal(u32::from(Ipv4Addr::BROADCAST), 1, 0),
            jump_if_equal(u32::from(broadcast), 0, 1),
            step(libc::BPF_RET | libc::BPF_K, u32::MAX),
            step(libc::BPF_RET | libc::BPF_K, 0),
        ];
        set(socket.as_fd(), &mut program)?;
        let address = link_address(0);
        // SAFETY: `address` is a `sockaddr_ll` of the length given, and outlives the call. The descriptor is borrowed, so it is open.
        let result =
            unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), ADDRESS_LEN) };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(Self(socket)) }
    }

    /// The next packet: its length in `buffer`, and the index of the interface through which it came.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when there is none.
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<(usize, u32)> {
        loop {
            let mut from = link_address(0);
            let mut len = ADDRESS_LEN;
            // SAFETY: the kernel writes at most `buffer.len()` bytes to `buffer` and at most `len` to `from`, which is that long; both
            // outlive the call.
            let received = unsafe {
                libc::recvfrom(
                    self.0.as_raw_fd(),
                    buffer.as_mut_ptr().cast(),
                    buffer.len(),
                    0,
                    (&raw mut from).cast(),
                    &raw mut len,
                )
            };
            let Ok(received) = usize::try_from(received) else {
                return Err(io::Error::last_os_error());
            };
            if from.sll_pkttype != libc::PACKET_OUTGOING {
                return Ok((received, from.sll_ifindex.cast_unsigned()));
            }
        }
    }

    /// Sends an IPv4 packet to everybody on an Ethernet interface.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub fn send(&self, interface: u32, packet: &[u8]) -> io::Result<()> {
        let address = link_address(interface.cast_signed());
        // SAFETY: the kernel reads `packet.len()` bytes of `packet` and a `sockaddr_ll` of the length given; both outlive the call.
        let sent = unsafe {
            libc::sendto(
                self.0.as_raw_fd(),
                packet.as_ptr().cast(),
                packet.len(),
                0,
                (&raw const address).cast(),
                ADDRESS_LEN,
            )
        };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

impl AsFd for BroadcastSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

const ADDRESS_LEN: libc::socklen_t = mem::size_of::<libc::sockaddr_ll>() as libc::socklen_t;

/// IPv4 and everybody on an interface; 0 is all of them.
fn link_address(interface: i32) -> libc::sockaddr_ll {
    // SAFETY: all bytes zero is a valid `sockaddr_ll`: it consists of integers.
    let mut address: libc::sockaddr_ll = unsafe { mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = (libc::ETH_P_IP as u16).to_be();
    address.sll_ifindex = interface;
    address.sll_halen = EVERYBODY.len() as u8;
    address.sll_addr[..EVERYBODY.len()].copy_from_slice(&EVERYBODY);
    address
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::time::Duration;

    use super::*;
    use crate::namespace;
    use crate::netlink::Netlink;

    #[test]
    fn broadcasts_are_seen_and_other_packets_are_not() {
        let network: [Ipv4Addr; 3] =
            [[10, 7, 0, 1], [10, 7, 0, 2], [10, 7, 0, 255]].map(Ipv4Addr::from);
        let outcome = namespace::run_in_new(|| {
            let first = namespace::current().unwrap();
            namespace::enter_new().unwrap();
            let mut netlink = Netlink::open().unwrap();
            netlink.create_veth("eth0", "eth0", Some(first.as_fd())).unwrap();
            let set_up = |address: Ipv4Addr| {
                let mut netlink = Netlink::open().unwrap();
                let index = netlink.index_of("eth0").unwrap();
                netlink.add_address(index, address.into(), 24).unwrap();
                netlink.set_up(index, true).unwrap();
                index
            };
            let here = set_up(network[0]);
            let socket = BroadcastSocket::open(network[2]).unwrap();
            let second = namespace::current().unwrap();
            namespace::enter(&first).unwrap();
            let there = set_up(network[1]);
            let sender = UdpSocket::bind((network[1], 0)).unwrap();
            sender.set_broadcast(true).unwrap();
            let echo = BroadcastSocket::open(network[2]).unwrap();
            let mut buffer = [0; 2000];
            // A wire that was plugged in this moment loses packets: they are sent until one comes.
            let (length, interface) = wait_for(|| {
                sender.send_to(b"one", (network[0], 9)).unwrap();
                sender.send_to(b"all", (network[2], 9)).unwrap();
                socket.receive(&mut buffer)
            });
            assert_eq!((&buffer[28..length], interface), (&b"all"[..], here));
            while let Ok((more, _)) = socket.receive(&mut buffer) {
                assert_eq!(&buffer[28..more], b"all");
            }
            // And back, word for word, onto the wire.
            namespace::enter(&second).unwrap();
            let mut again = [0; 2000];
            let (back, interface) = wait_for(|| {
                socket.send(here, &buffer[..length]).unwrap();
                echo.receive(&mut again)
            });
            assert_eq!((&again[..back], interface), (&buffer[..length], there));
        });
        match outcome {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                eprintln!("skipped: no network namespace: {error}");
            }
            outcome => outcome.unwrap(),
        }
    }

    fn wait_for(mut receive: impl FnMut() -> io::Result<(usize, u32)>) -> (usize, u32) {
        // The kernel brings a wire to life when it has time: not while it takes other namespaces down.
        for _ in 0..3000 {
            if let Ok(received) = receive() {
                return received;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("nothing came");
    }
}
