mod batches;
mod gates;
mod hostile;
mod mppe;
mod real_clients;

use alloc::vec::Vec;
use core::net::Ipv4Addr;
use core::time::Duration;

use crypto::mppe::{Mode, StartKey, Strength};
use wire::gre::Header;
use wire::ppp::Protocol;

use super::*;
use crate::ppp::{DirectionKeys, Ipv4Agreed, Ipv6Agreed};

pub(super) const NOW: Instant = Instant::from_nanos(1_000_000_000);
pub(super) const OURS: u16 = 7;
pub(super) const PEERS: u16 = 9;
pub(super) const CLIENT: Ipv4Addr = Ipv4Addr::new(192, 168, 0, 234);
pub(super) const SERVER: Ipv4Addr = Ipv4Addr::new(192, 168, 0, 1);
pub(super) const CLIENT_ID: [u8; 8] = [2, 0, 0, 0, 0, 0, 0, 9];

pub(super) fn config() -> Config {
    Config { our_call_id: OURS, peer_call_id: PEERS, check_source: true, clamp_mss: true }
}

pub(super) fn permit(encryption_required: bool) -> NetworkPermit {
    let ipv4 = Ipv4Agreed { local: SERVER, remote: CLIENT, dns: [None; 2] };
    let ipv6 = Ipv6Agreed { local_id: [1; 8], remote_id: CLIENT_ID };
    NetworkPermit::for_tests(Some(ipv4), Some(ipv6), encryption_required, 1396)
}

pub(super) fn framing(compressed: bool) -> Framing {
    Framing { acfc: compressed, pfc: compressed, peer_mru: 1400, our_mru: 1400 }
}

fn direction(byte: u8, mode: Mode) -> DirectionKeys {
    DirectionKeys { start: StartKey::from_bytes([byte; 16]), strength: Strength::Bits128, mode }
}

pub(super) fn keys(mode: Mode, is_server: bool) -> Keys {
    let (send, receive) = if is_server { (1, 2) } else { (2, 1) };
    Keys { send: direction(send, mode), receive: direction(receive, mode) }
}

/// A server's path with the network open, without encryption.
pub(super) fn clear() -> DataPath {
    let mut path = DataPath::new(config());
    path.set_framing(framing(true));
    path.open_network(permit(false));
    path
}

/// A server's path and its client's, with MPPE.
pub(super) fn encrypted(mode: Mode) -> (DataPath, DataPath) {
    let mut server = DataPath::new(config());
    server.set_framing(framing(true));
    server.install_keys(&keys(mode, true));
    server.open_network(permit(true));
    let mut client = DataPath::new(Config {
        our_call_id: PEERS,
        peer_call_id: OURS,
        check_source: false,
        clamp_mss: true,
    });
    client.set_framing(framing(true));
    client.install_keys(&keys(mode, false));
    client.open_network(permit(true));
    (server, client)
}

/// A GRE packet to us.
pub(super) fn gre(seq: Option<u32>, ack: Option<u32>, payload: &[u8]) -> Vec<u8> {
    let header = Header { call_id: OURS, seq, ack };
    let mut packet = alloc::vec![0; header.wire_len()];
    header.emit(payload.len(), &mut packet);
    packet.extend_from_slice(payload);
    packet
}

/// A UDP packet of `len` bytes; `mark` makes it unlike others.
pub(super) fn ipv4(source: Ipv4Addr, len: usize, mark: u8) -> Vec<u8> {
    let mut packet = alloc::vec![mark; len];
    packet[..12].copy_from_slice(&[
        0x45,
        0,
        (len >> 8) as u8,
        len as u8,
        0,
        1,
        0x40,
        0,
        64,
        17,
        0,
        0,
    ]);
    packet[12..16].copy_from_slice(&source.octets());
    packet[16..20].copy_from_slice(&[192, 168, 0, 1]);
    let sum = ip::checksum(&packet[..20]);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet
}

pub(super) fn ipv6(source: [u8; 16], len: usize) -> Vec<u8> {
    let mut packet = alloc::vec![0; len];
    packet[0] = 0x60;
    packet[4..6].copy_from_slice(&((len - 40) as u16).to_be_bytes());
    packet[6] = 17;
    packet[8..24].copy_from_slice(&source);
    packet
}

/// A PPP frame: this protocol in two bytes without address and control, then this.
pub(super) fn frame(protocol: Protocol, information: &[u8]) -> Vec<u8> {
    let mut frame = protocol.0.to_be_bytes().to_vec();
    frame.extend_from_slice(information);
    frame
}

pub(super) fn send(path: &mut DataPath, packet: &[u8]) -> Vec<u8> {
    let mut out = [0; 2000];
    let len = path.outbound_ip(NOW, packet, &mut out).unwrap();
    out[..len].to_vec()
}

/// The IP packet that a GRE packet brings, or what else comes of it.
pub(super) fn receive(
    path: &mut DataPath,
    now: Instant,
    packet: &[u8],
) -> Result<Vec<u8>, Inbound> {
    let mut packet = packet.to_vec();
    match path.inbound(now, &mut packet) {
        Inbound::Ip(range) => Ok(packet[range].to_vec()),
        other => Err(other),
    }
}

pub(super) fn dropped(reason: DropReason) -> Result<Vec<u8>, Inbound> {
    Err(Inbound::Drop(reason))
}
