//! From an IP packet or a PPP frame to a GRE packet.

use core::ops::Range;

use crypto::mppe::{self, Sealer, SessionKey};
use wire::gre::Header;
use wire::ppp::Protocol;

use super::filter::Direction;
use super::ip::{self, Source};
use super::{DataPath, DropReason, clamp_mss};
use crate::Instant;

/// The most bytes that go in front of an IP packet: GRE with both numbers 16, address and control 2, protocol 2, MPPE header 2,
/// protocol inside 2.
pub const HEADROOM: usize = 24;

const ADDRESS_AND_CONTROL: [u8; 2] = [0xff, 0x03];

/// A protocol number, written in full.
const PROTOCOL: usize = 2;

/// A packet among many that is made. Ranges are of its buffer.
#[derive(Debug)]
pub struct Outbound {
    /// The GRE packet.
    pub packet: Range<usize>,
    /// What of it is still to be encrypted, and with which key ([`mppe::apply`]).
    pub seal: Option<(SessionKey, Range<usize>)>,
    /// TOS or traffic class of the IP packet.
    pub tos: u8,
    /// Whether the IP packet may not be fragmented.
    pub dont_fragment: bool,
}

/// Encrypts a body, or gives the key for it; and the MPPE header.
type Seal = fn(&mut Sealer, &mut [u8]) -> (u16, Option<SessionKey>);

fn seal_now(sealer: &mut Sealer, body: &mut [u8]) -> (u16, Option<SessionKey>) {
    (sealer.seal(body), None)
}

impl DataPath {
    /// Writes the GRE packet for an IP packet to the front of `out` and gives its length. `out` must have [`HEADROOM`] more bytes than the
    /// IP packet.
    ///
    /// # Errors
    ///
    /// The reason why the packet is dropped; it has been counted.
    pub fn outbound_ip(
        &mut self,
        now: Instant,
        packet: &[u8],
        out: &mut [u8],
    ) -> Result<usize, DropReason> {
        let start = self.prefix_len();
        let end = start + packet.len();
        let protocol = self.may_send(packet).and_then(|protocol| match out.len() {
            room if room < end => Err(DropReason::NoRoom),
            _ => Ok(protocol),
        });
        let protocol = protocol.map_err(|reason| self.count_drop(reason))?;
        out[start..end].copy_from_slice(packet);
        self.wrap_ip(now, protocol, out, start..end, seal_now);
        Ok(end)
    }

    /// Makes the GRE packet around an IP packet that lies at `packet` in `buffer`, and gives where the GRE packet lies. At least [`HEADROOM`]
    /// bytes must precede the IP packet.
    ///
    /// # Errors
    ///
    /// The reason why the packet is dropped; it has been counted.
    pub fn outbound_ip_in_place(
        &mut self,
        now: Instant,
        buffer: &mut [u8],
        packet: Range<usize>,
    ) -> Result<Range<usize>, DropReason> {
        self.place_ip(now, buffer, packet, seal_now).map(|outbound| outbound.packet)
    }

    /// As [`outbound_ip_in_place`](Self::outbound_ip_in_place), but leaves the encryption to be done for many packets at once.
    ///
    /// # Errors
    ///
    /// The reason why the packet is dropped; it has been counted.
    pub fn plan_outbound_ip(
        &mut self,
        now: Instant,
        buffer: &mut [u8],
        packet: Range<usize>,
    ) -> Result<Outbound, DropReason> {
        // With its cipher ready a packet costs less now than among many.
        let seal = if core::mem::take(&mut self.is_prepared) { seal_now } else { Sealer::plan };
        self.place_ip(now, buffer, packet, seal)
    }

    fn place_ip(
        &mut self,
        now: Instant,
        buffer: &mut [u8],
        packet: Range<usize>,
        seal: Seal,
    ) -> Result<Outbound, DropReason> {
        let start = packet.start.checked_sub(self.prefix_len()).ok_or(DropReason::NoRoom);
        let protocol = start.and_then(|start| {
            let bytes = buffer.get(packet.clone()).ok_or(DropReason::NoRoom)?;
            Ok((start, self.may_send(bytes)?))
        });
        let (start, protocol) = protocol.map_err(|reason| self.count_drop(reason))?;
        let end = packet.end;
        let (tos, dont_fragment) = {
            let packet = &buffer[packet.clone()];
            (ip::tos(packet), ip::dont_fragment(packet))
        };
        let inner = packet.start - start..end - start;
        let key = self.wrap_ip(now, protocol, &mut buffer[start..], inner, seal);
        let seal = key.map(|key| (key, packet.start - PROTOCOL..end));
        Ok(Outbound { packet: start..end, seal, tos, dont_fragment })
    }

    /// Writes the GRE packet for a whole PPP frame of [`Link`](crate::ppp::Link) to the front of `out` and gives its length, 16 more than the
    /// frame's at most.
    ///
    /// # Errors
    ///
    /// [`DropReason::NoRoom`] when `out` is too small, [`DropReason::Oversize`] when no GRE packet could hold the frame.
    pub fn outbound_frame(
        &mut self,
        now: Instant,
        frame: &[u8],
        out: &mut [u8],
    ) -> Result<usize, DropReason> {
        let start = self.gre_len();
        let end = start + frame.len();
        if frame.len() > usize::from(u16::MAX) {
            return Err(self.count_drop(DropReason::Oversize));
        }
        let Some(room) = out.get_mut(start..end) else {
            return Err(self.count_drop(DropReason::NoRoom));
        };
        room.copy_from_slice(frame);
        self.write_gre(now, frame.len(), out);
        Ok(end)
    }

    /// Writes a GRE packet that only acknowledges to the front of `out` and gives its length, 12. `None` when there is nothing to
    /// acknowledge or `out` is too small.
    pub fn ack_frame(&mut self, out: &mut [u8]) -> Option<usize> {
        let call_id = self.config.peer_call_id;
        let header = Header { call_id, seq: None, ack: self.sequencer.newest() };
        if !self.sequencer.wants_ack() || out.len() < header.wire_len() {
            return None;
        }
        self.sequencer.take_ack();
        header.emit(0, out);
        Some(header.wire_len())
    }

    /// The gates: which protocol an IP packet is sent as, if it may be.
    fn may_send(&mut self, packet: &[u8]) -> Result<Protocol, DropReason> {
        let permit = self.permit.ok_or(DropReason::NetworkClosed)?;
        let (len, source) = ip::inspect(packet).ok_or(DropReason::MalformedIp)?;
        let (protocol, open) = match source {
            Source::V4(_) => (Protocol::IPV4, permit.ipv4().is_some()),
            Source::V6(_) => (Protocol::IPV6, permit.ipv6().is_some()),
        };
        match () {
            () if !open => Err(DropReason::NetworkClosed),
            () if len != packet.len() => Err(DropReason::MalformedIp),
            () if len > usize::from(permit.mtu()) => Err(DropReason::Oversize),
            () if permit.encryption_required() && self.sealer.is_none() => Err(DropReason::NoKeys),
            () => self.filter(Direction::Out, protocol, packet).map(|()| protocol),
        }
    }

    /// What goes before the IP packet at `packet` in `out`, which has just the room for it; encrypts the packet, or gives the key for it.
    fn wrap_ip(
        &mut self,
        now: Instant,
        protocol: Protocol,
        out: &mut [u8],
        packet: Range<usize>,
        seal: Seal,
    ) -> Option<SessionKey> {
        if let Some(permit) = &self.permit {
            if self.config.clamp_mss {
                clamp_mss(&mut out[packet.clone()], permit.mtu());
            }
            self.traffic.sent(&out[packet.clone()], self.sequencer.next(), permit.mtu());
        }
        self.stats.sent_packets += 1;
        self.stats.sent_bytes += packet.len() as u64;
        let gre_len = self.gre_len();
        let mut at = gre_len;
        let mut put = |out: &mut [u8], bytes: &[u8]| {
            out[at..at + bytes.len()].copy_from_slice(bytes);
            at += bytes.len();
        };
        if !self.framing.acfc {
            put(out, &ADDRESS_AND_CONTROL);
        }
        let outer = if self.sealer.is_some() { Protocol::COMPRESSED } else { protocol };
        put(out, &outer.0.to_be_bytes()[usize::from(self.framing.pfc)..]);
        let mut key = None;
        if let Some(sealer) = &mut self.sealer {
            let body = packet.start - PROTOCOL;
            out[body..packet.start].copy_from_slice(&protocol.0.to_be_bytes());
            let (header, planned) = seal(sealer, &mut out[body..packet.end]);
            put(out, &header.to_be_bytes());
            key = planned;
        }
        self.write_gre(now, packet.end - gre_len, out);
        key
    }

    /// How many bytes go before an IP packet that is sent now.
    fn prefix_len(&self) -> usize {
        let address_and_control = if self.framing.acfc { 0 } else { ADDRESS_AND_CONTROL.len() };
        let protocol = if self.framing.pfc { 1 } else { PROTOCOL };
        let mppe = if self.sealer.is_some() { mppe::HEADER_LEN + PROTOCOL } else { 0 };
        self.gre_len() + address_and_control + protocol + mppe
    }

    fn gre_len(&self) -> usize {
        let ack = self.sequencer.wants_ack().then_some(0);
        Header { call_id: 0, seq: Some(0), ack }.wire_len()
    }

    /// Writes the header of a packet with a payload, with the next sequence number and the acknowledgement that is due.
    fn write_gre(&mut self, now: Instant, payload_len: usize, out: &mut [u8]) {
        let ack = self.sequencer.take_ack();
        let seq = Some(self.sequencer.take_next(now));
        let header = Header { call_id: self.config.peer_call_id, seq, ack };
        header.emit(payload_len, out);
    }
}
