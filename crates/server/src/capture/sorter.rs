//! What a packet is: outer, with a PPP frame in it, or inner; and whether it belongs to what is captured.

use std::collections::HashSet;
use std::net::Ipv4Addr;

use wire::ipcp::IpcpOption;
use wire::ppp::{self, Code, Protocol};
use wire::{control, gre};

/// Clients' addresses that are learned at most.
const MAX_LEARNED: usize = 4096;
/// IP protocol number of TCP.
const TCP: u8 = 6;

/// Knows which packets are wanted.
#[derive(Debug)]
pub(super) struct Sorter {
    /// The one client; `None`: all.
    address: Option<Ipv4Addr>,
    /// Addresses in tunnels that are wanted, where not all are.
    inner: HashSet<Ipv4Addr>,
}

/// A wanted packet outside the tunnel.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Outer<'a> {
    /// The PPP frame that it carries.
    pub(super) frame: Option<&'a [u8]>,
    pub(super) comment: String,
    /// What is to be said about the frame.
    pub(super) frame_comment: String,
}

impl Sorter {
    pub(super) fn new(address: Option<Ipv4Addr>, inner: &[Ipv4Addr]) -> Self {
        Self { address, inner: inner.iter().copied().collect() }
    }

    /// Looks at a packet outside the tunnels.
    pub(super) fn outer<'a>(&mut self, packet: &'a [u8]) -> Option<Outer<'a>> {
        let (source, destination) = addresses(packet)?;
        if self.address.is_some_and(|wanted| wanted != source && wanted != destination) {
            return None;
        }
        if packet[9] == TCP {
            return Some(Outer {
                frame: None,
                comment: messages(packet),
                frame_comment: String::new(),
            });
        }
        let frame = gre::Outer::parse(packet)
            .ok()
            .and_then(|outer| gre::parse(packet.get(outer.start..outer.end)?).ok());
        let Some((header, frame)) = frame else {
            return Some(Outer {
                frame: None,
                comment: String::new(),
                frame_comment: String::new(),
            });
        };
        let number = |name: &str, number: Option<u32>| {
            number.map(|number| format!(" {name} {number}")).unwrap_or_default()
        };
        let comment = format!(
            "GRE to call {}{}{}",
            header.call_id,
            number("sequence", header.seq),
            number("acknowledges", header.ack)
        );
        if header.seq.is_none() || frame.is_empty() {
            return Some(Outer { frame: None, comment, frame_comment: String::new() });
        }
        self.learn(destination, frame);
        let frame_comment = match ppp::split(frame) {
            Ok((Protocol::COMPRESSED, _)) => "compressed or encrypted".into(),
            Ok((Protocol::IPV4 | Protocol::IPV6, _)) => String::new(),
            _ => ppp::describe(frame).to_string(),
        };
        Some(Outer { frame: Some(frame), comment, frame_comment })
    }

    /// Whether a packet inside a tunnel is wanted.
    pub(super) fn is_inner(&self, packet: &[u8]) -> bool {
        if self.address.is_none() && self.inner.is_empty() {
            return true;
        }
        let wanted = |address: &Ipv4Addr| self.inner.contains(address);
        addresses(packet).is_some_and(|(from, to)| wanted(&from) || wanted(&to))
    }

    /// Who acknowledges an address to the client gives it: then the client's inner packets are known by it.
    fn learn(&mut self, destination: Ipv4Addr, frame: &[u8]) {
        if self.address != Some(destination) || self.inner.len() >= MAX_LEARNED {
            return;
        }
        let Ok((Protocol::IPCP, information)) = ppp::split(frame) else { return };
        let Ok(packet) = ppp::Packet::parse(information) else { return };
        if packet.code != Code::CONFIGURE_ACK {
            return;
        }
        let options = ppp::options(packet.data).map_while(Result::ok).map(IpcpOption::parse);
        for option in options {
            if let IpcpOption::Address(address) = option {
                self.inner.insert(address);
            }
        }
    }
}

/// Source and destination of an IPv4 packet.
fn addresses(packet: &[u8]) -> Option<(Ipv4Addr, Ipv4Addr)> {
    let header: &[u8; 20] = packet.first_chunk()?;
    let address =
        |at: usize| Ipv4Addr::new(header[at], header[at + 1], header[at + 2], header[at + 3]);
    (header[0] >> 4 == 4).then(|| (address(12), address(16)))
}

/// The control messages in a TCP packet, if it begins with one.
fn messages(packet: &[u8]) -> String {
    let header = usize::from(packet[0] & 0x0f) * 4;
    let data = packet.get(header + 12).and_then(|offset| {
        let len = usize::from(u16::from_be_bytes([packet[2], packet[3]])).min(packet.len());
        packet.get(header + usize::from(offset >> 4) * 4..len)
    });
    let mut rest = data.unwrap_or_default();
    let mut texts = Vec::new();
    while let Ok(Some(len)) = control::frame_len(rest) {
        let Some((message, more)) = rest.split_at_checked(len) else { break };
        match control::Message::parse(message) {
            Ok(message) => texts.push(message.to_string()),
            Err(error) => texts.push(error.to_string()),
        }
        rest = more;
    }
    texts.join("; ")
}
