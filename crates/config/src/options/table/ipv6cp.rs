//! Options of pppd's `ipv6cp.c`.

use crate::options::PppOption;

const BY_SERVER: &str = "the server makes identifiers up and takes the client's; remove it";
const CLIENT_ROUTE: &str = "a server does not want its routes through a client; remove it";

pub(super) const OPTIONS: &[PppOption] = &[
    PppOption::honoured(&["+ipv6"], None, "IPv6 is negotiated, which is the default", |o, _| {
        o.ipv6 = Some(true);
        Ok(())
    }),
    PppOption::honoured(&["noipv6", "-ipv6"], None, "no IPv6", |o, _| {
        o.ipv6 = Some(false);
        Ok(())
    }),
    PppOption::honoured(
        &["ipv6"],
        Some("LOCAL,REMOTE"),
        "IPv6 is negotiated, with these interface identifiers; a client that insists on its own has it",
        |o, v| {
            let [local, remote] = v.identifiers()?;
            o.ipv6 = Some(true);
            (o.ipv6_local, o.ipv6_remote) = (local.or(o.ipv6_local), remote.or(o.ipv6_remote));
            Ok(())
        },
    ),
    PppOption::ignored(
        &["ipv6cp-accept-local"],
        None,
        "the client says what our identifier is",
        BY_SERVER,
    ),
    PppOption::harmless(&["ipv6cp-accept-remote"], None, "the client's identifier is always taken"),
    PppOption::ignored(
        &["ipv6cp-noremote"],
        None,
        "the client need not have an identifier",
        BY_SERVER,
    ),
    PppOption::ignored(&["ipv6cp-nosend"], None, "our identifier is not told", BY_SERVER),
    PppOption::ignored(
        &["ipv6cp-use-ipaddr"],
        None,
        "identifiers are made of the IPv4 addresses",
        BY_SERVER,
    ),
    PppOption::ignored(
        &["ipv6cp-use-persistent"],
        None,
        "our identifier is made of a hardware address",
        BY_SERVER,
    ),
    PppOption::ignored(
        &["ipv6cp-use-remotenumber"],
        None,
        "the client's identifier is made of `remotenumber`",
        BY_SERVER,
    ),
    PppOption::honoured(&["ipv6cp-restart"], Some("SECONDS"), "time between requests", |o, v| {
        o.ipv6cp.restart = Some(v.number()?);
        Ok(())
    }),
    PppOption::honoured(
        &["ipv6cp-max-configure"],
        Some("NUMBER"),
        "Configure-Requests that are sent",
        |o, v| {
            o.ipv6cp.max_configure = Some(v.number()?);
            Ok(())
        },
    ),
    PppOption::honoured(
        &["ipv6cp-max-terminate"],
        Some("NUMBER"),
        "Terminate-Requests that are sent",
        |o, v| {
            o.ipv6cp.max_terminate = Some(v.number()?);
            Ok(())
        },
    ),
    PppOption::honoured(
        &["ipv6cp-max-failure"],
        Some("NUMBER"),
        "Configure-Naks before Configure-Rejects",
        |o, v| {
            o.ipv6cp.max_failure = Some(v.number()?);
            Ok(())
        },
    ),
    PppOption::ignored(&["defaultroute6"], None, "default route through the client", CLIENT_ROUTE),
    PppOption::harmless(&["nodefaultroute6", "-defaultroute6"], None, "none is ever made"),
    PppOption::harmless(&["defaultroute6-metric"], Some("NUMBER"), "no default route is ever made"),
];
