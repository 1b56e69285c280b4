//! What this machine looks like, taken once.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::SystemTime;

use config::Severity;
use sys::netlink::{Interface, Netlink, Route};

use super::firewall::Ruleset;
use super::probe;
use super::processes::{self, Listener, Process};
use crate::files::Files;
use crate::settings::Settings;

/// The main routing table's number.
const MAIN_TABLE: u32 = 254;

/// All that the checks look at.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Errors in the configuration, each on one line.
    pub errors: Vec<String>,
    /// How many warnings there are.
    pub warnings: usize,
    /// What would be served, unless the configuration has errors.
    pub tunnels: Option<Tunnels>,
    /// Where control connections are to be accepted.
    pub listen: Vec<SocketAddr>,
    /// Who takes connections on that port.
    pub listeners: Vec<Listener>,
    /// Running PPTP servers.
    pub servers: Vec<Process>,
    /// Modules of the kernel.
    pub modules: Vec<String>,
    /// Interfaces with their addresses.
    pub interfaces: Vec<Interface>,
    /// IPv4 routes of the main table.
    pub routes: Vec<Route>,
    /// Kernel settings by their path below `/proc/sys`.
    pub sysctls: BTreeMap<String, String>,
    /// The packet filter, or why its rules are not known.
    pub firewall: Result<Ruleset, String>,
    /// What was tried.
    pub probes: Probes,
    /// The time.
    pub now: SystemTime,
    /// Whether the clock follows a time source, if the kernel says.
    pub clock_is_kept: Option<bool>,
    /// How many files the server may have open.
    pub files_limit: Option<u64>,
    /// Memory that is free, in bytes.
    pub memory_available: Option<u64>,
}

/// What the checks need of [`Settings`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tunnels {
    /// How many sessions may be up.
    pub sessions: usize,
    /// Our addresses in them.
    pub locals: Vec<Ipv4Addr>,
    /// The clients' addresses, as far as they are known before somebody logs in.
    pub remotes: Vec<Ipv4Addr>,
    /// Whether ARP is to be answered for them.
    pub proxy_arp: bool,
    /// Name servers that clients are told of.
    pub name_servers: Vec<Ipv4Addr>,
    /// The largest PPP packet, in bytes.
    pub mru: u16,
    /// The name of an interface such as sessions get.
    pub interface: String,
}

/// What was tried.
#[derive(Clone, Debug)]
pub struct Probes {
    /// Whether a GRE packet to this host itself came back; or why no raw socket could be opened.
    pub gre_loop: Result<bool, String>,
    /// TCP connections to this host's addresses; none when nobody listens.
    pub reached: Vec<(SocketAddr, Result<(), String>)>,
    /// Questions to the name servers.
    pub name_servers: Vec<(Ipv4Addr, Result<(), String>)>,
}

impl Tunnels {
    fn of(settings: &Settings) -> Self {
        let mut locals: Vec<Ipv4Addr> = settings.slots.iter().map(|slot| slot.local).collect();
        locals.sort_unstable();
        locals.dedup();
        let remotes = settings.slots.iter().map(|slot| slot.remote);
        Self {
            sessions: settings.slots.len(),
            locals,
            remotes: remotes.filter(|address| !address.is_unspecified()).collect(),
            proxy_arp: settings.proxy_arp,
            name_servers: settings.dns.iter().flatten().copied().collect(),
            mru: settings.lcp.mru.max(settings.lcp.mtu),
            interface: settings.interface.replace("%d", "0"),
        }
    }
}

impl Snapshot {
    /// Looks at this machine: reads files, asks the kernel, opens connections to this host itself, sends it a GRE packet and asks the
    /// name servers that clients are told of. Changes nothing. Takes a second or two where something does not answer.
    ///
    /// # Errors
    ///
    /// When the kernel does not tell of its interfaces.
    pub fn take(files: &Files) -> io::Result<Self> {
        let examined = files.examine();
        let of = |severity| {
            let all = examined.diagnostics.0.iter();
            all.filter(move |diagnostic| diagnostic.severity == severity)
        };
        let errors: Vec<String> = of(Severity::Error).map(ToString::to_string).collect();
        let settings = files.read().ok().map(|(settings, ..)| settings);
        let fallback = SocketAddr::from((Ipv4Addr::UNSPECIFIED, wire::control::PORT));
        let listen = settings.as_ref().map_or(vec![fallback], |settings| settings.listen.clone());
        let tunnels = settings.as_ref().map(Tunnels::of);
        let mut netlink = Netlink::open()?;
        let failed = |error: sys::netlink::Error| io::Error::other(error.to_string());
        let interfaces = netlink.interfaces().map_err(failed)?;
        let mut routes = netlink.routes().map_err(failed)?;
        routes.retain(|route| route.table == MAIN_TABLE && route.destination.is_ipv4());
        let port = listen.first().map_or(wire::control::PORT, SocketAddr::port);
        let listeners = processes::listeners(port);
        let name_servers = tunnels.iter().flat_map(|tunnels| tunnels.name_servers.clone());
        let probes = Probes {
            gre_loop: probe::gre_loop().map_err(|error| error.to_string()),
            reached: probe::reach(&targets(&listeners, &interfaces, port)),
            name_servers: probe::ask_name_servers(&name_servers.collect::<Vec<_>>()),
        };
        let server = listeners.iter().find_map(|listener| Some(listener.process.as_ref()?.id));
        Ok(Self {
            warnings: of(Severity::Warning).count(),
            errors,
            tunnels,
            listen,
            servers: processes::servers(),
            modules: processes::modules(),
            sysctls: sysctls(&interfaces),
            firewall: firewall_rules(),
            probes,
            listeners,
            interfaces,
            routes,
            now: SystemTime::now(),
            clock_is_kept: sys::clock::is_kept(),
            files_limit: processes::files_limit(server),
            memory_available: processes::memory_available(),
        })
    }

    /// This host's interfaces with their addresses.
    ///
    /// # Errors
    ///
    /// When the kernel does not tell.
    pub fn interfaces() -> io::Result<Vec<Interface>> {
        Netlink::open()?.interfaces().map_err(|error| io::Error::other(error.to_string()))
    }

    /// The interface of the default route with the lowest metric.
    #[must_use]
    pub fn outward(&self) -> Option<&Interface> {
        let defaults = self.routes.iter().filter(|route| route.prefix_len == 0);
        let best = defaults.min_by_key(|route| route.metric.unwrap_or(0))?;
        self.interfaces.iter().find(|interface| Some(interface.index) == best.interface)
    }

    pub(super) fn sysctl(&self, path: &str) -> Option<&str> {
        self.sysctls.get(path).map(String::as_str)
    }
}

/// Where to connect to: each IPv4 address of this host, if somebody listens there.
fn targets(listeners: &[Listener], interfaces: &[Interface], port: u16) -> Vec<SocketAddr> {
    let own = interfaces.iter().filter(|interface| interface.is_up()).flat_map(|it| &it.addresses);
    let own = own.filter_map(|address| match address.local {
        IpAddr::V4(address) => Some(SocketAddr::from((address, port))),
        IpAddr::V6(_) => None,
    });
    let listens = |target: &SocketAddr| {
        listeners
            .iter()
            .any(|listener| listener.address.ip().is_unspecified() || listener.address == *target)
    };
    let mut targets: Vec<SocketAddr> = own.filter(listens).collect();
    targets.sort_unstable();
    targets.dedup();
    targets
}

fn sysctls(interfaces: &[Interface]) -> BTreeMap<String, String> {
    let mut paths = vec![
        sys::sysctl::IPV4_FORWARDING.to_owned(),
        super::rules::HELPERS.to_owned(),
        super::rules::rp_filter("all"),
    ];
    // A name with a dot or a slash would lead elsewhere; such an interface is passed over.
    let simple = |name: &&str| !name.contains(['/', '.']);
    let names = interfaces.iter().map(|interface| interface.name.as_str()).filter(simple);
    paths.extend(names.map(super::rules::rp_filter));
    let read = |path: String| Some((path.clone(), sys::sysctl::read(&path).ok()?));
    paths.into_iter().filter_map(read).collect()
}

/// The rules of this host's packet filter: of nftables, and of iptables where it keeps its own.
///
/// # Errors
///
/// Why they are not known.
pub fn firewall_rules() -> Result<Ruleset, String> {
    // What iptables keeps in nftables, nft shows too.
    let legacy = fs::read_to_string("/proc/thread-self/net/ip_tables_names").unwrap_or_default();
    let mut rules = match (sys::nft::list_json(), sys::nft::list()) {
        (Ok(json), Ok(listing)) => Ruleset::from_nft(&json, &listing)
            .map_err(|error| format!("the output of nft is not understood: {error}"))?,
        (Err(error), _) | (_, Err(error)) if error.kind() == io::ErrorKind::NotFound => {
            let save = iptables_save().map_err(|other| format!("{error}; {other}"))?;
            return Ok(Ruleset::from_iptables(&save));
        }
        (Err(error), _) | (_, Err(error)) => return Err(error.to_string()),
    };
    if !legacy.trim().is_empty() {
        rules.extend(Ruleset::from_iptables(&iptables_save()?));
    }
    Ok(rules)
}

fn iptables_save() -> Result<String, String> {
    for program in ["iptables-legacy-save", "iptables-save"] {
        match sys::nft::program(program).output() {
            Ok(output) if output.status.success() => {
                return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
            }
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr);
                return Err(format!("{program}: {}", said.trim()));
            }
            Err(_) => {}
        }
    }
    Err("rules of iptables cannot be read: iptables-legacy-save is not installed".into())
}
