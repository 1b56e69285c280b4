//! What clients of the admin sockets are told.

use std::time::UNIX_EPOCH;

use serde_json::{Value, json};
use wire::Escaped;

use super::request::{Request, Whom};
use super::{Rights, VERSION, trail};
use crate::event::Event;
use crate::locks::{Entry, Subject};
use crate::mailbox::Mail;
use crate::shared::{Live, Shared};

/// Does what is asked, if it is allowed.
pub(super) async fn answer(request: Request, rights: Rights, shared: &Shared) -> Value {
    match request {
        Request::Who => {
            let sessions: Vec<Value> = shared.live().iter().map(session).collect();
            json!({ "v": VERSION, "sessions": sessions })
        }
        Request::Locks => locks(shared),
        Request::History { limit, whom } => past(limit, whom, shared).await,
        Request::Trail { whom, newer, .. } => trail::once(whom, newer, shared).await,
        Request::Kick { .. } | Request::Unlock { .. } if rights != Rights::Act => {
            error("this socket is for looking only; ask admin.sock")
        }
        Request::Unlock { whom } => unlock(whom.as_deref(), shared),
        Request::Kick { whom, reason } => kick(&whom, &reason, shared),
    }
}

/// An answer that says what went wrong.
pub(super) fn error(why: &str) -> Value {
    json!({ "v": VERSION, "error": why })
}

async fn past(limit: u32, whom: String, shared: &Shared) -> Value {
    let Some(reader) = shared.past.clone() else {
        return error("no history is kept: the server's log says why");
    };
    let (lost, trouble) = reader.troubles();
    match tokio::task::spawn_blocking(move || reader.read(limit, &whom)).await {
        Ok(Ok(attempts)) => {
            json!({ "v": VERSION, "attempts": attempts, "lost": lost, "trouble": trouble })
        }
        Ok(Err(why)) => error(&format!("the history cannot be read: {why}")),
        Err(why) => error(&format!("the history cannot be read: {why}")),
    }
}

fn locks(shared: &Shared) -> Value {
    let list = shared.locks.list(shared.now(), &shared.settings().limits.logins);
    let entry = |entry: &Entry| {
        let (address, user) = match &entry.subject {
            Subject::Address(address) => (Some(address.to_string()), None),
            Subject::User(_) => (None, Some(entry.subject.to_string())),
        };
        json!({
            "address": address,
            "user": user,
            "failures": entry.failures,
            "locked": entry.locked.map(|left| left.as_secs() + 1),
            "refused": entry.refused,
        })
    };
    json!({ "v": VERSION, "locks": list.iter().map(entry).collect::<Vec<_>>() })
}

fn unlock(whom: Option<&str>, shared: &Shared) -> Value {
    let meant = |subject: &Subject| whom.is_none_or(|whom| subject.to_string() == whom);
    let lifted = shared.locks.lift(shared.now(), meant);
    let names: Vec<String> = lifted.iter().map(ToString::to_string).collect();
    for subject in lifted {
        shared.bus.server(Event::Unlocked(subject));
    }
    json!({ "v": VERSION, "unlocked": names })
}

fn kick(whom: &Whom, reason: &str, shared: &Shared) -> Value {
    let meant = shared.live().into_iter().filter(|live| is_meant(live, whom));
    let numbers: Vec<u64> = meant.map(|live| live.number).collect();
    for session in &numbers {
        let mail = Mail::Kicked { session: *session, reason: reason.to_owned() };
        shared.post_to_session(*session, mail);
    }
    json!({ "v": VERSION, "kicked": numbers })
}

fn is_meant(live: &Live, whom: &Whom) -> bool {
    match whom {
        Whom::Session(number) => live.number == *number,
        Whom::Address(address) => live.address == Some(*address) || live.peer.ip() == address,
        Whom::User(user) => user_of(live).as_deref() == Some(user),
    }
}

/// As it is shown, so that what was read can be typed.
fn user_of(live: &Live) -> Option<String> {
    live.user.as_deref().map(|user| Escaped(user).to_string())
}

fn session(live: &Live) -> Value {
    let since = live.since.duration_since(UNIX_EPOCH).unwrap_or_default();
    let figures = &live.figures;
    json!({
        "session": live.number,
        "user": user_of(live),
        "peer": live.peer.to_string(),
        "address": live.address.map(|address| address.to_string()),
        "client": live.client,
        "stage": live.stage.to_string(),
        "since": since.as_secs(),
        "uptime": live.uptime.as_secs(),
        "sent_bytes": figures.sent_bytes,
        "sent_packets": figures.sent_packets,
        "received_bytes": figures.received_bytes,
        "received_packets": figures.received_packets,
        "gre_received": figures.gre_received,
        "gre_lost": figures.gre_lost,
        "gre_reordered": figures.gre_reordered,
        "round_trip_us": (figures.round_trip_micros > 0).then_some(figures.round_trip_micros),
    })
}
