//! `[server]` and `[addresses]`, and the keys in no section.

use std::time::Duration;

use toml_edit::Item;

use super::super::value::{
    Fault, addresses, domain, fault, flag, listen, networks, number, servers, text, texts,
};
use super::super::{PPP_OPTIONS, PPTPD_CONF, split, write};
use super::{Key, list, quoted};
use crate::iplist::Duplicates;
use crate::pptpd_conf::KEYWORDS;

pub(super) const GENERAL: &[Key] = &[
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
];

pub(super) const SERVER: &[Key] = &[
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
];

pub(super) const ADDRESSES: &[Key] = &[
    Key {
        path: "addresses.local",
        default: "[\"192.168.0.1-100\"]",
        meaning: "our addresses in the tunnels: one for all sessions, or one for each; ranges in any part",
        names: &["localip"],
        set: |own, _, item, resolve| {
            own.local = Some(addresses(item, Duplicates::Allowed, resolve)?);
            Ok(())
        },
        get: |config| (!config.slots.is_empty()).then(|| write::locals(&config.slots)),
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
                .then(|| write::ranges(config.slots.iter().map(|(_, remote)| *remote)))
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
        get: |config| Some(write::networks(&config.routes)),
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
];

fn keywords(item: &Item) -> Result<(), Fault> {
    for (line, span) in texts(item)? {
        let (keyword, _) = split(&line);
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
