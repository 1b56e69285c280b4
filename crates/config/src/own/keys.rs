//! The keys of `gretel.toml`.

use std::time::Duration;

use toml_edit::Item;

use super::value::{
    Fault, addresses, domain, fault, flag, listen, networks, number, numbers, path, servers, size,
    text, texts,
};
use super::{Fragments, Own, PPP_OPTIONS, PPTPD_CONF, PacketIo, Tos};
use crate::config::Config;
use crate::iplist::Duplicates;
use crate::options::PppOptions;
use crate::pptpd_conf::KEYWORDS;
use crate::slots::Resolve;

/// A key of the file.
pub(super) struct Key {
    /// Its section and name: `session.idle`.
    pub(super) path: &'static str,
    /// Its value when nothing is said, as TOML.
    pub(super) default: &'static str,
    /// What it means, in a line.
    pub(super) meaning: &'static str,
    /// The keywords of `pptpd.conf` and options of pppd that say the same.
    pub(super) names: &'static [&'static str],
    pub(super) set: Set,
    /// Its value in a configuration, as TOML; `None` where nothing is said.
    pub(super) get: fn(&Config) -> Option<String>,
}

type Set = fn(&mut Own, &mut PppOptions, &Item, Resolve<'_>) -> Result<(), Fault>;

impl Key {
    /// Its section, `""` for a key that is in none.
    pub(super) fn section(&self) -> &'static str {
        self.path.split_once('.').map_or("", |(section, _)| section)
    }

    /// Its name within the section.
    pub(super) fn name(&self) -> &'static str {
        self.path.split_once('.').map_or(self.path, |(_, name)| name)
    }
}

const MOST: u32 = i32::MAX as u32;

/// All keys, those without a section first, as TOML wants it.
pub(super) const KEYS: &[Key] = &[
    Key {
        path: PPP_OPTIONS,
        default: "[]",
        meaning: "options in pppd's words that have no key here, such as \"lcp-restart 3\"",
        names: &[],
        set: |_, _, item, _| texts(item).map(|_| ()),
        get: |_| None,
    },
    Key {
        path: PPTPD_CONF,
        default: "[]",
        meaning: "lines of pptpd.conf that have no key here",
        names: &[],
        set: |_, _, item, _| keywords(item),
        get: |_| None,
    },
    Key {
        path: "server.listen",
        default: "[\"0.0.0.0:1723\"]",
        meaning: "where control connections are accepted: addresses, with :port where that is another",
        names: &["listen"],
        set: |own, _, item, resolve| {
            own.listen = Some(listen(item, resolve)?);
            Ok(())
        },
        get: |config| Some(list(config.listen.iter().map(ToString::to_string))),
    },
    Key {
        path: "server.name",
        default: "\"\"",
        meaning: "our name in authentication, and the second column of the secrets files; the host's name when empty",
        names: &["name", "domain", "usehostname"],
        set: |_, options, item, _| {
            options.name = Some(text(item)?.as_bytes().to_vec());
            options.use_host_name = false;
            Ok(())
        },
        get: |config| Some(quoted(&String::from_utf8_lossy(&config.name))),
    },
    Key {
        path: "server.setup-timeout",
        default: "10",
        meaning: "seconds that a client may take to start its control connection",
        names: &["stimeout"],
        set: |own, _, item, _| {
            own.setup_timeout = Some(Duration::from_secs(u64::from(number(item, 1, 3600)?)));
            Ok(())
        },
        get: |config| Some(config.setup_timeout.as_secs().to_string()),
    },
    Key {
        path: "server.debug",
        default: "false",
        meaning: "whether control messages and PPP frames are logged",
        names: &["debug"],
        set: |own, _, item, _| {
            own.debug = Some(flag(item)?);
            Ok(())
        },
        get: |config| Some(config.debug.to_string()),
    },
    Key {
        path: "server.sandbox",
        default: "true",
        meaning: "whether the server gives up the rights that it does not need once it has started",
        names: &[],
        set: |own, _, item, _| {
            own.sandbox = Some(flag(item)?);
            Ok(())
        },
        get: |config| Some(config.sandbox.to_string()),
    },
    Key {
        path: "server.user",
        default: "\"\"",
        meaning: "the user that the server becomes at its start, who must be able to read its files; whoever starts it when empty",
        names: &[],
        set: |own, _, item, _| {
            let name = text(item)?;
            own.user = (!name.is_empty()).then(|| name.to_owned());
            Ok(())
        },
        get: |config| config.user.as_deref().map(quoted),
    },
    Key {
        path: "addresses.local",
        default: "[\"192.168.0.1-100\"]",
        meaning: "our addresses in the tunnels: one for all sessions, or one for each; ranges in any part",
        names: &["localip"],
        set: |own, _, item, resolve| {
            own.local = Some(addresses(item, Duplicates::Allowed, resolve)?);
            Ok(())
        },
        get: |config| (!config.slots.is_empty()).then(|| super::write::locals(&config.slots)),
    },
    Key {
        path: "addresses.remote",
        default: "[\"192.168.1.1-100\"]",
        meaning: "clients' addresses, one for each session",
        names: &["remoteip"],
        set: |own, _, item, resolve| {
            own.remote = Some(addresses(item, Duplicates::Refused, resolve)?);
            Ok(())
        },
        get: |config| {
            (!config.delegate && !config.slots.is_empty())
                .then(|| super::write::ranges(config.slots.iter().map(|(_, remote)| *remote)))
        },
    },
    Key {
        path: "addresses.delegate",
        default: "false",
        meaning: "whether clients' addresses come from the secrets file alone",
        names: &["delegate"],
        set: |own, _, item, _| {
            own.delegate = Some(flag(item)?);
            Ok(())
        },
        get: |config| Some(config.delegate.to_string()),
    },
    Key {
        path: "addresses.sessions",
        default: "100",
        meaning: "how many sessions may be up at once, if there are so many addresses",
        names: &["connections"],
        set: |own, _, item, _| {
            own.sessions = Some(number(item, 1, 65_535)?);
            Ok(())
        },
        get: |config| Some(config.slots.len().to_string()),
    },
    Key {
        path: "addresses.proxy-arp",
        default: "false",
        meaning: "whether ARP requests for clients' addresses are answered on the LAN",
        names: &["proxyarp", "noproxyarp"],
        set: |_, options, item, _| {
            options.proxyarp = flag(item)?;
            Ok(())
        },
        get: |config| Some(config.options.proxyarp.to_string()),
    },
    Key {
        path: "addresses.dns",
        default: "[]",
        meaning: "name servers for clients, two at most",
        names: &["ms-dns"],
        set: |_, options, item, resolve| {
            options.dns = servers(item, resolve)?;
            Ok(())
        },
        get: |config| Some(list(config.options.dns.iter().map(ToString::to_string))),
    },
    Key {
        path: "addresses.wins",
        default: "[]",
        meaning: "WINS servers for clients, two at most",
        names: &["ms-wins"],
        set: |_, options, item, resolve| {
            options.nbns = servers(item, resolve)?;
            Ok(())
        },
        get: |config| Some(list(config.options.nbns.iter().map(ToString::to_string))),
    },
    Key {
        path: "addresses.routes",
        default: "[]",
        meaning: "networks that clients reach through the tunnel, as ADDRESS/BITS; told to clients that ask by DHCPINFORM, as Windows does",
        names: &[],
        set: |own, _, item, _| {
            own.routes = networks(item)?;
            Ok(())
        },
        get: |config| Some(super::write::networks(&config.routes)),
    },
    Key {
        path: "addresses.domain",
        default: "\"\"",
        meaning: "the domain in which clients look up short names; told as the routes are",
        names: &[],
        set: |own, _, item, _| {
            own.domain = domain(item)?;
            Ok(())
        },
        get: |config| Some(quoted(&config.domain)),
    },
    Key {
        path: "users.chap-secrets",
        default: "\"/etc/ppp/chap-secrets\"",
        meaning: "the file of users",
        names: &["chap-secrets"],
        set: |_, options, item, _| {
            options.chap_secrets = Some(path(item)?);
            Ok(())
        },
        get: |config| Some(quoted(&config.chap_secrets.display().to_string())),
    },
    Key {
        path: "users.pap-secrets",
        default: "\"/etc/ppp/pap-secrets\"",
        meaning: "the file of users of PAP",
        names: &["pap-secrets"],
        set: |_, options, item, _| {
            options.pap_secrets = Some(path(item)?);
            Ok(())
        },
        get: |config| Some(quoted(&config.pap_secrets.display().to_string())),
    },
    Key {
        path: "users.authentication",
        default: "[\"mschap-v2\"]",
        meaning: "how clients may authenticate: mschap-v2, mschap, chap, pap; an empty list lets anybody in",
        names: &[
            "require-mschap-v2",
            "require-mschap",
            "require-chap",
            "require-pap",
            "auth",
            "noauth",
        ],
        set: |_, options, item, _| methods(options, item),
        get: |config| Some(super::write::methods(config)),
    },
    Key {
        path: "users.strip-domain",
        default: "false",
        meaning: "whether DOMAIN\\ is left out when a user is looked up",
        names: &["chapms-strip-domain"],
        set: |_, options, item, _| {
            options.strip_domain = flag(item)?;
            Ok(())
        },
        get: |config| Some(config.options.strip_domain.to_string()),
    },
    Key {
        path: "encryption.mppe",
        default: "\"allowed\"",
        meaning: "required, allowed, or off",
        names: &[
            "require-mppe",
            "require-mppe-128",
            "require-mppe-40",
            "nomppe",
            "nomppe-128",
            "nomppe-40",
            "noccp",
        ],
        set: |_, options, item, _| mppe(options, item),
        get: |config| Some(quoted(super::write::need(config))),
    },
    Key {
        path: "encryption.bits",
        default: "[128]",
        meaning: "key lengths that will do where MPPE is required: 128, 40",
        names: &["require-mppe", "require-mppe-128", "require-mppe-40", "nomppe-128", "nomppe-40"],
        set: |_, options, item, _| bits(options, item),
        get: super::write::bits,
    },
    Key {
        path: "encryption.stateful",
        default: "false",
        meaning: "whether stateful MPPE is agreed to when the client asks for it",
        names: &["mppe-stateful", "nomppe-stateful"],
        set: |_, options, item, _| {
            options.mppe.stateful = flag(item)?;
            Ok(())
        },
        get: |config| Some(config.options.mppe.stateful.to_string()),
    },
    Key {
        path: "interface.mode",
        default: "\"session\"",
        meaning: "session: an interface for each session; shared: one for all, for more than a few hundred users, without IPv6",
        names: &[],
        set: |own, _, item, _| {
            own.shared_interface = match text(item)? {
                "session" => false,
                "shared" => true,
                other => {
                    let message = format!("{other:?} is not known");
                    return Err(fault(item.span(), message, "write session or shared"));
                }
            };
            Ok(())
        },
        get: |config| Some(quoted(if config.shared_interface { "shared" } else { "session" })),
    },
    Key {
        path: "interface.name",
        default: "\"ppp%d\"",
        meaning: "the interfaces' name; %d stands for a number",
        names: &["ifname"],
        set: |_, options, item, _| interface(options, item),
        get: |config| config.options.ifname.as_deref().map(quoted),
    },
    Key {
        path: "interface.ipv6",
        default: "true",
        meaning: "whether IPv6 is negotiated",
        names: &["+ipv6", "noipv6", "ipv6"],
        set: |_, options, item, _| {
            options.ipv6 = Some(flag(item)?);
            Ok(())
        },
        get: |config| config.options.ipv6.map(|on| on.to_string()),
    },
    Key {
        path: "interface.mtu",
        default: "1450",
        meaning: "bytes of the longest packet that we send, if the client's MRU does not say less",
        names: &["mtu"],
        set: |_, options, item, _| {
            options.mtu = Some(size(item)?);
            Ok(())
        },
        get: |config| config.options.mtu.map(|size| size.to_string()),
    },
    Key {
        path: "interface.mru",
        default: "1450",
        meaning: "bytes of the longest packet that clients shall send",
        names: &["mru", "default-mru"],
        set: |_, options, item, _| {
            options.mru = Some(size(item)?);
            Ok(())
        },
        get: |config| config.options.mru.map(|size| size.to_string()),
    },
    Key {
        path: "session.idle",
        default: "0",
        meaning: "seconds without traffic after which a session ends; 0 is never",
        names: &["idle"],
        set: |_, options, item, _| {
            options.idle = Some(number(item, 0, MOST)?);
            Ok(())
        },
        get: |config| config.options.idle.map(|seconds| seconds.to_string()),
    },
    Key {
        path: "session.max-connect",
        default: "0",
        meaning: "seconds after which a session ends; 0 is never",
        names: &["maxconnect"],
        set: |_, options, item, _| {
            options.maxconnect = Some(number(item, 0, MOST)?);
            Ok(())
        },
        get: |config| config.options.maxconnect.map(|seconds| seconds.to_string()),
    },
    Key {
        path: "session.echo-interval",
        default: "0",
        meaning: "seconds between questions whether the client is there; 0 is never",
        names: &["lcp-echo-interval"],
        set: |_, options, item, _| {
            options.lcp_echo_interval = Some(number(item, 0, MOST)?);
            Ok(())
        },
        get: |config| config.options.lcp_echo_interval.map(|seconds| seconds.to_string()),
    },
    Key {
        path: "session.echo-failures",
        default: "0",
        meaning: "so many unanswered questions end the session; 0 is never",
        names: &["lcp-echo-failure"],
        set: |_, options, item, _| {
            options.lcp_echo_failure = Some(number(item, 0, MOST)?);
            Ok(())
        },
        get: |config| config.options.lcp_echo_failure.map(|number| number.to_string()),
    },
    Key {
        path: "session.echo-adaptive",
        default: "false",
        meaning: "whether clients that send packets are not asked",
        names: &["lcp-echo-adaptive"],
        set: |_, options, item, _| {
            options.lcp_echo_adaptive = flag(item)?;
            Ok(())
        },
        get: |config| Some(config.options.lcp_echo_adaptive.to_string()),
    },
    Key {
        path: "session.per-user",
        default: "0",
        meaning: "sessions that one user may have at a time; 0 is any number",
        names: &[],
        set: |own, _, item, _| {
            own.limits.sessions_per_user = Some(number(item, 0, 65_535)? as usize);
            Ok(())
        },
        get: |config| config.limits.sessions_per_user.map(|number| number.to_string()),
    },
    Key {
        path: "session.duplicate",
        default: "\"replace\"",
        meaning: "what a login does beyond that number, or where another session of the user has its address: \"replace\" ends the older session, \"deny\" refuses the login",
        names: &[],
        set: |own, _, item, _| {
            own.limits.denies_duplicates = Some(one_of(item, &DUPLICATES)?);
            Ok(())
        },
        get: |config| config.limits.denies_duplicates.map(|denies| name_of(denies, &DUPLICATES)),
    },
    Key {
        path: "dataplane.io",
        default: "\"raw\"",
        meaning: "how GRE packets leave and come: raw (sockets), packet (they leave by AF_PACKET), xdp (both ways by AF_XDP); counts at the start",
        names: &[],
        set: |own, _, item, _| {
            own.packets.io = one_of(item, &PACKET_IO)?;
            Ok(())
        },
        get: |config| Some(name_of(config.packets.io, &PACKET_IO)),
    },
    Key {
        path: "dataplane.interfaces",
        default: "[]",
        meaning: "interfaces whose GRE packets go by AF_XDP; when empty, that of the default route",
        names: &[],
        set: |own, _, item, _| {
            own.packets.interfaces = texts(item)?.into_iter().map(|(name, _)| name).collect();
            Ok(())
        },
        get: |config| Some(list(config.packets.interfaces.iter().cloned())),
    },
    Key {
        path: "dataplane.fragments",
        default: "\"allowed\"",
        meaning: "whether GRE packets may be fragmented on their way: allowed, forbidden (don't fragment is set), copied (from the packet inside)",
        names: &[],
        set: |own, _, item, _| {
            own.packets.fragments = one_of(item, &FRAGMENTS)?;
            Ok(())
        },
        get: |config| Some(name_of(config.packets.fragments, &FRAGMENTS)),
    },
    Key {
        path: "dataplane.tos",
        default: "\"clear\"",
        meaning: "what GRE packets show of the packets inside: clear (nothing), ecn (for clients that hand congestion marks on), all (DSCP too; routers may then reorder them)",
        names: &[],
        set: |own, _, item, _| {
            own.packets.tos = one_of(item, &TOS)?;
            Ok(())
        },
        get: |config| Some(name_of(config.packets.tos, &TOS)),
    },
    Key {
        path: "limits.set-ups",
        default: "256",
        meaning: "sessions that are set up at once; further calls wait for their turn, which their addresses have one after the other",
        names: &[],
        set: |own, _, item, _| {
            own.limits.set_ups = Some(number(item, 1, 65_535)? as usize);
            Ok(())
        },
        get: |config| config.limits.set_ups.map(|number| number.to_string()),
    },
    Key {
        path: "limits.connections",
        default: "16384",
        meaning: "control connections in all",
        names: &[],
        set: |own, _, item, _| {
            own.limits.connections = Some(number(item, 1, 65_535)? as usize);
            Ok(())
        },
        get: |config| config.limits.connections.map(|number| number.to_string()),
    },
    Key {
        path: "limits.unfinished",
        default: "16384",
        meaning: "control connections without an authenticated session, in all",
        names: &[],
        set: |own, _, item, _| {
            own.limits.unfinished = Some(number(item, 1, 65_535)? as usize);
            Ok(())
        },
        get: |config| config.limits.unfinished.map(|number| number.to_string()),
    },
    Key {
        path: "limits.unfinished-per-address",
        default: "64",
        meaning: "control connections without an authenticated session, from one address",
        names: &[],
        set: |own, _, item, _| {
            own.limits.unfinished_per_address = Some(number(item, 1, 65_535)? as usize);
            Ok(())
        },
        get: |config| config.limits.unfinished_per_address.map(|number| number.to_string()),
    },
    Key {
        path: "limits.time-to-log-in",
        default: "3",
        meaning: "seconds that a client has to log in before the oldest unfinished connection gives way to a new one, when all are taken",
        names: &[],
        set: |own, _, item, _| {
            own.limits.time_to_log_in =
                Some(Duration::from_secs(u64::from(number(item, 1, 3600)?)));
            Ok(())
        },
        get: |config| config.limits.time_to_log_in.map(|time| time.as_secs().to_string()),
    },
    Key {
        path: "limits.control-messages",
        default: "20",
        meaning: "control messages that a connection may send in a second, and five times as many at once; more end it",
        names: &[],
        set: |own, _, item, _| {
            own.limits.control_messages = Some(number(item, 1, 10_000)?);
            Ok(())
        },
        get: |config| config.limits.control_messages.map(|number| number.to_string()),
    },
    Key {
        path: "limits.control-frames",
        default: "100",
        meaning: "PPP control frames of a call that are taken in a second, and 64 at once; more are dropped",
        names: &[],
        set: |own, _, item, _| {
            own.limits.control_frames = Some(number(item, 1, 10_000)?);
            Ok(())
        },
        get: |config| config.limits.control_frames.map(|number| number.to_string()),
    },
    Key {
        path: "limits.far-packets",
        default: "20",
        meaning: "encrypted packets of a session, as after a loss of hundreds, that are tried in a second, and 16 at once; more are dropped, as each costs up to a millisecond",
        names: &[],
        set: |own, _, item, _| {
            own.limits.far_packets = Some(number(item, 1, 10_000)?);
            Ok(())
        },
        get: |config| config.limits.far_packets.map(|number| number.to_string()),
    },
    Key {
        path: "limits.unsent",
        default: "16384",
        meaning: "bytes waiting for a client that does not read its control connection",
        names: &[],
        set: |own, _, item, _| {
            own.limits.unsent = Some(number(item, 1024, 16 * 1024 * 1024)? as usize);
            Ok(())
        },
        get: |config| config.limits.unsent.map(|number| number.to_string()),
    },
    Key {
        path: "limits.login-failures",
        default: "10",
        meaning: "failed logins from one address that lock it for a time; 0: none do",
        names: &[],
        set: |own, _, item, _| {
            own.limits.login_failures = Some(number(item, 0, MOST)?);
            Ok(())
        },
        get: |config| config.limits.login_failures.map(|number| number.to_string()),
    },
    Key {
        path: "limits.login-failures-per-user",
        default: "30",
        meaning: "failed logins in one user's name that lock it for a time, but for addresses from which the user has logged in; 0: none do",
        names: &[],
        set: |own, _, item, _| {
            own.limits.login_failures_per_user = Some(number(item, 0, MOST)?);
            Ok(())
        },
        get: |config| config.limits.login_failures_per_user.map(|number| number.to_string()),
    },
    Key {
        path: "limits.login-window",
        default: "600",
        meaning: "seconds for which a failed login counts",
        names: &[],
        set: |own, _, item, _| {
            own.limits.login_window = Some(time(item)?);
            Ok(())
        },
        get: |config| config.limits.login_window.map(|time| time.as_secs().to_string()),
    },
    Key {
        path: "limits.login-lock",
        default: "600",
        meaning: "seconds for which a lock holds",
        names: &[],
        set: |own, _, item, _| {
            own.limits.login_lock = Some(time(item)?);
            Ok(())
        },
        get: |config| config.limits.login_lock.map(|time| time.as_secs().to_string()),
    },
    Key {
        path: "records.log-file",
        default: "\"\"",
        meaning: "a file that log lines go to as well; none when empty",
        names: &["logfile"],
        set: |_, options, item, _| {
            options.logfile = Some(path(item)?).filter(|path| !path.as_os_str().is_empty());
            Ok(())
        },
        get: |config| {
            config.options.logfile.as_ref().map(|file| quoted(&file.display().to_string()))
        },
    },
    Key {
        path: "records.logins",
        default: "false",
        meaning: "whether logins are written to wtmpdb's database or /var/log/wtmp, for `last`",
        names: &["logwtmp"],
        set: |own, _, item, _| {
            own.logwtmp = Some(flag(item)?);
            Ok(())
        },
        get: |config| Some(config.logwtmp.to_string()),
    },
    Key {
        path: "records.history",
        default: "\"\"",
        meaning: "the directory in which ended attempts are kept; when empty /var/lib/gretel for the service, else where --state-dir is",
        names: &[],
        set: |own, _, item, _| {
            own.records.directory = Some(path(item)?).filter(|path| !path.as_os_str().is_empty());
            Ok(())
        },
        get: |config| {
            let directory = config.records.directory.as_ref();
            directory.map(|directory| quoted(&directory.display().to_string()))
        },
    },
    Key {
        path: "records.history-attempts",
        default: "20000",
        meaning: "how many attempts are kept; the oldest go first",
        names: &[],
        set: |own, _, item, _| {
            own.records.attempts = Some(number(item, 1, 10_000_000)?);
            Ok(())
        },
        get: |config| config.records.attempts.map(|number| number.to_string()),
    },
    Key {
        path: "records.history-days",
        default: "90",
        meaning: "days that they are kept",
        names: &[],
        set: |own, _, item, _| {
            own.records.days = Some(number(item, 1, 36_500)?);
            Ok(())
        },
        get: |config| config.records.days.map(|number| number.to_string()),
    },
    Key {
        path: "records.history-megabytes",
        default: "16",
        meaning: "MiB that they take at most",
        names: &[],
        set: |own, _, item, _| {
            own.records.megabytes = Some(number(item, 1, 65_536)?);
            Ok(())
        },
        get: |config| config.records.megabytes.map(|number| number.to_string()),
    },
];

/// A time from a second to a day.
fn time(item: &Item) -> Result<Duration, Fault> {
    Ok(Duration::from_secs(u64::from(number(item, 1, 86_400)?)))
}

/// Whether a login beyond a user's number of sessions is refused.
const DUPLICATES: [(&str, bool); 2] = [("replace", false), ("deny", true)];
const PACKET_IO: [(&str, PacketIo); 3] =
    [("raw", PacketIo::Raw), ("packet", PacketIo::Packet), ("xdp", PacketIo::Xdp)];
const TOS: [(&str, Tos); 3] = [("clear", Tos::Clear), ("ecn", Tos::Ecn), ("all", Tos::All)];
const FRAGMENTS: [(&str, Fragments); 3] = [
    ("allowed", Fragments::Allowed),
    ("forbidden", Fragments::Forbidden),
    ("copied", Fragments::Copied),
];

/// One of a few words.
fn one_of<T: Copy>(item: &Item, words: &[(&str, T)]) -> Result<T, Fault> {
    let given = text(item)?;
    let found = words.iter().find(|(word, _)| *word == given);
    found.map(|(_, value)| *value).ok_or_else(|| {
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        fault(
            item.span(),
            format!("{given:?} is not known"),
            format!("write one of {}", known.join(", ")),
        )
    })
}

/// The word for a value, as TOML writes it.
fn name_of<T: Copy + PartialEq>(value: T, words: &[(&str, T)]) -> String {
    words
        .iter()
        .find(|(_, other)| *other == value)
        .map_or_else(String::new, |(word, _)| quoted(word))
}

/// Text as TOML writes it.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

/// Texts as TOML writes them.
pub(super) fn list(texts: impl Iterator<Item = String>) -> String {
    let texts: Vec<String> = texts.map(|text| quoted(&text)).collect();
    format!("[{}]", texts.join(", "))
}

fn keywords(item: &Item) -> Result<(), Fault> {
    for (line, span) in texts(item)? {
        let (keyword, _) = super::split(&line);
        if !KEYWORDS.iter().any(|known| known.name == keyword) {
            return Err(fault(
                span,
                format!("{keyword:?} is no keyword of pptpd.conf"),
                "see pptpd.conf(5)",
            ));
        }
    }
    Ok(())
}

fn methods(options: &mut PppOptions, item: &Item) -> Result<(), Fault> {
    let named = texts(item)?;
    options.auth = Some(!named.is_empty());
    (options.require_mschap_v2, options.require_mschap) = (false, false);
    (options.require_chap, options.require_pap) = (false, false);
    for (name, span) in named {
        *match name.as_str() {
            "mschap-v2" => &mut options.require_mschap_v2,
            "mschap" => &mut options.require_mschap,
            "chap" => &mut options.require_chap,
            "pap" => &mut options.require_pap,
            _ => {
                let message = format!("{name:?} is no way to authenticate");
                return Err(fault(span, message, "the ways are mschap-v2, mschap, chap, pap"));
            }
        } = true;
    }
    Ok(())
}

fn mppe(options: &mut PppOptions, item: &Item) -> Result<(), Fault> {
    let mppe = &mut options.mppe;
    match text(item)? {
        "required" => {
            mppe.bits128 |= !mppe.required();
            (mppe.given, mppe.no_ccp) = (true, false);
        }
        "allowed" => {
            (mppe.bits40, mppe.bits128) = (false, false);
            (mppe.given, mppe.no_ccp) = (false, false);
        }
        "off" => (mppe.given, mppe.bits40, mppe.bits128) = (true, false, false),
        other => {
            let message = format!("{other:?} is not known");
            return Err(fault(item.span(), message, "write required, allowed or off"));
        }
    }
    Ok(())
}

fn bits(options: &mut PppOptions, item: &Item) -> Result<(), Fault> {
    let lengths = numbers(item)?;
    if let Some((_, span)) = lengths.iter().find(|(bits, _)| !matches!(bits, 40 | 128)) {
        return Err(fault(span.clone(), "keys have 128 or 40 bits", "write [128]"));
    }
    if lengths.is_empty() || !options.mppe.required() {
        let message = "key lengths count where MPPE is required";
        return Err(fault(item.span(), message, "write mppe = \"required\" too, and bits = [128]"));
    }
    options.mppe.bits40 = lengths.iter().any(|(bits, _)| *bits == 40);
    options.mppe.bits128 = lengths.iter().any(|(bits, _)| *bits == 128);
    Ok(())
}

fn interface(options: &mut PppOptions, item: &Item) -> Result<(), Fault> {
    let name = text(item)?;
    let value = crate::options::Value { bytes: name.as_bytes(), resolve: &|_| None, oddity: None };
    let name = value.interface().map_err(|bad| fault(item.span(), bad.message, bad.remedy))?;
    options.ifname = Some(name);
    Ok(())
}
