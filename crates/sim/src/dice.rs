//! Chance, from a seed.

use core::time::Duration;

/// A small, fast generator (SplitMix64): good enough to decide which packets are lost, and nothing more.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Dice that fall the same way for the same seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Any number.
    pub fn u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`; 0 when that is 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        if limit == 0 { 0 } else { self.u64() % limit }
    }

    /// True in `percent` of a hundred cases.
    pub fn percent(&mut self, percent: u8) -> bool {
        self.below(100) < u64::from(percent)
    }

    /// A duration from zero up to `limit`.
    pub fn up_to(&mut self, limit: Duration) -> Duration {
        Duration::from_nanos(self.below(limit.as_nanos() as u64 + 1))
    }

    /// A seed for an engine.
    pub fn seed(&mut self) -> [u8; 32] {
        let mut seed = [0; 32];
        for chunk in seed.chunks_mut(8) {
            chunk.copy_from_slice(&self.u64().to_be_bytes());
        }
        seed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_falls_the_same_way() {
        let (mut one, mut other) = (Dice::new(9), Dice::new(9));
        assert!((0..100).all(|_| one.u64() == other.u64()));
        assert_ne!(Dice::new(9).u64(), Dice::new(10).u64());
    }

    #[test]
    fn a_percentage_is_about_right() {
        let mut dice = Dice::new(1);
        let hits = (0..10_000).filter(|_| dice.percent(20)).count();
        assert!((1_800..2_200).contains(&hits), "{hits}");
        assert!((0..1000).all(|_| !dice.percent(0)));
        assert!((0..1000).all(|_| dice.percent(100)));
    }
}
