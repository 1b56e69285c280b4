//! Text that a peer controls, made safe to show.

use core::fmt;

/// Shows bytes as text: printable ASCII as it is, everything else escaped (`\x1b`, `\n`), at most 128 bytes of it.
#[derive(Clone, Copy)]
pub struct Escaped<'a>(pub &'a [u8]);

/// Bytes shown before the rest is cut off.
const MAX_SHOWN: usize = 128;

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = &self.0[..self.0.len().min(MAX_SHOWN)];
        write!(f, "{}", shown.escape_ascii())?;
        if self.0.len() > MAX_SHOWN { f.write_str("…") } else { Ok(()) }
    }
}

impl fmt::Debug for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}
