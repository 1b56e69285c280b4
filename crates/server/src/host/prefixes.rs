//! Addresses as prefixes.

use std::net::Ipv4Addr;

/// The fewest prefixes that hold these addresses, which come in ascending order, and no others: first address and length of each.
pub(super) fn covering(addresses: impl IntoIterator<Item = Ipv4Addr>) -> Vec<(Ipv4Addr, u8)> {
    let mut prefixes = Vec::new();
    for (first, last) in runs(addresses) {
        let (mut first, last) = (u64::from(u32::from(first)), u64::from(u32::from(last)));
        while first <= last {
            // As large as the first address is aligned, and the run is long.
            let bits = first.trailing_zeros().min((last - first + 1).ilog2()).min(32);
            prefixes.push((Ipv4Addr::from(first as u32), 32 - bits as u8));
            first += 1 << bits;
        }
    }
    prefixes
}

/// Runs of addresses that follow each other, each by its first and last. They come in ascending order.
pub(super) fn runs(addresses: impl IntoIterator<Item = Ipv4Addr>) -> Vec<(Ipv4Addr, Ipv4Addr)> {
    let mut runs: Vec<(Ipv4Addr, Ipv4Addr)> = Vec::new();
    for address in addresses {
        match runs.last_mut() {
            Some((_, last)) if u32::from(address).checked_sub(1) == Some(u32::from(*last)) => {
                *last = address;
            }
            _ => runs.push((address, address)),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covering_runs(runs: &[(u32, u32)]) -> Vec<(Ipv4Addr, u8)> {
        covering(runs.iter().flat_map(|(first, last)| (*first..=*last).map(Ipv4Addr::from)))
    }

    fn text(prefixes: &[(Ipv4Addr, u8)]) -> Vec<String> {
        prefixes.iter().map(|(first, len)| format!("{first}/{len}")).collect()
    }

    #[test]
    fn a_pool_is_covered_exactly() {
        let base = u32::from(Ipv4Addr::new(192, 168, 1, 0));
        let prefixes = covering_runs(&[(base + 1, base + 10), (base + 255, base + 256)]);
        let expected = [
            "192.168.1.1/32",
            "192.168.1.2/31",
            "192.168.1.4/30",
            "192.168.1.8/31",
            "192.168.1.10/32",
            "192.168.1.255/32",
            "192.168.2.0/32",
        ];
        assert_eq!(text(&prefixes), expected);
        let halves = covering_runs(&[(base, base + 511)]);
        assert_eq!(text(&halves), ["192.168.1.0/24", "192.168.2.0/24"]);
        assert!(covering([]).is_empty());
    }

    #[test]
    fn the_ends_of_all_addresses_are_covered() {
        let prefixes = covering_runs(&[(0, 3), (u32::MAX - 1, u32::MAX)]);
        assert_eq!(text(&prefixes), ["0.0.0.0/30", "255.255.255.254/31"]);
    }
}
