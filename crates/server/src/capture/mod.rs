//! Packets of PPTP clients as a file for Wireshark: outside the tunnels, the PPP frames in them, and inside the tunnels, decrypted.
//!
//! What is inside is seen on the sessions' interfaces, where it has no encryption any more. So the server takes no part, and pays nothing.

mod pcapng;
mod sorter;

use std::collections::HashMap;
use std::fmt;
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::thread;
use std::time::{Duration, SystemTime};

use sys::capture::{CaptureSocket, Passed};
use sys::event::{Epoll, EventFd};
use sys::netlink::Netlink;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use pcapng::{Interface, Packet, Writer};
use sorter::Sorter;

/// The longest packet: a super-packet of an interface with offloads.
const PACKET_LEN: usize = 1 << 17;
/// Packets that are taken before other things are looked at.
const BURST: usize = 256;
/// The token of the order to stop.
const STOP: u64 = 1;
/// Interfaces of the file, by their place.
const OUTER: u32 = 0;
const PPP: u32 = 1;
const INNER: u32 = 2;
/// `LINKTYPE_RAW` of tcpdump.org: an IP packet.
const LINK_IP: u16 = 101;
/// `LINKTYPE_PPP` of tcpdump.org.
const LINK_PPP: u16 = 9;

const INTERFACES: [Interface; 3] = [
    Interface { name: "outer", description: "TCP 1723 and GRE as on the wire", link_type: LINK_IP },
    Interface { name: "ppp", description: "PPP frames out of GRE", link_type: LINK_PPP },
    Interface { name: "inner", description: "inside the tunnels, decrypted", link_type: LINK_IP },
];

/// What to capture, and how much.
#[derive(Clone, Debug)]
pub struct Options {
    /// One client, by its address outside; `None`: all.
    pub address: Option<Ipv4Addr>,
    /// Addresses inside the tunnels that belong to it.
    pub inner: Vec<Ipv4Addr>,
    /// Inner packets are those of interfaces whose names begin so.
    pub interface: String,
    /// The port of control connections.
    pub port: u16,
    /// When to end.
    pub time: Duration,
    /// How long the file may become, in bytes.
    pub bytes: u64,
}

/// What was captured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Packets outside.
    pub outer: u64,
    /// PPP frames in them.
    pub frames: u64,
    /// Packets inside.
    pub inner: u64,
    /// Packets that passed too fast.
    pub lost: u64,
    /// Bytes of the file.
    pub bytes: u64,
}

/// Shows as `3 outer packets, 2 PPP frames, …`.
impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { outer, frames, inner, lost, bytes } = self;
        write!(
            f,
            "{outer} outer packets, {frames} PPP frames, {inner} inner packets, {lost} lost, {bytes} bytes"
        )
    }
}

/// Captures until the time is over, the file is long enough, or SIGINT or SIGTERM comes. `begun` is called when nothing is missed any more.
///
/// # Errors
///
/// `PermissionDenied` without `CAP_NET_RAW`; those of `out`.
pub fn run(options: &Options, out: impl Write + Send, begun: impl FnOnce()) -> io::Result<Figures> {
    let socket = CaptureSocket::open(options.port)?;
    let stop = EventFd::new()?;
    let epoll = Epoll::new()?;
    epoll.add(&socket, 0)?;
    epoll.add(&stop, STOP)?;
    let writer = Writer::new(out, "gretel capture", &INTERFACES)?;
    let sorter = Sorter::new(options.address, &options.inner);
    let names = HashMap::new();
    let capture = Capture { options, writer, sorter, names, figures: Figures::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (ended, end) = oneshot::channel::<()>();
    thread::scope(|scope| {
        let thread = scope.spawn(move || {
            let outcome = capture.run(&epoll, &socket);
            drop(ended);
            outcome
        });
        let waited = runtime.block_on(wait_for_end(options.time, end, begun));
        stop.signal();
        let outcome = thread.join().unwrap_or_else(|_| Err(io::Error::other("the capture failed")));
        waited.and(outcome)
    })
}

/// Waits for the time, a signal, or the capture's own end.
async fn wait_for_end(
    time: Duration,
    end: oneshot::Receiver<()>,
    begun: impl FnOnce(),
) -> io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    begun();
    tokio::select! {
        _ = end => {}
        () = tokio::time::sleep(time) => {}
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

struct Capture<'a, W> {
    options: &'a Options,
    writer: Writer<W>,
    sorter: Sorter,
    /// Whether an interface, by its index, is one whose packets are inner ones.
    names: HashMap<u32, bool>,
    figures: Figures,
}

impl<W: Write> Capture<'_, W> {
    /// Captures until it is told to stop, or the file is long enough.
    fn run(mut self, epoll: &Epoll, socket: &CaptureSocket) -> io::Result<Figures> {
        let mut buffer = vec![0; PACKET_LEN];
        let mut ready = Vec::new();
        while self.writer.written() < self.options.bytes {
            epoll.wait(None, &mut ready)?;
            if ready.contains(&STOP) {
                break;
            }
            self.take_burst(socket, &mut buffer)?;
        }
        self.finish(socket)
    }

    /// Takes waiting packets.
    fn take_burst(&mut self, socket: &CaptureSocket, buffer: &mut [u8]) -> io::Result<()> {
        for _ in 0..BURST {
            match socket.receive(buffer) {
                Ok(passed) => self.take(&passed, &buffer[..passed.len])?,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    // So that the file is whole also when this process is killed.
                    return self.writer.flush();
                }
                // An interface has gone down.
                Err(error) if error.kind() == io::ErrorKind::NetworkDown => {}
                Err(error) => return Err(error),
            }
            if self.writer.written() >= self.options.bytes {
                break;
            }
        }
        Ok(())
    }

    fn take(&mut self, passed: &Passed, bytes: &[u8]) -> io::Result<()> {
        let (at, inbound) = (SystemTime::now(), !passed.outgoing);
        let original_len = passed.original_len;
        let packet = |interface, bytes, comment| Packet {
            interface,
            at,
            inbound,
            bytes,
            original_len,
            comment,
        };
        if passed.is_tun {
            if self.is_session(passed.interface) && self.sorter.is_inner(bytes) {
                self.figures.inner += 1;
                self.writer.packet(&packet(INNER, bytes, ""))?;
            }
            return Ok(());
        }
        let Some(outer) = self.sorter.outer(bytes) else { return Ok(()) };
        self.figures.outer += 1;
        self.writer.packet(&packet(OUTER, bytes, &outer.comment))?;
        if let Some(frame) = outer.frame {
            self.figures.frames += 1;
            let frame = packet(PPP, frame, &outer.frame_comment);
            self.writer.packet(&Packet { original_len: frame.bytes.len(), ..frame })?;
        }
        Ok(())
    }

    /// Whether an interface is a session's, by its name; asked once for each.
    fn is_session(&mut self, index: u32) -> bool {
        if let Some(known) = self.names.get(&index) {
            return *known;
        }
        // A kernel that does not tell, and an interface that has gone: neither is known.
        let interfaces = Netlink::open().ok().and_then(|mut netlink| netlink.interfaces().ok());
        let found = interfaces.iter().flatten().find(|interface| interface.index == index);
        let is = found.is_some_and(|interface| interface.name.starts_with(&self.options.interface));
        self.names.insert(index, is);
        is
    }

    fn finish(mut self, socket: &CaptureSocket) -> io::Result<Figures> {
        self.figures.lost = u64::from(socket.lost()?);
        // The kernel does not say of which kind they were.
        self.writer.lost(OUTER, SystemTime::now(), self.figures.lost)?;
        self.writer.flush()?;
        self.figures.bytes = self.writer.written();
        Ok(self.figures)
    }
}

#[cfg(test)]
mod tests;
