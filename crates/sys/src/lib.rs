//! What the operating system has to do for Gretel: TUN devices, raw GRE sockets, netlink, epoll, PAM, libpcap's compiler. The only crate with `unsafe` in it;
//! every block says why it is sound.
//!
//! Nothing here knows a protocol above IP, but for the packet filter that sorts GRE packets by call id ([`raw`]).

pub mod arp;
pub mod broadcast;
pub mod capture;
pub mod clock;
pub mod event;
pub mod namespace;
pub mod netlink;
pub mod nft;
pub mod packet;
pub mod pam;
pub mod pcap;
pub mod ppp;
pub mod process;
pub mod raw;
pub mod sandbox;
pub mod scheduling;
pub mod sysctl;
pub mod tun;
pub mod user;
pub mod utmp;
pub mod xdp;

mod bpf;
mod random;
mod tcp;
mod time;

pub use random::random_bytes;
pub use tcp::{begin_connection, round_trip};
pub use time::{monotonic_nanos, timer_resolution};
