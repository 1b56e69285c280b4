//! The lab's network.
//!
//! ```text
//!   client guest ── wan 10.99.0.0/24 ── server ── lan 192.168.77.0/24 ── neighbour
//!     10.99.0.2                 10.99.0.1  192.168.77.1              192.168.77.9
//! ```
//!
//! Clients get addresses of the lan. The neighbour has no route to them: it finds them only when the
//! server answers ARP in their place.

use std::path::PathBuf;

use anyhow::Result;

use super::{
    guest::Interface,
    network::{Namespace, bridge, plug, wire},
};

/// The server's outer address.
pub(crate) const SERVER: &str = "10.99.0.1";
/// Where PPTP servers listen (RFC 2637 §2).
pub(crate) const SERVER_PORT: u16 = 1723;
/// The server's address on the lan, and its end of every tunnel.
pub(crate) const INNER: &str = "192.168.77.1";
/// A machine on the lan that knows nothing of the tunnels.
pub(crate) const NEIGHBOUR: &str = "192.168.77.9";

/// Both switches, and the neighbour.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) switch: Namespace,
    pub(crate) neighbour: Namespace,
    /// Where guests and servers keep their files and logs.
    pub(crate) folder: PathBuf,
}

impl Segment {
    /// Builds the network; `folder` must be there.
    pub(crate) fn new(folder: PathBuf) -> Result<Self> {
        let switch = Namespace::new("switch")?;
        bridge(&switch, "wan")?;
        bridge(&switch, "lan")?;
        let neighbour = Namespace::new("neighbour")?;
        wire((&neighbour, "eth0"), (&switch, "neighbour"))?;
        plug(&switch, "lan", "neighbour")?;
        neighbour.sh(&format!("ip address add {NEIGHBOUR}/24 dev eth0"))?;
        Ok(Self { switch, neighbour, folder })
    }

    /// Makes the neighbour take iperf3's connections; one that a broken test left behind is replaced.
    pub(crate) fn measure(&self) -> Result<()> {
        // The lab has its own process namespace: no other iperf3 is in sight.
        self.neighbour.sh("listens() { ss -Hltn | grep -q :5201; }
             pkill -x iperf3
             for try in $(seq 100); do listens || break; sleep 0.05; done
             iperf3 --server --daemon
             for try in $(seq 100); do listens && exit 0; sleep 0.05; done
             exit 1")?;
        Ok(())
    }

    /// A namespace with one address on the wan, for `gretel connect`.
    pub(crate) fn wan_host(&self, name: &'static str, address: &str) -> Result<Namespace> {
        let host = Namespace::new(name)?;
        wire((&host, "eth0"), (&self.switch, name))?;
        plug(&self.switch, "wan", name)?;
        host.sh(&format!("ip address add {address}/24 dev eth0"))?;
        Ok(host)
    }

    /// A namespace for a server that runs on this machine's own kernel.
    pub(crate) fn server_host(&self) -> Result<Namespace> {
        let host = Namespace::new("server")?;
        for (name, outer, bridge, address) in
            [("eth0", "server-lan", "lan", INNER), ("eth1", "server-wan", "wan", SERVER)]
        {
            wire((&host, name), (&self.switch, outer))?;
            plug(&self.switch, bridge, outer)?;
            host.sh(&format!("ip address add {address}/24 dev {name}"))?;
        }
        host.sh("echo 1 >/proc/sys/net/ipv4/ip_forward")?;
        Ok(host)
    }
}

/// The interfaces of a server that runs in a guest.
pub(crate) const SERVER_GUEST: [Interface; 2] = [
    Interface { tap: "tap-server-lan", bridge: "lan", address: "192.168.77.1/24" },
    Interface { tap: "tap-server-wan", bridge: "wan", address: "10.99.0.1/24" },
];

/// The interface of the client guest.
pub(crate) const CLIENT_GUEST: [Interface; 1] =
    [Interface { tap: "tap-client", bridge: "wan", address: "10.99.0.2/24" }];

/// The interface of a second client guest.
pub(crate) const SECOND_GUEST: [Interface; 1] =
    [Interface { tap: "tap-second", bridge: "wan", address: "10.99.0.3/24" }];
