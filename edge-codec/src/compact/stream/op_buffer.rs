//! Op buffer: records raw bits and runs of numbers in reading order. The entropy writer makes the stream of them, back to front.

#![deny(clippy::indexing_slicing)]

use super::bits::{PUT_MAX, RAW_LOW, bit_len, eg_prefix};
use super::coder::Coder;
use super::entropy_writer::EntropyWriter;
use crate::compact::list_bytes::list_bytes;

/// Raw bits and runs of numbers in reading order. Its memory is reused for the next batch.
#[derive(Clone, Debug, Default)]
pub(crate) struct OpBuffer {
    ops: Vec<Op>,
    /// Numbers of all runs, one behind the other.
    numbers: Vec<u64>,
    /// Coders of all runs, followed by those of earlier batches. They are mostly the same, so that nothing has to be copied.
    coders: Vec<Coder>,
    /// Number of runs.
    runs: usize,
    buffer: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
enum Op {
    Bits {
        value: u64,
        n: u8,
    },
    Run {
        numbers: usize,
    },
    /// From here on the states take turns.
    Turns,
}

/// Position in an op buffer to which it can be reset.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    ops: usize,
    /// Last op as it was, because bits that follow are merged into it.
    last: Option<Op>,
    numbers: usize,
    runs: usize,
}

impl OpBuffer {
    /// Records `n` bits, n ≤ 64; the recipe's `bits(n)`.
    pub(crate) fn bits(&mut self, value: u64, n: u32) {
        match self.ops.last_mut() {
            Some(Op::Bits { value: before, n: m }) if u32::from(*m) + n <= PUT_MAX => {
                *before = *before << n | value;
                *m += n as u8;
            }
            _ => self.ops.push(Op::Bits { value, n: n as u8 }),
        }
    }

    /// Returns the bytes outside of the buffer's owner.
    pub(crate) fn heap_bytes(&self) -> usize {
        list_bytes(&self.ops)
            + list_bytes(&self.numbers)
            + list_bytes(&self.coders)
            + list_bytes(&self.buffer)
    }

    pub(crate) fn flag(&mut self, set: bool) {
        self.bits(set.into(), 1);
    }

    /// Records an exponential Golomb code; see [`BitReader::eg`](super::bits::BitReader::eg). `value >> k` must be below
    /// [`EG_MAX`](super::bits::EG_MAX).
    pub(crate) fn eg(&mut self, value: u64, k: u32) {
        let (high, len) = eg_prefix(value, k);
        if 2 * len < PUT_MAX {
            self.bits(high, 2 * len + 1);
        } else {
            self.bits(0, len);
            self.bits(high, len + 1);
        }
        self.bits(value & ((1 << k) - 1), k);
    }

    /// Records a number behind its length; see [`BitReader::raw`](super::bits::BitReader::raw).
    pub(crate) fn raw(&mut self, value: u64) {
        let n = bit_len(value);
        self.eg(n.into(), RAW_LOW);
        self.bits(value, n);
    }

    /// Records a run of numbers.
    pub(crate) fn numbers(&mut self, coder: &Coder, numbers: &[u64]) {
        self.run(coder, |out| out.extend_from_slice(numbers));
    }

    /// Records a run of the numbers that `add` appends, and returns them.
    pub(crate) fn run(&mut self, coder: &Coder, add: impl FnOnce(&mut Vec<u64>)) -> &[u64] {
        let from = self.numbers.len();
        add(&mut self.numbers);
        match self.coders.get_mut(self.runs) {
            Some(there) if there.is(coder) => {}
            Some(there) => there.clone_from(coder),
            None => self.coders.push(coder.clone()),
        }
        self.runs += 1;
        let run = self.numbers.get(from..).unwrap_or_default();
        self.ops.push(Op::Run { numbers: run.len() });
        run
    }

    /// Records the name of a fixed distribution; see [`Coder::read`].
    pub(crate) fn coder(&mut self, coder: &Coder) {
        let (number, low) = coder.name();
        self.bits(number as u64, 5);
        self.bits(low.into(), 6);
    }

    /// Lets the states take turns from here on; see [`Decoder::take_turns`](super::ans::Decoder::take_turns).
    pub(crate) fn take_turns(&mut self) {
        self.ops.push(Op::Turns);
    }

    pub(crate) fn mark(&self) -> Mark {
        let last = self.ops.last().copied();
        Mark { ops: self.ops.len(), last, numbers: self.numbers.len(), runs: self.runs }
    }

    /// Removes everything that was recorded since the mark.
    pub(crate) fn undo(&mut self, mark: Mark) {
        self.ops.truncate(mark.ops);
        if let (Some(last), Some(was)) = (self.ops.last_mut(), mark.last) {
            *last = was;
        }
        self.numbers.truncate(mark.numbers);
        self.runs = mark.runs;
    }

    /// Passes the stream to `take`, and empties the buffer. The stream is written back to front, then the state, then the marker.
    pub(crate) fn write<T>(&mut self, take: impl FnOnce(&[u8]) -> T) -> T {
        let takes_turns = self.ops.iter().any(|op| matches!(op, Op::Turns));
        let mut writer = EntropyWriter::new(std::mem::take(&mut self.buffer), takes_turns);
        let used = self.coders.get(..self.runs).unwrap_or_default();
        let (mut coders, mut left) = (used.iter().rev(), self.numbers.as_slice());
        for op in self.ops.iter().rev() {
            match *op {
                Op::Bits { value, n } => writer.bits(value, n.into()),
                Op::Run { numbers } => {
                    let Some((rest, run)) = left.split_at_checked(left.len().saturating_sub(numbers)) else {
                        continue;
                    };
                    left = rest;
                    if let Some(coder) = coders.next() {
                        writer.run(coder, run);
                    }
                }
                Op::Turns => writer.start_turns(),
            }
        }
        let (taken, buffer) = writer.finish(take);
        self.buffer = buffer;
        self.undo(Mark { ops: 0, last: None, numbers: 0, runs: 0 });
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compact::stream::ans::{Decoder, Dist};
    use crate::compact::stream::token::ESCAPE;
    use std::sync::Arc;

    fn coder() -> Coder {
        let weights = vec![(0, 900), (1, 60), (3, 40), (20, 20), (ESCAPE, 4)];
        Coder::learned(Arc::new(Dist::new(weights, 0).unwrap()))
    }

    fn written(ops: &mut OpBuffer) -> Vec<u8> {
        ops.write(<[u8]>::to_vec)
    }

    #[test]
    fn what_is_written_is_read_and_the_state_comes_home() {
        let coder = coder();
        let mut ops = OpBuffer::default();
        let numbers = [0, 0, 1, 3, 0, 600, 0, 0, 1, u64::MAX, 2];
        for n in numbers {
            ops.numbers(&coder, &[n, 0]);
            ops.bits(n & 7, 3);
        }
        let mark = ops.mark();
        ops.numbers(&coder, &numbers);
        ops.raw(4);
        ops.undo(mark);
        ops.raw(u64::MAX);
        ops.eg(77, 3);
        let bytes = written(&mut ops);
        let mut decoder = Decoder::new(&bytes).unwrap();
        for n in numbers {
            assert_eq!((decoder.number(&coder.dist, 0), decoder.number(&coder.dist, 0)), (n, 0));
            assert_eq!(decoder.bits.bits(3), n & 7);
        }
        assert_eq!(decoder.bits.raw(), u64::MAX);
        assert_eq!(decoder.bits.eg(3), 77);
        assert!(decoder.ended_well());
    }

    #[test]
    fn states_that_take_turns_come_home_whatever_the_runs() {
        let coder = coder();
        for len in 0..140_u64 {
            let mut ops = OpBuffer::default();
            let numbers: Vec<u64> = (0..len).map(|n| n * n % 5).collect();
            ops.numbers(&coder, &[1, 3]);
            ops.take_turns();
            ops.numbers(&coder, &numbers);
            ops.flag(true);
            ops.numbers(&coder, &[0, 600, 1]);
            let bytes = written(&mut ops);
            let mut decoder = Decoder::new(&bytes).unwrap();
            assert_eq!([decoder.number(&coder.dist, 0), decoder.number(&coder.dist, 0)], [1, 3]);
            decoder.take_turns();
            let mut out = vec![0; numbers.len()];
            decoder.fill(&coder.dist, 0, &mut out, |n| n);
            assert_eq!((out, decoder.bits.flag()), (numbers, true));
            assert_eq!([0; 3].map(|_| decoder.number(&coder.dist, 0)), [0, 600, 1]);
            assert!(decoder.ended_well());
        }
    }

    #[test]
    fn a_buffer_that_was_written_is_empty_and_writes_the_same_again() {
        let mut ops = OpBuffer::default();
        let mut once = || {
            ops.numbers(&coder(), &[1, 0, 3, 99_999]);
            ops.flag(true);
            written(&mut ops)
        };
        assert_eq!(once(), once());
    }

    #[test]
    fn a_frequent_token_costs_a_fraction_of_a_bit() {
        let mut ops = OpBuffer::default();
        ops.numbers(&coder(), &[0; 8000]);
        assert!(written(&mut ops).len() < 200);
        let dist = coder().dist;
        assert!(dist.cost(0) < 64 && dist.cost(1) > 4 * 256 && dist.cost(2) == u32::MAX);
    }
}
