//! What fuzzers run: any bytes become operations on an engine, and its promises are checked after each.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::net::Ipv4Addr;
use core::time::Duration;

use crypto::mppe::{Mode, StartKey, Strength};
use engine::Instant;
use engine::control::{Config, Connection, Event, Output, Role};
use engine::data::{self, DataPath, DropReason, Inbound};
use engine::ppp::{DirectionKeys, Framing, Ipv4Agreed, Keys, NetworkPermit};
use wire::control::{self, Message};
use wire::gre::Header;

const BUFFER: usize = 2048;

/// Takes `bytes` as operations on a control connection. Panics when the connection breaks a promise.
pub fn connection(bytes: &[u8]) {
    let mut input = Input(bytes);
    let role = if input.byte() & 1 == 0 { Role::Pac } else { Role::Pns };
    let mut now = Instant::ZERO;
    let mut connection = Connection::new(role, Config::default(), now);
    let mut witness = Witness::default();
    while !input.0.is_empty() {
        let id = u16::from(input.byte() & 7);
        match input.byte() % 12 {
            // These mostly end the connection: rare, so that something happens before.
            0 if input.byte() < 8 => connection.handle_bytes(now, input.some()),
            1 => {
                now += Duration::from_millis(u64::from(input.byte()) * 100);
                connection.handle_timeout(now);
                let next = connection.poll_timeout();
                assert!(next.is_none_or(|(at, _)| at > now), "a timer that is due did nothing");
            }
            2 => {
                let peer_call_id = witness.requested.pop().unwrap_or(id);
                let _ = connection.accept_call(peer_call_id, witness.next_call_id());
            }
            3 => drop(connection.refuse_call(now, witness.requested.pop().unwrap_or(id), 2, 4)),
            4 => drop(connection.disconnect_call(now, 0x100 | id, 1)),
            5 => drop(connection.place_call(now, 0x100 | id)),
            6 => drop(connection.clear_call(now, 0x100 | id)),
            7 => drop(connection.set_link_info(0x100 | id, 0, 0)),
            8 if input.byte() < 8 => connection.stop(now, 1),
            9 if input.byte() < 8 => connection.handle_eof(now),
            _ => connection.handle_bytes(now, &message(&mut input)),
        }
        witness.drain(&mut connection);
    }
}

/// Message types, those that end a connection less often.
const KINDS: [u8; 32] = [
    1, 1, 1, 2, 2, 2, 3, 4, 5, 5, 6, 6, 7, 7, 7, 7, 7, 7, 8, 8, 8, 9, 10, 11, 12, 12, 13, 13, 14,
    15, 15, 16,
];

/// A message with a right header, whatever is in it; mostly with a right version, result code 1 and call ids that may exist.
fn message(input: &mut Input<'_>) -> Vec<u8> {
    let kind = KINDS[usize::from(input.byte()) % KINDS.len()];
    let body = input.some();
    let mut bytes = alloc::vec![0; control::MAX_MESSAGE_LEN];
    bytes[2..4].copy_from_slice(&[0, 1]);
    bytes[4..8].copy_from_slice(&control::MAGIC_COOKIE.to_be_bytes());
    bytes[9] = kind;
    bytes[1] = control::MAX_MESSAGE_LEN as u8;
    let fields = &mut bytes[control::HEADER_LEN..];
    fields[..body.len()].copy_from_slice(body);
    let ids = input.byte();
    match kind {
        _ if ids & 0xc0 == 0xc0 => {}
        1 | 2 => fields[..3].copy_from_slice(&[1, 0, 1]),
        7.. => {
            fields[..4].copy_from_slice(&[ids >> 3 & 1, ids & 7, ids >> 4 & 1, ids >> 1 & 7]);
            fields[4] = 1;
        }
        _ => {}
    }
    bytes
}

/// What a connection has promised so far.
#[derive(Default)]
struct Witness {
    calls: BTreeSet<u16>,
    requested: Vec<u16>,
    given: u16,
    closed: bool,
}

impl Witness {
    /// One that has not been in use for long, as a server's allocator gives it.
    fn next_call_id(&mut self) -> u16 {
        self.given = self.given.wrapping_add(1);
        0x100_u16.wrapping_add(self.given)
    }

    fn drain(&mut self, connection: &mut Connection) {
        while let Some(output) = connection.poll_output() {
            assert!(!self.closed, "output after the end: {output:?}");
            match output {
                Output::Message(bytes) => {
                    assert_eq!(control::frame_len(&bytes), Ok(Some(bytes.len())));
                    assert!(Message::parse(&bytes).is_ok());
                }
                Output::Event(Event::CallRequested(request)) => {
                    self.requested.push(request.peer_call_id);
                }
                Output::Event(Event::CallConnected { our_call_id, .. }) => {
                    self.calls.insert(our_call_id);
                }
                Output::Event(Event::CallEnded { our_call_id: Some(id), .. }) => {
                    self.calls.remove(&id);
                }
                Output::Event(Event::Closed(_)) => {
                    assert!(self.calls.is_empty(), "calls outlive their connection");
                }
                Output::Event(_) => {}
                Output::Close => self.closed = true,
            }
        }
        assert_eq!(connection.is_closed(), self.closed);
        assert!(!self.closed || connection.poll_timeout().is_none(), "a timer after the end");
    }
}

/// Takes `bytes` as operations on a packet path. Panics when the path breaks a promise.
pub fn data_path(bytes: &[u8]) {
    let mut input = Input(bytes);
    let flags = input.byte();
    let mode = if flags & 1 == 0 { Mode::Stateless } else { Mode::Stateful };
    let (mut path, mut peer) = (path(), path());
    let mut is_open = false;
    let mut now = Instant::ZERO;
    let mut buffer = [0; BUFFER];
    while !input.0.is_empty() {
        now += Duration::from_millis(u64::from(input.byte()));
        match input.byte() % 10 {
            0 => {
                let keys = keys(mode);
                path.install_keys(&keys);
                peer.install_keys(&keys);
            }
            1 => path.remove_keys(),
            2 | 3 => {
                path.open_network(permit(flags & 2 == 0));
                peer.open_network(permit(false));
                is_open = true;
            }
            4 => {
                path.close_network();
                is_open = false;
            }
            5 => path.set_framing(framing(flags & 4 == 0)),
            6 => {
                let from_peer = peer.outbound_ip(now, &ip_packet(input.byte()), &mut buffer);
                let packet = buffer[..from_peer.unwrap_or(0)].to_vec();
                take(&mut path, now, packet, is_open);
            }
            7 => {
                let header = Header {
                    call_id: 1,
                    seq: Some(u32::from(input.byte()) << (input.byte() % 25)),
                    ack: Some(input.byte().into()),
                };
                let payload = input.some();
                let mut packet = alloc::vec![0; header.wire_len()];
                header.emit(payload.len(), &mut packet);
                packet.extend_from_slice(payload);
                take(&mut path, now, packet, is_open);
            }
            8 => take(&mut path, now, input.some().to_vec(), is_open),
            _ => {
                let sent = path.outbound_ip(now, input.some(), &mut buffer);
                assert!(is_open || sent.is_err(), "a packet left a closed network");
                path.receive_reset_acked(now);
                peer.reset_transmit();
                if let Some(len) = path.ack_frame(&mut buffer) {
                    assert!(wire::gre::parse(&buffer[..len]).is_ok());
                }
            }
        }
    }
}

fn take(path: &mut DataPath, now: Instant, mut packet: Vec<u8>, is_open: bool) {
    let check = |inbound: &Inbound, packet: &[u8]| match inbound {
        Inbound::Ip(range) => {
            assert!(is_open, "a packet came through a closed network");
            assert_eq!(packet[range.clone()][12..16], CLIENT.octets(), "a spoofed source");
        }
        Inbound::Control(range) | Inbound::Early(range) => {
            assert!(!packet[range.clone()].is_empty());
        }
        Inbound::ResetNeeded | Inbound::Held | Inbound::AckOnly | Inbound::Drop(_) => {}
    };
    let inbound = path.inbound(now, &mut packet);
    check(&inbound, &packet);
    if let Inbound::Early(_) = inbound {
        let inbound = path.reinject(now, &mut packet);
        check(&inbound, &packet);
    }
    let mut buffer = [0; BUFFER];
    while let Some(inbound) = path.take_ready(now, &mut buffer) {
        assert_ne!(inbound, Inbound::Drop(DropReason::NoRoom));
        check(&inbound, &buffer);
    }
    assert!(path.held_deadline().is_none_or(|at| at > now));
}

const CLIENT: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 50);

fn path() -> DataPath {
    let config =
        data::Config { our_call_id: 1, peer_call_id: 1, check_source: true, clamp_mss: true };
    DataPath::new(config)
}

fn framing(compressed: bool) -> Framing {
    Framing { acfc: compressed, pfc: compressed, peer_mru: 1400, our_mru: 1400 }
}

fn permit(encryption_required: bool) -> NetworkPermit {
    let ipv4 = Ipv4Agreed { local: Ipv4Addr::LOCALHOST, remote: CLIENT, dns: [None; 2] };
    NetworkPermit::for_tests(Some(ipv4), None, encryption_required, 1400)
}

fn keys(mode: Mode) -> Keys {
    let start = StartKey::from_bytes([7; 16]);
    let direction = DirectionKeys { start, strength: Strength::Bits128, mode };
    Keys { send: direction.clone(), receive: direction }
}

fn ip_packet(mark: u8) -> Vec<u8> {
    let mut packet = alloc::vec![0x45, 0, 0, 40, 0, 0, 0, 0, 64, 17, 0, 0];
    packet.extend(CLIENT.octets());
    packet.extend([mark; 24]);
    let sum: u32 =
        packet[..20].chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum();
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet
}

/// The rest of a fuzzer's bytes.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    /// The next byte; 0 at the end.
    fn byte(&mut self) -> u8 {
        let Some((byte, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *byte
    }

    /// As many bytes as the next one says, if there are so many; 200 at most.
    fn some(&mut self) -> &'a [u8] {
        let len = usize::from(self.byte()).min(self.0.len()).min(200);
        let (some, rest) = self.0.split_at(len);
        self.0 = rest;
        some
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Dice;

    fn random_inputs(count: u64, run: impl Fn(&[u8])) {
        for seed in 0..count {
            let mut dice = Dice::new(seed);
            let len = dice.below(2000);
            let bytes: Vec<u8> = (0..len).map(|_| dice.u64() as u8).collect();
            run(&bytes);
        }
    }

    #[test]
    fn random_operations_break_no_promise_of_a_connection() {
        random_inputs(5_000, connection);
    }

    #[test]
    fn random_operations_break_no_promise_of_a_packet_path() {
        random_inputs(1_000, data_path);
    }
}
