//! One call in its worker.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::mem;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use engine::data::{DataPath, DropReason, HEADROOM, Inbound, Outbound, Plan};
use engine::{Instant, TokenBucket};
use sys::tun::{self, OFFLOAD_HEADER_LEN, OffloadHeader, Offloads, Tun};
use wire::gre;

use super::Io;
use super::limit::{BURST, OncePerSecond, Trace};
use super::outbox::{Marks, Route};
use crate::hops::{Ends, Way};
use crate::offload::{Header, Split};
use crate::oversize::{self, Fragments};
use crate::{Command, Counters, First, FragmentPolicy, IoMode, NewCall, Notice, TosPolicy};

/// How many packets are kept that came before their keys or network protocol.
const MAX_EARLY: usize = 8;
/// How long they are kept.
const EARLY_LIFETIME: Duration = Duration::from_secs(1);

/// After how long without IP packets a call is idle.
pub(super) const IDLE_AFTER: Duration = Duration::from_secs(10);

/// What an idle call costs its worker: this, and its figures.
const _: () = assert!(size_of::<Session>() <= 792 && size_of::<Counters>() <= 160);

/// Whole GRE packets, and when they came.
type Early = VecDeque<(Instant, Vec<u8>)>;

/// One call: the packet path, the interface, the figures.
pub(super) struct Session {
    pub(super) call: u16,
    pub(super) generation: u64,
    pub(super) route: Route,
    tos: TosPolicy,
    fragments: FragmentPolicy,
    pub(super) path: DataPath,
    pub(super) tun: Option<Box<Tun>>,
    pub(super) counters: Arc<Counters>,
    /// Packets that came too early.
    early: Option<Box<Early>>,
    control_frames: TokenBucket,
    dhcp: OncePerSecond,
    trace: Option<Box<Trace>>,
    /// The deadline that is set in the worker's timers.
    pub(super) armed: Option<Instant>,
    /// When to look whether it is idle, while it holds memory that only a busy call needs.
    pub(super) release_at: Option<Instant>,
    /// Whether it is among the worker's touched calls.
    pub(super) touched: bool,
    /// By [`First`].
    happened: [bool; 4],
    has_failed_to_send: bool,
    /// When the last IP packet went either way, whether it counts as traffic or not.
    moved: Instant,
}

impl Session {
    pub(super) fn new(call: NewCall, counters: Arc<Counters>) -> Self {
        let mut path = DataPath::new(call.path);
        path.set_far_per_second(call.bounds.far_packets);
        Self {
            call: call.path.our_call_id,
            generation: call.generation,
            route: Route::new(Ends { peer: call.peer, local: call.local }, call.path.our_call_id),
            tos: call.tos,
            fragments: call.fragments,
            path,
            tun: None,
            counters,
            early: None,
            control_frames: TokenBucket::new(BURST, call.bounds.control_frames, Instant::ZERO),
            dhcp: OncePerSecond::default(),
            trace: call.trace.then(|| Box::new(Trace::new())),
            armed: None,
            release_at: None,
            touched: false,
            happened: [false; 4],
            has_failed_to_send: false,
            moved: Instant::ZERO,
        }
    }

    /// Sets the way to the peer, if that is still between these addresses.
    pub(super) fn set_way(&mut self, ends: Ends, way: Option<Way>) {
        if self.route.ends == ends {
            self.route.way = way;
        }
    }

    /// Puts it among the touched calls, once.
    pub(super) fn touch(&mut self, touched: &mut Vec<u16>) {
        if !mem::replace(&mut self.touched, true) {
            touched.push(self.call);
        }
    }

    /// Whether an IP packet has gone either way in this wake-up.
    pub(super) fn has_moved(&self, now: Instant) -> bool {
        self.moved == now
    }

    /// Gives back the memory that only a busy call needs, unless it has been busy in the last [`IDLE_AFTER`]: then when to look again.
    pub(super) fn release_if_idle(&mut self, now: Instant) -> Option<Instant> {
        let idle_at = self.moved + IDLE_AFTER;
        if idle_at > now {
            return Some(idle_at);
        }
        self.path.release();
        None
    }

    /// Carries out any command but [`Command::Remove`], which is the worker's.
    pub(super) fn carry_out(&mut self, io: &mut Io, command: Command) {
        match command {
            Command::Frame(frame) => return self.send_frame(io, &frame),
            Command::Packet(packet) => return self.send_packet(io, &packet),
            Command::Framing(framing) => self.path.set_framing(framing),
            Command::Keys(keys) => self.path.install_keys(&keys),
            Command::KeysGone => self.path.remove_keys(),
            Command::ResetTransmit => self.path.reset_transmit(),
            Command::ReceiveResetAcked => self.path.receive_reset_acked(io.now),
            Command::Filters(filters) => self.path.set_filters(filters),
            Command::OpenNetwork { permit, tun } => {
                self.path.open_network(permit);
                self.tun = tun.map(Box::new).or(self.tun.take());
            }
            Command::CloseNetwork => self.path.close_network(),
            Command::ReportTraffic => {
                let traffic = Box::new(*self.path.traffic());
                let (call, generation) = (self.call, self.generation);
                // A report that finds no room is asked for again.
                io.notify(Notice::Traffic { call, generation, traffic });
                return;
            }
            Command::Remove => return,
        }
        self.replay_early(io);
    }

    /// Takes a GRE packet from the peer, decrypted already if there was a plan. What is to be written to the interface is given back: where
    /// it lies in `packet`, and what the interface takes. Then, when [`DataPath::has_held`], [`take_ready`](Self::take_ready) is wanted.
    pub(super) fn receive(
        &mut self,
        io: &mut Io,
        packet: &mut [u8],
        outer_tos: u8,
        plan: Option<&Plan>,
    ) -> Option<(Range<usize>, Offloads)> {
        self.first(io, First::GreReceived);
        self.path.set_outer_ecn(outer_tos & 3);
        let newest = self.path.newest_received();
        let inbound = match plan {
            Some(plan) => self.path.inbound_opened(io.now, plan, packet),
            None => self.path.inbound(io.now, packet),
        };
        self.path.set_outer_ecn(0);
        if self.trace.is_some() {
            self.trace_packet(io, packet, newest, &inbound);
        }
        match inbound {
            Inbound::Ip(range) => {
                self.arrived(io, &packet[range.clone()]);
                let tun = io.interface(self.tun.as_deref());
                if tun.is_none() {
                    self.counters.no_interface().add_one();
                }
                return tun.map(|tun| (range, tun.offloads()));
            }
            Inbound::Early(frame) => {
                if self.keep_early(io.now, packet) {
                    // An encrypted one tells the link that the peer has its keys.
                    self.deliver_frame(io, &packet[frame]);
                }
            }
            // Without an IP packet no interface can fail.
            inbound => drop(self.deliver(io, packet, inbound)),
        }
        None
    }

    /// Where `count` packets are to be written; without an interface they are counted.
    pub(super) fn interface<'a>(&'a self, io: &'a Io, count: usize) -> Option<&'a Tun> {
        let tun = io.interface(self.tun.as_deref());
        if tun.is_none() {
            self.counters.no_interface().add(count as u64);
        }
        tun
    }

    /// The interface did not take `count` packets. The error is given back when it says that the call's own interface is gone; that a shared one
    /// is gone shows when it is read.
    pub(super) fn not_written(&self, error: io::Error, count: usize) -> Option<io::Error> {
        self.counters.no_interface().add(count as u64);
        (self.tun.is_some() && tun::is_gone(&error)).then_some(error)
    }

    /// Does what is due. An error is that of the interface, which is gone.
    pub(super) fn handle_timeout(&mut self, io: &mut Io) -> Option<io::Error> {
        if self.path.ack_deadline().is_some_and(|deadline| deadline <= io.now) {
            self.send_ack(io);
        }
        self.take_ready(io)
    }

    /// The next deadline. Sends an acknowledgement that is due already.
    pub(super) fn deadline(&mut self, io: &mut Io) -> Option<Instant> {
        if self.path.ack_deadline().is_some_and(|deadline| deadline <= io.now) {
            self.send_ack(io);
        }
        [self.path.ack_deadline(), self.path.held_deadline()].into_iter().flatten().min()
    }

    /// Reads the next packet or super-packet from the interface and sends it to the peer. Gives how many bytes that were; `None`: there is
    /// none.
    ///
    /// # Errors
    ///
    /// Those of the interface, which is gone.
    pub(super) fn send_next(&mut self, io: &mut Io) -> io::Result<Option<usize>> {
        let Some(tun) = &self.tun else { return Ok(None) };
        let mut header = [0; OFFLOAD_HEADER_LEN];
        let len = match tun.read(&mut header, &mut io.super_packet) {
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error),
        };
        let buffer = mem::take(&mut io.super_packet);
        self.send(io, &header, &buffer[..len]);
        io.super_packet = buffer;
        Ok(Some(len))
    }

    /// Sends a packet or super-packet that an interface gave to the peer.
    pub(super) fn send(&mut self, io: &mut Io, header: &OffloadHeader, packet: &[u8]) {
        if let Err(reason) = self.send_split(io, header, packet) {
            self.path.refuse(reason);
        }
    }

    /// Sends the packets that a read gave. Those that the packet path refuses are counted there.
    ///
    /// # Errors
    ///
    /// Why the rest could not be split; it has not been counted.
    fn send_split(
        &mut self,
        io: &mut Io,
        header: &OffloadHeader,
        packet: &[u8],
    ) -> Result<(), DropReason> {
        let header = Header::parse(header).ok_or(DropReason::MalformedIp)?;
        let mut split = Split::new(&header, packet).map_err(|_| DropReason::MalformedIp)?;
        while split.next_len().is_some() {
            let room = io.outgoing.room();
            let len = split.write_next(&mut room[HEADROOM..]).ok_or(DropReason::NoRoom)?;
            // An interface of the call's own has its MTU.
            match self.path.mtu().filter(|mtu| self.tun.is_none() && len > usize::from(*mtu)) {
                Some(mtu) => self.send_oversize(io, len, mtu),
                None => self.send_written(io, len),
            }
        }
        Ok(())
    }

    /// Sends the IP packet of `len` bytes that was written behind the headroom of the next packet's room.
    fn send_written(&mut self, io: &mut Io, len: usize) {
        let packet = HEADROOM..HEADROOM + len;
        let room = io.outgoing.room();
        let planned = match io.mode {
            IoMode::Batched => self.path.plan_outbound_ip(io.now, room, packet),
            IoMode::Naive => {
                let packet = self.path.outbound_ip_in_place(io.now, room, packet);
                packet.map(|packet| Outbound { packet, seal: None, tos: 0, dont_fragment: false })
            }
        };
        if let Ok(Outbound { packet, seal, tos, dont_fragment }) = planned {
            let marks = Marks {
                tos: self.tos.outer(tos),
                dont_fragment: self.fragments.forbidden(dont_fragment),
            };
            io.outgoing.push(packet, seal, &self.route.next(), marks);
            self.note_activity(io);
            self.first(io, First::GreSent);
            self.first(io, First::PacketSent);
            io.flush_if_full(self.path.send_keys());
        }
    }

    /// As [`send_written`](Self::send_written), for a packet that the shared interface let through and this call cannot carry: in fragments, or
    /// the sender is told.
    #[cold]
    fn send_oversize(&mut self, io: &mut Io, len: usize, mtu: u16) {
        let mut scratch = mem::take(&mut io.scratch);
        let packet = &mut scratch[..len];
        packet.copy_from_slice(&io.outgoing.room()[HEADROOM..HEADROOM + len]);
        if let Some(mut fragments) = Fragments::new(packet, mtu) {
            while let Some(len) = fragments.write_next(&mut io.outgoing.room()[HEADROOM..]) {
                self.send_written(io, len);
            }
        } else {
            self.path.refuse(DropReason::Oversize);
            if let Some(shared) = &mut io.shared
                && let Some((error, len)) = oversize::fragmentation_needed(packet, mtu)
                && shared.too_big.take(io.now)
            {
                let header = Header::default().emit();
                // An interface that is down, or gone, shows with the next packet.
                let error = [IoSlice::new(&header), IoSlice::new(&error[..len])];
                let _ = shared.tun().map(|tun| tun.write(&error));
            }
        }
        io.scratch = scratch;
    }

    /// A packet of this call could not be sent.
    pub(super) fn not_sent(&mut self, error: io::Error) -> Option<Notice> {
        self.counters.not_sent().add_one();
        if mem::replace(&mut self.has_failed_to_send, true) {
            return None;
        }
        Some(Notice::NotSent { call: self.call, generation: self.generation, error })
    }

    /// Tells that the interface has been lost.
    pub(super) fn interface_gone(&mut self, io: &mut Io, error: io::Error) {
        io.notify(Notice::InterfaceGone { call: self.call, generation: self.generation, error });
    }

    /// The last notice about this call.
    pub(super) fn removed(&self) -> Notice {
        self.counters.publish(&self.path);
        let counters = Box::new(self.counters.snapshot());
        Notice::Removed { call: self.call, generation: self.generation, counters }
    }

    /// Those of packets that carry none of the network's.
    fn own_marks(&self) -> Marks {
        Marks { tos: 0, dont_fragment: self.fragments.forbidden(false) }
    }

    fn send_frame(&mut self, io: &mut Io, frame: &[u8]) {
        // A frame that does not fit is counted by the packet path.
        if let Ok(len) = self.path.outbound_frame(io.now, frame, io.outgoing.room()) {
            io.outgoing.push(0..len, None, &self.route.next(), self.own_marks());
            self.first(io, First::GreSent);
            io.flush_if_full(self.path.send_keys());
        }
    }

    fn send_packet(&mut self, io: &mut Io, packet: &[u8]) {
        // Refused packets are counted by the packet path.
        if let Ok(len) = self.path.outbound_ip(io.now, packet, io.outgoing.room()) {
            io.outgoing.push(0..len, None, &self.route.next(), self.own_marks());
            io.flush_if_full(self.path.send_keys());
        }
        // What this server itself says is no traffic.
        self.path.take_activity();
    }

    fn send_ack(&mut self, io: &mut Io) {
        if let Some(len) = self.path.ack_frame(io.outgoing.room()) {
            io.outgoing.push(0..len, None, &self.route.next(), self.own_marks());
            io.flush_if_full(self.path.send_keys());
        }
    }

    /// What becomes of a received packet. An error is that of the interface, which is gone.
    fn deliver(&mut self, io: &mut Io, packet: &[u8], inbound: Inbound) -> Option<io::Error> {
        match inbound {
            Inbound::Ip(range) => return self.deliver_ip(io, &packet[range]),
            Inbound::Control(range) => self.deliver_frame(io, &packet[range]),
            Inbound::ResetNeeded => {
                io.notify(Notice::ResetNeeded { call: self.call, generation: self.generation });
            }
            Inbound::Early(_) | Inbound::Held | Inbound::AckOnly | Inbound::Drop(_) => {}
        }
        None
    }

    fn deliver_ip(&mut self, io: &mut Io, packet: &[u8]) -> Option<io::Error> {
        self.arrived(io, packet);
        let header = Header::default().emit();
        let written = self.interface(io, 1)?.write(&[IoSlice::new(&header), IoSlice::new(packet)]);
        self.not_written(written.err()?, 1)
    }

    /// An IP packet has passed, which may count as traffic.
    fn note_activity(&mut self, io: &Io) {
        self.moved = io.now;
        if self.path.take_activity() {
            self.counters.last_activity().set(io.now.as_nanos());
        }
    }

    /// An IP packet came that was allowed into the network.
    fn arrived(&mut self, io: &Io, packet: &[u8]) {
        self.note_activity(io);
        self.first(io, First::PacketReceived);
        if is_dhcp_request(packet) && self.dhcp.allow(io.now).is_some() {
            let (call, generation, packet) = (self.call, self.generation, packet.to_vec());
            io.notify(Notice::DhcpRequest { call, generation, packet });
        }
    }

    fn deliver_frame(&mut self, io: &mut Io, frame: &[u8]) {
        let (call, generation) = (self.call, self.generation);
        let taken = self.control_frames.take(io.now)
            && io.notify(Notice::Frame { call, generation, frame: frame.to_vec() });
        if !taken {
            self.counters.frames_refused().add_one();
        }
    }

    /// Packets that waited for another which has come, or waited long enough. An error is that of the interface, which is gone.
    pub(super) fn take_ready(&mut self, io: &mut Io) -> Option<io::Error> {
        let mut gone = None;
        let mut scratch = mem::take(&mut io.scratch);
        while let Some(inbound) = self.path.take_ready(io.now, &mut scratch) {
            gone = self.deliver(io, &scratch, inbound).or(gone);
        }
        io.scratch = scratch;
        gone
    }

    /// Keeps a packet that came too early, if there is room.
    fn keep_early(&mut self, now: Instant, packet: &[u8]) -> bool {
        let early = self.early.get_or_insert_default();
        let room = early.len() < MAX_EARLY;
        if room {
            early.push_back((now, packet.to_vec()));
        } else {
            self.counters.early_dropped().add_one();
        }
        room
    }

    /// Gives the packets that came too early another chance. An interface that is gone shows again with the next packet.
    fn replay_early(&mut self, io: &mut Io) {
        let Some(mut early) = self.early.take() else { return };
        for _ in 0..early.len() {
            let Some((came, mut packet)) = early.pop_front() else { break };
            if io.now - came > EARLY_LIFETIME {
                self.counters.early_dropped().add_one();
                continue;
            }
            match self.path.reinject(io.now, &mut packet) {
                Inbound::Early(_) => early.push_back((came, packet)),
                inbound => {
                    self.deliver(io, &packet, inbound);
                }
            }
        }
        self.early = Some(early).filter(|early| !early.is_empty());
    }

    /// Tells about a packet that came when `newest` was the newest sequence number.
    #[cold]
    fn trace_packet(&mut self, io: &Io, packet: &[u8], newest: Option<u32>, inbound: &Inbound) {
        let (call, generation) = (self.call, self.generation);
        let Some(trace) = &mut self.trace else { return };
        let Some(seq) = gre::parse(packet).ok().and_then(|(header, _)| header.seq) else { return };
        let Some(suppressed) = trace.allow(io.now) else { return };
        let expected = newest.map(|newest| newest.wrapping_add(1));
        let dropped = match inbound {
            Inbound::Drop(reason) => Some(*reason),
            _ => None,
        };
        io.notify(Notice::Packet { call, generation, seq, expected, dropped, suppressed });
    }

    fn first(&mut self, io: &Io, what: First) {
        if !mem::replace(&mut self.happened[what as usize], true) {
            io.notify(Notice::First { call: self.call, generation: self.generation, what });
        }
    }
}

/// Whether an IP packet is UDP over IPv4 without options, to everybody's port 67. The destination settles it for nearly every packet.
fn is_dhcp_request(packet: &[u8]) -> bool {
    const UDP: u8 = 17;
    const SERVER_PORT: [u8; 2] = [0, 67];
    packet.get(16..20) == Some(&[255; 4])
        && packet[0] == 0x45
        && packet[9] == UDP
        && packet.get(22..24) == Some(&SERVER_PORT)
}

#[cfg(test)]
mod tests {
    use crypto::mppe::{Mode, StartKey, Strength};
    use engine::data::Config;
    use engine::ppp::{DirectionKeys, Keys};

    use super::*;
    use crate::Bounds;

    #[test]
    fn an_idle_call_holds_no_keys_ahead() {
        let path = Config { our_call_id: 1, peer_call_id: 2, check_source: true, clamp_mss: true };
        let (peer, local) = ([10, 9, 0, 2].into(), [10, 9, 0, 1].into());
        let (tos, fragments, trace) = (TosPolicy::Clear, FragmentPolicy::Allow, false);
        let bounds = Bounds::default();
        let call = NewCall { generation: 1, peer, local, path, tos, fragments, bounds, trace };
        let mut session = Session::new(call, Arc::default());
        let keys = DirectionKeys {
            start: StartKey::from_bytes([7; 16]),
            strength: Strength::Bits128,
            mode: Mode::Stateless,
        };
        session.path.install_keys(&Keys { send: keys.clone(), receive: keys });
        assert!(!session.path.is_holding());
        let start = Instant::from_nanos(1 << 40);
        session.moved = start;
        assert!(session.has_moved(start));
        session.path.prepare();
        let again = session.release_if_idle(start + Duration::from_secs(1));
        assert_eq!(again, Some(start + IDLE_AFTER));
        assert!(session.path.is_holding());
        assert_eq!(session.release_if_idle(start + IDLE_AFTER), None);
        assert!(!session.path.is_holding());
    }
}
