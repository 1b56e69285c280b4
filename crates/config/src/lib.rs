//! The three Debian files — `pptpd.conf`, pppd's options, `chap-secrets` — and Gretel's own `gretel.toml` as one [`Config`].
//!
//! Everything that is to be said about them is a [`Diagnostic`] with file, line, column and a remedy.
#![forbid(unsafe_code)]

mod config;
mod contradictions;
mod diagnostic;
pub mod iplist;
mod options;
mod own;
mod pptpd_conf;
mod reference;
mod review;
mod secrets;
mod slots;
mod words;

use std::fs::File;
use std::io::{self, Read};
use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::path::Path;
use std::time::Duration;

pub use config::{Config, Paths};
pub use diagnostic::{Diagnostic, Diagnostics, Severity};
pub use options::{
    Class, MppeOptions, OctetsDirection, Origin, PppOptions, ScriptOptions, TimerOptions,
    option_names,
};
pub use own::{Fragments, Limits, PacketIo, Packets, Pool, Records, Setting, Tos, sample};
pub use reference::reference;
pub use review::Network;
pub use secrets::{
    AddressRule, AddressRules, AddressSet, Entry, EntrySecret, Host, Secrets, SecretsFile,
};

/// Bytes of a file at most: secrets of half a million users fit.
const MAX_FILE: u64 = 64 * 1024 * 1024;

/// Reads a file, and refuses one that is too long.
pub(crate) fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    let size = usize::try_from(file.metadata()?.len().min(MAX_FILE)).unwrap_or(0);
    // All at once: growing would leave copies of secrets behind.
    let mut text = Vec::with_capacity(size + 1);
    file.take(MAX_FILE + 1).read_to_end(&mut text)?;
    if text.len() as u64 > MAX_FILE {
        return Err(io::Error::other("it is longer than 64 MiB"));
    }
    Ok(text)
}

/// The first IPv4 address of a host.
pub fn resolve_host(name: &str) -> Option<Ipv4Addr> {
    (name, 0).to_socket_addrs().ok()?.find_map(|address| match address {
        SocketAddr::V4(address) => Some(*address.ip()),
        SocketAddr::V6(_) => None,
    })
}

/// The duration that a number of seconds in [`PppOptions`] means; 0 means "not at all", as with pppd.
pub fn seconds(value: Option<u32>) -> Option<Duration> {
    value.filter(|seconds| *seconds > 0).map(|seconds| Duration::from_secs(u64::from(seconds)))
}

#[cfg(test)]
mod tests;
