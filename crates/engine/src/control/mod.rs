//! The control connection of PPTP (RFC 2637 §2 and §3.1), in either role, and call ids.

mod call_ids;
mod calls;
mod config;
mod connection;
mod event;
mod pac;
mod pns;

pub use call_ids::{CallIds, QUARANTINE};
pub use config::{Config, Role};
pub use connection::{Connection, NoSuchCall, Timer};
pub use event::{CallEnd, CallRequest, Cause, Direction, Event, Output, Peer, Trouble};

#[cfg(test)]
mod tests;
