//! The pcapng format (draft-ietf-opsawg-pcapng), as far as it is needed to write packets of several interfaces.

use std::io::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const INTERFACE_STATISTICS: u32 = 5;
const ENHANCED_PACKET: u32 = 6;
const BYTE_ORDER: u32 = 0x1a2b_3c4d;
const OPT_COMMENT: u16 = 1;
const SHB_USERAPPL: u16 = 4;
const IF_NAME: u16 = 2;
const IF_DESCRIPTION: u16 = 3;
const IF_TSRESOL: u16 = 9;
const EPB_FLAGS: u16 = 2;
const ISB_IFDROP: u16 = 5;
/// Comments are cut to this, in bytes.
const MAX_COMMENT: usize = 1024;

/// An interface of the file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Interface {
    /// Its name.
    pub(super) name: &'static str,
    /// What is seen there.
    pub(super) description: &'static str,
    /// `LINKTYPE_*` of tcpdump.org.
    pub(super) link_type: u16,
}

/// A packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packet<'a> {
    /// Its interface, by its place in the list.
    pub(super) interface: u32,
    /// When it was seen.
    pub(super) at: SystemTime,
    /// Whether it came to this host or left it.
    pub(super) inbound: bool,
    /// Its bytes.
    pub(super) bytes: &'a [u8],
    /// How many it had.
    pub(super) original_len: usize,
    /// What is to be said about it; empty for nothing.
    pub(super) comment: &'a str,
}

/// A file with one section. It is whole after each packet.
#[derive(Debug)]
pub(super) struct Writer<W> {
    out: W,
    written: u64,
}

impl<W: Write> Writer<W> {
    /// Begins a file.
    ///
    /// # Errors
    ///
    /// Those of `out`.
    pub(super) fn new(out: W, program: &str, interfaces: &[Interface]) -> io::Result<Self> {
        let mut writer = Self { out, written: 0 };
        let mut header = Vec::new();
        header.extend_from_slice(&BYTE_ORDER.to_le_bytes());
        // Version 1.0, and a section whose length is not said.
        header.extend_from_slice(&[1, 0, 0, 0]);
        header.extend_from_slice(&u64::MAX.to_le_bytes());
        option(&mut header, SHB_USERAPPL, program.as_bytes());
        end_of_options(&mut header);
        writer.block(SECTION_HEADER, &header)?;
        for interface in interfaces {
            let mut body = Vec::new();
            body.extend_from_slice(&interface.link_type.to_le_bytes());
            // Reserved; packets of any length.
            body.extend_from_slice(&[0; 6]);
            option(&mut body, IF_NAME, interface.name.as_bytes());
            option(&mut body, IF_DESCRIPTION, interface.description.as_bytes());
            // Times are in nanoseconds.
            option(&mut body, IF_TSRESOL, &[9]);
            end_of_options(&mut body);
            writer.block(INTERFACE_DESCRIPTION, &body)?;
        }
        Ok(writer)
    }

    /// Adds a packet.
    ///
    /// # Errors
    ///
    /// Those of `out`.
    pub(super) fn packet(&mut self, packet: &Packet<'_>) -> io::Result<()> {
        let bytes = packet.bytes;
        let (len, original) = (number(bytes.len()), number(packet.original_len));
        let mut body = Vec::with_capacity(bytes.len() + 64);
        body.extend_from_slice(&packet.interface.to_le_bytes());
        body.extend_from_slice(&time(packet.at));
        body.extend_from_slice(&len.to_le_bytes());
        body.extend_from_slice(&original.to_le_bytes());
        body.extend_from_slice(bytes);
        pad(&mut body);
        let direction: u32 = if packet.inbound { 1 } else { 2 };
        option(&mut body, EPB_FLAGS, &direction.to_le_bytes());
        if !packet.comment.is_empty() {
            option(&mut body, OPT_COMMENT, cut(packet.comment).as_bytes());
        }
        end_of_options(&mut body);
        self.block(ENHANCED_PACKET, &body)
    }

    /// Says how many packets of an interface were lost.
    ///
    /// # Errors
    ///
    /// Those of `out`.
    pub(super) fn lost(&mut self, interface: u32, at: SystemTime, packets: u64) -> io::Result<()> {
        let mut body = Vec::new();
        body.extend_from_slice(&interface.to_le_bytes());
        body.extend_from_slice(&time(at));
        option(&mut body, ISB_IFDROP, &packets.to_le_bytes());
        end_of_options(&mut body);
        self.block(INTERFACE_STATISTICS, &body)
    }

    /// How many bytes were written.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// Writes out what is buffered.
    ///
    /// # Errors
    ///
    /// Those of `out`.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// Type, length, body, length.
    fn block(&mut self, kind: u32, body: &[u8]) -> io::Result<()> {
        let len = number(body.len() + 12);
        let mut block = Vec::with_capacity(body.len() + 12);
        block.extend_from_slice(&kind.to_le_bytes());
        block.extend_from_slice(&len.to_le_bytes());
        block.extend_from_slice(body);
        block.extend_from_slice(&len.to_le_bytes());
        self.out.write_all(&block)?;
        self.written += u64::from(len);
        Ok(())
    }
}

/// Lengths here are those of packets and texts.
fn number(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

/// Nanoseconds since 1970, the upper half first.
fn time(at: SystemTime) -> [u8; 8] {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let nanos = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
    let (high, low) = ((nanos >> 32) as u32, nanos as u32);
    let mut time = [0; 8];
    time[..4].copy_from_slice(&high.to_le_bytes());
    time[4..].copy_from_slice(&low.to_le_bytes());
    time
}

fn option(body: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let len = u16::try_from(value.len()).unwrap_or(u16::MAX);
    body.extend_from_slice(&kind.to_le_bytes());
    body.extend_from_slice(&len.to_le_bytes());
    body.extend_from_slice(&value[..usize::from(len)]);
    pad(body);
}

fn end_of_options(body: &mut Vec<u8>) {
    body.extend_from_slice(&[0; 4]);
}

fn pad(body: &mut Vec<u8>) {
    body.resize(body.len().next_multiple_of(4), 0);
}

/// The beginning of a text, whole characters.
fn cut(text: &str) -> &str {
    let mut end = text.len().min(MAX_COMMENT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketOption;
    use pcap_file::pcapng::blocks::interface_description::InterfaceDescriptionOption;
    use pcap_file::pcapng::{Block, PcapNgReader};

    use super::*;

    #[test]
    fn another_program_reads_what_was_written() {
        let interfaces = [
            Interface { name: "outer", description: "on the wire", link_type: 101 },
            Interface { name: "ppp", description: "frames", link_type: 9 },
        ];
        let mut file = Vec::new();
        let mut writer = Writer::new(&mut file, "gretel", &interfaces).unwrap();
        let at = UNIX_EPOCH + Duration::new(1_800_000_000, 123_456_789);
        for (interface, bytes, comment) in
            [(0, &b"abc"[..], "é".repeat(600)), (1, b"", String::new())]
        {
            let inbound = interface == 0;
            let original_len = 1500;
            let packet = Packet { interface, at, inbound, bytes, original_len, comment: &comment };
            writer.packet(&packet).unwrap();
        }
        writer.lost(1, at, 7).unwrap();
        assert_eq!(writer.written(), file.len() as u64);

        let mut reader = PcapNgReader::new(&file[..]).unwrap();
        let mut packets = 0;
        let mut names = Vec::new();
        while let Some(block) = reader.next_block() {
            match block.unwrap() {
                Block::InterfaceDescription(found) => {
                    for option in &found.options {
                        if let InterfaceDescriptionOption::IfName(name) = option {
                            names.push((name.to_string(), u32::from(found.linktype)));
                        }
                    }
                }
                Block::EnhancedPacket(found) => {
                    let first = found.interface_id == 0;
                    assert_eq!(&*found.data, if first { &b"abc"[..] } else { b"" });
                    assert_eq!(found.original_len, 1500);
                    let has_flags = |wanted: u32| {
                        found.options.iter().any(
                            |it| matches!(it, EnhancedPacketOption::Flags(flags) if *flags == wanted),
                        )
                    };
                    assert!(has_flags(if first { 1 } else { 2 }));
                    let comment = found.options.iter().find_map(|option| match option {
                        EnhancedPacketOption::Comment(text) => Some(text.len()),
                        _ => None,
                    });
                    assert_eq!(comment, first.then_some(1024));
                    packets += 1;
                }
                _ => {}
            }
        }
        assert_eq!((packets, names), (2, vec![("outer".into(), 101), ("ppp".into(), 9)]));
    }

    #[test]
    fn times_are_nanoseconds_with_the_upper_half_first() {
        let at = UNIX_EPOCH + Duration::from_nanos((5 << 32) + 6);
        assert_eq!(time(at), [5, 0, 0, 0, 6, 0, 0, 0]);
    }
}
