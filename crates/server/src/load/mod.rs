//! Many clients in one process: how many sessions a PPTP server sets up in a second, how long that takes, and how they fare.
//!
//! Each is a whole client on the engines, with a TCP connection of its own; one raw GRE socket carries the packets of all. There are no
//! interfaces: what goes through the tunnels is made and answered here.

mod caller;
mod driver;
mod histogram;
mod report;
mod timers;
mod traffic;

use std::io;
use std::net::Ipv4Addr;
use std::thread;
use std::time::Duration;

use crypto::Password;
use engine::control;
use engine::ppp::{InterfaceIds, LcpConfig, MppePolicy};
use sys::event::EventFd;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use wire::control::Name;

use crate::connect::{Failure, Stage, look_up};
use crate::open_files;
use driver::Driver;
pub use histogram::Histogram;
pub use report::{Report, Trouble};

/// The most sessions at a time: each has a call id of its own, and those that have just been used rest.
pub const MOST_SESSIONS: u32 = 60_000;

/// Open files beside the sessions' connections.
const OTHER_FILES: u64 = 32;

/// What to ask of a server.
#[derive(Clone, Debug)]
pub struct Options {
    /// The server, `host` or `host:port`.
    pub server: String,
    /// Sessions at a time, 1 to [`MOST_SESSIONS`].
    pub sessions: u32,
    /// Sessions in all; more than `sessions`: whenever one has ended, the next begins.
    pub total: u32,
    /// Sessions begun in a second; `None`: as fast as they come up.
    pub rate: Option<f64>,
    /// The time in which the rate rises to what it is.
    pub ramp: Duration,
    /// Sessions that may be on their way up, or down, at a time.
    pub at_once: u32,
    /// How long sessions stay: all of them after the last has come up, or each for itself where there are more in all than at a time.
    pub hold: Duration,
    /// How long each stage of a session may take.
    pub patience: Duration,
    /// A session that failed is tried again after this time, until it has been tried so often.
    pub again: (Duration, u32),
    /// What goes through the tunnels.
    pub traffic: Traffic,
    /// What kind of client the sessions look like.
    pub flavour: Flavour,
    /// Time between LCP Echo-Requests; `None` sends none.
    pub echo: Option<Duration>,
    /// Who logs in, in turn; not empty.
    pub users: Vec<(Vec<u8>, Password)>,
    /// Addresses of this host to come from, in turn: the first and the last.
    pub sources: Option<(Ipv4Addr, Ipv4Addr)>,
    /// What is wanted of encryption.
    pub mppe: MppePolicy,
    /// How sessions end.
    pub end: End,
}

impl Options {
    /// Whether each session stays for itself, and the next one takes its place.
    fn is_each_for_itself(&self) -> bool {
        self.total > self.sessions
    }

    /// Whether the traffic of all sessions begins at once.
    fn begins_together(&self) -> bool {
        matches!(self.traffic, Traffic::Bulk(_)) && !self.is_each_for_itself()
    }
}

/// What goes through the tunnels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traffic {
    /// Nothing.
    None,
    /// Each session sends its server's inner address an ICMP Echo-Request, this often.
    Ping(Duration),
    /// Echo-Requests as long as the tunnel takes, so many bits a second in all, and as many come back. Where sessions are held together it
    /// begins when all have come up: it would take the packets of those that still negotiate.
    Bulk(u64),
}

/// What kind of client a session looks like, in its control messages and its LCP options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    /// Windows.
    Windows,
    /// pptp-linux and pppd.
    Linux,
    /// Android.
    Android,
}

/// How sessions end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With a word in PPP, of the call and of the connection.
    Goodbye,
    /// Their TCP connections are closed and no word is said.
    Hangup,
}

impl Flavour {
    fn control(self) -> control::Config {
        let windows = control::Config::windows_like();
        match self {
            Self::Windows => windows,
            Self::Linux => control::Config {
                host_name: Name::new(b"local"),
                vendor: Name::new(b"cananian"),
                firmware: 1,
                framing: 3,
                bearer: 3,
                receive_window: 3,
                ..windows
            },
            Self::Android => control::Config {
                host_name: Name::new(b"anonymous"),
                vendor: Name::new(b""),
                receive_window: 8192,
                ..windows
            },
        }
    }

    fn lcp(self) -> LcpConfig {
        let default = LcpConfig::default();
        match self {
            Self::Windows => LcpConfig { mru: 1400, mtu: 1400, accm: None, ..default },
            Self::Linux | Self::Android => LcpConfig { mru: 1500, mtu: 1500, ..default },
        }
    }

    fn ipv6(self) -> Option<InterfaceIds> {
        (self == Self::Windows).then(InterfaceIds::default)
    }
}

/// Sets the sessions up, holds them, ends them, and gives the figures. SIGINT and SIGTERM end it early, and its sessions orderly; the second
/// one at once. `progress` is called once a second.
///
/// # Errors
///
/// What keeps it from beginning: a name that cannot be looked up, no raw socket, too few open files allowed.
pub fn run(options: &Options, progress: impl FnMut(&Report) + Send) -> Result<Report, Failure> {
    let local = |error: io::Error| Failure::new(Stage::Name, error.to_string());
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(local)?;
    let server = runtime.block_on(look_up(&options.server))?;
    let wanted = u64::from(options.sessions) + OTHER_FILES;
    if let Some(allowed) = open_files::allow(wanted).filter(|allowed| *allowed < wanted) {
        return Err(Failure::new(
            Stage::Tcp,
            format!(
                "{wanted} open files are needed and {allowed} are allowed: ask for fewer sessions, or raise the limit with `ulimit -Hn {wanted}`"
            ),
        ));
    }
    let stop = EventFd::new().map_err(local)?;
    let driver = Driver::new(options, server, &stop, progress).map_err(|error| {
        Failure::new(Stage::Gre, format!("cannot open a raw GRE socket: {error}; run as root"))
    })?;
    let (ended, end) = oneshot::channel::<()>();
    thread::scope(|scope| {
        let thread = scope.spawn(move || {
            let report = driver.run();
            drop(ended);
            report
        });
        let waited = runtime.block_on(signals(end, &stop));
        let report =
            thread.join().unwrap_or_else(|_| Err(io::Error::other("a fault in the program")));
        waited.and(report).map_err(local)
    })
}

/// Passes signals on until the end comes by itself.
async fn signals(mut end: oneshot::Receiver<()>, stop: &EventFd) -> io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    loop {
        tokio::select! {
            _ = &mut end => return Ok(()),
            _ = interrupt.recv() => stop.signal(),
            _ = terminate.recv() => stop.signal(),
        }
    }
}
