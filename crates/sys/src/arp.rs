//! Who else has an address on a segment, by an ARP probe (RFC 5227 §2.1.1).

use std::io;
use std::mem;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

/// Length of an ARP packet for IPv4 over Ethernet (RFC 826).
const LEN: usize = 28;
const REQUEST: u16 = 1;
const EVERYBODY: [u8; 6] = [0xff; 6];
const ADDRESS_LEN: libc::socklen_t = mem::size_of::<libc::sockaddr_ll>() as libc::socklen_t;
/// How often it is looked whether somebody has answered.
const GLANCE: Duration = Duration::from_millis(10);

/// Asks once who has `address` on an Ethernet interface, with no sender's address, so that nobody learns anything from it. Gives the hardware address of
/// whoever says within `patience` that it has it; an interface of this host does not count.
///
/// # Errors
///
/// `PermissionDenied` without `CAP_NET_RAW`.
pub fn probe(
    interface: u32,
    hardware: [u8; 6],
    address: Ipv4Addr,
    patience: Duration,
) -> io::Result<Option<[u8; 6]>> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::PACKET, SocketType::DGRAM, flags, None)?;
    let there = segment(interface);
    // SAFETY: `there` is a `sockaddr_ll` of the length given, and outlives the call. The descriptor is open.
    let result = unsafe { libc::bind(socket.as_raw_fd(), (&raw const there).cast(), ADDRESS_LEN) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    send(&socket, &there, &request(hardware, address))?;
    let deadline = Instant::now() + patience;
    let mut packet = [0; LEN];
    while Instant::now() < deadline {
        match rustix::net::recv(&socket, &mut packet[..], rustix::net::RecvFlags::empty()) {
            Ok((len, _)) => {
                let holder = holder(&packet[..len], address).filter(|it| *it != hardware);
                if holder.is_some() {
                    return Ok(holder);
                }
            }
            Err(rustix::io::Errno::AGAIN) => thread::sleep(GLANCE),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(None)
}

fn send(socket: &OwnedFd, to: &libc::sockaddr_ll, packet: &[u8; LEN]) -> io::Result<()> {
    // SAFETY: the kernel reads `LEN` bytes of `packet` and a `sockaddr_ll` of the length given; both outlive the call.
    let sent = unsafe {
        libc::sendto(
            socket.as_raw_fd(),
            packet.as_ptr().cast(),
            LEN,
            0,
            (&raw const *to).cast(),
            ADDRESS_LEN,
        )
    };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Everybody on a segment, in ARP.
fn segment(interface: u32) -> libc::sockaddr_ll {
    // SAFETY: all bytes zero is a valid `sockaddr_ll`: it consists of integers.
    let mut address: libc::sockaddr_ll = unsafe { mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = (libc::ETH_P_ARP as u16).to_be();
    address.sll_ifindex = interface.cast_signed();
    address.sll_halen = 6;
    address.sll_addr[..6].copy_from_slice(&EVERYBODY);
    address
}

fn request(hardware: [u8; 6], address: Ipv4Addr) -> [u8; LEN] {
    let mut packet = [0; LEN];
    // Ethernet, IPv4, their lengths, the operation.
    packet[..6].copy_from_slice(&[0, 1, 8, 0, 6, 4]);
    packet[6..8].copy_from_slice(&REQUEST.to_be_bytes());
    packet[8..14].copy_from_slice(&hardware);
    packet[24..].copy_from_slice(&address.octets());
    packet
}

/// Who says in an ARP packet, question or answer, that it has `address`.
fn holder(packet: &[u8], address: Ipv4Addr) -> Option<[u8; 6]> {
    let says = packet.get(14..18)? == address.octets();
    packet.get(8..14)?.try_into().ok().filter(|_| says)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_names_who_has_the_address() {
        let (address, hardware) = (Ipv4Addr::new(192, 168, 77, 100), [2, 0, 0, 0, 0, 9]);
        let probe = request(hardware, address);
        assert_eq!(holder(&probe, address), None);
        let mut answer = probe;
        answer[7] = 2;
        answer[14..18].copy_from_slice(&address.octets());
        assert_eq!(holder(&answer, address), Some(hardware));
        for len in 0..18 {
            assert_eq!(holder(&answer[..len], address), None);
        }
    }
}
