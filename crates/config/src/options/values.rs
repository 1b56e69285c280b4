//! What options files say, as values.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use crate::secrets::AddressRule;

/// What the options files say. `None` and `false` where they say nothing; the names are pppd's, see pppd(8).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PppOptions {
    /// `name`: our name in authentication and in the second column of the secrets files.
    pub name: Option<Vec<u8>>,
    /// `domain`: appended to the host name where that serves as our name.
    pub domain: Option<Vec<u8>>,
    /// `usehostname`: the host name is our name, whatever `name` says.
    pub use_host_name: bool,
    /// `auth`, `noauth` or any `require-*` of an authentication method: the last one counts.
    pub auth: Option<bool>,
    /// `require-pap`.
    pub require_pap: bool,
    /// `require-chap`: CHAP with MD5.
    pub require_chap: bool,
    /// `require-mschap`: MS-CHAP version 1.
    pub require_mschap: bool,
    /// `require-mschap-v2`.
    pub require_mschap_v2: bool,
    /// `chapms-strip-domain`.
    pub strip_domain: bool,
    /// `login`: PAP logins are checked with PAM.
    pub login: bool,
    /// `enable-session`, or `login`: a PAM session is opened for each login.
    pub session: bool,
    /// `allow-ip`: addresses that a peer may have whatever the secrets files say; the last one first, as pppd keeps them.
    pub allow_ip: Vec<AddressRule>,
    /// `allow-number`: callers (IPv4 addresses over PPTP) that may connect, as prefixes; a `*` at the end changes nothing. Empty: all may.
    pub allow_number: Vec<String>,
    /// `remotenumber`: counts as the caller's number in place of the client's address.
    pub remote_number: Option<String>,
    /// `chap-secrets`: this file in place of `/etc/ppp/chap-secrets`.
    pub chap_secrets: Option<PathBuf>,
    /// `pap-secrets`: this file in place of `/etc/ppp/pap-secrets`.
    pub pap_secrets: Option<PathBuf>,
    /// MPPE.
    pub mppe: MppeOptions,
    /// `mtu`, bytes.
    pub mtu: Option<u16>,
    /// `mru`, bytes; `default-mru` is 1500.
    pub mru: Option<u16>,
    /// `ms-dns`: primary and secondary, two at most.
    pub dns: Vec<Ipv4Addr>,
    /// `ms-wins`: primary and secondary, two at most.
    pub nbns: Vec<Ipv4Addr>,
    /// `proxyarp`.
    pub proxyarp: bool,
    /// `netmask` of the interface.
    pub netmask: Option<Ipv4Addr>,
    /// `lcp-echo-interval`, seconds; 0 is never.
    pub lcp_echo_interval: Option<u32>,
    /// `lcp-echo-failure`.
    pub lcp_echo_failure: Option<u32>,
    /// `lcp-echo-adaptive`.
    pub lcp_echo_adaptive: bool,
    /// `lcp-restart` and its kin.
    pub lcp: TimerOptions,
    /// `ipcp-restart` and its kin.
    pub ipcp: TimerOptions,
    /// `ipv6cp-restart` and its kin.
    pub ipv6cp: TimerOptions,
    /// `chap-interval`, seconds; 0 is never.
    pub chap_interval: Option<u32>,
    /// `chap-restart`, seconds.
    pub chap_restart: Option<u32>,
    /// `chap-max-challenge`.
    pub chap_max_challenge: Option<u32>,
    /// `pap-timeout`: how long we wait for the peer's PAP request, seconds; 0 is for ever.
    pub pap_timeout: Option<u32>,
    /// `asyncmap`.
    pub asyncmap: Option<u32>,
    /// `noaccomp`.
    pub no_acfc: bool,
    /// `nopcomp`.
    pub no_pfc: bool,
    /// `nomagic`.
    pub no_magic: bool,
    /// `idle`, seconds; 0 is never.
    pub idle: Option<u32>,
    /// `active-filter`: a pcap expression; only packets that match end idleness.
    pub active_filter: Option<String>,
    /// `pass-filter`: a pcap expression; only packets that match pass.
    pub pass_filter: Option<String>,
    /// `maxconnect`, seconds; 0 is never.
    pub maxconnect: Option<u32>,
    /// `maxoctets`, bytes; 0 is no limit.
    pub max_octets: Option<u32>,
    /// `mo-direction`: which octets count.
    pub octets_direction: OctetsDirection,
    /// `mo-timeout`: how often they are looked at, seconds.
    pub octets_timeout: Option<u32>,
    /// `ipparam`, the sixth argument of `ip-up`. pptpd gives the client's address over it, unless `noipparam` is in `pptpd.conf`
    /// ([`Config::no_ipparam`](crate::Config::no_ipparam)).
    pub ipparam: Option<String>,
    /// The part of `LOCAL:REMOTE` before the colon. pptpd's addresses count more, unless it delegates them.
    pub local: Option<Ipv4Addr>,
    /// The part of `LOCAL:REMOTE` behind the colon. pptpd's addresses count more, unless it delegates them.
    pub remote: Option<Ipv4Addr>,
    /// `noip`: IPv4 is not negotiated.
    pub no_ip: bool,
    /// `nosendip`: our address is not told.
    pub no_send_ip: bool,
    /// `noremoteip`: the peer need not have an address.
    pub no_remote_ip: bool,
    /// `ifname`.
    pub ifname: Option<String>,
    /// `unit`: the number of the interface.
    pub unit: Option<u32>,
    /// `linkname`: also `/run/ppp-NAME.pid` and `LINKNAME` in scripts.
    pub linkname: Option<String>,
    /// `+ipv6`, `noipv6`, or `ipv6` with identifiers.
    pub ipv6: Option<bool>,
    /// `ipv6 LOCAL,REMOTE`: our interface identifier.
    pub ipv6_local: Option<[u8; 8]>,
    /// `ipv6 LOCAL,REMOTE`: the peer's interface identifier.
    pub ipv6_remote: Option<[u8; 8]>,
    /// Scripts to run in place of those in `/etc/ppp`.
    pub scripts: ScriptOptions,
    /// `set NAME=VALUE` and, with no value, `unset NAME`, for scripts; one entry for each name.
    pub environment: Vec<(String, Option<String>)>,
    /// `call NAME`: `CALL_FILE` in scripts.
    pub call: Option<String>,
    /// `plugin pptpd-logwtmp.so`: wtmp records are wanted, as with `logwtmp` in `pptpd.conf`.
    pub logwtmp: bool,
    /// `pptpd-logwtmp-strip-domain`: `DOMAIN\` is left out of wtmp records.
    pub logwtmp_strip_domain: bool,
    /// `logfile`.
    pub logfile: Option<PathBuf>,
    /// `debug`.
    pub debug: bool,
    /// `dump`.
    pub dump: bool,
    /// `dryrun`.
    pub dryrun: bool,
}

/// The `*-restart`, `*-max-configure`, … of one protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimerOptions {
    /// Seconds between two requests.
    pub restart: Option<u32>,
    /// How many Configure-Requests are sent.
    pub max_configure: Option<u32>,
    /// How many Terminate-Requests are sent.
    pub max_terminate: Option<u32>,
    /// How many Configure-Naks are sent before Configure-Rejects.
    pub max_failure: Option<u32>,
}

/// What the options say about MPPE. As with pppd, key lengths that are named are required, one of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MppeOptions {
    /// Whether any option spoke of key lengths.
    pub given: bool,
    /// 40 bits are required, or one choice of two.
    pub bits40: bool,
    /// 128 bits are required, or one choice of two.
    pub bits128: bool,
    /// `mppe-stateful`: the stateful kind is allowed.
    pub stateful: bool,
    /// `noccp`: CCP, which negotiates MPPE, is not spoken.
    pub no_ccp: bool,
}

impl MppeOptions {
    /// Whether a session without encryption ends.
    pub fn required(&self) -> bool {
        self.bits40 || self.bits128
    }

    /// Whether encryption is out of the question.
    pub fn off(&self) -> bool {
        self.no_ccp || (self.given && !self.required())
    }
}

/// Which octets `maxoctets` counts (`mo-direction`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OctetsDirection {
    /// Those of both directions together.
    #[default]
    Sum,
    /// Received ones.
    In,
    /// Sent ones.
    Out,
    /// Those of the direction that has more.
    Max,
}

/// Scripts; `None` is the file of that name in `/etc/ppp`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScriptOptions {
    /// `ip-pre-up-script`.
    pub ip_pre_up: Option<PathBuf>,
    /// `ip-up-script`.
    pub ip_up: Option<PathBuf>,
    /// `ip-down-script`.
    pub ip_down: Option<PathBuf>,
    /// `ipv6-up-script`.
    pub ipv6_up: Option<PathBuf>,
    /// `ipv6-down-script`.
    pub ipv6_down: Option<PathBuf>,
    /// `auth-up-script`.
    pub auth_up: Option<PathBuf>,
    /// `auth-down-script`.
    pub auth_down: Option<PathBuf>,
}
