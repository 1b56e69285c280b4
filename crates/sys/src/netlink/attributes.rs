//! Reading netlink attributes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An attribute: `struct nlattr` { length: u16, type: u16 } and value, aligned to 4.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attribute<'a> {
    pub(super) kind: u16,
    pub(super) value: &'a [u8],
}

/// The attributes in `bytes`, up to the first that is cut short.
pub(super) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = Attribute<'_>> {
    const HEADER: usize = 4;
    /// Without the flags for nesting and byte order.
    const KIND: u16 = 0x3fff;
    std::iter::from_fn(move || {
        let header: &[u8; HEADER] = bytes.first_chunk()?;
        let len = usize::from(u16::from_ne_bytes([header[0], header[1]]));
        let kind = u16::from_ne_bytes([header[2], header[3]]) & KIND;
        let value = bytes.get(HEADER..len)?;
        bytes = bytes.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some(Attribute { kind, value })
    })
}

impl Attribute<'_> {
    /// A number of four bytes.
    pub(super) fn number(&self) -> Option<u32> {
        Some(u32::from_ne_bytes(self.value.try_into().ok()?))
    }

    /// Text that ends with the value or a zero byte.
    pub(super) fn text(&self) -> String {
        let text = self.value.split(|byte| *byte == 0).next().unwrap_or_default();
        String::from_utf8_lossy(text).into_owned()
    }

    /// An address, whose length says its family.
    pub(super) fn address(&self) -> Option<IpAddr> {
        match self.value.len() {
            4 => <[u8; 4]>::try_from(self.value).ok().map(|octets| Ipv4Addr::from(octets).into()),
            16 => <[u8; 16]>::try_from(self.value).ok().map(|octets| Ipv6Addr::from(octets).into()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_that_are_cut_short_end_the_list() {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&[7, 0, 3, 0, b'l', b'o', 0, 0]);
        bytes.extend_from_slice(&[8, 0, 2, 0x80, 10, 0, 0, 1]);
        let read: Vec<_> = attributes(&bytes).collect();
        assert_eq!(read.len(), 2);
        assert_eq!(read[0].text(), "lo");
        assert_eq!((read[1].kind, read[1].address()), (2, Some(Ipv4Addr::new(10, 0, 0, 1).into())));
        for len in 0..bytes.len() {
            assert!(attributes(&bytes[..len]).count() <= 1);
        }
        assert_eq!(attributes(&[0; 64]).count(), 0);
    }
}
