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
pub use join::{Join, MAX_PIECES, Packets};
pub use split::{Malformed, Split};

#[cfg(test)]
mod tests;
