//! Attacks by who has a password and a tunnel.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Ipv4Addr, TcpStream},
    sync::atomic::{AtomicU16, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use engine::ppp::{MppePolicy, Stateful};
use sim::{Endpoint, Sent, Settings};
use sys::raw::RecvBatch;

use super::{
    attack::{Gun, OWN, Strike},
    control::connect_from,
    gre::packet,
};

/// The password of the simulation's user, `scott`.
pub(super) const PASSWORD: &str = "turquoise";
/// How long a tunnel may take to come up.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest packet that is looked at.
const PACKET_LEN: usize = 2048;

/// A client made of the engines, whose packets can be forged.
pub(super) struct Client {
    endpoint: Endpoint,
    control: TcpStream,
    gun: Gun,
    incoming: RecvBatch,
    our_call: u16,
    /// The server's call id, once a packet has gone there.
    pub(super) call: Option<u16>,
    /// The newest sequence number sent.
    sequence: u32,
    source: Ipv4Addr,
    begun: Instant,
    is_over: bool,
}

impl Client {
    /// Connects from this address and places a call as `scott`.
    pub(super) fn place(source: Ipv4Addr, mppe: MppePolicy, password: &str) -> Result<Self> {
        static CALLS: AtomicU16 = AtomicU16::new(1000);
        let our_call = CALLS.fetch_add(1, Ordering::Relaxed);
        let control = connect_from(source)?;
        control.set_nonblocking(true)?;
        let settings = Settings::client_with(mppe, password.as_bytes().to_vec());
        let seed = sys::random_bytes()?;
        let mut client = Self {
            endpoint: Endpoint::new(settings, seed, our_call, engine::Instant::ZERO),
            control,
            gun: Gun::new()?,
            incoming: RecvBatch::new(PACKET_LEN),
            our_call,
            call: None,
            sequence: 0,
            source,
            begun: Instant::now(),
            is_over: false,
        };
        client.send()?;
        Ok(client)
    }

    /// As [`place`](Self::place), until packets may flow.
    pub(super) fn connect(mppe: MppePolicy) -> Result<Self> {
        let mut client = Self::place(OWN, mppe, PASSWORD)?;
        while client.endpoint.permit().is_none() {
            ensure!(client.begun.elapsed() < PATIENCE && !client.is_over, "no tunnel");
            client.step()?;
            thread::sleep(Duration::from_millis(1));
        }
        Ok(client)
    }

    /// The address that it has in the tunnel.
    fn address(&self) -> Option<Ipv4Addr> {
        Some(self.endpoint.permit()?.ipv4()?.local)
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    fn now(&self) -> engine::Instant {
        engine::Instant::ZERO + self.begun.elapsed()
    }

    /// Takes what has come, and does what is due.
    pub(super) fn step(&mut self) -> Result<()> {
        let now = self.now();
        let mut buffer = [0; 2048];
        match self.control.read(&mut buffer) {
            Ok(0) => {
                self.is_over = true;
                self.endpoint.handle_tcp_close(now);
            }
            Ok(length) => self.endpoint.handle_tcp(now, &buffer[..length]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => self.is_over = true,
        }
        for index in 0..self.gun.socket.recv_batch(&mut self.incoming)? {
            let whole = self.incoming.packet(index);
            let header = usize::from(whole.first().copied().unwrap_or(0) & 15) * 4;
            let Some(gre) = whole.get(header..) else { continue };
            if gre.get(6..8) == Some(&self.our_call.to_be_bytes()[..]) {
                self.endpoint.handle_gre(now, gre.to_vec());
            }
        }
        self.endpoint.handle_timeout(now);
        self.send()
    }

    fn send(&mut self) -> Result<()> {
        for sent in self.endpoint.take_sent() {
            match sent {
                Sent::Tcp(bytes) => self.is_over |= self.control.write_all(&bytes).is_err(),
                Sent::TcpClose => self.is_over = true,
                Sent::Gre(packet) => {
                    self.note(&packet);
                    self.gun.fire(&packet, self.source);
                }
                Sent::Ip(_) => {}
            }
        }
        self.gun.flush();
        Ok(())
    }

    /// Learns the call id and the sequence number of a packet of ours.
    fn note(&mut self, packet: &[u8]) {
        if let Ok((header, _)) = wire::gre::parse(packet) {
            self.call = Some(header.call_id);
            self.sequence = header.seq.unwrap_or(self.sequence);
        }
    }

    /// Sends a frame with a sequence number so far ahead.
    fn forge(&mut self, ahead: u32, frame: &[u8]) {
        let Some(call) = self.call else { return };
        self.gun.fire(&packet(call, self.sequence.wrapping_add(ahead), frame), self.source);
    }

    /// Sends an IP packet through the tunnel.
    fn send_ip(&mut self, packet: &[u8]) {
        // A refused packet is not sent.
        let _ = self.endpoint.send_ip(self.now(), packet);
    }
}

/// Has a client with a tunnel do something at the rate of the strike, and connects it again when the server has hung up.
fn with_client(
    strike: &mut Strike,
    mppe: MppePolicy,
    mut act: impl FnMut(&mut Client, &mut Strike) -> Result<()>,
) -> Result<()> {
    let mut client = Client::connect(mppe)?;
    while let Some(due) = strike.due() {
        for _ in 0..due {
            act(&mut client, strike)?;
        }
        client.step()?;
        if client.is_over() {
            client = Client::connect(mppe).context("the attacker is not let in again")?;
        }
    }
    Ok(())
}

/// Echo-Requests and rubbish at sequence numbers all over the place.
pub(super) fn jumps(strike: &mut Strike) -> Result<()> {
    with_client(strike, MppePolicy::REQUIRE_128, |client, strike| {
        let ahead = strike.random() as u32;
        client.forge(ahead, &[0xff, 3, 0xc0, 0x21, 9, 1, 0, 8, 1, 2, 3, 4]);
        Ok(())
    })
}

/// Encrypted packets that claim to be thousands of keys ahead (stateless MPPE).
pub(super) fn forged_counts(strike: &mut Strike) -> Result<()> {
    with_client(strike, MppePolicy::REQUIRE_128, |client, strike| {
        let random = strike.random();
        let mut frame = vec![0x00, 0xfd, 0x90 | (random >> 8 & 15) as u8, random as u8];
        frame.extend(random.to_be_bytes().repeat(100));
        client.forge(1 << 20 | random as u32 >> 12, &frame);
        Ok(())
    })
}

/// Each asks the server to start its cipher anew (RFC 3078 §7.2).
pub(super) fn resets(strike: &mut Strike) -> Result<()> {
    let mppe = MppePolicy { stateful: Stateful::Preferred, ..MppePolicy::REQUIRE_128 };
    let mut ahead = 0;
    with_client(strike, mppe, |client, strike| {
        ahead += 1;
        client.forge(ahead, &[0x80, 0xfd, 14, strike.random() as u8, 0, 4]);
        Ok(())
    })
}

/// A UDP packet of a hundred bytes.
fn udp(source: Ipv4Addr, destination: Ipv4Addr) -> Vec<u8> {
    let mut packet = vec![0x45, 0, 0, 128, 0, 0, 0, 0, 64, 17, 0, 0];
    packet.extend(source.octets());
    packet.extend(destination.octets());
    let sum = packet
        .chunks(2)
        .fold(0_u32, |sum, pair| sum + u32::from(pair[0]) * 256 + u32::from(pair[1]));
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    // Ports 9 (discard), no checksum.
    packet.extend([0, 9, 0, 9, 0, 108, 0, 0]);
    packet.resize(128, 0x55);
    packet
}

/// Whole and well encrypted packets from addresses that are not the client's.
pub(super) fn spoofed_sources(strike: &mut Strike) -> Result<()> {
    with_client(strike, MppePolicy::REQUIRE_128, |client, strike| {
        let source = strike.some_source();
        client.send_ip(&udp(source, Ipv4Addr::new(192, 168, 77, 9)));
        Ok(())
    })
}

/// Packets to everybody.
pub(super) fn broadcasts(strike: &mut Strike) -> Result<()> {
    with_client(strike, MppePolicy::REQUIRE_128, |client, strike| {
        let Some(source) = client.address() else { return Ok(()) };
        let everybody = [Ipv4Addr::BROADCAST, Ipv4Addr::new(192, 168, 77, 255)];
        client.send_ip(&udp(source, everybody[(strike.random() & 1) as usize]));
        Ok(())
    })
}
