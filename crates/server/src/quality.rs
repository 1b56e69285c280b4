//! How well a session's packets come: its figures looked at again and again, and told when they have changed noticeably.

use std::time::Duration;

use dataplane::Snapshot;
use engine::data::DropReason;

use crate::event::{Event, Quality};

/// Fewer packets show nothing.
const TELLING: u32 = 100;
/// Shares of packets, in thousandths, that tell one class of loss or reordering from the next.
const CLASSES: [u64; 3] = [5, 50, 200];
/// A round trip that differs by less is the same.
const SAME_ROUND_TRIP: u32 = 20_000;

/// What has been told of a session. Small, as every session has one: 32 bits are enough for figures that are only compared.
#[derive(Debug, Default)]
pub(crate) struct Told {
    received: u32,
    lost: u32,
    reordered: u32,
    /// In microseconds; 0: none yet.
    round_trip: u32,
    loss: u8,
    disorder: u8,
    /// How many digits the count has that was told of each reason.
    drops: [u8; DropReason::ALL.len()],
}

impl Told {
    /// What there is to tell, now that a session's figures are these.
    pub(crate) fn look(&mut self, figures: &Snapshot) -> Vec<Event> {
        let mut events: Vec<Event> =
            self.quality(figures).map(Event::Quality).into_iter().collect();
        for (reason, told) in DropReason::ALL.into_iter().zip(&mut self.drops) {
            let count = figures.dropped(reason);
            let digits = count.checked_ilog10().map_or(0, |digits| digits as u8 + 1);
            if digits > *told {
                *told = digits;
                events.push(Event::Dropped { reason, count });
            }
        }
        events
    }

    fn quality(&mut self, figures: &Snapshot) -> Option<Quality> {
        // Figures may wrap; what came since is right all the same.
        let since = |now: u64, before: u32| u64::from((now as u32).wrapping_sub(before));
        let received = since(figures.gre_received, self.received);
        let lost = since(figures.gre_lost, self.lost);
        let reordered = since(figures.gre_reordered, self.reordered);
        let round_trip = u32::try_from(figures.round_trip_micros).unwrap_or(u32::MAX);
        let mut changed = self.round_trip == 0 && round_trip > 0;
        changed |= round_trip.abs_diff(self.round_trip) > SAME_ROUND_TRIP
            && (round_trip > self.round_trip.saturating_mul(2) || round_trip < self.round_trip / 2);
        let all = received + lost;
        if all >= u64::from(TELLING) {
            let classes = (class(lost, all), class(reordered, all));
            changed |= classes != (self.loss, self.disorder);
            (self.loss, self.disorder) = classes;
            self.received = figures.gre_received as u32;
            self.lost = figures.gre_lost as u32;
            self.reordered = figures.gre_reordered as u32;
        }
        changed.then(|| {
            self.round_trip = round_trip;
            let round_trip = Duration::from_micros(u64::from(round_trip));
            let round_trip = (!round_trip.is_zero()).then_some(round_trip);
            Quality { received, lost, reordered, round_trip }
        })
    }
}

/// Of how many classes a share is at least.
fn class(part: u64, all: u64) -> u8 {
    CLASSES.iter().filter(|thousandths| part * 1000 >= all * **thousandths).count() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(received: u64, lost: u64, round_trip: u64) -> Snapshot {
        let mut figures = Snapshot::default();
        (figures.gre_received, figures.gre_lost) = (received, lost);
        figures.round_trip_micros = round_trip;
        figures
    }

    #[test]
    fn an_even_flow_is_told_once_and_a_change_again() {
        let mut told = Told::default();
        let mut tell = |received, lost, round_trip| {
            let events = told.look(&figures(received, lost, round_trip));
            events.into_iter().map(|event| match event {
                Event::Quality(quality) => (quality.received, quality.lost),
                other => panic!("{other:?}"),
            })
        };
        assert_eq!(tell(1000, 0, 30_000).collect::<Vec<_>>(), [(1000, 0)], "the first round trip");
        assert_eq!(tell(2000, 1, 35_000).count(), 0);
        assert_eq!(tell(2900, 101, 35_000).collect::<Vec<_>>(), [(900, 100)], "a tenth is lost");
        assert_eq!(tell(3800, 201, 35_000).count(), 0, "and still is");
        assert_eq!(tell(4800, 201, 35_000).collect::<Vec<_>>(), [(1000, 0)], "it is over");
        assert_eq!(tell(4810, 201, 90_000).count(), 1, "the way is longer");
        assert_eq!(tell(4820, 206, 90_000).count(), 0, "a few packets show nothing");
    }

    #[test]
    fn figures_that_wrap_are_compared_all_the_same() {
        let mut told = Told::default();
        let wrap = u64::from(u32::MAX);
        told.look(&figures(wrap - 10, 0, 0));
        let events = told.look(&figures(wrap + 990, 500, 0));
        assert!(
            matches!(events[..], [Event::Quality(Quality { received: 1000, lost: 500, .. })]),
            "{events:?}"
        );
    }
}
