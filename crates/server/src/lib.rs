//! The control plane: listeners, sessions, authentication, addresses, what a session needs of the host, and events.
#![forbid(unsafe_code)]

pub mod admin;
pub mod auth;
pub mod capture;
pub mod connect;
mod connection;
pub mod doctor;
pub mod event;
mod examine;
mod files;
mod filters;
mod flood;
pub mod history;
pub mod host;
mod inform;
pub mod leases;
mod listener;
pub mod load;
mod locks;
pub mod log;
pub mod look;
mod mailbox;
mod packet_path;
mod quality;
pub mod quickstart;
mod relay;
mod scripts;
mod server;
mod session;
mod settings;
mod shared;
mod timer;
pub mod trail;
pub mod verdict;

pub use config::{PacketIo, Packets};
pub use crypto::Password;
pub use engine::auth::Method;
pub use engine::ppp::{MppeNeed, MppePolicy, Stateful};
pub use examine::Examined;
pub use files::Files;
pub use flood::Untold;
pub use host::Wtmp;
pub use locks::Subject;
pub use scripts::{IpParam, ScriptPaths};
pub use server::{Heartbeat, Options, Source, run};
pub use settings::{Challenges, Limits, LoginLimits, Settings};
