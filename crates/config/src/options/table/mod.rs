//! Every option of pppd 2.4.9 and 2.5, and of the plugins that come with it and with pptpd.

mod auth;
mod ccp;
mod general;
mod ipcp;
mod ipv6cp;
mod lcp;
mod plugins;
mod scripts;
mod tty;

use super::PppOption;

pub(crate) use plugins::PLUGINS;

/// The options by what they are about.
pub(super) const SECTIONS: &[(&str, &[PppOption])] = &[
    ("Authentication", auth::OPTIONS),
    ("Encryption and compression (CCP, ECP)", ccp::OPTIONS),
    ("IPv4 (IPCP)", ipcp::OPTIONS),
    ("IPv6 (IPV6CP)", ipv6cp::OPTIONS),
    ("The link (LCP)", lcp::OPTIONS),
    ("Sessions, files and log", general::OPTIONS),
    ("Scripts", scripts::OPTIONS),
    ("Plugins and their options", plugins::OPTIONS),
    ("Serial lines", tty::OPTIONS),
];

/// Options of pppds before 2.4.3, patched for MS-CHAP and MPPE, that old instructions still name, and what to write today.
pub(super) const OBSOLETE: &[(&str, &str)] = &[
    ("+chapms", "write require-mschap, or better require-mschap-v2"),
    ("+chapms-v2", "write require-mschap-v2"),
    ("chapms", "write require-mschap, or better require-mschap-v2"),
    ("chapms-v2", "write require-mschap-v2"),
    ("-chapms", "write refuse-mschap, or remove it"),
    ("-chapms-v2", "write refuse-mschap-v2, or remove it"),
    ("mppe", "write require-mppe-128"),
    ("mppe-40", "write require-mppe-40"),
    ("mppe-128", "write require-mppe-128"),
    ("mppe-stateless", "remove it: stateless is the default"),
    ("strip-MSdomain", "write chapms-strip-domain"),
    ("chapms-strip", "write chapms-strip-domain"),
];
