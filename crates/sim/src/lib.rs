//! Two engines on a simulated path: lines that lose, repeat, delay and reorder, a virtual clock, and a [`Pair`] of endpoints
//! that are checked after every step.
//!
//! Everything follows from one seed: a run that fails can be repeated.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod dice;
mod endpoint;
pub mod fuzz;
mod line;
mod pair;
mod settings;
#[cfg(test)]
mod tests;

pub use dice::Dice;
pub use endpoint::{End, Endpoint, Sent};
pub use line::{Line, Quality};
pub use pair::{Pair, Side};
pub use settings::{Settings, grant};
