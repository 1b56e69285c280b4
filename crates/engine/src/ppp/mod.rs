//! PPP (RFC 1661) with LCP, authentication, CCP/MPPE, IPCP and IPV6CP, in either role.

mod automaton;
mod ccp;
mod config;
mod control_protocol;
mod echo;
mod event;
mod ipcp;
mod ipv6cp;
mod lcp;
mod link;
mod network;
mod permit;
#[cfg(test)]
mod tests;

pub use config::{
    ClientConfig, EchoConfig, Grant, InterfaceIds, LcpConfig, LinkConfig, MppeNeed, MppePolicy,
    ServerConfig, Side, Stateful, Timers,
};
pub use event::{Cause, Event, Output, Party};
pub use link::{Link, Timer};
pub use network::MPPE_OVERHEAD;
pub use permit::{DirectionKeys, Framing, Ipv4Agreed, Ipv6Agreed, Keys, NetworkPermit};
