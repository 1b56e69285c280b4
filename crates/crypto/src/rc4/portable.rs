//! RC4 in plain Rust, for processors without instructions of our own, and to check those against.

use core::array;

use super::lanes::{DATA, State};
use super::{BLOCK, Table};

/// Schedules a key of any length in a table that is the identity. An empty key changes nothing.
pub(super) fn schedule(table: &mut Table, key: &[u8]) {
    let mut j = 0u8;
    for (i, &byte) in (0..256).zip(key.iter().cycle()) {
        j = j.wrapping_add(table[i]).wrapping_add(byte);
        table.swap(i, usize::from(j));
    }
}

/// XORs key stream into `data`; `i` is the caller's to move on.
pub(super) fn generate(table: &mut Table, mut i: u8, j: &mut u8, data: &mut [[u8; BLOCK]]) {
    for byte in data.as_flattened_mut() {
        *byte ^= step(table, &mut i, j);
    }
}

/// One step of the generator: a byte of key stream.
#[inline(always)]
pub(super) fn step(table: &mut Table, i: &mut u8, j: &mut u8) -> u8 {
    *i = i.wrapping_add(1);
    let at_i = table[usize::from(*i)];
    *j = j.wrapping_add(at_i);
    let at_j = table[usize::from(*j)];
    table[usize::from(*i)] = at_j;
    table[usize::from(*j)] = at_i;
    table[usize::from(at_i.wrapping_add(at_j))]
}

/// [`State::schedule_lanes`].
pub(super) fn schedule_lanes<const N: usize>(state: &mut State) {
    for (table, key) in state.tables.iter_mut().zip(&state.keys).take(N) {
        schedule(table, key);
    }
}

/// [`State::generate_lanes`].
pub(super) fn generate_lanes<const N: usize>(state: &mut State, data: [&mut [u8]; DATA]) {
    let (mut i, mut j) = ([state.i as u8; N], array::from_fn::<_, N, _>(|n| state.j[n] as u8));
    for at in 0..data[0].len() {
        for lane in 0..N {
            data[lane][at] ^= step(&mut state.tables[lane], &mut i[lane], &mut j[lane]);
        }
    }
    for (kept, j) in state.j.iter_mut().zip(j) {
        *kept = j.into();
    }
}
