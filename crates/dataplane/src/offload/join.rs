//! From packets that came through the tunnel to super-packets.

use std::mem;
use std::slice;

use sys::tun::{OffloadHeader, Offloads};

use super::checksum;
use super::flow::{
    ACK, CWR, FIN, Layout, PSH, RST, SYN, TCP, TCP_ACK, TCP_CHECKSUM, TCP_FLAGS, TCP_SEQ,
    TCP_URGENT, TCP_WINDOW, UDP, UDP_LEN, URG, u16_at, u32_at,
};
use super::{Header, Segmentation};

/// The most packets that are joined at a time.
pub const MAX_PIECES: usize = 64;

/// The longest IP packet.
const MAX_LEN: usize = 0xffff;

/// An IPv4 header without options: version 4, five words.
const PLAIN_V4: u8 = 0x45;
/// Don't Fragment, in the seventh byte of an IPv4 header.
const DONT_FRAGMENT: u8 = 0x40;
/// Flags that may differ between the segments of a run.
const LOOSE_FLAGS: u8 = FIN | PSH | CWR;

/// The IP packets that a [`Join`] is about, by numbers of the caller's.
pub trait Packets {
    /// One of them.
    fn packet(&self, id: usize) -> &[u8];
    /// One of them, to be changed.
    fn packet_mut(&mut self, id: usize) -> &mut [u8];
}

/// Puts packets of one flow together that follow each other without a gap: what the kernel calls GRO, with its rules.
///
/// MPPE protects nothing against changes, and a super-packet vouches for its parts' checksums: so each is verified first. What differs in
/// anything but what a split restores is not joined. The order within a flow is kept, that between flows is that of their first packets.
/// Nothing is allocated after [`new`](Self::new).
#[derive(Debug)]
pub struct Join {
    members: Vec<Member>,
    runs: Vec<Run>,
}

/// A packet, in the chain of its run.
#[derive(Clone, Copy, Debug)]
struct Member {
    id: usize,
    next: Option<usize>,
}

/// Packets that become one.
#[derive(Clone, Copy, Debug)]
struct Run {
    owner: u16,
    /// `None`: neither TCP nor UDP, never joined.
    layout: Option<Layout>,
    /// Of its flow.
    hash: u32,
    /// Whether another packet may follow.
    is_open: bool,
    /// Whether the first packet's checksums have been verified.
    is_verified: bool,
    /// Places in `members`.
    first: usize,
    last: usize,
    count: usize,
    /// Bytes of payload: of each packet but the last, and of all.
    size: usize,
    total: usize,
    /// What the IPv4 identification goes on by: nothing is allowed where fragments are not (RFC 6864 §4.1).
    id_step: Option<u16>,
    /// What is left to do to it.
    header: Header,
}

/// The packets that a [`Join`] gives, each as one or as part of a super-packet.
#[derive(Debug)]
pub struct Joined<'a, P> {
    runs: slice::Iter<'a, Run>,
    members: &'a [Member],
    packets: &'a P,
}

/// A packet or super-packet of a [`Join`].
#[derive(Debug)]
pub struct Whole<'a, P> {
    /// Whose it is.
    pub owner: u16,
    /// How many packets it holds.
    pub count: usize,
    /// What is left to do to it.
    pub header: OffloadHeader,
    /// What it consists of.
    pub pieces: Pieces<'a, P>,
}

/// The pieces of a [`Whole`], in order: the first packet, and the payload of those that follow.
#[derive(Debug)]
pub struct Pieces<'a, P> {
    members: &'a [Member],
    packets: &'a P,
    /// The place of the next one.
    next: Option<usize>,
    /// Where the payload begins in all but the first.
    payload: usize,
    is_first: bool,
}

impl Default for Join {
    fn default() -> Self {
        Self::new()
    }
}

impl Join {
    /// One without packets.
    #[must_use]
    pub fn new() -> Self {
        Self { members: Vec::with_capacity(MAX_PIECES), runs: Vec::with_capacity(MAX_PIECES) }
    }

    /// Whether no packet can be added before they are [taken](Self::take).
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.members.len() == MAX_PIECES
    }

    /// Adds the packet `id` of `packets`. Only packets of the same `owner` are joined, as `offloads` allow.
    ///
    /// # Panics
    ///
    /// When it [is full](Self::is_full).
    pub fn add(&mut self, owner: u16, id: usize, packets: &impl Packets, offloads: Offloads) {
        assert!(!self.is_full(), "more packets than are joined at a time");
        let packet = packets.packet(id);
        let member = self.members.len();
        self.members.push(Member { id, next: None });
        let layout = Layout::of(packet);
        let hash = layout.map_or(0, |layout| hash(&layout, packet));
        let mut run = Run {
            owner,
            layout,
            hash,
            is_open: false,
            is_verified: false,
            first: member,
            last: member,
            count: 1,
            size: 0,
            total: 0,
            id_step: None,
            header: Header::default(),
        };
        let Some(layout) = layout else { return self.runs.push(run) };
        run.size = packet.len() - layout.payload;
        run.total = run.size;
        let can_join = is_joinable(&layout, packet, offloads);
        if let Some(open) = self.open_run(&run, packets) {
            if can_join && self.extends(open, &layout, packet, packets) {
                return self.extend(open, member, packet);
            }
            self.runs[open].is_open = false;
        }
        run.is_open = can_join && !ends_run(&layout, packet);
        self.runs.push(run);
    }

    /// Takes all packets out, in the order of the runs' first packets. Changes the headers of packets that are joined.
    pub fn take<P: Packets>(&mut self, packets: &mut P, give: impl FnOnce(Joined<'_, P>)) {
        for index in 0..self.runs.len() {
            self.runs[index].header = self.seal(&self.runs[index], packets);
        }
        give(Joined { runs: self.runs.iter(), members: &self.members, packets });
        self.runs.clear();
        self.members.clear();
    }

    /// The run of the same flow that may go on.
    fn open_run(&self, new: &Run, packets: &impl Packets) -> Option<usize> {
        let layout = new.layout?;
        let packet = packets.packet(self.members[new.first].id);
        self.runs.iter().rposition(|run| {
            run.is_open
                && run.hash == new.hash
                && run.owner == new.owner
                && run.layout.is_some_and(|other| {
                    let first = packets.packet(self.members[run.first].id);
                    is_same_flow(&layout, packet, &other, first)
                })
        })
    }

    /// Whether a packet goes on where a run ends.
    fn extends(
        &mut self,
        run: usize,
        layout: &Layout,
        packet: &[u8],
        packets: &impl Packets,
    ) -> bool {
        let run = &mut self.runs[run];
        let first = packets.packet(self.members[run.first].id);
        let size = packet.len() - layout.payload;
        if run.layout != Some(*layout)
            || size > run.size
            || layout.payload + run.total + size > MAX_LEN
            || !are_headers_alike(layout, first, packet)
            || !follows(run, layout, first, packet)
        {
            return false;
        }
        if !run.is_verified {
            if !is_intact(layout, first) {
                return false;
            }
            run.is_verified = true;
        }
        is_intact(layout, packet)
    }

    fn extend(&mut self, run: usize, member: usize, packet: &[u8]) {
        let run = &mut self.runs[run];
        let Some(layout) = run.layout else { return };
        let size = packet.len() - layout.payload;
        self.members[run.last].next = Some(member);
        run.last = member;
        run.count += 1;
        run.total += size;
        run.is_open = size == run.size && !ends_run(&layout, packet);
    }

    /// Makes the first packet's headers those of the whole run.
    fn seal(&self, run: &Run, packets: &mut impl Packets) -> Header {
        let Some(layout) = run.layout.filter(|_| run.count > 1) else { return Header::default() };
        let last = packets.packet(self.members[run.last].id);
        let last_flags =
            if layout.protocol == TCP { last[layout.transport + TCP_FLAGS] } else { 0 };
        let packet = packets.packet_mut(self.members[run.first].id);
        layout.set_ip_len(packet, layout.payload + run.total);
        let segment_len = layout.payload - layout.transport + run.total;
        let sum = layout.pseudo_header(packet, segment_len);
        let segment = &mut packet[layout.transport..];
        let at = layout.checksum_offset();
        segment[at..at + 2].copy_from_slice(&sum.to_be_bytes());
        let mut has_cwr = false;
        if layout.protocol == TCP {
            segment[TCP_FLAGS] |= last_flags & (FIN | PSH);
            has_cwr = segment[TCP_FLAGS] & CWR != 0;
        } else {
            segment[UDP_LEN..UDP_LEN + 2].copy_from_slice(&(segment_len as u16).to_be_bytes());
        }
        let kind = match (layout.protocol, layout.is_v4) {
            (UDP, _) => Segmentation::Udp,
            (_, true) => Segmentation::TcpV4,
            (_, false) => Segmentation::TcpV6,
        };
        Header {
            checksum: Some((layout.transport as u16, at as u16)),
            segments: Some((kind, run.size as u16)),
            headers_len: layout.payload as u16,
            has_cwr,
        }
    }
}

impl<'a, P> Iterator for Joined<'a, P> {
    type Item = Whole<'a, P>;

    fn next(&mut self) -> Option<Self::Item> {
        let run = self.runs.next()?;
        let pieces = Pieces {
            members: self.members,
            packets: self.packets,
            next: Some(run.first),
            payload: run.layout.map_or(0, |layout| layout.payload),
            is_first: true,
        };
        Some(Whole { owner: run.owner, count: run.count, header: run.header.emit(), pieces })
    }
}

impl<'a, P: Packets> Iterator for Pieces<'a, P> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<Self::Item> {
        let Member { id, next } = self.members[self.next?];
        self.next = next;
        let from = if mem::take(&mut self.is_first) { 0 } else { self.payload };
        Some(&self.packets.packet(id)[from..])
    }
}

/// Whether a packet can be part of a run at all.
fn is_joinable(layout: &Layout, packet: &[u8], offloads: Offloads) -> bool {
    let segment = &packet[layout.transport..];
    let is_plain = !layout.is_v4 || packet[0] == PLAIN_V4;
    let fits = match layout.protocol {
        TCP => offloads.tcp && segment[TCP_FLAGS] & (SYN | RST | URG | ACK) == ACK,
        _ => offloads.udp && usize::from(u16_at(segment, UDP_LEN)) == segment.len(),
    };
    is_plain && fits && packet.len() > layout.payload && layout.ip_len(packet) == packet.len()
}

/// Whether a run ends with this packet, because the receiver is to act on it.
fn ends_run(layout: &Layout, packet: &[u8]) -> bool {
    layout.protocol == TCP && packet[layout.transport + TCP_FLAGS] & (FIN | PSH) != 0
}

fn is_intact(layout: &Layout, packet: &[u8]) -> bool {
    let header_is_intact = !layout.is_v4 || checksum::sum(&packet[..layout.transport]) == 0xffff;
    header_is_intact && layout.is_intact(packet)
}

/// Addresses and ports.
fn is_same_flow(layout: &Layout, packet: &[u8], other_layout: &Layout, other: &[u8]) -> bool {
    let ports = |layout: &Layout, packet: &[u8]| u32_at(packet, layout.transport);
    layout.is_v4 == other_layout.is_v4
        && layout.protocol == other_layout.protocol
        && ports(layout, packet) == ports(other_layout, other)
        && packet[layout.addresses()] == other[layout.addresses()]
}

fn hash(layout: &Layout, packet: &[u8]) -> u32 {
    let addresses = layout.addresses();
    u32_at(packet, layout.transport)
        .wrapping_mul(0x9e37_79b1)
        .wrapping_add(u32_at(packet, addresses.end - 4))
        .wrapping_add(u32_at(packet, addresses.start + addresses.len() / 2 - 4).rotate_left(16))
}

/// Whether two packets of a flow differ only in what a split restores: length, identification, sequence number, checksums, FIN, PSH and CWR.
fn are_headers_alike(layout: &Layout, first: &[u8], packet: &[u8]) -> bool {
    let same = |range: std::ops::Range<usize>| first[range.clone()] == packet[range];
    let ip_is_alike =
        if layout.is_v4 { same(0..2) && same(6..10) } else { same(0..4) && same(6..8) };
    if !ip_is_alike || layout.protocol == UDP {
        return ip_is_alike;
    }
    let at = layout.transport;
    let flags = first[at + TCP_FLAGS] ^ packet[at + TCP_FLAGS];
    flags & !LOOSE_FLAGS == 0
        && same(at + TCP_ACK..at + TCP_FLAGS)
        && same(at + TCP_WINDOW..at + TCP_CHECKSUM)
        && same(at + TCP_URGENT..layout.payload)
}

/// Whether a packet's numbers go on where the run's end.
fn follows(run: &mut Run, layout: &Layout, first: &[u8], packet: &[u8]) -> bool {
    let at = layout.transport;
    if layout.protocol == TCP {
        let expected = u32_at(first, at + TCP_SEQ).wrapping_add(run.total as u32);
        // Congestion was answered here: only the first segment says so (RFC 3168 §6.1.2).
        if u32_at(packet, at + TCP_SEQ) != expected || packet[at + TCP_FLAGS] & CWR != 0 {
            return false;
        }
    }
    if !layout.is_v4 {
        return true;
    }
    let distance = u16_at(packet, 4).wrapping_sub(u16_at(first, 4));
    let step = match run.id_step {
        Some(step) => step,
        None if distance == 1 => 1,
        None if first[6] & DONT_FRAGMENT != 0 => 0,
        None => return false,
    };
    if distance != step.wrapping_mul(run.count as u16) {
        return false;
    }
    run.id_step = Some(step);
    true
}
