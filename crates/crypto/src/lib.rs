//! The cryptography of PPTP: CHAP-MD5, MS-CHAP v1 and v2, RC4, and MPPE's key schedule and packet ciphers.
//!
//! The crate does no I/O, reads no clock and makes no random numbers: challenges come from the caller.
//! Secrets overwrite themselves when dropped, show nothing in `Debug`, and are compared in constant time.
//!
//! | module | what | source |
//! |---|---|---|
//! | [`chap_md5`] | CHAP with MD5 | RFC 1994 §4.1 |
//! | [`mschap::v1`] | MS-CHAP v1 | RFC 2433 |
//! | [`mschap::v2`] | MS-CHAP v2 | RFC 2759 |
//! | [`mppe`] | keys and packet ciphers | RFC 3078, RFC 3079 |
//! | [`rc4`] | the stream cipher below MPPE | – |
#![no_std]
#![deny(unsafe_code)]

extern crate alloc;

pub mod chap_md5;
pub mod mppe;
pub mod mschap;
pub mod rc4;
mod secret;

pub use secret::{NtHash, Password, Secret};
