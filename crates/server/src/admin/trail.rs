//! The trail of an attempt, for clients of the admin sockets.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Map, Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::unix::{ReadHalf, WriteHalf};
use tokio::sync::broadcast::{self, error::TryRecvError};
use tokio::time::timeout;
use wire::Escaped;

use super::{VERSION, answer, send};
use crate::event::Source;
use crate::history::{Past, Reader};
use crate::shared::{Ongoing, Shared};
use crate::trail::Shown;
use crate::verdict::{self, Stage};

/// How often a trail that is followed is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// Connections that may turn out to be the one that is waited for.
const MOST_CANDIDATES: usize = 256;

/// The attempt of `whom` that has so many newer ones, whether it goes on or has ended.
pub(super) async fn once(whom: String, newer: u32, shared: &Shared) -> Value {
    let ongoing = shared.attempts(|ongoing| is_meant(ongoing, &whom));
    let began = ongoing.iter().map(began).collect();
    let chosen = match shared.past.clone() {
        None => Ok(without_past(ongoing.len(), newer)),
        Some(reader) => {
            let chosen = tokio::task::spawn_blocking(move || choose(&reader, &whom, newer, began));
            chosen.await.unwrap_or_else(|error| Err(error.to_string()))
        }
    };
    match chosen {
        Err(why) => answer::error(&format!("the history cannot be read: {why}")),
        Ok((Choice::None, _)) => json!({ "v": VERSION, "attempt": null }),
        Ok((Choice::Ongoing(at), earlier)) => {
            let (steps, _) = ongoing[at].source.steps_since(0);
            tell_ongoing(&ongoing[at], &steps, earlier)
        }
        Ok((Choice::Past(past), earlier)) => tell_past(*past, earlier),
    }
}

/// Tells of the newest attempt of `whom` that goes on, or of the next one, until its end or until the client says anything or goes away. Without
/// `whom` a session that is up does not count: its story has been told.
pub(super) async fn follow(
    whom: &str,
    shared: &Shared,
    reader: &mut BufReader<ReadHalf<'_>>,
    write: &mut WriteHalf<'_>,
) -> io::Result<()> {
    let mut newcomers = shared.newcomers.subscribe();
    let is_up = |ongoing: &Ongoing| ongoing.source.evidence().stage() == Stage::Network;
    let is_wanted =
        |ongoing: &Ongoing| is_meant(ongoing, whom) && !(whom.is_empty() && is_up(ongoing));
    let mut found = shared.attempts(is_wanted).into_iter().next();
    if found.is_none() {
        send(write, &json!({ "v": VERSION, "waiting": true })).await?;
    }
    // Kept although they may have ended, as a login can fail faster than anybody looks.
    let mut candidates: VecDeque<Source> = VecDeque::new();
    while found.is_none() {
        if says_anything(reader).await {
            return Ok(());
        }
        while let Some(newcomer) = next(&mut newcomers) {
            if candidates.len() == MOST_CANDIDATES {
                candidates.pop_front();
            }
            candidates.push_back(newcomer);
        }
        found = candidates.iter().map(Ongoing::of_connection).find(|it| is_meant(it, whom));
    }
    let Some(ongoing) = found else { return Ok(()) };
    let (mut steps, mut seen) = ongoing.source.steps_since(0);
    end_with_verdict(&mut steps);
    send(write, &tell_ongoing(&ongoing, &steps, 0)).await?;
    while steps.iter().all(|step| step.verdict.is_none()) {
        if says_anything(reader).await {
            return Ok(());
        }
        (steps, seen) = ongoing.source.steps_since(seen);
        end_with_verdict(&mut steps);
        if !steps.is_empty() {
            send(write, &json!({ "v": VERSION, "steps": to_json(&steps) })).await?;
        }
    }
    Ok(())
}

/// What comes behind a verdict is the control connection's farewell.
fn end_with_verdict(steps: &mut Vec<Shown>) {
    if let Some(at) = steps.iter().position(|step| step.verdict.is_some()) {
        steps.truncate(at + 1);
    }
}

/// Waits a moment. Whether the client has said something, or has gone.
async fn says_anything(reader: &mut BufReader<ReadHalf<'_>>) -> bool {
    timeout(LOOK_INTERVAL, reader.fill_buf()).await.is_ok()
}

/// The next connection that has begun, if there is one. Of very many the oldest are missed.
fn next(newcomers: &mut broadcast::Receiver<Source>) -> Option<Source> {
    loop {
        match newcomers.try_recv() {
            Ok(source) => return Some(source),
            Err(TryRecvError::Lagged(_)) => {}
            Err(TryRecvError::Empty | TryRecvError::Closed) => return None,
        }
    }
}

/// Which attempt is meant.
enum Choice {
    None,
    Ongoing(usize),
    Past(Box<Past>),
}

/// The attempt behind so many newer ones, and how many there are behind it.
fn choose(
    reader: &Reader,
    whom: &str,
    newer: u32,
    began: Vec<u64>,
) -> Result<(Choice, u64), String> {
    let read = || {
        let ended = reader.read(newer + 1, whom)?;
        let ended = ended.iter().map(|attempt| attempt["ended"].as_u64().unwrap_or(0)).collect();
        let all = reader.count(whom)? + began.len() as u64;
        let choice = match merged(&began, ended, newer as usize) {
            None => Choice::None,
            Some((true, at)) => Choice::Ongoing(at),
            Some((false, at)) => {
                let past = reader.trail(whom, u32::try_from(at).unwrap_or(u32::MAX))?;
                past.map_or(Choice::None, |past| Choice::Past(Box::new(past)))
            }
        };
        Ok((choice, all.saturating_sub(u64::from(newer) + 1)))
    };
    read().map_err(|error: rusqlite::Error| error.to_string())
}

fn without_past(ongoing: usize, newer: u32) -> (Choice, u64) {
    let newer = newer as usize;
    match ongoing.checked_sub(newer + 1) {
        Some(earlier) => (Choice::Ongoing(newer), earlier as u64),
        None => (Choice::None, 0),
    }
}

/// Of two lists, the newest first, the one at a place of both together: whether it is of the first, and where in its own list.
fn merged(began: &[u64], ended: Vec<u64>, place: usize) -> Option<(bool, usize)> {
    let ongoing = began.iter().enumerate().map(|(at, time)| (*time, true, at));
    let past = ended.into_iter().enumerate().map(|(at, time)| (time, false, at));
    let mut all: Vec<(u64, bool, usize)> = ongoing.chain(past).collect();
    // It is stable, and what goes on comes before what ended in the same second.
    all.sort_by_key(|(time, ..)| std::cmp::Reverse(*time));
    all.get(place).map(|(_, is_ongoing, at)| (*is_ongoing, *at))
}

fn began(ongoing: &Ongoing) -> u64 {
    ongoing.source.began().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// As in the history: a session's number, a user, an address of either kind; everybody for nothing.
fn is_meant(ongoing: &Ongoing, whom: &str) -> bool {
    let is = |text: Option<String>| text.as_deref() == Some(whom);
    whom.is_empty()
        || is(ongoing.source.session().map(|number| number.to_string()))
        || is(ongoing.user.as_deref().map(|user| Escaped(user).to_string()))
        || is(ongoing.address.map(|address| address.to_string()))
        || is(Some(ongoing.source.peer().ip().to_string()))
}

/// What is known of an attempt that goes on.
fn tell_ongoing(ongoing: &Ongoing, steps: &[Shown], earlier: u64) -> Value {
    let Ongoing { source, user, address } = ongoing;
    let stage = source.evidence().stage();
    json!({
        "v": VERSION,
        "attempt": {
            "live": steps.iter().all(|step| step.verdict.is_none()),
            "since": began(ongoing),
            "session": source.session(),
            "user": user.as_deref().map(|user| Escaped(user).to_string()),
            "peer": source.peer().ip().to_string(),
            "address": address.map(|address| address.to_string()),
            "client": source.evidence().client(),
            "stage": stage.to_string(),
            "missing": stage.missing(),
            "fine": (stage == Stage::Network).then_some(true),
        },
        "steps": to_json(steps),
        "earlier": earlier,
    })
}

fn tell_past(past: Past, earlier: u64) -> Value {
    let Past { mut attempt, trail } = past;
    let code = attempt["code"].as_str().unwrap_or_default();
    let fine = verdict::find(code).map(|verdict| verdict.is_fine);
    let since = trail.as_ref().and_then(|trail| trail.began());
    let more: Map<String, Value> =
        [("live", json!(false)), ("since", json!(since)), ("fine", json!(fine))]
            .map(|(key, value)| (key.to_owned(), value))
            .into_iter()
            .collect();
    attempt.extend(more);
    let steps = trail.and_then(|trail| trail.show()).map(|steps| to_json(&steps));
    json!({ "v": VERSION, "attempt": attempt, "steps": steps, "earlier": earlier })
}

fn to_json(steps: &[Shown]) -> Vec<Value> {
    steps.iter().map(Shown::to_json).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_on_and_what_has_ended_are_one_list() {
        let place = |place| merged(&[50, 20], vec![60, 50, 10], place);
        let order: Vec<_> = (0..6).map(place).collect();
        let (ongoing, past) = (|at| Some((true, at)), |at| Some((false, at)));
        assert_eq!(order, [past(0), ongoing(0), past(1), ongoing(1), past(2), None]);
    }
}
