//! Tests with real interfaces, each in a network namespace of its own.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use std::os::fd::AsFd;

use super::*;
use crate::namespace;
use crate::tun::Tun;

const LOCAL: Ipv4Addr = Ipv4Addr::new(192, 168, 0, 1);
const REMOTE: Ipv4Addr = Ipv4Addr::new(192, 168, 0, 234);

/// Runs a test in a namespace, or says why not.
fn isolated(test: impl FnOnce(Netlink) + Send) {
    if let Err(error) = namespace::run_in_new(|| test(Netlink::open().unwrap())) {
        eprintln!("skipped: no network namespace: {error}");
    }
}

fn interface(netlink: &mut Netlink, index: u32) -> Interface {
    let mut interfaces = netlink.interfaces().unwrap();
    interfaces.retain(|interface| interface.index == index);
    interfaces.pop().unwrap()
}

#[test]
fn a_tun_gets_a_name_an_mtu_and_a_point_to_point_address_with_its_route() {
    isolated(|mut netlink| {
        let tun = Tun::create("ppp%d").unwrap();
        let index = tun.index();
        assert!(!interface(&mut netlink, index).is_up());
        netlink.rename(index, "ppp7").unwrap();
        netlink.set_mtu(index, 1396).unwrap();
        netlink.set_up(index, true).unwrap();
        netlink.add_peer_address(index, LOCAL, REMOTE).unwrap();

        let found = interface(&mut netlink, index);
        assert_eq!((found.name.as_str(), found.mtu, found.is_up()), ("ppp7", 1396, true));
        assert_eq!(netlink.index_of("ppp7").unwrap(), index);
        let address = found.addresses.iter().find(|address| address.local.is_ipv4()).unwrap();
        let expected =
            InterfaceAddress { local: LOCAL.into(), peer: Some(REMOTE.into()), prefix_len: 32 };
        assert_eq!(*address, expected);
        let routes = netlink.routes().unwrap();
        let route = routes.iter().find(|route| route.destination == IpAddr::from(REMOTE)).unwrap();
        assert_eq!((route.interface, route.prefix_len), (Some(index), 32));
        assert_eq!((route.source, route.protocol), (Some(LOCAL.into()), 2));

        assert!(netlink.add_peer_address(index, LOCAL, REMOTE).unwrap_err().already_exists());
        netlink.delete_peer_address(index, LOCAL, REMOTE).unwrap();
        assert!(netlink.delete_peer_address(index, LOCAL, REMOTE).unwrap_err().is_absent());
        assert!(netlink.routes().unwrap().iter().all(|it| it.destination != IpAddr::from(REMOTE)));
        netlink.set_up(index, false).unwrap();
        assert!(!interface(&mut netlink, index).is_up());
    });
}

#[test]
fn an_interface_has_just_the_link_local_address_it_was_given() {
    isolated(|mut netlink| {
        let tun = Tun::create("ppp%d").unwrap();
        netlink.disable_address_generation(tun.index()).unwrap();
        netlink.set_up(tun.index(), true).unwrap();
        netlink.add_link_local(tun.index(), [1, 2, 3, 4, 5, 6, 7, 8]).unwrap();
        let local = Ipv6Addr::new(0xfe80, 0, 0, 0, 0x102, 0x304, 0x506, 0x708).into();
        let expected = InterfaceAddress { local, peer: None, prefix_len: 64 };
        assert_eq!(interface(&mut netlink, tun.index()).addresses, [expected]);
    });
}

#[test]
fn proxy_arp_is_set_and_removed_on_the_interface_whose_subnet_holds_the_peer() {
    isolated(|mut netlink| {
        netlink.create_veth("lan0", "lan1", None).unwrap();
        let lan = netlink.index_of("lan0").unwrap();
        netlink.add_address(lan, LOCAL.into(), 24).unwrap();
        let interfaces = netlink.interfaces().unwrap();
        assert_eq!(proxy_arp_interface(&interfaces, REMOTE), None);
        netlink.set_up(lan, true).unwrap();
        let tun = Tun::create("ppp%d").unwrap();
        netlink.set_up(tun.index(), true).unwrap();
        netlink.add_peer_address(tun.index(), LOCAL, REMOTE).unwrap();

        let interfaces = netlink.interfaces().unwrap();
        assert_eq!(proxy_arp_interface(&interfaces, REMOTE).unwrap().index, lan);
        assert_eq!(proxy_arp_interface(&interfaces, Ipv4Addr::new(10, 0, 0, 1)), None);
        netlink.add_proxy_neighbour(lan, REMOTE).unwrap();
        netlink.add_proxy_neighbour(lan, REMOTE).unwrap();
        let expected = ProxyNeighbour { interface: lan, address: REMOTE, protocol: PROTOCOL };
        assert_eq!(netlink.proxy_neighbours().unwrap(), [expected]);
        netlink.delete_proxy_neighbour(lan, REMOTE).unwrap();
        assert_eq!(netlink.proxy_neighbours().unwrap(), []);
        assert!(netlink.delete_proxy_neighbour(lan, REMOTE).unwrap_err().is_absent());
    });
}

#[test]
fn routes_by_gateway_and_by_interface_are_added_and_deleted() {
    isolated(|mut netlink| {
        netlink.create_veth("lan0", "lan1", None).unwrap();
        let lan = netlink.index_of("lan0").unwrap();
        let lan1 = netlink.index_of("lan1").unwrap();
        netlink.add_address(lan, LOCAL.into(), 24).unwrap();
        netlink.set_up(lan, true).unwrap();
        netlink.set_up(lan1, true).unwrap();

        let by_gateway = Route {
            gateway: Some(Ipv4Addr::new(192, 168, 0, 2).into()),
            metric: Some(50),
            interface: Some(lan),
            ..Route::to(Ipv4Addr::UNSPECIFIED, 0)
        };
        let by_interface =
            Route { interface: Some(lan), ..Route::to(Ipv4Addr::new(10, 20, 0, 0), 16) };
        for route in [by_gateway, by_interface] {
            netlink.add_route(&route).unwrap();
            assert!(netlink.add_route(&route).unwrap_err().already_exists());
            assert!(netlink.routes().unwrap().contains(&route), "{route}");
        }
        for route in [by_gateway, by_interface] {
            netlink.delete_route(&route).unwrap();
            assert!(netlink.delete_route(&route).unwrap_err().is_absent());
        }
        assert!(netlink.routes().unwrap().iter().all(|route| route.protocol != PROTOCOL));
    });
}

#[test]
fn errors_say_what_was_tried_and_why_the_kernel_refused() {
    isolated(|mut netlink| {
        let error = netlink.set_up(4711, true).unwrap_err();
        assert!(error.is_absent());
        assert!(error.to_string().starts_with("cannot bring interface 4711 up: "), "{error}");

        let loopback = netlink.index_of("lo").unwrap();
        let unreachable = Route {
            gateway: Some(Ipv4Addr::new(203, 0, 113, 1).into()),
            interface: Some(loopback),
            ..Route::to(Ipv4Addr::new(10, 0, 0, 0), 8)
        };
        let error = netlink.add_route(&unreachable).unwrap_err();
        assert!(error.to_string().contains("(Nexthop has invalid gateway)"), "{error}");
        assert!(netlink.index_of("nothing").unwrap_err().is_absent());
    });
}

#[test]
fn a_long_list_comes_whole() {
    isolated(|mut netlink| {
        let loopback = netlink.index_of("lo").unwrap();
        let route = |number: u32| Route {
            interface: Some(loopback),
            ..Route::to(Ipv4Addr::from_bits(0x0a00_0000 + number), 32)
        };
        for number in 0..2000 {
            netlink.add_route(&route(number)).unwrap();
        }
        let routes = netlink.routes().unwrap();
        assert_eq!(routes.iter().filter(|route| route.protocol == PROTOCOL).count(), 2000);
    });
}

#[test]
fn a_veth_can_reach_into_another_namespace_and_be_deleted() {
    isolated(|mut netlink| {
        let here = namespace::current().unwrap();
        namespace::run_in_new(|| {
            let mut inner = Netlink::open().unwrap();
            inner.create_veth("eth0", "outer0", Some(here.as_fd())).unwrap();
            assert!(inner.index_of("outer0").unwrap_err().is_absent());
        })
        .unwrap();
        namespace::enter(&here).unwrap();
        // The namespace that has ended takes its interfaces along, in its own time.
        if let Ok(index) = netlink.index_of("outer0")
            && let Err(error) = netlink.delete_link(index)
        {
            assert!(error.is_absent(), "{error}");
        }
        netlink.create_veth("one", "two", None).unwrap();
        let one = netlink.index_of("one").unwrap();
        netlink.delete_link(one).unwrap();
        assert!(netlink.index_of("two").unwrap_err().is_absent());
    });
}

#[test]
fn messages_that_are_cut_short_end_the_datagram() {
    let mut datagram = Vec::new();
    for sequence in 0..3u32 {
        datagram.extend_from_slice(&18u32.to_ne_bytes());
        datagram.extend_from_slice(&[2, 0, 0, 0]);
        datagram.extend_from_slice(&sequence.to_ne_bytes());
        datagram.extend_from_slice(&[0; 8]);
    }
    assert_eq!(messages(&datagram).map(|answer| answer.sequence).collect::<Vec<_>>(), [0, 1, 2]);
    for len in 0..datagram.len() {
        assert!(messages(&datagram[..len]).count() <= 3);
    }
    assert_eq!(messages(&[0; 64]).count(), 0);
}

#[test]
fn the_next_hop_is_the_peer_or_its_gateway_and_changes_are_told() {
    isolated(|mut netlink| {
        netlink.create_veth("eth0", "eth1", None).unwrap();
        let interface = netlink.index_of("eth0").unwrap();
        let (local, peer) = (Ipv4Addr::new(10, 9, 0, 1), Ipv4Addr::new(10, 9, 0, 2));
        let changes = Changes::open().unwrap();
        assert!(!changes.take());
        netlink.add_address(interface, local.into(), 24).unwrap();
        netlink.set_up(interface, true).unwrap();
        assert!(changes.take() && !changes.take());
        let path = Path { interface, next: peer, mtu: None };
        assert_eq!(netlink.path_to(peer, local).unwrap(), Some(path));
        assert_eq!(netlink.path_to(peer, Ipv4Addr::UNSPECIFIED).unwrap(), Some(path));
        let far = Ipv4Addr::new(203, 0, 113, 1);
        assert_eq!(netlink.path_to(far, local).unwrap(), None);
        let gateway = Some(peer.into());
        let route = Route { gateway, ..Route::to(Ipv4Addr::UNSPECIFIED, 0) };
        netlink.add_route(&route).unwrap();
        assert!(changes.take());
        assert_eq!(netlink.path_to(far, local).unwrap(), Some(path));
        // This host itself.
        assert_eq!(netlink.path_to(local, local).unwrap(), None);
        assert_eq!(netlink.neighbours().unwrap(), []);
        assert_eq!(netlink.rule_priorities().unwrap(), [0, 32766, 32767]);
        assert!(!has_ipsec_policies().unwrap());
    });
}

/// Messages that netlink sockets of this namespace have lost.
fn lost_messages() -> u64 {
    let table = std::fs::read_to_string("/proc/thread-self/net/netlink").unwrap();
    let column = table.lines().next().unwrap().split_whitespace().position(|name| name == "Drops");
    let lost = |line: &str| line.split_whitespace().nth(column.unwrap()).unwrap().parse::<u64>();
    table.lines().skip(1).map(|line| lost(line).unwrap()).sum()
}

#[test]
fn news_that_the_kernel_dropped_count_as_news_and_later_ones_come_again() {
    isolated(|mut netlink| {
        netlink.create_veth("eth0", "eth1", None).unwrap();
        let interface = netlink.index_of("eth0").unwrap();
        let changes = Changes::open().unwrap();
        let before = lost_messages();
        // Nobody reads: the socket's queue overruns (ENOBUFS).
        for _ in 0..5000 {
            netlink.add_peer_address(interface, LOCAL, REMOTE).unwrap();
            netlink.delete_peer_address(interface, LOCAL, REMOTE).unwrap();
        }
        assert!(lost_messages() > before, "nothing was lost");
        assert!(changes.take(), "what was lost is not told");
        assert!(!changes.take());
        netlink.add_peer_address(interface, LOCAL, REMOTE).unwrap();
        assert!(changes.take(), "nothing is told any more");
    });
}
