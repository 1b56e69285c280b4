//! What a session needs of this host: its interface, its addresses, and somebody who answers ARP for the peer.

mod journal;

use std::cell::RefCell;
use std::io;
use std::net::Ipv4Addr;
use std::path::Path;
use std::rc::Rc;

use engine::ppp::{Ipv4Agreed, NetworkPermit};
use sys::netlink::{Error, Netlink, proxy_arp_interface};
use sys::tun::Tun;

pub use journal::{Change, Journal};

use crate::event::{Bus, Event, Source};

/// Our hands on this host.
#[derive(Debug)]
pub struct Host {
    netlink: RefCell<Netlink>,
    journal: Journal,
}

impl Host {
    /// Takes hold of the host, and undoes what an earlier process left behind.
    ///
    /// # Errors
    ///
    /// When netlink or the state directory cannot be used.
    pub fn open(state_dir: &Path, bus: &Bus) -> io::Result<Self> {
        let host =
            Self { netlink: RefCell::new(Netlink::open()?), journal: Journal::open(state_dir)? };
        for change in host.journal.leftovers()? {
            host.undo(&change);
            bus.server(Event::LeftoverUndone(change.to_string()));
        }
        Ok(host)
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
            Change::Sysctl { path, before } => {
                let _ = sys::sysctl::write(path, before);
            }
            Change::NftTable { family, name } => {
                let _ = sys::nft::delete_table(family, name);
            }
        }
        self.journal.strike(change);
    }
}

/// A session's interface. Dropping it takes proxy ARP back; the interface itself goes when the worker, too, has let go of its TUN.
#[derive(Debug)]
pub struct Interface {
    host: Rc<Host>,
    name: String,
    index: u32,
    ipv4: Option<Ipv4Agreed>,
    ipv6: bool,
    mtu: u16,
    proxy: Option<Change>,
}

impl Interface {
    /// Makes a TUN named after `pattern`, for the worker that carries the session, and sets it up as the permit says, with proxy ARP for the peer if asked.
    ///
    /// # Errors
    ///
    /// What the kernel refused, as text.
    pub fn open(
        host: &Rc<Host>,
        pattern: &str,
        proxy_arp: bool,
        permit: &NetworkPermit,
        source: &Source,
    ) -> Result<(Self, Tun), String> {
        let tun = Tun::create(pattern).map_err(|error| error.to_string())?;
        let mut interface = Self {
            host: host.clone(),
            name: tun.name().to_owned(),
            index: tun.index(),
            ipv4: None,
            ipv6: false,
            mtu: 0,
            proxy: None,
        };
        // The only link-local address is to be the one that IPV6CP agrees on. Without IPv6 in the kernel there is none anyway.
        let _ = host.netlink.borrow_mut().disable_address_generation(interface.index);
        interface.update(permit).map_err(|error| error.to_string())?;
        let (name, mtu) = (interface.name.clone(), permit.mtu());
        source.publish(Event::InterfaceUp { name, mtu });
        if let (true, Some(ipv4)) = (proxy_arp, permit.ipv4()) {
            interface.answer_arp(ipv4.remote, source);
        }
        Ok((interface, tun))
    }

    /// Follows a change of what was agreed.
    ///
    /// # Errors
    ///
    /// What the kernel refused.
    pub fn update(&mut self, permit: &NetworkPermit) -> Result<(), Error> {
        let index = self.index;
        let mut netlink = self.host.netlink.borrow_mut();
        if permit.mtu() != self.mtu {
            netlink.set_mtu(index, u32::from(permit.mtu()))?;
        }
        if self.mtu == 0 {
            netlink.set_up(index, true)?;
        }
        self.mtu = permit.mtu();
        if let (Some(new), None) = (permit.ipv4(), self.ipv4) {
            netlink.add_peer_address(index, new.local, new.remote)?;
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
        let mut route = sys::netlink::Route::to(destination, prefix_len);
        route.interface = Some(self.index);
        self.host.netlink.borrow_mut().add_route(&route)
    }

    fn answer_arp(&mut self, address: Ipv4Addr, source: &Source) {
        let interfaces = self.host.netlink.borrow_mut().interfaces();
        let found = match &interfaces {
            Ok(interfaces) => proxy_arp_interface(interfaces, address),
            Err(_) => None,
        };
        let Some(found) = found else { return source.publish(Event::NoProxyArpInterface) };
        let change = Change::ProxyArp { interface: found.name.clone(), address };
        let made = self.host.make(&change, |netlink| {
            match netlink.add_proxy_neighbour(found.index, address) {
                Err(error) if !error.already_exists() => Err(io::Error::other(error.to_string())),
                _ => Ok(()),
            }
        });
        match made {
            Ok(()) => {
                source.publish(Event::ProxyArp { interface: found.name.clone() });
                self.proxy = Some(change);
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
        if let Some(change) = self.proxy.take() {
            self.host.undo(&change);
        }
        // The peer's address must be free for the next session at once, not when the worker lets go of the TUN.
        if let Some(ipv4) = self.ipv4 {
            let _ = self.host.netlink.borrow_mut().delete_peer_address(
                self.index,
                ipv4.local,
                ipv4.remote,
            );
        }
    }
}
