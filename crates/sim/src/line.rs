//! One direction of a path that carries packets, or a byte stream.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::time::Duration;

use engine::Instant;

use crate::Dice;

/// What a line does to what it carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quality {
    /// Of a hundred packets, how many vanish.
    pub loss: u8,
    /// Of a hundred packets, how many come twice.
    pub duplication: u8,
    /// Of a hundred packets, how many are delayed by up to `jitter` more, so that later ones overtake them.
    pub reordering: u8,
    /// The time that every packet takes.
    pub delay: Duration,
    /// The most that a reordered packet, or a second copy, takes on top.
    pub jitter: Duration,
}

impl Quality {
    /// One millisecond, and nothing bad.
    pub const CLEAN: Self = Self {
        loss: 0,
        duplication: 0,
        reordering: 0,
        delay: Duration::from_millis(1),
        jitter: Duration::ZERO,
    };

    /// A bad line of some kind.
    #[must_use]
    pub fn random(dice: &mut Dice) -> Self {
        Self {
            loss: dice.below(31) as u8,
            duplication: dice.below(21) as u8,
            reordering: dice.below(41) as u8,
            delay: Duration::from_millis(1) + dice.up_to(Duration::from_millis(80)),
            jitter: dice.up_to(Duration::from_millis(60)),
        }
    }
}

/// One direction of a path.
#[derive(Debug)]
pub struct Line {
    quality: Quality,
    dice: Dice,
    /// What is on its way, by arrival; the number keeps what arrives together in the order of sending.
    on_the_way: BTreeMap<(Instant, u64), Vec<u8>>,
    sent: u64,
}

impl Line {
    /// An empty line.
    #[must_use]
    pub fn new(quality: Quality, dice: Dice) -> Self {
        Self { quality, dice, on_the_way: BTreeMap::new(), sent: 0 }
    }

    /// Sends a packet.
    pub fn send(&mut self, now: Instant, packet: Vec<u8>) {
        if self.dice.percent(self.quality.duplication) {
            let extra = self.dice.up_to(self.quality.jitter);
            self.put(now + self.quality.delay + extra, packet.clone());
        }
        if self.dice.percent(self.quality.loss) {
            return;
        }
        let extra = match self.dice.percent(self.quality.reordering) {
            true => self.dice.up_to(self.quality.jitter),
            false => Duration::ZERO,
        };
        self.put(now + self.quality.delay + extra, packet);
    }

    /// The next packet that has arrived at `now`.
    pub fn receive(&mut self, now: Instant) -> Option<Vec<u8>> {
        let first = self.on_the_way.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }

    /// When the next packet arrives.
    #[must_use]
    pub fn next_arrival(&self) -> Option<Instant> {
        self.on_the_way.first_key_value().map(|((at, _), _)| *at)
    }

    /// Loses everything that is on its way.
    pub fn cut(&mut self) {
        self.on_the_way.clear();
    }

    /// From now on the line is like this.
    pub fn set_quality(&mut self, quality: Quality) {
        self.quality = quality;
    }

    fn put(&mut self, at: Instant, packet: Vec<u8>) {
        self.sent += 1;
        self.on_the_way.insert((at, self.sent), packet);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrivals(quality: Quality, seed: u64) -> Vec<u8> {
        let mut line = Line::new(quality, Dice::new(seed));
        for number in 0..100 {
            line.send(Instant::ZERO + Duration::from_millis(number), [number as u8].to_vec());
        }
        core::iter::from_fn(|| line.receive(Instant::from_nanos(u64::MAX))).flatten().collect()
    }

    #[test]
    fn a_clean_line_delivers_everything_once_and_in_order() {
        assert_eq!(arrivals(Quality::CLEAN, 1), (0..100).collect::<Vec<u8>>());
    }

    #[test]
    fn nothing_arrives_before_its_time() {
        let mut line = Line::new(Quality::CLEAN, Dice::new(1));
        line.send(Instant::ZERO, Vec::new());
        assert_eq!(line.receive(Instant::ZERO), None);
        let at = line.next_arrival().unwrap();
        assert_eq!(at, Instant::ZERO + Duration::from_millis(1));
        assert_eq!(line.receive(at), Some(Vec::new()));
    }

    #[test]
    fn a_bad_line_loses_repeats_and_reorders_the_same_way_each_time() {
        let bad = Quality {
            loss: 20,
            duplication: 20,
            reordering: 30,
            jitter: Duration::from_millis(20),
            ..Quality::CLEAN
        };
        let arrived = arrivals(bad, 7);
        assert_eq!(arrived, arrivals(bad, 7));
        assert_ne!(arrived, arrivals(bad, 8));
        let mut distinct = arrived.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert!(distinct.len() < 100, "nothing was lost");
        assert!(distinct.len() < arrived.len(), "nothing came twice");
        assert!(!arrived.is_sorted(), "nothing was reordered");
    }
}
