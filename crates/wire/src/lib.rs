//! The messages of PPTP, enhanced GRE and PPP: bytes to typed values and back.
//!
//! Reading never panics and never looks beyond the bytes it is given; what cannot be read is [`Malformed`].
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod ccp;
pub mod chap;
pub mod control;
mod describe;
pub mod dhcp;
pub mod gre;
pub mod ipcp;
pub mod ipv6cp;
pub mod lcp;
pub mod pap;
pub mod ppp;
mod text;

pub use text::Escaped;

/// Bytes that are not what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} (at byte {at})")]
pub struct Malformed {
    /// What is wrong.
    pub what: &'static str,
    /// The byte at which it shows, counted from the start of the message.
    pub at: usize,
}
