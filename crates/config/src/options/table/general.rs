//! Options of pppd's `options.c` that are not about scripts.

use crate::options::{Action, Class, OctetsDirection, PppOption};

const NO_PROCESS: &str = "sessions are no processes of their own";
const NO_DIALLING: &str = "a server does not dial";
const FOR_CLIENTS: &str = "that is for clients; remove it";
const AT_A_TERMINAL: &str = "pppd would show it and end, and nobody could connect; remove it";

pub(super) const OPTIONS: &[PppOption] = &[
    PppOption {
        names: &["file"],
        argument: Some("FILE"),
        class: Class::Honoured,
        meaning: "more options are read from there",
        action: Action::File,
    },
    PppOption {
        names: &["call"],
        argument: Some("NAME"),
        class: Class::Honoured,
        meaning: "more options are read from `/etc/ppp/peers/NAME`",
        action: Action::Call,
    },
    PppOption::honoured(
        &["idle"],
        Some("SECONDS"),
        "sessions without traffic end after this time",
        |o, v| {
            o.idle = Some(v.number()?);
            Ok(())
        },
    ),
    PppOption::honoured(
        &["active-filter"],
        Some("FILTER"),
        "only packets that match count as traffic for `idle` (an expression of libpcap's, which must be there)",
        |o, v| {
            o.active_filter = Some(v.text());
            Ok(())
        },
    ),
    PppOption::honoured(
        &["pass-filter"],
        Some("FILTER"),
        "only packets that match pass (an expression of libpcap's, which must be there)",
        |o, v| {
            o.pass_filter = Some(v.text());
            Ok(())
        },
    ),
    PppOption::honoured(
        &["maxconnect"],
        Some("SECONDS"),
        "sessions end after this time",
        |o, v| {
            o.maxconnect = Some(v.number()?);
            Ok(())
        },
    ),
    PppOption::honoured(
        &["maxoctets", "mo"],
        Some("BYTES"),
        "sessions end after so much traffic",
        |o, v| {
            o.max_octets = Some(v.number()?);
            Ok(())
        },
    ),
    PppOption::honoured(
        &["mo-direction"],
        Some("DIRECTION"),
        "what `maxoctets` counts: sum, in, out, max",
        |o, v| {
            o.octets_direction = match v.bytes {
                b"in" => OctetsDirection::In,
                b"out" => OctetsDirection::Out,
                b"max" => OctetsDirection::Max,
                _ => OctetsDirection::Sum,
            };
            Ok(())
        },
    ),
    PppOption::honoured(
        &["mo-timeout"],
        Some("SECONDS"),
        "how often `maxoctets` is looked at",
        |o, v| {
            o.octets_timeout = Some(v.number()?);
            Ok(())
        },
    ),
    PppOption::honoured(
        &["ifname"],
        Some("NAME"),
        "the interfaces' name; `%d` in it stands for a number",
        |o, v| {
            o.ifname = Some(v.interface()?);
            Ok(())
        },
    ),
    PppOption::honoured(
        &["unit"],
        Some("NUMBER"),
        "the interface's number while that is free; `ifname` counts more",
        |o, v| {
            o.unit = Some(v.number()?);
            Ok(())
        },
    ),
    PppOption::ignored(
        &["vrf"],
        Some("NAME"),
        "the interfaces' VRF (pppd 2.5)",
        "put the interfaces there by a script, or run the server with `ip vrf exec`",
    ),
    PppOption::honoured(
        &["linkname"],
        Some("NAME"),
        "`/run/ppp-NAME.pid`, and LINKNAME for scripts",
        |o, v| {
            o.linkname = Some(v.file_name()?);
            Ok(())
        },
    ),
    PppOption::honoured(
        &["debug", "-d"],
        None,
        "control messages and PPP frames are logged",
        |o, _| {
            o.debug = true;
            Ok(())
        },
    ),
    PppOption::harmless(&["kdebug"], Some("NUMBER"), "the kernel's PPP is not used"),
    PppOption::honoured(&["dump"], None, "what is in effect is logged at the start", |o, _| {
        o.dump = true;
        Ok(())
    }),
    PppOption::refused(
        &["dryrun"],
        None,
        "options are read and nothing else",
        "pppd would let nobody in with it; remove it, and use `gretel check`",
    )
    .read(|o, _| {
        o.dryrun = true;
        Ok(())
    }),
    PppOption::honoured(&["logfile"], Some("FILE"), "log lines go there too", |o, v| {
        o.logfile = v.path();
        Ok(())
    }),
    PppOption::harmless(&["logfd"], Some("NUMBER"), "no file descriptor is handed over by pptpd"),
    PppOption::harmless(&["nolog", "nologfd"], None, "nothing is ever logged to a client's line"),
    PppOption::harmless(&["nodetach", "-detach"], None, NO_PROCESS),
    PppOption::harmless(&["updetach"], None, NO_PROCESS),
    PppOption::harmless(&["up_sdnotify"], None, NO_PROCESS),
    PppOption::harmless(&["master_detach"], None, NO_PROCESS),
    PppOption::harmless(&["child-timeout"], Some("SECONDS"), NO_PROCESS),
    PppOption::ignored(
        &["persist"],
        None,
        "the connection is made again when it ends",
        FOR_CLIENTS,
    ),
    PppOption::harmless(&["nopersist"], None, NO_DIALLING),
    PppOption::ignored(
        &["demand"],
        None,
        "the connection is made when there is traffic",
        FOR_CLIENTS,
    ),
    PppOption::harmless(&["holdoff"], Some("SECONDS"), NO_DIALLING),
    PppOption::harmless(&["maxfail"], Some("NUMBER"), NO_DIALLING),
    PppOption::harmless(&["connect-delay"], Some("MILLISECONDS"), NO_DIALLING),
    PppOption::ignored(
        &["ktune"],
        None,
        "forwarding is switched on with `proxyarp`",
        "write net.ipv4.ip_forward=1 in /etc/sysctl.d",
    ),
    PppOption::harmless(&["noktune"], None, "the kernel's settings are left alone"),
    PppOption::ignored(&["--version", "-v"], None, "pppd's version", AT_A_TERMINAL),
    PppOption::ignored(&["--help", "-h"], None, "pppd's help", AT_A_TERMINAL),
    PppOption::ignored(&["show-options"], None, "pppd's options", AT_A_TERMINAL),
];
