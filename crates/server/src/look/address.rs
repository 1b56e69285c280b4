//! Whether somebody else on the local network has a client's address.

use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use sys::netlink::{Netlink, proxy_arp_interface};

/// How long an answer may take. On a local network it takes a millisecond.
const PATIENCE: Duration = Duration::from_millis(500);

/// Asks the segment that the address belongs to. Gives the interface's name and the hardware address of who has it.
///
/// # Errors
///
/// When the kernel does not tell of interfaces, or this process may not ask.
pub(crate) fn holder(address: Ipv4Addr) -> io::Result<Option<(String, [u8; 6])>> {
    let interfaces = Netlink::open()?.interfaces();
    let interfaces = interfaces.map_err(|error| io::Error::other(error.to_string()))?;
    let Some(segment) = proxy_arp_interface(&interfaces, address) else { return Ok(None) };
    let Some(hardware) = segment.hardware else { return Ok(None) };
    let own = |it: &[u8; 6]| interfaces.iter().any(|own| own.hardware == Some(*it));
    let holder = sys::arp::probe(segment.index, hardware, address, PATIENCE)?;
    Ok(holder.filter(|it| !own(it)).map(|it| (segment.name.clone(), it)))
}
