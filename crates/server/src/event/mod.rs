//! Everything that happens, as data. Log lines are one view of it; nothing is logged beside it.

mod bus;

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::process::ExitStatus;
use std::time::{Duration, SystemTime};

use crypto::mppe::{Mode, Strength};
use engine::auth::{DenyReason, Method};
use engine::control;
use engine::data::DropReason;
use engine::ppp::{Cause, Framing, Ipv4Agreed, Ipv6Agreed, NetworkPermit, Party};
use wire::ppp::{Code, Protocol};

use crate::capture;
use crate::clock::Jump;
use crate::flood::Untold;
use crate::locks::Subject;
use crate::look::{Beyond, Wire};
use crate::trail::Packed;
use crate::verdict::{Judgement, Remark, Stage};

pub use bus::{Bus, Source};

/// One thing that happened, when, and to whom.
#[derive(Debug)]
pub struct Record {
    /// When.
    pub at: SystemTime,
    /// The control connection's or session's peer, when it concerns one.
    pub peer: Option<SocketAddrV4>,
    /// The session's number, counted from 1 since the server's start, when it concerns one.
    pub session: Option<u64>,
    /// Whether it belongs to an attempt of a flood: what grows leaves it out. How many there were is an event.
    pub untold: bool,
    /// What.
    pub event: Event,
}

/// What can happen.
#[derive(Debug)]
#[allow(missing_docs)]
pub enum Event {
    /// The server listens.
    Started { listening: Vec<SocketAddr>, connections: usize },
    /// The server was told to stop.
    Stopping { sessions: usize },
    /// Options and secrets were read again.
    Reloaded,
    /// Options or secrets could not be read again; the old ones stay. A rendered diagnostic.
    ReloadFailed(String),
    /// A warning or note about a file, rendered on one line.
    Diagnostic(String),
    /// All sessions share this interface, which has so many queues. `unsteered`: why the kernel does not put each packet into the right one, so
    /// that workers hand packets over.
    SharedInterface { name: String, queues: usize, unsteered: Option<String> },
    /// Which way GRE packets take past raw sockets, or why they do not: a line about it.
    PacketPath(String),
    /// A change to this host was found left over from a run that did not end properly, and undone.
    LeftoverUndone(String),
    /// A connection could not be accepted.
    AcceptFailed(String),
    /// A connection was closed before it began: a limit was reached. Told once a second at most; `untold` others came since.
    ConnectionRefused { peer: SocketAddr, limit: &'static str, untold: u64 },
    /// Packets of this client, or of all, are captured from now on; by whom.
    CaptureBegun { whom: Option<Ipv4Addr>, user: u32 },
    /// They are captured no longer.
    CaptureEnded { whom: Option<Ipv4Addr>, figures: capture::Figures },
    /// So many attempts are neither in the log nor in the history, as there were too many.
    AttemptsUntold(Untold),
    /// This host's clock jumped.
    ClockJumped(Jump),
    /// A control connection began.
    Connected { local: SocketAddr },
    /// Something on the control connection.
    Control(control::Event),
    /// The control connection's TCP connection ended, and not by us.
    TcpEnded(TcpEnd),
    /// The peer does not read what we send.
    PeerNotReading,
    /// The control connection is over.
    Disconnected,
    /// A call was refused: no slot or no address is free.
    NoFreeSlot,
    /// A call is up; PPP begins.
    CallStarted { our_call_id: u16, peer_call_id: u16 },
    /// A PPP frame went by (only with `debug`).
    Frame { from: Party, frame: Vec<u8> },
    /// Options were asked for, granted or refused.
    Negotiation { protocol: Protocol, from: Party, code: Code, id: u8, options: Vec<u8> },
    /// The peer does not know this protocol (LCP Protocol-Reject).
    ProtocolRejected { protocol: Protocol },
    /// The peer named its software.
    Identification(Vec<u8>),
    /// LCP is open.
    LinkUp(Framing),
    /// LCP is no longer open.
    LinkDown,
    /// LCP has ended, by whom and why.
    LinkClosed(Cause),
    /// The peer is asked for its proof (a Challenge), for the first time or again.
    Challenged(Method),
    /// The peer wants in, and its proof is judged.
    LoginTried { method: Method, name: Vec<u8> },
    /// PAM is asked about the login.
    PamAsked,
    /// The peer is who it says.
    Authenticated { method: Option<Method>, name: Vec<u8> },
    /// The peer is not who it says.
    AuthenticationFailed { method: Method, name: Vec<u8>, reason: Option<DenyReason>, retry: bool },
    /// The user may not use the address; says which.
    AddressNotAllowed { name: Vec<u8>, address: Ipv4Addr },
    /// MPPE is in use.
    Encrypted { strength: Strength, mode: Mode },
    /// MPPE is no longer in use.
    NotEncrypted,
    /// Stateful MPPE has lost its place, and this end asks the other for a fresh start (CCP Reset-Request).
    ResetRequested { by: Party },
    /// The peer starts stateful MPPE towards us afresh, as it was asked (CCP Reset-Ack).
    ResetAcked,
    /// Network packets may flow, or may flow differently.
    NetworkUp(NetworkPermit),
    /// IPv4 addresses are agreed on.
    Ipv4Up(Ipv4Agreed),
    /// IPv6 interface identifiers are agreed on.
    Ipv6Up(Ipv6Agreed),
    /// Network packets may flow no longer.
    NetworkDown,
    /// The session has an interface, which is still down.
    InterfaceMade { name: String },
    /// The session's interface is up.
    InterfaceUp { name: String, mtu: u16 },
    /// The peer's address is answered for on this interface.
    ProxyArp { interface: String },
    /// No interface of ours has the peer's address in its network.
    NoProxyArpInterface,
    /// The host refused a change that a session needs.
    HostFailed { what: &'static str, error: String },
    /// Something happened for the first time in the session.
    First(dataplane::First),
    /// A GRE packet came from the peer (only with `debug`). `expected` is the number behind the newest before it; `untold` packets before it
    /// are not in the log.
    GrePacket { seq: u32, expected: Option<u32>, dropped: Option<DropReason>, untold: u64 },
    /// A GRE packet for one of our calls came from another address.
    WrongPeer { from: Ipv4Addr, call_id: u16 },
    /// A GRE packet for a call that is not there.
    UnknownCall { from: Ipv4Addr, call_id: u16 },
    /// Other sessions from the same address are up, while this one's client is not heard.
    SharesAddress { sessions: usize },
    /// This host's interfaces were watched, as the client was not heard.
    WireWatched(Wire),
    /// They could not be watched.
    NotWatched { why: String },
    /// The client asks these again and again, and gets no answer from them.
    Unanswered { destinations: Vec<Ipv4Addr> },
    /// What this host has to do with that.
    Beyond(Beyond),
    /// It could not be looked at.
    NotLooked { what: &'static str, why: String },
    /// Another host on this interface has the client's address, by its answer to an ARP probe.
    AddressTaken { address: Ipv4Addr, interface: String, by: [u8; 6] },
    /// An address of the network that the client is in, outside of the tunnel.
    ClientsNetwork { address: Ipv4Addr },
    /// Packets in the tunnel of up to `passes` bytes pass, and those of `lost` do not. `path_mtu`: what routers on the way have told the kernel.
    SizesProbed { passes: u16, lost: u16, path_mtu: Option<u32> },
    /// The client said so often that packets of ours are too large for a network behind it (ICMP fragmentation needed).
    TooBig { count: u16 },
    /// Something is not right with a session that is up.
    Noticed(Remark),
    /// The peer asked for routes in its tunnel (DHCPINFORM) and was told so many.
    InformAnswered { routes: usize },
    /// How well packets come, when that has changed noticeably.
    Quality(Quality),
    /// So many packets have been dropped for a reason, since the session's start: told at 1, 10, 100 and so on.
    Dropped { reason: DropReason, count: u64 },
    /// The peer answered an LCP Echo-Request.
    EchoAnswered(Duration),
    /// So many LCP Echo-Requests are unanswered.
    EchoMissing(u32),
    /// The peer's packets are our own.
    Loopback,
    /// No traffic for as long as the configuration allows.
    Idle,
    /// The session lasted as long as the configuration allows.
    TimeUp,
    /// As much traffic as the configuration allows.
    TrafficLimit,
    /// A call was refused: the caller's address is not among those that may call.
    CallerNotAllowed,
    /// So many logins failed that further ones are refused for this time.
    Locked { subject: Subject, failures: u32, time: Duration },
    /// A call or login was refused because of that; for how long it goes on.
    LoginLocked { subject: Subject, left: Duration },
    /// An administrator lifted a lock.
    Unlocked(Subject),
    /// The session had not logged in, and another caller needed its slot.
    Displaced,
    /// The connection had no session yet, and there were too many like it: the oldest gives way.
    GaveWay,
    /// An administrator ended the session, for this reason.
    Kicked { reason: String },
    /// The same user logged in again, from there, with the same address in the tunnel; `moved`: that is another place than before.
    Replaced { by: Ipv4Addr, moved: bool },
    /// A script runs.
    ScriptStarted { script: String, pid: u32 },
    /// A script has ended.
    ScriptFinished { script: String, pid: u32, status: ExitStatus },
    /// A script could not be run, or not to its end.
    ScriptFailed { script: String, error: String },
    /// The session is over.
    SessionEnded(Summary, Attempt),
    /// The control connection is over and has seen no session.
    NoSession(Attempt),
}

/// How a control connection's TCP connection ended when it was not us who ended it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TcpEnd {
    /// The peer closed it properly (FIN).
    Closed,
    /// It was reset (RST), by the peer or by something between.
    Reset,
    /// Nothing that we sent was acknowledged for too long.
    TimedOut,
    /// Something else, in the kernel's words.
    Failed(io::ErrorKind),
}

impl From<&io::Error> for TcpEnd {
    fn from(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Self::Reset,
            io::ErrorKind::TimedOut => Self::TimedOut,
            kind => Self::Failed(kind),
        }
    }
}

/// Shows as what a person says of it, behind "the TCP connection".
impl fmt::Display for TcpEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("was closed by the client (FIN)"),
            Self::Reset => f.write_str("was reset (RST)"),
            Self::TimedOut => f.write_str("timed out: nothing was acknowledged any more"),
            Self::Failed(kind) => write!(f, "failed: {kind}"),
        }
    }
}

/// How well packets came from the peer in a stretch of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quality {
    /// GRE packets that came.
    pub received: u64,
    /// Those that went missing.
    pub lost: u64,
    /// Those that came after a later one.
    pub reordered: u64,
    /// From a packet of ours to its acknowledgement, smoothed.
    pub round_trip: Option<Duration>,
}

/// Shows as `1000 packets came, 12.5 % lost, 3 reordered, round trip 1.5 ms`.
impl fmt::Display for Quality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let share = self.lost as f64 * 100.0 / (self.lost + self.received).max(1) as f64;
        write!(
            f,
            "{} packets came, {share:.1} % lost, {} reordered",
            self.received, self.reordered
        )?;
        match self.round_trip {
            Some(time) => write!(f, ", round trip {:.1} ms", time.as_secs_f64() * 1000.0),
            None => Ok(()),
        }
    }
}

/// What the evidence says of an attempt that is over.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Which client it was, as far as it can be told.
    pub client: Option<String>,
    /// How far it got.
    pub stage: Stage,
    /// Why it ended.
    pub judgement: Judgement,
    /// The name that was tried last, whether or not it was let in.
    pub name: Option<Vec<u8>>,
    /// From TCP to this end.
    pub lasted: Duration,
    /// What happened.
    pub trail: Packed,
}

/// A session, when it is over.
#[derive(Clone, Debug)]
pub struct Summary {
    /// The user, if it got so far.
    pub user: Option<Vec<u8>>,
    /// The address in the tunnel, if it got so far.
    pub address: Option<Ipv4Addr>,
    /// From the call's beginning to its end.
    pub duration: Duration,
    /// How long network packets could flow, if ever.
    pub connected: Option<Duration>,
    /// Bytes of IP packets to the peer.
    pub sent: u64,
    /// Those packets.
    pub sent_packets: u64,
    /// Bytes of IP packets from the peer.
    pub received: u64,
    /// Those packets.
    pub received_packets: u64,
    /// Those of them that were for a single address.
    pub received_unicast: u64,
    /// GRE packets from the peer.
    pub gre_received: u64,
    /// GRE packets to the peer.
    pub gre_sent: u64,
    /// GRE packets from the peer that went missing.
    pub gre_lost: u64,
    /// GRE packets from the peer that came after a later one.
    pub gre_reordered: u64,
    /// From a packet of ours to its acknowledgement, smoothed.
    pub round_trip: Option<Duration>,
    /// Packets dropped, by reason, where there were any.
    pub drops: Vec<(&'static str, u64)>,
    /// Why.
    pub cause: Ended,
}

impl Summary {
    /// How many packets were dropped for a reason.
    pub(crate) fn dropped(&self, reason: &str) -> u64 {
        self.drops.iter().find(|(name, _)| *name == reason).map_or(0, |(_, count)| *count)
    }
}

/// Why a session is over.
#[derive(Clone, Debug)]
pub enum Ended {
    /// PPP ended.
    Link(Cause),
    /// The call ended on the control connection.
    Call(control::CallEnd),
}

/// Takes events.
pub trait Subscriber {
    /// Called for each event, in order, on the control plane's thread: must not block.
    fn take(&self, record: &Record);
}

/// The link-local address with an interface identifier, as pppd writes it: without leaving zeros out.
pub(crate) fn link_local(id: [u8; 8]) -> String {
    let [a, b, c, d, e, f, g, h] = id;
    format!("fe80::{a:02x}{b:02x}:{c:02x}{d:02x}:{e:02x}{f:02x}:{g:02x}{h:02x}")
}
