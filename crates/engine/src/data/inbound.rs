//! From a GRE packet to what it carries.

use core::net::Ipv6Addr;
use core::ops::Range;

use crypto::mppe::{self, OpenError, Planned, SessionKey};
use wire::gre;
use wire::ppp::{self, Protocol};

use super::filter::Direction;
use super::ip::{self, Source};
use super::reorder::Expired;
use super::{
    AwaitingReset, DataPath, DropReason, FAR, FAR_STATEFUL, Inbound, MRU_SLACK, RESET_INTERVAL,
    Receiver, Stateful, clamp_mss,
};
use crate::Instant;
use crate::gre::{LEAP, Receive};
use crate::ppp::NetworkPermit;

/// A PPP frame inside a GRE packet, as ranges of the packet's buffer.
struct Frame {
    whole: Range<usize>,
    protocol: Protocol,
    information: Range<usize>,
    seq: u32,
}

impl Frame {
    fn is_encrypted(&self) -> bool {
        self.protocol == Protocol::COMPRESSED
    }
}

/// How an encrypted packet among many is opened: the caller decrypts `body` with the key that came with it ([`mppe::apply`]), then calls
/// [`DataPath::inbound_opened`].
#[derive(Debug)]
pub struct Plan {
    /// What the key decrypts, in the packet.
    pub body: Range<usize>,
    number: u64,
}

impl DataPath {
    /// Looks at one of many received packets, and changes nothing. `None`: it is to be given to [`inbound`](Self::inbound), in its turn.
    pub fn plan_inbound(&mut self, now: Instant, packet: &[u8]) -> Option<(SessionKey, Plan)> {
        let (header, frame) = parse(packet).ok()?;
        let frame = frame.filter(|frame| frame.protocol == Protocol::COMPRESSED)?;
        self.permit?;
        // One that begins again goes alone.
        let is_fresh =
            matches!(self.sequencer.classify(now, frame.seq), Receive::New { .. } | Receive::Late);
        let is_ours = header.call_id == self.config.our_call_id;
        if !is_fresh || !is_ours || frame.information.len() > self.longest_information() {
            return None;
        }
        let (mppe_header, body) = packet[frame.information.clone()].split_first_chunk()?;
        if body.is_empty() {
            return None;
        }
        let receiver = self.opener.as_mut()?;
        let distance = receiver.distance(frame.seq);
        match receiver.opener.plan(u16::from_be_bytes(*mppe_header), distance) {
            Ok(Planned::Key { number, key }) => {
                let body = frame.information.start + mppe::HEADER_LEN..frame.information.end;
                Some((key, Plan { body, number }))
            }
            Ok(Planned::Alone) | Err(_) => None,
        }
    }

    /// Takes a packet whose body has been decrypted as [`plan_inbound`](Self::plan_inbound) said. Packets are to be taken in the order in
    /// which they came, planned or not.
    pub fn inbound_opened(&mut self, now: Instant, plan: &Plan, packet: &mut [u8]) -> Inbound {
        let result = self.accept(now, packet).and_then(|frame| match frame {
            Some(frame) => self.opened(now, packet, &frame, plan.number),
            None => Ok(Inbound::AckOnly),
        });
        self.counted(result)
    }

    fn opened(
        &mut self,
        now: Instant,
        packet: &mut [u8],
        frame: &Frame,
        number: u64,
    ) -> Result<Inbound, DropReason> {
        let body = frame.information.start + mppe::HEADER_LEN..frame.information.end;
        let receiver = self.opener.as_mut().ok_or(DropReason::NoKeys)?;
        if !is_network_packet(&packet[body.clone()]) {
            return Err(DropReason::Undecryptable);
        }
        receiver.opener.commit(number).map_err(|_| DropReason::MppeTooOld)?;
        receiver.opened(frame.seq);
        self.commit(now, frame.seq, true);
        self.decrypted(packet, body)
    }

    /// Takes a received GRE packet, from its flags on, which has come from the peer's address; decrypts in place.
    ///
    /// After each call, and at [`held_deadline`](Self::held_deadline), call [`take_ready`](Self::take_ready) until it gives nothing.
    pub fn inbound(&mut self, now: Instant, packet: &mut [u8]) -> Inbound {
        let result = self.accept(now, packet).and_then(|frame| match frame {
            Some(frame) => self.dispatch(now, packet, frame, true),
            None => Ok(Inbound::AckOnly),
        });
        self.counted(result)
    }

    /// Takes a packet again for which [`inbound`](Self::inbound) gave [`Inbound::Early`].
    pub fn reinject(&mut self, now: Instant, packet: &mut [u8]) -> Inbound {
        let result = match parse(packet) {
            Ok((_, Some(frame))) => self.dispatch(now, packet, frame, false),
            Ok((_, None)) => Ok(Inbound::AckOnly),
            Err(reason) => Err(reason),
        };
        self.counted(result)
    }

    /// Copies the next packet that waits no longer into `buffer` and takes it from there: ranges in the answer are of `buffer`.
    pub fn take_ready(&mut self, now: Instant, buffer: &mut [u8]) -> Option<Inbound> {
        let packet = match self.stateful()?.reorder.take_ready() {
            Some(packet) => packet,
            None => {
                self.stateful()?.reorder.until().filter(|until| *until <= now)?;
                if self.give_up_waiting() == Expired::NeedsReset {
                    let result = self.needs_reset(now);
                    return Some(self.counted(result));
                }
                self.stateful()?.reorder.take_ready()?
            }
        };
        let Some(buffer) = buffer.get_mut(..packet.len()) else {
            return Some(self.counted(Err(DropReason::NoRoom)));
        };
        buffer.copy_from_slice(&packet);
        Some(self.reinject(now, buffer))
    }

    /// GRE: call id, acknowledgement, sequence number. `None`: nothing but an acknowledgement.
    fn accept(&mut self, now: Instant, packet: &[u8]) -> Result<Option<Frame>, DropReason> {
        let (header, frame) = parse(packet)?;
        if header.call_id != self.config.our_call_id {
            return Err(DropReason::WrongCall);
        }
        if let Some(ack) = header.ack {
            self.sequencer.acknowledged(now, ack);
            self.traffic.acknowledged(ack);
        }
        let Some(seq) = header.seq else { return Ok(None) };
        let is_encrypted = frame.as_ref().is_some_and(Frame::is_encrypted);
        match self.sequencer.classify(now, seq) {
            // As for `Restart`: what proves nothing has to be near, however long the silence was.
            Receive::New { distance }
                if distance > LEAP && self.opener.is_some() && !is_encrypted =>
            {
                return Err(DropReason::TooFar);
            }
            Receive::New { .. } | Receive::Late => {}
            // What is encrypted proves itself; what is not would let anybody who knows the peer's address and guesses the call id end the
            // session (LCP Terminate-Request).
            Receive::Restart if self.opener.is_none() || is_encrypted => {}
            Receive::Restart => return Err(DropReason::TooFar),
            Receive::Duplicate | Receive::TooOld | Receive::TooFar => {
                return Err(match self.sequencer.commit(now, seq) {
                    Receive::Duplicate => DropReason::Duplicate,
                    Receive::TooFar => DropReason::TooFar,
                    _ => DropReason::TooOld,
                });
            }
        }
        match frame {
            Some(frame) => Ok(Some(frame)),
            None => Err(DropReason::EmptyPayload),
        }
    }

    /// PPP: which way a frame goes. `fresh`: its sequence number still has to be committed.
    fn dispatch(
        &mut self,
        now: Instant,
        packet: &mut [u8],
        frame: Frame,
        fresh: bool,
    ) -> Result<Inbound, DropReason> {
        if frame.information.len() > self.longest_information() {
            return Err(DropReason::Oversize);
        }
        if frame.protocol == Protocol::COMPRESSED {
            return match (&self.opener, &self.permit) {
                (Some(_), Some(_)) => self.encrypted(now, packet, &frame, fresh),
                _ => Ok(self.early(now, frame, fresh)),
            };
        }
        let network = matches!(frame.protocol, Protocol::IPV4 | Protocol::IPV6);
        if network && self.opener.is_none() && self.permit.is_none() {
            return Ok(self.early(now, frame, fresh));
        }
        if !network {
            self.commit(now, frame.seq, fresh);
            return Ok(Inbound::Control(frame.whole));
        }
        if self.opener.is_some() || self.permit.is_some_and(|permit| permit.encryption_required()) {
            return Err(DropReason::Unencrypted);
        }
        let result = self.network(packet, frame.protocol, frame.information);
        // These are the peer's own packets, which arrived.
        if matches!(result, Ok(_) | Err(DropReason::Filtered | DropReason::Congestion)) {
            self.commit(now, frame.seq, fresh);
        }
        result
    }

    fn early(&mut self, now: Instant, frame: Frame, fresh: bool) -> Inbound {
        self.commit_unproven(now, frame.seq, fresh);
        Inbound::Early(frame.whole)
    }

    fn encrypted(
        &mut self,
        now: Instant,
        packet: &mut [u8],
        frame: &Frame,
        fresh: bool,
    ) -> Result<Inbound, DropReason> {
        let information = &packet[frame.information.clone()];
        let Some((header, body)) = information.split_first_chunk() else {
            return Err(DropReason::MalformedMppe);
        };
        let header = u16::from_be_bytes(*header);
        if header & mppe::ENCRYPTED == 0 || body.is_empty() {
            return Err(DropReason::MalformedMppe);
        }
        if self.must_wait(header) {
            self.commit_unproven(now, frame.seq, fresh);
            let whole = ..frame.whole.end;
            if let Some(stateful) = self.stateful() {
                stateful.reorder.hold(now, header, &packet[whole]);
            }
            return Ok(Inbound::Held);
        }
        let body = frame.information.start + mppe::HEADER_LEN..frame.information.end;
        if let Err(error) = self.open(now, header, frame.seq, &mut packet[body.clone()]) {
            return self.not_opened(now, frame.seq, fresh, error);
        }
        self.commit(now, frame.seq, fresh);
        self.decrypted(packet, body)
    }

    /// What was in MPPE.
    fn decrypted(&mut self, packet: &mut [u8], body: Range<usize>) -> Result<Inbound, DropReason> {
        let (protocol, information) =
            ppp::split(&packet[body.clone()]).map_err(|_| DropReason::Undecryptable)?;
        let information = body.end - information.len()..body.end;
        self.network(packet, protocol, information)
    }

    /// The most bytes that may follow the protocol number in a frame.
    fn longest_information(&self) -> usize {
        usize::from(self.framing.our_mru.max(super::DEFAULT_MRU)) + MRU_SLACK
    }

    fn open(
        &mut self,
        now: Instant,
        header: u16,
        seq: u32,
        body: &mut [u8],
    ) -> Result<(), OpenError> {
        let Some(receiver) = &mut self.opener else { return Err(OpenError::NotEncrypted) };
        let distance = receiver.distance(seq);
        let near = match receiver.stateful {
            None => FAR,
            // Without a fresh start of the cipher it costs no key change, however far it is.
            Some(_) if header & mppe::FLUSHED == 0 => u32::MAX,
            Some(_) => FAR_STATEFUL,
        };
        if distance > near && !receiver.far.take(now) {
            return Err(OpenError::TooFar { advance: distance, allowed: near });
        }
        receiver.opener.open(header, distance, body, is_network_packet)?;
        receiver.opened(seq);
        if let Some(stateful) = &mut receiver.stateful {
            // After a loss only a fresh start of the cipher brings the order back.
            if header & mppe::FLUSHED != 0 {
                stateful.awaiting_reset = None;
            }
            stateful.reorder.opened(header);
        }
        Ok(())
    }

    fn not_opened(
        &mut self,
        now: Instant,
        seq: u32,
        fresh: bool,
        error: OpenError,
    ) -> Result<Inbound, DropReason> {
        match error {
            OpenError::NotEncrypted => Err(DropReason::MalformedMppe),
            OpenError::TooOld => Err(DropReason::MppeTooOld),
            OpenError::TooFar { .. } => Err(DropReason::MppeTooFar),
            OpenError::NeedsReset => {
                self.commit_unproven(now, seq, fresh);
                self.needs_reset(now)
            }
            OpenError::Insane => Err(DropReason::Undecryptable),
        }
    }

    /// IP: the gates, and the MSS of TCP.
    fn network(
        &mut self,
        packet: &mut [u8],
        protocol: Protocol,
        information: Range<usize>,
    ) -> Result<Inbound, DropReason> {
        let permit = self.permit.ok_or(DropReason::NetworkClosed)?;
        let bytes = &mut packet[information.clone()];
        let (len, source) = ip::inspect(bytes).ok_or(DropReason::MalformedIp)?;
        let bytes = &mut bytes[..len];
        let checked = check_network(&permit, protocol, source, self.config.check_source);
        if let (Err(DropReason::SpoofedSource), Source::V4(source)) = (checked, source) {
            self.traffic.spoofed(source);
        }
        checked?;
        self.filter(Direction::In, protocol, bytes)?;
        if !ip::take_over_ecn(bytes, self.outer_ecn) {
            return Err(DropReason::Congestion);
        }
        if self.config.clamp_mss {
            clamp_mss(bytes, permit.mtu());
        }
        self.traffic.received(bytes);
        self.stats.received_packets += 1;
        self.stats.received_bytes += len as u64;
        Ok(Inbound::Ip(information.start..information.start + len))
    }

    fn commit(&mut self, now: Instant, seq: u32, fresh: bool) {
        if fresh {
            self.sequencer.commit(now, seq);
        }
    }

    /// As [`commit`](Self::commit), for a packet that has not been opened: one that begins anew has to be.
    fn commit_unproven(&mut self, now: Instant, seq: u32, fresh: bool) {
        let begins_anew = self.sequencer.classify(now, seq) == Receive::Restart;
        self.commit(now, seq, fresh && !(begins_anew && self.opener.is_some()));
    }

    fn counted(&mut self, result: Result<Inbound, DropReason>) -> Inbound {
        result.unwrap_or_else(|reason| Inbound::Drop(self.count_drop(reason)))
    }

    fn stateful(&mut self) -> Option<&mut Stateful> {
        self.opener.as_mut()?.stateful.as_deref_mut()
    }

    fn must_wait(&mut self, header: u16) -> bool {
        self.stateful().is_some_and(|stateful| {
            let could_help = match stateful.awaiting_reset {
                None => true,
                Some(awaiting) => awaiting.acked && header & mppe::FLUSHED == 0,
            };
            could_help && stateful.reorder.must_wait(header)
        })
    }

    fn give_up_waiting(&mut self) -> Expired {
        let Some(stateful) = self.stateful() else { return Expired::GoOn };
        let (expired, lost) = stateful.reorder.expire();
        for _ in 0..lost {
            self.count_drop(DropReason::AwaitingReset);
        }
        expired
    }

    fn needs_reset(&mut self, now: Instant) -> Result<Inbound, DropReason> {
        let Some(stateful) = self.stateful() else { return Err(DropReason::Undecryptable) };
        match stateful.awaiting_reset {
            Some(awaiting) if now - awaiting.since < RESET_INTERVAL => {
                Err(DropReason::AwaitingReset)
            }
            _ => {
                stateful.awaiting_reset = Some(AwaitingReset { since: now, acked: false });
                Ok(Inbound::ResetNeeded)
            }
        }
    }
}

impl Receiver {
    /// How far a sequence number is ahead of the newest packet opened; 0 for one behind it.
    fn distance(&self, seq: u32) -> u32 {
        let ahead = seq.wrapping_sub(self.newest);
        if ahead < 1 << 31 { ahead } else { 0 }
    }

    fn opened(&mut self, seq: u32) {
        if self.distance(seq) > 0 {
            self.newest = seq;
        }
    }
}

/// The GRE header and the PPP frame, if there is one.
fn parse(packet: &[u8]) -> Result<(gre::Header, Option<Frame>), DropReason> {
    let (header, payload) = gre::parse(packet).map_err(|_| DropReason::MalformedGre)?;
    let Some(seq) = header.seq.filter(|_| !payload.is_empty()) else {
        return if payload.is_empty() { Ok((header, None)) } else { Err(DropReason::MalformedGre) };
    };
    let (protocol, information) = ppp::split(payload).map_err(|_| DropReason::MalformedPpp)?;
    if information.is_empty() {
        return Err(DropReason::MalformedPpp);
    }
    let start = header.wire_len();
    let end = start + payload.len();
    let frame =
        Frame { whole: start..end, protocol, information: end - information.len()..end, seq };
    Ok((header, Some(frame)))
}

/// What an opened MPPE packet must look like. Inside MPPE peers write the protocol in two bytes whatever was agreed; one byte is
/// taken too.
fn is_network_packet(plain: &[u8]) -> bool {
    let Ok((protocol, information)) = ppp::split(plain) else { return false };
    let version = match protocol {
        Protocol::IPV4 => 4,
        Protocol::IPV6 => 6,
        _ => return false,
    };
    information.first().is_some_and(|first| first >> 4 == version) && ip::is_certain(information)
}

/// Whether the permit covers a packet of this protocol and source.
fn check_network(
    permit: &NetworkPermit,
    protocol: Protocol,
    source: Source,
    check_source: bool,
) -> Result<(), DropReason> {
    let allowed = match (protocol, source) {
        (Protocol::IPV4, Source::V4(source)) => {
            let agreed = permit.ipv4().ok_or(DropReason::NetworkClosed)?;
            source == agreed.remote
        }
        (Protocol::IPV6, Source::V6(source)) => {
            let agreed = permit.ipv6().ok_or(DropReason::NetworkClosed)?;
            is_from_interface(source, agreed.remote_id)
        }
        _ => return Err(DropReason::MalformedIp),
    };
    if allowed || !check_source { Ok(()) } else { Err(DropReason::SpoofedSource) }
}

/// IPV6CP agrees on an interface identifier: any unicast address that ends in it is the peer's, and so is the unspecified address of
/// duplicate address detection.
fn is_from_interface(source: Ipv6Addr, identifier: [u8; 8]) -> bool {
    source.is_unspecified() || !source.is_multicast() && source.octets()[8..] == identifier
}
