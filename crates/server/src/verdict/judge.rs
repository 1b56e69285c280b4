//! From what was seen to the cause.

use std::fmt;
use std::time::Duration;

use engine::auth::DenyReason;
use engine::control::{self, CallEnd};
use engine::ppp::Cause;
use wire::ccp::MppeBits;
use wire::ppp::Protocol;

use super::evidence::{OfCall, OfConnection};
use super::{Evidence, Stage, Verdict, link, login, reach, session};
use crate::event::{Ended, Summary};

/// A shorter session without GRE shows nothing.
const TELLING: Duration = Duration::from_secs(3);

/// A shorter session without a packet shows nothing.
const LONG_SILENCE: Duration = Duration::from_secs(60);

/// One packet of this many lost is many, if it is this many at least.
const LOST_OF: u64 = 20;
const LOST_AT_LEAST: u64 = 50;

/// Why an attempt ended as it did.
#[derive(Clone, Debug)]
pub struct Judgement {
    /// The cause.
    pub verdict: &'static Verdict,
    /// What makes this case special.
    pub detail: Option<String>,
    /// What else is worth knowing.
    pub remarks: Vec<&'static Verdict>,
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
            Some(_) => end_of_connected(&connection, call, &summary.cause),
            None => end_of_attempt(&connection, call, summary),
        };
        Judgement { verdict, detail: detail(verdict, call), remarks: remarks(call, summary) }
    }

    /// The cause of a control connection's end that has seen no session. `None`: there was one.
    #[must_use]
    pub fn judge_connection(&self) -> Option<Judgement> {
        let connection = self.connection.borrow();
        let started = connection.peer.is_some();
        let verdict = match connection.closed {
            _ if connection.caller_not_allowed => &login::CALLER_NOT_ALLOWED,
            _ if connection.locked => &login::LOCKED,
            _ if connection.no_free_slot => &link::NO_FREE_ADDRESS,
            _ if connection.calls > 0 => return None,
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
        Cause::NotConverging(Protocol::LCP) => &link::NOT_CONVERGING,
        Cause::NotConverging(Protocol::CCP) | Cause::EncryptionRefused => encryption(call),
        Cause::NotConverging(_) => &link::ADDRESSES_NOT_CONVERGING,
        Cause::NoCommonAuthentication => &login::NO_COMMON_METHOD,
        Cause::AuthenticationRejected => &login::WOULD_NOT_LOG_IN,
        Cause::AuthenticationTimeout(_) => &login::NO_ANSWER,
        Cause::AuthenticationFailed => denied(call).unwrap_or(&login::WRONG_PASSWORD),
        Cause::NoKeys => &link::NO_KEYS,
        Cause::AddressRefused(_) => &link::ADDRESS_REFUSED,
        Cause::LocalAddressRefused => &link::OUR_ADDRESS_REFUSED,
        Cause::NoNetworkProtocol => &link::NO_NETWORK_PROTOCOL,
        Cause::Looped => &link::LOOPED,
        Cause::Local(_) if call.host_failed => &link::NO_INTERFACE,
        Cause::Local(_) if call.replaced => &session::REPLACED,
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
    match call.stage {
        Stage::Login if connection.goodbye || is_peers_word(&summary.cause) => match call.mppe {
            Some(bits) if !bits.contains(MppeBits::BITS_128) => &link::WEAKER_ENCRYPTION,
            _ => &reach::GAVE_UP,
        },
        _ if connection.echo_missing => &reach::CONTROL_SILENT,
        _ if connection.reset && !connection.goodbye => &reach::CUT,
        _ => &reach::GAVE_UP,
    }
}

/// Whether GRE got through, both ways.
fn gre(call: &OfCall, summary: &Summary) -> Option<&'static Verdict> {
    if call.stage > Stage::Gre || summary.duration < TELLING {
        return None;
    }
    match call.stage {
        Stage::Gre => (call.asked > 1 && !call.answered).then_some(&reach::OURS_LOST),
        _ if call.from_elsewhere.is_some() => Some(&reach::GRE_FROM_ELSEWHERE),
        _ if call.other_call_id.is_some() => Some(&reach::OTHER_CALL_ID),
        _ => Some(&reach::GRE_NEVER_CAME),
    }
}

fn denied(call: &OfCall) -> Option<&'static Verdict> {
    let denied = call.denied.as_ref().filter(|_| call.stage < Stage::Login)?;
    Some(match denied.reason {
        DenyReason::UnknownUser if denied.has_domain => &login::UNKNOWN_WITH_DOMAIN,
        DenyReason::UnknownUser => &login::UNKNOWN_USER,
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
        _ => &link::NO_ENCRYPTION,
    }
}

/// A session that worked.
fn end_of_connected(connection: &OfConnection, call: &OfCall, cause: &Ended) -> &'static Verdict {
    match cause {
        _ if call.replaced => &session::REPLACED,
        _ if call.kicked => &session::KICKED,
        _ if call.idle => &session::IDLE,
        _ if call.limit => &session::LIMIT,
        Ended::Link(Cause::EchoTimeout) => &session::VANISHED,
        Ended::Link(Cause::Looped) => &link::LOOPED,
        Ended::Link(Cause::EncryptionRefused) => encryption(call),
        Ended::Link(Cause::Local(_)) if call.host_failed => &link::NO_INTERFACE,
        Ended::Link(Cause::Local(_)) | Ended::Call(CallEnd::DisconnectedByUs { .. }) => {
            &session::STOPPED
        }
        Ended::Call(CallEnd::ConnectionClosed) if connection.echo_missing => &reach::CONTROL_SILENT,
        Ended::Call(CallEnd::ConnectionClosed) if connection.reset && !connection.goodbye => {
            &reach::CUT
        }
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

fn remarks(call: &OfCall, summary: &Summary) -> Vec<&'static Verdict> {
    let mut remarks = Vec::new();
    let Some(connected) = summary.connected else { return remarks };
    let mut remark = |holds: bool, verdict| {
        if holds {
            remarks.push(verdict);
        }
    };
    let spoofed = summary.dropped("spoofed-source");
    remark(call.no_proxy_arp, &link::NO_PROXY_ARP);
    remark(call.script_failed, &link::SCRIPT_FAILED);
    remark(spoofed > summary.received_packets, &session::OTHER_SOURCE);
    let silent = summary.received_packets == 0 && spoofed == 0;
    remark(silent && connected >= LONG_SILENCE, &session::NOTHING_CAME);
    let lost = summary.gre_lost;
    let many = lost >= LOST_AT_LEAST && lost * LOST_OF > lost + summary.gre_received;
    remark(many, &session::LOSS);
    remarks
}

/// `G-101: what happened (what makes it special); also G-502: …`.
impl fmt::Display for Judgement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.verdict.code, self.verdict.sentence)?;
        if let Some(detail) = &self.detail {
            write!(f, " ({detail})")?;
        }
        for remark in &self.remarks {
            write!(f, "; also {}: {}", remark.code, remark.sentence)?;
        }
        Ok(())
    }
}
