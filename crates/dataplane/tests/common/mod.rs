//! Two network namespaces joined by a cable, with real raw sockets and TUN interfaces.
#![allow(dead_code, reason = "not every test program uses all of it")]

use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use crypto::mppe::{Mode, StartKey, Strength};
use dataplane::{
    Bounds, Dataplane, FragmentPolicy, GrePath, IoMode, NewCall, Notice, Settings, TosPolicy,
};
use engine::data::Config;
use engine::ppp::{DirectionKeys, Ipv4Agreed, Keys, NetworkPermit};
use sys::event::Epoll;
use sys::namespace;
use sys::netlink::Netlink;
use sys::raw::{GreSocket, RecvBatch, SendBatch};
use sys::sandbox::{Places, Sandbox};
use sys::tun::Tun;

/// Addresses of the two ends of the cable.
pub(crate) const OUTER: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 9, 0, 1), Ipv4Addr::new(10, 9, 0, 2)];
/// Addresses of the two ends of the tunnel.
pub(crate) const INNER: [Ipv4Addr; 2] =
    [Ipv4Addr::new(192, 168, 77, 1), Ipv4Addr::new(192, 168, 77, 2)];
/// Call ids of the two ends.
pub(crate) const CALL: [u16; 2] = [4711, 815];
pub(crate) const MTU: u16 = 1396;

/// How long anything may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// What a server's workers are confined to.
pub(crate) fn sandbox() -> &'static Sandbox {
    static SANDBOX: OnceLock<Sandbox> = OnceLock::new();
    SANDBOX.get_or_init(|| Sandbox::prepare(&Places::default()).unwrap())
}

/// The two ends of the cable; 0 is where the thread was before.
pub(crate) struct Cable {
    namespaces: [OwnedFd; 2],
}

/// Runs a test on a thread of its own, in namespaces of its own; says so when that is not allowed.
pub(crate) fn with_cable(test: impl FnOnce(&Cable) + Send) {
    let outcome = namespace::run_in_new(|| {
        let first = namespace::current().unwrap();
        namespace::enter_new().unwrap();
        let second = namespace::current().unwrap();
        let mut netlink = Netlink::open().unwrap();
        netlink.create_veth("eth0", "eth0", Some(first.as_fd())).unwrap();
        let cable = Cable { namespaces: [first, second] };
        for end in [0, 1] {
            cable.at(end, || {
                let mut netlink = Netlink::open().unwrap();
                let interface = netlink.index_of("eth0").unwrap();
                netlink.add_address(interface, OUTER[end].into(), 24).unwrap();
                netlink.set_up(interface, true).unwrap();
            });
        }
        cable.at(0, || test(&cable));
    });
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            eprintln!("skipped: no network namespace: {error}");
        }
        outcome => outcome.unwrap(),
    }
}

impl Cable {
    /// A second cable, from this one's end 1 on. Its own end 0 is there too, and its addresses are `beyond`.
    pub(crate) fn lengthened(&self, beyond: [Ipv4Addr; 2]) -> Self {
        let middle = self.at(1, || namespace::current().unwrap());
        let far = self.at(1, || {
            namespace::enter_new().unwrap();
            let far = namespace::current().unwrap();
            let mut netlink = Netlink::open().unwrap();
            netlink.create_veth("eth0", "eth1", Some(middle.as_fd())).unwrap();
            far
        });
        let cable = Self { namespaces: [middle, far] };
        for (end, name) in [(0, "eth1"), (1, "eth0")] {
            cable.at(end, || {
                let mut netlink = Netlink::open().unwrap();
                let interface = netlink.index_of(name).unwrap();
                netlink.add_address(interface, beyond[end].into(), 24).unwrap();
                netlink.set_up(interface, true).unwrap();
            });
        }
        cable
    }

    /// Does something at one end of the cable.
    pub(crate) fn at<T>(&self, end: usize, work: impl FnOnce() -> T) -> T {
        let before = namespace::current().unwrap();
        namespace::enter(&self.namespaces[end]).unwrap();
        let result = work();
        namespace::enter(&before).unwrap();
        result
    }

    /// A data plane at one end.
    pub(crate) fn station(&self, end: usize, workers: usize) -> Station {
        let settings = Settings {
            workers,
            device: None,
            io: IoMode::Batched,
            path: GrePath::Raw,
            sandbox: sandbox(),
        };
        self.station_with(end, settings)
    }

    /// A data plane at one end, set up like this.
    pub(crate) fn station_with(&self, end: usize, settings: Settings<'_>) -> Station {
        let (sender, notices) = sync_channel(1000);
        let notify = move |notice| {
            sender.try_send(notice).map_err(|refused| match refused {
                std::sync::mpsc::TrySendError::Full(notice)
                | std::sync::mpsc::TrySendError::Disconnected(notice) => notice,
            })
        };
        let dataplane = self.at(end, || Dataplane::start(settings, notify).unwrap());
        Station { dataplane, notices }
    }

    /// An interface at one end with its addresses.
    pub(crate) fn tun(&self, end: usize) -> Tun {
        self.at(end, || {
            let tun = Tun::create("ppp%d").unwrap();
            let mut netlink = Netlink::open().unwrap();
            netlink.disable_address_generation(tun.index()).unwrap();
            netlink.set_mtu(tun.index(), MTU.into()).unwrap();
            netlink.set_up(tun.index(), true).unwrap();
            netlink.add_peer_address(tun.index(), INNER[end], INNER[1 - end]).unwrap();
            tun
        })
    }

    /// Whether an interface of that name is at one end.
    pub(crate) fn has_interface(&self, end: usize, name: &str) -> bool {
        self.at(end, || Netlink::open().unwrap().index_of(name).is_ok())
    }

    /// A UDP socket with an address inside the tunnel.
    pub(crate) fn udp(&self, end: usize) -> UdpSocket {
        let socket = self.at(end, || UdpSocket::bind((INNER[end], 5000)).unwrap());
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    }

    /// A bare raw socket at one end, to play a peer.
    pub(crate) fn peer(&self, end: usize) -> Peer {
        let socket = self.at(end, || GreSocket::open().unwrap());
        let batch = RecvBatch::new(4096);
        Peer { end, socket, batch, received: Vec::new() }
    }
}

/// A data plane and what it says.
pub(crate) struct Station {
    pub(crate) dataplane: Dataplane,
    notices: Receiver<Notice>,
}

impl Station {
    /// The next notice that `wanted` makes something of. Others are passed over.
    pub(crate) fn wait_for<T>(&self, wanted: impl Fn(&Notice) -> Option<T>) -> T {
        let give_up = Instant::now() + PATIENCE;
        loop {
            let left = give_up.saturating_duration_since(Instant::now());
            let notice = self.notices.recv_timeout(left).expect("the notice did not come");
            if let Some(found) = wanted(&notice) {
                return found;
            }
        }
    }

    /// All notices of this moment.
    pub(crate) fn notices(&self) -> Vec<Notice> {
        self.notices.try_iter().collect()
    }
}

/// The call of one end as that end sees it.
pub(crate) fn call(end: usize) -> NewCall {
    NewCall {
        generation: 7,
        peer: OUTER[1 - end],
        local: OUTER[end],
        path: Config {
            our_call_id: CALL[end],
            peer_call_id: CALL[1 - end],
            check_source: true,
            clamp_mss: true,
        },
        tos: TosPolicy::Clear,
        fragments: FragmentPolicy::Allow,
        bounds: Bounds::default(),
        trace: false,
    }
}

pub(crate) fn permit(end: usize, encryption_required: bool) -> NetworkPermit {
    let (local, remote) = (INNER[end], INNER[1 - end]);
    let agreed = Ipv4Agreed { local, remote, dns: [None; 2] };
    NetworkPermit::for_tests(Some(agreed), None, encryption_required, MTU)
}

/// Keys that fit those of the other end.
pub(crate) fn keys(end: usize, mode: Mode) -> Keys {
    let direction = |sender: usize| DirectionKeys {
        start: StartKey::from_bytes([sender as u8 + 1; 16]),
        strength: Strength::Bits128,
        mode,
    };
    Keys { send: direction(end), receive: direction(1 - end) }
}

/// A peer that is nothing but a raw socket.
pub(crate) struct Peer {
    end: usize,
    socket: GreSocket,
    batch: RecvBatch,
    received: Vec<Vec<u8>>,
}

impl Peer {
    /// Sends a GRE packet to the other end, from an address of this one.
    pub(crate) fn send(&self, packet: &[u8]) {
        self.send_from(OUTER[self.end], packet);
    }

    pub(crate) fn send_from(&self, source: Ipv4Addr, packet: &[u8]) {
        self.send_marked(source, packet, 0);
    }

    /// Sends a packet with this TOS.
    pub(crate) fn send_marked(&self, source: Ipv4Addr, packet: &[u8], tos: u8) {
        let mut batch = SendBatch::new(4096);
        batch.push_copy(packet, OUTER[1 - self.end], source, 0);
        batch.mark_last(tos, false);
        assert_eq!(batch.flush(&self.socket, |failure| panic!("{failure:?}")), 1);
    }

    /// The next GRE packet from the other end within `patience`.
    pub(crate) fn receive(&mut self, patience: Duration) -> Option<Vec<u8>> {
        self.receive_whole(patience).map(|packet| packet[20..].to_vec())
    }

    /// As [`receive`](Self::receive), with the IP header.
    pub(crate) fn receive_whole(&mut self, patience: Duration) -> Option<Vec<u8>> {
        if self.received.is_empty() {
            let epoll = Epoll::new().unwrap();
            epoll.add(&self.socket, 0).unwrap();
            epoll.wait(Some(patience), &mut Vec::new()).unwrap();
            let count = self.socket.recv_batch(&mut self.batch).unwrap();
            self.received = (0..count).map(|index| self.batch.packet(index).to_vec()).collect();
        }
        (!self.received.is_empty()).then(|| self.received.remove(0))
    }
}

/// A GRE packet for the call of `end`.
pub(crate) fn gre(end: usize, seq: Option<u32>, ack: Option<u32>, frame: &[u8]) -> Vec<u8> {
    let header = wire::gre::Header { call_id: CALL[end], seq, ack };
    let mut packet = vec![0; header.wire_len() + frame.len()];
    let len = header.emit(frame.len(), &mut packet);
    packet[len..].copy_from_slice(frame);
    packet
}

/// A PPP frame with an IPv4 packet from one end of the tunnel to the other: UDP port 5000 to 5000 with this payload.
pub(crate) fn ip_frame(from: usize, payload: &[u8]) -> Vec<u8> {
    let len = u16::try_from(28 + payload.len()).unwrap().to_be_bytes();
    let udp_len = u16::try_from(8 + payload.len()).unwrap().to_be_bytes();
    let mut packet = vec![0x45, 0, len[0], len[1], 0, 1, 0, 0, 64, 17, 0, 0];
    packet.extend_from_slice(&INNER[from].octets());
    packet.extend_from_slice(&INNER[1 - from].octets());
    let sum: u32 = packet.chunks(2).map(|it| u32::from(it[0]) << 8 | u32::from(it[1])).sum();
    let checksum = !((sum & 0xffff) + (sum >> 16)) as u16;
    packet[10..12].copy_from_slice(&checksum.to_be_bytes());
    packet.extend_from_slice(&[0x13, 0x88, 0x13, 0x88, udp_len[0], udp_len[1], 0, 0]);
    packet.extend_from_slice(payload);
    [&[0xff, 0x03, 0x00, 0x21], &packet[..]].concat()
}
