//! Bits, first bit first: what the recipe calls `bits(n)`, `eg(k)` and `raw`.

#![deny(clippy::indexing_slicing)]

/// Reads a stream from its marker bit on. Reading past the end gives zeros; [`overrun`](Self::overrun) tells.
#[derive(Clone, Debug)]
pub(super) struct BitReader<'a> {
    data: &'a [u8],
    /// Next bit, counted from the start of `data`.
    at: usize,
}

impl<'a> BitReader<'a> {
    /// The stream starts after the first set bit; `None` if there is none.
    pub(super) fn new(data: &'a [u8]) -> Option<Self> {
        let byte = data.iter().position(|b| *b != 0)?;
        let first = data.get(byte)?;
        Some(Self { data, at: byte.checked_mul(8)?.checked_add(first.leading_zeros() as usize + 1)? })
    }

    /// The next bits at the top of a word; at least 57 of them are valid.
    #[inline(always)]
    pub(super) fn window(&self) -> u64 {
        let from = self.at >> 3;
        let word = match self.data.get(from..from + 8).and_then(|b| b.first_chunk()) {
            Some(bytes) => u64::from_be_bytes(*bytes),
            None => self.tail(from),
        };
        word << (self.at & 7)
    }

    #[cold]
    fn tail(&self, from: usize) -> u64 {
        let rest = self.data.get(from..).unwrap_or_default();
        rest.iter().chain(std::iter::repeat(&0)).take(8).fold(0, |word, b| word << 8 | u64::from(*b))
    }

    #[inline(always)]
    pub(super) fn skip(&mut self, bits: u32) {
        self.at += bits as usize;
    }

    /// `bits(n)`, n ≤ 64.
    #[inline(always)]
    pub(super) fn bits(&mut self, n: u32) -> u64 {
        if n > 57 {
            let high = self.bits(n - 32);
            return high << 32 | self.bits(32);
        }
        let value = top(self.window(), n);
        self.skip(n);
        value
    }

    /// Exponential Golomb code of order `k` (as in H.264 §9.1, with `k` low bits kept out of the code).
    pub(super) fn eg(&mut self, k: u32) -> u64 {
        let zeros = self.window().leading_zeros();
        if zeros > 56 {
            // Larger numbers get a larger order: a damaged stream.
            self.at = usize::MAX / 2;
            return 0;
        }
        self.skip(zeros + 1);
        let high = (1 << zeros | self.bits(zeros)) - 1;
        high.wrapping_shl(k) | self.bits(k)
    }

    /// A number with its own length in front.
    pub(super) fn raw(&mut self) -> u64 {
        let n = self.eg(RAW_LOW).min(64) as u32;
        self.bits(n)
    }

    /// Whether more was read than there is.
    pub(super) fn overrun(&self) -> bool {
        self.at > self.data.len() * 8
    }

    /// Whether everything was read.
    pub(super) fn at_end(&self) -> bool {
        self.at == self.data.len() * 8
    }

    /// Bits that are not read yet.
    pub(super) fn left(&self) -> usize {
        (self.data.len() * 8).saturating_sub(self.at)
    }

    /// The byte that is read next.
    pub(super) fn byte(&self) -> usize {
        (self.at >> 3).min(self.data.len())
    }
}

/// Order of the code for the length of a `raw` number.
pub(super) const RAW_LOW: u32 = 4;

/// The top `n` bits of a word, n ≤ 63.
#[inline(always)]
pub(super) fn top(word: u64, n: u32) -> u64 {
    (word >> 1) >> (63 - n)
}

/// Writes a stream from its last bit to its first, since the entropy coder needs that order.
#[derive(Clone, Debug, Default)]
pub(super) struct ReverseWriter {
    bytes: Vec<u8>,
    word: u64,
    filled: u32,
}

impl ReverseWriter {
    /// Puts the low `n` bits of `value` in front of what is there, n ≤ 32.
    #[inline(always)]
    pub(super) fn put(&mut self, value: u64, n: u32) {
        self.word |= value << self.filled;
        self.filled += n;
        if self.filled >= 32 {
            self.bytes.extend_from_slice(&(self.word as u32).to_le_bytes());
            self.word >>= 32;
            self.filled -= 32;
        }
    }

    /// Puts the marker in front and gives the bytes out, first byte first.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.put(1, 1);
        let rest = self.filled.div_ceil(8) as usize;
        self.bytes.extend(self.word.to_le_bytes().iter().take(rest));
        self.bytes.reverse();
        self.bytes
    }
}

/// 0, -1, 1, -2, … as 0, 1, 2, 3, …
#[inline(always)]
pub(super) fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

#[inline(always)]
pub(super) fn unzigzag(value: u64) -> i64 {
    ((value >> 1) as i64) ^ -((value & 1) as i64)
}

/// How many bits a number has; 0 has none.
#[inline(always)]
pub(super) fn bit_len(value: u64) -> u32 {
    64 - value.leading_zeros()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_last_is_read_first() {
        let mut writer = ReverseWriter::default();
        writer.put(0b101, 3);
        writer.put(0xdead_beef, 32);
        writer.put(0, 1);
        let bytes = writer.finish();
        let mut reader = BitReader::new(&bytes).unwrap();
        assert_eq!((reader.bits(1), reader.bits(32), reader.bits(3)), (0, 0xdead_beef, 0b101));
        assert!(reader.at_end() && !reader.overrun());
        assert_eq!(reader.bits(9), 0);
        assert!(reader.overrun());
    }

    #[test]
    fn zigzag_is_a_bijection() {
        for v in [0, 1, -1, i64::MIN, i64::MAX] {
            assert_eq!(unzigzag(zigzag(v)), v);
        }
        assert_eq!([0, -1, 1, -2].map(zigzag), [0, 1, 2, 3]);
    }
}
