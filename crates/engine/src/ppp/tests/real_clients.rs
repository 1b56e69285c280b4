//! Links against what real clients send. The captured clients' own requests are played word for word; our requests are answered as
//! they answered the recorded server's. Captures are read from `../shared` and skipped, with a message, where they are absent.

use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use crypto::{Password, Secret};
use wire::ppp::{Code, Packet, Protocol};

use super::duo::{grant, server};
use crate::Instant;
use crate::auth::Method;
use crate::data::{self, DataPath, Inbound};
use crate::fixtures::{self, Captured};
use crate::ppp::*;

/// A server link and a client of which only frames are known.
struct Replay {
    link: Link,
    grant: Grant,
    secret: Secret,
    now: Instant,
    sent: Vec<Vec<u8>>,
    keys: Option<Keys>,
    permit: Option<NetworkPermit>,
    identifications: Vec<Vec<u8>>,
    closed: Option<Cause>,
    /// Whether our requests are acknowledged.
    answers: bool,
}

impl Replay {
    fn new(config: LinkConfig, grant: Grant, password: &str) -> Self {
        Self {
            link: Link::new(config, [5; 32], Instant::ZERO),
            grant,
            secret: Secret::Password(Password::from(password)),
            now: Instant::ZERO,
            sent: Vec::new(),
            keys: None,
            permit: None,
            identifications: Vec::new(),
            closed: None,
            answers: true,
        }
    }

    fn feed(&mut self, frame: &[u8]) {
        self.link.handle_frame(self.now, frame);
        self.drain();
    }

    fn packet(&mut self, protocol: Protocol, code: Code, id: u8, data: &[u8]) {
        let mut frame = protocol.0.to_be_bytes().to_vec();
        Packet { code, id, data }.emit(&mut frame);
        self.feed(&frame);
    }

    fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some((at, _)) = self.link.poll_timeout().filter(|(at, _)| *at <= end) {
            self.now = at;
            self.link.handle_timeout(at);
            self.drain();
        }
        self.now = end;
    }

    /// Takes everything out and acknowledges what we ask for, as the clients did.
    fn drain(&mut self) {
        while let Some(output) = self.link.poll_output() {
            match output {
                Output::Frame(frame) => {
                    let (protocol, body) = wire::ppp::split(&frame).unwrap();
                    let asks = body[0] == Code::CONFIGURE_REQUEST.0
                        && !matches!(protocol, Protocol::CHAP | Protocol::PAP);
                    if asks && self.answers {
                        let mut ack = frame.clone();
                        ack[frame.len() - body.len()] = Code::CONFIGURE_ACK.0;
                        self.link.handle_frame(self.now, &ack);
                    }
                    self.sent.push(frame);
                }
                Output::Event(event) => self.take(event),
            }
        }
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Authenticate(request) => match request.verify(&self.secret) {
                Ok(verdict) => self.link.authenticated(self.now, verdict, self.grant),
                Err(verdict) => self.link.deny(self.now, request.name(), verdict),
            },
            Event::Keys(keys) => self.keys = Some(keys),
            Event::KeysGone => self.keys = None,
            Event::NetworkUp(permit) => self.permit = Some(permit),
            Event::NetworkDown => self.permit = None,
            Event::Identification(text) => self.identifications.push(text),
            Event::Closed(cause) => self.closed = Some(cause),
            _ => {}
        }
    }

    /// The packets that we sent in `protocol` with `code`.
    fn sent(&self, protocol: Protocol, code: Code) -> Vec<&[u8]> {
        let bodies = self.sent.iter().filter_map(|frame| {
            let (is, body) = wire::ppp::split(frame).unwrap();
            (is == protocol && body[0] == code.0).then_some(body)
        });
        bodies.collect()
    }
}

fn quiet_server() -> LinkConfig {
    let mut config = server(MppePolicy::REQUIRE_128);
    config.lcp.echo = None;
    config
}

/// The PPP frame in a captured GRE packet.
fn frame(captured: &Captured) -> Option<&[u8]> {
    let (_, payload) = wire::gre::parse(&captured.bytes).ok()?;
    (!payload.is_empty()).then_some(payload)
}

/// What the captured client was given in the end, and the Challenge that it answered.
fn recorded_outcome(capture: &[Captured]) -> (Grant, u8, [u8; 16]) {
    use wire::ipcp::IpcpOption;
    let mut given = Grant { dns: [None; 2], ..grant() };
    let mut challenge = (0, [0; 16]);
    for captured in capture.iter().filter(|captured| !captured.is_control) {
        let Some((protocol, body)) = frame(captured).and_then(|f| wire::ppp::split(f).ok()) else {
            continue;
        };
        match (protocol, captured.from_client) {
            (Protocol::CHAP, false) => {
                if let Ok(packet) = wire::chap::Challenge::parse(body) {
                    challenge = (packet.id, packet.value.try_into().unwrap());
                }
            }
            // The last request, which was acknowledged.
            (Protocol::IPCP, true) if body[0] == 1 => {
                given.dns = [None; 2];
                for option in wire::ppp::options(&body[4..]).flatten() {
                    match IpcpOption::parse(option) {
                        IpcpOption::Address(address) => given.remote = address,
                        IpcpOption::Dns1(address) => given.dns[0] = Some(address),
                        IpcpOption::Dns2(address) => given.dns[1] = Some(address),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    (given, challenge.0, challenge.1)
}

/// Plays a captured client to an open network and decrypts what it sent. Gives the number of IP packets.
fn play(capture: &[Captured], password: &str) -> usize {
    let (grant, id, challenge) = recorded_outcome(capture);
    let mut replay = Replay::new(quiet_server(), grant, password);
    let first = capture.iter().find(|it| it.from_client && !it.is_control).unwrap();
    let our_call_id = wire::gre::parse(&first.bytes).unwrap().0.call_id;
    let mut path = DataPath::new(data::Config {
        our_call_id,
        peer_call_id: 0,
        check_source: true,
        clamp_mss: false,
    });
    let mut installed = false;
    let mut packets = 0;
    for captured in capture.iter().filter(|it| it.from_client && !it.is_control) {
        let mut bytes = captured.bytes.clone();
        match path.inbound(replay.now, &mut bytes) {
            Inbound::Ip(_) => packets += 1,
            Inbound::Control(range) => {
                let (protocol, body) = wire::ppp::split(&bytes[range.clone()]).unwrap();
                // Its answers were to the recorded server's requests; ours get theirs in `drain`.
                let answer = (2..=4).contains(&body[0]) && protocol != Protocol::CHAP;
                if protocol == Protocol::CHAP {
                    replay.link.force_challenge(id, challenge);
                }
                if !answer && body[0] != Code::ECHO_REPLY.0 {
                    replay.feed(&bytes[range]);
                }
            }
            _ => {}
        }
        if let (Some(keys), false) = (&replay.keys, installed) {
            path.install_keys(keys);
            installed = true;
        }
        if let Some(permit) = replay.permit {
            path.open_network(permit);
        }
    }
    assert!(installed, "the network did not open: {:?}", replay.closed);
    assert_eq!(replay.permit.unwrap().ipv4().unwrap().remote, grant.remote);
    packets
}

#[test]
fn captured_windows_clients_reach_an_open_network_and_their_traffic_decrypts() {
    let known = [
        ("win_lulu_pw_password.json", "password", 25),
        ("win2000_scott_pw_turquoise.json", "turquoise", 18),
    ];
    for (name, capture) in fixtures::captures() {
        if let Some((_, password, wanted)) = known.iter().find(|(known, ..)| *known == name) {
            assert_eq!(play(&capture, password), *wanted, "{name}");
        }
    }
}

/// lulu:15, solar:47, asleap:43: a request that comes before the client listens costs pppd 3 s.
#[test]
fn our_first_request_waits_for_the_client() {
    let mut replay = Replay::new(quiet_server(), grant(), "x");
    replay.wait(Duration::from_millis(400));
    assert!(replay.sent.is_empty());
    replay.link.start(replay.now);
    replay.drain();
    assert_eq!(replay.sent(Protocol::LCP, Code::CONFIGURE_REQUEST).len(), 1);
}

/// asleap:47 and :80: callback and multilink are rejected in one packet; the endpoint discriminator that stays is taken.
#[test]
fn windows_2000_is_rid_of_callback_and_multilink_in_one_round() {
    let mut replay = Replay::new(quiet_server(), grant(), "x");
    let first = fixtures::hex(
        "c0210100002c05060015706a070208020d03061104064e1317017f6769e949404affbb24d0941651d7aa00000004",
    );
    replay.feed(&first);
    let rejected = replay.sent(Protocol::LCP, Code::CONFIGURE_REJECT)[0];
    let kinds: Vec<u8> = wire::ppp::options(&rejected[4..]).flatten().map(|o| o.kind).collect();
    assert_eq!(kinds, [13, 17, 19]);
    let second = fixtures::hex(
        "c0210102002505060015706a070208021317017f6769e949404affbb24d0941651d7aa00000004",
    );
    replay.feed(&second);
    assert_eq!(replay.sent(Protocol::LCP, Code::CONFIGURE_ACK).len(), 1);
}

/// asleap:118, :120: pppd answered Identification with Code-Reject.
#[test]
fn identification_is_kept_and_not_answered() {
    let mut replay = Replay::new(quiet_server(), grant(), "x");
    replay.feed(&[0xc0, 0x21, 1, 1, 0, 4]);
    let before = replay.sent.len();
    replay.packet(Protocol::LCP, Code::IDENTIFICATION, 2, b"\x0c\x6f\x35\x48MSRASV5.20");
    replay.packet(Protocol::LCP, Code::TIME_REMAINING, 3, &[0; 8]);
    assert_eq!(replay.identifications, [b"MSRASV5.20".to_vec()]);
    assert_eq!(replay.sent.len(), before);
}

/// rerange:100: the 12 bytes of Windows' Terminate-Request come back in the Terminate-Ack.
#[test]
fn the_data_of_a_terminate_request_is_echoed() {
    let mut replay = Replay::new(quiet_server(), grant(), "x");
    replay.feed(&[0xc0, 0x21, 1, 1, 0, 4]);
    let data = fixtures::hex("0c6f3548003ccd7400000000");
    replay.packet(Protocol::LCP, Code::TERMINATE_REQUEST, 9, &data);
    assert_eq!(&replay.sent(Protocol::LCP, Code::TERMINATE_ACK)[0][4..], data);
    replay.wait(Duration::from_secs(5));
    assert_eq!(replay.closed, Some(Cause::PeerTerminated(data)));
}

/// zeek_pppoe:28: four bytes behind the magic number of an Echo-Request come back.
#[test]
fn echo_requests_are_answered_with_their_data_and_our_magic_number() {
    let mut replay = Replay::new(quiet_server(), grant(), "x");
    replay.feed(&[0xc0, 0x21, 1, 1, 0, 4]);
    replay.packet(Protocol::LCP, Code::ECHO_REQUEST, 7, &[0, 0, 0, 1, 0xde, 0xad, 0xbe, 0xef]);
    let reply = replay.sent(Protocol::LCP, Code::ECHO_REPLY)[0];
    assert_eq!((reply[1], &reply[8..]), (7, &[0xde, 0xad, 0xbe, 0xef][..]));
}

/// VyOS with Windows 10: PAP, CHAP and MS-CHAP are refused one after the other until MS-CHAPv2 is asked for.
#[test]
fn windows_10_leads_us_to_mschapv2_by_naks() {
    let mut config = quiet_server();
    super::duo::server_part(&mut config).methods =
        vec![Method::Pap, Method::ChapMd5, Method::MsChapV1, Method::MsChapV2];
    let mut link = Link::new(config, [7; 32], Instant::ZERO);
    link.start(Instant::ZERO);
    let mut asked = Vec::new();
    while let Some(output) = link.poll_output() {
        let Output::Frame(frame) = output else { continue };
        let (_, body) = wire::ppp::split(&frame).unwrap();
        if body[0] != 1 {
            continue;
        }
        let auth = wire::ppp::options(&body[4..]).flatten().find(|o| o.kind == 3).unwrap();
        asked.push(auth.data.to_vec());
        if auth.data == [0xc2, 0x23, 0x81] {
            break;
        }
        let nak = [0xff, 3, 0xc0, 0x21, 3, body[1], 0, 9, 3, 5, 0xc2, 0x23, 0x81];
        link.handle_frame(Instant::ZERO, &nak);
    }
    assert_eq!(asked, [vec![0xc0, 0x23], vec![0xc2, 0x23, 0x81]]);
}

/// Log in and stop before CCP, as any Windows would.
fn logged_in(mppe: MppePolicy) -> Replay {
    logged_in_with(mppe, true)
}

fn logged_in_with(mppe: MppePolicy, answers: bool) -> Replay {
    let mut config = quiet_server();
    config.mppe = mppe;
    let mut replay = Replay::new(config, grant(), "password");
    replay.feed(&[0xc0, 0x21, 1, 1, 0, 4]);
    let challenge = fixtures::hex("95a87fa62ebcd2e3c8b09e1b448a6c72");
    replay.link.force_challenge(1, challenge.try_into().unwrap());
    let value = fixtures::hex(
        "e2ae0995eaac6ceff0d9757428b515090000000000000000ed8cc90fd40faa2d6bcd0abd0b1f562fd777df6c5609c98b00",
    );
    replay.answers = answers;
    let mut data = vec![49];
    data.extend_from_slice(&value);
    data.extend_from_slice(b"lulu");
    replay.packet(Protocol::CHAP, Code(2), 1, &data);
    assert_eq!(replay.sent(Protocol::CHAP, Code(3)).len(), 1);
    replay
}

/// jm:28 and :35: "optional encryption" asks for no strength, is told 128 bits, and asks for that.
#[test]
fn windows_10_asking_for_no_strength_is_told_one() {
    let mut replay = logged_in(MppePolicy::REQUIRE_128);
    replay.packet(Protocol::CCP, Code::CONFIGURE_REQUEST, 6, &[18, 6, 1, 0, 0, 0]);
    let nak = replay.sent(Protocol::CCP, Code::CONFIGURE_NAK)[0];
    assert_eq!(nak[4..], [18, 6, 1, 0, 0, 0x40]);
    replay.packet(Protocol::CCP, Code::CONFIGURE_REQUEST, 8, &[18, 6, 1, 0, 0, 0x40]);
    assert!(replay.keys.is_some());
}

/// asleap:129: everything that Windows 2000 has (H, M, S, L and MPPC) is narrowed to one.
#[test]
fn windows_2000_offering_everything_is_told_128_bits() {
    let mut replay = logged_in(MppePolicy::REQUIRE_128);
    replay.packet(Protocol::CCP, Code::CONFIGURE_REQUEST, 6, &[18, 6, 1, 0, 0, 0xe1]);
    assert_eq!(replay.sent(Protocol::CCP, Code::CONFIGURE_NAK)[0][4..], [18, 6, 1, 0, 0, 0x40]);
}

/// suricata:25 and :29: other compression is rejected, an empty request is acknowledged where nothing is required.
#[test]
fn other_compression_is_rejected_and_an_empty_request_acknowledged() {
    let mut replay = logged_in(MppePolicy { need: MppeNeed::Allowed, ..MppePolicy::REQUIRE_128 });
    replay.packet(Protocol::CCP, Code::CONFIGURE_REQUEST, 1, &[26, 4, 0x78, 0, 21, 3, 0x2f]);
    assert_eq!(
        replay.sent(Protocol::CCP, Code::CONFIGURE_REJECT)[0][4..],
        [26, 4, 0x78, 0, 21, 3, 0x2f]
    );
    replay.packet(Protocol::CCP, Code::CONFIGURE_REQUEST, 2, &[]);
    assert_eq!(replay.sent(Protocol::CCP, Code::CONFIGURE_ACK).len(), 1);
}

/// VyOS with Windows 10 set to "no encryption": CCP comes back as unknown.
#[test]
fn a_windows_without_encryption_is_turned_away_where_it_is_required() {
    let mut replay = logged_in(MppePolicy::REQUIRE_128);
    replay.packet(
        Protocol::LCP,
        Code::PROTOCOL_REJECT,
        5,
        &[0x80, 0xfd, 1, 1, 0, 10, 18, 6, 1, 0, 0, 0x40],
    );
    replay.wait(Duration::from_secs(5));
    assert_eq!(replay.closed, Some(Cause::EncryptionRefused));
    assert!(replay.permit.is_none());
}

/// jm:33 and :40: pppd answers IPCP with Terminate-Ack while CCP is not open, and Windows loses 1–2 s.
#[test]
fn ipcp_is_negotiated_while_ccp_is_not_open_yet() {
    let mut replay = logged_in(MppePolicy::REQUIRE_128);
    replay.packet(Protocol::IPCP, Code::CONFIGURE_REQUEST, 7, &[3, 6, 0, 0, 0, 0]);
    assert_eq!(replay.sent(Protocol::IPCP, Code::CONFIGURE_NAK)[0][4..], [3, 6, 192, 168, 1, 50]);
    replay.packet(Protocol::IPCP, Code::CONFIGURE_REQUEST, 8, &[3, 6, 192, 168, 1, 50]);
    assert_eq!(replay.sent(Protocol::IPCP, Code::CONFIGURE_ACK).len(), 1);
    assert!(replay.permit.is_none(), "data waits for encryption");
    replay.packet(Protocol::CCP, Code::CONFIGURE_REQUEST, 9, &[18, 6, 1, 0, 0, 0x40]);
    assert!(replay.permit.is_some());
}

/// jm:29 and :41: address, DNS and NBNS servers; what we do not have is rejected in one packet.
#[test]
fn windows_gets_its_name_server_and_no_nbns() {
    let mut replay = logged_in(MppePolicy::REQUIRE_128);
    let asked = fixtures::hex("030600000000810600000000820600000000830600000000840600000000");
    replay.packet(Protocol::IPCP, Code::CONFIGURE_REQUEST, 7, &asked);
    let rejected = replay.sent(Protocol::IPCP, Code::CONFIGURE_REJECT)[0];
    let kinds: Vec<u8> = wire::ppp::options(&rejected[4..]).flatten().map(|o| o.kind).collect();
    assert_eq!(kinds, [0x82, 0x83, 0x84]);
    replay.packet(
        Protocol::IPCP,
        Code::CONFIGURE_REQUEST,
        8,
        &fixtures::hex("030600000000810600000000"),
    );
    let nak = replay.sent(Protocol::IPCP, Code::CONFIGURE_NAK)[0];
    assert_eq!(nak[4..], fixtures::hex("0306c0a801328106c0a80102"));
}

/// A lost Success is repeated until the client shows that it heard it: pppd as a client would wait for ever.
#[test]
fn success_is_repeated_to_a_client_that_stays_in_authentication() {
    let mut replay = logged_in_with(MppePolicy::REQUIRE_128, false);
    replay.wait(Duration::from_millis(300));
    assert_eq!(replay.sent(Protocol::CHAP, Code(3)).len(), 2);
    replay.packet(Protocol::IPCP, Code::CONFIGURE_REQUEST, 7, &[3, 6, 0, 0, 0, 0]);
    replay.wait(Duration::from_secs(2));
    assert_eq!(replay.sent(Protocol::CHAP, Code(3)).len(), 2);
}

/// 56681217247: a refused Windows may try again with the new challenge in the Failure (RFC 2759 §6).
#[test]
fn a_refused_client_may_try_again_with_the_new_challenge() {
    let mut replay = Replay::new(quiet_server(), grant(), "password");
    replay.feed(&[0xc0, 0x21, 1, 1, 0, 4]);
    replay.link.force_challenge(1, [9; 16]);
    let respond = |challenge: &[u8; 16], password: &str| {
        let hash = crypto::NtHash::of(&Password::from(password));
        let mut data = vec![49];
        let response = crypto::mschap::v2::Response::new(&hash, b"lulu", challenge, [3; 16]);
        data.extend_from_slice(&response.to_bytes());
        data.extend_from_slice(b"lulu");
        data
    };
    replay.packet(Protocol::CHAP, Code(2), 1, &respond(&[9; 16], "wrong"));
    let failure = replay.sent(Protocol::CHAP, Code(4))[0][4..].to_vec();
    let text = core::str::from_utf8(&failure).unwrap();
    let challenge = fixtures::hex(&text[text.find("C=").unwrap() + 2..][..32]);
    replay.packet(Protocol::CHAP, Code(2), 2, &respond(&challenge.try_into().unwrap(), "password"));
    assert_eq!(replay.sent(Protocol::CHAP, Code(3)).len(), 1);
}

#[test]
fn hostile_frames_are_survived_and_the_link_still_opens() {
    for hostile in fixtures::hostile("ppp") {
        for mut replay in
            [Replay::new(quiet_server(), grant(), "password"), logged_in(MppePolicy::REQUIRE_128)]
        {
            for message in &hostile.messages {
                replay.feed(message);
            }
            replay.wait(Duration::from_secs(1));
            assert!(replay.permit.is_none() || replay.keys.is_some(), "{}", hostile.name);
        }
        let mut fresh = logged_in(MppePolicy::REQUIRE_128);
        fresh.packet(Protocol::CCP, Code::CONFIGURE_REQUEST, 9, &[18, 6, 1, 0, 0, 0x40]);
        fresh.packet(Protocol::IPCP, Code::CONFIGURE_REQUEST, 8, &[3, 6, 192, 168, 1, 50]);
        assert!(fresh.permit.is_some(), "{}", hostile.name);
    }
}
