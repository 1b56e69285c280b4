//! Two data planes at full speed, with a line between them that loses packets, doubles them and changes their order.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::net::{Ipv4Addr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use common::*;
use crypto::mppe::Mode;
use dataplane::{Command, Counters, GrePath, IoMode, NewCall, Settings, Snapshot};
use engine::Random;
use rustix::net::sockopt;
use rustix::time::{ClockId, clock_gettime};
use sys::event::Epoll;
use sys::raw::{GreSocket, RecvBatch, SendBatch};

/// The second cable's ends: the line's, and the far data plane's.
const BEYOND: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 10, 0, 1), Ipv4Addr::new(10, 10, 0, 2)];

/// How many datagrams are sent, and how many of them may be under way: no more than an interface's own queue holds, which drops what is beyond.
const DATAGRAMS: u64 = 10_000;
const UNDER_WAY: u64 = 400;
/// Room for more of them than are ever under way, in bytes.
const SOCKET_BUFFER: usize = 4 << 20;
/// What an interface's MTU leaves of a datagram.
const PAYLOAD: usize = MTU as usize - 28;

/// The least speed that counts as one, in megabits for each second of processor time: of both data planes, the line and the test, whatever else the
/// machine does.
const LEAST_MEGABITS: f64 = 20.0;

/// Behind so many others a packet comes that the line has kept back. Its key is kept for longer.
const KEPT_BACK: u64 = 20;

/// What the line has done to packets from end 0 to end 1.
#[derive(Default)]
struct Done {
    lost: AtomicU64,
    doubled: AtomicU64,
    kept_back: AtomicU64,
    /// Whether it does anything to them yet.
    is_bad: AtomicBool,
    stop: AtomicBool,
}

/// Passes GRE packets on between both cables until it is told to stop.
fn be_the_line(done: &Done) {
    let socket = GreSocket::open().unwrap();
    let epoll = Epoll::new().unwrap();
    epoll.add(&socket, 0).unwrap();
    let (mut incoming, mut outgoing) = (RecvBatch::new(2048), SendBatch::new(2048));
    let mut random = Random::new([5; 32]);
    // Each with how many others are still to pass it.
    let mut kept: Vec<(u64, Vec<u8>)> = Vec::new();
    while !done.stop.load(SeqCst) {
        let mut ready = Vec::new();
        epoll.wait(Some(Duration::from_millis(5)), &mut ready).unwrap();
        let count = if ready.is_empty() { 0 } else { socket.recv_batch(&mut incoming).unwrap() };
        let mut forward = |packet: &[u8]| {
            if outgoing.is_full() {
                outgoing.flush(&socket, |failure| panic!("{failure:?}"));
            }
            outgoing.push_copy(packet, BEYOND[1], BEYOND[0], 0);
        };
        let mut back = SendBatch::new(2048);
        for index in 0..count {
            let packet = incoming.packet(index);
            let (from, gre) = (&packet[12..16], &packet[20..]);
            let has_data = wire::gre::parse(gre).unwrap().0.seq.is_some();
            let is_at_risk = has_data && done.is_bad.load(SeqCst);
            if from == BEYOND[1].octets() {
                back.push_copy(gre, OUTER[0], OUTER[1], 0);
                continue;
            }
            match random.u32() % 50 {
                0 if is_at_risk => _ = done.lost.fetch_add(1, SeqCst),
                1 if is_at_risk => {
                    done.kept_back.fetch_add(1, SeqCst);
                    kept.push((2 + u64::from(random.u32()) % KEPT_BACK, gre.to_vec()));
                }
                2 if is_at_risk => {
                    done.doubled.fetch_add(1, SeqCst);
                    forward(gre);
                    forward(gre);
                }
                _ => forward(gre),
            }
            for (others, _) in &mut kept {
                *others -= 1;
            }
            kept.iter().filter(|(others, _)| *others == 0).for_each(|(_, gre)| forward(gre));
            kept.retain(|(others, _)| *others > 0);
        }
        // Nothing more comes that could pass them.
        if count == 0 {
            kept.drain(..).for_each(|(_, gre)| forward(&gre));
        }
        outgoing.flush(&socket, |failure| panic!("{failure:?}"));
        back.flush(&socket, |failure| panic!("{failure:?}"));
    }
}

/// Sends numbered datagrams from end 0 to end 1 as fast as they go, checks that each which was not lost comes once, and gives megabits per second of processor time.
fn cross(settings: Settings<'_>, mode: Mode) -> f64 {
    let mut speed = None;
    with_cable(|first| {
        let second = first.lengthened(BEYOND);
        let done = Done::default();
        let near = first.station_with(0, settings);
        let far = second.station_with(1, settings);
        let calls = [
            NewCall { peer: OUTER[1], ..call(0) },
            NewCall { peer: BEYOND[0], local: BEYOND[1], ..call(1) },
        ];
        let cables = [first, &second];
        let counters = [&near, &far].map(|station| {
            let end = usize::from(std::ptr::eq(station, &raw const far));
            let counters = station.dataplane.add(calls[end]);
            station.dataplane.send(CALL[end], Command::Keys(keys(end, mode)));
            let (permit, tun) = (permit(end, true), Some(cables[end].tun(end)));
            station.dataplane.send(CALL[end], Command::OpenNetwork { permit, tun });
            counters
        });
        let sockets = [0, 1].map(|end| cables[end].udp(end));
        sockopt::set_socket_recv_buffer_size_force(&sockets[1], SOCKET_BUFFER).unwrap();
        let received = AtomicU64::new(0);
        thread::scope(|scope| {
            scope.spawn(|| first.at(1, || be_the_line(&done)));
            let before = settle(&sockets, &counters[1]);
            done.is_bad.store(true, SeqCst);
            let receiver = scope.spawn(|| receive_all(&sockets[1], &received, &done));
            let (start, used_before) = (Instant::now(), processor_time());
            let under_way =
                |sent: u64| sent.saturating_sub(received.load(SeqCst) + done.lost.load(SeqCst));
            let give_up = start + 6 * PATIENCE;
            let wait = |sent: u64, most: u64| {
                while under_way(sent) > most && Instant::now() < give_up {
                    thread::sleep(Duration::from_micros(100));
                }
            };
            let mut payload = vec![0; PAYLOAD];
            for number in 0..DATAGRAMS {
                payload[..8].copy_from_slice(&number.to_be_bytes());
                sockets[0].send_to(&payload, (INNER[1], 5000)).unwrap();
                wait(number + 1, UNDER_WAY - 1);
            }
            wait(DATAGRAMS, 0);
            let used = processor_time() - used_before;
            // What would come twice has time to.
            thread::sleep(Duration::from_millis(100));
            done.stop.store(true, SeqCst);
            let times = receiver.join().unwrap();
            check(&done, &times, &before, &counters[1].snapshot());
            speed = Some(DATAGRAMS as f64 * PAYLOAD as f64 * 8.0 / 1e6 / used.as_secs_f64());
        });
    });
    // Without the right to make namespaces there is nothing to be slow.
    speed.unwrap_or(f64::INFINITY)
}

/// What this process has used so far.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap(), time.tv_nsec.try_into().unwrap())
}

/// Counts how often each datagram comes, until the line has stopped and no more do.
fn receive_all(socket: &UdpSocket, received: &AtomicU64, done: &Done) -> Vec<u8> {
    let mut times = vec![0u8; DATAGRAMS as usize];
    let mut buffer = [0; 2048];
    socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    loop {
        if let Ok(len) = socket.recv(&mut buffer) {
            assert_eq!(len, PAYLOAD);
            let number = u64::from_be_bytes(buffer[..8].try_into().unwrap());
            times[number as usize] += 1;
            received.fetch_add(1, SeqCst);
        } else if done.stop.load(SeqCst) {
            return times;
        }
    }
}

/// Waits until datagrams pass, and gives the far end's figures then.
fn settle(sockets: &[UdpSocket; 2], far: &Counters) -> Snapshot {
    sockets[1].set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let give_up = Instant::now() + PATIENCE;
    let mut came = 0;
    while came < 3 {
        sockets[0].send_to(b"first", (INNER[1], 5000)).unwrap();
        came += u32::from(sockets[1].recv(&mut [0; 8]).is_ok());
        assert!(Instant::now() < give_up, "nothing passes");
    }
    while sockets[1].recv(&mut [0; 8]).is_ok() {}
    far.snapshot()
}

fn check(done: &Done, times: &[u8], before: &Snapshot, after: &Snapshot) {
    let lost = done.lost.load(SeqCst);
    let missing = times.iter().filter(|times| **times == 0).count() as u64;
    let twice = times.iter().filter(|times| **times > 1).count();
    assert_eq!((missing, twice), (lost, 0), "missing, of which lost on the line; twice");
    for (what, count) in
        [("lost", &done.lost), ("doubled", &done.doubled), ("kept back", &done.kept_back)]
    {
        assert!(count.load(SeqCst) > DATAGRAMS / 100, "the line has hardly {what} anything");
    }
    let delivered = DATAGRAMS - lost;
    assert_eq!(after.received_packets - before.received_packets, delivered);
    assert_eq!(after.gre_received - before.gre_received, delivered);
    // Each second copy is dropped, and nothing else.
    assert_eq!(after.dropped_in_all() - before.dropped_in_all(), done.doubled.load(SeqCst));
}

#[test]
fn at_full_speed_everything_that_arrives_is_delivered_once() {
    let interface = ["eth0".to_owned()];
    for path in [GrePath::Raw, GrePath::Packet, GrePath::Xdp(&interface)] {
        for workers in [1, 2] {
            let settings =
                Settings { workers, device: None, io: IoMode::Batched, path, sandbox: sandbox() };
            let megabits = cross(settings, Mode::Stateless);
            eprintln!("{path:?}, {workers} workers: {megabits:.0} Mbit");
            assert!(megabits >= LEAST_MEGABITS, "{path:?}, {workers} workers: {megabits} Mbit");
        }
    }
}
