//! IPCP's configuration options (RFC 1332 §3, RFC 1877).

use alloc::vec::Vec;
use core::fmt;
use core::net::Ipv4Addr;

use crate::lcp::{Hex, show_unknown};
use crate::ppp::{RawOption, push_option};

/// An IPCP configuration option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IpcpOption<'a> {
    /// IP-Addresses, the obsolete pair (kind 1).
    Addresses(&'a [u8]),
    /// IP-Compression-Protocol (kind 2): protocol number and parameters, Van Jacobson's for one.
    Compression(&'a [u8]),
    /// IP-Address of the sender (kind 3).
    Address(Ipv4Addr),
    /// Primary DNS server (kind 129).
    Dns1(Ipv4Addr),
    /// Primary NBNS server (kind 130).
    Nbns1(Ipv4Addr),
    /// Secondary DNS server (kind 131).
    Dns2(Ipv4Addr),
    /// Secondary NBNS server (kind 132).
    Nbns2(Ipv4Addr),
    /// Any other, or one of the above with a length that it cannot have.
    Unknown {
        /// The option's number.
        kind: u8,
        /// What follows kind and length.
        data: &'a [u8],
    },
}

impl<'a> IpcpOption<'a> {
    /// Interprets an option. Never fails: what does not fit is [`IpcpOption::Unknown`].
    pub fn parse(raw: RawOption<'a>) -> Self {
        let RawOption { kind, data } = raw;
        let address = <[u8; 4]>::try_from(data).ok().map(Ipv4Addr::from);
        match (kind, address) {
            (1, _) => Self::Addresses(data),
            (2, _) => Self::Compression(data),
            (3, Some(address)) => Self::Address(address),
            (129, Some(address)) => Self::Dns1(address),
            (130, Some(address)) => Self::Nbns1(address),
            (131, Some(address)) => Self::Dns2(address),
            (132, Some(address)) => Self::Nbns2(address),
            _ => Self::Unknown { kind, data },
        }
    }

    /// Appends the option.
    pub fn emit(&self, out: &mut Vec<u8>) {
        match self {
            Self::Addresses(data) => push_option(out, 1, data),
            Self::Compression(data) => push_option(out, 2, data),
            Self::Address(address) => push_option(out, 3, &address.octets()),
            Self::Dns1(address) => push_option(out, 129, &address.octets()),
            Self::Nbns1(address) => push_option(out, 130, &address.octets()),
            Self::Dns2(address) => push_option(out, 131, &address.octets()),
            Self::Nbns2(address) => push_option(out, 132, &address.octets()),
            Self::Unknown { kind, data } => push_option(out, *kind, data),
        }
    }
}

impl fmt::Display for IpcpOption<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Addresses(data) => write!(f, "<addrs {}>", Hex(data)),
            Self::Compression([0x00, 0x2d, rest @ ..]) => write!(f, "<compress VJ {}>", Hex(rest)),
            Self::Compression(data) => write!(f, "<compress {}>", Hex(data)),
            Self::Address(address) => write!(f, "<addr {address}>"),
            Self::Dns1(address) => write!(f, "<ms-dns1 {address}>"),
            Self::Nbns1(address) => write!(f, "<ms-wins {address}>"),
            Self::Dns2(address) => write!(f, "<ms-dns2 {address}>"),
            Self::Nbns2(address) => write!(f, "<ms-wins {address}>"),
            Self::Unknown { kind, data } => show_unknown(f, *kind, data),
        }
    }
}
