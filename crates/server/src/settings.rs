//! What the server needs to know, whatever file it came from.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use engine::auth::Method;
use engine::data::filter::Filters;
use engine::ppp::{
    Grant, InterfaceIds, LcpConfig, LinkConfig, MppePolicy, ServerConfig, Side, Timers,
};
use sys::user::User;

use crate::auth::Pam;
use crate::host::Wtmp;
use crate::leases::Slot;
use crate::scripts::{IpParam, ScriptPaths};

/// The server's settings. Those of the files that it takes the place of; see [`config::Config`].
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where control connections are accepted.
    pub listen: Vec<SocketAddr>,
    /// Address pairs, one for each session that may be up at once.
    pub slots: Rc<[Slot]>,
    /// The VRF's device, or the interface, that control connections and GRE are in.
    pub vrf: Option<String>,
    /// How long a client may take to start its control connection (`stimeout`).
    pub setup_timeout: Duration,
    /// Our name in authentication, and the `server` column of `chap-secrets`.
    pub name: Vec<u8>,
    /// Authentication methods in the order in which they are asked for; empty waives it.
    pub methods: Vec<Method>,
    /// Whether `DOMAIN\` is left out when a user is looked up.
    pub strip_domain: bool,
    /// What PAM is asked about everybody who logs in.
    pub pam: Option<Pam>,
    /// Callers that may connect: beginnings of their addresses, a `*` behind which changes nothing. Empty: all may.
    pub callers: Vec<String>,
    /// What counts as every caller's number in place of its address.
    pub caller_number: Option<String>,
    /// How long the client has for PAP.
    pub pap_timeout: Duration,
    /// How much traffic a session may have.
    pub octets: Option<OctetLimit>,
    /// Challenges: how many, how often, and whether they come again later.
    pub challenges: Challenges,
    /// Link Control Protocol.
    pub lcp: LcpConfig,
    /// CCP and IPCP requests.
    pub network_timers: Timers,
    /// IPV6CP requests.
    pub ipv6cp_timers: Timers,
    /// Encryption.
    pub mppe: MppePolicy,
    /// Name servers for clients.
    pub dns: [Option<Ipv4Addr>; 2],
    /// NetBIOS name servers for clients.
    pub nbns: [Option<Ipv4Addr>; 2],
    /// Networks that clients are told to reach through the tunnel, when they ask: address and length of the prefix.
    pub routes: Vec<(Ipv4Addr, u8)>,
    /// The domain in which clients look up short names, told likewise.
    pub domain: String,
    /// Whether we answer ARP for the clients' addresses.
    pub proxy_arp: bool,
    /// The interface whose broadcasts are relayed to the clients, and theirs to it.
    pub relay: Option<String>,
    /// A file that log lines go to as well.
    pub log_file: Option<PathBuf>,
    /// What packets must match to pass, and to count as traffic.
    pub filters: Option<Arc<Filters>>,
    /// The directory of the history, where the configuration says.
    pub history_directory: Option<PathBuf>,
    /// How much of the past is kept.
    pub history: crate::history::Bounds,
    /// Where the server's process id is written.
    pub pid_file: Option<PathBuf>,
    /// Whether the server gives up what it does not need once it has started.
    pub sandbox: bool,
    /// The user that it is then; `None`: whoever starts it.
    pub user: Option<User>,
    /// Where its files were found when it started; it can read no others later.
    pub folders: Vec<PathBuf>,
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
    /// Where the files with our process id are: `/run`.
    pub run_dir: PathBuf,
    /// How logins are recorded, if they are.
    pub wtmp: Option<Wtmp>,
    /// IPv6; `None`: it is not negotiated.
    pub ipv6: Option<InterfaceIds>,
    /// The interfaces' name, with `%d` for a number.
    pub interface: String,
    /// Whether all sessions share one interface.
    pub shared_interface: bool,
    /// The name that is taken in its place while it is free.
    pub preferred_interface: Option<String>,
    /// Sessions without traffic end after this time.
    pub idle: Option<Duration>,
    /// Sessions end after this time.
    pub max_connect: Option<Duration>,
    /// Whether PPP frames are logged.
    pub debug: bool,
    /// What one address and all together may ask of the server.
    pub limits: Limits,
    /// How packets are carried.
    pub packets: config::Packets,
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

/// What becomes of a user who logs in with as many sessions as a user may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duplicate {
    /// The oldest session ends: clients that lost their connection without our notice come back that way.
    Replace,
    /// The login is refused.
    Deny,
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
    /// How long they may take to log in before the oldest of them gives way to the next.
    pub time_to_log_in: Duration,
    /// Control messages that a connection may send in a second for good, and five times as many at once.
    pub control_messages: u32,
    /// What a call may cost its worker and the control plane.
    pub call: dataplane::Bounds,
    /// Set-ups that are carried on at once; further calls wait for their turn.
    pub set_ups: usize,
    /// Sessions that a user may have at once; `None`: any number.
    pub sessions_per_user: Option<usize>,
    /// What becomes of a login beyond that, and of one whose address another session of the user has.
    pub duplicate: Duplicate,
    /// Bytes waiting for a client that does not read.
    pub unsent: usize,
    /// Failed logins.
    pub logins: LoginLimits,
}

/// Bounds on failed logins: a wrong password, or a user who is not there.
#[derive(Clone, Copy, Debug)]
pub struct LoginLimits {
    /// So many from one address lock the address; 0: never.
    pub per_address: u32,
    /// So many in one user's name, from addresses where the user has not logged in, lock the user for such addresses; 0: never.
    pub per_user: u32,
    /// Within this time.
    pub window: Duration,
    /// How long a lock holds.
    pub lock: Duration,
}

impl Default for LoginLimits {
    fn default() -> Self {
        let window = Duration::from_secs(600);
        Self { per_address: 10, per_user: 30, window, lock: window }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 16_384,
            unfinished_per_address: 64,
            unfinished: 16_384,
            // A login takes a fraction of this, also on a bad line.
            time_to_log_in: Duration::from_secs(3),
            control_messages: engine::control::Config::default().messages_per_second,
            call: dataplane::Bounds::default(),
            set_ups: 256,
            sessions_per_user: None,
            duplicate: Duplicate::Replace,
            unsent: 16 * 1024,
            logins: LoginLimits::default(),
        }
    }
}

/// A limit on a session's traffic (`maxoctets`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OctetLimit {
    /// Bytes.
    pub bytes: u64,
    /// Which bytes count.
    pub direction: OctetDirection,
    /// How often they are looked at.
    pub interval: Duration,
}

/// Which bytes count for an [`OctetLimit`] (`mo-direction`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OctetDirection {
    /// Both ways together.
    Sum,
    /// Received ones.
    In,
    /// Sent ones.
    Out,
    /// Those of the way that has more.
    Max,
}

impl OctetLimit {
    /// Whether a session with these figures has had enough.
    #[must_use]
    pub fn is_reached(&self, sent: u64, received: u64) -> bool {
        let bytes = match self.direction {
            OctetDirection::Sum => sent + received,
            OctetDirection::In => received,
            OctetDirection::Out => sent,
            OctetDirection::Max => sent.max(received),
        };
        bytes >= self.bytes
    }
}

impl Settings {
    /// Whether a client with this address may call (pppd's `allow-number`).
    #[must_use]
    pub fn may_call(&self, client: Ipv4Addr) -> bool {
        let number = self.caller_number.clone().unwrap_or_else(|| client.to_string());
        let fits = |allowed: &String| number.starts_with(allowed.trim_end_matches('*'));
        self.callers.is_empty() || self.callers.iter().any(fits)
    }

    /// Settings with these slots: MS-CHAPv2, MPPE with 128 bits required, and what else `pptpd` and `pppd` do by default.
    pub fn new(slots: Vec<Slot>) -> Self {
        Self {
            listen: vec![SocketAddr::from((Ipv4Addr::UNSPECIFIED, wire::control::PORT))],
            slots: slots.into(),
            vrf: None,
            setup_timeout: Duration::from_secs(10),
            name: b"pptpd".to_vec(),
            methods: vec![Method::MsChapV2],
            strip_domain: false,
            pam: None,
            callers: Vec::new(),
            caller_number: None,
            pap_timeout: ServerConfig::default().pap_timeout,
            octets: None,
            challenges: Challenges::default(),
            lcp: LcpConfig::default(),
            network_timers: Timers::default(),
            ipv6cp_timers: Timers::default(),
            mppe: MppePolicy::REQUIRE_128,
            dns: [None; 2],
            nbns: [None; 2],
            routes: Vec::new(),
            domain: String::new(),
            proxy_arp: false,
            relay: None,
            log_file: None,
            filters: None,
            history_directory: None,
            history: crate::history::Bounds::default(),
            pid_file: None,
            sandbox: true,
            user: None,
            folders: Vec::new(),
            scripts: ScriptPaths::default(),
            ip_param: IpParam::ClientAddress,
            speed: 115_200,
            call_file: None,
            script_variables: Vec::new(),
            link_name: None,
            run_dir: "/run".into(),
            wtmp: None,
            ipv6: Some(InterfaceIds::default()),
            interface: "ppp%d".into(),
            shared_interface: false,
            preferred_interface: None,
            idle: None,
            max_connect: None,
            debug: false,
            limits: Limits::default(),
            packets: config::Packets::default(),
        }
    }

    /// The settings of links. `anonymous` is what a peer gets where authentication is waived.
    pub(crate) fn link(&self, anonymous: Option<Grant>) -> LinkConfig {
        let defaults = ServerConfig::default();
        LinkConfig {
            side: Side::Server(ServerConfig {
                methods: self.methods.clone(),
                name: self.name.clone(),
                max_challenges: self.challenges.max.unwrap_or(defaults.max_challenges),
                challenge_interval: self.challenges.interval,
                rechallenge: self.challenges.again,
                pap_timeout: self.pap_timeout,
                anonymous,
                ..defaults
            }),
            lcp: self.lcp,
            mppe: self.mppe,
            ipv6: self.ipv6,
            network_timers: self.network_timers,
            ipv6cp_timers: self.ipv6cp_timers,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_are_known_by_the_beginning_of_their_address() {
        let callers = |callers: &[&str]| Settings {
            callers: callers.iter().map(ToString::to_string).collect(),
            ..Settings::new(Vec::new())
        };
        let client = Ipv4Addr::new(192, 0, 2, 7);
        assert!(callers(&[]).may_call(client));
        assert!(callers(&["10.", "192.0.2.*"]).may_call(client));
        assert!(!callers(&["10.", "192.0.3.*"]).may_call(client));
        let numbered = Settings { caller_number: Some("0311".into()), ..callers(&["192.0.2.7"]) };
        assert!(!numbered.may_call(client));
    }

    #[test]
    fn traffic_counts_the_way_it_is_to_be_counted() {
        for (direction, reached) in [
            (OctetDirection::Sum, true),
            (OctetDirection::In, false),
            (OctetDirection::Out, true),
            (OctetDirection::Max, true),
        ] {
            let limit = OctetLimit { bytes: 100, direction, interval: Duration::from_secs(1) };
            assert_eq!(limit.is_reached(100, 60), reached, "{direction:?}");
            assert!(!limit.is_reached(40, 59), "{direction:?}");
        }
    }
}
