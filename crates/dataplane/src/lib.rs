//! Worker threads that move packets between raw GRE sockets and TUN interfaces.
//!
//! A call belongs to one worker for its whole life (its call id modulo the number of workers), and a packet filter gives each worker's socket
//! that worker's packets, so that no packet takes a lock. The control plane talks to a worker through a mailbox ([`Command`]s, carried out
//! strictly in order); the worker answers with [`Notice`]s and keeps [`Counters`]. In steady state nothing is allocated for a packet.
//!
//! A call has an interface of its own ([`Command::OpenNetwork`]), or shares one with all others that have none ([`Dataplane::share`]).
#![forbid(unsafe_code)]

mod command;
mod counters;
mod dataplane;
mod gre_path;
mod hand_over;
mod hops;
mod mailbox;
mod notice;
pub mod offload;
mod oversize;
mod reaper;
mod worker;

pub use command::{Bounds, Command, FragmentPolicy, NewCall, TosPolicy};
pub use counters::{Counters, Snapshot, Totals};
pub use dataplane::{Dataplane, IoMode, Settings};
pub use gre_path::{GrePath, Opened};
pub use notice::{First, Notice};
