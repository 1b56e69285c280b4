//! Settings and users from the Debian files.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use config::{
    AddressRules, Config, Diagnostics, Entry, EntrySecret, OctetsDirection, Paths, PppOptions,
    ScriptOptions, SecretsFile, TimerOptions, seconds,
};
use crypto::{NtHash, Password, Secret};
use engine::auth::Method;
use engine::ppp::{EchoConfig, InterfaceIds, LcpConfig, MppeNeed, MppePolicy, Stateful, Timers};
use wire::Escaped;

use crate::auth::{Addresses, Own, Pam, User, Users};
use crate::filters::filters;
use crate::history::Bounds;
use crate::host::Wtmp;
use crate::leases::{EVERYBODYS, PoolId, Slot};
use crate::own_user;
use crate::scripts::{IpParam, ScriptPaths};
use crate::server::Source;
use crate::settings::{
    Challenges, Duplicate, Limits, LoginLimits, OctetDirection, OctetLimit, Settings,
};

/// The Debian files as a source of settings and users.
#[derive(Debug)]
pub struct Files {
    /// Where they are.
    pub paths: Paths,
    /// This host's name: the server's when no option gives one.
    pub host_name: Vec<u8>,
    /// Addresses to listen on in place of those of the files.
    pub listen: Option<std::net::SocketAddr>,
    /// Whether stateful MPPE is preferred where the options allow it.
    pub prefer_stateful_mppe: bool,
    /// How GRE packets leave and come, in place of what the files say.
    pub packet_io: Option<config::Packets>,
    /// Whether everything is logged, whatever the files say.
    pub debug: bool,
}

impl Files {
    /// Reads everything, and gives what there is to say about it too.
    ///
    /// # Errors
    ///
    /// All diagnostics, when one of them is an error.
    #[allow(clippy::type_complexity)]
    pub fn read(&self) -> Result<(Settings, Box<dyn Users>, Diagnostics), Diagnostics> {
        let (config, mut diagnostics) = Config::load(&self.paths, &self.host_name)?;
        let mut settings = settings(&config);
        match filters(&config.options) {
            Ok(filters) => settings.filters = filters,
            Err(fault) => {
                diagnostics.0.push(fault.diagnostic(&config));
                return Err(diagnostics);
            }
        }
        if let Some(listen) = self.listen {
            settings.listen = vec![listen];
        }
        if self.prefer_stateful_mppe && settings.mppe.stateful == Stateful::Allowed {
            settings.mppe.stateful = Stateful::Preferred;
        }
        if let Some(packets) = &self.packet_io {
            let config::Packets { fragments, tos, .. } = settings.packets;
            settings.packets = config::Packets { fragments, tos, ..packets.clone() };
        }
        settings.debug |= self.debug;
        settings.sandbox = config.sandbox;
        settings.user = own_user::named(&config, &mut diagnostics);
        if diagnostics.has_errors() {
            return Err(diagnostics);
        }
        let group = settings.user.as_ref().map(|user| user.gid());
        let mut users = SecretsFiles {
            chap: SecretsFile::new(&config.chap_secrets).for_group(group),
            pap: SecretsFile::new(&config.pap_secrets).for_group(group),
            everybodys: Everybodys {
                server: config.name.clone(),
                settings: Rc::new(settings.clone()),
                options: config.options.clone(),
                pool: EVERYBODYS,
            },
            pools: pooled(&config, &settings),
        };
        // What is wrong with the secrets is worth a word before the first login.
        if let Ok((secrets, found)) = users.chap.refresh() {
            diagnostics.0.extend(found.0);
            let files = self.files(&config, secrets.entries());
            let folders: BTreeSet<&Path> = files.iter().filter_map(|file| file.parent()).collect();
            settings.folders = folders.into_iter().map(Path::to_owned).collect();
        }
        if let Some(user) = &settings.user {
            let files = self.files(&config, users.chap.known().entries());
            diagnostics.0.extend(own_user::objections(&config, user, &files).0);
            if diagnostics.has_errors() {
                return Err(diagnostics);
            }
        }
        if config.options.dump {
            diagnostics.0.extend(config.in_effect().0);
        }
        Ok((settings, Box::new(users), diagnostics))
    }
}

impl Files {
    /// All that may be read again; some of it need not be there. It is the folders that matter to the sandbox, as editors put a new file in the
    /// old one's place.
    pub(crate) fn files(&self, config: &Config, entries: &[Entry]) -> Vec<PathBuf> {
        let paths = &self.paths;
        let own = [&paths.pptpd_conf, &paths.ppp_options, &paths.gretel_toml];
        let secrets = [&config.chap_secrets, &config.pap_secrets];
        let files = own.into_iter().chain(secrets).map(PathBuf::as_path);
        // A file without a single option is no origin of anything.
        let options = config.origins.iter().filter(|origin| origin.name == "option");
        let options = options.filter_map(|origin| origin.argument.as_deref()).map(Path::new);
        let named = config.origins.iter().map(|origin| &*origin.file).filter(|it| it.is_absolute());
        let kept = entries.iter().filter_map(Entry::secret_file);
        let all: BTreeSet<&Path> = files.chain(options).chain(named).chain(kept).collect();
        all.into_iter().map(Path::to_owned).collect()
    }
}

impl Source for Files {
    fn load(&mut self) -> Result<(Settings, Box<dyn Users>), String> {
        match self.read() {
            Ok((settings, users, _)) => Ok((settings, users)),
            Err(diagnostics) => {
                let lines: Vec<String> = diagnostics.0.iter().map(ToString::to_string).collect();
                Err(lines.join("; "))
            }
        }
    }
}

fn settings(config: &Config) -> Settings {
    let pools = [&config.slots].into_iter().chain(config.pools.iter().map(|pool| &pool.slots));
    let pools = (EVERYBODYS..).zip(pools);
    let slots = pools.flat_map(|(pool, slots)| slots.iter().map(move |slot| (pool, *slot)));
    let slots = (0..).zip(slots);
    let slots = slots.map(|(unit, (pool, (local, remote)))| Slot { unit, pool, local, remote });
    let methods = [
        (config.mschap_v2, Method::MsChapV2),
        (config.mschap, Method::MsChapV1),
        (config.chap_md5, Method::ChapMd5),
        (config.pap, Method::Pap),
    ];
    let everybodys = Settings {
        listen: config.listen.clone(),
        vrf: config.vrf.clone(),
        setup_timeout: config.setup_timeout,
        name: config.name.clone(),
        methods: methods
            .into_iter()
            .filter(|(allowed, _)| config.auth && *allowed)
            .map(|(_, method)| method)
            .collect(),
        shared_interface: config.shared_interface,
        relay: config.bcrelay.clone(),
        routes: config.routes.clone(),
        domain: config.domain.clone(),
        pid_file: config.pidfile.clone(),
        speed: config.speed,
        debug: config.debug,
        limits: limits(&config.limits),
        packets: config.packets.clone(),
        history_directory: config.records.directory.clone(),
        history: history(&config.records),
        wtmp: config.logwtmp.then(Wtmp::of_this_system),
        ip_param: if config.no_ipparam { IpParam::Fixed(None) } else { IpParam::ClientAddress },
        ..Settings::new(slots.collect())
    };
    with_options(&everybodys, &config.options)
}

/// The settings that pppd's options make of those of `pptpd.conf`.
fn with_options(settings: &Settings, options: &PppOptions) -> Settings {
    Settings {
        strip_domain: options.strip_domain,
        pam: match (options.login, options.session) {
            (true, _) => Some(Pam::AccountAndPassword),
            (false, true) => Some(Pam::Account),
            (false, false) => None,
        },
        callers: options.allow_number.clone(),
        caller_number: options.remote_number.clone(),
        pap_timeout: match options.pap_timeout {
            // For ever, as pppd has it, is a day.
            Some(0) => Duration::from_secs(86_400),
            timeout => seconds(timeout).unwrap_or(settings.pap_timeout),
        },
        octets: octets(options),
        challenges: Challenges {
            interval: seconds(options.chap_restart),
            max: options.chap_max_challenge.map(|max| max.clamp(1, 255) as u8),
            again: seconds(options.chap_interval),
        },
        lcp: lcp(options),
        network_timers: timers(options.ipcp),
        ipv6cp_timers: timers(options.ipv6cp),
        log_file: options.logfile.clone(),
        mppe: mppe(options),
        dns: two(&options.dns),
        nbns: two(&options.nbns),
        proxy_arp: options.proxyarp,
        scripts: scripts(&options.scripts),
        ip_param: match &settings.ip_param {
            IpParam::Fixed(_) => IpParam::Fixed(options.ipparam.clone()),
            IpParam::ClientAddress => IpParam::ClientAddress,
        },
        call_file: options.call.clone(),
        script_variables: options.environment.clone(),
        link_name: options.linkname.clone(),
        wtmp: settings
            .wtmp
            .clone()
            .map(|wtmp| Wtmp { strip_domain: options.logwtmp_strip_domain, ..wtmp }),
        // Link-local addresses do not tell the sessions of one interface apart.
        ipv6: (options.ipv6.unwrap_or(true) && !settings.shared_interface)
            .then_some(InterfaceIds { ours: options.ipv6_local, peers: options.ipv6_remote }),
        interface: options.ifname.clone().unwrap_or_else(|| "ppp%d".into()),
        preferred_interface: match (&options.ifname, options.unit) {
            (None, Some(unit)) => Some(format!("ppp{unit}")),
            _ => None,
        },
        idle: seconds(options.idle),
        max_connect: seconds(options.maxconnect),
        ..settings.clone()
    }
}

fn two(servers: &[Ipv4Addr]) -> [Option<Ipv4Addr>; 2] {
    [servers.first().copied(), servers.get(1).copied()]
}

fn octets(options: &PppOptions) -> Option<OctetLimit> {
    let bytes = options.max_octets.filter(|bytes| *bytes > 0)?;
    Some(OctetLimit {
        bytes: u64::from(bytes),
        direction: match options.octets_direction {
            OctetsDirection::Sum => OctetDirection::Sum,
            OctetsDirection::In => OctetDirection::In,
            OctetsDirection::Out => OctetDirection::Out,
            OctetsDirection::Max => OctetDirection::Max,
        },
        interval: seconds(options.octets_timeout).unwrap_or(Duration::from_secs(1)),
    })
}

fn history(records: &config::Records) -> Bounds {
    let defaults = Bounds::default();
    Bounds {
        attempts: records.attempts.unwrap_or(defaults.attempts),
        days: records.days.unwrap_or(defaults.days),
        megabytes: records.megabytes.unwrap_or(defaults.megabytes),
    }
}

fn limits(limits: &config::Limits) -> Limits {
    let defaults = Limits::default();
    Limits {
        connections: limits.connections.unwrap_or(defaults.connections),
        unfinished_per_address: limits
            .unfinished_per_address
            .unwrap_or(defaults.unfinished_per_address),
        unfinished: limits.unfinished.unwrap_or(defaults.unfinished),
        time_to_log_in: limits.time_to_log_in.unwrap_or(defaults.time_to_log_in),
        control_messages: limits.control_messages.unwrap_or(defaults.control_messages),
        call: dataplane::Bounds {
            control_frames: limits.control_frames.unwrap_or(defaults.call.control_frames),
            far_packets: limits.far_packets.unwrap_or(defaults.call.far_packets),
        },
        set_ups: limits.set_ups.unwrap_or(defaults.set_ups),
        sessions_per_user: limits.sessions_per_user.filter(|number| *number > 0),
        duplicate: match limits.denies_duplicates {
            Some(true) => Duplicate::Deny,
            Some(false) | None => defaults.duplicate,
        },
        unsent: limits.unsent.unwrap_or(defaults.unsent),
        logins: LoginLimits {
            per_address: limits.login_failures.unwrap_or(defaults.logins.per_address),
            per_user: limits.login_failures_per_user.unwrap_or(defaults.logins.per_user),
            window: limits.login_window.unwrap_or(defaults.logins.window),
            lock: limits.login_lock.unwrap_or(defaults.logins.lock),
        },
    }
}

fn scripts(options: &ScriptOptions) -> ScriptPaths {
    let defaults = ScriptPaths::default();
    let or = |given: &Option<PathBuf>, default| given.clone().unwrap_or(default);
    ScriptPaths {
        auth_up: or(&options.auth_up, defaults.auth_up),
        auth_down: or(&options.auth_down, defaults.auth_down),
        ip_pre_up: or(&options.ip_pre_up, defaults.ip_pre_up),
        ip_up: or(&options.ip_up, defaults.ip_up),
        ip_down: or(&options.ip_down, defaults.ip_down),
        ipv6_up: or(&options.ipv6_up, defaults.ipv6_up),
        ipv6_down: or(&options.ipv6_down, defaults.ipv6_down),
    }
}

fn lcp(options: &PppOptions) -> LcpConfig {
    let defaults = LcpConfig::default();
    let echo = seconds(options.lcp_echo_interval).map(|interval| EchoConfig {
        interval,
        failures: options.lcp_echo_failure.unwrap_or(0),
        adaptive: options.lcp_echo_adaptive,
    });
    LcpConfig {
        mru: options.mru.unwrap_or(defaults.mru),
        mtu: options.mtu.unwrap_or(defaults.mtu),
        accm: Some(options.asyncmap.unwrap_or(0)),
        pfc: !options.no_pfc,
        acfc: !options.no_acfc,
        magic: !options.no_magic,
        timers: timers(options.lcp),
        echo,
        ..defaults
    }
}

fn timers(options: TimerOptions) -> Timers {
    let defaults = Timers::default();
    Timers {
        restart: options.restart.map(|s| Duration::from_secs(u64::from(s.max(1)))),
        max_configure: options.max_configure.unwrap_or(defaults.max_configure),
        max_terminate: options.max_terminate.unwrap_or(defaults.max_terminate),
        max_failure: options.max_failure.unwrap_or(defaults.max_failure),
    }
}

/// `require-mppe` alone allows every length; naming one allows that one. pppd knows no 56 bits.
fn mppe(options: &PppOptions) -> MppePolicy {
    let mppe = &options.mppe;
    if mppe.off() {
        return MppePolicy::OFF;
    }
    let required = mppe.required();
    MppePolicy {
        need: if required { MppeNeed::Required } else { MppeNeed::Allowed },
        bits40: mppe.bits40,
        bits56: mppe.bits40 && mppe.bits128,
        bits128: mppe.bits128 || !required,
        stateful: if mppe.stateful { Stateful::Allowed } else { Stateful::Never },
    }
}

/// Users in pppd's secrets files, read anew at a login when they have changed. `pap-secrets` counts for PAP; a user of PAP who is
/// not in there is looked for in `chap-secrets` too.
#[derive(Debug)]
struct SecretsFiles {
    chap: SecretsFile,
    pap: SecretsFile,
    /// What a user's own line changes.
    everybodys: Everybodys,
    pools: Vec<Pooled>,
}

/// What holds for users who have nothing of their own.
#[derive(Debug)]
struct Everybodys {
    /// Our name.
    server: Vec<u8>,
    settings: Rc<Settings>,
    options: PppOptions,
    pool: PoolId,
}

/// The same for users of a pool.
#[derive(Debug)]
struct Pooled {
    pool: config::Pool,
    everybodys: Everybodys,
}

fn pooled(config: &Config, settings: &Settings) -> Vec<Pooled> {
    let of = |(id, pool): (PoolId, &config::Pool)| {
        let mut options = config.options.clone();
        options.dns = pool.dns.clone().unwrap_or(options.dns);
        options.nbns = pool.wins.clone().unwrap_or(options.nbns);
        let settings = Settings {
            dns: two(&options.dns),
            nbns: two(&options.nbns),
            routes: pool.routes.clone().unwrap_or_else(|| settings.routes.clone()),
            domain: pool.domain.clone().unwrap_or_else(|| settings.domain.clone()),
            ..settings.clone()
        };
        let server = config.name.clone();
        let everybodys = Everybodys { server, settings: Rc::new(settings), options, pool: id };
        Pooled { pool: pool.clone(), everybodys }
    };
    (EVERYBODYS + 1..).zip(&config.pools).map(of).collect()
}

impl Users for SecretsFiles {
    fn find(&mut self, method: Method, name: &[u8], remarks: &mut Vec<String>) -> Option<User> {
        // The first pool that names the user counts.
        let pooled = self.pools.iter().find(|pooled| pooled.pool.has(name));
        let everybodys = pooled.map_or(&self.everybodys, |pooled| &pooled.everybodys);
        let in_pap = match method {
            Method::Pap => {
                let found = find_in(&mut self.pap, name, everybodys, &mut Vec::new());
                // An empty secret leaves the password to PAM.
                found.map(|user| match &user.secret {
                    Some(Secret::Password(password))
                        if password.as_bytes().is_empty() && everybodys.options.login =>
                    {
                        User { secret: None, ..user }
                    }
                    _ => user,
                })
            }
            _ => None,
        };
        in_pap.or_else(|| find_in(&mut self.chap, name, everybodys, remarks))
    }

    fn is_elsewhere(&self, name: &[u8]) -> bool {
        let known = self.chap.known();
        known.knows_client(name) && known.find(name, &self.everybodys.server).is_none()
    }
}

fn find_in(
    file: &mut SecretsFile,
    name: &[u8],
    everybodys: &Everybodys,
    remarks: &mut Vec<String>,
) -> Option<User> {
    let server = everybodys.server.as_slice();
    let path = file.path().to_owned();
    let (secrets, found) = file.refresh().map_err(|error| remarks.push(error)).ok()?;
    remarks.extend(found.0.iter().map(ToString::to_string));
    let Some((entry, secret)) = secrets.lookup(name, server, remarks) else {
        if secrets.knows_client(name) && secrets.find(name, server).is_none() {
            let (name, server) = (Escaped(name), Escaped(server));
            remarks.push(format!(
                "there is a secret for {name}, but not with {server}, the name of this server, in the second column"
            ));
        }
        return None;
    };
    let secret = match secret {
        EntrySecret::Password(password) => Some(Secret::Password(Password::new(password.to_vec()))),
        EntrySecret::NtHash(hash) => Some(Secret::NtHash(NtHash::from_bytes(*hash))),
        EntrySecret::System => None,
    };
    let mut addresses = entry.rules(&config::resolve_host, remarks);
    addresses.append(&everybodys.options.allow_ip, &config::resolve_host);
    let own = match entry.has_options() {
        true => Some(own(entry, &path, everybodys, remarks)?),
        false if everybodys.pool != EVERYBODYS => {
            Some(Own { settings: everybodys.settings.clone(), local: None, remote: None })
        }
        false => None,
    };
    Some(User { secret, addresses: Box::new(addresses), pool: everybodys.pool, own })
}

/// What the options behind `--` make of everybody's settings; `None` where they name a filter that cannot be.
fn own(
    entry: &Entry,
    path: &Path,
    everybodys: &Everybodys,
    remarks: &mut Vec<String>,
) -> Option<Own> {
    let (options, found) = entry.options(&everybodys.options, path, &config::resolve_host);
    remarks.extend(found.0.iter().map(ToString::to_string));
    let mut settings = with_options(&everybodys.settings, &options);
    if everybodys.settings.mppe.stateful == Stateful::Preferred
        && settings.mppe.stateful == Stateful::Allowed
    {
        settings.mppe.stateful = Stateful::Preferred;
    }
    let filter =
        |options: &PppOptions| (options.pass_filter.clone(), options.active_filter.clone());
    if filter(&options) != filter(&everybodys.options) {
        match filters(&options) {
            Ok(filters) => settings.filters = filters,
            Err(fault) => {
                remarks.push(format!("{}:{}: {fault}", path.display(), entry.line));
                return None;
            }
        }
    }
    Some(Own { settings: Rc::new(settings), local: options.local, remote: options.remote })
}

impl Addresses for AddressRules {
    fn choose(&self, suggested: Ipv4Addr, unit: u32) -> Option<Ipv4Addr> {
        self.choose_address(suggested, unit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_gives_its_users_what_it_says_and_a_users_own_line_counts_more() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let options = file("options", "name pptpd\nrequire-mschap-v2\nms-dns 10.0.0.2\nmtu 1400\n");
        let paths = Paths {
            pptpd_conf: file(
                "pptpd.conf",
                &format!("option {}\nlocalip 10.0.0.1\nremoteip 10.0.0.5-9\n", options.display()),
            ),
            ppp_options: file("ppp", ""),
            chap_secrets: file("secrets", "* pptpd x *\nanna@shop pptpd x * -- mtu 1300\n"),
            pap_secrets: file("pap", ""),
            gretel_toml: file(
                "gretel.toml",
                "[pools.shop]\nusers = [\"*@shop\"]\nremote = [\"10.0.1.5-6\"]\ndns = [\"10.0.1.2\"]\ndomain = \"shop\"\n\
                 [pools.all]\nusers = [\"*@*\"]\nremote = [\"10.0.2.5\"]\n",
            ),
            command_line: Vec::new(),
        };
        let files = Files {
            paths,
            host_name: b"gate".to_vec(),
            listen: None,
            prefer_stateful_mppe: false,
            packet_io: None,
            debug: false,
        };
        let (settings, mut users, _) = files.read().unwrap();
        let pools: Vec<PoolId> = settings.slots.iter().map(|slot| slot.pool).collect();
        assert_eq!(pools, [0, 0, 0, 0, 0, 1, 1, 2]);
        let mut find = |name: &[u8]| {
            let user = users.find(Method::MsChapV2, name, &mut Vec::new()).unwrap();
            let own = user.own.map(|own| own.settings);
            let told = own.map(|own| (own.dns[0], own.domain.clone(), own.lcp.mtu));
            (user.pool, told)
        };
        let dns = |last: [u8; 4]| Some(Ipv4Addr::from(last));
        assert_eq!(find(b"bert"), (EVERYBODYS, None));
        assert_eq!(find(b"bert@shop"), (1, Some((dns([10, 0, 1, 2]), "shop".into(), 1400))));
        assert_eq!(find(b"anna@shop"), (1, Some((dns([10, 0, 1, 2]), "shop".into(), 1300))));
        assert_eq!(find(b"bert@home"), (2, Some((dns([10, 0, 0, 2]), String::new(), 1400))));
    }
}
