//! Which call has which address in the tunnels.

use std::collections::HashMap;
use std::net::Ipv4Addr;

/// Addresses of calls that share an interface, those of other workers too. One for each call id at most.
#[derive(Debug, Default)]
pub(super) struct Directory {
    calls: HashMap<Ipv4Addr, u16>,
    addresses: HashMap<u16, Ipv4Addr>,
}

impl Directory {
    /// From now on the call has this address, or none. An address that another call has had is that one's no longer.
    pub(super) fn set(&mut self, call: u16, address: Option<Ipv4Addr>) {
        let before = match address {
            Some(address) => self.addresses.insert(call, address),
            None => self.addresses.remove(&call),
        };
        // Another call may have taken it over.
        if let Some(before) = before.filter(|before| self.calls.get(before) == Some(&call)) {
            self.calls.remove(&before);
        }
        if let Some(address) = address {
            self.calls.insert(address, call);
        }
    }

    /// The call that an IP packet is for.
    pub(super) fn find(&self, packet: &[u8]) -> Option<u16> {
        let header: &[u8; 20] = packet.first_chunk()?;
        let destination = Ipv4Addr::new(header[16], header[17], header[18], header[19]);
        (header[0] >> 4 == 4).then(|| self.calls.get(&destination).copied())?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
    const TWO: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

    fn to(address: Ipv4Addr) -> [u8; 20] {
        let mut packet = [0; 20];
        packet[0] = 0x45;
        packet[16..].copy_from_slice(&address.octets());
        packet
    }

    #[test]
    fn packets_are_for_the_call_that_has_their_destination() {
        let mut directory = Directory::default();
        directory.set(7, Some(ONE));
        directory.set(8, Some(TWO));
        assert_eq!([ONE, TWO].map(|address| directory.find(&to(address))), [Some(7), Some(8)]);
        assert_eq!(directory.find(&to(Ipv4Addr::BROADCAST)), None);
        let mut v6 = to(ONE);
        v6[0] = 0x60;
        assert_eq!((directory.find(&v6), directory.find(&to(ONE)[..19])), (None, None));
        directory.set(7, Some(Ipv4Addr::new(10, 0, 0, 3)));
        directory.set(8, None);
        assert_eq!([ONE, TWO].map(|address| directory.find(&to(address))), [None, None]);
        assert_eq!((directory.calls.len(), directory.addresses.len()), (1, 1));
    }

    #[test]
    fn the_end_of_a_call_does_not_take_the_address_from_the_one_that_took_it_over() {
        let mut directory = Directory::default();
        directory.set(7, Some(ONE));
        directory.set(8, Some(ONE));
        directory.set(7, None);
        assert_eq!(directory.find(&to(ONE)), Some(8));
        directory.set(8, None);
        assert!(directory.calls.is_empty() && directory.addresses.is_empty());
    }
}
