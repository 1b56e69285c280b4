//! `plugin`, and the options of the plugins that come with pppd and pptpd.

use crate::options::{Action, Class, PppOption};

const NO_RADIUS: &str = "RADIUS is not supported; keep users in chap-secrets";
const RADIUS: &str = "RADIUS";
const CLIENT: &str = "that is for clients; remove it";

pub(super) const OPTIONS: &[PppOption] = &[
    PppOption {
        names: &["plugin"],
        argument: Some("FILE"),
        class: Class::Refused(
            "pppd's plugins cannot be loaded: see which of them have a counterpart below",
        ),
        meaning: "a plugin of pppd is loaded",
        action: Action::Plugin,
    },
    PppOption::ignored(
        &["pptpd-original-ip"],
        Some("ADDRESS"),
        "the client's address for wtmp records",
        "the client's address is known from TCP; remove it",
    ),
    PppOption::honoured(
        &["pptpd-logwtmp-strip-domain"],
        None,
        "`DOMAIN\\` is left out of wtmp records",
        |o, _| {
            o.logwtmp_strip_domain = true;
            Ok(())
        },
    ),
    PppOption::ignored(&["radius-config-file"], Some("FILE"), RADIUS, NO_RADIUS),
    PppOption::ignored(&["avpair"], Some("ATTRIBUTE=VALUE"), RADIUS, NO_RADIUS),
    PppOption::ignored(&["map-to-ttyname"], None, RADIUS, NO_RADIUS),
    PppOption::ignored(&["map-to-ifname"], None, RADIUS, NO_RADIUS),
    PppOption::ignored(&["realms-config-file"], Some("FILE"), RADIUS, NO_RADIUS),
    PppOption::refused(
        &["ntlm_auth-helper"],
        Some("COMMAND"),
        "a Windows domain checks passwords (winbind.so)",
        "keep users in chap-secrets; NT hashes of their passwords will do",
    ),
    PppOption::ignored(
        &["minconnect"],
        Some("SECONDS"),
        "sessions last this long at least, `idle` or not (minconn.so)",
        "remove it, or raise idle",
    ),
    PppOption::ignored(
        &["promptprog"],
        Some("FILE"),
        "asks for our password (passprompt.so)",
        CLIENT,
    ),
    PppOption::ignored(
        &["passwordfd"],
        Some("NUMBER"),
        "reads our password (passwordfd.so)",
        CLIENT,
    ),
];

/// What becomes of plugins, by their file's name.
pub(crate) const PLUGINS: &[(&str, Class)] = &[
    (
        "radius.so",
        Class::Refused(
            "users of RADIUS are not known here; write them to chap-secrets, and remove the line",
        ),
    ),
    (
        "radattr.so",
        Class::Ignored(
            "RADIUS is not supported, so there are no attributes to write; remove the line",
        ),
    ),
    ("radrealms.so", Class::Ignored("RADIUS is not supported; remove the line")),
    (
        "winbind.so",
        Class::Refused(
            "users of a Windows domain are not known here; write them to chap-secrets with {nt} and the NT hash of their password, and remove the line",
        ),
    ),
    ("minconn.so", Class::Ignored("remove the line, or raise idle")),
    ("passprompt.so", Class::Ignored(CLIENT)),
    ("passwordfd.so", Class::Ignored(CLIENT)),
    ("pppoe.so", Class::Refused("that serves another kind of line; remove the line")),
    ("rp-pppoe.so", Class::Refused("that serves another kind of line; remove the line")),
    ("pppoatm.so", Class::Refused("that serves another kind of line; remove the line")),
    ("pppol2tp.so", Class::Refused("that serves another kind of line; remove the line")),
    ("openl2tp.so", Class::Refused("that serves another kind of line; remove the line")),
    (
        "dhcpv6relay.so",
        Class::Ignored("remove the line, and run a DHCPv6 relay on the ppp interfaces"),
    ),
    ("dhcpc.so", Class::Refused("addresses come from remoteip and chap-secrets; remove the line")),
];
