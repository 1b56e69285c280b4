//! A verdict for each sequence of events.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use dataplane::First;
use engine::auth::{DenyReason, Method};
use engine::control::{self, CallEnd, Direction};
use engine::ppp::{Cause, Framing, Ipv4Agreed, Party};
use wire::control::{Message, Name, StopRequest};
use wire::ppp::{Code, Protocol};

use super::{Evidence, Verdict, catalogue, find};
use crate::event::{Ended, Event, Summary, TcpEnd};
use crate::locks::Subject;
use crate::look::{Beyond, Obstacle, Wire};

const CLIENT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 7);
const STRANGER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 8);
/// CCP's option for MPPE, stateless, 128 and 40 bits.
const MPPE_128: [u8; 6] = [18, 6, 1, 0, 0, 0x40];
const MPPE_40: [u8; 6] = [18, 6, 1, 0, 0, 0x20];

/// An attempt: what happened, and how the session ended.
struct Attempt {
    on_connection: Vec<Event>,
    in_call: Vec<Event>,
    summary: Summary,
}

fn ended(cause: impl Into<Ended>) -> Attempt {
    let summary = Summary {
        user: None,
        address: None,
        duration: Duration::from_secs(20),
        connected: None,
        sent: 0,
        sent_packets: 0,
        received: 0,
        received_packets: 0,
        received_unicast: 0,
        gre_received: 0,
        gre_sent: 0,
        gre_lost: 0,
        gre_reordered: 0,
        round_trip: None,
        drops: Vec::new(),
        cause: cause.into(),
    };
    Attempt { on_connection: Vec::new(), in_call: vec![call_started()], summary }
}

impl From<Cause> for Ended {
    fn from(cause: Cause) -> Self {
        Self::Link(cause)
    }
}

impl From<CallEnd> for Ended {
    fn from(end: CallEnd) -> Self {
        Self::Call(end)
    }
}

impl Attempt {
    fn saw(mut self, event: Event) -> Self {
        self.in_call.push(event);
        self
    }

    /// The stages up to a login.
    fn let_in(self) -> Self {
        self.saw(Event::First(First::GreReceived))
            .saw(link_up())
            .saw(Event::Authenticated { method: Some(Method::MsChapV2), name: b"anna".to_vec() })
    }

    fn connection_saw(mut self, event: Event) -> Self {
        self.on_connection.push(event);
        self
    }

    fn with(mut self, change: impl FnOnce(&mut Summary)) -> Self {
        change(&mut self.summary);
        self
    }

    fn worked(self) -> Self {
        self.let_in().with(|summary| {
            summary.connected = Some(Duration::from_secs(600));
            summary.received_packets = 1000;
            summary.received_unicast = 1000;
            summary.gre_received = 1000;
        })
    }

    /// The codes of the verdict and of the remarks.
    fn codes(&self) -> Vec<&'static str> {
        let connection = Evidence::default();
        self.on_connection.iter().for_each(|event| connection.observe(event));
        let call = connection.of_call();
        self.in_call.iter().for_each(|event| call.observe(event));
        let judgement = call.judge(&self.summary);
        let remarks = judgement.remarks.iter().map(|remark| remark.verdict.code);
        std::iter::once(judgement.verdict.code).chain(remarks).collect()
    }
}

fn call_started() -> Event {
    Event::CallStarted { our_call_id: 1, peer_call_id: 2 }
}

fn link_up() -> Event {
    Event::LinkUp(Framing { acfc: true, pfc: true, peer_mru: 1400, our_mru: 1400 })
}

fn from_peer(protocol: Protocol, code: Code, options: &[u8]) -> Event {
    Event::Negotiation { protocol, from: Party::Peer, code, id: 1, options: options.to_vec() }
}

fn from_us(protocol: Protocol, code: Code, options: &[u8]) -> Event {
    Event::Negotiation { protocol, from: Party::Us, code, id: 1, options: options.to_vec() }
}

fn denied(name: &[u8], reason: DenyReason) -> Event {
    let (method, name) = (Method::MsChapV2, name.to_vec());
    Event::AuthenticationFailed { method, name, reason: Some(reason), retry: false }
}

fn host_failed(what: &'static str) -> Event {
    Event::HostFailed { what, error: "Operation not permitted".into() }
}

fn asks() -> Event {
    from_peer(Protocol::LCP, Code::CONFIGURE_REQUEST, &[])
}

fn offers(options: &[u8]) -> Event {
    from_peer(Protocol::CCP, Code::CONFIGURE_REQUEST, options)
}

fn cut(how: TcpEnd) -> Event {
    Event::TcpEnded(how)
}

fn ipcp() -> Event {
    from_peer(Protocol::IPCP, Code::CONFIGURE_REQUEST, &[])
}

/// What was seen on this host's interfaces.
fn watched(change: impl FnOnce(&mut Wire)) -> Event {
    let mut wire = Wire { watched: Duration::from_secs(3), ..Wire::default() };
    change(&mut wire);
    Event::WireWatched(wire)
}

/// Addresses at our end of the tunnel and at the client's.
fn ipv4_up() -> Event {
    let [local, remote] = [1, 100].map(|last| Ipv4Addr::new(192, 168, 77, last));
    Event::Ipv4Up(Ipv4Agreed { local, remote, dns: [None; 2] })
}

/// Who does not answer, and why.
fn beyond(destination: [u8; 4], obstacle: Obstacle) -> Event {
    let obstacles = vec![(destination.into(), obstacle)];
    Event::Beyond(Beyond { obstacles, ..Beyond::default() })
}

fn goodbye() -> Event {
    let message = Message::StopRequest(StopRequest { reason: 1 });
    Event::Control(control::Event::Message { direction: Direction::Received, message })
}

/// Attempts with the codes that they must get.
fn attempts() -> Vec<(Attempt, &'static [&'static str])> {
    let gre = || Event::First(First::GreReceived);
    let closed = || ended(CallEnd::ConnectionClosed);
    vec![
        (ended(Cause::NoAnswer), &["G-101"]),
        (ended(CallEnd::ClearedByPeer), &["G-101"]),
        (ended(Cause::NoAnswer).saw(gre()).saw(asks()).saw(asks()), &["G-102"]),
        (ended(Cause::NoAnswer).saw(Event::WrongPeer { from: STRANGER, call_id: 1 }), &["G-103"]),
        (ended(Cause::NoAnswer).saw(Event::UnknownCall { from: CLIENT, call_id: 9 }), &["G-104"]),
        (ended(Cause::NoAnswer).saw(host_failed(super::SENDING)), &["G-105"]),
        (
            ended(Cause::NoAnswer).saw(watched(|wire| {
                (wire.came, wire.rule) = (1, Some("ip protocol 47 drop".into()));
            })),
            &["G-115"],
        ),
        (
            ended(Cause::NoAnswer).saw(watched(|wire| {
                (wire.came, wire.reverse_path) = (1, true);
            })),
            &["G-116"],
        ),
        (ended(Cause::NoAnswer).saw(watched(|wire| wire.went = 3)), &["G-101"]),
        (
            ended(Cause::NoAnswer).saw(gre()).saw(asks()).saw(asks()).saw(watched(|wire| {
                (wire.came, wire.came_by) = (1, Some("eth0".into()));
                (wire.went, wire.went_by) = (1, Some("eth1".into()));
            })),
            &["G-117"],
        ),
        (
            ended(Cause::NoAnswer)
                .saw(gre())
                .saw(asks())
                .saw(asks())
                .saw(watched(|wire| wire.went_from = Some(STRANGER))),
            &["G-117"],
        ),
        (
            ended(Cause::NoAnswer)
                .saw(gre())
                .saw(asks())
                .saw(asks())
                .saw(Event::SharesAddress { sessions: 1 }),
            &["G-113"],
        ),
        (ended(Cause::NoAnswer).saw(Event::SharesAddress { sessions: 2 }), &["G-113"]),
        (closed().let_in().connection_saw(cut(TcpEnd::Reset)), &["G-106"]),
        (closed().worked().connection_saw(cut(TcpEnd::TimedOut)), &["G-107"]),
        (closed().worked().connection_saw(cut(TcpEnd::Closed)), &["G-112"]),
        (closed().let_in().connection_saw(cut(TcpEnd::Closed)), &["G-111"]),
        (closed().worked().connection_saw(cut(TcpEnd::Reset)), &["G-106"]),
        (closed().worked().connection_saw(Event::Control(control::Event::EchoMissing)), &["G-107"]),
        (ended(CallEnd::ClearedByPeer).with(|s| s.duration = Duration::from_secs(1)), &["G-111"]),
        (closed().let_in(), &["G-111"]),
        (
            ended(Cause::AuthenticationFailed).saw(denied(b"anna", DenyReason::UnknownUser)),
            &["G-201"],
        ),
        (
            ended(Cause::AuthenticationFailed).saw(denied(b"D\\anna", DenyReason::UnknownUser)),
            &["G-202"],
        ),
        (
            ended(Cause::AuthenticationFailed).saw(denied(b"anna", DenyReason::OtherServer)),
            &["G-211"],
        ),
        (ended(Cause::AuthenticationFailed).saw(denied(b"anna", DenyReason::NotAscii)), &["G-212"]),
        // Windows hangs up by itself when it is denied.
        (
            ended(CallEnd::ClearedByPeer).saw(gre()).saw(denied(b"a", DenyReason::WrongPassword)),
            &["G-203"],
        ),
        (ended(Cause::NoCommonAuthentication), &["G-204"]),
        (
            ended(Cause::NoCommonAuthentication).saw(from_peer(
                Protocol::LCP,
                Code::CONFIGURE_NAK,
                &[3, 4, 0xc0, 0x23],
            )),
            &["G-213"],
        ),
        (
            ended(Cause::NoCommonAuthentication)
                .saw(from_us(Protocol::LCP, Code::CONFIGURE_REQUEST, &[3, 4, 0xc0, 0x23]))
                .saw(from_peer(Protocol::LCP, Code::CONFIGURE_NAK, &[3, 4, 0xc0, 0x23])),
            &["G-204"],
        ),
        (
            ended(Cause::PeerTerminated(Vec::new())).saw(gre()).saw(from_peer(
                Protocol::LCP,
                Code::CONFIGURE_REQUEST,
                &[3, 4, 0xc0, 0x23],
            )),
            &["G-214"],
        ),
        (ended(Cause::AuthenticationRejected), &["G-205"]),
        (ended(Cause::AuthenticationTimeout(Method::MsChapV2)), &["G-206"]),
        (
            ended(Cause::AuthenticationFailed).saw(denied(b"a", DenyReason::NotAllowed("expired"))),
            &["G-207"],
        ),
        (
            ended(Cause::AuthenticationFailed).saw(denied(b"a", DenyReason::SecretUnusable)),
            &["G-208"],
        ),
        (ended(Cause::AuthenticationFailed).saw(denied(b"a", DenyReason::Locked)), &["G-210"]),
        (ended(Cause::NotConverging(Protocol::LCP)), &["G-301"]),
        (ended(Cause::Looped), &["G-302"]),
        (ended(Cause::EncryptionRefused).let_in(), &["G-303"]),
        (ended(Cause::EncryptionRefused).let_in().saw(offers(&MPPE_128)), &["G-303"]),
        (
            ended(Cause::EncryptionRefused)
                .let_in()
                .saw(Event::ProtocolRejected { protocol: Protocol::CCP }),
            &["G-306"],
        ),
        (ended(Cause::NoKeys).let_in(), &["G-304"]),
        (ended(Cause::EncryptionRefused).let_in().saw(offers(&MPPE_40)), &["G-305"]),
        (ended(Cause::PeerTerminated(Vec::new())).let_in().saw(offers(&MPPE_40)), &["G-305"]),
        (
            ended(Cause::PeerTerminated(Vec::new())).let_in().saw(offers(&MPPE_128)).saw(from_us(
                Protocol::CCP,
                Code::CONFIGURE_REJECT,
                &MPPE_128,
            )),
            &["G-307"],
        ),
        (
            ended(Cause::PeerTerminated(Vec::new()))
                .worked()
                .connection_saw(started(b"Microsoft", 0))
                .saw(offers(&MPPE_128))
                .saw(from_us(Protocol::CCP, Code::CONFIGURE_REJECT, &MPPE_128))
                .with(|s| s.connected = Some(Duration::from_secs(1))),
            &["G-307"],
        ),
        (ended(Cause::Local("too many callers")).saw(Event::Displaced), &["G-401"]),
        (ended(Cause::AddressRefused(None)).let_in(), &["G-402"]),
        // IPv6 was up meanwhile.
        (ended(Cause::AddressRefused(None)).worked(), &["G-402"]),
        (ended(Cause::LocalAddressRefused).let_in(), &["G-403"]),
        (ended(Cause::NoNetworkProtocol).let_in(), &["G-404"]),
        (
            ended(Cause::PeerTerminated(b"No network protocols running".to_vec())).let_in(),
            &["G-404"],
        ),
        (ended(Cause::NotConverging(Protocol::IPCP)).let_in().saw(ipcp()), &["G-405"]),
        (ended(Cause::NotConverging(Protocol::IPCP)).let_in(), &["G-406"]),
        (ended(Cause::Local("no interface")).let_in().saw(host_failed("set up")), &["G-501"]),
        (
            ended(CallEnd::ClearedByPeer).worked().saw(Event::NoProxyArpInterface),
            &["G-601", "G-502"],
        ),
        (
            ended(CallEnd::ClearedByPeer)
                .worked()
                .saw(Event::ScriptFailed { script: "ip-up".into(), error: "no".into() }),
            &["G-601", "G-503"],
        ),
        (ended(Cause::PeerTerminated(Vec::new())).worked(), &["G-601"]),
        (closed().worked(), &["G-601"]),
        (
            closed().worked().connection_saw(cut(TcpEnd::Reset)).connection_saw(goodbye()),
            &["G-601"],
        ),
        (ended(Cause::Local("idle")).worked().saw(Event::Idle), &["G-602"]),
        (ended(Cause::Local("limit")).worked().saw(Event::TrafficLimit), &["G-603"]),
        (
            ended(Cause::Local("again")).worked().saw(Event::Replaced { by: CLIENT, moved: false }),
            &["G-604"],
        ),
        (
            ended(Cause::Local("again"))
                .worked()
                .saw(Event::Replaced { by: STRANGER, moved: true }),
            &["G-611"],
        ),
        (ended(Cause::Local("stop")).worked(), &["G-605"]),
        (
            ended(Cause::Local("kicked")).worked().saw(Event::Kicked { reason: "no".into() }),
            &["G-610"],
        ),
        (ended(Cause::EchoTimeout).worked(), &["G-606"]),
        (
            ended(CallEnd::ClearedByPeer).worked().with(|s| s.received_packets = 0),
            &["G-601", "G-607"],
        ),
        (
            ended(CallEnd::ClearedByPeer)
                .worked()
                .with(|s| s.drops = vec![("spoofed-source", 1001)]),
            &["G-601", "G-608"],
        ),
        (ended(CallEnd::ClearedByPeer).worked().with(|s| s.gre_lost = 100), &["G-601", "G-609"]),
        (
            ended(CallEnd::ClearedByPeer)
                .worked()
                .connection_saw(started(b"Microsoft", 0))
                .saw(ipv4_up())
                .with(|s| s.received_unicast = 0),
            &["G-601", "G-613"],
        ),
        (
            ended(CallEnd::ClearedByPeer)
                .worked()
                .saw(ipv4_up())
                .saw(Event::ClientsNetwork { address: Ipv4Addr::new(192, 168, 77, 20) }),
            &["G-601", "G-407"],
        ),
        (
            ended(CallEnd::ClearedByPeer)
                .worked()
                .saw(ipv4_up())
                .saw(Event::ClientsNetwork { address: Ipv4Addr::new(192, 168, 1, 20) }),
            &["G-601"],
        ),
        (
            ended(CallEnd::ClearedByPeer)
                .worked()
                .saw(beyond([198, 51, 100, 1], Obstacle::NotForwarding)),
            &["G-601", "G-505"],
        ),
        (
            ended(CallEnd::ClearedByPeer)
                .worked()
                .saw(beyond([198, 51, 100, 1], Obstacle::Rule("drop".into()))),
            &["G-601", "G-506"],
        ),
        (
            ended(CallEnd::ClearedByPeer)
                .worked()
                .saw(beyond([198, 51, 100, 1], Obstacle::NotTranslated { out: "eth0".into() })),
            &["G-601", "G-507"],
        ),
        (
            ended(CallEnd::ClearedByPeer).worked().saw(Event::AddressTaken {
                address: CLIENT,
                interface: "eth0".into(),
                by: [2, 0, 0, 0, 0, 9],
            }),
            &["G-601", "G-508"],
        ),
        (
            ended(CallEnd::ClearedByPeer)
                .worked()
                .saw(Event::Beyond(Beyond { silent: vec![STRANGER], ..Beyond::default() })),
            &["G-601", "G-509"],
        ),
        (ended(CallEnd::ClearedByPeer).worked().saw(Event::Beyond(Beyond::default())), &["G-601"]),
        (
            ended(CallEnd::ClearedByPeer)
                .worked()
                .saw(beyond([10, 9, 9, 9], Obstacle::NoRoute { has_default: false })),
            &["G-601", "G-614"],
        ),
        (
            ended(CallEnd::ClearedByPeer)
                .worked()
                .saw(beyond([198, 51, 100, 1], Obstacle::NoRoute { has_default: true })),
            &["G-601", "G-614"],
        ),
        (
            ended(CallEnd::ClearedByPeer)
                .worked()
                .saw(beyond([198, 51, 100, 1], Obstacle::NoRoute { has_default: false })),
            &["G-601", "G-615"],
        ),
        (
            ended(CallEnd::ClearedByPeer).worked().saw(Event::SizesProbed {
                passes: 1100,
                lost: 1396,
                path_mtu: None,
            }),
            &["G-601", "G-616"],
        ),
        (
            ended(CallEnd::ClearedByPeer).worked().saw(Event::TooBig { count: 3 }),
            &["G-601", "G-617"],
        ),
        (
            ended(CallEnd::ClearedByPeer).worked().with(|s| s.gre_reordered = 100),
            &["G-601", "G-612"],
        ),
    ]
}

#[test]
fn each_sequence_of_events_gets_its_verdict() {
    for (attempt, expected) in attempts() {
        let codes = attempt.codes();
        assert_eq!(codes, expected, "{:?} after {:?}", attempt.summary.cause, attempt.in_call);
    }
}

fn connection(events: &[Event]) -> Option<&'static str> {
    let evidence = Evidence::default();
    for event in events {
        match event {
            Event::CallStarted { .. } => evidence.of_call().observe(event),
            event => evidence.observe(event),
        }
    }
    evidence.judge_connection().map(|judgement| judgement.verdict.code)
}

fn started(vendor: &[u8], firmware: u16) -> Event {
    Event::Control(control::Event::Started(control::Peer {
        host_name: Name::new(b""),
        vendor: Name::new(vendor),
        firmware,
        framing: 1,
        bearer: 1,
        max_channels: 0,
    }))
}

fn locked() -> Event {
    Event::LoginLocked { subject: Subject::Address(CLIENT), left: Duration::from_secs(60) }
}

fn closed(cause: control::Cause) -> Event {
    Event::Control(control::Event::Closed(cause))
}

/// Connections without a session, with the codes that they must get.
fn connections() -> Vec<(Vec<Event>, Option<&'static str>)> {
    let local = SocketAddr::from((STRANGER, 1723));
    let (started, connected) = (|| started(b"Microsoft", 0), || Event::Connected { local });
    let gone = || closed(control::Cause::PeerClosed);
    let other_version = closed(control::Cause::VersionNotSupported(0x0200));
    vec![
        (vec![connected(), other_version], Some("G-108")),
        (vec![connected(), gone()], Some("G-109")),
        (vec![connected(), closed(control::Cause::SetupTimeout)], Some("G-109")),
        (vec![connected(), started(), gone()], Some("G-110")),
        (vec![started(), Event::CallerNotAllowed, gone()], Some("G-209")),
        (vec![started(), locked(), gone()], Some("G-210")),
        (vec![started(), Event::NoFreeSlot, gone()], Some("G-401")),
        (vec![started(), call_started(), gone()], None),
        (vec![started(), call_started(), Event::NoFreeSlot, gone()], None),
    ]
}

#[test]
fn a_connection_without_a_session_gets_its_verdict() {
    for (events, expected) in connections() {
        assert_eq!(connection(&events), expected, "{events:?}");
    }
}

#[test]
fn every_verdict_of_the_catalogue_can_be_reached() {
    let sessions = attempts().into_iter().flat_map(|(_, codes)| codes.iter().copied());
    let connections = connections().into_iter().filter_map(|(_, code)| code);
    // These are told without an attempt: a connection that was refused, a server that does not start, a clock.
    let others = [super::TOO_MANY.code, super::PORT_TAKEN.code, super::CLOCK_JUMPED.code];
    let reached: Vec<_> = sessions.chain(connections).chain(others).collect();
    for verdict in catalogue() {
        assert!(reached.contains(&verdict.code), "{} is never given", verdict.code);
    }
    assert!(reached.iter().all(|code| find(code).is_some()));
}

#[test]
fn clients_are_known_by_what_they_send() {
    let client = |vendor: &[u8], firmware, software: &[u8]| {
        let connection = Evidence::default();
        connection.observe(&started(vendor, firmware));
        let call = connection.of_call();
        call.observe(&Event::Identification(software.to_vec()));
        call.client()
    };
    let known = |vendor, firmware, software| client(vendor, firmware, software).unwrap();
    assert_eq!(known(b"Microsoft", 0, b"MSRASV5.20"), "Windows Vista or later");
    assert_eq!(known(b"Microsoft Windows NT", 2600, b""), "Windows XP");
    assert_eq!(known(b"Microsoft Windows NT", 2195, b"MSRASV5.00"), "Windows 2000");
    assert_eq!(known(b"cananian", 1, b""), "Linux (pptp)");
    assert_eq!(known(b"", 0, b""), "macOS or iOS");
    assert_eq!(known(b"evil\nline", 0, b""), "evil\\nline");
}

#[test]
fn codes_are_unique_and_in_order_and_every_text_is_there() {
    let codes: Vec<_> = catalogue().map(|verdict| verdict.code).collect();
    assert!(codes.is_sorted_by(|left, right| left < right), "{codes:?}");
    for verdict in catalogue() {
        let Verdict { code, title, sentence, meaning, evidence, .. } = verdict;
        assert!(code.starts_with("G-") && code.len() == 5, "{code}");
        for text in [title, sentence] {
            assert!(!text.is_empty() && !text.ends_with('.'), "{code}: {text:?}");
        }
        assert!(meaning.ends_with('.') && evidence.ends_with('.'), "{code}");
        let advice = verdict.server.len() + verdict.network.len() + verdict.client.len();
        assert!(verdict.is_fine || advice > 0 && !verdict.seen.is_empty(), "{code}");
    }
}

#[test]
fn a_code_is_found_however_it_is_written() {
    for code in ["G-101", "g101", "101", "g-101"] {
        assert_eq!(find(code).map(|verdict| verdict.code), Some("G-101"));
    }
    assert!(find("G-999").is_none() && find("").is_none());
}
