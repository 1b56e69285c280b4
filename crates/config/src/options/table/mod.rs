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
