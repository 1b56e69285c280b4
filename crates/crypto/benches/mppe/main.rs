//! Sealing and opening packets, against other ways to do the same.
//!
//! All ways take turns in one process, so that what disturbs the machine disturbs them alike. Before anything is timed, each way has to seal
//! the same packets as all others.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it prints its table")]

mod reference;

use std::hint::black_box;
use std::time::{Duration, Instant};

use crypto::mppe::{Lanes, Mode, Opener, Planned, Sealer, StartKey, Strength, apply, make_keys};
use reference::{KernelShaped, OpenSsl, Reference, RustCrypto};

/// Packets in a batch, and sessions where there are many.
const BATCH: usize = 32;
const LENGTHS: [usize; 4] = [64, 256, 576, 1400];
/// Turns of each way.
const ROUNDS: usize = 301;
/// Turns that are not counted.
const WARM_UP: usize = 20;
const START: [u8; 16] = *b"a start key here";
/// What a plain text begins with; [`Opener::open`] has to be convinced.
const PLAIN: [u8; 4] = [0x00, 0x21, 0x45, 0x00];

type Turn = dyn FnMut(&mut [Vec<u8>]) -> Duration;

/// One way to deal with a batch of [`BATCH`] packets.
struct Way {
    name: &'static str,
    /// Does what is not timed, then deals with the packets and gives the time.
    turn: Box<Turn>,
    /// Nanoseconds for each packet, one figure a turn.
    times: Vec<f64>,
}

fn way(name: &'static str, turn: impl FnMut(&mut [Vec<u8>]) -> Duration + 'static) -> Way {
    Way { name, turn: Box::new(turn), times: Vec::new() }
}

fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

fn main() {
    // `cargo test --benches` and `cargo bench -- --test` only want to know that it runs.
    let is_test = !std::env::args().any(|argument| argument == "--bench");
    // `--length 1400`: packets of this length alone.
    let wanted = std::env::args().skip_while(|argument| argument != "--length").nth(1);
    check();
    let rounds = if is_test { 3 } else { ROUNDS };
    println!(
        "| packet | way | ns, median | ns, 10th percentile | cycles | times faster than (a) |"
    );
    println!("|---|---|---|---|---|---|");
    for len in LENGTHS {
        if wanted.as_ref().is_some_and(|wanted| *wanted != len.to_string()) {
            continue;
        }
        let mut ways = ways(len);
        measure(&mut ways, len, rounds);
        print_rows(&mut ways, len);
    }
}

fn measure(ways: &mut [Way], len: usize, rounds: usize) {
    let mut packets = vec![plain(len); BATCH];
    for round in 0..rounds + WARM_UP {
        for way in &mut *ways {
            packets.iter_mut().for_each(|packet| packet[..PLAIN.len()].copy_from_slice(&PLAIN));
            let time = (way.turn)(black_box(&mut packets));
            if round >= WARM_UP {
                way.times.push(time.as_nanos() as f64 / BATCH as f64);
            }
        }
    }
}

fn print_rows(ways: &mut [Way], len: usize) {
    let clock = gigahertz();
    let percentile = |way: &mut Way, part: f64| {
        way.times.sort_by(f64::total_cmp);
        way.times[(way.times.len() as f64 * part) as usize]
    };
    let slow = ways.first_mut().map_or(1.0, |way| percentile(way, 0.5));
    for way in ways {
        let (median, least) = (percentile(way, 0.5), percentile(way, 0.1));
        let (name, cycles, ratio) = (way.name, median * clock, slow / median);
        println!("| {len} | {name} | {median:.0} | {least:.0} | {cycles:.0} | {ratio:.2} |");
    }
}

fn ways(len: usize) -> Vec<Way> {
    let mut ways = vec![
        reference("(a) kernel-shaped, one at a time", KernelShaped::new(START), len),
        reference("(b) RustCrypto, one at a time", RustCrypto::new(START), len),
    ];
    match OpenSsl::new(START) {
        Some(openssl) => ways.push(reference("(c) OpenSSL's RC4, one at a time", openssl, len)),
        None => eprintln!("OpenSSL's row is missing: no libcrypto.so.3 with RC4 here"),
    }
    let mut session = sealer(0);
    ways.push(way("seal, one at a time", move |packets| {
        timed(|| {
            for packet in packets {
                black_box(session.seal(packet));
            }
        })
    }));
    let mut sessions: Vec<_> = (0..BATCH).map(sealer).collect();
    ways.push(way("seal, one at a time, cipher ready", move |packets| {
        sessions.iter_mut().filter_map(Sealer::keys).for_each(|keys| keys.prepare());
        timed(|| {
            for (packet, session) in packets.iter_mut().zip(&mut sessions) {
                black_box(session.seal(packet));
            }
        })
    }));
    let (mut lanes, mut session) = (Lanes::new(), sealer(0));
    ways.push(way("seal, batch of 32 of one session", move |packets| {
        timed(|| seal_batch(&mut lanes, &mut session, packets))
    }));
    let mut sessions: Vec<_> = (0..BATCH).map(sealer).collect();
    let mut lanes = Lanes::new();
    ways.push(way("seal, batch of 32 of 32 sessions", move |packets| {
        timed(|| seal_many(&mut lanes, &mut sessions, packets))
    }));
    ways.extend(opening());
    ways
}

fn opening() -> Vec<Way> {
    let (mut from, mut to) = (sealer(0), opener(0));
    let alone = way("open, one at a time", move |packets| {
        let headers: Vec<_> = packets.iter_mut().map(|packet| from.seal(packet)).collect();
        timed(|| {
            for (header, packet) in headers.iter().zip(packets) {
                to.open(*header, 1, packet, is_sane).expect("a packet in order");
            }
        })
    });
    let (mut from, mut to, mut lanes) = (sealer(0), opener(0), Lanes::new());
    let batch = way("open, batch of 32 of one session", move |packets| {
        let headers: Vec<_> = packets.iter_mut().map(|packet| from.seal(packet)).collect();
        timed(|| open_batch(&mut lanes, &mut to, &headers, packets))
    });
    let mut from: Vec<_> = (0..BATCH).map(sealer).collect();
    let mut to: Vec<_> = (0..BATCH).map(opener).collect();
    let mut lanes = Lanes::new();
    let many = way("open, batch of 32 of 32 sessions", move |packets| {
        let sealed = packets.iter_mut().zip(&mut from);
        let headers: Vec<_> = sealed.map(|(packet, from)| from.seal(packet)).collect();
        timed(|| open_many(&mut lanes, &mut to, &headers, packets))
    });
    vec![alone, batch, many]
}

fn reference(name: &'static str, mut way_to_seal: impl Reference + 'static, len: usize) -> Way {
    let source = plain(len);
    way(name, move |packets| {
        timed(|| {
            for packet in packets {
                way_to_seal.seal(&source, packet);
            }
        })
    })
}

fn seal_batch(lanes: &mut Lanes, session: &mut Sealer, packets: &mut [Vec<u8>]) {
    let mut keys = Vec::with_capacity(BATCH);
    keys.extend(packets.iter_mut().filter_map(|packet| black_box(session.plan(packet)).1));
    apply(
        lanes,
        keys.into_iter().zip(packets.iter_mut().map(|packet| &mut packet[..])),
        session.keys(),
    );
}

fn seal_many(lanes: &mut Lanes, sessions: &mut [Sealer], packets: &mut [Vec<u8>]) {
    let mut keys = Vec::with_capacity(BATCH);
    let planned = sessions.iter_mut().zip(&mut *packets);
    keys.extend(planned.filter_map(|(session, packet)| black_box(session.plan(packet)).1));
    apply(lanes, keys.into_iter().zip(packets.iter_mut().map(|packet| &mut packet[..])), None);
    make_keys(lanes, sessions.iter_mut().filter_map(Sealer::keys));
}

fn open_batch(lanes: &mut Lanes, session: &mut Opener, headers: &[u16], packets: &mut [Vec<u8>]) {
    let (mut keys, mut numbers) = (Vec::with_capacity(BATCH), Vec::with_capacity(BATCH));
    for (distance, header) in (1..).zip(headers) {
        let Ok(Planned::Key { number, key }) = session.plan(*header, distance) else { return };
        keys.push(key);
        numbers.push(number);
    }
    apply(
        lanes,
        keys.into_iter().zip(packets.iter_mut().map(|packet| &mut packet[..])),
        session.keys(),
    );
    for (number, packet) in numbers.into_iter().zip(packets) {
        assert!(is_sane(packet) && session.commit(number).is_ok());
    }
}

fn open_many(lanes: &mut Lanes, sessions: &mut [Opener], headers: &[u16], packets: &mut [Vec<u8>]) {
    let (mut keys, mut numbers) = (Vec::with_capacity(BATCH), Vec::with_capacity(BATCH));
    for (session, header) in sessions.iter_mut().zip(headers) {
        let Ok(Planned::Key { number, key }) = session.plan(*header, 1) else { return };
        keys.push(key);
        numbers.push(number);
    }
    apply(lanes, keys.into_iter().zip(packets.iter_mut().map(|packet| &mut packet[..])), None);
    for ((number, packet), session) in numbers.into_iter().zip(packets).zip(&mut *sessions) {
        assert!(is_sane(packet) && session.commit(number).is_ok());
    }
    make_keys(lanes, sessions.iter_mut().filter_map(Opener::keys));
}

/// All ways seal the same packets.
fn check() {
    let source = plain(1400);
    let mut packets = vec![plain(1400); BATCH];
    seal_batch(&mut Lanes::new(), &mut sealer(0), &mut packets);
    let mut references: Vec<Box<dyn Reference>> =
        vec![Box::new(KernelShaped::new(START)), Box::new(RustCrypto::new(START))];
    references.extend(OpenSsl::new(START).map(|openssl| Box::new(openssl) as Box<dyn Reference>));
    for mut reference in references {
        let mut others = vec![plain(1400); BATCH];
        others.iter_mut().for_each(|packet| reference.seal(&source, packet));
        assert!(others == packets, "the ways do not seal alike");
    }
}

fn sealer(session: usize) -> Sealer {
    Sealer::new(start_key(session), Strength::Bits128, Mode::Stateless)
}

fn opener(session: usize) -> Opener {
    Opener::new(start_key(session), Strength::Bits128, Mode::Stateless)
}

fn start_key(session: usize) -> StartKey {
    let mut key = START;
    key[0] ^= session as u8;
    StartKey::from_bytes(key)
}

fn plain(len: usize) -> Vec<u8> {
    let mut packet: Vec<u8> = (0..len).map(|at| at as u8).collect();
    packet[..PLAIN.len()].copy_from_slice(&PLAIN);
    packet
}

fn is_sane(plain: &[u8]) -> bool {
    plain.starts_with(&PLAIN)
}

/// The processor's clock, by a chain of multiplications of which each waits for the one before, for three cycles on every processor since 2013. Chains
/// of additions are cut short by newer ones.
fn gigahertz() -> f64 {
    const MULTIPLICATIONS: u64 = 1 << 20;
    const CYCLES: u64 = 3;
    let measure = || {
        let start = Instant::now();
        #[cfg(target_arch = "x86_64")]
        // SAFETY: registers only.
        unsafe {
            std::arch::asm!("2:", "imul {x}, {x}", "imul {x}, {x}", "imul {x}, {x}", "imul {x}, {x}", "sub {n}, 4", "jnz 2b",
                x = inout(reg) 3u64 => _, n = inout(reg) MULTIPLICATIONS => _, options(nomem, nostack));
        }
        (CYCLES * MULTIPLICATIONS) as f64 / start.elapsed().as_nanos() as f64
    };
    (0..9).map(|_| measure()).fold(0.0, f64::max)
}
