//! Accepts control connections, within limits.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::rc::Rc;
use std::time::Duration;

use engine::Instant;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;

use crate::connections::Connections;
use crate::event::{Event, TcpEnd};
use crate::mailbox::{Address, Mail, Mailbox};
use crate::settings::Limits;
use crate::shared::Shared;

/// Connections that the kernel keeps for us while we are busy.
const BACKLOG: u32 = 4096;
/// How long to wait after the kernel refused to give us a connection (out of files, out of memory).
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// That is told at most this often while it goes on.
const ACCEPT_TOLD: Duration = Duration::from_secs(10);
/// Refused connections are told at most this often.
const REFUSAL_INTERVAL: Duration = Duration::from_secs(1);

/// Opens a listening socket, bound to the interface or VRF `device` if one is named; connections are too, then.
pub(crate) fn bind(address: SocketAddr, device: Option<&str>) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    if let Some(device) = device {
        socket.bind_device(Some(device.as_bytes()))?;
    }
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Accepts until the server stops.
pub(crate) async fn accept_all(
    listener: TcpListener,
    shared: Rc<Shared>,
    census: Census,
    connections: Rc<Connections>,
    mut stop: watch::Receiver<bool>,
) {
    let mut told: Option<Instant> = None;
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => begin(stream, peer, &shared, &census, &connections),
                Err(error) => {
                    let now = shared.now();
                    if told.is_none_or(|told| now - told >= ACCEPT_TOLD) {
                        told = Some(now);
                        shared.bus.server(Event::AcceptFailed(error.to_string()));
                    }
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            _ = stop.wait_for(|stop| *stop) => break,
        }
    }
}

fn begin(
    stream: TcpStream,
    peer: SocketAddr,
    shared: &Rc<Shared>,
    census: &Census,
    connections: &Connections,
) {
    let (Some(client), Some(local)) = (v4(peer), stream.local_addr().ok().and_then(v4)) else {
        return census.refuse(peer, "PPTP works over IPv4 only", shared);
    };
    let limits = shared.settings().limits;
    let mailbox = connections.mailbox();
    let ticket = match census.enter(*client.ip(), &limits, shared.now(), &mailbox) {
        Ok(ticket) => ticket,
        Err(limit) => return census.refuse(peer, limit, shared),
    };
    // Small messages answer one another: waiting to fill a segment only delays the call.
    let _ = stream.set_nodelay(true);
    let source = shared.bus.connection(client);
    source.publish(Event::Connected { local: SocketAddr::V4(local) });
    let (shared, told) = (shared.clone(), source.clone());
    let begun = stream
        .into_std()
        .and_then(|stream| connections.begin(stream, *local.ip(), shared, source, ticket, mailbox));
    if let Err(error) = begun {
        told.publish(Event::TcpEnded(TcpEnd::from(&error)));
        told.disconnected();
    }
}

fn v4(address: SocketAddr) -> Option<SocketAddrV4> {
    match address.ip() {
        IpAddr::V4(ip) => Some(SocketAddrV4::new(ip, address.port())),
        IpAddr::V6(ip) => ip.to_ipv4_mapped().map(|ip| SocketAddrV4::new(ip, address.port())),
    }
}

/// Counts connections.
#[derive(Clone, Debug, Default)]
pub(crate) struct Census(Rc<RefCell<Counts>>);

#[derive(Debug, Default)]
struct Counts {
    connections: usize,
    /// Connections without an authenticated session, the oldest first.
    unfinished: BTreeMap<u64, Unfinished>,
    next: u64,
    /// Connections without an authenticated session, by client.
    by_address: HashMap<Ipv4Addr, usize>,
    /// When a refusal was last told, and how many have not been since: a flood must not become a flood of log lines.
    refusal_told: Option<Instant>,
    refusals_untold: u64,
}

#[derive(Debug)]
struct Unfinished {
    client: Ipv4Addr,
    since: Instant,
    mailbox: Address,
}

/// A counted connection; counted out when dropped.
#[derive(Debug)]
pub(crate) struct Ticket {
    census: Census,
    number: u64,
}

impl Census {
    /// Counts a connection in. `mailbox` hears when it has to give way to newer ones.
    fn enter(
        &self,
        client: Ipv4Addr,
        limits: &Limits,
        now: Instant,
        mailbox: &Mailbox,
    ) -> Result<Ticket, &'static str> {
        let mut counts = self.0.borrow_mut();
        if counts.connections >= limits.connections {
            return Err("too many connections");
        }
        if counts.by_address.get(&client).is_some_and(|here| *here >= limits.unfinished_per_address)
        {
            return Err("too many unfinished connections from this address");
        }
        // Whoever says nothing must not keep out who would: a login takes a fraction of the time in which a flood gets round. A younger one
        // does not give way: where thousands log in at once they would all push each other out.
        if counts.unfinished.len() >= limits.unfinished {
            let oldest = counts.unfinished.first_key_value();
            let slow = oldest.filter(|(_, oldest)| now - oldest.since >= limits.time_to_log_in);
            let Some((number, _)) = slow else { return Err("too many unfinished connections") };
            let number = *number;
            if let Some(mailbox) = counts.finish(number).and_then(|address| address.find()) {
                mailbox.post(Mail::GiveWay);
            }
        }
        let number = counts.next;
        counts.next += 1;
        counts.connections += 1;
        *counts.by_address.entry(client).or_default() += 1;
        let unfinished = Unfinished { client, since: now, mailbox: mailbox.address() };
        counts.unfinished.insert(number, unfinished);
        Ok(Ticket { census: self.clone(), number })
    }

    fn refuse(&self, peer: SocketAddr, limit: &'static str, shared: &Shared) {
        if let Some(untold) = self.count_refusal(shared.now()) {
            shared.bus.server(Event::ConnectionRefused { peer, limit, untold });
        }
    }

    /// Whether this refusal is told, and then how many before it were not.
    fn count_refusal(&self, now: Instant) -> Option<u64> {
        let mut counts = self.0.borrow_mut();
        if counts.refusal_told.is_some_and(|told| now - told < REFUSAL_INTERVAL) {
            counts.refusals_untold += 1;
            return None;
        }
        counts.refusal_told = Some(now);
        Some(std::mem::take(&mut counts.refusals_untold))
    }
}

impl Counts {
    /// A connection no longer counts as unfinished. `None`: it has not for a while.
    fn finish(&mut self, number: u64) -> Option<Address> {
        let Unfinished { client, mailbox, .. } = self.unfinished.remove(&number)?;
        if let Some(here) = self.by_address.get_mut(&client) {
            *here -= 1;
            if *here == 0 {
                self.by_address.remove(&client);
            }
        }
        Some(mailbox)
    }
}

impl Ticket {
    /// The connection has a session that was let in: it no longer counts as unfinished.
    pub(crate) fn finished(&self) {
        self.census.0.borrow_mut().finish(self.number);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.finished();
        self.census.0.borrow_mut().connections -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_cannot_take_every_place_and_gives_its_own_back() {
        let limits = Limits { unfinished_per_address: 2, unfinished: 3, ..Limits::default() };
        let (greedy, other) = (Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2));
        let census = Census::default();
        let first = census.enter(greedy, &limits, Instant::ZERO, &Mailbox::default()).unwrap();
        let _second = census.enter(greedy, &limits, Instant::ZERO, &Mailbox::default()).unwrap();
        assert!(census.enter(greedy, &limits, Instant::ZERO, &Mailbox::default()).is_err());
        let third = census.enter(other, &limits, Instant::ZERO, &Mailbox::default()).unwrap();
        first.finished();
        let _fourth = census.enter(greedy, &limits, Instant::ZERO, &Mailbox::default()).unwrap();
        drop(third);
        drop(first);
        assert_eq!(census.0.borrow().connections, 2);
        assert_eq!(census.0.borrow().unfinished.len(), 2);
    }

    #[test]
    fn the_oldest_unfinished_connection_gives_way_and_finished_ones_stay() {
        let limits = Limits { unfinished_per_address: 2, unfinished: 2, ..Limits::default() };
        let client = |number| Ipv4Addr::new(192, 0, 2, number);
        let census = Census::default();
        let boxes: [Mailbox; 4] = std::array::from_fn(|_| Mailbox::default());
        let finished = census.enter(client(1), &limits, Instant::ZERO, &boxes[0]).unwrap();
        finished.finished();
        let oldest = census.enter(client(2), &limits, Instant::ZERO, &boxes[1]).unwrap();
        let newer = census.enter(client(3), &limits, Instant::ZERO, &boxes[2]).unwrap();
        let early = Instant::ZERO + limits.time_to_log_in / 2;
        assert!(census.enter(client(4), &limits, early, &boxes[3]).is_err(), "they may log in yet");
        let later = Instant::ZERO + limits.time_to_log_in;
        let newest = census.enter(client(4), &limits, later, &boxes[3]).unwrap();
        let told = boxes.each_ref().map(|mailbox| matches!(mailbox.take(), Some(Mail::GiveWay)));
        assert_eq!(told, [false, true, false, false]);
        drop(oldest);
        assert_eq!(census.0.borrow().unfinished.len(), 2);
        drop((newer, newest, finished));
        assert_eq!(census.0.borrow().connections, 0);
        assert!(census.0.borrow().by_address.is_empty());
    }

    #[test]
    fn a_flood_is_told_once_a_second_with_its_size() {
        let census = Census::default();
        let at = |millis| Instant::ZERO + Duration::from_millis(millis);
        assert_eq!(census.count_refusal(at(0)), Some(0));
        assert_eq!(census.count_refusal(at(400)), None);
        assert_eq!(census.count_refusal(at(999)), None);
        assert_eq!(census.count_refusal(at(1000)), Some(2));
    }
}
