//! From what was seen to the cause.

use std::fmt;
use std::time::Duration;

use engine::auth::DenyReason;
use engine::control::{self, CallEnd};
use engine::ppp::Cause;
use wire::ccp::MppeBits;
use wire::ppp::Protocol;

use super::evidence::{OfCall, OfConnection};
use super::{Evidence, Remark, Stage, Verdict, host, link, login, reach, remarks, session};
use crate::event::{Ended, Summary, TcpEnd};
use crate::look::Wire;

/// A shorter session without GRE shows nothing.
const TELLING: Duration = Duration::from_secs(3);

/// Why an attempt ended as it did.
#[derive(Clone, Debug)]
pub struct Judgement {
    /// The cause.
    pub verdict: &'static Verdict,
    /// What makes this case special.
    pub detail: Option<String>,
    /// What else is worth knowing.
    pub remarks: Vec<Remark>,
}

impl Evidence {
    /// The cause of a session's end.
    #[must_use]
    pub fn judge(&self, summary: &Summary) -> Judgement {
        let connection = self.connection.borrow();
        let nothing = OfCall::default();
        let call = self.call.as_ref().map(|call| call.borrow());
        let call = call.as_deref().unwrap_or(&nothing);
        let verdict = match summary.connected {
            Some(up) => end_of_connected(&connection, call, summary, up),
            None => end_of_attempt(&connection, call, summary),
        };
        Judgement {
            verdict,
            detail: detail(verdict, call),
            remarks: remarks::of(&connection, call, summary),
        }
    }

    /// What is not right with a session that is up, or was.
    pub(crate) fn remarks(&self, summary: &Summary) -> Vec<Remark> {
        let call = self.call.as_ref().map(|call| call.borrow());
        let connection = self.connection.borrow();
        call.map(|call| remarks::of(&connection, &call, summary)).unwrap_or_default()
    }

    /// The cause of a control connection's end that has seen no session. `None`: there was one.
    #[must_use]
    pub fn judge_connection(&self) -> Option<Judgement> {
        let connection = self.connection.borrow();
        let started = connection.peer.is_some();
        let verdict = match connection.closed.as_deref() {
            _ if connection.calls > 0 => return None,
            _ if connection.caller_not_allowed => &login::CALLER_NOT_ALLOWED,
            _ if connection.locked => &login::LOCKED,
            _ if connection.no_free_slot => &link::NO_FREE_ADDRESS,
            Some(control::Cause::Malformed(_) | control::Cause::VersionNotSupported(_)) => {
                &reach::NOT_PPTP
            }
            Some(control::Cause::Stopped { .. }) => &session::STOPPED,
            _ if started => &reach::NO_CALL,
            _ => &reach::NO_START,
        };
        Some(Judgement { verdict, detail: None, remarks: Vec::new() })
    }
}

/// A session that never worked.
fn end_of_attempt(connection: &OfConnection, call: &OfCall, summary: &Summary) -> &'static Verdict {
    if call.not_sent && call.stage <= Stage::Gre {
        return &reach::NOT_SENT;
    }
    match &summary.cause {
        Ended::Link(cause) => link_cause(connection, call, summary, cause),
        Ended::Call(_) => gave_up(connection, call, summary),
    }
}

fn link_cause(
    connection: &OfConnection,
    call: &OfCall,
    summary: &Summary,
    cause: &Cause,
) -> &'static Verdict {
    match cause {
        Cause::NotConverging(Protocol::LCP) if call.wants_ours => &login::WANTS_OURS,
        Cause::NotConverging(Protocol::LCP) => &link::NOT_CONVERGING,
        Cause::NotConverging(Protocol::CCP) | Cause::EncryptionRefused => encryption(call),
        Cause::NotConverging(_) if !call.talked_addresses => &link::NO_IPCP,
        Cause::NotConverging(_) => &link::ADDRESSES_NOT_CONVERGING,
        // What the client names instead is refused here, or it has refused it itself.
        Cause::NoCommonAuthentication => match call.wanted {
            Some(wanted) if !call.asked_for.contains(&Some(wanted)) => &login::OTHER_METHOD,
            _ => &login::NO_COMMON_METHOD,
        },
        Cause::AuthenticationRejected => &login::WOULD_NOT_LOG_IN,
        Cause::AuthenticationTimeout(_) => &login::NO_ANSWER,
        Cause::AuthenticationFailed => denied(call).unwrap_or(&login::WRONG_PASSWORD),
        Cause::NoKeys => &link::NO_KEYS,
        Cause::AddressRefused(_) => &link::ADDRESS_REFUSED,
        Cause::LocalAddressRefused => &link::OUR_ADDRESS_REFUSED,
        Cause::NoNetworkProtocol => &link::NO_NETWORK_PROTOCOL,
        Cause::Looped => &link::LOOPED,
        Cause::Local(_) if call.host_failed => &host::NO_INTERFACE,
        Cause::Local(_) if call.replaced => replaced(call),
        Cause::Local(_) if call.displaced => &link::NO_FREE_ADDRESS,
        Cause::Local(_) if call.kicked => &session::KICKED,
        Cause::Local(_) => &session::STOPPED,
        Cause::NoAnswer
        | Cause::EchoTimeout
        | Cause::LowerLayerDown
        | Cause::PeerTerminated(_)
        | Cause::ServerNotAuthentic => gave_up(connection, call, summary),
    }
}

/// The client went away, or nothing came of it: what it saw last tells why.
fn gave_up(connection: &OfConnection, call: &OfCall, summary: &Summary) -> &'static Verdict {
    if let Some(verdict) = denied(call) {
        return verdict;
    }
    if let Some(verdict) = gre(call, summary) {
        return verdict;
    }
    let left = connection.goodbye || is_peers_word(&summary.cause);
    match call.stage {
        Stage::Gre | Stage::Lcp if left && call.wants_ours => &login::WANTS_OURS,
        Stage::Login if left => match call.mppe {
            Some(_) if call.mppe_refused => &link::OURS_NOT_ENCRYPTED,
            Some(bits) if !bits.contains(MppeBits::BITS_128) => &link::WEAKER_ENCRYPTION,
            _ if call.no_ccp => &link::NO_CCP,
            _ if runs_nothing(&summary.cause) && !call.talked_addresses => {
                &link::NO_NETWORK_PROTOCOL
            }
            _ => &reach::GAVE_UP,
        },
        _ => cut(connection).unwrap_or(&reach::GAVE_UP),
    }
}

/// Whether the client said goodbye with the words of a pppd that has no network protocol to run.
fn runs_nothing(cause: &Ended) -> bool {
    matches!(cause, Ended::Link(Cause::PeerTerminated(text)) if text.starts_with(b"No network protocols"))
}

/// Whether GRE got through, both ways.
fn gre(call: &OfCall, summary: &Summary) -> Option<&'static Verdict> {
    if call.stage > Stage::Gre || summary.duration < TELLING {
        return None;
    }
    match call.stage {
        Stage::Gre if call.asked > 1 && !call.answered => Some(ours_lost(call)),
        Stage::Gre => None,
        _ if call.from_elsewhere.is_some() => Some(&reach::GRE_FROM_ELSEWHERE),
        _ if call.wire.as_ref().is_some_and(|wire| wire.came > 0) => Some(kept_out(call)),
        _ if call.others > 0 => Some(&reach::SHARED_ADDRESS),
        _ if call.other_call_id.is_some() => Some(&reach::OTHER_CALL_ID),
        _ => Some(&reach::GRE_NEVER_CAME),
    }
}

/// The client's GRE came to this host, and not to us.
fn kept_out(call: &OfCall) -> &'static Verdict {
    match &call.wire {
        Some(wire) if wire.reverse_path && wire.rule.is_none() => &reach::REVERSE_PATH,
        _ => &reach::OWN_FIREWALL,
    }
}

/// The client does not hear ours.
fn ours_lost(call: &OfCall) -> &'static Verdict {
    match &call.wire {
        Some(wire) if other_way(wire).is_some() => &reach::OTHER_WAY_OUT,
        _ if call.others > 0 => &reach::SHARED_ADDRESS,
        _ => &reach::OURS_LOST,
    }
}

/// How ours leave otherwise than the client's come.
fn other_way(wire: &Wire) -> Option<String> {
    if let Some(from) = wire.went_from {
        return Some(format!("they leave with the source address {from}"));
    }
    let (came, went) = (wire.came_by.as_ref()?, wire.went_by.as_ref()?);
    (came != went).then(|| format!("they come by {came}, ours leave by {went}"))
}

/// How the control connection's TCP connection ended, where that was the trouble.
fn cut(connection: &OfConnection) -> Option<&'static Verdict> {
    match connection.cut {
        _ if connection.echo_missing => Some(&reach::CONTROL_SILENT),
        _ if connection.goodbye => None,
        Some(TcpEnd::Reset) => Some(&reach::CUT),
        Some(TcpEnd::TimedOut | TcpEnd::Failed(_)) => Some(&reach::CONTROL_SILENT),
        Some(TcpEnd::Closed) | None => None,
    }
}

/// The user logged in again: whether from the same place.
fn replaced(call: &OfCall) -> &'static Verdict {
    if call.moved_to.is_some() { &session::DUPLICATE } else { &session::REPLACED }
}

fn denied(call: &OfCall) -> Option<&'static Verdict> {
    let denied = call.denied.as_ref().filter(|_| call.stage < Stage::Login)?;
    Some(match denied.reason {
        DenyReason::UnknownUser if denied.has_domain => &login::UNKNOWN_WITH_DOMAIN,
        DenyReason::UnknownUser => &login::UNKNOWN_USER,
        DenyReason::OtherServer => &login::OTHER_SERVER,
        DenyReason::NotAscii => &login::NOT_ASCII,
        DenyReason::WrongPassword => &login::WRONG_PASSWORD,
        DenyReason::NotAllowed(_) => &login::NOT_ALLOWED,
        DenyReason::Locked => &login::LOCKED,
        DenyReason::Malformed | DenyReason::SecretUnusable => &login::UNUSABLE,
    })
}

fn encryption(call: &OfCall) -> &'static Verdict {
    match call.mppe {
        Some(bits)
            if !bits.contains(MppeBits::BITS_128)
                && (bits.contains(MppeBits::BITS_40) || bits.contains(MppeBits::BITS_56)) =>
        {
            &link::WEAKER_ENCRYPTION
        }
        _ if call.no_ccp => &link::NO_CCP,
        _ => &link::NO_ENCRYPTION,
    }
}

/// A session that worked.
fn end_of_connected(
    connection: &OfConnection,
    call: &OfCall,
    summary: &Summary,
    up: Duration,
) -> &'static Verdict {
    let cause = &summary.cause;
    match cause {
        // IPCP is faster than Windows' decision to leave.
        _ if call.mppe_refused
            && connection.is_windows()
            && up < TELLING
            && is_peers_word(cause) =>
        {
            &link::OURS_NOT_ENCRYPTED
        }
        _ if call.replaced => replaced(call),
        _ if call.kicked => &session::KICKED,
        _ if call.idle => &session::IDLE,
        _ if call.limit => &session::LIMIT,
        Ended::Link(Cause::EchoTimeout) => &session::VANISHED,
        Ended::Link(Cause::Looped) => &link::LOOPED,
        // IPv6 can be up while IPv4 does not come to terms.
        Ended::Link(
            cause @ (Cause::EncryptionRefused
            | Cause::NotConverging(_)
            | Cause::AddressRefused(_)
            | Cause::LocalAddressRefused
            | Cause::NoNetworkProtocol),
        ) => link_cause(connection, call, summary, cause),
        Ended::Link(Cause::Local(_)) if call.host_failed => &host::NO_INTERFACE,
        Ended::Link(Cause::Local(_)) | Ended::Call(CallEnd::DisconnectedByUs { .. }) => {
            &session::STOPPED
        }
        Ended::Call(CallEnd::ConnectionClosed) => match cut(connection) {
            Some(verdict) => verdict,
            None if connection.cut.is_some() && !connection.goodbye => &reach::CLOSED,
            None => &session::LEFT,
        },
        Ended::Link(_) | Ended::Call(_) => &session::LEFT,
    }
}

fn is_peers_word(cause: &Ended) -> bool {
    matches!(cause, Ended::Link(Cause::PeerTerminated(_)) | Ended::Call(CallEnd::ClearedByPeer))
}

fn detail(verdict: &Verdict, call: &OfCall) -> Option<String> {
    match (verdict, &call.denied) {
        (verdict, _) if *verdict == reach::GRE_FROM_ELSEWHERE => {
            call.from_elsewhere.map(|from| format!("from {from}"))
        }
        (verdict, _) if *verdict == reach::GRE_NEVER_CAME => {
            let why = call.not_watched.as_deref();
            let seconds = call.wire.as_ref().map(|wire| wire.watched.as_secs_f64());
            Some(match (seconds, why) {
                (Some(seconds), _) => format!(
                    "this host's interfaces were watched for {seconds:.1} s, and none came by"
                ),
                (None, Some(why)) => format!("this host was not watched: {why}"),
                (None, None) => "it was over before this host was watched".to_owned(),
            })
        }
        (verdict, _) if *verdict == reach::OWN_FIREWALL => {
            let wire = call.wire.as_ref()?;
            wire.rule.clone().or_else(|| wire.no_rule.clone())
        }
        (verdict, _) if *verdict == reach::REVERSE_PATH => {
            Some(format!("they come by {}", call.wire.as_ref()?.came_by.as_ref()?))
        }
        (verdict, _) if *verdict == reach::OTHER_WAY_OUT => other_way(call.wire.as_ref()?),
        (verdict, _) if *verdict == reach::SHARED_ADDRESS => {
            Some(format!("{} sessions from there are up", call.others))
        }
        (verdict, _) if *verdict == login::OTHER_METHOD => {
            call.wanted.map(|wanted| format!("it wants {wanted}"))
        }
        (verdict, _) if *verdict == session::DUPLICATE => {
            call.moved_to.map(|by| format!("now from {by}"))
        }
        (verdict, _) if *verdict == reach::OTHER_CALL_ID => {
            call.other_call_id.map(|call_id| format!("call id {call_id}"))
        }
        (verdict, Some(denied))
            if *verdict == login::NOT_ALLOWED || *verdict == login::UNUSABLE =>
        {
            Some(denied.reason.to_string())
        }
        _ => None,
    }
}

/// `G-101: what happened (what makes it special); also G-502: …`.
impl fmt::Display for Judgement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.verdict.code, self.verdict.sentence)?;
        if let Some(detail) = &self.detail {
            write!(f, " ({detail})")?;
        }
        for remark in &self.remarks {
            write!(f, "; also {remark}")?;
        }
        Ok(())
    }
}
