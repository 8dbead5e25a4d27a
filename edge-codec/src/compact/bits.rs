//! Bits, first bit first: what the recipe calls `bits(n)`, `eg(k)` and `raw`.

#![deny(clippy::indexing_slicing)]

/// Reads a stream from its marker bit on. Reading past the end gives zeros; [`overrun`](Self::overrun) tells.
///
/// The next bits wait in a word that is filled up without a branch, so that no look at the data stands between a number
/// and the one after it (Giesen, "Reading bits in far too many ways", part 2, variant 4).
#[derive(Clone, Copy, Debug)]
pub(super) struct BitReader<'a> {
    data: &'a [u8],
    /// The next byte that is not wholly in `word`.
    next: usize,
    word: u64,
    /// Bits of `word` that count.
    filled: u32,
}

/// So many bits are there after [`BitReader::window`].
pub(super) const WINDOW: u32 = 56;

impl<'a> BitReader<'a> {
    /// The stream starts after the first set bit; `None` if there is none.
    pub(super) fn new(data: &'a [u8]) -> Option<Self> {
        let next = data.iter().position(|b| *b != 0)?;
        let mut reader = Self { data, next, word: 0, filled: 0 };
        let zeros = reader.window().leading_zeros();
        reader.skip(zeros + 1);
        Some(reader)
    }

    /// The next bits at the top of a word; at least [`WINDOW`] of them are valid.
    #[inline(always)]
    pub(super) fn window(&mut self) -> u64 {
        let bytes = self.data.get(self.next..).and_then(|rest| rest.first_chunk());
        let more = bytes.map_or_else(|| tail(self.data, self.next), |bytes| u64::from_be_bytes(*bytes));
        self.word |= more >> self.filled;
        self.next += ((63 - self.filled) >> 3) as usize;
        self.filled |= WINDOW;
        self.word
    }

    /// Goes on by no more than what [`window`](Self::window) left.
    #[inline(always)]
    pub(super) fn skip(&mut self, bits: u32) {
        self.word <<= bits;
        self.filled -= bits;
    }

    /// `bits(n)`, n ≤ 64.
    #[inline(always)]
    pub(super) fn bits(&mut self, n: u32) -> u64 {
        if n > WINDOW {
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
        if zeros >= WINDOW {
            // Larger numbers get a larger order: a damaged stream.
            self.next = self.data.len() + 16;
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

    /// Bits that were read, the marker and what is before it included.
    fn at(&self) -> usize {
        (self.next * 8).saturating_sub(self.filled as usize)
    }

    /// Whether more was read than there is.
    pub(super) fn overrun(&self) -> bool {
        self.at() > self.data.len() * 8
    }

    /// Whether everything was read.
    pub(super) fn at_end(&self) -> bool {
        self.at() == self.data.len() * 8
    }

    /// Bits that are not read yet.
    pub(super) fn left(&self) -> usize {
        (self.data.len() * 8).saturating_sub(self.at())
    }

    /// The byte that is read next.
    pub(super) fn byte(&self) -> usize {
        (self.at() >> 3).min(self.data.len())
    }
}

/// The last bytes, then zeros. Takes no reference to the reader, which would keep that out of registers.
#[cold]
fn tail(data: &[u8], from: usize) -> u64 {
    let rest = data.get(from..).unwrap_or_default();
    rest.iter().chain(std::iter::repeat(&0)).take(8).fold(0, |word, b| word << 8 | u64::from(*b))
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
