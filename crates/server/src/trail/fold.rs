//! The beginnings of trails, folded. Sessions that came up have been through much the same, step by step; what each keeps is how its own differs
//! from another's.

use std::borrow::Cow;
use std::rc::Rc;

use lz4_flex::block::{compress_with_dict, decompress_with_dict};

/// How many samples there are at most: clients are of a few kinds.
const SAMPLES: usize = 8;

/// Beginnings of trails that others are folded by, the most useful first.
#[derive(Debug, Default)]
pub(crate) struct Samples(Vec<Rc<[u8]>>);

/// The beginning of a trail.
#[derive(Debug)]
pub(super) enum Beginning {
    /// Unlike those before, and whole.
    Sample(Rc<[u8]>),
    /// In LZ4's block format, with a sample for its dictionary.
    Folded { sample: Rc<[u8]>, folded: Box<[u8]>, len: u16 },
}

impl Samples {
    /// Folds a beginning, or takes it for a sample when that does not make it much smaller.
    pub(super) fn fold(&mut self, whole: &[u8]) -> Beginning {
        let len = u16::try_from(whole.len()).unwrap_or(u16::MAX);
        for at in 0..self.0.len() {
            let folded = compress_with_dict(whole, &self.0[at]);
            if folded.len() * 3 <= usize::from(len) {
                self.0[..=at].rotate_right(1);
                return Beginning::Folded { sample: self.0[0].clone(), folded: folded.into(), len };
            }
        }
        let sample: Rc<[u8]> = whole.into();
        self.0.truncate(SAMPLES - 1);
        self.0.insert(0, sample.clone());
        Beginning::Sample(sample)
    }
}

impl Beginning {
    /// As it was before it was folded.
    pub(super) fn whole(&self) -> Cow<'_, [u8]> {
        match self {
            Self::Sample(whole) => Cow::Borrowed(whole),
            // What was folded here can be unfolded.
            Self::Folded { sample, folded, len } => {
                decompress_with_dict(folded, (*len).into(), sample).unwrap_or_default().into()
            }
        }
    }

    /// Its length in bytes, unfolded.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Sample(whole) => whole.len(),
            Self::Folded { len, .. } => (*len).into(),
        }
    }

    /// Bytes that it takes beside itself, and beside a sample that others have too.
    #[cfg(test)]
    pub(super) fn cost(&self) -> usize {
        match self {
            Self::Sample(whole) => whole.len(),
            Self::Folded { folded, .. } => folded.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_like_a_sample_takes_little_and_what_is_not_becomes_one() {
        let mut state = 7u32;
        let mut random = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        };
        let (steps, strange): (Vec<u8>, Vec<u8>) = (0..1000).map(|_| (random(), random())).unzip();
        let mut other = steps.clone();
        for at in (0..other.len()).step_by(40) {
            other[at] ^= 1;
        }
        let mut samples = Samples::default();
        assert!(matches!(samples.fold(&steps), Beginning::Sample(_)));
        let folded = samples.fold(&other);
        assert!(folded.cost() < 300 && folded.len() == 1000, "{}", folded.cost());
        assert_eq!(*folded.whole(), other);
        assert!(matches!(samples.fold(&strange), Beginning::Sample(_)));
        assert!(matches!(samples.fold(&other), Beginning::Folded { .. }));
    }

    proptest! {
        #[test]
        fn beginnings_come_out_as_they_went_in(
            all in prop::collection::vec(prop::collection::vec(0u8..4, 0..300), 1..12),
        ) {
            let mut samples = Samples::default();
            for whole in &all {
                let folded = samples.fold(whole);
                prop_assert_eq!(&*folded.whole(), whole.as_slice());
                prop_assert_eq!(folded.len(), whole.len());
                prop_assert!(samples.0.len() <= SAMPLES);
            }
        }
    }
}
