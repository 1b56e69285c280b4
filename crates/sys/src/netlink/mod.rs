//! Interfaces, addresses, routes and proxy ARP, by blocking requests to the kernel (`rtnetlink(7)`).
//!
//! Requests are built with netlink-packet-route; answers are read attribute by attribute, so that one which that crate cannot read (a
//! newer kernel's) hides no interface.

mod address;
mod attributes;
mod error;
mod ipsec;
mod link;
mod neighbour;
mod next_hop;
mod route;
mod way;

use std::io;
use std::time::Duration;

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage,
    NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{RecvFlags, recv};

pub use address::InterfaceAddress;
pub use error::Error;
pub use ipsec::has_ipsec_policies;
pub use link::{Interface, proxy_arp_interface};
pub use neighbour::ProxyNeighbour;
pub use next_hop::{Changes, Neighbour, Path};
pub use route::Route;
pub use way::Way;

/// What our routes and proxy neighbours have as their protocol (`rtm_protocol`), by which they are told from others' after a crash. Not assigned
/// in the kernel's `rtnetlink.h`; the number of GRE.
pub const PROTOCOL: u8 = 47;

/// A dump does not fit more than this into one message, in bytes.
const BUFFER_LEN: usize = 64 << 10;

/// The kernel answers within microseconds, but for a held configuration lock.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How often a list is fetched anew when it changed meanwhile.
const MAX_INTERRUPTED: u32 = 8;

/// No answer is of this type (`NLMSG_NOOP`).
const NOTHING: u16 = 1;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;

/// A netlink socket for the network namespace in which it was opened.
pub struct Netlink {
    socket: Socket,
    sequence: u32,
    buffer: Box<[u8]>,
}

impl std::fmt::Debug for Netlink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Netlink").field("sequence", &self.sequence).finish_non_exhaustive()
    }
}

/// How a list ended.
enum Dump {
    Complete,
    Interrupted,
}

impl Netlink {
    /// Opens a socket in the calling thread's network namespace.
    ///
    /// # Errors
    ///
    /// When there are no file descriptors left.
    pub fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        set_socket_timeout(&socket, Timeout::Recv, Some(TIMEOUT))?;
        // Older kernels than 4.12 and 4.20 do without: errors have no text, and lists are filtered here anyway.
        let _ = socket.set_ext_ack(true);
        let _ = socket.set_cap_ack(true);
        let _ = socket.set_netlink_get_strict_chk(true);
        Ok(Self { socket, sequence: 0, buffer: vec![0; BUFFER_LEN].into() })
    }

    /// Makes a request and waits for the kernel's answer. `operation` completes "cannot …".
    fn request(
        &mut self,
        message: RouteNetlinkMessage,
        flags: u16,
        operation: impl FnOnce() -> String,
    ) -> Result<(), Error> {
        self.try_request(message, flags).map_err(|failure| failure.during(operation()))
    }

    fn try_request(
        &mut self,
        message: RouteNetlinkMessage,
        flags: u16,
    ) -> Result<(), error::Failure> {
        self.ask(message, flags, NOTHING, |_| {})
    }

    /// Makes a request, waits for the kernel's answer, and calls `each` with the payloads of messages of type `kind`.
    fn ask(
        &mut self,
        question: RouteNetlinkMessage,
        flags: u16,
        kind: u16,
        mut each: impl FnMut(&[u8]),
    ) -> Result<(), error::Failure> {
        self.send(question, NLM_F_REQUEST | NLM_F_ACK | flags)?;
        loop {
            let len = self.receive()?;
            for answer in messages(&self.buffer[..len]) {
                match answer.kind {
                    _ if answer.sequence != self.sequence => {}
                    NLMSG_ERROR => return error::outcome(answer.flags, answer.payload),
                    answered if answered == kind => each(answer.payload),
                    _ => {}
                }
            }
        }
    }

    /// Asks for a list, anew when it changes meanwhile, and gives what `each` makes of the payloads of the messages of type `kind`.
    fn dump<T>(
        &mut self,
        question: &RouteNetlinkMessage,
        kind: u16,
        operation: &str,
        each: impl Fn(&[u8]) -> Option<T>,
    ) -> Result<Vec<T>, Error> {
        let failed = |failure: error::Failure| failure.during(operation.to_owned());
        let mut found = Vec::new();
        for _ in 0..MAX_INTERRUPTED {
            found.clear();
            let add = |payload: &[u8]| found.extend(each(payload));
            match self.try_dump(question.clone(), kind, add).map_err(failed)? {
                Dump::Complete => return Ok(found),
                Dump::Interrupted => {}
            }
        }
        let busy = io::Error::new(io::ErrorKind::ResourceBusy, "the list does not stop changing");
        Err(failed(busy.into()))
    }

    fn try_dump(
        &mut self,
        question: RouteNetlinkMessage,
        kind: u16,
        mut each: impl FnMut(&[u8]),
    ) -> Result<Dump, error::Failure> {
        self.send(question, NLM_F_REQUEST | NLM_F_DUMP)?;
        let mut interrupted = false;
        loop {
            let len = self.receive()?;
            for answer in messages(&self.buffer[..len]) {
                if answer.sequence != self.sequence {
                    continue;
                }
                interrupted |= answer.flags & NLM_F_DUMP_INTR != 0;
                match answer.kind {
                    NLMSG_ERROR | NLMSG_DONE => {
                        error::outcome(answer.flags, answer.payload)?;
                        let end = if interrupted { Dump::Interrupted } else { Dump::Complete };
                        return Ok(end);
                    }
                    answered if answered == kind => each(answer.payload),
                    _ => {}
                }
            }
        }
    }

    fn send(&mut self, message: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        header.flags = flags;
        header.sequence_number = self.sequence;
        let mut message = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(message));
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        self.socket.send(&bytes, 0)?;
        Ok(())
    }

    fn receive(&mut self) -> io::Result<usize> {
        let received = rustix::io::retry_on_intr(|| {
            recv(&self.socket, &mut self.buffer[..], RecvFlags::empty())
        });
        let (len, _) = received?;
        Ok(len)
    }
}

/// A message from the kernel.
pub(crate) struct Answer<'a> {
    pub(crate) kind: u16,
    flags: u16,
    sequence: u32,
    pub(crate) payload: &'a [u8],
}

/// The messages in a datagram: `struct nlmsghdr` { length: u32, type: u16, flags: u16, sequence: u32, port: u32 } and payload, aligned to 4.
pub(crate) fn messages(mut datagram: &[u8]) -> impl Iterator<Item = Answer<'_>> {
    const HEADER: usize = 16;
    std::iter::from_fn(move || {
        let header: &[u8; HEADER] = datagram.first_chunk()?;
        let half = |at: usize| u16::from_ne_bytes([header[at], header[at + 1]]);
        let word = |at: usize| {
            u32::from_ne_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
        };
        let len = usize::try_from(word(0)).ok()?;
        let payload = datagram.get(HEADER..len)?;
        let answer = Answer { kind: half(4), flags: half(6), sequence: word(8), payload };
        datagram = datagram.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some(answer)
    })
}

#[cfg(test)]
mod tests;
