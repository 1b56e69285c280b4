//! The protocols of PPTP, sans-I/O: the control connection and GRE in both roles, PPP in both roles, and the packet path.
//!
//! Nothing here reads a clock, opens a socket or asks an operating system for anything. `handle_*(now, …)` puts something in,
//! `poll_output()` takes out transmissions and events in order, `poll_timeout()` says when `handle_timeout(now)` is wanted.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod auth;
pub mod control;
pub mod data;
pub mod gre;
pub mod ppp;

#[cfg(test)]
mod fixtures;
mod random;
mod rate;
mod time;

pub use random::Random;
pub use rate::TokenBucket;
pub use time::Instant;
