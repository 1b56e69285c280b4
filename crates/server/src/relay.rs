//! Broadcasts between a network of this host and the clients (`bcrelay`): what old programs find each other by.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::sync::Arc;
use std::thread;

use dataplane::Command;
use sys::broadcast::BroadcastSocket;
use sys::event::{Epoll, EventFd};
use sys::netlink::Netlink;
use sys::sandbox::{Role, Sandbox};
use tokio::sync::mpsc;

use crate::shared::Shared;

/// The longest packet that is relayed, in bytes: none of these protocols fragments.
const PACKET_LEN: usize = 2048;
/// The token of the order to stop.
const STOP: u64 = 1;

/// By what a client's packets are told from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Client {
    /// The interface of its session, by its index.
    Interface(u32),
    /// Its address, where sessions share an interface.
    Address(Ipv4Addr),
}

/// Which client's session has which call id.
#[derive(Debug, Default)]
pub(crate) struct Clients(RefCell<HashMap<Client, u16>>);

impl Clients {
    pub(crate) fn add(&self, client: Client, call_id: u16) {
        self.0.borrow_mut().insert(client, call_id);
    }

    /// Forgets a client, unless another call has taken its address over.
    pub(crate) fn remove(&self, client: Client, call_id: u16) {
        let mut clients = self.0.borrow_mut();
        if clients.get(&client) == Some(&call_id) {
            clients.remove(&client);
        }
    }
}

/// Broadcasts that may wait; more are lost, as broadcasts may be.
const WAITING: usize = 64;

/// An interface of this host and the broadcasts on it. They are received on a thread of their own, which ends with this.
pub(crate) struct Relay {
    socket: Arc<BroadcastSocket>,
    interface: u32,
    stop: Arc<EventFd>,
    packets: mpsc::Receiver<(Vec<u8>, u32)>,
}

impl Relay {
    /// A relay for the interface of that name, whose thread confines itself.
    ///
    /// # Errors
    ///
    /// When there is no such interface, or none with an IPv4 network.
    pub(crate) fn open(name: &str, sandbox: Sandbox) -> io::Result<Self> {
        let failed = |why: String| io::Error::other(format!("bcrelay {name}: {why}"));
        let mut netlink = Netlink::open()?;
        let interfaces = netlink.interfaces().map_err(|error| failed(error.to_string()))?;
        let interface = interfaces.into_iter().find(|interface| interface.name == name);
        let interface = interface.ok_or_else(|| failed("there is no such interface".into()))?;
        let broadcast = interface.addresses.iter().find_map(|address| match address.local {
            IpAddr::V4(local) if address.prefix_len < 31 => {
                Some(broadcast_of(local, address.prefix_len))
            }
            _ => None,
        });
        let broadcast = broadcast.ok_or_else(|| failed("it has no IPv4 network".into()))?;
        let socket = Arc::new(BroadcastSocket::open(broadcast)?);
        let stop = Arc::new(EventFd::new()?);
        let epoll = Epoll::new()?;
        epoll.add(&*socket, 0)?;
        epoll.add(&*stop, STOP)?;
        let (sender, packets) = mpsc::channel(WAITING);
        let receiver = Receiver { epoll, socket: socket.clone(), _stop: stop.clone(), sender };
        thread::Builder::new().name("relay".into()).spawn(move || {
            // The server, which fails in the same way, has somebody to say it to.
            if sandbox.enter(Role::Packets).is_ok() {
                receiver.run();
            }
        })?;
        Ok(Self { socket, interface: interface.index, stop, packets })
    }

    /// Relays until it is dropped.
    pub(crate) async fn run(mut self, shared: Rc<Shared>) {
        while let Some((packet, from)) = self.packets.recv().await {
            self.relay(&shared, &packet, from);
        }
    }

    /// From the network to every client; from a client to the network and every other client.
    fn relay(&self, shared: &Shared, packet: &[u8], from: u32) {
        let clients = shared.clients.0.borrow();
        let sender = match &shared.interface {
            Some(interface) if interface.index() == from => source_of(packet).map(Client::Address),
            _ => Some(Client::Interface(from)),
        };
        let sender = sender.filter(|sender| clients.contains_key(sender));
        if from != self.interface {
            if sender.is_none() {
                return;
            }
            // A broadcast may get lost.
            let _ = self.socket.send(self.interface, packet);
        }
        for (client, call_id) in clients.iter() {
            if Some(*client) != sender {
                shared.dataplane.send(*call_id, Command::Packet(packet.to_vec()));
            }
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        // Without it the thread would end with the process.
        self.stop.signal();
    }
}

/// The thread's part.
struct Receiver {
    epoll: Epoll,
    socket: Arc<BroadcastSocket>,
    _stop: Arc<EventFd>,
    sender: mpsc::Sender<(Vec<u8>, u32)>,
}

impl Receiver {
    fn run(self) {
        let mut ready = Vec::new();
        let mut buffer = [0; PACKET_LEN];
        while self.epoll.wait(None, &mut ready).is_ok() && !ready.contains(&STOP) {
            while let Ok((length, from)) = self.socket.receive(&mut buffer) {
                without_checksum(&mut buffer[..length]);
                // Full or gone: the packet is lost.
                let _ = self.sender.try_send((buffer[..length].to_vec(), from));
            }
        }
    }
}

/// The source of an IPv4 packet.
fn source_of(packet: &[u8]) -> Option<Ipv4Addr> {
    let octets: [u8; 4] = packet.get(12..16)?.try_into().ok()?;
    Some(octets.into())
}

/// Takes the UDP checksum out of a packet, which IPv4 allows (RFC 768): the one that is there may be for the hardware to complete.
fn without_checksum(packet: &mut [u8]) {
    let header = packet.first().map_or(0, |first| usize::from(first & 0xf) * 4);
    if let Some(checksum) = packet.get_mut(header + 6..header + 8) {
        checksum.fill(0);
    }
}

/// The address of everybody in a network.
fn broadcast_of(address: Ipv4Addr, prefix_len: u8) -> Ipv4Addr {
    let hosts = u32::MAX.checked_shr(u32::from(prefix_len)).unwrap_or(0);
    Ipv4Addr::from(u32::from(address) | hosts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_behind_a_header_of_any_length_is_taken_out() {
        for words in [5, 6] {
            let mut packet = vec![0x40 | words; usize::from(words) * 4 + 12];
            without_checksum(&mut packet);
            let zeros: Vec<_> = (0..packet.len()).filter(|at| packet[*at] == 0).collect();
            assert_eq!(zeros, [usize::from(words) * 4 + 6, usize::from(words) * 4 + 7]);
        }
        without_checksum(&mut []);
        without_checksum(&mut [0x4f; 30]);
    }

    #[test]
    fn everybody_has_all_host_bits_set() {
        let address = Ipv4Addr::new(192, 168, 77, 1);
        assert_eq!(broadcast_of(address, 24), Ipv4Addr::new(192, 168, 77, 255));
        assert_eq!(broadcast_of(address, 26), Ipv4Addr::new(192, 168, 77, 63));
        assert_eq!(broadcast_of(address, 32), address);
    }
}
