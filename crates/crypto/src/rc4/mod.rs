//! The RC4 stream cipher: one stream ([`Rc4`]), or several in lock-step (`lanes`).
//!
//! RC4 is broken as a cipher; MPPE knows no other. One stream waits most of the time, for its own last step; several side by
//! side fill that time. On x86-64 both run as scheduled instructions (`x86_64`), elsewhere as the same loops in Rust (`portable`).

pub(crate) mod lanes;
mod portable;
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, reason = "compiled Rust takes half as long again: see docs/architecture.md")]
mod x86_64;

use core::fmt;
#[cfg(target_arch = "x86_64")]
use core::sync::atomic::{AtomicBool, Ordering};

use zeroize::{Zeroize, ZeroizeOnDrop};

/// The permutation of one stream.
pub(crate) type Table = [u8; 256];

/// Key stream is made in blocks of this many bytes.
pub(crate) const BLOCK: usize = 16;

/// The permutation before a key is scheduled.
const IDENTITY: Table = {
    let mut table = [0; 256];
    let mut at = 0;
    while at < 256 {
        table[at] = at as u8;
        at += 1;
    }
    table
};

/// Whether plain Rust is to do although there are instructions.
#[cfg(target_arch = "x86_64")]
static IS_PLAIN: AtomicBool = AtomicBool::new(false);

/// Has all streams and key changes of this process run without instructions of our own from now on, by plain Rust as the field's RC4 crates and by the
/// crate `sha1`: the yardstick of benchmarks.
pub fn forgo_instructions() {
    #[cfg(target_arch = "x86_64")]
    IS_PLAIN.store(true, Ordering::Relaxed);
}

/// Whether instructions are not to be used.
#[cfg(target_arch = "x86_64")]
pub(crate) fn is_plain() -> bool {
    IS_PLAIN.load(Ordering::Relaxed)
}

/// One RC4 key stream: the permutation and its two indices.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Rc4 {
    table: Table,
    i: u8,
    j: u8,
}

impl Rc4 {
    /// Schedules a key of 1 to 256 bytes. An empty key leaves the identity permutation: do not use one.
    #[must_use]
    pub fn new(key: &[u8]) -> Self {
        let mut cipher = Self { table: IDENTITY, i: 0, j: 0 };
        match <&[u8; BLOCK]>::try_from(key) {
            Ok(key) => schedule(&mut cipher.table, key),
            Err(_) => portable::schedule(&mut cipher.table, key),
        }
        cipher
    }

    /// XORs the next `data.len()` bytes of key stream into `data`: encrypts and decrypts.
    pub fn apply(&mut self, data: &mut [u8]) {
        let to_block = usize::from(self.i).next_multiple_of(BLOCK) - usize::from(self.i);
        let (unaligned, data) = data.split_at_mut(to_block.min(data.len()));
        self.apply_bytes(unaligned);
        let (blocks, rest) = data.as_chunks_mut();
        if !blocks.is_empty() {
            generate(&mut self.table, self.i, &mut self.j, blocks);
            self.i = self.i.wrapping_add((blocks.len() * BLOCK) as u8);
        }
        self.apply_bytes(rest);
    }

    fn apply_bytes(&mut self, data: &mut [u8]) {
        for byte in data {
            *byte ^= portable::step(&mut self.table, &mut self.i, &mut self.j);
        }
    }
}

/// Schedules a key of 16 bytes in a table that is the identity.
fn schedule(table: &mut Table, key: &[u8; BLOCK]) {
    #[cfg(target_arch = "x86_64")]
    if let Some(cpu) = x86_64::Cpu::detect() {
        return cpu.schedule(table, key);
    }
    portable::schedule(table, key);
}

/// XORs key stream into `data`. `i` must be a multiple of [`BLOCK`], and is the caller's to move on.
fn generate(table: &mut Table, i: u8, j: &mut u8, data: &mut [[u8; BLOCK]]) {
    #[cfg(target_arch = "x86_64")]
    if let Some(cpu) = x86_64::Cpu::detect() {
        return cpu.generate(table, i, j, data);
    }
    portable::generate(table, i, j, data);
}

impl fmt::Debug for Rc4 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rc4(…)")
    }
}
