//! What the server needs to know, whatever file it came from.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use engine::auth::Method;
use engine::ppp::{LcpConfig, LinkConfig, MppePolicy, ServerConfig, Side, Timers};

use crate::host::Wtmp;
use crate::leases::Slot;
use crate::scripts::{IpParam, ScriptPaths};

/// The server's settings. Those of the files that it takes the place of; see [`config::Config`].
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where control connections are accepted.
    pub listen: Vec<SocketAddr>,
    /// Address pairs, one for each session that may be up at once.
    pub slots: Vec<Slot>,
    /// How long a client may take to start its control connection (`stimeout`).
    pub setup_timeout: Duration,
    /// Our name in authentication, and the `server` column of `chap-secrets`.
    pub name: Vec<u8>,
    /// Authentication methods in the order in which they are asked for; empty waives it.
    pub methods: Vec<Method>,
    /// Whether `DOMAIN\` is left out when a user is looked up.
    pub strip_domain: bool,
    /// Challenges: how many, how often, and whether they come again later.
    pub challenges: Challenges,
    /// Link Control Protocol.
    pub lcp: LcpConfig,
    /// CCP, IPCP and IPV6CP requests.
    pub network_timers: Timers,
    /// Encryption.
    pub mppe: MppePolicy,
    /// Name servers for clients.
    pub dns: [Option<Ipv4Addr>; 2],
    /// NetBIOS name servers for clients.
    pub nbns: [Option<Ipv4Addr>; 2],
    /// Whether we answer ARP for the clients' addresses.
    pub proxy_arp: bool,
    /// Where the server's process id is written.
    pub pid_file: Option<PathBuf>,
    /// Scripts to run as sessions come and go.
    pub scripts: ScriptPaths,
    /// Their last argument.
    pub ip_param: IpParam,
    /// The line speed that they are told.
    pub speed: u32,
    /// `CALL_FILE` for scripts.
    pub call_file: Option<String>,
    /// Variables to add to their environment, and (`None`) to take out of it.
    pub script_variables: Vec<(String, Option<String>)>,
    /// `LINKNAME` of scripts, and of the file with our process id.
    pub link_name: Option<String>,
    /// How logins are recorded, if they are.
    pub wtmp: Option<Wtmp>,
    /// Whether IPv6 is negotiated.
    pub ipv6: bool,
    /// The interfaces' name, with `%d` for a number.
    pub interface: String,
    /// Sessions without traffic end after this time.
    pub idle: Option<Duration>,
    /// Sessions end after this time.
    pub max_connect: Option<Duration>,
    /// Whether PPP frames are logged.
    pub debug: bool,
    /// What one address and all together may ask of the server.
    pub limits: Limits,
}

/// Details of CHAP; pppd's `chap-*` options.
#[derive(Clone, Copy, Debug, Default)]
pub struct Challenges {
    /// A fixed interval between unanswered Challenges.
    pub interval: Option<Duration>,
    /// How many are sent.
    pub max: Option<u8>,
    /// Challenge again, this often.
    pub again: Option<Duration>,
}

/// Bounds on what clients may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Control connections in all.
    pub connections: usize,
    /// Control connections from one address that have no authenticated session.
    pub unfinished_per_address: usize,
    /// Control connections without an authenticated session in all.
    pub unfinished: usize,
    /// Bytes waiting for a client that does not read.
    pub unsent: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 16_384,
            unfinished_per_address: 64,
            unfinished: 4096,
            unsent: 16 * 1024,
        }
    }
}

impl Settings {
    /// Settings with these slots: MS-CHAPv2, MPPE with 128 bits required, and what else `pptpd` and `pppd` do by default.
    pub fn new(slots: Vec<Slot>) -> Self {
        Self {
            listen: vec![SocketAddr::from((Ipv4Addr::UNSPECIFIED, wire::control::PORT))],
            slots,
            setup_timeout: Duration::from_secs(10),
            name: b"pptpd".to_vec(),
            methods: vec![Method::MsChapV2],
            strip_domain: false,
            challenges: Challenges::default(),
            lcp: LcpConfig::default(),
            network_timers: Timers::default(),
            mppe: MppePolicy::REQUIRE_128,
            dns: [None; 2],
            nbns: [None; 2],
            proxy_arp: false,
            pid_file: None,
            scripts: ScriptPaths::default(),
            ip_param: IpParam::ClientAddress,
            speed: 115_200,
            call_file: None,
            script_variables: Vec::new(),
            link_name: None,
            wtmp: None,
            ipv6: true,
            interface: "ppp%d".into(),
            idle: None,
            max_connect: None,
            debug: false,
            limits: Limits::default(),
        }
    }

    /// The settings of one link over a line with this round-trip time. `anonymous` is what a peer gets where authentication is waived.
    pub(crate) fn link(&self, anonymous: engine::ppp::Grant, round_trip: Duration) -> LinkConfig {
        let defaults = ServerConfig::default();
        LinkConfig {
            side: Side::Server(ServerConfig {
                methods: self.methods.clone(),
                name: self.name.clone(),
                max_challenges: self.challenges.max.unwrap_or(defaults.max_challenges),
                challenge_interval: self.challenges.interval,
                rechallenge: self.challenges.again,
                anonymous: self.methods.is_empty().then_some(anonymous),
                ..defaults
            }),
            lcp: self.lcp,
            mppe: self.mppe,
            ipv6: self.ipv6,
            network_timers: self.network_timers,
            round_trip,
        }
    }
}
