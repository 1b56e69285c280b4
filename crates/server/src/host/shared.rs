//! The interface that all sessions share (`mode = "shared"`): made at the start with all that the sessions of the pool need, so that a session
//! touches nothing of the kernel's.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::io;
use std::net::Ipv4Addr;
use std::rc::Rc;

use engine::ppp::{Ipv4Agreed, MPPE_OVERHEAD, MppeNeed};
use sys::netlink::{Error, Netlink, PROTOCOL, Route, proxy_arp_interface};
use sys::tun::{Offloads, Tun};

use super::prefixes::{covering, runs};
use super::records::process_files;
use super::{Change, Host, NO_OFFLOADS};
use crate::event::{Bus, Event};
use crate::settings::Settings;

/// How many queues the interface has for each worker, so that a session whose packets fill one keeps few others waiting.
const QUEUES_PER_WORKER: usize = 16;

/// As many as an interface can have (`MAX_TAP_QUEUES` in Linux's `tun.c`).
const MOST_QUEUES: usize = 256;

/// An interface with queues for each worker. It exists as long as one of those; dropping this takes back what else there is.
pub struct SharedInterface {
    host: Rc<Host>,
    name: Rc<str>,
    index: u32,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    /// Our addresses.
    locals: BTreeSet<Ipv4Addr>,
    /// Clients' addresses that were in the pool at any time: they are routed here until the end.
    pool: BTreeSet<Ipv4Addr>,
    /// The routes for those.
    routes: HashSet<(Ipv4Addr, u8)>,
    /// Other addresses that sessions have, and how many sessions: two for a moment when one takes over.
    guests: HashMap<Ipv4Addr, usize>,
    /// Proxy ARP for addresses of the pool, and files.
    changes: Vec<Change>,
}

impl SharedInterface {
    /// Makes the interface and brings it up; then [`begin`](Self::begin) is wanted. Gives its queues: as many for each worker where the kernel puts
    /// packets into them by destination, else one.
    ///
    /// # Errors
    ///
    /// What the kernel refused.
    pub fn open(
        host: &Rc<Host>,
        settings: &Settings,
        workers: usize,
        bus: &Bus,
    ) -> io::Result<(Self, Vec<Tun>)> {
        let is_free = |name: &&str| host.netlink.borrow_mut().index_of(name).is_err();
        let preferred = settings.preferred_interface.as_deref().filter(is_free);
        let count = workers * (MOST_QUEUES / workers).clamp(1, QUEUES_PER_WORKER);
        let mut queues = Tun::create_queues(preferred.unwrap_or(&settings.interface), count)?;
        let unsteered = queues.first().and_then(|first| first.steer_by_destination(count).err());
        if unsteered.is_some() {
            queues.truncate(workers);
        }
        let unsteered = unsteered.filter(|_| workers > 1).map(|error| error.to_string());
        let first = queues.first().ok_or(io::ErrorKind::InvalidInput)?;
        if first.offloads() == Offloads::default() {
            bus.server(Event::Diagnostic(NO_OFFLOADS.to_owned()));
        }
        let (host, name, index) = (host.clone(), first.name().into(), first.index());
        let shared = Self { host, name, index, state: RefCell::default() };
        {
            let mut netlink = shared.host.netlink.borrow_mut();
            // Without IPv6 in the kernel there is no address anyway.
            let _ = netlink.disable_address_generation(index);
            netlink.set_mtu(index, u32::from(largest_mtu(settings))).map_err(other)?;
            netlink.set_up(index, true).map_err(other)?;
        }
        let (name, count) = (shared.name.to_string(), queues.len());
        bus.server(Event::SharedInterface { name, queues: count, unsteered });
        Ok((shared, queues))
    }

    /// Serves the pool. To be called when what an earlier process left has been undone: that looks the same.
    ///
    /// # Errors
    ///
    /// What the kernel refused.
    pub fn begin(&self, settings: &Settings, bus: &Bus) -> io::Result<()> {
        self.write_process_files(settings, bus);
        self.serve(settings, bus).map_err(other)
    }

    /// As settings change: adds what sessions with these settings need: our addresses, routes to those of clients, and ARP answered for them. What earlier settings
    /// needed stays, as sessions may have it.
    ///
    /// # Errors
    ///
    /// What the kernel refused.
    pub fn serve(&self, settings: &Settings, bus: &Bus) -> Result<(), Error> {
        let wanted = settings.slots.iter().map(|slot| slot.remote);
        let mut fresh: BTreeSet<Ipv4Addr> = wanted.filter(|it| !it.is_unspecified()).collect();
        let mut state = self.state.borrow_mut();
        for slot in settings.slots.iter() {
            self.add_local(&mut state, slot.local)?;
        }
        fresh.retain(|address| state.pool.insert(*address));
        self.route_pool(&mut state)?;
        if settings.proxy_arp {
            self.answer_arp(&mut state, &fresh, bus);
        }
        Ok(())
    }

    /// The host that it is on.
    pub(super) fn host(&self) -> &Rc<Host> {
        &self.host
    }

    /// The interface's name.
    pub(super) fn name(&self) -> &Rc<str> {
        &self.name
    }

    /// The interface's index.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// A session has these addresses now. Those that are not of the pool are added.
    ///
    /// # Errors
    ///
    /// What the kernel refused.
    pub(super) fn hold(&self, ipv4: Ipv4Agreed) -> Result<(), Error> {
        let mut state = self.state.borrow_mut();
        self.add_local(&mut state, ipv4.local)?;
        if state.pool.contains(&ipv4.remote) {
            return Ok(());
        }
        let sessions = state.guests.entry(ipv4.remote).or_default();
        *sessions += 1;
        if *sessions == 1 {
            let route = self.route((ipv4.remote, 32), Some(ipv4.local));
            unless_there(self.host.netlink.borrow_mut().add_route(&route))?;
        }
        Ok(())
    }

    /// A session no longer has these addresses.
    pub(super) fn let_go(&self, ipv4: Ipv4Agreed) {
        let mut state = self.state.borrow_mut();
        let Some(sessions) = state.guests.get_mut(&ipv4.remote) else { return };
        *sessions -= 1;
        if *sessions == 0 {
            state.guests.remove(&ipv4.remote);
            // An interface that is gone has taken its routes along.
            let route = self.route((ipv4.remote, 32), None);
            let _ = self.host.netlink.borrow_mut().delete_route(&route);
        }
    }

    /// The interface on which ARP is answered for an address of the pool.
    pub(super) fn answered_on(&self, address: Ipv4Addr) -> Option<String> {
        let state = self.state.borrow();
        state.changes.iter().find_map(|change| match change {
            Change::ProxyArpRun { interface, first, last } => {
                (*first..=*last).contains(&address).then(|| interface.clone())
            }
            _ => None,
        })
    }

    fn add_local(&self, state: &mut State, local: Ipv4Addr) -> Result<(), Error> {
        if !state.locals.contains(&local) {
            let mut netlink = self.host.netlink.borrow_mut();
            unless_there(netlink.add_address(self.index, local.into(), 32))?;
            state.locals.insert(local);
        }
        Ok(())
    }

    /// Changes the routes to those that the pool needs.
    fn route_pool(&self, state: &mut State) -> Result<(), Error> {
        let wanted: HashSet<_> = covering(state.pool.iter().copied()).into_iter().collect();
        // With several addresses of ours, no one is right for all sessions: the kernel takes the first.
        let local = state.locals.first().filter(|_| state.locals.len() == 1).copied();
        let mut netlink = self.host.netlink.borrow_mut();
        for prefix in &wanted {
            let added = netlink.add_route(&self.route(*prefix, local));
            if state.routes.contains(prefix) {
                // Routes go when somebody takes the interface down.
                unless_there(added)?;
            } else {
                added?;
            }
        }
        for prefix in state.routes.difference(&wanted) {
            let _ = netlink.delete_route(&self.route(*prefix, None));
        }
        state.routes = wanted;
        Ok(())
    }

    fn route(&self, (first, len): (Ipv4Addr, u8), source: Option<Ipv4Addr>) -> Route {
        let mut route = Route::to(first, len);
        (route.interface, route.source) = (Some(self.index), source.map(Into::into));
        route
    }

    /// Answers ARP for addresses that have joined the pool, where some interface has them in its network.
    fn answer_arp(&self, state: &mut State, fresh: &BTreeSet<Ipv4Addr>, bus: &Bus) {
        let interfaces = self.host.netlink.borrow_mut().interfaces().unwrap_or_default();
        let mut answered: HashMap<(u32, &str), Vec<Ipv4Addr>> = HashMap::new();
        for address in fresh {
            if let Some(found) = proxy_arp_interface(&interfaces, *address) {
                answered.entry((found.index, &found.name)).or_default().push(*address);
            }
        }
        if answered.is_empty() && !fresh.is_empty() {
            return bus.server(Event::NoProxyArpInterface);
        }
        for ((index, name), addresses) in answered {
            for (first, last) in runs(addresses) {
                let change = Change::ProxyArpRun { interface: name.to_owned(), first, last };
                let made = self.host.make(&change, |netlink| {
                    add_neighbours(netlink, index, first..=last).map_err(other)
                });
                match made {
                    Ok(()) => state.changes.push(change),
                    Err(error) => bus.server(Event::HostFailed {
                        what: "answer ARP for clients",
                        error: error.to_string(),
                    }),
                }
            }
            bus.server(Event::ProxyArp { interface: name.to_owned() });
        }
    }

    fn write_process_files(&self, settings: &Settings, bus: &Bus) {
        let files = process_files(&settings.run_dir, &self.name, settings.link_name.as_deref());
        for file in files {
            let change = self.host.write_file(&file, |failed| bus.server(failed));
            self.state.borrow_mut().changes.extend(change);
        }
    }
}

impl SharedInterface {
    /// Takes back what does not go with the interface: files, and proxy ARP.
    pub(crate) fn take_back(&self) {
        for change in std::mem::take(&mut self.state.borrow_mut().changes) {
            self.host.undo(&change);
        }
    }
}

impl Drop for SharedInterface {
    fn drop(&mut self) {
        self.take_back();
    }
}

impl fmt::Debug for SharedInterface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedInterface").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The largest MTU that a session can have, but for users with an `mtu` of their own.
fn largest_mtu(settings: &Settings) -> u16 {
    let overhead = if settings.mppe.need == MppeNeed::Required { MPPE_OVERHEAD } else { 0 };
    settings.lcp.mtu.saturating_sub(overhead)
}

/// Somebody else's entry does the same and is not ours to remove.
fn add_neighbours(
    netlink: &mut Netlink,
    index: u32,
    addresses: std::ops::RangeInclusive<Ipv4Addr>,
) -> Result<(), Error> {
    let others: HashSet<Ipv4Addr> = netlink
        .proxy_neighbours()?
        .into_iter()
        .filter(|entry| entry.interface == index && entry.protocol != PROTOCOL)
        .map(|entry| entry.address)
        .collect();
    let (first, last) = addresses.into_inner();
    for address in (u32::from(first)..=u32::from(last)).map(Ipv4Addr::from) {
        if !others.contains(&address) {
            unless_there(netlink.add_proxy_neighbour(index, address))?;
        }
    }
    Ok(())
}

fn unless_there(result: Result<(), Error>) -> Result<(), Error> {
    match result {
        Err(error) if error.already_exists() => Ok(()),
        result => result,
    }
}

fn other(error: Error) -> io::Error {
    io::Error::other(error.to_string())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use sys::namespace;

    use super::*;
    use crate::leases::{EVERYBODYS, Slot};

    const LAN: Ipv4Addr = Ipv4Addr::new(192, 168, 77, 1);

    fn address(last: u8) -> Ipv4Addr {
        Ipv4Addr::new(192, 168, 77, last)
    }

    fn settings(dir: &Path, clients: std::ops::RangeInclusive<u8>) -> Settings {
        let slots = (0..).zip(clients).map(|(unit, last)| Slot {
            unit,
            pool: EVERYBODYS,
            local: LAN,
            remote: address(last),
        });
        Settings {
            proxy_arp: true,
            run_dir: dir.into(),
            shared_interface: true,
            ..Settings::new(slots.collect())
        }
    }

    /// Destinations of the routes of ours.
    fn routes(netlink: &mut Netlink) -> Vec<String> {
        let routes = netlink.routes().unwrap().into_iter();
        let ours = routes.filter(|route| route.protocol == PROTOCOL && route.table == 254);
        let mut text: Vec<_> =
            ours.map(|route| format!("{}/{}", route.destination, route.prefix_len)).collect();
        text.sort();
        text
    }

    fn answered(netlink: &mut Netlink) -> usize {
        let entries = netlink.proxy_neighbours().unwrap();
        entries.into_iter().filter(|entry| entry.protocol == PROTOCOL).count()
    }

    fn with_lan(test: impl FnOnce(&Path, &Bus, &mut Netlink) + Send) {
        let outcome = namespace::run_in_new(|| {
            let mut netlink = Netlink::open().unwrap();
            netlink.create_veth("eth0", "eth1", None).unwrap();
            for name in ["eth0", "eth1"] {
                let index = netlink.index_of(name).unwrap();
                netlink.set_up(index, true).unwrap();
            }
            let index = netlink.index_of("eth0").unwrap();
            netlink.add_address(index, LAN.into(), 24).unwrap();
            let dir = tempfile::tempdir().unwrap();
            test(dir.path(), &Bus::new(Vec::new()), &mut netlink);
        });
        match outcome {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                eprintln!("skipped: no network namespace: {error}");
            }
            outcome => outcome.unwrap(),
        }
    }

    #[test]
    fn the_pool_is_served_from_the_start_and_guests_while_they_are_there() {
        with_lan(|dir, bus, netlink| {
            let host = Rc::new(Host::open(dir, bus).unwrap());
            let (shared, queues) =
                SharedInterface::open(&host, &settings(dir, 104..=107), 2, bus).unwrap();
            shared.begin(&settings(dir, 104..=107), bus).unwrap();
            assert_eq!(queues[0].name(), "ppp0");
            // Where no steering program may be loaded, each worker has one.
            assert!([2, 2 * QUEUES_PER_WORKER].contains(&queues.len()));
            assert_eq!(routes(netlink), ["192.168.77.104/30"]);
            assert_eq!(answered(netlink), 4);
            assert_eq!(shared.answered_on(address(107)).as_deref(), Some("eth0"));
            assert_eq!(shared.answered_on(address(108)), None);
            assert!(dir.join("ppp0.pid").exists());

            let agreed = |last| Ipv4Agreed { local: LAN, remote: address(last), dns: [None; 2] };
            shared.hold(agreed(105)).unwrap();
            // One takes the address over before the other has ended.
            shared.hold(agreed(50)).unwrap();
            shared.hold(agreed(50)).unwrap();
            shared.let_go(agreed(50));
            assert_eq!(routes(netlink), ["192.168.77.104/30", "192.168.77.50/32"]);
            shared.let_go(agreed(50));
            shared.let_go(agreed(105));
            assert_eq!(routes(netlink), ["192.168.77.104/30"]);

            netlink.set_up(shared.index(), false).unwrap();
            netlink.set_up(shared.index(), true).unwrap();
            assert!(routes(netlink).is_empty());
            shared.serve(&settings(dir, 104..=107), bus).unwrap();
            assert_eq!(routes(netlink), ["192.168.77.104/30"]);
            shared.serve(&settings(dir, 108..=111), bus).unwrap();
            assert_eq!(routes(netlink), ["192.168.77.104/29"]);
            assert_eq!(answered(netlink), 8);

            drop((shared, queues));
            assert_eq!((routes(netlink).len(), answered(netlink)), (0, 0));
            assert!(!dir.join("ppp0.pid").exists());
        });
    }

    #[test]
    fn what_a_killed_process_left_is_undone_at_the_next_start() {
        with_lan(|dir, bus, netlink| {
            let host = Rc::new(Host::open(dir, bus).unwrap());
            let (shared, queues) =
                SharedInterface::open(&host, &settings(dir, 100..=103), 1, bus).unwrap();
            shared.begin(&settings(dir, 100..=103), bus).unwrap();
            std::mem::forget(shared);
            drop((queues, host));
            assert_eq!(answered(netlink), 4);
            drop(Host::open(dir, bus).unwrap());
            assert_eq!(answered(netlink), 0);
        });
    }
}
