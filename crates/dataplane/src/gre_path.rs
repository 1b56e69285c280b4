//! Which way GRE packets go past the workers' raw sockets, and the sockets for it.

use std::fmt;
use std::io;

use sys::netlink::Netlink;
use sys::packet::PacketSocket;
use sys::xdp::{XdpCalls, XdpInterface, XdpSocket};

use crate::worker::Fast;

/// How GRE packets leave and come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GrePath<'a> {
    /// By raw sockets.
    #[default]
    Raw,
    /// They leave by `AF_PACKET`, past routing, netfilter, IPsec and queueing disciplines.
    Packet,
    /// They leave and come by `AF_XDP` on these interfaces, past netfilter's input too.
    Xdp(&'a [String]),
}

/// Which way has been opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opened {
    /// Raw sockets, as wanted.
    Raw,
    /// `AF_PACKET`.
    Packet,
    /// `AF_XDP` on these interfaces; `true`: the driver runs the program itself.
    Xdp(Vec<(String, bool)>),
    /// Raw sockets, because the way that was wanted could not be opened.
    Refused(String),
}

/// A way's sockets for each worker.
pub(crate) struct Sockets {
    pub(crate) opened: Opened,
    pub(crate) fast: Vec<Fast>,
    pub(crate) calls: Option<XdpCalls>,
}

impl Sockets {
    /// Opens them; without those that are wanted all work goes by raw sockets.
    pub(crate) fn open(path: GrePath<'_>, workers: usize) -> Self {
        let opened = match path {
            GrePath::Raw => Ok(Self::none(Opened::Raw, workers)),
            GrePath::Packet => packet(workers),
            GrePath::Xdp(interfaces) => xdp(interfaces, workers),
        };
        opened.unwrap_or_else(|error| Self::none(Opened::Refused(error.to_string()), workers))
    }

    /// Whether next hops have to be known.
    pub(crate) fn need_hops(&self) -> bool {
        matches!(self.opened, Opened::Packet | Opened::Xdp(_))
    }

    fn none(opened: Opened, workers: usize) -> Self {
        Self { opened, fast: (0..workers).map(|_| Fast::None).collect(), calls: None }
    }
}

fn packet(workers: usize) -> io::Result<Sockets> {
    let sockets = (0..workers).map(|_| PacketSocket::open().map(Fast::Packet));
    Ok(Sockets { opened: Opened::Packet, fast: sockets.collect::<io::Result<_>>()?, calls: None })
}

fn xdp(names: &[String], workers: usize) -> io::Result<Sockets> {
    let calls = XdpCalls::new()?;
    let mut of_workers: Vec<Vec<XdpSocket>> = (0..workers).map(|_| Vec::new()).collect();
    let mut opened = Vec::new();
    let interfaces = Netlink::open()?.interfaces()?;
    for name in names {
        let told = |error: io::Error| io::Error::new(error.kind(), format!("{name}: {error}"));
        let found = interfaces.iter().find(|it| it.name == *name);
        let found = found.ok_or_else(|| told(io::Error::other("there is no such interface")))?;
        if !found.is_ethernet() {
            return Err(told(io::Error::other("it is no Ethernet interface")));
        }
        let XdpInterface { sockets, is_native } =
            XdpInterface::open((found.index, found.mtu), workers, &calls).map_err(told)?;
        for (worker, (own, mut sockets)) in of_workers.iter_mut().zip(sockets).enumerate() {
            // The first of an interface sends: workers start with different ones.
            let len = sockets.len().max(1);
            sockets.rotate_left(worker % len);
            own.append(&mut sockets);
        }
        opened.push((name.clone(), is_native));
    }
    if opened.is_empty() {
        return Err(io::Error::other("no interface is named for it"));
    }
    let fast = of_workers.into_iter().map(Fast::Xdp).collect();
    Ok(Sockets { opened: Opened::Xdp(opened), fast, calls: Some(calls) })
}

impl fmt::Display for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Raw => f.write_str("raw sockets"),
            Self::Packet => f.write_str("AF_PACKET for those that leave"),
            Self::Xdp(interfaces) => {
                f.write_str("AF_XDP on")?;
                for (index, (name, is_native)) in interfaces.iter().enumerate() {
                    let comma = if index > 0 { "," } else { "" };
                    let by = if *is_native { "in its driver" } else { "in the kernel's stack" };
                    write!(f, "{comma} {name} ({by})")?;
                }
                Ok(())
            }
            Self::Refused(why) => write!(f, "raw sockets: {}", why.escape_debug()),
        }
    }
}
