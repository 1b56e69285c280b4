//! A PPTP client on the server's engines.

mod client;
mod stage;
mod survey;

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crypto::Password;
use engine::auth::Method;
use engine::ppp::MppePolicy;
use tokio::net::{TcpStream, lookup_host};
use tokio::task::LocalSet;

pub(crate) use client::call_refusal;
pub use stage::{Failure, Progress, Stage};
pub use survey::{Found, METHODS};

use crate::event::Bus;

/// How to connect.
#[derive(Clone, Debug)]
pub struct Options {
    /// The server, `host` or `host:port`.
    pub server: String,
    /// Who we are.
    pub user: Vec<u8>,
    /// What we know.
    pub password: Password,
    /// How we may authenticate, best first.
    pub methods: Vec<Method>,
    /// What we want of encryption.
    pub mppe: MppePolicy,
    /// The interface's name, with `%d` for a number; `None` makes no interface.
    pub interface: Option<String>,
    /// Networks to route through the tunnel: address and length of the prefix.
    pub routes: Vec<(Ipv4Addr, u8)>,
    /// When to end.
    pub goal: Goal,
    /// Move packets one by one, as a yardstick for benchmarks.
    pub naive_io: bool,
    /// How packets are carried.
    pub packets: config::Packets,
    /// How long each stage may take.
    pub patience: Duration,
    /// Where changes to this host are noted until they are undone.
    pub state_dir: PathBuf,
}

/// When a client that meets no trouble ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// As soon as LCP is open, before anything of the user is sent.
    Link {
        /// Find out first how long packets may be.
        sizes: bool,
    },
    /// As soon as the tunnel is up.
    Tunnel,
    /// When it is told to.
    Stay,
}

/// Connects, and stays connected until SIGINT, SIGTERM or the tunnel's end. `report` hears of each stage that was reached.
///
/// # Errors
///
/// The stage that failed.
pub fn run(options: &Options, bus: &Bus, report: impl FnMut(&Progress)) -> Result<(), Failure> {
    examine(options, bus, report, &mut Found::default())
}

/// As [`run`]; what is found out about the server is written down, also when the connection fails.
///
/// # Errors
///
/// The stage that failed.
pub fn examine(
    options: &Options,
    bus: &Bus,
    mut report: impl FnMut(&Progress),
    found: &mut Found,
) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Stage::Name, error.to_string()))?;
    let begun = Instant::now();
    LocalSet::new().block_on(&runtime, async move {
        let mut reached = |stage, detail: String| {
            report(&Progress { stage, after: begun.elapsed(), detail });
        };
        let server = look_up(&options.server).await?;
        reached(Stage::Name, server.to_string());
        let stream = open_tcp(server, options.patience).await?;
        let local = match stream.local_addr() {
            Ok(SocketAddr::V4(local)) => local,
            _ => return Err(Failure::new(Stage::Tcp, "PPTP works over IPv4 only")),
        };
        reached(Stage::Tcp, format!("from {local}"));
        client::run(options, bus, stream, (server, *local.ip()), found, &mut reached).await
    })
}

pub(crate) async fn look_up(server: &str) -> Result<SocketAddrV4, Failure> {
    let target = match server.rsplit_once(':') {
        Some(_) => server.to_owned(),
        None => format!("{server}:{}", wire::control::PORT),
    };
    let found = lookup_host(&target).await.map_err(|error| {
        Failure::new(Stage::Name, format!("{server:?} cannot be looked up: {error}"))
    })?;
    found
        .filter_map(|address| match address {
            SocketAddr::V4(address) => Some(address),
            SocketAddr::V6(_) => None,
        })
        .next()
        .ok_or_else(|| Failure::new(Stage::Name, format!("{server:?} has no IPv4 address")))
}

async fn open_tcp(server: SocketAddrV4, patience: Duration) -> Result<TcpStream, Failure> {
    match tokio::time::timeout(patience, TcpStream::connect(server)).await {
        Ok(Ok(stream)) => {
            // Small messages answer one another: waiting to fill a segment only delays the call.
            let _ = stream.set_nodelay(true);
            Ok(stream)
        }
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
            let message = format!("{server} refuses TCP: no PPTP server listens there");
            Err(Failure::new(Stage::Tcp, message))
        }
        Ok(Err(error)) => Err(Failure::new(Stage::Tcp, format!("{server}: {error}"))),
        Err(_) => Err(Failure::silence(Stage::Tcp, SocketAddr::V4(server))),
    }
}
