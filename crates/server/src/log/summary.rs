//! The lines about an attempt's end, of which one sums it up.

use std::time::Duration;

use engine::control;
use engine::ppp::Cause;
use tracing::Level;
use wire::Escaped;

use super::{Line, PPPD, PPTPD, info, line};
use crate::event::{Attempt, Ended, Summary};

/// Whether pppd would have found its terminal closed: it was not the one to end the session.
fn hung_up(cause: &Ended) -> bool {
    match cause {
        Ended::Call(_) => true,
        Ended::Link(cause) => {
            matches!(cause, Cause::EchoTimeout | Cause::PeerTerminated(_) | Cause::LowerLayerDown)
        }
    }
}

pub(super) fn ended_lines(peer: &str, summary: &Summary, attempt: &Attempt) -> Vec<Line> {
    let mut lines = Vec::new();
    if let Some(connected) = summary.connected {
        let minutes = connected.as_secs_f64() / 60.0;
        lines.extend(info(PPPD, format!("Connect time {minutes:.1} minutes.")));
        let (sent, received) = (summary.sent, summary.received);
        lines.extend(info(PPPD, format!("Sent {sent} bytes, received {received} bytes.")));
    }
    let fine = attempt.judgement.verdict.is_fine && attempt.judgement.remarks.is_empty();
    let level = if fine { Level::INFO } else { Level::WARN };
    lines.push(line(level, PPPD, summary_line(peer, summary, attempt)));
    if hung_up(&summary.cause) {
        lines.extend(info(PPPD, "Modem hangup"));
    }
    lines.extend(["Connection terminated.", "Exit."].map(|text| line(Level::INFO, PPPD, text)));
    lines
}

/// The one line about a control connection that has seen no session.
pub(super) fn no_session_line(peer: &str, attempt: &Attempt) -> Vec<Line> {
    let client = attempt.client.as_ref().map(|client| format!(" ({client})")).unwrap_or_default();
    let (judgement, lasted) = (&attempt.judgement, duration(attempt.lasted));
    info(
        PPTPD,
        format!(
            "CTRL: Client {peer}{client} did not connect. {judgement}; after {lasted} it had got as far as {}",
            attempt.stage
        ),
    )
}

/// The one line about a session: who, how it ended, why, how far it got, what it carried.
fn summary_line(peer: &str, summary: &Summary, attempt: &Attempt) -> String {
    let user = match (&summary.user, &attempt.name) {
        (Some(user), _) => format!("user {}", Escaped(user)),
        (None, Some(name)) => format!("login as {}", Escaped(name)),
        (None, None) => "no user".to_string(),
    };
    let client = attempt.client.as_ref().map(|client| format!(", {client}")).unwrap_or_default();
    let cause = match &summary.cause {
        Ended::Link(cause) => cause.to_string(),
        Ended::Call(reason @ control::CallEnd::ConnectionClosed) => reason.to_string(),
        Ended::Call(reason) => format!("call {reason}"),
    };
    let judgement = &attempt.judgement;
    let carried = match summary.connected {
        Some(connected) => format!(
            "up for {}; {} packets with {} bytes came, {} with {} went",
            duration(connected),
            summary.received_packets,
            summary.received,
            summary.sent_packets,
            summary.sent
        ),
        None => format!(
            "after {} it had got as far as {}; {} GRE packets came, {} went",
            duration(summary.duration),
            attempt.stage,
            summary.gre_received,
            summary.gre_sent
        ),
    };
    let end = if summary.connected.is_some() { "ended" } else { "did not connect" };
    let mut text =
        format!("Session of {peer} ({user}{client}) {end}: {cause}. {judgement}; {carried}");
    if summary.gre_lost > 0 {
        let of = summary.gre_lost + summary.gre_received;
        let share = summary.gre_lost as f64 * 100.0 / of as f64;
        text.push_str(&format!(", {share:.1} % lost on the way here"));
    }
    if let Some(time) = summary.round_trip {
        text.push_str(&format!(", round trip {:.1} ms", time.as_secs_f64() * 1000.0));
    }
    for (reason, count) in &summary.drops {
        text.push_str(&format!(", {count} packets dropped ({reason})"));
    }
    text
}

/// As a person says it.
pub(super) fn duration(time: Duration) -> String {
    match time.as_secs() {
        0..60 => format!("{:.1} s", time.as_secs_f64()),
        60..7200 => format!("{:.1} minutes", time.as_secs_f64() / 60.0),
        _ => format!("{:.1} hours", time.as_secs_f64() / 3600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trail::Packed;
    use crate::verdict::{Evidence, Stage};

    #[test]
    fn a_session_says_who_why_and_how_far_on_one_line() {
        let evidence = Evidence::default();
        let mut summary = Summary {
            user: None,
            address: None,
            duration: Duration::from_secs(3),
            connected: None,
            sent: 0,
            sent_packets: 0,
            received: 0,
            received_packets: 0,
            received_unicast: 0,
            gre_received: 7,
            gre_sent: 5,
            gre_lost: 0,
            gre_reordered: 0,
            round_trip: None,
            drops: vec![],
            cause: Ended::Link(Cause::EncryptionRefused),
        };
        let line = |summary: &Summary| {
            let judgement = evidence.judge(summary);
            let attempt = Attempt {
                client: Some("Linux (pptp)".into()),
                stage: Stage::Login,
                judgement,
                name: Some(b"anna".to_vec()),
                lasted: Duration::from_secs(4),
                trail: Packed::default(),
            };
            summary_line("192.0.2.7", summary, &attempt)
        };
        assert_eq!(
            line(&summary),
            "Session of 192.0.2.7 (login as anna, Linux (pptp)) did not connect: MPPE required but peer negotiation failed. \
             G-303: encryption is required here, and the client refuses it; after 3.0 s it had got as far as the login; 7 GRE packets came, 5 went"
        );
        summary.user = Some(b"anna".to_vec());
        summary.connected = Some(Duration::from_secs(90));
        summary.cause = Ended::Call(control::CallEnd::ClearedByPeer);
        summary.received_packets = 1;
        (summary.gre_lost, summary.round_trip) = (1, Some(Duration::from_micros(1500)));
        assert_eq!(
            line(&summary),
            "Session of 192.0.2.7 (user anna, Linux (pptp)) ended: call cleared by the peer. G-601: the client hung up; up for 1.5 minutes; \
             1 packets with 0 bytes came, 0 with 0 went, 12.5 % lost on the way here, round trip 1.5 ms"
        );
    }
}
