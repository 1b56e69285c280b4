//! The control connection of PPTP (RFC 2637 §2 and §3).

mod call_ids;

pub use call_ids::{CallIds, QUARANTINE};
