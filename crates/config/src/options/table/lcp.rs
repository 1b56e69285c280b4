//! Options of pppd's `lcp.c`, `multilink.c` and `cbcp.c`.

use crate::options::PppOption;

const MULTILINK: &str = "multilink has no use over PPTP; remove it";
const NO_MULTILINK: &str = "multilink is never agreed to";
const NO_ACCM: &str = "PPTP escapes no characters";

pub(super) const OPTIONS: &[PppOption] = &[
    PppOption::honoured(&["mtu"], Some("BYTES"), "the longest packet that we send", |o, v| {
        o.mtu = Some(v.size()?);
        Ok(())
    }),
    PppOption::honoured(
        &["mru"],
        Some("BYTES"),
        "the longest packet that clients shall send",
        |o, v| {
            o.mru = Some(v.size()?);
            Ok(())
        },
    ),
    PppOption::honoured(&["default-mru", "-mru"], None, "as `mru 1500`", |o, _| {
        o.mru = Some(1500);
        Ok(())
    }),
    PppOption::honoured(
        &["lcp-echo-interval"],
        Some("SECONDS"),
        "how often clients are asked whether they are there; 0 is never",
        |o, v| {
            o.lcp_echo_interval = Some(v.number()?);
            Ok(())
        },
    ),
    PppOption::honoured(
        &["lcp-echo-failure"],
        Some("NUMBER"),
        "so many unanswered echoes end the session",
        |o, v| {
            o.lcp_echo_failure = Some(v.number()?);
            Ok(())
        },
    ),
    PppOption::honoured(
        &["lcp-echo-adaptive"],
        None,
        "clients that send packets are not asked",
        |o, _| {
            o.lcp_echo_adaptive = true;
            Ok(())
        },
    ),
    PppOption::honoured(&["lcp-restart"], Some("SECONDS"), "time between requests", |o, v| {
        o.lcp.restart = Some(v.number()?);
        Ok(())
    }),
    PppOption::honoured(
        &["lcp-max-configure"],
        Some("NUMBER"),
        "Configure-Requests that are sent",
        |o, v| {
            o.lcp.max_configure = Some(v.number()?);
            Ok(())
        },
    ),
    PppOption::honoured(
        &["lcp-max-terminate"],
        Some("NUMBER"),
        "Terminate-Requests that are sent",
        |o, v| {
            o.lcp.max_terminate = Some(v.number()?);
            Ok(())
        },
    ),
    PppOption::honoured(
        &["lcp-max-failure"],
        Some("NUMBER"),
        "Configure-Naks before Configure-Rejects",
        |o, v| {
            o.lcp.max_failure = Some(v.number()?);
            Ok(())
        },
    ),
    PppOption::honoured(
        &["asyncmap", "-as"],
        Some("HEX"),
        "characters that clients shall escape, were there a serial line",
        |o, v| {
            o.asyncmap = Some(o.asyncmap.unwrap_or(0) | v.hexadecimal()?);
            Ok(())
        },
    ),
    PppOption::harmless(&["default-asyncmap", "-am"], None, NO_ACCM),
    PppOption::harmless(&["receive-all"], None, NO_ACCM),
    PppOption::honoured(
        &["noaccomp", "-ac"],
        None,
        "address and control fields are not left out",
        |o, _| {
            o.no_acfc = true;
            Ok(())
        },
    ),
    PppOption::honoured(&["nopcomp", "-pc"], None, "protocol fields are not shortened", |o, _| {
        o.no_pfc = true;
        Ok(())
    }),
    PppOption::honoured(&["nomagic", "-mn"], None, "no magic numbers", |o, _| {
        o.no_magic = true;
        Ok(())
    }),
    PppOption::honoured(&["-all"], None, "no option of LCP is asked for", |o, _| {
        (o.no_acfc, o.no_pfc, o.no_magic, o.mru) = (true, true, true, Some(1500));
        Ok(())
    }),
    PppOption::ignored(
        &["passive", "-p"],
        None,
        "a client that does not answer is waited for",
        "such a client is let go after lcp-max-configure requests; remove it",
    ),
    PppOption::ignored(
        &["silent"],
        None,
        "nothing is sent before the client's first packet",
        "the first request waits half a second for that packet; remove it",
    ),
    PppOption::ignored(
        &["lcp-rtt-file"],
        Some("FILE"),
        "round-trip times are written there",
        "they are not; remove it",
    ),
    PppOption::ignored(&["multilink", "mp"], None, "multilink", MULTILINK),
    PppOption::harmless(&["nomultilink", "nomp"], None, NO_MULTILINK),
    PppOption::ignored(&["mrru"], Some("BYTES"), "multilink: reconstructed packets", MULTILINK),
    PppOption::ignored(&["bundle"], Some("NAME"), "multilink: which bundle", MULTILINK),
    PppOption::harmless(&["mpshortseq"], None, NO_MULTILINK),
    PppOption::harmless(&["nompshortseq"], None, NO_MULTILINK),
    PppOption::harmless(&["endpoint"], Some("DISCRIMINATOR"), NO_MULTILINK),
    PppOption::harmless(&["noendpoint"], None, NO_MULTILINK),
    PppOption::ignored(
        &["callback"],
        Some("NUMBER"),
        "we ask to be called back",
        "callback has no use over PPTP; remove it",
    ),
];
