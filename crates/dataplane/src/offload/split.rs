//! From what an interface gives to packets for the tunnel.

use super::checksum;
use super::flow::{
    CWR, FIN, Layout, PSH, TCP, TCP_FLAGS, TCP_SEQ, UDP, UDP_CHECKSUM, UDP_LEN, u16_at, u32_at,
};
use super::{Header, Segmentation};

/// Whoever reads an interface gets what the kernel made, so that this is a fault of the kernel's, or a packet that was cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// The packets of one read.
///
/// TCP sequence numbers and IPv4 identifications go on from segment to segment, FIN and PSH are on the last only, CWR on the first only, and
/// every checksum is complete.
#[derive(Debug)]
pub struct Split<'a> {
    packet: &'a [u8],
    cut: Cut,
    /// How many bytes of the payload have been given; for a packet that is one: whether it has.
    given: usize,
    index: u32,
}

#[derive(Clone, Copy, Debug)]
enum Cut {
    /// One packet, whose checksum may have to be completed.
    Whole { checksum: Option<(usize, usize)> },
    /// Segments of `size` bytes of payload.
    Segments { layout: Layout, size: usize },
}

impl<'a> Split<'a> {
    /// Looks at a packet and its header.
    ///
    /// # Errors
    ///
    /// [`Malformed`] when they do not fit each other.
    pub fn new(header: &Header, packet: &'a [u8]) -> Result<Self, Malformed> {
        let cut = match header.segments {
            Some((kind, size)) => {
                let layout = Layout::of(packet).ok_or(Malformed)?;
                let fits = match kind {
                    Segmentation::TcpV4 => layout.is_v4 && layout.protocol == TCP,
                    Segmentation::TcpV6 => !layout.is_v4 && layout.protocol == TCP,
                    Segmentation::Udp => layout.protocol == UDP,
                };
                if !fits || size == 0 {
                    return Err(Malformed);
                }
                Cut::Segments { layout, size: size.into() }
            }
            None => {
                let checksum = header.checksum.map(|(start, at)| (start.into(), at.into()));
                if let Some((start, at)) = checksum
                    && start + at + 2 > packet.len()
                {
                    return Err(Malformed);
                }
                Cut::Whole { checksum }
            }
        };
        Ok(Self { packet, cut, given: 0, index: 0 })
    }

    /// How many bytes the next packet has. `None`: that was all.
    #[must_use]
    pub fn next_len(&self) -> Option<usize> {
        match self.cut {
            Cut::Whole { .. } => (self.index == 0).then_some(self.packet.len()),
            Cut::Segments { layout, size } => {
                let left = self.packet.len() - layout.payload - self.given;
                // A super-packet without payload is still one packet.
                (left > 0 || self.index == 0).then(|| layout.payload + left.min(size))
            }
        }
    }

    /// Writes the next packet to the front of `out` and gives its length. `None` when that was all, or when `out` is too small for it: then
    /// it is still the next one.
    pub fn write_next(&mut self, out: &mut [u8]) -> Option<usize> {
        let len = self.next_len()?;
        let out = out.get_mut(..len)?;
        match self.cut {
            Cut::Whole { checksum } => {
                out.copy_from_slice(self.packet);
                if let Some((start, at)) = checksum {
                    complete(out, start, at);
                }
            }
            Cut::Segments { layout, .. } => {
                let payload = layout.payload + self.given..self.given + len;
                self.given = payload.end - layout.payload;
                out[..layout.payload].copy_from_slice(&self.packet[..layout.payload]);
                out[layout.payload..].copy_from_slice(&self.packet[payload.clone()]);
                self.renumber(&layout, out, payload);
            }
        }
        self.index += 1;
        Some(len)
    }

    /// What differs between the headers of the segments.
    fn renumber(&self, layout: &Layout, out: &mut [u8], payload: std::ops::Range<usize>) {
        let (is_first, is_last) = (self.index == 0, payload.end == self.packet.len());
        if layout.is_v4 {
            let id = u16_at(out, 4).wrapping_add(self.index as u16);
            out[4..6].copy_from_slice(&id.to_be_bytes());
        }
        let len = out.len();
        layout.set_ip_len(out, len);
        let segment_len = len - layout.transport;
        let pseudo_header = layout.pseudo_header(out, segment_len);
        let segment = &mut out[layout.transport..];
        if layout.protocol == TCP {
            let seq =
                u32_at(segment, TCP_SEQ).wrapping_add((payload.start - layout.payload) as u32);
            segment[TCP_SEQ..TCP_SEQ + 4].copy_from_slice(&seq.to_be_bytes());
            if !is_last {
                segment[TCP_FLAGS] &= !(FIN | PSH);
            }
            if !is_first {
                segment[TCP_FLAGS] &= !CWR;
            }
        } else {
            segment[UDP_LEN..UDP_LEN + 2].copy_from_slice(&(segment_len as u16).to_be_bytes());
        }
        let at = layout.checksum_offset();
        segment[at..at + 2].copy_from_slice(&pseudo_header.to_be_bytes());
        complete(out, layout.transport, at);
    }
}

/// Completes the checksum at `at` behind `start`, where the sum of the pseudo-header is.
fn complete(packet: &mut [u8], start: usize, at: usize) {
    let sum = match !checksum::sum(&packet[start..]) {
        // UDP says with 0 that there is none, so that a sum of 0 is sent as its equal (RFC 768).
        0 if at == UDP_CHECKSUM => 0xffff,
        sum => sum,
    };
    packet[start + at..start + at + 2].copy_from_slice(&sum.to_be_bytes());
}
