//! Each check with what makes it speak: made-up snapshots first, then faults that are really made, in namespaces.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, SystemTime};

use sys::namespace;
use sys::netlink::{Interface, InterfaceAddress, Netlink, Route};

use super::firewall::Ruleset;
use super::*;
use crate::files::Files;

const LAN: Ipv4Addr = Ipv4Addr::new(192, 168, 77, 1);
const GATEWAY: Ipv4Addr = Ipv4Addr::new(192, 168, 77, 254);
/// `IFF_UP | IFF_BROADCAST`
const UP: u32 = 0x3;

fn server() -> Process {
    Process { id: 7, name: "gretel".into() }
}

fn interface(index: u32, name: &str, address: Ipv4Addr) -> Interface {
    let address = InterfaceAddress { local: address.into(), peer: None, prefix_len: 24 };
    let (name, addresses) = (name.into(), vec![address]);
    Interface { index, name, mtu: 1500, flags: UP, link_type: 1, hardware: None, addresses }
}

fn default_route(interface: u32) -> Route {
    let mut route = Route::to(Ipv4Addr::UNSPECIFIED, 0);
    (route.gateway, route.interface) = (Some(GATEWAY.into()), Some(interface));
    route
}

/// A host on which nothing is wrong.
fn healthy() -> Snapshot {
    let listen = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 1723));
    let sysctls = [("net/ipv4/ip_forward", "1"), ("net/ipv4/conf/all/rp_filter", "0")];
    Snapshot {
        errors: Vec::new(),
        warnings: 0,
        tunnels: Some(Tunnels {
            sessions: 2,
            locals: vec![LAN],
            remotes: vec![Ipv4Addr::new(192, 168, 77, 100), Ipv4Addr::new(192, 168, 77, 101)],
            proxy_arp: true,
            name_servers: vec![LAN],
            mru: 1450,
            interface: "ppp0".into(),
        }),
        listen: vec![listen],
        listeners: vec![Listener { address: listen, process: Some(server()) }],
        servers: vec![server()],
        modules: vec!["nf_nat_pptp".into()],
        interfaces: vec![interface(2, "eth0", LAN)],
        routes: vec![default_route(2)],
        sysctls: sysctls.map(|(path, value)| (path.to_owned(), value.to_owned())).into(),
        firewall: Ok(Ruleset::default()),
        probes: Probes {
            gre_loop: Ok(true),
            reached: vec![(SocketAddr::from((LAN, 1723)), Ok(()))],
            name_servers: vec![(LAN, Ok(()))],
        },
        now: SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000),
        clock_is_kept: Some(true),
        files_limit: Some(1024),
        memory_available: Some(1 << 30),
    }
}

fn tunnels(seen: &mut Snapshot) -> &mut Tunnels {
    seen.tunnels.as_mut().unwrap()
}

fn iptables(rules: &str) -> Result<Ruleset, String> {
    Ok(Ruleset::from_iptables(&format!(
        "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n{rules}\nCOMMIT\n"
    )))
}

#[test]
fn a_healthy_host_has_nothing_but_fine_checks() {
    let checks = judge(&healthy());
    let other: Vec<_> = checks.iter().filter(|check| check.outcome != Outcome::Fine).collect();
    assert!(other.is_empty(), "{other:#?}");
    assert!(checks.len() >= 18, "{}", checks.len());
    let ids: BTreeMap<_, _> = checks.iter().map(|check| (check.id, ())).collect();
    assert_eq!(ids.len(), checks.len(), "an id is there twice");
    let page = include_str!("../../../../docs/doctor.md");
    for id in ids.keys() {
        assert!(page.contains(&format!("`{id}`")), "{id} is not in docs/doctor.md");
    }
}

/// A fault, the check that is to see it, the outcome, and words of what is said or to be typed.
type Case = (fn(&mut Snapshot), &'static str, Outcome, &'static str);

const CASES: &[Case] = &[
    (|it| it.errors.push("x: error: y".into()), "configuration", Outcome::Trouble, "gretel check"),
    (|it| it.probes.gre_loop = Err("denied".into()), "rights", Outcome::Trouble, "CAP_NET_RAW"),
    (|it| it.probes.gre_loop = Ok(false), "gre-loop", Outcome::Trouble, "lo"),
    (
        |it| {
            it.firewall = iptables(
                "-A INPUT -m state --state ESTABLISHED,RELATED -j ACCEPT\n-A INPUT -j DROP",
            )
        },
        "conntrack-helper",
        Outcome::Trouble,
        "nft insert rule",
    ),
    (
        |it| {
            it.firewall = iptables(
                "-A INPUT -m state --state ESTABLISHED,RELATED -j ACCEPT\n-A INPUT -p tcp --dport 1723 -j ACCEPT\n-A INPUT -j DROP",
            );
            it.modules.push("nf_conntrack_pptp".into());
            it.sysctls.insert("net/netfilter/nf_conntrack_helper".into(), "1".into());
        },
        "firewall-gre-in",
        Outcome::Fine,
        "no rule drops",
    ),
    (|it| it.listeners.clear(), "port", Outcome::Trouble, "enable --now gretel"),
    (
        |it| it.listeners[0].process = Some(Process { id: 9, name: "pptpd".into() }),
        "port",
        Outcome::Trouble,
        "disable --now pptpd",
    ),
    (|it| it.listeners[0].process = None, "port", Outcome::Unknown, "somebody"),
    (|it| it.probes.reached[0].1 = Err("refused".into()), "reachable", Outcome::Trouble, "refused"),
    (|it| it.probes.reached.clear(), "reachable", Outcome::Unknown, "nothing to try"),
    (
        |it| it.firewall = iptables("-A INPUT -p tcp --dport 1723 -j DROP"),
        "firewall-tcp",
        Outcome::Trouble,
        "iptables -t filter -I INPUT -p tcp --dport 1723 -j ACCEPT",
    ),
    (
        |it| it.firewall = iptables("-A OUTPUT -p tcp --sport 1723 -j DROP"),
        "firewall-tcp",
        Outcome::Trouble,
        "-I OUTPUT",
    ),
    (
        |it| it.firewall = iptables("-A INPUT -p gre -j DROP"),
        "firewall-gre-in",
        Outcome::Trouble,
        "-A INPUT -p gre -j DROP",
    ),
    (
        |it| it.firewall = iptables("-A OUTPUT -p 47 -j REJECT"),
        "firewall-gre-out",
        Outcome::Trouble,
        "-I OUTPUT -p gre -j ACCEPT",
    ),
    (
        |it| it.firewall = iptables("-A INPUT -m geoip --source-country XX -j DROP"),
        "firewall-gre-in",
        Outcome::Unknown,
        "geoip",
    ),
    (|it| it.firewall = Err("no nft".into()), "firewall-tcp", Outcome::Unknown, "no nft"),
    (
        |it| it.firewall = iptables("-A FORWARD -j DROP"),
        "forward-rules",
        Outcome::Trouble,
        "iptables -t filter -I FORWARD -i ppp+ -j ACCEPT",
    ),
    (
        |it| it.firewall = iptables("-A FORWARD -o ppp+ -j DROP"),
        "forward-rules",
        Outcome::Trouble,
        "answers to 192.168.77.100",
    ),
    (
        |it| drop(it.sysctls.insert("net/ipv4/ip_forward".into(), "0".into())),
        "forwarding",
        Outcome::Trouble,
        "sysctl -w net.ipv4.ip_forward=1",
    ),
    (|it| it.sysctls.clear(), "forwarding", Outcome::Unknown, "cannot be read"),
    (strict_with_two_ways_out, "reverse-path", Outcome::Trouble, "net.ipv4.conf.eth0.rp_filter=2"),
    (
        |it| drop(it.sysctls.insert("net/ipv4/conf/all/rp_filter".into(), "1".into())),
        "reverse-path",
        Outcome::Fine,
        "the only way out",
    ),
    (foreign_addresses, "nat", Outcome::Trouble, "masquerade"),
    (foreign_addresses, "proxy-arp", Outcome::Trouble, "10.8.0.1"),
    (
        |it| it.interfaces[0].addresses[0].local = IpAddr::from([192, 168, 77, 101]),
        "addresses",
        Outcome::Trouble,
        "192.168.77.101 is for clients, and eth0 has it",
    ),
    (
        |it| {
            let mut route = default_route(2);
            (route.destination, route.prefix_len) = (IpAddr::from([192, 168, 77, 96]), 27);
            it.routes.push(route);
        },
        "addresses",
        Outcome::Trouble,
        "192.168.77.96/27 is behind 192.168.77.254",
    ),
    (|it| it.interfaces[0].mtu = 1300, "mtu", Outcome::Trouble, "mtu 1260"),
    (|it| it.interfaces[0].mtu = 1490, "mtu", Outcome::Fine, "1490"),
    (|it| it.routes.clear(), "mtu", Outcome::Unknown, "no default route"),
    (
        |it| it.probes.name_servers[0].1 = Err("no answer".into()),
        "name-servers",
        Outcome::Trouble,
        "ms-dns",
    ),
    (|it| it.now = SystemTime::UNIX_EPOCH, "clock", Outcome::Trouble, "set-ntp"),
    (|it| it.clock_is_kept = Some(false), "clock", Outcome::Unknown, "set-ntp"),
    (|it| tunnels(it).sessions = 1000, "limits", Outcome::Trouble, "LimitNOFILE=3064"),
    (|it| it.memory_available = Some(1), "limits", Outcome::Trouble, "0 MiB are free"),
    (
        |it| it.servers.push(Process { id: 9, name: "accel-pppd".into() }),
        "others",
        Outcome::Trouble,
        "disable --now accel-pppd",
    ),
];

fn strict_with_two_ways_out(seen: &mut Snapshot) {
    seen.interfaces.push(interface(3, "eth1", Ipv4Addr::new(10, 0, 0, 1)));
    seen.routes.push(default_route(3));
    seen.sysctls.insert("net/ipv4/conf/eth0/rp_filter".into(), "1".into());
}

fn foreign_addresses(seen: &mut Snapshot) {
    tunnels(seen).remotes = vec![Ipv4Addr::new(10, 8, 0, 1), Ipv4Addr::new(10, 8, 0, 2)];
}

#[test]
fn each_fault_is_seen_by_the_check_that_asks_for_it() {
    for (number, (fault, id, outcome, words)) in CASES.iter().enumerate() {
        let mut seen = healthy();
        fault(&mut seen);
        let checks = judge(&seen);
        let check = checks.iter().find(|check| check.id == *id).unwrap();
        let said = format!("{} {}", check.seen, check.command.as_deref().unwrap_or_default());
        assert_eq!(check.outcome, *outcome, "case {number}, {id}: {said}");
        assert!(said.contains(words), "case {number}, {id}: {said}");
    }
}

#[test]
fn what_is_not_configured_yet_is_not_judged() {
    let mut seen = healthy();
    seen.tunnels = None;
    let checks = judge(&seen);
    assert!(checks.iter().all(|check| check.id != "nat" && check.id != "mtu"));
    assert_eq!(checks[0].outcome, Outcome::Unknown);
}

/// Files of a server whose clients have these addresses.
fn files(dir: &Path, remote: &str, more: &str) -> Files {
    let file = |name: &str, text: &str| {
        std::fs::write(dir.join(name), text).unwrap();
        dir.join(name)
    };
    let options = file("options", &format!("name pptpd\nrequire-mschap-v2\n{more}\n"));
    let conf = format!("option {}\nlocalip 192.168.77.1\nremoteip {remote}\n", options.display());
    let paths = config::Paths {
        pptpd_conf: file("pptpd.conf", &conf),
        ppp_options: dir.join("none"),
        chap_secrets: file("chap-secrets", "scott pptpd turquoise *\n"),
        pap_secrets: dir.join("none"),
        gretel_toml: dir.join("none"),
        command_line: Vec::new(),
    };
    let host_name = b"gate".to_vec();
    Files {
        paths,
        host_name,
        listen: None,
        prefer_stateful_mppe: false,
        packet_io: None,
        debug: false,
    }
}

/// In a network namespace with `eth0` as the way out; says so where there can be none.
fn on_a_host(test: impl FnOnce(&Path) + Send) {
    let outcome = namespace::run_in_new(|| {
        let this = namespace::current().unwrap();
        let mut netlink = Netlink::open().unwrap();
        netlink.create_veth("eth0", "far", Some(this.as_fd())).unwrap();
        for name in ["far", "eth0"] {
            let index = netlink.index_of(name).unwrap();
            netlink.set_up(index, true).unwrap();
        }
        let index = netlink.index_of("eth0").unwrap();
        netlink.add_address(index, LAN.into(), 24).unwrap();
        netlink.add_route(&default_route(index)).unwrap();
        sys::sysctl::write("net/ipv4/ip_forward", "1").unwrap();
        test(tempfile::tempdir().unwrap().path());
    });
    if let Err(error) = outcome {
        eprintln!("skipped: no network namespace: {error}");
    }
}

fn outcomes(files: &Files) -> (Vec<Check>, BTreeMap<&'static str, Outcome>) {
    let checks = judge(&Snapshot::take(files).unwrap());
    let outcomes = checks.iter().map(|check| (check.id, check.outcome)).collect();
    (checks, outcomes)
}

#[test]
fn a_real_host_without_a_fault_is_fine_and_each_fault_made_there_is_seen() {
    on_a_host(|dir| {
        let files = files(dir, "192.168.77.100-109", "proxyarp");
        // Listeners of the test itself are "another program".
        let listener = TcpListener::bind("0.0.0.0:1723").unwrap();
        let (checks, before) = outcomes(&files);
        let known = ["port", "clock", "others", "limits"];
        for check in checks.iter().filter(|check| !known.contains(&check.id)) {
            assert_eq!(check.outcome, Outcome::Fine, "{check:?}");
        }
        assert_eq!(before["port"], Outcome::Trouble);
        drop(listener);
        let fails = |id: &str| {
            let (checks, outcomes) = outcomes(&files);
            assert_eq!(outcomes[id], Outcome::Trouble, "{id}: {checks:#?}");
        };
        fails("port");
        for (chain, rule, id) in [
            ("input", "ip protocol gre drop", "firewall-gre-in"),
            ("output", "meta l4proto gre drop", "firewall-gre-out"),
            ("input", "tcp dport 1700-1800 drop", "firewall-tcp"),
            ("forward", "iifname \"ppp*\" drop", "forward-rules"),
        ] {
            let table = format!(
                "table inet t {{ chain c {{ type filter hook {chain} priority 0; {rule}; }}; }}\n"
            );
            sys::nft::apply(&table).unwrap();
            fails(id);
            sys::nft::delete_table("inet", "t").unwrap();
        }
        let mut netlink = Netlink::open().unwrap();
        let index = netlink.index_of("eth0").unwrap();
        netlink.set_mtu(index, 1300).unwrap();
        fails("mtu");
        netlink.set_mtu(index, 1500).unwrap();
        netlink.add_address(index, IpAddr::from([192, 168, 77, 100]), 24).unwrap();
        fails("addresses");
        let lo = netlink.index_of("lo").unwrap();
        netlink.set_up(lo, false).unwrap();
        fails("gre-loop");
    });
}

#[test]
fn what_is_fixed_is_fine_afterwards_and_back_again_after_that() {
    on_a_host(|dir| {
        let mut netlink = Netlink::open().unwrap();
        let this = namespace::current().unwrap();
        netlink.create_veth("eth1", "far1", Some(this.as_fd())).unwrap();
        let index = netlink.index_of("eth1").unwrap();
        netlink.set_up(index, true).unwrap();
        netlink.add_address(index, IpAddr::from([10, 1, 0, 1]), 24).unwrap();
        let mut second = default_route(index);
        (second.gateway, second.metric) = (Some(IpAddr::from([10, 1, 0, 254])), Some(50));
        netlink.add_route(&second).unwrap();
        sys::sysctl::write("net/ipv4/conf/all/rp_filter", "1").unwrap();
        sys::sysctl::write("net/ipv4/conf/eth0/rp_filter", "1").unwrap();
        sys::sysctl::write("net/ipv4/conf/eth1/rp_filter", "2").unwrap();
        sys::sysctl::write("net/ipv4/ip_forward", "0").unwrap();
        let files = files(dir, "10.8.0.2-9,10.8.0.20", "");
        let broken = ["forwarding", "nat", "reverse-path"];
        let (checks, outcomes_before) = outcomes(&files);
        for id in broken {
            assert_eq!(outcomes_before[id], Outcome::Trouble, "{id}: {checks:#?}");
        }
        let mut told = 0;
        fix(&checks, dir, |remedy, done| {
            told += 1;
            assert!(!matches!(done, Some(Err(_))), "{remedy}: {done:?}");
        })
        .unwrap();
        assert_eq!(told, 6);
        let (checks, fixed) = outcomes(&files);
        for id in broken {
            assert_eq!(fixed[id], Outcome::Fine, "{id}: {checks:#?}");
        }
        unfix(dir, |_| {}).unwrap();
        assert_eq!(outcomes(&files).1, outcomes_before);
        assert_eq!(sys::sysctl::read("net/ipv4/conf/eth0/rp_filter").unwrap(), "1");
    });
}
