//! The sequence numbers of a call against a slow model that remembers every number.

use std::collections::BTreeSet;
use std::time::Duration;

use engine::Instant;
use engine::gre::{
    ACK_DELAY, ACK_EVERY, LEAP, LEAP_PER_MILLISECOND, RESTART_AFTER, Receive, Sequencer, WINDOW,
};

use crate::input::Input;

/// Everything that was received, in the order of the numbers: those behind the newest by how far they are.
#[derive(Default)]
struct Model {
    newest: Option<u32>,
    seen: BTreeSet<u32>,
    last: Instant,
    lost: u64,
    received: u64,
    sent: u64,
    /// Packets since the last acknowledgement, and when the next is due.
    unacknowledged: u32,
    due: Option<Instant>,
}

impl Model {
    /// RFC 2637 §4.3 with a bounded memory, as `Sequencer` promises it.
    fn classify(&self, now: Instant, number: u32) -> Receive {
        let Some(newest) = self.newest else { return Receive::New { distance: 1 } };
        let silence = now - self.last;
        let ahead = number.wrapping_sub(newest);
        let millis = u64::try_from(silence.as_millis()).unwrap_or(u64::MAX);
        let farthest =
            millis.saturating_mul(u64::from(LEAP_PER_MILLISECOND)).saturating_add(u64::from(LEAP));
        let verdict = if ahead != 0 && ahead < 1 << 31 {
            match u64::from(ahead) > farthest {
                true => Receive::TooFar,
                false => Receive::New { distance: ahead },
            }
        } else if newest.wrapping_sub(number) >= WINDOW {
            Receive::TooOld
        } else if self.seen.contains(&number) {
            Receive::Duplicate
        } else {
            Receive::Late
        };
        match verdict {
            Receive::TooOld | Receive::TooFar if silence >= RESTART_AFTER => Receive::Restart,
            verdict => verdict,
        }
    }

    fn commit(&mut self, now: Instant, number: u32) -> Receive {
        let verdict = self.classify(now, number);
        match verdict {
            Receive::New { distance } => {
                self.lost += u64::from(distance) - 1;
                self.newest = Some(number);
            }
            Receive::Restart => {
                self.seen.clear();
                self.newest = Some(number);
            }
            Receive::Late => self.lost = self.lost.saturating_sub(1),
            Receive::Duplicate | Receive::TooOld | Receive::TooFar => return verdict,
        }
        self.seen.insert(number);
        // A number that comes round again after 2^32 is another's.
        let newest = number_or(self.newest);
        self.seen.retain(|seen| newest.wrapping_sub(*seen) < WINDOW);
        self.received += 1;
        self.last = now;
        if verdict != Receive::Late {
            self.unacknowledged += 1;
            let at_once = self.unacknowledged >= ACK_EVERY;
            self.due = Some(if at_once { now } else { self.due.unwrap_or(now + ACK_DELAY) });
        }
        verdict
    }
}

fn number_or(number: Option<u32>) -> u32 {
    number.unwrap_or_default()
}

/// Takes `bytes` as operations: packets that come, time that passes, packets and acknowledgements that go.
pub fn sequencer(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let (mut real, mut model) = (Sequencer::new(), Model::default());
    let mut now = Instant::ZERO;
    while !input.is_empty() {
        let operation = input.byte();
        let newest = number_or(model.newest);
        let number = match operation & 7 {
            0 => newest.wrapping_add(1),
            1 => newest.wrapping_add(u32::from(input.byte())),
            2 => newest.wrapping_sub(u32::from(input.byte())),
            // Around the edge of the window, and of what is too far.
            3 => newest.wrapping_sub(WINDOW + 4).wrapping_add(u32::from(input.byte() & 7)),
            4 => newest.wrapping_add(LEAP - 4).wrapping_add(u32::from(input.byte() & 7)),
            5 => u32::from_be_bytes([0; 4].map(|_: u8| input.byte())),
            6 => {
                let unit = if operation & 8 == 0 { 1 } else { 100 };
                now = now + Duration::from_millis(u64::from(input.byte()) * unit);
                continue;
            }
            _ => {
                send(&mut real, &mut model, now, input.byte());
                continue;
            }
        };
        let expected = model.classify(now, number);
        assert_eq!(real.classify(now, number), expected, "{number:#x} after {newest:#x}");
        // A packet that proves forged is looked at, and not remembered.
        if operation & 0x80 == 0 {
            assert_eq!(real.commit(now, number), expected);
            assert_eq!(model.commit(now, number), expected);
        }
        compare(&real, &model);
    }
}

/// Sends a packet, with the acknowledgement that is wanted, or hears one.
fn send(real: &mut Sequencer, model: &mut Model, now: Instant, choice: u8) {
    match choice & 3 {
        0 => {
            assert_eq!(u64::from(real.take_next(now)), model.sent & u64::from(u32::MAX));
            model.sent += 1;
        }
        1 => {
            let wanted = model.due.take().and(model.newest);
            if wanted.is_some() {
                model.unacknowledged = 0;
            }
            assert_eq!(real.take_ack(), wanted);
        }
        _ => {
            let before = real.stats().false_acks;
            let number = u32::from(choice >> 2);
            real.acknowledged(now, number);
            let is_false = u64::from(number) >= model.sent;
            assert_eq!(real.stats().false_acks - before, u64::from(is_false));
        }
    }
}

fn compare(real: &Sequencer, model: &Model) {
    let stats = real.stats();
    assert_eq!((stats.lost, stats.received, stats.sent), (model.lost, model.received, model.sent));
    assert_eq!((real.newest(), real.ack_due_at()), (model.newest, model.due));
}
