//! Bit reader and writer, first bit first, with the codes that the specification calls `bits(n)`, `eg(k)` and `raw`.

#![deny(clippy::indexing_slicing)]

/// Reads a stream forwards, from behind its marker, which is the first set bit. Reading past the end returns zeros; [`overrun`](Self::overrun)
/// tells.
///
/// Only the position is kept. Every look at the data starts from there, so that it does not wait for the one before, only for its length
/// (Giesen, "Reading bits in far too many ways", part 2, variant 1).
#[derive(Clone, Copy, Debug)]
pub(crate) struct BitReader<'a> {
    data: &'a [u8],
    /// Bytes of the stream; `data` may be longer.
    len: usize,
    /// Number of bits that were read, the marker and everything before it included.
    at: usize,
}

/// Zeros behind a stream, so that a look never crosses the end of the data.
pub(crate) const PADDING: [u8; 8] = [0; 8];

/// Least number of bits in [`BitReader::window`].
pub(crate) const WINDOW: u32 = 57;

impl<'a> BitReader<'a> {
    /// Creates a reader that starts after the first set bit. `None`: there is none.
    pub(crate) fn new(data: &'a [u8]) -> Option<Self> {
        let (at, byte) = data.iter().enumerate().find(|(_, b)| **b != 0)?;
        Some(Self { data, len: data.len(), at: at * 8 + byte.leading_zeros() as usize + 1 })
    }

    /// Creates a reader of a stream with [`PADDING`] behind it, so that looks past the end need no special case.
    pub(crate) fn padded(data: &'a [u8]) -> Option<Self> {
        let reader = Self::new(data)?;
        Some(Self { len: data.len().saturating_sub(PADDING.len()), ..reader })
    }

    /// Returns the next bits at the top of a word, of which at least [`WINDOW`] are valid.
    #[inline(always)]
    pub(crate) fn window(&self) -> u64 {
        let from = self.at >> 3;
        let bytes = self.data.get(from..from + 8).and_then(|bytes| bytes.first_chunk());
        let word = bytes.map_or_else(|| tail(self.data, from), |bytes| u64::from_be_bytes(*bytes));
        word << (self.at & 7)
    }

    #[inline(always)]
    pub(crate) fn skip(&mut self, bits: u32) {
        self.at += bits as usize;
    }

    /// Reads `n` bits, n ≤ 64; the recipe's `bits(n)`.
    #[inline(always)]
    pub(crate) fn bits(&mut self, n: u32) -> u64 {
        if n > WINDOW {
            let (value, at) = wide(*self, n);
            self.at = at;
            return value;
        }
        let value = top(self.window(), n);
        self.skip(n);
        value
    }

    /// Reads one bit as a condition.
    #[inline(always)]
    pub(crate) fn flag(&mut self) -> bool {
        self.bits(1) == 1
    }

    /// Reads an exponential Golomb code of order `k` (as in H.264 §9.1, with `k` low bits kept out of the code).
    #[inline]
    pub(crate) fn eg(&mut self, k: u32) -> u64 {
        let word = self.window();
        let zeros = word.leading_zeros();
        let len = 2 * zeros + 1 + k;
        if len > WINDOW {
            let (number, at) = long(*self, zeros, k);
            self.at = at;
            return number;
        }
        self.skip(len);
        let high = top(word << zeros, zeros + 1) - 1;
        high << k | top(word << zeros << (zeros + 1), k)
    }

    /// Reads a number that follows its own length. A length above 64 bits counts as the end of the stream.
    pub(crate) fn raw(&mut self) -> u64 {
        match self.eg(RAW_LOW) {
            n @ 0..=64 => self.bits(n as u32),
            _ => {
                self.end();
                0
            }
        }
    }

    /// Returns a position at which [`overrun`](Self::overrun) is true.
    fn past_end(&self) -> usize {
        self.at.max(self.len * 8 + 1)
    }

    /// Moves to [`past_end`](Self::past_end).
    pub(crate) fn end(&mut self) {
        self.at = self.past_end();
    }

    /// Returns whether more bits were read than there are.
    pub(crate) fn overrun(&self) -> bool {
        self.at > self.len * 8
    }

    /// Returns whether all bits were read.
    pub(crate) fn at_end(&self) -> bool {
        self.at == self.len * 8
    }

    /// Returns the number of bits that are not read yet.
    pub(crate) fn left(&self) -> usize {
        (self.len * 8).saturating_sub(self.at)
    }

    /// Returns the index of the byte that is read next.
    pub(crate) fn byte(&self) -> usize {
        (self.at >> 3).min(self.len)
    }
}

/// Implements [`BitReader::bits`] for more bits than one look gives. Returns them and the next position. It takes the reader by value; see
/// [`tail`].
#[cold]
fn wide(mut bits: BitReader<'_>, n: u32) -> (u64, usize) {
    let high = top(bits.window(), n - 32);
    bits.skip(n - 32);
    let low = top(bits.window(), 32);
    bits.skip(32);
    (high << 32 | low, bits.at)
}

/// Implements [`BitReader::eg`] for codes longer than one look. Returns the number and the next position. It takes the reader by value; see
/// [`tail`].
#[cold]
fn long(mut bits: BitReader<'_>, zeros: u32, k: u32) -> (u64, usize) {
    if zeros >= WINDOW - 1 {
        // Larger numbers get a larger order: a damaged stream.
        return (0, bits.past_end());
    }
    bits.skip(zeros + 1);
    let high = (1 << zeros | bits.bits(zeros)) - 1;
    (high.wrapping_shl(k) | bits.bits(k), bits.at)
}

/// Returns the eight bytes from `start` on, with zeros for those behind the end of `data`. It takes the data and no reference to the reader, so that the
/// reader stays in registers.
#[cold]
fn tail(data: &[u8], start: usize) -> u64 {
    if let Some(last) = data.last_chunk() {
        // What is before `start` leaves at the top; shifts of 64 and more leave nothing.
        let before = (start + 8).saturating_sub(data.len()) * 8;
        return u64::from_be_bytes(*last).checked_shl(before as u32).unwrap_or(0);
    }
    let rest = data.get(start..).unwrap_or_default();
    rest.iter().chain(std::iter::repeat(&0)).take(8).fold(0, |word, b| word << 8 | u64::from(*b))
}

/// Exp-Golomb order of the length of a `raw` number.
pub(crate) const RAW_LOW: u32 = 4;

/// Returns the top `n` bits of a word, n ≤ 63.
#[inline(always)]
pub(crate) fn top(word: u64, n: u32) -> u64 {
    (word >> 1) >> (63 - n)
}

/// Writes a stream from its last bit to its first, since the entropy coder needs that order.
///
/// The stream stands at the end of a buffer that is reused. Whole bytes leave the word by a store of eight, whose surplus the next store
/// overwrites, so that there is no branch on their number.
#[derive(Clone, Debug, Default)]
pub(crate) struct ReverseWriter {
    buffer: Vec<u8>,
    front: Front,
}

/// Front of a stream that is being written, apart from the buffer so that a loop keeps it in registers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Front {
    /// Position in the buffer.
    at: usize,
    word: u64,
    /// Bits of `word` that are not in the buffer yet; below 8 between two calls.
    filled: u32,
}

/// Most bits that can be put at once.
pub(crate) const PUT_MAX: u32 = 56;

impl ReverseWriter {
    /// Starts a stream in the buffer of an earlier one.
    pub(crate) fn new(buffer: Vec<u8>) -> Self {
        let front = Front { at: buffer.len(), word: 0, filled: 0 };
        Self { buffer, front }
    }

    /// Returns the front, and the buffer with room for `bytes` before it. The caller hands the front back by [`close`](Self::close).
    pub(crate) fn open(&mut self, bytes: usize) -> (Front, &mut [u8]) {
        let needed = bytes + 8;
        if self.front.at < needed {
            let more = self.buffer.len().max(needed);
            let mut larger = vec![0; more];
            larger.extend_from_slice(&self.buffer);
            self.buffer = larger;
            self.front.at += more;
        }
        (self.front, &mut self.buffer)
    }

    pub(crate) fn close(&mut self, front: Front) {
        self.front = front;
    }

    /// Puts the low `n` bits of `value` in front of the stream, n ≤ 64. Higher bits of `value` must be 0.
    pub(crate) fn put(&mut self, value: u64, n: u32) {
        let (mut front, buffer) = self.open(8);
        front.put_wide(buffer, value, n);
        self.close(front);
    }

    /// Puts the marker in front, passes the stream to `take`, and returns the buffer for reuse.
    pub(crate) fn finish<T>(mut self, take: impl FnOnce(&[u8]) -> T) -> (T, Vec<u8>) {
        self.put(1, 8 - self.front.filled);
        (take(self.buffer.get(self.front.at..).unwrap_or_default()), self.buffer)
    }
}

impl Front {
    /// Puts the low `n` bits of `value`, n ≤ [`PUT_MAX`]. Higher bits of `value` must be 0.
    #[inline(always)]
    pub(crate) fn put(&mut self, buffer: &mut [u8], value: u64, n: u32) {
        let word = self.word | value << self.filled;
        let filled = self.filled + n;
        let slot = buffer.get_mut(self.at.wrapping_sub(8)..self.at);
        if let Some(slot) = slot.and_then(|slot| slot.first_chunk_mut()) {
            *slot = word.to_be_bytes();
        }
        self.at = self.at.wrapping_sub((filled >> 3) as usize);
        self.word = word >> (filled & 56);
        self.filled = filled & 7;
    }

    /// Puts the low `n` bits of `value`, n ≤ 64.
    pub(crate) fn put_wide(&mut self, buffer: &mut [u8], value: u64, n: u32) {
        let low = n.min(32);
        self.put(buffer, value & ((1 << low) - 1), low);
        self.put(buffer, value.checked_shr(low).unwrap_or(0), n - low);
    }
}

/// Returns the number of bits of a number; 0 has none.
#[inline(always)]
pub(crate) fn bit_len(value: u64) -> u32 {
    64 - value.leading_zeros()
}

/// Bound of what an Exp-Golomb code has above its low bits: readers take at most 55 zeros.
pub(crate) const EG_MAX: u64 = (1 << 56) - 1;

/// Returns the part of an Exp-Golomb code above its low bits, and the number of zeros in front of it.
#[inline]
pub(super) fn eg_prefix(value: u64, k: u32) -> (u64, u32) {
    let high = (value >> k) + 1;
    (high, high.ilog2())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_last_is_read_first() {
        let mut writer = ReverseWriter::default();
        writer.put(0b101, 3);
        writer.put(0xdead_beef, 32);
        writer.put(u64::MAX - 1, 64);
        writer.put(0, 1);
        let (bytes, _) = writer.finish(<[u8]>::to_vec);
        let mut reader = BitReader::new(&bytes).unwrap();
        assert_eq!((reader.bits(1), reader.bits(64)), (0, u64::MAX - 1));
        assert_eq!((reader.bits(32), reader.bits(3)), (0xdead_beef, 0b101));
        assert!(reader.at_end() && !reader.overrun());
        assert_eq!(reader.bits(9), 0);
        assert!(reader.overrun());
    }

    #[test]
    fn a_buffer_that_grows_loses_nothing_and_is_used_again() {
        let mut writer = ReverseWriter::default();
        for count in [3000_u64, 10] {
            (0..count).for_each(|n| writer.put(n, 13));
            let (bytes, buffer) = std::mem::take(&mut writer).finish(<[u8]>::to_vec);
            assert_eq!(bytes.len() as u64, count * 13 / 8 + 1);
            let mut reader = BitReader::new(&bytes).unwrap();
            assert!((0..count).rev().all(|n| reader.bits(13) == n) && reader.at_end());
            writer = ReverseWriter::new(buffer);
        }
    }
}
