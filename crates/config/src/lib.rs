//! The three Debian files — `pptpd.conf`, pppd's options, `chap-secrets` — as one [`Config`].
//!
//! Everything that is to be said about them is a [`Diagnostic`] with file, line, column and a remedy.
#![forbid(unsafe_code)]

mod diagnostic;
pub mod iplist;
mod options;
mod pptpd_conf;
mod secrets;
mod words;

use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use diagnostic::{Diagnostic, Diagnostics, Severity};
pub use options::{MppeOptions, OctetsDirection, PppOptions, ScriptOptions, TimerOptions};
pub use secrets::{AddressRule, AddressRules, AddressSet, Entry, Secrets, SecretsFile};

use diagnostic::{File, Place};
use pptpd_conf::{PptpdConf, Value};

/// Where the files are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// `pptpd`'s own file.
    pub pptpd_conf: PathBuf,
    /// pppd's system-wide options, read first; may be absent.
    pub ppp_options: PathBuf,
    /// Users.
    pub chap_secrets: PathBuf,
    /// Users of PAP.
    pub pap_secrets: PathBuf,
}

impl Default for Paths {
    fn default() -> Self {
        Self {
            pptpd_conf: "/etc/pptpd.conf".into(),
            ppp_options: "/etc/ppp/options".into(),
            chap_secrets: "/etc/ppp/chap-secrets".into(),
            pap_secrets: "/etc/ppp/pap-secrets".into(),
        }
    }
}

/// The options file when `pptpd.conf` names none: `pptpd`'s compiled-in name.
const DEFAULT_OPTIONS: &str = "/etc/ppp/options.pptpd";
/// `pptpd`'s defaults.
const DEFAULT_CONNECTIONS: usize = 100;
const DEFAULT_LOCALIP: &str = "192.168.0.1-100";
const DEFAULT_REMOTEIP: &str = "192.168.1.1-100";
const DEFAULT_STIMEOUT: u64 = 10;
/// Bits per second; nothing but a label.
const DEFAULT_SPEED: u32 = 115_200;
const PORT: u16 = 1723;

/// What the files say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where to listen.
    pub listen: Vec<SocketAddr>,
    /// Local and remote address of each session that may be up at once.
    pub slots: Vec<(Ipv4Addr, Ipv4Addr)>,
    /// How long a client may take to start its control connection.
    pub setup_timeout: Duration,
    /// Where users are.
    pub chap_secrets: PathBuf,
    /// Where users of PAP are.
    pub pap_secrets: PathBuf,
    /// `noipparam`: scripts are not given the client's address as `ipparam`.
    pub no_ipparam: bool,
    /// `logwtmp`, here or as plugin in an options file: wtmp records are wanted.
    pub logwtmp: bool,
    /// `delegate`: clients' addresses come from the secrets file alone.
    pub delegate: bool,
    /// `bcrelay`: the interface whose broadcasts are relayed to clients, and theirs to it.
    pub bcrelay: Option<String>,
    /// `vrf`: the VRF device that the control connections are in.
    pub vrf: Option<String>,
    /// `speed`: the third argument of scripts.
    pub speed: u32,
    /// `pidfile`.
    pub pidfile: Option<PathBuf>,
    /// The name of this server in `chap-secrets` and towards clients.
    pub name: Vec<u8>,
    /// Whether clients must authenticate.
    pub auth: bool,
    /// Whether PAP is asked for.
    pub pap: bool,
    /// Whether CHAP with MD5 is asked for.
    pub chap_md5: bool,
    /// Whether MS-CHAP is asked for.
    pub mschap: bool,
    /// Whether MS-CHAPv2 is asked for.
    pub mschap_v2: bool,
    /// Log every PPP frame.
    pub debug: bool,
    /// All that the options files say.
    pub options: PppOptions,
}

impl Config {
    /// Reads the files. `host_name` is the server's name when no option gives one.
    ///
    /// # Errors
    ///
    /// When a diagnostic is an error. The diagnostics hold all that was found, errors or not.
    pub fn load(paths: &Paths, host_name: &[u8]) -> Result<(Self, Diagnostics), Diagnostics> {
        let read = |path: &Path| std::fs::read(path).map_err(|error| error.to_string());
        Self::load_with(paths, host_name, &read, &resolve_host)
    }

    /// As [`load`](Self::load), with files and host names from elsewhere.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    pub fn load_with(
        paths: &Paths,
        host_name: &[u8],
        read: &dyn Fn(&Path) -> Result<Vec<u8>, String>,
        resolve: &dyn Fn(&str) -> Option<Ipv4Addr>,
    ) -> Result<(Self, Diagnostics), Diagnostics> {
        let mut diagnostics = Diagnostics::default();
        let text = match read(&paths.pptpd_conf) {
            Ok(text) => String::from_utf8_lossy(&text).into_owned(),
            Err(error) => {
                let remedy =
                    "write one with localip and remoteip, or run `gretel serve --quickstart`";
                cannot_read(&paths.pptpd_conf, &error, remedy, &mut diagnostics);
                return Err(diagnostics);
            }
        };
        let mut file =
            File { path: &paths.pptpd_conf, secret: false, diagnostics: &mut diagnostics };
        let conf = PptpdConf::parse(&text, &mut file);
        let slots = slots(&conf, resolve, &mut file);
        let listen = listen(&conf, resolve, &mut file);
        let setup_timeout = setup_timeout(&conf, &mut file);

        let mut reader = options::Reader::new(read, &mut diagnostics);
        if let Ok(text) = read(&paths.ppp_options) {
            reader.take(&paths.ppp_options, &text);
        }
        let named = conf.get("option").map(|value| value.text.as_str());
        let path = Path::new(named.unwrap_or(DEFAULT_OPTIONS));
        match read(path) {
            Ok(text) => reader.take(path, &text),
            Err(error) if named.is_some() => {
                let remedy = "correct the `option` line of pptpd.conf, or write the file";
                cannot_read(path, &error, remedy, reader.diagnostics);
            }
            Err(_) => {}
        }
        let options = reader.options;
        let config = Self::merge(paths, host_name, &conf, options, slots, listen, setup_timeout);
        config.look_for_contradictions(path, &mut diagnostics);
        if diagnostics.has_errors() { Err(diagnostics) } else { Ok((config, diagnostics)) }
    }

    fn merge(
        paths: &Paths,
        host_name: &[u8],
        conf: &PptpdConf,
        options: PppOptions,
        slots: Vec<(Ipv4Addr, Ipv4Addr)>,
        listen: Vec<SocketAddr>,
        setup_timeout: Duration,
    ) -> Self {
        let auth = options.auth.unwrap_or(true);
        let asked = options.require_pap
            || options.require_chap
            || options.require_mschap
            || options.require_mschap_v2;
        // Where nothing is asked for by name, pppd offers everything. PAP and MS-CHAP give the password away to anybody who
        // listens, so here they have to be asked for.
        let by_default = auth && !asked;
        Self {
            listen,
            slots,
            setup_timeout,
            chap_secrets: options.chap_secrets.clone().unwrap_or(paths.chap_secrets.clone()),
            pap_secrets: options.pap_secrets.clone().unwrap_or(paths.pap_secrets.clone()),
            no_ipparam: conf.has("noipparam"),
            logwtmp: conf.has("logwtmp") || options.logwtmp,
            delegate: conf.has("delegate"),
            bcrelay: conf.get("bcrelay").map(|value| value.text.clone()),
            vrf: conf.get("vrf").map(|value| value.text.clone()),
            speed: DEFAULT_SPEED,
            pidfile: conf.get("pidfile").map(|value| PathBuf::from(&value.text)),
            name: options.name.clone().unwrap_or_else(|| host_name.to_vec()),
            auth: auth || asked,
            pap: options.require_pap,
            chap_md5: options.require_chap || (by_default && !options.mppe.required),
            mschap: options.require_mschap,
            mschap_v2: options.require_mschap_v2 || by_default,
            debug: options.debug || conf.has("debug"),
            options,
        }
    }

    fn look_for_contradictions(&self, options: &Path, diagnostics: &mut Diagnostics) {
        let whole = Place { line: 0, span: 0..0, text: String::new() };
        let mut file = File { path: options, secret: false, diagnostics };
        let makes_keys = self.mschap || self.mschap_v2;
        if self.options.mppe.required && !makes_keys {
            let message = "MPPE is required, but no authentication method that makes its keys is";
            file.error(&whole, message, "add require-mschap-v2");
        }
        let mppe = &self.options.mppe;
        let none = mppe.off || (mppe.bits40 == Some(false) && mppe.bits128 == Some(false));
        if mppe.required && none {
            file.error(&whole, "MPPE is required and forbidden", "remove require-mppe* or nomppe*");
        }
        if !self.auth {
            let message = "clients are not asked to authenticate: anybody may connect";
            file.warn(&whole, message, "remove noauth, or add require-mschap-v2");
        }
        for (weak, name) in [(self.pap, "PAP"), (self.mschap, "MS-CHAP (version 1)")] {
            if weak {
                let message =
                    format!("{name} is allowed: it gives passwords away to anybody who listens");
                file.warn(&whole, message, "allow require-mschap-v2 alone");
            }
        }
        if mppe.bits40 == Some(true) {
            let message = "40-bit MPPE is allowed: it can be broken by trying all keys";
            file.warn(&whole, message, "use require-mppe-128");
        }
    }
}

fn cannot_read(path: &Path, error: &str, remedy: &str, diagnostics: &mut Diagnostics) {
    let place = Place { line: 0, span: 0..0, text: String::new() };
    let mut file = File { path, secret: false, diagnostics };
    file.error(&place, format!("the file cannot be read: {error}"), remedy);
}

/// Pairs local and remote addresses as `pptpd` does: one local address serves all sessions.
fn slots(
    conf: &PptpdConf,
    resolve: &dyn Fn(&str) -> Option<Ipv4Addr>,
    file: &mut File<'_>,
) -> Vec<(Ipv4Addr, Ipv4Addr)> {
    let local = addresses(conf.get("localip"), DEFAULT_LOCALIP, resolve, file);
    let remote = addresses(conf.get("remoteip"), DEFAULT_REMOTEIP, resolve, file);
    let (Some(local), Some(remote)) = (local, remote) else { return Vec::new() };
    let wanted = match conf.get("connections") {
        None => DEFAULT_CONNECTIONS,
        Some(value) => match value.text.parse::<usize>() {
            Ok(number) if number > 0 => number,
            _ => {
                file.error(
                    &value.place,
                    "connections wants a number from 1 up",
                    "write connections 100",
                );
                return Vec::new();
            }
        },
    };
    let possible = if local.len() == 1 { remote.len() } else { remote.len().min(local.len()) };
    let count = wanted.min(possible);
    if let Some(value) = conf.get("remoteip").or(conf.get("localip")) {
        if possible < wanted && conf.has("connections") {
            let message = format!(
                "MGR: Maximum of {wanted} connections reduced to {possible}, not enough IP addresses given"
            );
            file.warn(&value.place, message, "give more addresses, or lower connections");
        } else if remote.len() > count {
            let message = format!("{} of the addresses are never used", remote.len() - count);
            file.warn(&value.place, message, "raise connections, or give fewer addresses");
        }
    }
    if let (Some(value), Some(clash)) =
        (conf.get("localip"), local.iter().find(|address| remote[..count].contains(address)))
    {
        let message = format!("{clash} is a local and a remote address");
        file.error(&value.place, message, "take it out of one of the two lists");
    }
    let local = local.iter().cycle().take(if local.len() == 1 { count } else { local.len() });
    local.copied().zip(remote).take(count).collect()
}

fn addresses(
    value: Option<&Value>,
    default: &str,
    resolve: &dyn Fn(&str) -> Option<Ipv4Addr>,
    file: &mut File<'_>,
) -> Option<Vec<Ipv4Addr>> {
    let text = value.map_or(default, |value| value.text.as_str());
    match (iplist::parse(text, resolve), value) {
        (Ok(addresses), _) => Some(addresses),
        (Err(bad), Some(value)) => {
            let start = value.place.span.start;
            let span = start + bad.span.start..start + bad.span.end;
            file.error(&Place { span, ..value.place.clone() }, bad.message, bad.remedy);
            None
        }
        (Err(_), None) => None,
    }
}

fn listen(
    conf: &PptpdConf,
    resolve: &dyn Fn(&str) -> Option<Ipv4Addr>,
    file: &mut File<'_>,
) -> Vec<SocketAddr> {
    let Some(value) = conf.get("listen") else {
        return vec![SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT))];
    };
    match value.text.parse().ok().or_else(|| resolve(&value.text)) {
        Some(address) => vec![SocketAddr::from((address, PORT))],
        None => {
            let message = format!(
                "{:?} is neither an IPv4 address nor the name of a host that has one",
                value.text
            );
            file.error(&value.place, message, "write one of this host's IPv4 addresses");
            Vec::new()
        }
    }
}

fn setup_timeout(conf: &PptpdConf, file: &mut File<'_>) -> Duration {
    let default = Duration::from_secs(DEFAULT_STIMEOUT);
    let Some(value) = conf.get("stimeout") else { return default };
    match value.text.parse::<u32>() {
        Ok(seconds) if seconds > 0 => Duration::from_secs(u64::from(seconds)),
        _ => {
            file.error(&value.place, "stimeout wants a number of seconds", "write stimeout 10");
            default
        }
    }
}

/// The first IPv4 address of a host.
pub fn resolve_host(name: &str) -> Option<Ipv4Addr> {
    (name, 0).to_socket_addrs().ok()?.find_map(|address| match address {
        SocketAddr::V4(address) => Some(*address.ip()),
        SocketAddr::V6(_) => None,
    })
}

/// The duration that a number of seconds in [`PppOptions`] means; 0 means "not at all", as with pppd.
pub fn seconds(value: Option<u32>) -> Option<Duration> {
    options::seconds(value)
}

#[cfg(test)]
mod tests;
