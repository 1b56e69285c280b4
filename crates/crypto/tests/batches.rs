//! Many packets of several sessions at once, against one after the other.

use crypto::mppe::{Lanes, apply, make_keys};
use crypto::mppe::{Mode, OpenError, Opener, PacketKeys, Planned, Sealer, StartKey, Strength};
use proptest::prelude::*;

const STRENGTHS: [Strength; 3] = [Strength::Bits40, Strength::Bits56, Strength::Bits128];

/// One packet of a batch: whose it is, how long, and what becomes of it.
#[derive(Clone, Debug)]
struct Packet {
    session: usize,
    len: usize,
    fate: Fate,
}

#[derive(Clone, Copy, Debug)]
enum Fate {
    Arrives,
    IsLost,
    /// A copy comes after it.
    ComesTwice,
    /// It comes after the next of its batch.
    IsOvertaken,
    /// Another takes its place, with a count this far ahead.
    IsForged(u16),
}

fn packets() -> impl Strategy<Value = Vec<Vec<Packet>>> {
    let fate = prop_oneof![
        8 => Just(Fate::Arrives),
        1 => Just(Fate::IsLost),
        1 => Just(Fate::ComesTwice),
        1 => Just(Fate::IsOvertaken),
        1 => (0u16..300).prop_map(Fate::IsForged),
    ];
    let len = prop_oneof![3usize..80, 3usize..1500];
    let packet =
        (0usize..5, len, fate).prop_map(|(session, len, fate)| Packet { session, len, fate });
    prop::collection::vec(prop::collection::vec(packet, 1..45), 1..12)
}

/// A session at both ends, each end by packet (`plain`) and in batches.
struct Session {
    plain_sealer: Sealer,
    sealer: Sealer,
    plain_opener: Opener,
    opener: Opener,
    sent: u32,
    /// One more than the newest number opened, in either way of opening.
    plain_next: u32,
    next: u32,
}

impl Session {
    fn new(number: usize, mode: Mode) -> Self {
        let key = StartKey::from_bytes([number as u8; 16]);
        let strength = STRENGTHS[number % 3];
        let sealer = || Sealer::new(key.clone(), strength, mode);
        let opener = || Opener::new(key.clone(), strength, mode);
        Self {
            plain_sealer: sealer(),
            sealer: sealer(),
            plain_opener: opener(),
            opener: opener(),
            sent: 0,
            plain_next: 0,
            next: 0,
        }
    }
}

/// A packet as it travels.
#[derive(Clone)]
struct Sealed {
    session: usize,
    number: u32,
    header: u16,
    body: Vec<u8>,
    forged: bool,
}

/// A plain text that names its packet. A forger cannot make one.
fn text(session: usize, number: u32, len: usize) -> Vec<u8> {
    let seed = (session as u32 + 1).wrapping_mul(0x9e37_79b9) ^ number.wrapping_mul(0x85eb_ca6b);
    (0..len).map(|at| (seed.rotate_left(at as u32 % 32) as u8) ^ at as u8).collect()
}

fn seal(sessions: &mut [Session], batch: &[Packet]) -> Vec<Sealed> {
    let mut sealed = Vec::new();
    let mut keys = Vec::new();
    for packet in batch {
        let session = &mut sessions[packet.session];
        let number = session.sent;
        session.sent += 1;
        let mut plain = text(packet.session, number, packet.len);
        let mut body = plain.clone();
        let plain_header = session.plain_sealer.seal(&mut plain);
        let (header, key) = session.sealer.plan(&mut body);
        assert_eq!(header, plain_header);
        keys.push(key);
        sealed
            .push((Sealed { session: packet.session, number, header, body, forged: false }, plain));
    }
    let busiest = sessions[0].sealer.keys();
    let jobs = sealed
        .iter_mut()
        .zip(keys)
        .filter_map(|((sealed, _), key)| Some((key?, &mut sealed.body[..])));
    apply(&mut Lanes::new(), jobs, busiest);
    sealed
        .into_iter()
        .map(|(sealed, plain)| {
            assert_eq!(sealed.body, plain, "sealed in a batch as alone");
            sealed
        })
        .collect()
}

fn travel(batch: &[Packet], sealed: Vec<Sealed>) -> Vec<Sealed> {
    let mut arrived: Vec<Sealed> = Vec::new();
    let mut overtaken = None;
    for (packet, sealed) in batch.iter().zip(sealed) {
        match packet.fate {
            Fate::Arrives => arrived.push(sealed),
            Fate::IsLost => {}
            Fate::ComesTwice => arrived.extend([sealed.clone(), sealed]),
            Fate::IsOvertaken => {
                arrived.extend(overtaken.replace(sealed));
                continue;
            }
            Fate::IsForged(ahead) => {
                let header = sealed.header & 0xf000 | (sealed.header + ahead) & 0xfff;
                arrived.push(Sealed { header, forged: true, ..sealed });
            }
        }
        arrived.extend(overtaken.take());
    }
    arrived.extend(overtaken);
    arrived
}

fn distance(number: u32, next: u32) -> u32 {
    (number + 1).saturating_sub(next)
}

fn open_alone(sessions: &mut [Session], packet: &Sealed) -> Result<(), OpenError> {
    let session = &mut sessions[packet.session];
    let expected = text(packet.session, packet.number, packet.body.len());
    let mut body = packet.body.clone();
    let distance = distance(packet.number, session.plain_next);
    let sane = |plain: &[u8]| !packet.forged && plain == expected;
    session.plain_opener.open(packet.header, distance, &mut body, sane)?;
    session.plain_next = session.plain_next.max(packet.number + 1);
    Ok(())
}

/// Opens what arrived as a worker does: plans all, decrypts, then looks at each in order of arrival. A packet that has to be opened alone
/// waits for those before it.
fn open(sessions: &mut [Session], arrived: &[Sealed]) -> Vec<bool> {
    let mut opened = Vec::new();
    let mut pending: Vec<(&Sealed, u64, Vec<u8>)> = Vec::new();
    let mut keys = Vec::new();
    for packet in arrived {
        let session = &mut sessions[packet.session];
        match session.opener.plan(packet.header, distance(packet.number, session.next)) {
            Ok(Planned::Key { number, key }) => {
                pending.push((packet, number, packet.body.clone()));
                keys.push(key);
                continue;
            }
            Ok(Planned::Alone) => {}
            Err(_) => {
                // Its place in the order is kept by finishing those before it first.
                finish(sessions, &mut pending, &mut keys, &mut opened);
                opened.push(false);
                continue;
            }
        }
        finish(sessions, &mut pending, &mut keys, &mut opened);
        let session = &mut sessions[packet.session];
        let expected = text(packet.session, packet.number, packet.body.len());
        let mut body = packet.body.clone();
        let sane = |plain: &[u8]| !packet.forged && plain == expected;
        let distance = distance(packet.number, session.next);
        let result = session.opener.open(packet.header, distance, &mut body, sane);
        if result.is_ok() {
            session.next = session.next.max(packet.number + 1);
        }
        opened.push(result.is_ok());
    }
    finish(sessions, &mut pending, &mut keys, &mut opened);
    opened
}

fn finish(
    sessions: &mut [Session],
    pending: &mut Vec<(&Sealed, u64, Vec<u8>)>,
    keys: &mut Vec<crypto::mppe::SessionKey>,
    opened: &mut Vec<bool>,
) {
    let busiest = sessions[0].opener.keys();
    apply(
        &mut Lanes::new(),
        keys.drain(..).zip(pending.iter_mut().map(|(_, _, body)| &mut body[..])),
        busiest,
    );
    for (packet, number, body) in pending.drain(..) {
        let session = &mut sessions[packet.session];
        let sane = !packet.forged && body == text(packet.session, packet.number, body.len());
        let is_open = sane && session.opener.commit(number).is_ok();
        if is_open {
            session.next = session.next.max(packet.number + 1);
        }
        opened.push(is_open);
    }
}

fn idle(sessions: &mut [Session], what: u8) {
    for session in sessions {
        let (sealer, opener) = (&mut session.sealer, &mut session.opener);
        let (Some(sending), Some(receiving)) = (sealer.keys(), opener.keys()) else { continue };
        match what {
            0 => [sending, receiving].into_iter().for_each(PacketKeys::prepare),
            1 => make_keys(&mut Lanes::new(), [sending, receiving]),
            // Keys of packets that are late are given up by it: only those of the sealer.
            2 => sending.release(),
            _ => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn batches_do_what_single_packets_do(
        batches in packets(),
        stateful in any::<bool>(),
        pauses in prop::collection::vec(0u8..5, 12),
    ) {
        let mode = |session| if stateful && session == 2 { Mode::Stateful } else { Mode::Stateless };
        let mut sessions: Vec<_> = (0..5).map(|number| Session::new(number, mode(number))).collect();
        for (batch, pause) in batches.iter().zip(pauses) {
            let sealed = seal(&mut sessions, batch);
            let arrived = travel(batch, sealed);
            let alone: Vec<_> =
                arrived.iter().map(|packet| open_alone(&mut sessions, packet).is_ok()).collect();
            prop_assert_eq!(open(&mut sessions, &arrived), alone);
            idle(&mut sessions, pause);
        }
    }
}
