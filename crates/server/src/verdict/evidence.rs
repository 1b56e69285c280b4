//! What the events of an attempt have shown.

use std::cell::RefCell;
use std::fmt;
use std::net::Ipv4Addr;
use std::rc::Rc;

use dataplane::First;
use engine::auth::DenyReason;
use engine::control::{self, Direction};
use engine::ppp::Party;
use wire::Escaped;
use wire::ccp::{CcpOption, MppeBits};
use wire::control::Message;
use wire::lcp::{AuthProtocol, LcpOption};
use wire::ppp::{Code, Protocol};

use crate::event::{Event, TcpEnd};
use crate::look::{Beyond, Wire};

/// The longest name that is kept, in bytes.
const LONGEST_NAME: usize = 255;

/// What is known of an attempt: of its control connection, and of one call on it. Bounded, whatever the peer does.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    pub(super) connection: Rc<RefCell<OfConnection>>,
    pub(super) call: Option<Rc<RefCell<OfCall>>>,
}

/// How far an attempt got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// The control connection.
    #[default]
    Control,
    /// The call was placed.
    Call,
    /// GRE packets came.
    Gre,
    /// LCP came up.
    Lcp,
    /// The client was let in.
    Login,
    /// Packets could flow.
    Network,
}

/// What a control connection has shown.
#[derive(Debug, Default)]
pub(super) struct OfConnection {
    pub(super) peer: Option<Peer>,
    /// What the client calls its software in PPP.
    pub(super) software: Option<Box<[u8]>>,
    /// The name that was tried last in a login.
    pub(super) name: Option<Box<[u8]>>,
    /// Calls that were accepted, each of which has a verdict of its own.
    pub(super) calls: u32,
    pub(super) no_free_slot: bool,
    pub(super) caller_not_allowed: bool,
    pub(super) locked: bool,
    pub(super) echo_missing: bool,
    /// The client said goodbye on the control connection.
    pub(super) goodbye: bool,
    pub(super) cut: Option<TcpEnd>,
    pub(super) closed: Option<Box<control::Cause>>,
}

/// What a client says of itself on the control connection. Texts without the zeros that fill them up there.
#[derive(Debug)]
pub(super) struct Peer {
    host_name: Box<[u8]>,
    vendor: Box<[u8]>,
    firmware: u16,
    framing: u32,
    bearer: u32,
}

impl Peer {
    fn of(peer: &control::Peer) -> Self {
        Self {
            host_name: peer.host_name.as_bytes().into(),
            vendor: peer.vendor.as_bytes().into(),
            firmware: peer.firmware,
            framing: peer.framing,
            bearer: peer.bearer,
        }
    }
}

/// What a call has shown.
#[derive(Debug, Default)]
pub(super) struct OfCall {
    pub(super) stage: Stage,
    /// LCP Configure-Requests that came.
    pub(super) asked: u32,
    /// The client has answered one of ours.
    pub(super) answered: bool,
    pub(super) from_elsewhere: Option<Ipv4Addr>,
    pub(super) other_call_id: Option<u16>,
    pub(super) not_sent: bool,
    pub(super) host_failed: bool,
    pub(super) denied: Option<Box<Denied>>,
    /// Other sessions from the same address that were up when this one was silent.
    pub(super) others: u32,
    pub(super) wire: Option<Box<Wire>>,
    /// Why nobody watched this host's interfaces.
    pub(super) not_watched: Option<Box<str>>,
    /// The ways to log in that we asked for: there are four.
    pub(super) asked_for: [Option<AuthProtocol>; 4],
    /// The way to log in that the client named in place of ours.
    pub(super) wanted: Option<AuthProtocol>,
    /// The client wants us to log in to it.
    pub(super) wants_ours: bool,
    pub(super) no_ccp: bool,
    /// We refused the client's encryption.
    pub(super) mppe_refused: bool,
    /// The addresses at our end and the client's.
    pub(super) agreed: Option<(Ipv4Addr, Ipv4Addr)>,
    /// The client asked for routes and was told so many.
    pub(super) routes_told: Option<u32>,
    /// IPCP packets came.
    pub(super) talked_addresses: bool,
    /// The bits of the client's newest CCP request for MPPE.
    pub(super) mppe: Option<MppeBits>,
    pub(super) idle: bool,
    pub(super) limit: bool,
    pub(super) replaced: bool,
    /// Where the user called from who took the address, where that is another place.
    pub(super) moved_to: Option<Ipv4Addr>,
    pub(super) displaced: bool,
    pub(super) kicked: bool,
    pub(super) no_proxy_arp: bool,
    /// What was seen of a session that is up.
    pub(super) up: Option<Box<OfTunnel>>,
    pub(super) script_failed: bool,
}

/// What a session that is up has shown beyond its own events: most show nothing of it.
#[derive(Debug, Default)]
pub(super) struct OfTunnel {
    pub(super) beyond: Option<Beyond>,
    /// Another host has the client's address: the interface, and that host's hardware address.
    pub(super) address_taken: Option<(String, [u8; 6])>,
    /// An address of the client's own network.
    pub(super) clients_network: Option<Ipv4Addr>,
    /// Sizes that pass and do not, and what is known of the path's MTU.
    pub(super) sizes: Option<(u16, u16, Option<u32>)>,
    pub(super) too_big: u16,
}

/// A login that was refused.
#[derive(Debug)]
pub(super) struct Denied {
    pub(super) reason: DenyReason,
    pub(super) has_domain: bool,
}

/// What the server does when GRE packets cannot be sent, in [`Event::HostFailed`].
pub(crate) const SENDING: &str = "send GRE packets to the client";

impl Evidence {
    /// For a new call on the same connection.
    pub(crate) fn of_call(&self) -> Self {
        Self { connection: self.connection.clone(), call: Some(Rc::default()) }
    }

    /// Takes in an event of this connection or call.
    pub(crate) fn observe(&self, event: &Event) {
        match &self.call {
            Some(call) => {
                call.borrow_mut().observe(event);
                let mut connection = self.connection.borrow_mut();
                match event {
                    Event::CallStarted { .. } => connection.calls += 1,
                    Event::Identification(text) => connection.identified(text),
                    Event::LoginTried { name, .. } => {
                        connection.name = Some(name.iter().take(LONGEST_NAME).copied().collect());
                    }
                    _ => {}
                }
            }
            None => self.connection.borrow_mut().observe(event),
        }
    }

    /// Which client it is, as far as it can be told: `Windows Vista or later`, or what it calls itself.
    #[must_use]
    pub fn client(&self) -> Option<String> {
        self.connection.borrow().client()
    }

    /// The name that the client tried last to log in with.
    #[must_use]
    pub fn name(&self) -> Option<Vec<u8>> {
        self.connection.borrow().name.as_deref().map(<[u8]>::to_vec)
    }

    /// How far it got.
    #[must_use]
    pub fn stage(&self) -> Stage {
        self.call.as_ref().map_or(Stage::Control, |call| call.borrow().stage)
    }
}

impl OfConnection {
    fn observe(&mut self, event: &Event) {
        match event {
            Event::Control(event) => self.control(event),
            Event::NoFreeSlot => self.no_free_slot = true,
            Event::CallerNotAllowed => self.caller_not_allowed = true,
            Event::TcpEnded(end) => self.cut = Some(*end),
            Event::LoginLocked { .. } => self.locked = true,
            _ => {}
        }
    }

    fn control(&mut self, event: &control::Event) {
        match event {
            control::Event::Started(peer) => self.peer = Some(Peer::of(peer)),
            control::Event::EchoMissing => self.echo_missing = true,
            control::Event::Closed(cause) => self.closed = Some(Box::new(*cause)),
            control::Event::Message {
                direction: Direction::Received,
                message: Message::StopRequest(_) | Message::CallClearRequest(_),
            } => self.goodbye = true,
            _ => {}
        }
    }

    /// Windows sends two texts and a number without meaning; the first that names a system counts.
    fn identified(&mut self, text: &[u8]) {
        if self.software.is_none() && text.is_ascii() {
            self.software = Some(text.iter().take(40).copied().collect());
        }
    }

    /// Whether it is Windows, which is never silent for long where its default route leads.
    pub(super) fn is_windows(&self) -> bool {
        let vendor = self.peer.as_ref().map(|peer| &peer.vendor[..]);
        vendor.is_some_and(|vendor| vendor.starts_with(b"Microsoft"))
    }

    /// By what clients of each make are known to send (vendor, firmware, PPP's Identification).
    fn client(&self) -> Option<String> {
        let peer = self.peer.as_ref()?;
        let (host, vendor) = (&peer.host_name[..], &peer.vendor[..]);
        let known = match (vendor, self.software.as_deref()) {
            (_, Some(b"MSRASV5.00")) => "Windows 2000",
            (_, Some(b"MSRASV5.10")) => "Windows XP or Server 2003",
            (_, Some(software)) if software.starts_with(b"MSRASV5.2") => "Windows Vista or later",
            (b"Microsoft Windows NT", _) if peer.firmware == 2600 => "Windows XP",
            (b"Microsoft Windows NT", _) => "Windows 2000 or XP",
            (b"Microsoft", _) => "Windows Vista or later",
            (b"cananian", _) => "Linux (pptp)",
            (b"", _) if host == b"anonymous" => "Android",
            (b"", _) if host.is_empty() && (peer.framing, peer.bearer) == (1, 1) => "macOS or iOS",
            (b"", _) => return None,
            (vendor, _) => return Some(Escaped(vendor).to_string()),
        };
        Some(known.to_owned())
    }
}

impl OfCall {
    fn observe(&mut self, event: &Event) {
        match event {
            Event::CallStarted { .. } => self.reached(Stage::Call),
            Event::First(First::GreReceived) => self.reached(Stage::Gre),
            Event::LinkUp(_) => self.reached(Stage::Lcp),
            Event::Authenticated { .. } => self.reached(Stage::Login),
            Event::NetworkUp(_) => self.reached(Stage::Network),
            Event::Negotiation { protocol, from, code, options, .. } => {
                self.negotiated(*protocol, *from, *code, options);
            }
            Event::ProtocolRejected { protocol: Protocol::CCP } => self.no_ccp = true,
            Event::SharesAddress { sessions } => {
                self.others = u32::try_from(*sessions).unwrap_or(u32::MAX)
            }
            Event::WireWatched(wire) => self.wire = Some(Box::new(wire.clone())),
            Event::NotWatched { why } => self.not_watched = Some(why.as_str().into()),
            Event::Ipv4Up(agreed) => self.agreed = Some((agreed.local, agreed.remote)),
            Event::Beyond(beyond) => self.tunnel().beyond = Some(beyond.clone()),
            Event::AddressTaken { interface, by, .. } => {
                self.tunnel().address_taken = Some((interface.clone(), *by));
            }
            Event::ClientsNetwork { address } => self.tunnel().clients_network = Some(*address),
            Event::SizesProbed { passes, lost, path_mtu } => {
                self.tunnel().sizes = Some((*passes, *lost, *path_mtu));
            }
            Event::TooBig { count } => self.tunnel().too_big = *count,
            Event::InformAnswered { routes } => {
                self.routes_told = Some(u32::try_from(*routes).unwrap_or(u32::MAX))
            }
            Event::WrongPeer { from, .. } => self.from_elsewhere = Some(*from),
            Event::UnknownCall { call_id, .. } => self.other_call_id = Some(*call_id),
            Event::HostFailed { what: SENDING, .. } => self.not_sent = true,
            Event::HostFailed { .. } => self.host_failed = true,
            Event::AuthenticationFailed { name, reason: Some(reason), .. } => {
                let has_domain = name.contains(&b'\\');
                self.denied = Some(Box::new(Denied { reason: *reason, has_domain }));
            }
            Event::Idle => self.idle = true,
            Event::TimeUp | Event::TrafficLimit => self.limit = true,
            Event::Replaced { by, moved } => {
                self.replaced = true;
                self.moved_to = moved.then_some(*by);
            }
            Event::Displaced => self.displaced = true,
            Event::Kicked { .. } => self.kicked = true,
            Event::NoProxyArpInterface => self.no_proxy_arp = true,
            Event::ScriptFailed { .. } => self.script_failed = true,
            Event::ScriptFinished { status, .. } => self.script_failed |= !status.success(),
            _ => {}
        }
    }

    fn negotiated(&mut self, protocol: Protocol, from: Party, code: Code, options: &[u8]) {
        let is_request = code == Code::CONFIGURE_REQUEST;
        match (protocol, from) {
            (Protocol::LCP, Party::Peer) => {
                let named = authentication(options);
                if code == Code::CONFIGURE_NAK {
                    self.wanted = named.or(self.wanted);
                }
                self.wants_ours |= is_request && named.is_some();
                self.asked = self.asked.saturating_add(u32::from(is_request));
                self.answered |= !is_request;
            }
            (Protocol::LCP, Party::Us) if is_request => {
                let way = authentication(options);
                let place = self.asked_for.iter().position(|it| it.is_none() || *it == way);
                if let Some(place) = place {
                    self.asked_for[place] = way;
                }
            }
            (Protocol::CCP, Party::Peer) if is_request => {
                self.mppe = mppe(options).or(self.mppe);
            }
            (Protocol::CCP, Party::Us) if code == Code::CONFIGURE_REJECT => {
                self.mppe_refused |= mppe(options).is_some();
            }
            (Protocol::IPCP, Party::Peer) => self.talked_addresses = true,
            _ => {}
        }
    }

    fn tunnel(&mut self) -> &mut OfTunnel {
        self.up.get_or_insert_default()
    }

    fn reached(&mut self, stage: Stage) {
        self.stage = self.stage.max(stage);
    }
}

/// The way to log in among LCP options.
fn authentication(options: &[u8]) -> Option<AuthProtocol> {
    wire::ppp::options(options).flatten().find_map(|raw| match LcpOption::parse(raw) {
        LcpOption::Authentication(protocol) => Some(protocol),
        _ => None,
    })
}

/// The MPPE bits among CCP options.
fn mppe(options: &[u8]) -> Option<MppeBits> {
    wire::ppp::options(options).flatten().find_map(|raw| match CcpOption::parse(raw) {
        CcpOption::Mppe(bits) => Some(bits),
        _ => None,
    })
}

impl Stage {
    /// What did not come that would have led further.
    #[must_use]
    pub fn missing(self) -> Option<&'static str> {
        Some(match self {
            Self::Control => "missing: a call",
            Self::Call => "missing: GRE packets (protocol 47) from the client",
            Self::Gre => "missing: agreement on the link (LCP)",
            Self::Lcp => "missing: a login that is accepted",
            Self::Login => "missing: agreement on encryption and addresses",
            Self::Network => return None,
        })
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Control => "the control connection",
            Self::Call => "the call",
            Self::Gre => "GRE",
            Self::Lcp => "LCP",
            Self::Login => "the login",
            Self::Network => "a working connection",
        })
    }
}
