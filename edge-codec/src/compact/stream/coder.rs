//! Coder of a run of numbers: a fixed or a learned distribution of their tokens, and a count of raw low bits.

#![deny(clippy::indexing_slicing)]

use super::ans::Dist;
use super::bits::{BitReader, bit_len};
use super::fixed_distributions::{ALIKE, first, shape};
use super::token::{ESCAPE, split};
use std::ops::Deref;
use std::sync::Arc;

/// Count of numbers from which a quarter of them is used to estimate the cost of all.
const MANY: usize = 256;

/// Reference to a distribution: a fixed one, or one of a table. Fixed ones are not counted references, because batches name them in each of
/// their columns, and counting would cost as much as reading the name.
#[derive(Clone, Debug)]
pub(crate) enum DistRef {
    Fixed(&'static Dist),
    Learned(Arc<Dist>),
}

impl Deref for DistRef {
    type Target = Dist;

    #[inline]
    fn deref(&self) -> &Dist {
        match self {
            Self::Fixed(dist) => dist,
            Self::Learned(dist) => dist,
        }
    }
}

/// Coder of a run of numbers: a distribution, and the number of raw low bits of each number.
#[derive(Clone, Debug)]
pub(crate) struct Coder {
    pub(crate) dist: DistRef,
    pub(crate) low: u32,
    /// 1 if token 0 stands for the number 0 only, else 0.
    shift: u8,
    /// Number of the fixed distribution, or 0.
    number: usize,
}

impl Coder {
    /// Returns the coder of a fixed distribution. `None`: there is none of that number.
    pub(crate) fn fixed(number: usize, low: u32) -> Option<Self> {
        let shift = u8::from(number >= ALIKE);
        Some(Self { dist: DistRef::Fixed(shape(number)?), low, shift, number })
    }

    /// Returns a coder of the first fixed distribution, to be replaced by a fitted one.
    pub(crate) fn plain() -> Self {
        Self { dist: DistRef::Fixed(first()), low: 0, shift: 0, number: 0 }
    }

    /// Reads a coder that [`OpBuffer::coder`](super::op_buffer::OpBuffer::coder) wrote.
    pub(crate) fn read(bits: &mut BitReader<'_>) -> Option<Self> {
        let number = bits.bits(5) as usize;
        Self::fixed(number, bits.bits(6) as u32)
    }

    /// Returns the number of the fixed distribution and the count of low bits.
    pub(crate) fn name(&self) -> (usize, u32) {
        (self.number, self.low)
    }

    /// Returns the coder of a distribution of a table.
    pub(crate) fn learned(dist: Arc<Dist>) -> Self {
        Self { dist: DistRef::Learned(dist), low: 0, shift: 0, number: 0 }
    }

    /// Returns whether both use the same distribution object and as many low bits.
    pub(crate) fn is(&self, other: &Self) -> bool {
        std::ptr::eq(&*self.dist, &*other.dist) && self.low == other.low
    }

    /// Returns whether numbers become tokens without a shift and without raw low bits.
    pub(crate) fn is_plain(&self) -> bool {
        (self.shift, self.low) == (0, 0)
    }

    #[inline(always)]
    pub(crate) fn split(&self, number: u64) -> (u8, u64, u32) {
        if number < u64::from(self.shift) {
            return (0, 0, 0);
        }
        let number = number - u64::from(self.shift);
        let (token, high, bits) = split(number >> self.low);
        let low = number & ((1 << self.low) - 1);
        (token + self.shift, high << self.low | low, bits + self.low)
    }

    /// Returns the cost of numbers in 1/256 bits.
    pub(crate) fn cost_all(&self, numbers: &[u64]) -> u64 {
        self.cost_of(numbers.iter())
    }

    /// Returns about the cost of numbers in 1/256 bits; of many, it is estimated from a quarter.
    pub(crate) fn cost_about(&self, numbers: &[u64]) -> u64 {
        if numbers.len() < MANY {
            return self.cost_all(numbers);
        }
        self.cost_of(numbers.iter().step_by(4)) * 4
    }

    fn cost_of<'n>(&self, numbers: impl Iterator<Item = &'n u64>) -> u64 {
        if self.is_plain() {
            numbers.map(|n| self.cost_split(*n, split(*n))).sum()
        } else {
            numbers.map(|n| self.cost(*n)).sum()
        }
    }

    /// Returns the cost of a number in 1/256 bits.
    pub(crate) fn cost(&self, number: u64) -> u64 {
        self.cost_split(number, self.split(number))
    }

    #[inline(always)]
    fn cost_split(&self, number: u64, (token, _, bits): (u8, u64, u32)) -> u64 {
        match self.dist.cost(token) {
            u32::MAX => self.cost_escaped(number),
            cost => u64::from(cost) + u64::from(bits) * 256,
        }
    }

    #[cold]
    fn cost_escaped(&self, number: u64) -> u64 {
        u64::from(self.dist.cost(ESCAPE)) + (6 + u64::from(bit_len(number))) * 256
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixed_distributions::SHAPES;
    use super::*;
    use crate::compact::stream::ans::Decoder;
    use crate::compact::stream::op_buffer::OpBuffer;

    #[test]
    fn every_shape_writes_every_number() {
        let numbers = [0, 1, 2, 7, 8, 9, 100, 70_000, 1 << 40, u64::MAX];
        for number in 0..SHAPES {
            for low in [0, 1, 9, 40, 62] {
                let coder = Coder::fixed(number, low).unwrap();
                let mut ops = OpBuffer::default();
                ops.numbers(&coder, &numbers);
                let bytes = ops.write(<[u8]>::to_vec);
                let mut decoder = Decoder::new(&bytes).unwrap();
                for n in numbers {
                    assert_eq!(decoder.number(&coder.dist, coder.low), n, "shape {number} low {low}");
                }
                assert!(decoder.ended_well());
            }
        }
    }
}
