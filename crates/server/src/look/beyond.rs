//! What stands between a client in its tunnel and those that do not answer it, as far as this host knows.

use std::fmt;
use std::io;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};
use sys::netlink::{Interface, Netlink, Way};

use crate::doctor::firewall::{Blame, Hook, Packet, Ruleset, TCP, UDP, Verdict};
use crate::doctor::{ask_name_servers, firewall_rules, is_in_local_network};

const ICMP: u8 = 1;
const THROUGH: [Hook; 3] = [Hook::Prerouting, Hook::Forward, Hook::Postrouting];
const IN: [Hook; 2] = [Hook::Prerouting, Hook::Input];

/// What is to be found out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Question {
    /// The client's address in the tunnel.
    pub(crate) client: Ipv4Addr,
    /// The session's interface.
    pub(crate) interface: String,
    /// Who does not answer.
    pub(crate) destinations: Vec<Ipv4Addr>,
    /// The name servers that the client was told of.
    pub(crate) name_servers: Vec<Ipv4Addr>,
}

/// What was found out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beyond {
    /// Who does not answer, and why.
    pub obstacles: Vec<(Ipv4Addr, Obstacle)>,
    /// Name servers that do not answer us either.
    pub silent: Vec<Ipv4Addr>,
    /// Why the rules of this host's packet filter are not known, where that is so.
    pub no_rules: Option<String>,
}

/// Why somebody does not answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Obstacle {
    /// This host does not pass packets on.
    NotForwarding,
    /// No route leads there, or one forbids it; whether there is a default route at all.
    NoRoute {
        /// A default route.
        has_default: bool,
    },
    /// A rule of this host's packet filter drops the packets, or their answers.
    Rule(String),
    /// The client's address means nothing beyond this host, and nothing translates it on this interface.
    NotTranslated {
        /// The interface.
        out: String,
    },
}

impl fmt::Display for Beyond {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "";
        for (destination, obstacle) in &self.obstacles {
            write!(f, "{between}{destination}: ")?;
            match obstacle {
                Obstacle::NotForwarding => f.write_str("this host does not pass packets on")?,
                Obstacle::NoRoute { .. } => f.write_str("no route")?,
                Obstacle::Rule(rule) => write!(f, "dropped by {rule}")?,
                Obstacle::NotTranslated { out } => write!(f, "not translated on {out}")?,
            }
            between = "; ";
        }
        for server in &self.silent {
            write!(f, "{between}name server {server} does not answer us either")?;
            between = "; ";
        }
        if let Some(why) = &self.no_rules {
            write!(f, "{between}the packet filter's rules are not known: {why}")?;
            between = "; ";
        }
        if between.is_empty() {
            f.write_str("nothing of this host's stands between")
        } else {
            Ok(())
        }
    }
}

/// Asks the kernel, reads rules, and asks name servers that are among the destinations.
///
/// # Errors
///
/// When the kernel does not tell of interfaces and routes.
pub(crate) fn look(question: &Question) -> io::Result<Beyond> {
    let failed = |error: sys::netlink::Error| io::Error::other(error.to_string());
    let mut netlink = Netlink::open()?;
    let interfaces = netlink.interfaces().map_err(failed)?;
    let tunnel = interfaces.iter().find(|it| it.name == question.interface);
    let Some(tunnel) = tunnel.map(|interface| interface.index) else {
        return Ok(Beyond::default());
    };
    let (rules, no_rules) = match firewall_rules() {
        Ok(rules) => (Some(rules), None),
        Err(error) => (None, Some(error)),
    };
    let mut found = Beyond { no_rules, ..Beyond::default() };
    for destination in &question.destinations {
        let obstacle = match netlink.way(*destination, Some((question.client, tunnel))) {
            Ok(way) => on_the_way(question, *destination, way, &interfaces, rules.as_ref()),
            Err(error) => no_way(&mut netlink, error.kind()).map_err(failed)?,
        };
        found.obstacles.extend(obstacle.map(|obstacle| (*destination, obstacle)));
    }
    let asked = question.name_servers.iter().filter(|it| question.destinations.contains(it));
    let answers = ask_name_servers(&asked.copied().collect::<Vec<_>>());
    found.silent =
        answers.into_iter().filter(|it| it.1.is_err()).map(|(server, _)| server).collect();
    Ok(found)
}

/// Why the kernel has no way for a client's packet.
fn no_way(
    netlink: &mut Netlink,
    kind: io::ErrorKind,
) -> Result<Option<Obstacle>, sys::netlink::Error> {
    let forwards = sys::sysctl::read(sys::sysctl::IPV4_FORWARDING).is_ok_and(|it| it == "1");
    if !forwards {
        return Ok(Some(Obstacle::NotForwarding));
    }
    let refusals = [
        io::ErrorKind::NetworkUnreachable,
        io::ErrorKind::HostUnreachable,
        io::ErrorKind::PermissionDenied,
        io::ErrorKind::InvalidInput,
    ];
    if !refusals.contains(&kind) {
        return Ok(None);
    }
    let routes = netlink.routes()?;
    let has_default = routes.iter().any(|it| it.prefix_len == 0 && it.destination.is_ipv4());
    Ok(Some(Obstacle::NoRoute { has_default }))
}

/// What happens to a client's packet on a way that there is.
fn on_the_way(
    question: &Question,
    destination: Ipv4Addr,
    way: Way,
    interfaces: &[Interface],
    rules: Option<&Ruleset>,
) -> Option<Obstacle> {
    let out = interfaces.iter().find(|it| Some(it.index) == way.interface);
    let out = out.map(|interface| interface.name.clone()).unwrap_or_default();
    let there = Packet {
        source: Some(question.client),
        destination: Some(destination),
        input: question.interface.clone(),
        output: if way.is_local { String::new() } else { out.clone() },
        ..Packet::default()
    };
    let back = Packet {
        source: Some(destination),
        destination: Some(question.client),
        input: out.clone(),
        output: question.interface.clone(),
        established: true,
        ..Packet::default()
    };
    let rules = rules?;
    let dropped = match way.is_local {
        true => all_dropped(rules, &there, &IN),
        false => {
            all_dropped(rules, &there, &THROUGH).or_else(|| all_dropped(rules, &back, &THROUGH))
        }
    };
    if let Some(Blame { table, rule, .. }) = dropped {
        let text = format!("{rule} in table {table}");
        return Some(Obstacle::Rule(text.replace(char::is_control, " ")));
    }
    let is_foreign = !way.is_local && !is_in_local_network(interfaces, question.client);
    let packet = Packet { protocol: TCP, ..there };
    (is_foreign && rules.translates(&packet) == Some(false))
        .then_some(Obstacle::NotTranslated { out })
}

/// The rule that drops a packet, whichever of the common protocols it is of.
fn all_dropped(rules: &Ruleset, packet: &Packet, hooks: &[Hook]) -> Option<Blame> {
    let mut blame = None;
    for protocol in [TCP, UDP, ICMP] {
        match rules.judge(&Packet { protocol, ..packet.clone() }, hooks) {
            Verdict::Drop(found) => blame = blame.or(Some(found)),
            Verdict::Pass | Verdict::Unclear(_) => return None,
        }
    }
    blame
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question() -> Question {
        Question {
            client: Ipv4Addr::new(172, 31, 9, 100),
            interface: "ppp0".into(),
            destinations: Vec::new(),
            name_servers: Vec::new(),
        }
    }

    fn way(rules: &str, is_local: bool) -> Option<Obstacle> {
        let rules = Ruleset::from_iptables(rules);
        let way = Way { is_local, ..Way::default() };
        on_the_way(&question(), Ipv4Addr::new(198, 51, 100, 1), way, &[], Some(&rules))
    }

    #[test]
    fn a_rule_counts_when_it_drops_whatever_the_client_sends() {
        let rule = |way| match way {
            Some(Obstacle::Rule(rule)) => rule,
            other => panic!("{other:?}"),
        };
        assert!(rule(way("*filter\n:FORWARD DROP [0:0]\n", false)).contains("policy"));
        let no_answers = "*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD -o ppp+ -j DROP\n";
        assert!(rule(way(no_answers, false)).contains("-o ppp+"));
        let one_port = "*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD -p tcp --dport 25 -j DROP\n";
        assert!(matches!(way(one_port, false), Some(Obstacle::NotTranslated { .. })));
        let own = "*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n-A INPUT -i ppp+ -j ACCEPT\n";
        assert_eq!(way(own, true), None);
    }

    #[test]
    fn an_address_that_is_translated_is_known_beyond() {
        let nat =
            "*nat\n:POSTROUTING ACCEPT [0:0]\n-A POSTROUTING -s 172.31.9.0/24 -j MASQUERADE\n";
        assert_eq!(way(nat, false), None);
    }

    #[test]
    fn what_was_found_is_told_on_one_line() {
        let mut found = Beyond::default();
        assert_eq!(found.to_string(), "nothing of this host's stands between");
        let there = Ipv4Addr::new(198, 51, 100, 1);
        found.obstacles.push((there, Obstacle::NoRoute { has_default: true }));
        found.silent.push(there);
        assert_eq!(
            found.to_string(),
            "198.51.100.1: no route; name server 198.51.100.1 does not answer us either"
        );
    }
}
