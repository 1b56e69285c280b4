//! LCP Echo: whether the peer is still there (RFC 1661 §5.8).

use core::time::Duration;

use super::EchoConfig;
use crate::Instant;

/// Echo-Requests of one link.
#[derive(Debug, Default)]
pub(super) struct Echo {
    next: Option<Instant>,
    last: Option<(u8, Instant)>,
    /// Identifier and length of a request that asks whether packets of its size pass.
    probe: Option<(u8, u16)>,
    outstanding: u32,
    heard: bool,
    /// The peer has shown that its LCP is open.
    is_open: bool,
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
        Self { next: config.map(|config| now + config.interval), ..Self::default() }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.next
    }

    /// Something came from the peer.
    pub(super) fn note_received(&mut self) {
        self.heard = true;
    }

    /// Something came that only an open LCP sends (RFC 1661 §3.4).
    pub(super) fn note_open(&mut self) {
        self.is_open = true;
    }

    /// `config` is that of [`start`](Self::start).
    pub(super) fn handle_timeout(&mut self, config: Option<EchoConfig>, now: Instant) -> Due {
        let (Some(config), Some(next)) = (config, self.next) else { return Due::Nothing };
        if now < next {
            return Due::Nothing;
        }
        self.next = Some(now + config.interval);
        // A peer whose Configure-Request was acknowledged by a packet that got lost may not answer yet, and asks again after seconds.
        if !self.is_open {
            self.outstanding = 0;
        }
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

    /// A request of this length has left, beside those of the timer.
    pub(super) fn probed(&mut self, id: u8, len: u16) {
        self.probe = Some((id, len));
    }

    /// An Echo-Reply came; gives the length of the probe that it answers, if it does.
    pub(super) fn probe_answered(&mut self, id: u8) -> Option<u16> {
        self.probe.take_if(|(probe, _)| *probe == id).map(|(_, len)| len)
    }

    /// An Echo-Reply came; gives the round-trip time when it answers the newest request.
    pub(super) fn answered(&mut self, id: u8, now: Instant) -> Option<Duration> {
        self.outstanding = 0;
        self.is_open = true;
        let (_, sent) = self.last.take_if(|(last, _)| *last == id)?;
        Some(now - sent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(1);
    const CONFIG: Option<EchoConfig> =
        Some(EchoConfig { interval: INTERVAL, failures: 4, adaptive: false });

    /// Lets so many intervals pass without a word; whether the peer is given up.
    fn is_given_up(echo: &mut Echo, now: &mut Instant, intervals: u32) -> bool {
        (0..intervals).any(|_| {
            *now += INTERVAL;
            match echo.handle_timeout(CONFIG, *now) {
                Due::Dead(_) => true,
                Due::Send(_) => {
                    echo.sent(1, *now);
                    false
                }
                Due::Nothing => false,
            }
        })
    }

    #[test]
    fn only_a_peer_whose_lcp_is_open_owes_answers() {
        let mut now = Instant::ZERO;
        let mut echo = Echo::start(CONFIG, now);
        assert!(!is_given_up(&mut echo, &mut now, 20));
        echo.note_open();
        assert!(!is_given_up(&mut echo, &mut now, 3));
        assert!(is_given_up(&mut echo, &mut now, 2));
    }
}
