//! Many packets of any sessions at once.

use core::array;
use core::cmp::Reverse;

use zeroize::Zeroize;

use super::{PacketKeys, SessionKey};
use crate::rc4::lanes::{Chain, DATA, Lanes, Stream};

/// How many packets are sorted by length at a time.
const SORTED: usize = 32;

/// Encrypts or decrypts bodies, each from the beginning of its key's stream on, several in lock-step.
///
/// A lane that has nothing else to do makes keys of `chain` meanwhile: give the session that has most of the packets.
pub fn apply<'a>(
    lanes: &mut Lanes,
    packets: impl IntoIterator<Item = (SessionKey, &'a mut [u8])>,
    mut chain: Option<&mut PacketKeys>,
) {
    let mut packets = packets.into_iter();
    loop {
        let mut sorted: [Stream<'a>; SORTED] = array::from_fn(|_| ([0; 16], &mut [][..]));
        let mut count = 0;
        for (stream, (key, body)) in sorted.iter_mut().zip(packets.by_ref()) {
            *stream = (key.repeated(), body);
            count += 1;
        }
        if count == 0 {
            return;
        }
        sorted[..count].sort_unstable_by_key(|(_, body)| Reverse(body.len()));
        for group in sorted[..count].chunks_mut(DATA) {
            lanes.run(group, chain.as_mut().map(|chain| *chain as &mut dyn Chain));
            for (key, _) in group {
                key.zeroize();
            }
        }
        if count < SORTED {
            return;
        }
    }
}
