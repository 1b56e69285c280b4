//! What the crate is measured against.

use libloading::Library;
use rc4::{KeyInit, StreamCipher};
use sha1::Digest;

/// A way to seal a packet: make the next session key, and encrypt with it.
pub(crate) trait Reference {
    /// Changes the session key and encrypts `body` in place, or from `source` where the way is not to work in place.
    fn seal(&mut self, source: &[u8], body: &mut [u8]);
}

/// As the Linux kernel's `ppp_mppe` does it, one packet at a time: SHA-1 in plain code over four pieces, RC4 with a table of 32-bit words,
/// from one buffer into another.
pub(crate) struct KernelShaped {
    start: [u8; 16],
    session: [u8; 16],
}

impl KernelShaped {
    pub(crate) fn new(start: [u8; 16]) -> Self {
        Self { start, session: interim(&start, &start) }
    }
}

impl Reference for KernelShaped {
    fn seal(&mut self, source: &[u8], body: &mut [u8]) {
        let mut hash = PlainSha1::new();
        for piece in [&self.start[..], &[0; 40], &self.session, &[0xf2; 40]] {
            hash.update(piece);
        }
        let digest = hash.finish();
        let interim: [u8; 16] = digest[..16].try_into().expect("20 bytes");
        WordRc4::new(&interim).crypt(&interim, &mut self.session);
        WordRc4::new(&self.session).crypt(source, body);
    }
}

/// With the crates `sha1` and `rc4`, in place.
pub(crate) struct RustCrypto {
    start: [u8; 16],
    session: [u8; 16],
}

impl RustCrypto {
    pub(crate) fn new(start: [u8; 16]) -> Self {
        Self { start, session: interim(&start, &start) }
    }
}

impl Reference for RustCrypto {
    fn seal(&mut self, _: &[u8], body: &mut [u8]) {
        self.session = interim(&self.start, &self.session);
        let cipher =
            |key: &[u8; 16]| rc4::Rc4::new_from_slice(key).expect("a key length that it takes");
        let key = self.session;
        cipher(&key).apply_keystream(&mut self.session);
        cipher(&self.session).apply_keystream(body);
    }
}

/// With OpenSSL's RC4 and the crate `sha1`, in place.
pub(crate) struct OpenSsl {
    start: [u8; 16],
    session: [u8; 16],
    functions: Functions,
}

#[derive(Clone, Copy)]
struct Functions {
    set_key: unsafe extern "C" fn(*mut [u32; 258], i32, *const u8),
    crypt: unsafe extern "C" fn(*mut [u32; 258], usize, *const u8, *mut u8),
}

impl OpenSsl {
    /// `None` where the library is missing, or was built without RC4.
    pub(crate) fn new(start: [u8; 16]) -> Option<Self> {
        // SAFETY: the library's initialisers may run; its functions have had these signatures since version 0.9 (RC4(3)). It is never closed.
        let functions = unsafe {
            let library = Box::leak(Box::new(Library::new("libcrypto.so.3").ok()?));
            Functions {
                set_key: *library.get(b"RC4_set_key\0").ok()?,
                crypt: *library.get(b"RC4\0").ok()?,
            }
        };
        Some(Self { start, session: interim(&start, &start), functions })
    }

    fn crypt(&self, key: [u8; 16], data: &mut [u8]) {
        let mut table = [0; 258];
        // SAFETY: RC4_KEY is 258 words of 32 bits; input and output may be the same (RC4(3)).
        unsafe {
            (self.functions.set_key)(&mut table, 16, key.as_ptr());
            (self.functions.crypt)(&mut table, data.len(), data.as_ptr(), data.as_mut_ptr());
        }
    }
}

impl Reference for OpenSsl {
    fn seal(&mut self, _: &[u8], body: &mut [u8]) {
        let key = interim(&self.start, &self.session);
        let mut session = key;
        self.crypt(key, &mut session);
        self.session = session;
        self.crypt(session, body);
    }
}

/// RFC 3079 §3.4 `GetNewKeyFromSHA`; of the start key alone, the initial session key.
fn interim(start: &[u8; 16], session: &[u8; 16]) -> [u8; 16] {
    let digest = sha1::Sha1::new()
        .chain_update(start)
        .chain_update([0; 40])
        .chain_update(session)
        .chain_update([0xf2; 40])
        .finalize();
    digest[..16].try_into().expect("20 bytes")
}

struct WordRc4 {
    table: [u32; 256],
}

impl WordRc4 {
    fn new(key: &[u8; 16]) -> Self {
        let mut table: [u32; 256] = std::array::from_fn(|at| at as u32);
        let mut j = 0;
        for i in 0..256 {
            let at_i = table[i];
            j = (j + at_i + u32::from(key[i % 16])) & 0xff;
            table[i] = table[j as usize];
            table[j as usize] = at_i;
        }
        Self { table }
    }

    fn crypt(&mut self, source: &[u8], target: &mut [u8]) {
        let (mut i, mut j) = (0u32, 0u32);
        for (source, target) in source.iter().zip(target) {
            i = (i + 1) & 0xff;
            let at_i = self.table[i as usize];
            j = (j + at_i) & 0xff;
            let at_j = self.table[j as usize];
            self.table[i as usize] = at_j;
            self.table[j as usize] = at_i;
            *target = source ^ self.table[((at_i + at_j) & 0xff) as usize] as u8;
        }
    }
}

/// SHA-1 (FIPS 180-4 §6.1) without special instructions, fed through a buffer.
struct PlainSha1 {
    state: [u32; 5],
    buffer: [u8; 64],
    len: usize,
}

impl PlainSha1 {
    fn new() -> Self {
        let state = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
        Self { state, buffer: [0; 64], len: 0 }
    }

    fn update(&mut self, mut piece: &[u8]) {
        while !piece.is_empty() {
            let at = self.len % 64;
            let count = piece.len().min(64 - at);
            self.buffer[at..at + count].copy_from_slice(&piece[..count]);
            self.len += count;
            piece = &piece[count..];
            if self.len.is_multiple_of(64) {
                self.block();
            }
        }
    }

    fn finish(mut self) -> [u8; 20] {
        let bits = (self.len as u64 * 8).to_be_bytes();
        self.update(&[0x80]);
        while self.len % 64 != 56 {
            self.update(&[0]);
        }
        self.update(&bits);
        let mut digest = [0; 20];
        for (bytes, word) in digest.as_chunks_mut().0.iter_mut().zip(self.state) {
            *bytes = word.to_be_bytes();
        }
        digest
    }

    fn block(&mut self) {
        let mut w = [0u32; 80];
        for (word, bytes) in w.iter_mut().zip(self.buffer.as_chunks().0) {
            *word = u32::from_be_bytes(*bytes);
        }
        for t in 16..80 {
            w[t] = (w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16]).rotate_left(1);
        }
        let [mut a, mut b, mut c, mut d, mut e] = self.state;
        let mut rounds = |range: std::ops::Range<usize>, k: u32, f: fn(u32, u32, u32) -> u32| {
            for word in &w[range] {
                let next = a
                    .rotate_left(5)
                    .wrapping_add(f(b, c, d))
                    .wrapping_add(e)
                    .wrapping_add(k)
                    .wrapping_add(*word);
                (e, d, c, b, a) = (d, c, b.rotate_left(30), a, next);
            }
        };
        rounds(0..20, 0x5a82_7999, |b, c, d| d ^ (b & (c ^ d)));
        rounds(20..40, 0x6ed9_eba1, |b, c, d| b ^ c ^ d);
        rounds(40..60, 0x8f1b_bcdc, |b, c, d| (b & c) | (d & (b | c)));
        rounds(60..80, 0xca62_c1d6, |b, c, d| b ^ c ^ d);
        for (state, word) in self.state.iter_mut().zip([a, b, c, d, e]) {
            *state = state.wrapping_add(word);
        }
    }
}
