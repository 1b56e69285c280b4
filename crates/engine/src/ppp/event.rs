//! What a link reports.

use alloc::vec::Vec;
use core::fmt;
use core::net::Ipv4Addr;
use core::time::Duration;

use wire::ppp::{Code, Protocol};

use super::{Framing, Keys, NetworkPermit};
use crate::auth::{DenyReason, Method, Request};

/// What [`Link::poll_output`](super::Link::poll_output) gives, in an order that matters: an event before a frame takes
/// effect before that frame is sent.
#[derive(Debug)]
pub enum Output {
    /// A PPP frame to send, address and control field included where due.
    Frame(Vec<u8>),
    /// Something that happened.
    Event(Event),
}

/// One of the two ends of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Party {
    /// This end.
    Us,
    /// The other end.
    Peer,
}

/// Something that happened on a link.
#[derive(Debug)]
pub enum Event {
    /// A Configure-Request, -Ack, -Nak or -Reject went by. `options` are its bytes after the header.
    Negotiation {
        /// LCP, CCP, IPCP or IPV6CP.
        protocol: Protocol,
        /// Who sent it.
        from: Party,
        /// Which of the four.
        code: Code,
        /// Its identifier.
        id: u8,
        /// The options, as sent (RFC 1661 §5.1); [`wire::ppp::options`] reads them.
        options: Vec<u8>,
    },
    /// The peer told its software's name (RFC 1570 §2.1), at most 255 bytes of it.
    Identification(Vec<u8>),
    /// LCP is open.
    LinkUp(Framing),
    /// LCP has left Opened; a new negotiation follows or the link ends.
    LinkDown,
    /// The peer is sent a Challenge, its first or the same again (server).
    Challenged(Method),
    /// The peer wants in: verify, then call `authenticated` or `deny`.
    Authenticate(Request),
    /// We (server) accepted the peer, or the server accepted us (client).
    Authenticated {
        /// How; `None` when the configuration waives authentication.
        method: Option<Method>,
        /// The user name as sent.
        name: Vec<u8>,
    },
    /// The peer was refused, or the server refused us.
    AuthenticationFailed {
        /// How it was tried.
        method: Method,
        /// The user name as sent.
        name: Vec<u8>,
        /// Why; `None` on the client side, where the server does not say.
        reason: Option<DenyReason>,
        /// The server's text (client side) or ours.
        message: Vec<u8>,
        /// Whether another attempt may follow on this link.
        retry: bool,
    },
    /// The peer does not know a protocol of ours (LCP Protocol-Reject).
    ProtocolRejected(Protocol),
    /// CCP is open with MPPE: use these keys from the next packet on.
    Keys(Keys),
    /// CCP has left Opened: the keys are void.
    KeysGone,
    /// The peer asks for a fresh start of stateful MPPE towards it (CCP Reset-Request).
    ResetTransmit,
    /// The peer says that its stateful MPPE starts afresh (CCP Reset-Ack).
    ResetAcked,
    /// Network packets may flow. Comes again, with the new values, when something changed.
    NetworkUp(NetworkPermit),
    /// Network packets may flow no longer.
    NetworkDown,
    /// An Echo-Reply came this long after its Echo-Request.
    EchoAnswered(Duration),
    /// An Echo-Request of [`Link::probe`](super::Link::probe) was answered: the sizes of its LCP packet and of the answer's, in bytes.
    ProbeAnswered {
        /// Ours.
        sent: u16,
        /// The peer's.
        came: u16,
    },
    /// So many Echo-Requests in a row are unanswered.
    EchoMissing(u32),
    /// Our own magic number came back.
    Loopback,
    /// The link has ended. Nothing follows.
    Closed(Cause),
}

/// Why a link ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The peer sent a Terminate-Request, with this text.
    PeerTerminated(Vec<u8>),
    /// We were told to end it, with this text for the peer.
    Local(&'static str),
    /// No LCP packet ever came.
    NoAnswer,
    /// LCP packets came, but the two ends did not agree; names the protocol.
    NotConverging(Protocol),
    /// The peer does not accept any authentication method that we may use.
    NoCommonAuthentication,
    /// The peer (client side: the server) asked for no authentication that we accept, or rejected the protocol.
    AuthenticationRejected,
    /// The peer stayed silent during authentication.
    AuthenticationTimeout(Method),
    /// The peer was refused; see the `AuthenticationFailed` event.
    AuthenticationFailed,
    /// The server's proof of the password did not hold (MS-CHAPv2, client side).
    ServerNotAuthentic,
    /// Encryption is required, but the authentication method makes no keys.
    NoKeys,
    /// Encryption is required, but the peer refuses CCP or MPPE.
    EncryptionRefused,
    /// The peer does not take the address that we give, and insists on this one.
    AddressRefused(Option<Ipv4Addr>),
    /// The peer refuses our own address.
    LocalAddressRefused,
    /// The peer refused every network protocol.
    NoNetworkProtocol,
    /// Echo-Requests stayed unanswered.
    EchoTimeout,
    /// Our packets come back to us.
    Looped,
    /// The lower layer went away.
    LowerLayerDown,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::PeerTerminated(text) if text.iter().any(u8::is_ascii_graphic) => {
                write!(f, "LCP terminated by peer ({})", text.escape_ascii())
            }
            Cause::PeerTerminated(_) => f.write_str("LCP terminated by peer"),
            Cause::Local(text) => f.write_str(text),
            Cause::NoAnswer => f.write_str("LCP: timeout sending Config-Requests"),
            Cause::NotConverging(protocol) => {
                write!(f, "{protocol} negotiation does not converge")
            }
            Cause::NoCommonAuthentication => {
                f.write_str("peer refuses every authentication method that is allowed here")
            }
            Cause::AuthenticationRejected => f.write_str("peer refused to authenticate"),
            Cause::AuthenticationTimeout(method) => {
                write!(f, "no answer to {method} authentication")
            }
            Cause::AuthenticationFailed => f.write_str("authentication failed"),
            Cause::ServerNotAuthentic => {
                f.write_str("the server could not prove that it knows the password")
            }
            Cause::NoKeys => f.write_str("MPPE required, but MS-CHAP[v2] auth not performed."),
            Cause::EncryptionRefused => f.write_str("MPPE required but peer negotiation failed"),
            Cause::AddressRefused(Some(address)) => {
                write!(f, "peer insists on the address {address}")
            }
            Cause::AddressRefused(None) => f.write_str("peer refuses the address given to it"),
            Cause::LocalAddressRefused => f.write_str("peer refuses our address"),
            Cause::NoNetworkProtocol => f.write_str("peer refuses every network protocol"),
            Cause::EchoTimeout => f.write_str("Serial link appears to be disconnected."),
            Cause::Looped => f.write_str("Serial line is looped back."),
            Cause::LowerLayerDown => f.write_str("the call ended"),
        }
    }
}
