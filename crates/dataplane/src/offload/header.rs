//! `virtio_net_hdr` (`linux/virtio_net.h`): what is left to do to a packet.

use sys::tun::{OFFLOAD_HEADER_LEN, OffloadHeader};

/// The checksum still has to be completed.
const NEEDS_CSUM: u8 = 1;

const GSO_NONE: u8 = 0;
const GSO_TCPV4: u8 = 1;
const GSO_TCPV6: u8 = 4;
const GSO_UDP_L4: u8 = 5;
/// Among the segments' first is one with CWR set.
const GSO_ECN: u8 = 0x80;

/// What a super-packet is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Segmentation {
    /// TCP segments over IPv4.
    TcpV4,
    /// TCP segments over IPv6.
    TcpV6,
    /// UDP datagrams.
    Udp,
}

/// What is left to do to a packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Where the checksummed part begins, and where in it the checksum belongs, which is not complete: there is the sum of the pseudo-header.
    pub checksum: Option<(u16, u16)>,
    /// What the packet is to be cut into, and the bytes of payload in each but the last. `None`: it is one packet.
    pub segments: Option<(Segmentation, u16)>,
    /// How many bytes of headers every segment gets. Only a hint.
    pub headers_len: u16,
    /// Whether the first segment has CWR set (RFC 3168 §6.1).
    pub has_cwr: bool,
}

impl Header {
    /// Reads one. `None` for a kind of super-packet that was never asked for.
    #[must_use]
    pub fn parse(bytes: &OffloadHeader) -> Option<Self> {
        let number = |at: usize| u16::from_ne_bytes([bytes[at], bytes[at + 1]]);
        let kind = match bytes[1] & !GSO_ECN {
            GSO_NONE => None,
            GSO_TCPV4 => Some(Segmentation::TcpV4),
            GSO_TCPV6 => Some(Segmentation::TcpV6),
            GSO_UDP_L4 => Some(Segmentation::Udp),
            _ => return None,
        };
        Some(Self {
            checksum: (bytes[0] & NEEDS_CSUM != 0).then(|| (number(6), number(8))),
            segments: kind.map(|kind| (kind, number(4))),
            headers_len: number(2),
            has_cwr: bytes[1] & GSO_ECN != 0,
        })
    }

    /// Writes it.
    #[must_use]
    pub fn emit(&self) -> OffloadHeader {
        let mut bytes = [0; OFFLOAD_HEADER_LEN];
        if let Some((kind, size)) = self.segments {
            bytes[1] = match kind {
                Segmentation::TcpV4 => GSO_TCPV4,
                Segmentation::TcpV6 => GSO_TCPV6,
                Segmentation::Udp => GSO_UDP_L4,
            };
            bytes[4..6].copy_from_slice(&size.to_ne_bytes());
        }
        if self.has_cwr {
            bytes[1] |= GSO_ECN;
        }
        bytes[2..4].copy_from_slice(&self.headers_len.to_ne_bytes());
        if let Some((start, offset)) = self.checksum {
            bytes[0] = NEEDS_CSUM;
            bytes[6..8].copy_from_slice(&start.to_ne_bytes());
            bytes[8..10].copy_from_slice(&offset.to_ne_bytes());
        }
        bytes
    }
}
