//! Super-packets: many segments of one flow that pass between the kernel and this process as one packet.
//!
//! [`Split`] makes packets for the tunnel of what an interface gives; [`Join`] makes super-packets of what has come through the tunnel. Pure
//! functions of bytes: no I/O and no clock. A join that is split again gives the packets that were joined.

pub(crate) mod checksum;
mod flow;
mod header;
mod join;
mod split;

pub use header::{Header, Segmentation};
pub use join::{Join, Joined, MAX_PIECES, Packets, Pieces, Whole};
pub use split::{Malformed, Split};

/// The Internet checksum (RFC 1071) of bytes in which its own field is zero; of bytes that have theirs it is 0.
#[must_use]
pub fn internet_checksum(bytes: &[u8]) -> u16 {
    !checksum::sum(bytes)
}

#[cfg(test)]
mod tests;
