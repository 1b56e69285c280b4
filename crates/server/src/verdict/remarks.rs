//! What is not right with a session that is up.

use std::fmt;
use std::net::Ipv4Addr;
use std::time::Duration;

use super::evidence::{OfCall, OfConnection, OfTunnel};
use super::{Verdict, host, link, session};
use crate::event::Summary;
use crate::look::{Beyond, Obstacle};

/// A shorter session without a packet shows nothing.
const LONG_SILENCE: Duration = Duration::from_secs(60);
/// One packet of this many lost is many, if it is this many at least.
const LOST_OF: u64 = 20;
const LOST_AT_LEAST: u64 = 50;
/// So often something behind the client has to say that our packets are too large.
const TOO_BIG_AT_LEAST: u16 = 3;

/// A verdict beside the one about a session's end.
#[derive(Clone, Debug)]
pub struct Remark {
    /// What it is.
    pub verdict: &'static Verdict,
    /// What makes this case special.
    pub detail: Option<String>,
}

/// `G-502: what is not right (what makes it special)`.
impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.verdict.code, self.verdict.sentence)?;
        match &self.detail {
            Some(detail) => write!(f, " ({detail})"),
            None => Ok(()),
        }
    }
}

/// All there is to remark, in the order of codes.
pub(super) fn of(connection: &OfConnection, call: &OfCall, summary: &Summary) -> Vec<Remark> {
    let Some(connected) = summary.connected else { return Vec::new() };
    let mut remarks = figures(connection, call, summary, connected);
    if call.no_proxy_arp {
        remarks.push(Remark { verdict: &host::NO_PROXY_ARP, detail: None });
    }
    if call.script_failed {
        remarks.push(Remark { verdict: &host::SCRIPT_FAILED, detail: None });
    }
    if let Some(tunnel) = &call.up {
        remarks.extend(seen(call, tunnel));
        remarks.extend(tunnel.beyond.as_ref().map(beyond).unwrap_or_default());
    }
    remarks.sort_by_key(|remark| remark.verdict.code);
    remarks.dedup_by_key(|remark| remark.verdict.code);
    remarks
}

/// What the session's figures show.
fn figures(
    connection: &OfConnection,
    call: &OfCall,
    summary: &Summary,
    connected: Duration,
) -> Vec<Remark> {
    let mut remarks = Vec::new();
    let mut remark = |holds: bool, verdict, detail| {
        if holds {
            remarks.push(Remark { verdict, detail });
        }
    };
    let spoofed = summary.dropped("spoofed-source");
    remark(spoofed > summary.received_packets, &session::OTHER_SOURCE, None);
    let quiet = connected >= LONG_SILENCE && spoofed == 0;
    let nothing = summary.received_packets == 0;
    remark(quiet && nothing, &session::NOTHING_CAME, None);
    let speaks_to_all = !nothing && summary.received_unicast == 0 && call.agreed.is_some();
    let own_routes = quiet && speaks_to_all && connection.is_windows();
    let told = call
        .routes_told
        .map(|routes| format!("it asked for routes when it came up, and was told {routes}"));
    remark(own_routes, &session::OWN_ROUTES, told);
    let lost = summary.gre_lost;
    let many = lost >= LOST_AT_LEAST && lost * LOST_OF > lost + summary.gre_received;
    remark(many, &session::LOSS, None);
    let late = summary.gre_reordered;
    let many = late >= LOST_AT_LEAST && late * LOST_OF > summary.gre_received;
    remark(many, &session::REORDERED, None);
    remarks
}

/// What probes and single packets have shown.
fn seen(call: &OfCall, tunnel: &OfTunnel) -> Vec<Remark> {
    let mut remarks = Vec::new();
    let mut remark = |verdict, detail| remarks.push(Remark { verdict, detail: Some(detail) });
    if let (Some(theirs), Some((local, remote))) = (tunnel.clients_network, call.agreed)
        && [local, remote].into_iter().any(|ours| overlaps(theirs, ours))
    {
        remark(
            &link::OVERLAP,
            format!("its network has {theirs}, the tunnel {local} and {remote}"),
        );
    }
    if let Some((interface, by)) = &tunnel.address_taken {
        let by: Vec<String> = by.iter().map(|byte| format!("{byte:02x}")).collect();
        remark(&host::ADDRESS_TAKEN, format!("{} on {interface}", by.join(":")));
    }
    if let Some((passes, lost, path_mtu)) = tunnel.sizes {
        let told = match path_mtu {
            Some(mtu) => format!("a router on the way told of its limit, {mtu} bytes"),
            None => "no router on the way told of a limit".to_owned(),
        };
        remark(&session::BLACK_HOLE, format!("{passes} bytes pass, {lost} do not; {told}"));
    }
    if tunnel.too_big >= TOO_BIG_AT_LEAST {
        remark(&session::TOO_LARGE, format!("it said so {} times", tunnel.too_big));
    }
    remarks
}

/// What stands between the client and those who do not answer.
fn beyond(beyond: &Beyond) -> Vec<Remark> {
    let mut remarks: Vec<Remark> = Vec::new();
    for (destination, obstacle) in &beyond.obstacles {
        let (verdict, detail) = match obstacle {
            Obstacle::NotForwarding => (&host::NOT_FORWARDING, format!("to {destination}")),
            Obstacle::Rule(rule) => (&host::FORWARD_RULE, format!("to {destination}: {rule}")),
            Obstacle::NotTranslated { out } => {
                (&host::NOT_TRANSLATED, format!("to {destination}, by {out}"))
            }
            Obstacle::NoRoute { has_default: false } if is_public(*destination) => {
                (&session::NO_INTERNET, format!("to {destination}"))
            }
            Obstacle::NoRoute { .. } => (&session::NO_ROUTE, format!("to {destination}")),
        };
        remarks.push(Remark { verdict, detail: Some(detail) });
    }
    if !beyond.silent.is_empty() {
        let servers: Vec<String> = beyond.silent.iter().map(ToString::to_string).collect();
        let detail = Some(servers.join(", "));
        remarks.push(Remark { verdict: &host::NAME_SERVER_SILENT, detail });
    }
    remarks
}

/// Whether two addresses are most likely of one network: home and office networks are /24 as a rule.
fn overlaps(theirs: Ipv4Addr, ours: Ipv4Addr) -> bool {
    theirs.is_private() && theirs.octets()[..3] == ours.octets()[..3]
}

/// Whether an address is of the Internet at large.
fn is_public(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    let is_shared = first == 100 && second & 0xc0 == 64;
    !(address.is_private() || address.is_link_local() || address.is_loopback() || is_shared)
}
