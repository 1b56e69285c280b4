//! What can only be known by trying.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use sys::raw::{GreSocket, RecvBatch, SendBatch};
use wire::gre::{Header, Outer, parse};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often a socket without an answer is looked at.
const LOOK: Duration = Duration::from_millis(5);
/// What the packet of the self test carries.
const PAYLOAD: &[u8] = b"gretel doctor";
/// Addresses that are tried at most.
const MAX_ADDRESSES: usize = 64;

/// Whether a raw GRE socket can be opened, and whether a GRE packet from this host to itself arrives; `Ok(false)`: it does not.
pub(super) fn gre_loop() -> io::Result<bool> {
    let socket = GreSocket::open()?;
    let call_id = u16::from_be_bytes(sys::random_bytes()?);
    let mut out = SendBatch::new(64);
    let room = out.room();
    let header = Header { call_id, seq: Some(0), ack: None };
    let len = header.emit(PAYLOAD.len(), room);
    room[len..len + PAYLOAD.len()].copy_from_slice(PAYLOAD);
    out.push(0..len + PAYLOAD.len(), Ipv4Addr::LOCALHOST, Ipv4Addr::LOCALHOST, 0);
    if out.flush(&socket, |_| {}) == 0 {
        return Ok(false);
    }
    let mut packets = RecvBatch::new(2048);
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        for index in 0..socket.recv_batch(&mut packets)? {
            let packet = packets.packet(index);
            let Ok(outer) = Outer::parse(packet) else { continue };
            let gre = parse(&packet[outer.start..outer.end]);
            if matches!(gre, Ok((header, PAYLOAD)) if header.call_id == call_id) {
                return Ok(true);
            }
        }
        thread::sleep(LOOK);
    }
    Ok(false)
}

/// Opens a TCP connection to each address, all at the same time.
pub(super) fn reach(addresses: &[SocketAddr]) -> Vec<(SocketAddr, Result<(), String>)> {
    each(addresses, |address| {
        TcpStream::connect_timeout(&address, PATIENCE).map(drop).map_err(|error| error.to_string())
    })
}

/// Asks each name server for the root's name servers; any answer at all counts.
pub(crate) fn ask_name_servers(servers: &[Ipv4Addr]) -> Vec<(Ipv4Addr, Result<(), String>)> {
    each(servers, |server| {
        ask(SocketAddrV4::new(server, 53)).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "no answer".into(),
            _ => error.to_string(),
        })
    })
}

fn ask(server: SocketAddrV4) -> io::Result<()> {
    let [high, low]: [u8; 2] = sys::random_bytes()?;
    // RFC 1035 §4.1: id, RD, one question; the root, type NS, class IN.
    let question = [high, low, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1];
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.connect(server)?;
    socket.set_read_timeout(Some(PATIENCE / 2))?;
    let mut answer = [0; 512];
    let mut outcome = Err(io::ErrorKind::TimedOut.into());
    // One packet may be lost.
    for _ in 0..2 {
        socket.send(&question)?;
        outcome = socket.recv(&mut answer);
        if let Ok(len) = outcome
            && len >= 12
            && answer[..2] == [high, low]
        {
            return Ok(());
        }
    }
    outcome.map(drop)
}

/// Threads belong to the network namespace of the one that starts them.
fn each<A: Copy + Send, T: Send>(addresses: &[A], probe: impl Fn(A) -> T + Sync) -> Vec<(A, T)> {
    let addresses = &addresses[..addresses.len().min(MAX_ADDRESSES)];
    thread::scope(|scope| {
        let probe = &probe;
        let started = |address: A| (address, scope.spawn(move || probe(address)));
        let probes: Vec<_> = addresses.iter().copied().map(started).collect();
        let done = |(address, thread): (A, thread::ScopedJoinHandle<'_, T>)| {
            Some((address, thread.join().ok()?))
        };
        probes.into_iter().filter_map(done).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gre_packet_comes_back_over_loopback() {
        match sys::namespace::run_in_new(|| gre_loop().unwrap()) {
            Ok(came) => assert!(came),
            Err(error) => eprintln!("skipped: no network namespace: {error}"),
        }
    }

    #[test]
    fn a_name_server_that_answers_is_told_from_one_that_is_not_there() {
        let outcome = sys::namespace::run_in_new(|| {
            let server = UdpSocket::bind("127.0.0.1:53").unwrap();
            let answering = thread::spawn(move || {
                let mut question = [0; 64];
                let (len, from) = server.recv_from(&mut question).unwrap();
                server.send_to(&question[..len], from).unwrap();
            });
            let asked = ask_name_servers(&[Ipv4Addr::LOCALHOST, Ipv4Addr::new(127, 0, 0, 2)]);
            answering.join().unwrap();
            asked
        });
        match outcome {
            Ok(asked) => assert!(asked[0].1.is_ok() && asked[1].1.is_err(), "{asked:?}"),
            Err(error) => eprintln!("skipped: no network namespace: {error}"),
        }
    }
}
