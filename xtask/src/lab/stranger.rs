//! A peer that follows no rules: what it sends is written out by hand, over TCP and as raw GRE.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Ipv4Addr, TcpStream},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use sys::raw::{GreSocket, RecvBatch, SendBatch};

use super::{
    network::Namespace,
    segment::{SERVER, SERVER_PORT},
    world::World,
};

/// The longest packet that is sent or looked at.
const PACKET_LEN: usize = 4096;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often a call that goes on is looked at.
const GLANCE: Duration = Duration::from_millis(200);
/// Our call id, as in the collected inputs.
const CALL_ID: u16 = 7;

/// A namespace on the wan for such a peer.
pub(crate) struct Stranger {
    namespace: Namespace,
}

impl Stranger {
    pub(crate) fn new(world: &World, name: &'static str, address: &str) -> Result<Self> {
        Ok(Self { namespace: world.segment.wan_host(name, address)? })
    }

    /// A command that will run inside the namespace.
    pub(crate) fn command(&self, program: &str) -> Command {
        self.namespace.command(program)
    }

    /// Runs a shell script inside the namespace.
    pub(crate) fn sh(&self, script: &str) -> Result<String> {
        self.namespace.sh(script)
    }

    /// Runs `work` inside the namespace.
    pub(crate) fn inside<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        self.namespace.inside(work)
    }
}

/// Opens TCP to the server.
pub(crate) fn connect() -> Result<TcpStream> {
    let stream = TcpStream::connect((SERVER, SERVER_PORT)).context("TCP 1723")?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Start-Control-Connection-Request of pptp-linux (RFC 2637 §2.1): framing 3, bearer 3, host "local".
pub(crate) fn start_request() -> Vec<u8> {
    let mut message = vec![0, 156, 0, 1, 0x1a, 0x2b, 0x3c, 0x4d, 0, 1, 0, 0, 1, 0, 0, 0];
    message.extend([0, 0, 0, 3, 0, 0, 0, 3, 0xff, 0xff, 0, 1]);
    message.resize(156, 0);
    message[28..33].copy_from_slice(b"local");
    message
}

/// As Windows sends it: framing 1, bearer 1, no channels, no host name, "Microsoft" for a vendor.
pub(crate) fn windows_start_request() -> Vec<u8> {
    let mut message = start_request();
    message[16..28].copy_from_slice(&[0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0]);
    message[28..33].fill(0);
    message[92..101].copy_from_slice(b"Microsoft");
    message
}

/// Outgoing-Call-Request (RFC 2637 §2.7) with call id 7, as pptp-linux sends it.
pub(crate) fn call_request() -> Vec<u8> {
    let mut message = vec![0, 168, 0, 1, 0x1a, 0x2b, 0x3c, 0x4d, 0, 7, 0, 0, 0, 7, 0, 0];
    message.extend([0, 0, 9, 0x60, 0, 0x98, 0x96, 0x80, 0, 0, 0, 3, 0, 0, 0, 3, 0, 3, 0, 0]);
    message.resize(168, 0);
    message
}

/// A call whose every packet is made by hand. Use it [inside](Stranger::inside) the namespace.
pub(crate) struct HandMadeCall {
    /// Its end would be the call's.
    control: TcpStream,
    gre: GreSocket,
    /// The server's call id.
    pub(crate) call_id: u16,
    sequence: u32,
    incoming: RecvBatch,
    waiting: Vec<Vec<u8>>,
    outgoing: SendBatch,
}

impl HandMadeCall {
    /// Start-Control-Connection-Request and Outgoing-Call-Request, and their answers.
    pub(crate) fn place() -> Result<Self> {
        Self::place_with(&start_request())
    }

    /// As [`place`](Self::place), with another Start-Control-Connection-Request.
    pub(crate) fn place_with(start: &[u8]) -> Result<Self> {
        let gre = GreSocket::open().context("raw GRE socket")?;
        let mut control = connect()?;
        control.write_all(start)?;
        control.read_exact(&mut [0; 156]).context("no Start-Control-Connection-Reply")?;
        control.write_all(&call_request())?;
        let mut reply = [0; 32];
        control.read_exact(&mut reply).context("no Outgoing-Call-Reply")?;
        ensure!(reply[16] == 1, "the call is refused: result {}", reply[16]);
        Ok(Self {
            control,
            gre,
            call_id: u16::from_be_bytes([reply[12], reply[13]]),
            sequence: 0,
            incoming: RecvBatch::new(PACKET_LEN),
            waiting: Vec::new(),
            outgoing: SendBatch::new(PACKET_LEN),
        })
    }

    /// Sends these bytes behind the IP header.
    pub(crate) fn send_gre(&mut self, packet: &[u8]) -> Result<()> {
        let server: Ipv4Addr = SERVER.parse()?;
        self.outgoing.push_copy(packet, server, Ipv4Addr::UNSPECIFIED, 0);
        let mut failure = None;
        self.outgoing.flush(&self.gre, |not_sent| failure = Some(not_sent.error));
        failure.map_or(Ok(()), |error| Err(error).context("GRE"))
    }

    /// Sends a PPP frame with the next sequence number (RFC 2637 §4.1).
    pub(crate) fn send_frame(&mut self, frame: &[u8]) -> Result<()> {
        let mut packet = vec![0x30, 0x01, 0x88, 0x0b];
        packet.extend(u16::try_from(frame.len())?.to_be_bytes());
        packet.extend(self.call_id.to_be_bytes());
        packet.extend(self.sequence.to_be_bytes());
        packet.extend(frame);
        self.sequence += 1;
        self.send_gre(&packet)
    }

    /// The next PPP frame from the server, from its protocol number on; `None` when there is none in time.
    pub(crate) fn receive(&mut self, limit: Duration) -> Result<Option<Vec<u8>>> {
        let deadline = Instant::now() + limit;
        while self.waiting.is_empty() && Instant::now() < deadline {
            for index in 0..self.gre.recv_batch(&mut self.incoming)? {
                if let Some(frame) = ppp_frame(self.incoming.packet(index)) {
                    self.waiting.push(frame.to_vec());
                }
            }
            thread::sleep(Duration::from_millis(1));
        }
        Ok(if self.waiting.is_empty() { None } else { Some(self.waiting.remove(0)) })
    }

    /// Whether the server has ended it: by Call-Disconnect-Notify (RFC 2637 §2.13), or with its connection.
    pub(crate) fn is_over(&mut self) -> bool {
        // It fails only for a socket that is gone.
        let _ = self.control.set_nonblocking(true);
        let mut messages = [0; 512];
        match self.control.read(&mut messages) {
            Ok(read) => read == 0 || messages[8..10] == [0, 13],
            Err(error) => error.kind() != ErrorKind::WouldBlock,
        }
    }

    /// Answers Echo-Requests (RFC 1661 §5.8) and has `other` look at all other frames, until the call is over or the time is up.
    pub(crate) fn keep_up(
        &mut self,
        limit: Duration,
        mut other: impl FnMut(&mut Self, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline && !self.is_over() {
            match self.receive(GLANCE)?.as_deref() {
                Some([0xc0, 0x21, 9, id, ..]) => {
                    // A magic number of 0 is none.
                    self.send_frame(&[0xff, 0x03, 0xc0, 0x21, 10, *id, 0, 8, 0, 0, 0, 0])?;
                }
                Some(frame) => other(self, frame)?,
                None => {}
            }
        }
        Ok(())
    }

    /// Sends a packet of a control protocol (RFC 1661 §5).
    pub(crate) fn send_packet(
        &mut self,
        protocol: u16,
        code: u8,
        id: u8,
        data: &[u8],
    ) -> Result<()> {
        let mut frame = vec![0xff, 0x03];
        frame.extend(protocol.to_be_bytes());
        frame.extend([code, id]);
        frame.extend(u16::try_from(data.len() + 4)?.to_be_bytes());
        frame.extend(data);
        self.send_frame(&frame)
    }

    /// Negotiates LCP to its end, agreeing to everything.
    pub(crate) fn open_lcp(&mut self) -> Result<()> {
        self.send_frame(&[0xff, 0x03, 0xc0, 0x21, 1, 1, 0, 4])?;
        let (mut ours, mut theirs) = (false, false);
        while !(ours && theirs) {
            let frame = self.receive(PATIENCE)?.context("no LCP from the server")?;
            match frame.get(..3) {
                Some([0xc0, 0x21, 1]) => {
                    let mut answer = [&[0xff, 0x03], &frame[..]].concat();
                    answer[4] = 2;
                    self.send_frame(&answer)?;
                    theirs = true;
                }
                Some([0xc0, 0x21, 2]) => ours = true,
                _ => {}
            }
        }
        Ok(())
    }
}

/// The PPP frame in a packet of a raw socket, without address and control fields.
fn ppp_frame(packet: &[u8]) -> Option<&[u8]> {
    let gre = packet.get(usize::from(packet.first()? & 0xf) * 4..)?;
    let has_sequence = gre.first()? & 0x10 != 0;
    let has_acknowledgement = gre.get(1)? & 0x80 != 0;
    let call_id = u16::from_be_bytes([*gre.get(6)?, *gre.get(7)?]);
    if !has_sequence || call_id != CALL_ID {
        return None;
    }
    let frame = gre.get(if has_acknowledgement { 16.. } else { 12.. })?;
    Some(frame.strip_prefix(&[0xff, 0x03]).unwrap_or(frame))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frame_is_found_behind_both_headers() {
        let mut packet = vec![0x45; 20];
        packet.extend([0x30, 0x81, 0x88, 0x0b, 0, 6, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0]);
        packet.extend([0xff, 0x03, 0xc0, 0x21, 1, 1]);
        assert_eq!(ppp_frame(&packet), Some(&[0xc0, 0x21, 1, 1][..]));
        assert_eq!(ppp_frame(&packet[..30]), None);
    }
}
