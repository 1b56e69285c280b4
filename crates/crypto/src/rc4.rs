//! The RC4 stream cipher, in safe Rust at about the speed of OpenSSL's assembler.
//!
//! RC4 is broken as a cipher; MPPE knows no other.

use core::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop};

/// One RC4 key stream: the permutation and its two indices.
///
/// The table holds 32-bit words: with bytes, partial-register merges and store forwarding cost a third of the speed.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Rc4 {
    table: [u32; 256],
    i: u32,
    j: u32,
}

impl Rc4 {
    /// Schedules a key of 1 to 256 bytes. An empty key leaves the identity permutation: do not use one.
    pub fn new(key: &[u8]) -> Self {
        let mut table = core::array::from_fn(|n| n as u32);
        let mut j = 0u32;
        for (i, &byte) in (0..256).zip(key.iter().cycle()) {
            let at_i: u32 = table[i];
            j = j.wrapping_add(at_i).wrapping_add(u32::from(byte)) & 255;
            table[i] = table[j as usize];
            table[j as usize] = at_i;
        }
        Self { table, i: 0, j: 0 }
    }

    /// XORs the next `data.len()` bytes of key stream into `data`: encrypts and decrypts.
    pub fn apply(&mut self, data: &mut [u8]) {
        let (mut i, mut j) = (self.i, self.j);
        let (words, rest) = data.as_chunks_mut::<8>();
        for word in words {
            let mut stream = 0u64;
            for lane in 0..8 {
                stream |= u64::from(step(&mut self.table, &mut i, &mut j)) << (8 * lane);
            }
            *word = (u64::from_le_bytes(*word) ^ stream).to_le_bytes();
        }
        for byte in rest {
            *byte ^= step(&mut self.table, &mut i, &mut j) as u8;
        }
        (self.i, self.j) = (i, j);
    }
}

/// One step of the generator: a key stream byte in the low 8 bits. The masks also prove every index to be in range.
#[inline(always)]
fn step(table: &mut [u32; 256], i: &mut u32, j: &mut u32) -> u32 {
    *i = i.wrapping_add(1) & 255;
    let at_i = table[(*i & 255) as usize];
    *j = j.wrapping_add(at_i) & 255;
    let at_j = table[(*j & 255) as usize];
    table[(*i & 255) as usize] = at_j;
    table[(*j & 255) as usize] = at_i;
    table[(at_i.wrapping_add(at_j) & 255) as usize]
}

impl fmt::Debug for Rc4 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rc4(…)")
    }
}
