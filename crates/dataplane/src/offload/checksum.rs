//! The Internet checksum (RFC 1071), eight bytes at a time.

/// The sum of 16-bit words in network order, folded to 16 bits; a last odd byte counts as a word's first half.
pub(crate) fn sum(bytes: &[u8]) -> u16 {
    // Sums in the machine's order are the sums in network order with their bytes swapped (RFC 1071 §2 (B)).
    let mut total: u64 = 0;
    let mut words = bytes.chunks_exact(8);
    for word in &mut words {
        let word = u64::from_ne_bytes([
            word[0], word[1], word[2], word[3], word[4], word[5], word[6], word[7],
        ]);
        // Halves are added apart, so that 2^32 of them fit without a carry.
        total += (word & 0xffff_ffff) + (word >> 32);
    }
    let mut pairs = words.remainder().chunks_exact(2);
    for pair in &mut pairs {
        total += u64::from(u16::from_ne_bytes([pair[0], pair[1]]));
    }
    if let [last] = pairs.remainder() {
        total += u64::from(u16::from_ne_bytes([*last, 0]));
    }
    u16::from_be(fold(total))
}

/// The sum of sums.
pub(super) fn add(sums: &[u16]) -> u16 {
    fold(sums.iter().map(|sum| u64::from(*sum)).sum())
}

/// The sum of the pseudo-header of TCP and UDP (RFC 9293 §3.1, RFC 8200 §8.1). `addresses`: source and destination.
pub(super) fn pseudo_header(addresses: &[u8], protocol: u8, len: usize) -> u16 {
    let len = len as u32;
    add(&[sum(addresses), u16::from(protocol), (len >> 16) as u16, len as u16])
}

fn fold(mut total: u64) -> u16 {
    while total > 0xffff {
        total = (total & 0xffff) + (total >> 16);
    }
    total as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_of_rfc_1071_is_right() {
        assert_eq!(sum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), 0xddf2);
    }

    #[test]
    fn every_length_gives_what_word_by_word_addition_gives() {
        let bytes: Vec<u8> = (0..2000u32).map(|number| (number * 37 % 251) as u8 | 0x80).collect();
        for len in (0..64).chain([1399, 1400, 2000]) {
            let plain: u64 = bytes[..len]
                .chunks(2)
                .map(|pair| u64::from(pair[0]) << 8 | u64::from(*pair.get(1).unwrap_or(&0)))
                .sum();
            assert_eq!(sum(&bytes[..len]), fold(plain), "{len}");
        }
    }
}
