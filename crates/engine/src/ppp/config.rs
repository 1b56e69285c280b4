//! What a link is told before it starts.

use alloc::vec::Vec;
use core::net::Ipv4Addr;
use core::time::Duration;

use crypto::Password;
use crypto::mppe::Strength;

use crate::auth::Method;

/// Everything a [`Link`](super::Link) is told before it starts.
#[derive(Clone, Debug)]
pub struct LinkConfig {
    /// Which end of the call this is.
    pub side: Side,
    /// Link Control Protocol.
    pub lcp: LcpConfig,
    /// MPPE; on the server side [`Grant::mppe`] can replace it for a user.
    pub mppe: MppePolicy,
    /// IPV6CP; `None`: it is not spoken.
    pub ipv6: Option<InterfaceIds>,
    /// Retransmission of CCP's and IPCP's requests.
    pub network_timers: Timers,
    /// Retransmission of IPV6CP's requests.
    pub ipv6cp_timers: Timers,
}

/// The interface identifiers that IPV6CP begins with (RFC 5072 §4.1). What is `None` is made up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InterfaceIds {
    /// Ours.
    pub ours: Option<[u8; 8]>,
    /// What the peer is told to take. One that insists on its own gets it.
    pub peers: Option<[u8; 8]>,
}

/// The first wait for an answer where the line is fast, when the configuration sets no interval.
const FIRST_RESTART: Duration = Duration::from_millis(250);
/// And on any line: a round-trip time beyond that is a mistake, or a line that carries no tunnel.
const SLOWEST_RESTART: Duration = Duration::from_secs(6);

/// How long the first transmission of a request waits for its answer.
pub(super) fn first_wait(round_trip: Duration) -> Duration {
    round_trip.saturating_mul(2).clamp(FIRST_RESTART, SLOWEST_RESTART)
}

/// Which end of the call a link is.
#[derive(Clone, Debug)]
pub enum Side {
    /// The end that gives addresses and asks for authentication.
    Server(ServerConfig),
    /// The end that logs in.
    Client(ClientConfig),
}

/// The server end's part of [`LinkConfig`].
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Methods in the order in which they are asked for. Empty: authentication is waived.
    pub methods: Vec<Method>,
    /// The name in our Challenges (pppd's `name`), at most 255 bytes.
    pub name: Vec<u8>,
    /// How often a peer may answer wrongly before the link ends (MS-CHAP retries, RFC 2759 §6).
    pub attempts: u8,
    /// How often a Challenge is sent without an answer before the link ends.
    pub max_challenges: u8,
    /// Time between unanswered Challenges. `None`: 2 s, then 3 s; more on a slow line.
    pub challenge_interval: Option<Duration>,
    /// How long the peer has for PAP.
    pub pap_timeout: Duration,
    /// Whether the peer is challenged again while the link is open, and how often.
    pub rechallenge: Option<Duration>,
    /// What a peer gets where authentication is waived.
    pub anonymous: Option<Grant>,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            methods: [Method::MsChapV2].to_vec(),
            name: b"pptpd".to_vec(),
            attempts: 3,
            max_challenges: 10,
            challenge_interval: None,
            pap_timeout: Duration::from_secs(30),
            rechallenge: None,
            anonymous: None,
        }
    }
}

/// The client end's part of [`LinkConfig`].
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// User name, with a `DOMAIN\` prefix if the server wants one.
    pub name: Vec<u8>,
    /// The password.
    pub password: Password,
    /// Methods that may be used, best first.
    pub methods: Vec<Method>,
    /// An address to ask for; `0.0.0.0` lets the server choose.
    pub address: Ipv4Addr,
}

/// Link Control Protocol settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LcpConfig {
    /// The largest information field that we want to receive, in bytes.
    pub mru: u16,
    /// The largest IP packet that we send, whatever the peer would take, in bytes.
    pub mtu: u16,
    /// The control character map that we ask for; `None` leaves the option out.
    pub accm: Option<u32>,
    /// Ask for protocol field compression.
    pub pfc: bool,
    /// Ask for address and control field compression.
    pub acfc: bool,
    /// Ask for a magic number.
    pub magic: bool,
    /// Retransmission.
    pub timers: Timers,
    /// How long to wait for the peer's first sign before our first Configure-Request.
    pub first_request_delay: Duration,
    /// Echo-Requests; `None` sends none.
    pub echo: Option<EchoConfig>,
}

impl Default for LcpConfig {
    fn default() -> Self {
        Self {
            mru: 1450,
            mtu: 1450,
            accm: Some(0),
            pfc: true,
            acfc: true,
            magic: true,
            timers: Timers::default(),
            first_request_delay: Duration::from_millis(500),
            echo: Some(EchoConfig {
                interval: Duration::from_secs(30),
                failures: 4,
                adaptive: false,
            }),
        }
    }
}

/// When Echo-Requests are sent and when their absence ends the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EchoConfig {
    /// Time between Echo-Requests.
    pub interval: Duration,
    /// Unanswered Echo-Requests that end the link; 0 never does.
    pub failures: u32,
    /// Skip an Echo-Request when something was received since the last (pppd's `lcp-echo-adaptive`).
    pub adaptive: bool,
}

/// Retransmission of Configure- and Terminate-Requests (RFC 1661 §4.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timers {
    /// A fixed restart interval. `None`: 250 ms (1 s for CCP; more on a slow line), doubling up to 3 s.
    pub restart: Option<Duration>,
    /// Configure-Requests sent without a valid answer before giving up.
    pub max_configure: u32,
    /// Terminate-Requests sent without an answer before giving up.
    pub max_terminate: u32,
    /// Configure-Naks sent before a Configure-Reject is sent instead.
    pub max_failure: u32,
}

impl Default for Timers {
    fn default() -> Self {
        Self { restart: None, max_configure: 10, max_terminate: 2, max_failure: 10 }
    }
}

/// Whether and how packets are encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MppePolicy {
    /// Off, on when the peer wants it, or required.
    pub need: MppeNeed,
    /// 40-bit keys may be used.
    pub bits40: bool,
    /// 56-bit keys may be used.
    pub bits56: bool,
    /// 128-bit keys may be used.
    pub bits128: bool,
    /// When stateful mode is used.
    pub stateful: Stateful,
}

/// When the key runs on from packet to packet (RFC 3078 §7.2) and is not changed for each (§7.1). That saves work, and a lost packet
/// then costs those behind it a round trip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stateful {
    /// Never.
    Never,
    /// When the peer does not offer stateless mode.
    Allowed,
    /// Whenever the peer agrees.
    Preferred,
}

/// How much encryption is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MppeNeed {
    /// Never.
    Off,
    /// When the peer wants it.
    Allowed,
    /// Always: without MPPE the link ends.
    Required,
}

impl MppePolicy {
    /// No encryption.
    pub const OFF: Self = Self {
        need: MppeNeed::Off,
        bits40: false,
        bits56: false,
        bits128: false,
        stateful: Stateful::Never,
    };

    /// 128-bit stateless MPPE or nothing at all.
    pub const REQUIRE_128: Self = Self { need: MppeNeed::Required, bits128: true, ..Self::OFF };

    /// Whether `strength` may be used.
    pub fn allows(&self, strength: Strength) -> bool {
        self.need != MppeNeed::Off
            && match strength {
                Strength::Bits40 => self.bits40,
                Strength::Bits56 => self.bits56,
                Strength::Bits128 => self.bits128,
            }
    }
}

/// What an authenticated peer gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Our address in the tunnel.
    pub local: Ipv4Addr,
    /// The peer's address in the tunnel.
    pub remote: Ipv4Addr,
    /// Name servers to hand out.
    pub dns: [Option<Ipv4Addr>; 2],
    /// NetBIOS name servers to hand out.
    pub nbns: [Option<Ipv4Addr>; 2],
    /// Encryption for this peer in place of [`LinkConfig::mppe`].
    pub mppe: Option<MppePolicy>,
}
