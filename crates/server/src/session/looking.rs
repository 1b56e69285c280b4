//! Looks at this host when a session goes badly.

use std::time::Duration;

use super::Session;
use crate::event::Event;
use crate::look::{Looks, WireQuestion, watch};
use crate::verdict::Stage;

/// A client that has not answered in GRE for so long after its call is looked for. Healthy ones take a few round trips.
pub(super) const SILENCE: Duration = Duration::from_millis(1500);

impl Session {
    /// Looks where the client's GRE is, or ours, unless LCP is up.
    pub(super) fn look_if_silent(&mut self) {
        let stage = self.source.evidence().stage();
        if stage > Stage::Gre {
            return;
        }
        let client = *self.source.peer().ip();
        let sessions = self.shared.others_from(client, self.number);
        if sessions > 0 {
            self.source.publish(Event::SharesAddress { sessions });
        }
        let question = WireQuestion {
            client,
            local: self.outside,
            our_call_id: self.our_call_id,
            peer_call_id: self.peer_call_id,
            is_heard: stage == Stage::Gre,
        };
        let look = move |stop: &_| match watch(&question, stop) {
            Ok(wire) => Event::WireWatched(wire),
            Err(error) => Event::NotWatched { why: error.to_string() },
        };
        if !Looks::start(&self.shared, self.number, look) {
            let why = "too many other attempts are looked at".to_owned();
            self.source.publish(Event::NotWatched { why });
        }
    }

    /// A look has seen something.
    pub(crate) fn seen(&mut self, event: Event) {
        self.source.publish(event);
    }
}
