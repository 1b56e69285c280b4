//! Options of pppd's `ipcp.c`; IPX, which pppd 2.4 knew, is here too.

use std::net::Ipv4Addr;

use crate::options::PppOption;

const NO_VJ: &str = "headers are never compressed";
const CLIENT_ROUTE: &str = "a server does not want its routes through a client; remove it";
const KEEPS_ADDRESSES: &str = "addresses are those that the server gives; remove it";
const NO_IPX: &str = "Linux has no IPX any more; remove it";
const IPX: &str = "IPX";

pub(super) const OPTIONS: &[PppOption] = &[
    PppOption::ignored(
        &["noip", "-ip"],
        None,
        "no IPv4",
        "a client without IPv4 is not served; remove it",
    )
    .read(|o, _| {
        o.no_ip = true;
        Ok(())
    }),
    PppOption::honoured(
        &["ms-dns"],
        Some("ADDRESS"),
        "name server for clients; the last two count, the last but one first",
        |o, v| {
            let address = v.address()?;
            push_server(&mut o.dns, address);
            Ok(())
        },
    ),
    PppOption::honoured(
        &["ms-wins"],
        Some("ADDRESS"),
        "WINS server for clients; the last two count, the last but one first",
        |o, v| {
            let address = v.address()?;
            push_server(&mut o.nbns, address);
            Ok(())
        },
    ),
    PppOption::honoured(
        &["proxyarp"],
        None,
        "ARP requests for the client's address are answered on the LAN",
        |o, _| {
            o.proxyarp = true;
            Ok(())
        },
    ),
    PppOption::honoured(&["noproxyarp", "-proxyarp"], None, "they are not", |o, _| {
        o.proxyarp = false;
        Ok(())
    }),
    PppOption::harmless(
        &["netmask"],
        Some("MASK"),
        "on Linux the interface's is 255.255.255.255, with pppd too",
    )
    .read(|o, v| {
        o.netmask = Some(v.address()?);
        Ok(())
    }),
    PppOption::honoured(
        &["ipparam"],
        Some("TEXT"),
        "sixth argument of ip-up, where `noipparam` is in pptpd.conf",
        |o, v| {
            o.ipparam = Some(v.text());
            Ok(())
        },
    ),
    PppOption::honoured(&["ipcp-restart"], Some("SECONDS"), "time between requests", |o, v| {
        o.ipcp.restart = Some(v.number()?);
        Ok(())
    }),
    PppOption::honoured(
        &["ipcp-max-configure"],
        Some("NUMBER"),
        "Configure-Requests that are sent",
        |o, v| {
            o.ipcp.max_configure = Some(v.number()?);
            Ok(())
        },
    ),
    PppOption::honoured(
        &["ipcp-max-terminate"],
        Some("NUMBER"),
        "Terminate-Requests that are sent",
        |o, v| {
            o.ipcp.max_terminate = Some(v.number()?);
            Ok(())
        },
    ),
    PppOption::honoured(
        &["ipcp-max-failure"],
        Some("NUMBER"),
        "Configure-Naks before Configure-Rejects",
        |o, v| {
            o.ipcp.max_failure = Some(v.number()?);
            Ok(())
        },
    ),
    PppOption::ignored(
        &["ipcp-accept-local"],
        None,
        "the client says what our address is",
        KEEPS_ADDRESSES,
    ),
    PppOption::ignored(
        &["ipcp-accept-remote"],
        None,
        "the client says what its address is",
        KEEPS_ADDRESSES,
    ),
    PppOption::harmless(&["noipdefault"], None, "our address is given by pptpd.conf"),
    PppOption::harmless(&["ipcp-no-addresses"], None, "the old IP-Addresses option is never used"),
    PppOption::ignored(&["ipcp-no-address"], None, "addresses are not negotiated", KEEPS_ADDRESSES),
    PppOption::ignored(
        &["noremoteip"],
        None,
        "the client need not have an address",
        KEEPS_ADDRESSES,
    )
    .read(|o, _| {
        o.no_remote_ip = true;
        Ok(())
    }),
    PppOption::ignored(
        &["nosendip"],
        None,
        "our address is not told",
        "clients are told it; remove it",
    )
    .read(|o, _| {
        o.no_send_ip = true;
        Ok(())
    }),
    PppOption::harmless(&["novj", "-vj"], None, NO_VJ),
    PppOption::harmless(&["novjccomp", "-vjccomp"], None, NO_VJ),
    PppOption::harmless(&["vj-max-slots"], Some("NUMBER"), NO_VJ),
    PppOption::ignored(&["defaultroute"], None, "default route through the client", CLIENT_ROUTE),
    PppOption::harmless(&["nodefaultroute", "-defaultroute"], None, "none is ever made"),
    PppOption::harmless(&["defaultroute-metric"], Some("NUMBER"), "no default route is ever made"),
    PppOption::ignored(
        &["replacedefaultroute"],
        None,
        "default route through the client",
        CLIENT_ROUTE,
    ),
    PppOption::harmless(&["noreplacedefaultroute"], None, "none is ever made"),
    PppOption::ignored(
        &["usepeerdns"],
        None,
        "the client is asked for name servers",
        "a server does not take them from its clients; remove it",
    ),
    PppOption::ignored(
        &["usepeerwins"],
        None,
        "the client is asked for WINS servers",
        "a server does not take them from its clients; remove it",
    ),
    PppOption::harmless(&["noresolvconf"], None, "`resolv.conf` is never written"),
    PppOption::harmless(&["noipx", "-ipx"], None, "there is no IPX"),
    PppOption::ignored(&["ipx", "+ipx"], None, IPX, NO_IPX),
    PppOption::ignored(&["ipx-network"], Some("NUMBER"), IPX, NO_IPX),
    PppOption::ignored(&["ipx-node"], Some("NODES"), IPX, NO_IPX),
    PppOption::ignored(&["ipx-router-name"], Some("NAME"), IPX, NO_IPX),
    PppOption::ignored(&["ipx-routing"], Some("NUMBER"), IPX, NO_IPX),
    PppOption::ignored(&["ipxcp-accept-local"], None, IPX, NO_IPX),
    PppOption::ignored(&["ipxcp-accept-network"], None, IPX, NO_IPX),
    PppOption::ignored(&["ipxcp-accept-remote"], None, IPX, NO_IPX),
    PppOption::ignored(&["ipxcp-restart"], Some("SECONDS"), IPX, NO_IPX),
    PppOption::ignored(&["ipxcp-max-configure"], Some("NUMBER"), IPX, NO_IPX),
    PppOption::ignored(&["ipxcp-max-terminate"], Some("NUMBER"), IPX, NO_IPX),
    PppOption::ignored(&["ipxcp-max-failure"], Some("NUMBER"), IPX, NO_IPX),
];

/// The last two count: the last but one is the primary.
fn push_server(servers: &mut Vec<Ipv4Addr>, address: Ipv4Addr) {
    if servers.len() == 2 {
        servers.remove(0);
    }
    servers.push(address);
}
