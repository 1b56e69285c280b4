//! LCP Echo: whether the peer is still there (RFC 1661 §5.8).

use core::time::Duration;

use super::EchoConfig;
use crate::Instant;

/// Echo-Requests of one link.
#[derive(Debug, Default)]
pub(super) struct Echo {
    config: Option<EchoConfig>,
    next: Option<Instant>,
    last: Option<(u8, Instant)>,
    outstanding: u32,
    heard: bool,
}

/// What the echo timer asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Nothing.
    Nothing,
    /// Send an Echo-Request and call [`Echo::sent`]; so many before it are unanswered.
    Send(u32),
    /// The peer is gone: so many are unanswered.
    Dead(u32),
}

impl Echo {
    pub(super) fn start(config: Option<EchoConfig>, now: Instant) -> Self {
        Self { config, next: config.map(|config| now + config.interval), ..Self::default() }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.next
    }

    /// Something came from the peer.
    pub(super) fn note_received(&mut self) {
        self.heard = true;
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) -> Due {
        let (Some(config), Some(next)) = (self.config, self.next) else { return Due::Nothing };
        if now < next {
            return Due::Nothing;
        }
        self.next = Some(now + config.interval);
        if config.failures > 0 && self.outstanding >= config.failures {
            return Due::Dead(self.outstanding);
        }
        if config.adaptive && core::mem::take(&mut self.heard) {
            self.outstanding = 0;
            return Due::Nothing;
        }
        Due::Send(self.outstanding)
    }

    pub(super) fn sent(&mut self, id: u8, now: Instant) {
        self.last = Some((id, now));
        self.outstanding += 1;
    }

    /// An Echo-Reply came; gives the round-trip time when it answers the newest request.
    pub(super) fn answered(&mut self, id: u8, now: Instant) -> Option<Duration> {
        self.outstanding = 0;
        let (_, sent) = self.last.take_if(|(last, _)| *last == id)?;
        Some(now - sent)
    }
}
