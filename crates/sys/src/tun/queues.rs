//! One interface with several queues, each of which somebody else reads.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use super::{Tun, ask_for_offloads, is_refused};
use crate::bpf::{self, Instruction, R0, R1, R6};

/// `TUNSETSTEERINGEBPF` of `linux/if_tun.h` (Linux 4.16): `_IOR('T', 224, int)`.
const SET_STEERING: u32 = 0x8004_54e0;

/// The length of an address, where an IPv4 header has the destination, and the version in the first byte's upper half.
const DESTINATION: i32 = 16;
const VERSION_SHIFT: i32 = 4;

impl Tun {
    /// Makes an interface with so many queues (one at least, 256 at most), in order, as [`create`](Self::create) makes one with one. The
    /// interface exists as long as any of them.
    ///
    /// Which queue a packet is put into is the kernel's choice: that in which the flow's other direction was last written, else any; see
    /// [`steer_by_destination`](Self::steer_by_destination).
    ///
    /// # Errors
    ///
    /// Those of [`create`](Self::create); `E2BIG` (raw error) for too many.
    pub fn create_queues(name_pattern: &str, queues: usize) -> io::Result<Vec<Self>> {
        let open = |name: &str, header: i32| Self::open(name, header | libc::IFF_MULTI_QUEUE);
        let (first, header) = match open(name_pattern, libc::IFF_VNET_HDR) {
            Err(error) if is_refused(&error) => (open(name_pattern, 0)?, 0),
            first => (first?, libc::IFF_VNET_HDR),
        };
        let name = first.name().to_owned();
        let mut all = vec![first];
        while all.len() < queues {
            all.push(open(&name, header)?);
        }
        if header != 0 {
            // Of the interface, not of the queue.
            let offloads = ask_for_offloads(all[0].as_fd());
            for tun in &mut all {
                tun.has_header = true;
                tun.offloads = offloads;
            }
        }
        Ok(all)
    }

    /// From now on the interface, which has so many queues, puts each IPv4 packet into the one that [`queue_of`] gives for its destination, and
    /// others into the first.
    ///
    /// # Errors
    ///
    /// `PermissionDenied` without `CAP_BPF`, `InvalidInput` or `ENOTTY` (raw error) before Linux 4.16: then nothing has changed.
    pub fn steer_by_destination(&self, queues: usize) -> io::Result<()> {
        let count = i32::try_from(queues.max(1)).map_err(io::Error::other)?;
        let program: OwnedFd = bpf::load(bpf::SOCKET_FILTER, c"gretel_steer", &program(count))?;
        let fd = program.as_raw_fd();
        // SAFETY: the ioctl reads one `int`, which outlives the call. The kernel takes a reference of its own to the program.
        let result =
            unsafe { libc::ioctl(self.as_fd().as_raw_fd(), SET_STEERING as _, &raw const fd) };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

/// Which of `queues` gets packets for `destination`: neighbouring addresses follow each other in turn.
#[must_use]
pub fn queue_of(destination: Ipv4Addr, queues: usize) -> usize {
    u32::from(destination) as usize % queues.max(1)
}

/// Gives the destination of an IPv4 packet modulo the number of queues, else 0. The kernel would look at 16 bits of the address alone.
fn program(queues: i32) -> [Instruction; 9] {
    [
        Instruction::copy(R6, R1),
        Instruction::packet_byte(0),
        Instruction::shift_right(R0, VERSION_SHIFT),
        Instruction::skip_unless(R0, 4, 3),
        Instruction::packet_word(DESTINATION),
        Instruction::remainder(R0, queues),
        Instruction::exit(),
        Instruction::set(R0, 0),
        Instruction::exit(),
    ]
}

#[cfg(test)]
mod tests {
    use std::io::IoSlice;
    use std::net::UdpSocket;

    use super::super::tests::{isolated, read_udp};
    use super::*;
    use crate::tun::OFFLOAD_HEADER_LEN;

    #[test]
    fn packets_are_steered_to_the_queue_of_their_destination() {
        isolated(|mut netlink| {
            let queues = Tun::create_queues("ppp%d", 3).unwrap();
            assert!(
                queues.iter().all(|tun| (tun.name(), tun.index()) == ("ppp0", queues[0].index()))
            );
            netlink.set_up(queues[0].index(), true).unwrap();
            netlink
                .add_address(queues[0].index(), Ipv4Addr::new(192, 168, 7, 1).into(), 24)
                .unwrap();
            if let Err(error) = queues[0].steer_by_destination(3) {
                return eprintln!("skipped: no steering: {error}");
            }
            let socket = UdpSocket::bind("192.168.7.1:0").unwrap();
            for last in 2..32 {
                let destination = Ipv4Addr::new(192, 168, 7, last);
                socket.send_to(&[last], (destination, 9)).unwrap();
                let packet = read_udp(&queues[queue_of(destination, 3)]);
                assert_eq!(packet[16..20], destination.octets());
            }
        });
    }

    #[test]
    fn an_interface_lives_as_long_as_its_last_queue() {
        isolated(|mut netlink| {
            let mut queues = Tun::create_queues("ppp%d", 2).unwrap();
            assert_eq!(queues[0].offloads(), queues[1].offloads());
            queues.remove(0);
            assert!(netlink.index_of("ppp0").is_ok());
            netlink.set_up(queues[0].index(), true).unwrap();
            let header = [0; OFFLOAD_HEADER_LEN];
            queues[0].write(&[IoSlice::new(&header), IoSlice::new(&[0x45; 20])]).unwrap();
            queues.clear();
            assert!(netlink.index_of("ppp0").is_err());
        });
    }
}
