//! The 64-byte text fields of control messages.

use core::fmt;

use crate::Escaped;

/// A text field of 64 bytes, filled up with zeros. Shown up to the first zero, escaped.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Name(pub [u8; 64]);

impl Name {
    /// A name; bytes beyond the 64th are cut off.
    pub fn new(text: &[u8]) -> Self {
        let mut bytes = [0; 64];
        let length = text.len().min(bytes.len());
        bytes[..length].copy_from_slice(&text[..length]);
        Self(bytes)
    }

    /// The text up to the first zero, or all 64 bytes; any bytes.
    pub fn as_bytes(&self) -> &[u8] {
        let end = self.0.iter().position(|byte| *byte == 0).unwrap_or(self.0.len());
        &self.0[..end]
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Escaped(self.as_bytes()).fmt(f)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Escaped(self.as_bytes()).fmt(f)
    }
}
