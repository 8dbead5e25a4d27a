//! Tokens of numbers: 0 to 7 are their own tokens; above that a token is the bit length and the bit after the leading one, and the other bits
//! follow raw.

#![deny(clippy::indexing_slicing)]

use super::bits::bit_len;

/// Token that escapes a number without a token in the distribution; the number follows as `raw`.
pub(crate) const ESCAPE: u8 = 131;
pub(crate) const TOKENS: usize = 132;

/// One more than the highest token of a number.
pub(crate) const HIGHEST: u8 = 130;

/// Split of a number by its bit length: the count of its raw bits, and the value that is added to the rest of it to make the token.
const SPLIT: [(u8, u8); 65] = {
    let mut split = [(0, 0); 65];
    let mut len = 4;
    while len <= 64 {
        #[expect(clippy::indexing_slicing, reason = "the array is as long; the compiler runs this")]
        {
            split[len] = (len as u8 - 2, 2 * len as u8 - 2);
        }
        len += 1;
    }
    split
};

/// Returns token, raw bits and their count. It has no branch, because small and large numbers come mixed.
#[inline(always)]
pub(crate) fn split(number: u64) -> (u8, u64, u32) {
    #[expect(clippy::indexing_slicing, reason = "a number has at most 64 bits")]
    let (bits, above) = SPLIT[bit_len(number) as usize];
    ((number >> bits) as u8 + above, number & ((1 << bits) - 1), bits.into())
}

/// Returns the inverse of [`split`]: the value above the raw bits, and the count of these.
pub(crate) fn parts(token: u8) -> (u32, u32) {
    let token = u32::from(token);
    if token < 8 { (token, 0) } else { (2 | token & 1, token / 2 - 2) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_comes_back_from_its_parts() {
        let all =
            (0..300).chain((4..64).flat_map(|n| [(1 << n) - 1, 1 << n, 3 << (n - 1)])).chain([u64::MAX]);
        for n in all {
            let (token, value, bits) = split(n);
            let (prefix, extra) = parts(token);
            assert_eq!((extra, u64::from(prefix) << extra | value), (bits, n));
            assert!(token < ESCAPE);
        }
    }
}
