//! DHCPINFORM and its answer (RFC 2131 §3.4), as whole IPv4 packets: how Windows asks in a tunnel for routes, after IPCP has given it an address.

use alloc::vec::Vec;
use core::net::Ipv4Addr;

use crate::Malformed;

const IP_HEADER: usize = 20;
const UDP_HEADER: usize = 8;
const UDP: u8 = 17;
const SERVER_PORT: u16 = 67;
const CLIENT_PORT: u16 = 68;
/// Up to the options: fixed fields and the magic cookie (RFC 2131 §2).
const FIXED: usize = 240;
const COOKIE: [u8; 4] = [99, 130, 83, 99];
const BOOT_REQUEST: u8 = 1;
const BOOT_REPLY: u8 = 2;
/// Every client takes an answer of this length, in bytes of DHCP (RFC 2131 §2).
const MAX_ANSWER: usize = 548;
/// A message before BOOTP's length is thrown away by some relays and clients (RFC 1542 §2.1).
const MIN_ANSWER: usize = 300;

const SUBNET_MASK: u8 = 1;
const NAME_SERVERS: u8 = 6;
const DOMAIN: u8 = 15;
const MESSAGE_TYPE: u8 = 53;
const SERVER: u8 = 54;
const ROUTES: u8 = 121;
/// Option 121 by the number that Windows XP asked for.
const ROUTES_OF_MICROSOFT: u8 = 249;
const END: u8 = 255;
const INFORM: u8 = 8;
const ACK: u8 = 5;

/// A client that has an address asks for the rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inform {
    /// Who asks: the source of the packet.
    pub source: Ipv4Addr,
    /// The address that it says it has (`ciaddr`); unspecified where it says none.
    pub client: Ipv4Addr,
    /// The question's number (`xid`).
    pub transaction: u32,
    /// Type, length and hops of the hardware address: not looked at, given back.
    hardware: [u8; 2],
    flags: [u8; 2],
    hardware_address: [u8; 16],
}

/// The rest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Configuration {
    /// Networks that are reached through the tunnel: address and length of the prefix.
    pub routes: Vec<(Ipv4Addr, u8)>,
    /// Name servers.
    pub name_servers: Vec<Ipv4Addr>,
    /// The domain in which short names are looked up; empty for none.
    pub domain: Vec<u8>,
}

impl Inform {
    /// Reads an IPv4 packet.
    ///
    /// # Errors
    ///
    /// When it is anything but a DHCPINFORM.
    pub fn parse(packet: &[u8]) -> Result<Self, Malformed> {
        let source = address(packet, 12)?;
        let message = datagram(packet)?;
        let at = IP_HEADER + UDP_HEADER;
        let bad = |what, offset: usize| Malformed { what, at: at + offset };
        let fixed = message
            .first_chunk::<FIXED>()
            .ok_or(bad("DHCP message ends inside its header", message.len()))?;
        if fixed[0] != BOOT_REQUEST || fixed[236..240] != COOKIE {
            return Err(bad("not a DHCP request", 0));
        }
        if option(&message[FIXED..], MESSAGE_TYPE) != Some(&[INFORM]) {
            return Err(bad("not a DHCPINFORM", FIXED));
        }
        let mut hardware_address = [0; 16];
        hardware_address.copy_from_slice(&fixed[28..44]);
        Ok(Self {
            source,
            client: address(fixed, 12)?,
            transaction: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
            hardware: [fixed[1], fixed[2]],
            flags: [fixed[10], fixed[11]],
            hardware_address,
        })
    }

    /// The DHCPACK from `server`, as an IPv4 packet to `client`, the address that the asker really has. Routes that do not fit are left out, so that
    /// there is always an answer that every client takes; gives how many are in it too.
    #[must_use]
    pub fn answer(
        &self,
        server: Ipv4Addr,
        client: Ipv4Addr,
        configuration: &Configuration,
    ) -> (Vec<u8>, usize) {
        let mut message = Vec::with_capacity(MAX_ANSWER);
        message.extend_from_slice(&[BOOT_REPLY, self.hardware[0], self.hardware[1], 0]);
        message.extend_from_slice(&self.transaction.to_be_bytes());
        message.extend_from_slice(&[0, 0, self.flags[0], self.flags[1]]);
        message.extend_from_slice(&self.client.octets());
        // Addresses given, of a next server and of a relay: none. Names of server and file: none.
        message.extend_from_slice(&[0; 12]);
        message.extend_from_slice(&self.hardware_address);
        message.extend_from_slice(&[0; 64 + 128]);
        message.extend_from_slice(&COOKIE);
        push(&mut message, MESSAGE_TYPE, &[ACK]);
        push(&mut message, SERVER, &server.octets());
        push(&mut message, SUBNET_MASK, &[255; 4]);
        let servers = configuration.name_servers.iter().take(8);
        let servers: Vec<u8> = servers.flat_map(|address| address.octets()).collect();
        push(&mut message, NAME_SERVERS, &servers);
        push(&mut message, DOMAIN, configuration.domain.get(..64).unwrap_or(&configuration.domain));
        // Both options, and the end.
        let room = (MAX_ANSWER - message.len() - 1) / 2 - 2;
        let (routes, count) = routes(&configuration.routes, server, room.min(255));
        push(&mut message, ROUTES, &routes);
        push(&mut message, ROUTES_OF_MICROSOFT, &routes);
        message.push(END);
        message.resize(message.len().max(MIN_ANSWER), 0);
        (packet(server, client, &message), count)
    }
}

/// Routes as in option 121 (RFC 3442): length of the prefix, its bytes that count, the router. As many as fit into `room` bytes.
fn routes(routes: &[(Ipv4Addr, u8)], router: Ipv4Addr, room: usize) -> (Vec<u8>, usize) {
    let mut bytes = Vec::new();
    let mut count = 0;
    for (network, bits) in routes {
        let bits = (*bits).min(32);
        let significant = usize::from(bits).div_ceil(8);
        if bytes.len() + 1 + significant + 4 > room {
            break;
        }
        bytes.push(bits);
        bytes.extend_from_slice(&network.octets()[..significant]);
        bytes.extend_from_slice(&router.octets());
        count += 1;
    }
    (bytes, count)
}

/// An option, unless it is empty: most may not be.
fn push(message: &mut Vec<u8>, kind: u8, data: &[u8]) {
    if let (Ok(len), false) = (u8::try_from(data.len()), data.is_empty()) {
        message.extend_from_slice(&[kind, len]);
        message.extend_from_slice(data);
    }
}

/// The first option of a kind.
fn option(mut options: &[u8], wanted: u8) -> Option<&[u8]> {
    loop {
        match options {
            [0, rest @ ..] => options = rest,
            [END, ..] | [] | [_] => return None,
            [kind, len, rest @ ..] => {
                let (data, rest) = rest.split_at_checked(usize::from(*len))?;
                if *kind == wanted {
                    return Some(data);
                }
                options = rest;
            }
        }
    }
}

/// What UDP carries from a DHCP client to a server, in an IPv4 packet without options that is no fragment.
fn datagram(packet: &[u8]) -> Result<&[u8], Malformed> {
    let bad = |what, at| Malformed { what, at };
    let header = packet
        .first_chunk::<{ IP_HEADER + UDP_HEADER }>()
        .ok_or(bad("packet ends inside its headers", packet.len()))?;
    let half = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    if header[0] != 0x45 || header[9] != UDP || half(6) & 0x3fff != 0 {
        return Err(bad("not a whole UDP packet over IPv4", 0));
    }
    if (half(20), half(22)) != (CLIENT_PORT, SERVER_PORT) {
        return Err(bad("not from a DHCP client to a server", IP_HEADER));
    }
    let (len, udp_len) = (usize::from(half(2)), usize::from(half(24)));
    if len > packet.len() || udp_len < UDP_HEADER || IP_HEADER + udp_len > len {
        return Err(bad("lengths of IPv4 and UDP do not fit the packet", 2));
    }
    Ok(&packet[IP_HEADER + UDP_HEADER..IP_HEADER + udp_len])
}

fn address(bytes: &[u8], at: usize) -> Result<Ipv4Addr, Malformed> {
    let four = bytes.get(at..at + 4).and_then(|four| <[u8; 4]>::try_from(four).ok());
    four.map(Ipv4Addr::from).ok_or(Malformed { what: "packet ends inside an address", at })
}

/// An IPv4 packet with a DHCP message from a server to a client. Messages are at most [`MAX_ANSWER`] bytes.
fn packet(server: Ipv4Addr, client: Ipv4Addr, message: &[u8]) -> Vec<u8> {
    let udp_len = (UDP_HEADER + message.len()) as u16;
    let len = IP_HEADER as u16 + udp_len;
    let mut packet = Vec::with_capacity(usize::from(len));
    packet.extend_from_slice(&[0x45, 0]);
    packet.extend_from_slice(&len.to_be_bytes());
    // No identification, no fragment, time to live, checksum to come.
    packet.extend_from_slice(&[0, 0, 0, 0, 64, UDP, 0, 0]);
    packet.extend_from_slice(&server.octets());
    packet.extend_from_slice(&client.octets());
    let sum = !fold(sum(&packet));
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    for half in [SERVER_PORT, CLIENT_PORT, udp_len, 0] {
        packet.extend_from_slice(&half.to_be_bytes());
    }
    packet.extend_from_slice(message);
    // The pseudo header (RFC 768): addresses, protocol, length.
    let pseudo = sum_of_addresses(&packet) + u32::from(UDP) + u32::from(udp_len);
    let udp = match !fold(pseudo + self::sum(&packet[IP_HEADER..])) {
        // 0 would mean that there is none.
        0 => u16::MAX,
        checksum => checksum,
    };
    packet[IP_HEADER + 6..IP_HEADER + 8].copy_from_slice(&udp.to_be_bytes());
    packet
}

fn sum_of_addresses(packet: &[u8]) -> u32 {
    sum(&packet[12..20])
}

/// Sum of 16-bit words (RFC 1071); no packet here is long enough for more than 32 bits.
fn sum(bytes: &[u8]) -> u32 {
    let word =
        |pair: &[u8]| u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
    bytes.chunks(2).map(word).sum()
}

fn fold(sum: u32) -> u16 {
    let once = (sum & 0xffff) + (sum >> 16);
    ((once & 0xffff) + (once >> 16)) as u16
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use proptest::prelude::*;

    use super::*;

    const CLIENT: Ipv4Addr = Ipv4Addr::new(192, 168, 77, 100);
    const US: Ipv4Addr = Ipv4Addr::new(192, 168, 77, 1);

    /// As Windows sends it after IPCP: 328 bytes, client identifier, host name, vendor class, and a list of what it asks for.
    fn of_windows() -> Vec<u8> {
        let mut message = vec![1, 8, 6, 0, 0x12, 0x34, 0x56, 0x78, 0, 0, 0, 0];
        message.extend_from_slice(&CLIENT.octets());
        message.extend_from_slice(&[0; 12]);
        message.extend_from_slice(&[0, 0x53, 0x45, 0, 0, 0]);
        message.resize(236, 0);
        message.extend_from_slice(&COOKIE);
        message.extend_from_slice(&[53, 1, 8, 61, 7, 8, 0, 0x53, 0x45, 0, 0, 0]);
        message.extend_from_slice(&[12, 2, b'P', b'C', 60, 8]);
        message.extend_from_slice(b"MSFT 5.0");
        message.extend_from_slice(&[55, 7, 6, 44, 43, 1, 249, 121, 15, 255]);
        message.resize(300, 0);
        let mut asked = packet(CLIENT, Ipv4Addr::BROADCAST, &message);
        asked[20..24].copy_from_slice(&[0, 68, 0, 67]);
        asked
    }

    fn configuration() -> Configuration {
        Configuration {
            routes: vec![(Ipv4Addr::new(10, 0, 0, 0), 8), (Ipv4Addr::new(192, 168, 77, 128), 25)],
            name_servers: vec![US],
            domain: b"example.com".to_vec(),
        }
    }

    /// Options of an answer.
    fn option_of(answer: &[u8], kind: u8) -> Option<&[u8]> {
        option(&answer[IP_HEADER + UDP_HEADER + FIXED..], kind)
    }

    #[test]
    fn the_question_of_windows_is_read() {
        let asked = of_windows();
        assert_eq!(asked.len(), 328);
        let inform = Inform::parse(&asked).unwrap();
        assert_eq!((inform.source, inform.client), (CLIENT, CLIENT));
        assert_eq!(inform.transaction, 0x1234_5678);
    }

    #[test]
    fn the_answer_has_routes_for_both_generations_and_right_checksums() {
        let inform = Inform::parse(&of_windows()).unwrap();
        let (answer, count) = inform.answer(US, CLIENT, &configuration());
        assert_eq!(count, 2);
        assert_eq!(fold(sum(&answer[..IP_HEADER])), 0xffff);
        let udp_len = u32::from(u16::from_be_bytes([answer[24], answer[25]]));
        let pseudo = sum_of_addresses(&answer) + u32::from(UDP) + udp_len;
        assert_eq!(fold(pseudo + sum(&answer[IP_HEADER..])), 0xffff);
        assert_eq!(answer[12..28][..8], [192, 168, 77, 1, 192, 168, 77, 100]);
        assert_eq!(answer[20..24], [0, 67, 0, 68]);
        let message = &answer[28..];
        assert_eq!(message[..8], [2, 8, 6, 0, 0x12, 0x34, 0x56, 0x78]);
        assert_eq!(message[12..16], CLIENT.octets());
        let routes = [8, 10, 192, 168, 77, 1, 25, 192, 168, 77, 128, 192, 168, 77, 1];
        for (kind, data) in [
            (53, &[5][..]),
            (54, &[192, 168, 77, 1]),
            (1, &[255; 4]),
            (6, &[192, 168, 77, 1]),
            (15, b"example.com"),
            (121, &routes),
            (249, &routes),
        ] {
            assert_eq!(option_of(&answer, kind), Some(data), "{kind}");
        }
    }

    #[test]
    fn what_is_not_said_is_left_out() {
        let inform = Inform::parse(&of_windows()).unwrap();
        let (answer, count) = inform.answer(US, CLIENT, &Configuration::default());
        assert_eq!((answer.len(), count), (IP_HEADER + UDP_HEADER + MIN_ANSWER, 0));
        for kind in [6, 15, 121, 249] {
            assert_eq!(option_of(&answer, kind), None, "{kind}");
        }
    }

    #[test]
    fn other_packets_are_refused() {
        let asked = of_windows();
        for (at, byte) in [
            (0, 0x46),
            (9, 6),
            (6, 0x20),
            (21, 67),
            (23, 68),
            (24, 0),
            (25, 255),
            (28, 2),
            (264, 0),
            (270, 1),
        ] {
            let mut other = asked.clone();
            other[at] = byte;
            assert!(Inform::parse(&other).is_err(), "{at}");
        }
        for len in 0..asked.len() {
            assert!(Inform::parse(&asked[..len]).is_err(), "{len}");
        }
    }

    proptest! {
        #[test]
        fn no_packet_panics_and_no_answer_is_too_long(
            at in 0usize..328,
            bytes in proptest::collection::vec(any::<u8>(), 0..64),
            routes in proptest::collection::vec((any::<u32>(), any::<u8>()), 0..100),
            domain in proptest::collection::vec(any::<u8>(), 0..300),
            servers in proptest::collection::vec(any::<u32>(), 0..20),
        ) {
            let mut packet = of_windows();
            let end = (at + bytes.len()).min(packet.len());
            packet[at..end].copy_from_slice(&bytes[..end - at]);
            let _ = Inform::parse(&packet);
            let _ = Inform::parse(&bytes);
            let given = Configuration {
                routes: routes.iter().map(|(to, bits)| (Ipv4Addr::from(*to), *bits)).collect(),
                name_servers: servers.into_iter().map(Ipv4Addr::from).collect(),
                domain,
            };
            let inform = Inform::parse(&of_windows()).unwrap();
            let (answer, count) = inform.answer(US, CLIENT, &given);
            prop_assert!(answer.len() <= IP_HEADER + UDP_HEADER + MAX_ANSWER);
            let option = option_of(&answer, ROUTES).unwrap_or_default();
            let fitting = given.routes.iter().take(count).map(|(_, bits)| {
                usize::from(*bits).min(32).div_ceil(8) + 5
            });
            prop_assert_eq!(option.len(), fitting.sum::<usize>());
            prop_assert!(count == given.routes.len() || option.len() > 80);
        }
    }
}
