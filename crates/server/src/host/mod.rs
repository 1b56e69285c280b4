//! What a session needs of this host: its interface, its addresses, and somebody who answers ARP for the peer.

mod journal;
mod marks;
mod prefixes;
mod records;
mod shared;
mod wtmpdb;

use std::cell::{Cell, RefCell};
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::rc::Rc;

use engine::ppp::{Ipv4Agreed, NetworkPermit};
use sys::netlink::{Error, Netlink, PROTOCOL, Route, proxy_arp_interface};
use sys::tun::{Offloads, Tun};

pub use journal::{Change, Journal};
pub(crate) use marks::Mark;
pub use records::Wtmp;
pub use shared::SharedInterface;
pub(crate) use wtmpdb::Writer as WtmpdbWriter;

use crate::event::{Bus, Event, Source};
use crate::helper::Helper;
use marks::Marker;

const NO_OFFLOADS: &str = "the kernel refuses offloads on TUN interfaces: every packet costs a system call of its own, so that throughput is about a \
    half of what it could be; a newer kernel has them";

/// Our hands on this host.
#[derive(Debug)]
pub struct Host {
    netlink: RefCell<Netlink>,
    journal: Journal,
    marker: RefCell<Marker>,
    /// Whether it has been said that this kernel's interfaces have no offloads.
    has_told_of_offloads: Cell<bool>,
}

impl Host {
    /// Takes hold of the host, and undoes what an earlier process left behind.
    ///
    /// # Errors
    ///
    /// When netlink or the state directory cannot be used.
    pub fn open(state_dir: &Path, bus: &Bus) -> io::Result<Self> {
        let host = Self::take_hold(state_dir)?;
        host.undo_leftovers(bus)?;
        Ok(host)
    }

    /// Takes hold of the host, whatever an earlier process left behind.
    ///
    /// # Errors
    ///
    /// When netlink or the state directory cannot be used.
    pub fn take_hold(state_dir: &Path) -> io::Result<Self> {
        Ok(Self {
            netlink: RefCell::new(Netlink::open()?),
            journal: Journal::open(state_dir)?,
            marker: RefCell::default(),
            has_told_of_offloads: Cell::new(false),
        })
    }

    /// Has the helper write what other tools look for, as this process may not. Wants a `LocalSet` around it.
    pub(crate) fn mark_by(&self, helper: Helper, bus: Bus) {
        self.marker.replace(Marker::helper(helper, bus));
    }

    /// Undoes what an earlier process left behind.
    ///
    /// # Errors
    ///
    /// When the notes cannot be read.
    pub fn undo_leftovers(&self, bus: &Bus) -> io::Result<()> {
        for change in self.journal.leftovers()? {
            self.undo(&change);
            bus.server(Event::LeftoverUndone(change.to_string()));
        }
        Ok(())
    }

    /// Notes a change and makes it.
    ///
    /// # Errors
    ///
    /// When it cannot be noted, or `make` fails; then it is as if nothing had been tried.
    pub fn make(
        &self,
        change: &Change,
        make: impl FnOnce(&mut Netlink) -> io::Result<()>,
    ) -> io::Result<()> {
        self.journal.note(change)?;
        let made = make(&mut self.netlink.borrow_mut());
        if made.is_err() {
            self.journal.strike(change);
        }
        made
    }

    /// Undoes a change and strikes it out. What is gone already is as good as undone.
    pub fn undo(&self, change: &Change) {
        match change {
            Change::ProxyArp { interface, address } => {
                let mut netlink = self.netlink.borrow_mut();
                if let Ok(index) = netlink.index_of(interface) {
                    let _ = netlink.delete_proxy_neighbour(index, *address);
                }
            }
            Change::ProxyArpRun { interface, first, last } => {
                let mut netlink = self.netlink.borrow_mut();
                if let Ok(index) = netlink.index_of(interface) {
                    for entry in netlink.proxy_neighbours().unwrap_or_default() {
                        // Before Linux 5.0 nobody knows whose it is.
                        if entry.interface == index
                            && (*first..=*last).contains(&entry.address)
                            && [0, PROTOCOL].contains(&entry.protocol)
                        {
                            let _ = netlink.delete_proxy_neighbour(index, entry.address);
                        }
                    }
                }
            }
            Change::HostRoute { destination, interface } => {
                let mut netlink = self.netlink.borrow_mut();
                if let Ok(index) = netlink.index_of(interface) {
                    let mut route = Route::to(*destination, 32);
                    route.interface = Some(index);
                    let _ = netlink.delete_route(&route);
                }
            }
            Change::Sysctl { path, before } => {
                let _ = sys::sysctl::write(path, before);
            }
            Change::NftTable { family, name } => {
                let _ = sys::nft::delete_table(family, name);
            }
            Change::File { path } => {
                let _ = self.mark(Mark::File { path: path.clone(), text: None });
            }
            // Nobody is there to hear of it when the file has gone.
            Change::Login { line, file } => drop(self.mark(Mark::login(file, line, None))),
        }
        self.journal.strike(change);
    }
}

impl Host {
    /// Keeps the way to `destination` where it is now, whatever routes come later: a client's own GRE packets must not go into its
    /// tunnel. Gives what was changed, if anything was.
    ///
    /// # Errors
    ///
    /// When there is no way to it, or the kernel refuses the route.
    pub fn pin_route(&self, destination: Ipv4Addr) -> io::Result<Option<Change>> {
        let (route, interface) = {
            let mut netlink = self.netlink.borrow_mut();
            let failed = |error: Error| io::Error::other(error.to_string());
            let routes = netlink.routes().map_err(failed)?;
            let Some(way) = best_route(&routes, destination) else { return Ok(None) };
            let interfaces = netlink.interfaces().map_err(failed)?;
            let found = interfaces.into_iter().find(|it| Some(it.index) == way.interface);
            let Some(interface) = found else { return Ok(None) };
            let mut route = Route::to(destination, 32);
            (route.gateway, route.interface) = (way.gateway, way.interface);
            (route, interface.name)
        };
        let change = Change::HostRoute { destination, interface };
        let mut existed = false;
        self.make(&change, |netlink| match netlink.add_route(&route) {
            Err(error) if error.already_exists() => {
                existed = true;
                Ok(())
            }
            Err(error) => Err(io::Error::other(error.to_string())),
            Ok(()) => Ok(()),
        })?;
        if existed {
            self.journal.strike(&change);
            return Ok(None);
        }
        Ok(Some(change))
    }
}

/// The route that the kernel's main table has for an address: the longest prefix, of equal ones the lowest metric.
fn best_route(routes: &[Route], destination: Ipv4Addr) -> Option<&Route> {
    let holds = |route: &&Route| match route.destination {
        IpAddr::V4(first) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(route.prefix_len)).unwrap_or(0);
            u32::from(first) & mask == u32::from(destination) & mask
        }
        IpAddr::V6(_) => false,
    };
    let main = Route::to(destination, 32).table;
    routes
        .iter()
        .filter(|route| route.table == main && holds(route))
        .max_by_key(|route| (route.prefix_len, std::cmp::Reverse(route.metric.unwrap_or(0))))
}

/// A session's interface, or its part of the shared one. Dropping it takes proxy ARP back; an interface of its own goes when the worker, too,
/// has let go of its TUN.
#[derive(Debug)]
pub struct Interface {
    host: Rc<Host>,
    shared: Option<Rc<SharedInterface>>,
    name: Rc<str>,
    index: u32,
    ipv4: Option<Ipv4Agreed>,
    ipv6: bool,
    mtu: u16,
    raised: bool,
    /// The peer's address outside the tunnel, where that matters.
    outside: Option<Ipv4Addr>,
    /// Whether ARP is to be answered for the peer, once it has an IPv4 address.
    proxy_wanted: bool,
    proxy: Option<Box<Change>>,
    /// What goes with the interface.
    changes: Vec<Change>,
}

impl Interface {
    /// Makes a TUN for a client whose server is at `outside`.
    ///
    /// # Errors
    ///
    /// What the kernel refused, as text.
    pub fn open_client(
        host: &Rc<Host>,
        pattern: &str,
        permit: &NetworkPermit,
        source: &Source,
        outside: Ipv4Addr,
    ) -> Result<(Self, Tun), String> {
        let (mut interface, tun) =
            Self::create_with(host, pattern, source, Some(outside)).map_err(|e| e.to_string())?;
        interface.update(permit).map_err(|error| error.to_string())?;
        interface.raise(source).map_err(|error| error.to_string())?;
        Ok((interface, tun))
    }

    /// Makes a TUN named `preferred` if nobody has that name, else after `pattern`, for the worker that carries the session. It has no addresses until
    /// [`update`](Self::update), and is down until [`raise`](Self::raise), which also answers ARP for the peer, if asked.
    ///
    /// # Errors
    ///
    /// What the kernel refused.
    pub fn create(
        host: &Rc<Host>,
        preferred: Option<&str>,
        pattern: &str,
        proxy_arp: bool,
        source: &Source,
    ) -> io::Result<(Self, Tun)> {
        let is_free = |name: &&str| host.netlink.borrow_mut().index_of(name).is_err();
        let pattern = preferred.filter(is_free).unwrap_or(pattern);
        let (mut interface, tun) = Self::create_with(host, pattern, source, None)?;
        interface.proxy_wanted = proxy_arp;
        Ok((interface, tun))
    }

    /// A session's part of the shared interface.
    pub fn join(shared: &Rc<SharedInterface>, proxy_arp: bool, source: &Source) -> Self {
        let mut interface = Self::new(shared.host(), shared.name().clone(), shared.index());
        interface.shared = Some(shared.clone());
        interface.proxy_wanted = proxy_arp;
        source.publish(Event::InterfaceMade { name: interface.name.to_string() });
        interface
    }

    fn new(host: &Rc<Host>, name: Rc<str>, index: u32) -> Self {
        Self {
            host: host.clone(),
            shared: None,
            name,
            index,
            ipv4: None,
            ipv6: false,
            mtu: 0,
            raised: false,
            outside: None,
            proxy_wanted: false,
            proxy: None,
            changes: Vec::new(),
        }
    }

    /// Brings the interface up, unless it is, and answers ARP for the peer as soon as it has an IPv4 address.
    ///
    /// # Errors
    ///
    /// What the kernel refused.
    pub fn raise(&mut self, source: &Source) -> Result<(), Error> {
        if !self.raised {
            if self.shared.is_none() {
                self.host.netlink.borrow_mut().set_up(self.index, true)?;
            }
            self.raised = true;
            source.publish(Event::InterfaceUp { name: self.name.to_string(), mtu: self.mtu });
        }
        self.answer_arp(source);
        Ok(())
    }

    fn create_with(
        host: &Rc<Host>,
        pattern: &str,
        source: &Source,
        outside: Option<Ipv4Addr>,
    ) -> io::Result<(Self, Tun)> {
        let tun = Tun::create(pattern)?;
        if tun.offloads() == Offloads::default() && !host.has_told_of_offloads.replace(true) {
            source.publish(Event::Diagnostic(NO_OFFLOADS.to_owned()));
        }
        let mut interface = Self::new(host, tun.name().into(), tun.index());
        interface.outside = outside;
        // The only link-local address is to be the one that IPV6CP agrees on. Without IPv6 in the kernel there is none anyway.
        let _ = host.netlink.borrow_mut().disable_address_generation(interface.index);
        source.publish(Event::InterfaceMade { name: interface.name.to_string() });
        Ok((interface, tun))
    }

    /// Follows what was agreed, at first and whenever it changes.
    ///
    /// # Errors
    ///
    /// What the kernel refused.
    pub fn update(&mut self, permit: &NetworkPermit) -> Result<(), Error> {
        if let Some(shared) = &self.shared {
            // The worker keeps to the session's MTU.
            self.mtu = permit.mtu();
            if let (Some(new), None) = (permit.ipv4(), self.ipv4) {
                shared.hold(new)?;
                self.ipv4 = Some(new);
            }
            return Ok(());
        }
        let index = self.index;
        let mut netlink = self.host.netlink.borrow_mut();
        if permit.mtu() != self.mtu {
            netlink.set_mtu(index, u32::from(permit.mtu()))?;
        }
        self.mtu = permit.mtu();
        if let (Some(new), None) = (permit.ipv4(), self.ipv4) {
            if self.outside == Some(new.remote) {
                // The server gives its own outside address as the tunnel's other end. A route to it through the tunnel would send
                // the tunnel's own packets in there.
                netlink.add_address(index, new.local.into(), 32)?;
            } else {
                netlink.add_peer_address(index, new.local, new.remote)?;
            }
            self.ipv4 = Some(new);
        }
        if let (Some(new), false) = (permit.ipv6(), self.ipv6) {
            // A host without IPv6 still serves IPv4.
            let _ = netlink.add_link_local(index, new.local_id);
            self.ipv6 = true;
        }
        Ok(())
    }

    /// The interface's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Routes a network through the tunnel.
    ///
    /// # Errors
    ///
    /// What the kernel refused.
    pub fn add_route(&self, destination: Ipv4Addr, prefix_len: u8) -> Result<(), Error> {
        let mut route = Route::to(destination, prefix_len);
        route.interface = Some(self.index);
        self.host.netlink.borrow_mut().add_route(&route)
    }

    /// Answers ARP for the peer, if that is wanted, possible and not done yet.
    fn answer_arp(&mut self, source: &Source) {
        let Some(address) = self.ipv4.map(|ipv4| ipv4.remote) else { return };
        if !std::mem::take(&mut self.proxy_wanted) {
            return;
        }
        if let Some(interface) = self.shared.as_ref().and_then(|it| it.answered_on(address)) {
            return source.publish(Event::ProxyArp { interface });
        }
        let interfaces = self.host.netlink.borrow_mut().interfaces();
        let found = match &interfaces {
            Ok(interfaces) => proxy_arp_interface(interfaces, address),
            Err(_) => None,
        };
        let Some(found) = found else { return source.publish(Event::NoProxyArpInterface) };
        let change = Change::ProxyArp { interface: found.name.clone(), address };
        // Somebody else's entry does the same and is not ours to remove.
        let there = self.host.netlink.borrow_mut().proxy_neighbours().unwrap_or_default();
        if there.iter().any(|entry| {
            (entry.interface, entry.address) == (found.index, address) && entry.protocol != PROTOCOL
        }) {
            return source.publish(Event::ProxyArp { interface: found.name.clone() });
        }
        let made = self.host.make(&change, |netlink| {
            match netlink.add_proxy_neighbour(found.index, address) {
                Err(error) if !error.already_exists() => Err(io::Error::other(error.to_string())),
                _ => Ok(()),
            }
        });
        match made {
            Ok(()) => {
                source.publish(Event::ProxyArp { interface: found.name.clone() });
                self.proxy = Some(Box::new(change));
            }
            Err(error) => source.publish(Event::HostFailed {
                what: "answer ARP for the client",
                error: error.to_string(),
            }),
        }
    }
}

impl Drop for Interface {
    fn drop(&mut self) {
        let proxy = self.proxy.take().map(|change| *change);
        for change in proxy.into_iter().chain(self.changes.drain(..)) {
            self.host.undo(&change);
        }
        // The peer's address must be free for the next session at once, not when the worker lets go of the TUN.
        let Some(ipv4) = self.ipv4 else { return };
        if let Some(shared) = &self.shared {
            shared.let_go(ipv4);
        } else {
            let _ = self.host.netlink.borrow_mut().delete_peer_address(
                self.index,
                ipv4.local,
                ipv4.remote,
            );
        }
    }
}
