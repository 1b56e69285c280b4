//! GRE on this host's interfaces, in front of its own packet filter: whether the client's arrives here at all, and how ours leaves.

use std::fmt;
use std::io;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use sys::capture::CaptureSocket;
use sys::netlink::Netlink;

use crate::doctor::firewall::{Blame, GRE, Hook, Packet, Verdict};
use crate::doctor::firewall_rules;

/// How long it is watched. Clients repeat their first packet every two or three seconds.
const WATCH: Duration = Duration::from_secs(3);
/// How often what came is looked at.
const GLANCE: Duration = Duration::from_millis(20);
/// As much of a packet as is looked at: IP header with options, GRE header.
const SNAP_LEN: usize = 76;

/// Whose GRE is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Question {
    /// The client's address.
    pub(crate) client: Ipv4Addr,
    /// The address that it called.
    pub(crate) local: Ipv4Addr,
    /// What its packets to us have as their call id.
    pub(crate) our_call_id: u16,
    /// What ours have.
    pub(crate) peer_call_id: u16,
    /// Whether its packets reach the worker.
    pub(crate) is_heard: bool,
}

/// What was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wire {
    /// For how long it was watched.
    pub watched: Duration,
    /// Packets of the call from the client.
    pub came: u32,
    /// The interface that the newest came by.
    pub came_by: Option<String>,
    /// Packets of the call to the client.
    pub went: u32,
    /// The interface that the newest left by.
    pub went_by: Option<String>,
    /// Its source address, where that is not the one that was called.
    pub went_from: Option<Ipv4Addr>,
    /// The rule of this host's packet filter that drops what came, as far as that was asked.
    pub rule: Option<String>,
    /// Why no rule could be named, where that is so.
    pub no_rule: Option<String>,
    /// Whether the reverse path filter drops what came.
    pub reverse_path: bool,
}

impl fmt::Display for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = |interface: &Option<String>| match interface {
            Some(interface) => format!(" by {interface}"),
            None => String::new(),
        };
        write!(
            f,
            "watched for {:.1} s: {} packets of the call came{}, {} went{}",
            self.watched.as_secs_f64(),
            self.came,
            by(&self.came_by),
            self.went,
            by(&self.went_by)
        )
    }
}

/// Watches until enough has been seen, the time is up, or `stop` is set.
///
/// # Errors
///
/// `PermissionDenied` where this process may not watch.
pub(crate) fn watch(question: &Question, stop: &AtomicBool) -> io::Result<Wire> {
    let socket = CaptureSocket::gre_of(question.client)?;
    let mut netlink = Netlink::open()?;
    let drops_before = reverse_path_drops();
    let began = Instant::now();
    let (mut seen, mut came_by, mut went_by) = (Wire::default(), None, None);
    let mut buffer = [0; SNAP_LEN];
    while began.elapsed() < WATCH && !stop.load(Relaxed) {
        while let Ok(passed) = socket.receive(&mut buffer) {
            let Some((source, call_id)) = read(&buffer[..passed.len]) else { continue };
            if !passed.outgoing && source == question.client && call_id == question.our_call_id {
                seen.came = seen.came.saturating_add(1);
                came_by = Some(passed.interface);
            } else if passed.outgoing && call_id == question.peer_call_id {
                seen.went = seen.went.saturating_add(1);
                went_by = Some(passed.interface);
                seen.went_from = Some(source).filter(|source| *source != question.local);
            }
        }
        let is_enough = if question.is_heard { came_by.and(went_by) } else { came_by }.is_some();
        if is_enough {
            break;
        }
        thread::sleep(GLANCE);
    }
    seen.watched = began.elapsed();
    let mut name = |index: u32| {
        let interfaces = netlink.interfaces().ok()?;
        interfaces.into_iter().find(|it| it.index == index).map(|it| it.name)
    };
    seen.came_by = came_by.and_then(&mut name);
    seen.went_by = went_by.and_then(&mut name);
    if let Some(index) = came_by.filter(|_| !question.is_heard) {
        let taken = netlink.way(question.local, Some((question.client, index)));
        let refused = taken.is_err_and(|error| {
            matches!(error.kind(), io::ErrorKind::CrossesDevices | io::ErrorKind::InvalidInput)
        });
        seen.reverse_path = refused || reverse_path_drops() > drops_before;
        (seen.rule, seen.no_rule) = rule(question, seen.came_by.clone().unwrap_or_default());
    }
    Ok(seen)
}

/// Source address and call id of a GRE packet with its IP header (RFC 2637 §4.1).
fn read(packet: &[u8]) -> Option<(Ipv4Addr, u16)> {
    let source: [u8; 4] = packet.get(12..16)?.try_into().ok()?;
    let gre = usize::from(packet.first()? & 0xf) * 4;
    let call_id = packet.get(gre + 6..gre + 8)?.try_into().ok()?;
    Some((source.into(), u16::from_be_bytes(call_id)))
}

/// The rule that drops the client's GRE, or why none can be named.
fn rule(question: &Question, input: String) -> (Option<String>, Option<String>) {
    let rules = match firewall_rules() {
        Ok(rules) => rules,
        Err(error) => return (None, Some(error)),
    };
    let packet = Packet {
        protocol: GRE,
        source: Some(question.client),
        destination: Some(question.local),
        input,
        ..Packet::default()
    };
    let named = |blame: &Blame| {
        let text = format!("{} in table {}", blame.rule, blame.table);
        text.replace(char::is_control, " ")
    };
    match rules.judge(&packet, &[Hook::Prerouting, Hook::Input]) {
        Verdict::Drop(blame) => (Some(named(&blame)), None),
        Verdict::Unclear(blame) => (None, Some(format!("this may be it: {}", named(&blame)))),
        Verdict::Pass => (None, Some("no rule of nftables or iptables does it".to_owned())),
    }
}

/// How many packets the kernel has dropped for their reverse path, in this network namespace (`IPReversePathFilter`).
fn reverse_path_drops() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/net/netstat").unwrap_or_default();
    figure(&text, "IPReversePathFilter").unwrap_or(0)
}

/// A figure of `/proc/net/netstat`: a line of names, and below it one of figures.
fn figure(text: &str, name: &str) -> Option<u64> {
    let lines: Vec<&str> = text.lines().collect();
    lines.chunks(2).find_map(|pair| {
        let at = pair.first()?.split(' ').position(|word| word == name)?;
        pair.get(1)?.split(' ').nth(at)?.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_and_call_id_are_read_and_what_is_cut_short_is_not() {
        let mut packet = vec![0x45; 12];
        packet.extend([192, 0, 2, 7, 10, 0, 0, 1, 0x30, 1, 0x88, 0x0b, 0, 0, 0x12, 0x34]);
        assert_eq!(read(&packet), Some((Ipv4Addr::new(192, 0, 2, 7), 0x1234)));
        for len in 0..packet.len() {
            assert_eq!(read(&packet[..len]), None);
        }
    }

    #[test]
    fn a_figure_of_netstat_is_found_below_its_name() {
        let text = "TcpExt: A IPReversePathFilter B\nTcpExt: 1 7 3\nIpExt: C\nIpExt: 4\n";
        assert_eq!(figure(text, "IPReversePathFilter"), Some(7));
        assert_eq!(figure(text, "C"), Some(4));
        assert_eq!(figure(text, "D"), None);
        assert_eq!(figure("A", "A"), None);
    }
}
