//! Which way GRE packets take past this host's network stack, and whether anything is passed by there that matters.

use std::net::{IpAddr, Ipv4Addr};

use config::{Fragments, PacketIo, Packets, Tos};
use dataplane::{FragmentPolicy, GrePath, IoMode, Opened, TosPolicy};
use sys::netlink::{Interface, Netlink};

use crate::doctor::firewall::{GRE, Hook, Packet, Ruleset, Verdict};
use crate::doctor::firewall_rules;

/// Priorities of the routing rules that every host has.
const USUAL_RULES: [u32; 3] = [0, 32_766, 32_767];

/// What is to be opened, and what is said about it.
#[derive(Debug, Default)]
pub(crate) struct Choice {
    io: PacketIo,
    interfaces: Vec<String>,
    /// Why it is not what was wanted.
    obstacle: Option<String>,
    /// What is passed by on purpose.
    remark: Option<String>,
}

impl Choice {
    /// What the settings want, unless something would be passed by unknowingly. `peer` is the one host that packets go to, if there is one only.
    pub(crate) fn of(packets: &Packets, vrf: Option<&str>, peer: Option<Ipv4Addr>) -> Self {
        if packets.io == PacketIo::Raw {
            return Self::default();
        }
        let mut choice =
            Self { io: packets.io, interfaces: packets.interfaces.clone(), ..Self::default() };
        choice.obstacle = choice.examine(vrf, peer).err();
        choice
    }

    /// What the workers are to open.
    pub(crate) fn path(&self) -> GrePath<'_> {
        match self.io {
            _ if self.obstacle.is_some() => GrePath::Raw,
            PacketIo::Raw => GrePath::Raw,
            PacketIo::Packet => GrePath::Packet,
            PacketIo::Xdp => GrePath::Xdp(&self.interfaces),
        }
    }

    /// One line about what became of it. `None`: raw sockets, as wanted.
    pub(crate) fn line(&self, opened: &Opened) -> Option<String> {
        let wanted = match self.io {
            PacketIo::Raw => return None,
            PacketIo::Packet => "AF_PACKET",
            PacketIo::Xdp => "AF_XDP",
        };
        let why = match (&self.obstacle, opened) {
            (Some(obstacle), _) => obstacle,
            (None, Opened::Refused(why)) => why,
            (None, opened) => {
                let remark = self.remark.as_deref().unwrap_or_default();
                return Some(format!(
                    "GRE packets go by {opened}, past this host's routing, packet filter, IPsec and traffic control{remark}"
                ));
            }
        };
        Some(format!("GRE packets go by raw sockets, not by {wanted}: {why}"))
    }

    /// Looks for what stands in the way, and which interfaces there are.
    fn examine(&mut self, vrf: Option<&str>, peer: Option<Ipv4Addr>) -> Result<(), String> {
        if let Some(vrf) = vrf {
            return Err(format!("the server is in the VRF {vrf:?}, which has routing of its own"));
        }
        let mut netlink = Netlink::open().map_err(|error| error.to_string())?;
        let rules = netlink.rule_priorities().map_err(|error| error.to_string())?;
        if rules != USUAL_RULES {
            return Err("this host has policy routing (ip rule), which would be passed by".into());
        }
        if sys::netlink::has_ipsec_policies().map_err(|error| error.to_string())? {
            return Err("this host has IPsec policies, which would be passed by".into());
        }
        let all = netlink.interfaces().map_err(|error| error.to_string())?;
        if self.interfaces.is_empty() && self.io == PacketIo::Xdp {
            self.interfaces = vec![outward(&mut netlink, &all, peer)?];
        }
        let chosen = |interface: &&Interface| match self.io {
            PacketIo::Xdp => self.interfaces.contains(&interface.name),
            _ => interface.is_up() && interface.is_ethernet(),
        };
        let rules = firewall_rules()
            .map_err(|error| format!("the packet filter's rules are not known ({error})"))?;
        for interface in all.iter().filter(chosen) {
            for address in interface.addresses.iter().map(|address| address.local) {
                let IpAddr::V4(address) = address else { continue };
                leaves_untouched(&rules, &interface.name, address, peer)?;
                if self.io == PacketIo::Xdp
                    && !comes_untouched(&rules, &interface.name, address, peer)
                {
                    self.remark = Some(
                        "; rules of its packet filter about GRE that comes are passed by".into(),
                    );
                }
            }
        }
        Ok(())
    }
}

/// The interface by which `peer`, or else most of the world, is reached.
fn outward(
    netlink: &mut Netlink,
    all: &[Interface],
    peer: Option<Ipv4Addr>,
) -> Result<String, String> {
    let index = match peer {
        Some(peer) => {
            let path = netlink.path_to(peer, Ipv4Addr::UNSPECIFIED);
            path.map_err(|error| error.to_string())?.map(|path| path.interface)
        }
        None => {
            let routes = netlink.routes().map_err(|error| error.to_string())?;
            let defaults =
                routes.iter().filter(|route| route.prefix_len == 0 && route.destination.is_ipv4());
            defaults.min_by_key(|route| route.metric.unwrap_or(0)).and_then(|route| route.interface)
        }
    };
    let found = all.iter().find(|interface| Some(interface.index) == index);
    found.map(|interface| interface.name.clone()).ok_or_else(|| {
        "there is no default route: name the interfaces ([dataplane] interfaces in gretel.toml)"
            .into()
    })
}

/// Whether the packet filter lets GRE from an address of ours leave as it is.
fn leaves_untouched(
    rules: &Ruleset,
    output: &str,
    source: Ipv4Addr,
    peer: Option<Ipv4Addr>,
) -> Result<(), String> {
    let packet = Packet {
        protocol: GRE,
        source: Some(source),
        destination: peer,
        output: output.to_owned(),
        established: true,
        ..Packet::default()
    };
    let rule =
        match rules.judge(&packet, &[Hook::Output, Hook::Postrouting]) {
            Verdict::Pass => match rules.translates(&packet) {
                Some(false) => return Ok(()),
                _ => return Err(
                    "the packet filter may translate the source of GRE, which would be passed by"
                        .into(),
                ),
            },
            Verdict::Drop(blame) | Verdict::Unclear(blame) => blame.rule,
        };
    Err(format!(
        "the packet filter has a rule for GRE that leaves, which would be passed by: {rule}"
    ))
}

/// Whether the packet filter lets GRE to an address of ours in.
fn comes_untouched(
    rules: &Ruleset,
    input: &str,
    destination: Ipv4Addr,
    peer: Option<Ipv4Addr>,
) -> bool {
    let packet = Packet {
        protocol: GRE,
        source: peer,
        destination: Some(destination),
        input: input.to_owned(),
        established: true,
        ..Packet::default()
    };
    rules.judge(&packet, &[Hook::Prerouting, Hook::Input]) == Verdict::Pass
}

/// How packets are moved. As the yardstick of benchmarks they are, in this process, encrypted by plain Rust too.
pub(crate) fn io_mode(is_naive: bool) -> IoMode {
    if !is_naive {
        return IoMode::Batched;
    }
    crypto::rc4::forgo_instructions();
    IoMode::Naive
}

/// What the settings say of the TOS.
pub(crate) fn tos(packets: &Packets) -> TosPolicy {
    match packets.tos {
        Tos::Clear => TosPolicy::Clear,
        Tos::Ecn => TosPolicy::Ecn,
        Tos::All => TosPolicy::All,
    }
}

/// What the settings say of fragments.
pub(crate) fn fragments(packets: &Packets) -> FragmentPolicy {
    match packets.fragments {
        Fragments::Allowed => FragmentPolicy::Allow,
        Fragments::Forbidden => FragmentPolicy::Forbid,
        Fragments::Copied => FragmentPolicy::Copy,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

    fn judged(rules: &str) -> Result<(), String> {
        leaves_untouched(&Ruleset::from_iptables(rules), "eth0", ADDRESS, None)
    }

    #[test]
    fn rules_that_gre_would_meet_on_its_way_out_stand_in_the_way() {
        assert_eq!(judged(""), Ok(()));
        assert_eq!(
            judged("*filter\n:OUTPUT ACCEPT [0:0]\n-A OUTPUT -p tcp -j DROP\nCOMMIT\n"),
            Ok(())
        );
        let drop = judged(
            "*filter\n:OUTPUT ACCEPT [0:0]\n-A OUTPUT -p gre -d 198.51.100.1 -j DROP\nCOMMIT\n",
        );
        assert!(drop.unwrap_err().contains("-p gre -d 198.51.100.1 -j DROP"));
        let translate = judged(
            "*nat\n:POSTROUTING ACCEPT [0:0]\n-A POSTROUTING -o eth0 -j MASQUERADE\nCOMMIT\n",
        );
        assert!(translate.unwrap_err().contains("translate"));
        // The tunnels' own.
        let tunnels = "*nat\n:POSTROUTING ACCEPT [0:0]\n-A POSTROUTING -s 192.168.77.0/24 -j MASQUERADE\nCOMMIT\n";
        assert_eq!(judged(tunnels), Ok(()));
    }

    #[test]
    fn one_line_says_what_became_of_it() {
        let choice = |obstacle: Option<&str>| Choice {
            io: PacketIo::Xdp,
            obstacle: obstacle.map(str::to_owned),
            ..Choice::default()
        };
        assert_eq!(Choice::default().line(&Opened::Raw), None);
        let used = choice(None).line(&Opened::Xdp(vec![("eth1".into(), true)])).unwrap();
        assert!(
            used.starts_with("GRE packets go by AF_XDP on eth1 (in its driver), past"),
            "{used}"
        );
        let obstacle = choice(Some("it rains"));
        assert_eq!(obstacle.path(), GrePath::Raw);
        assert_eq!(
            obstacle.line(&Opened::Raw).unwrap(),
            "GRE packets go by raw sockets, not by AF_XDP: it rains"
        );
        let refused = choice(None).line(&Opened::Refused("eth1: busy".into())).unwrap();
        assert_eq!(refused, "GRE packets go by raw sockets, not by AF_XDP: eth1: busy");
    }
}
