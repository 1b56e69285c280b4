//! Where things lie in a TCP or UDP packet over IPv4 or IPv6.

use std::ops::Range;

use super::checksum;

pub(super) const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;

/// Bytes in headers without options or extensions.
const V4_HEADER: usize = 20;
const V6_HEADER: usize = 40;
const TCP_HEADER: usize = 20;
const UDP_HEADER: usize = 8;

/// Offsets in the TCP header (RFC 9293 §3.1).
pub(super) const TCP_SEQ: usize = 4;
pub(super) const TCP_ACK: usize = 8;
const TCP_OFFSET: usize = 12;
pub(super) const TCP_FLAGS: usize = 13;
pub(super) const TCP_WINDOW: usize = 14;
pub(super) const TCP_CHECKSUM: usize = 16;
pub(super) const TCP_URGENT: usize = 18;
pub(super) const FIN: u8 = 0x01;
pub(super) const SYN: u8 = 0x02;
pub(super) const RST: u8 = 0x04;
pub(super) const PSH: u8 = 0x08;
pub(super) const ACK: u8 = 0x10;
pub(super) const URG: u8 = 0x20;
pub(super) const CWR: u8 = 0x80;

/// Offsets in the UDP header (RFC 768).
pub(super) const UDP_LEN: usize = 4;
pub(super) const UDP_CHECKSUM: usize = 6;

/// A TCP segment or UDP datagram that is a whole IP packet: neither a fragment, nor behind IPv6 extension headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) is_v4: bool,
    pub(super) protocol: u8,
    /// Where the transport header begins.
    pub(super) transport: usize,
    /// Where the payload begins.
    pub(super) payload: usize,
}

impl Layout {
    /// `None`: anything else. The packet may be a super-packet; its length is that of the slice, whatever the IP header says.
    pub(super) fn of(packet: &[u8]) -> Option<Self> {
        let (is_v4, protocol, transport) = match packet.first()? >> 4 {
            4 => {
                let header = packet.get(..V4_HEADER)?;
                let is_fragment = header[6] & 0x3f != 0 || header[7] != 0;
                let transport = usize::from(header[0] & 0x0f) * 4;
                if is_fragment || transport < V4_HEADER {
                    return None;
                }
                (true, header[9], transport)
            }
            6 => (false, *packet.get(..V6_HEADER)?.get(6)?, V6_HEADER),
            _ => return None,
        };
        let header_len = match protocol {
            TCP => {
                let header = packet.get(transport..transport + TCP_HEADER)?;
                usize::from(header[TCP_OFFSET] >> 4) * 4
            }
            UDP => UDP_HEADER,
            _ => return None,
        };
        if protocol == TCP && header_len < TCP_HEADER {
            return None;
        }
        let payload = transport + header_len;
        (payload <= packet.len()).then_some(Self { is_v4, protocol, transport, payload })
    }

    /// Where the addresses lie.
    pub(super) fn addresses(&self) -> Range<usize> {
        if self.is_v4 { 12..20 } else { 8..40 }
    }

    /// Where the transport's checksum lies in its header.
    pub(super) fn checksum_offset(&self) -> usize {
        if self.protocol == TCP { TCP_CHECKSUM } else { UDP_CHECKSUM }
    }

    /// Writes the length of an IP packet of `len` bytes into its header; its checksum too.
    pub(super) fn set_ip_len(&self, packet: &mut [u8], len: usize) {
        if !self.is_v4 {
            packet[4..6].copy_from_slice(&((len - V6_HEADER) as u16).to_be_bytes());
            return;
        }
        packet[2..4].copy_from_slice(&(len as u16).to_be_bytes());
        packet[10..12].fill(0);
        let sum = !checksum::sum(&packet[..self.transport]);
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
    }

    /// The length that the IP header says.
    pub(super) fn ip_len(&self, packet: &[u8]) -> usize {
        if self.is_v4 {
            usize::from(u16_at(packet, 2))
        } else {
            V6_HEADER + usize::from(u16_at(packet, 4))
        }
    }

    /// The sum of the pseudo-header for a transport segment of `len` bytes.
    pub(super) fn pseudo_header(&self, packet: &[u8], len: usize) -> u16 {
        checksum::pseudo_header(&packet[self.addresses()], self.protocol, len)
    }

    /// Whether the transport's checksum is right. A UDP checksum that was left out is none.
    pub(super) fn is_intact(&self, packet: &[u8]) -> bool {
        let segment = &packet[self.transport..];
        if self.protocol == UDP && segment[UDP_CHECKSUM..UDP_HEADER] == [0, 0] {
            return false;
        }
        checksum::add(&[self.pseudo_header(packet, segment.len()), checksum::sum(segment)])
            == 0xffff
    }
}

/// The 16-bit number at `at`.
pub(super) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

/// The 32-bit number at `at`.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
