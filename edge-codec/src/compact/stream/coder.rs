//! Coders of runs of numbers: the fixed shapes of distributions that need no table, and learned ones.

#![deny(clippy::indexing_slicing)]

use super::ans::Dist;
use super::bits::{BitReader, bit_len};
use super::token::{ESCAPE, split};
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

/// Weights of the tokens from 0 on, four bodies: half by half, slower, and two with long tails.
const BODIES: [[u16; 24]; 4] = [
    [497, 256, 128, 64, 32, 16, 8, 4, 4, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1],
    [244, 192, 144, 108, 81, 61, 46, 34, 70, 22, 9, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1],
    [321, 109, 109, 38, 38, 38, 38, 13, 53, 45, 37, 34, 26, 25, 18, 18, 13, 13, 9, 9, 6, 6, 4, 4],
    [557, 127, 127, 29, 29, 29, 29, 6, 26, 21, 12, 10, 5, 5, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1],
];

/// Weight of the number 0 when it is a token of its own; 0 = it is not.
const ZEROS: [u16; 8] = [0, 307, 512, 717, 870, 952, 993, 1018];

/// So many shapes have the same weight of zero: one for each body.
pub(crate) const ALIKE: usize = BODIES.len();
/// Number of shapes: a body for each weight of zero.
pub(crate) const SHAPES: usize = ALIKE * ZEROS.len();

/// The fixed distributions, made when they are first asked for.
static BUILT: [OnceLock<Dist>; SHAPES] = [const { OnceLock::new() }; SHAPES];

/// A fixed distribution.
pub(crate) fn shape(number: usize) -> Option<&'static Dist> {
    Some(built(BUILT.get(number)?, number))
}

fn built(slot: &'static OnceLock<Dist>, number: usize) -> &'static Dist {
    slot.get_or_init(|| build(number).unwrap_or_default())
}

/// The level of zero's weight that comes next to a share in 1024.
pub(crate) fn zero_level(share: u16) -> usize {
    ZEROS.iter().rposition(|z| *z <= share).unwrap_or(0) + 1
}

fn build(number: usize) -> Option<Dist> {
    let (zero, body) = (*ZEROS.get(number / ALIKE)?, BODIES.get(number % ALIKE)?);
    let rest = 1023 - zero;
    let shift = u8::from(zero > 0);
    let scaled = body.iter().map(|w| (u32::from(*w) * u32::from(rest) / 1024) as u16);
    // Tokens 8 and above start at number 16: the body has no gap, the numbers of tokens have.
    let tokens = (0..8).chain(8..).map(|t| t + shift);
    let mut weights: Vec<(u8, u16)> = tokens.zip(scaled).collect();
    let left = rest - weights.iter().map(|w| w.1).sum::<u16>();
    weights.first_mut()?.1 += left;
    weights.retain(|w| w.1 > 0);
    if zero > 0 {
        weights.insert(0, (0, zero));
    }
    weights.push((ESCAPE, 1));
    Dist::new(weights, shift)
}

/// Of so many numbers a quarter tells what all take.
const MANY: usize = 256;

/// A distribution: a fixed one, or one that a table has. Batches name fixed ones in each of their columns, and counting who
/// has them would cost as much as reading the name.
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

/// Coder of a run of numbers: a distribution, and how many low bits of each number are raw.
#[derive(Clone, Debug)]
pub(crate) struct Coder {
    pub(crate) dist: DistRef,
    pub(crate) low: u32,
    /// 0, or 1 if the token 0 is the number 0 and nothing else.
    shift: u8,
    /// The number of a fixed shape.
    number: usize,
}

impl Coder {
    /// A fixed shape; `None` if there is none of that number.
    pub(crate) fn fixed(number: usize, low: u32) -> Option<Self> {
        let shift = u8::from(number >= ALIKE);
        Some(Self { dist: DistRef::Fixed(shape(number)?), low, shift, number })
    }

    /// The first shape, for what will be tuned later.
    pub(crate) fn plain() -> Self {
        let [first, ..] = &BUILT;
        Self { dist: DistRef::Fixed(built(first, 0)), low: 0, shift: 0, number: 0 }
    }

    /// Reads what [`Script::coder`](super::script::Script::coder) wrote.
    pub(crate) fn read(bits: &mut BitReader<'_>) -> Option<Self> {
        let number = bits.bits(5) as usize;
        Self::fixed(number, bits.bits(6) as u32)
    }

    /// Returns what a fixed shape is known by: its number and the low bits.
    pub(crate) fn name(&self) -> (usize, u32) {
        (self.number, self.low)
    }

    /// A distribution of a table.
    pub(crate) fn learned(dist: Arc<Dist>) -> Self {
        Self { dist: DistRef::Learned(dist), low: 0, shift: 0, number: 0 }
    }

    /// Returns whether this is the very same coder.
    pub(crate) fn is(&self, other: &Self) -> bool {
        std::ptr::eq(&*self.dist, &*other.dist) && self.low == other.low
    }

    /// Returns whether numbers are split without a step before.
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

    /// Returns what numbers take, in 1/256 bits.
    pub(crate) fn cost_all(&self, numbers: &[u64]) -> u64 {
        self.cost_of(numbers.iter())
    }

    /// About what numbers take: of many, by a quarter of them.
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

    /// Size of a number in 1/256 bits.
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
    use super::*;
    use crate::compact::stream::ans::Decoder;
    use crate::compact::stream::script::Script;

    #[test]
    fn every_shape_writes_every_number() {
        let numbers = [0, 1, 2, 7, 8, 9, 100, 70_000, 1 << 40, u64::MAX];
        for number in 0..SHAPES {
            for low in [0, 1, 9, 40, 62] {
                let coder = Coder::fixed(number, low).unwrap();
                let mut script = Script::default();
                script.numbers(&coder, &numbers);
                let bytes = script.write(<[u8]>::to_vec);
                let mut decoder = Decoder::new(&bytes).unwrap();
                for n in numbers {
                    assert_eq!(decoder.number(&coder.dist, coder.low), n, "shape {number} low {low}");
                }
                assert!(decoder.ended_well());
            }
        }
    }
}
