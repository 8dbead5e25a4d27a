//! Entropy coding: tANS (Duda 2013, arXiv:1311.2540) over tokens, raw bits between them, one state for a whole batch.
//!
//! A distribution gives each token a weight; the weights add up to 1024. Common numbers cost a fraction of a bit.

#![deny(clippy::indexing_slicing)]

use super::bits::{BitReader, WINDOW, top};
use super::token::{ESCAPE, HIGHEST, TOKENS, parts};
use std::sync::Arc;

pub(super) const STATE_BITS: u32 = 10;
pub(super) const STATES: usize = 1 << STATE_BITS;
/// Coprime with the number of states: spreads a token's states over the whole range.
const STEP: usize = 643;

/// A distribution of tokens, ready for both directions.
#[derive(Debug)]
pub(super) struct Dist {
    /// What a state stands for; see [`Dist::cell`].
    decode: Box<[u32; STATES]>,
    encode: Box<[Step; TOKENS]>,
    next: Box<[u16; STATES]>,
    /// In 1/256 bits, without the token's extra bits; `u32::MAX` if it has no code.
    cost: Box<[u32; TOKENS]>,
    weights: Vec<(u8, u16)>,
}

/// How a token moves the state (as in the FSE implementation of the method).
#[derive(Clone, Copy, Debug, Default)]
struct Step {
    /// 0 if the token has no code.
    bits: u32,
    first: i32,
}

impl Default for Dist {
    /// Without any token.
    fn default() -> Self {
        Self {
            decode: Box::new([0; STATES]),
            encode: Box::new([Step::default(); TOKENS]),
            next: Box::new([0; STATES]),
            cost: Box::new([u32::MAX; TOKENS]),
            weights: Vec::new(),
        }
    }
}

impl Dist {
    /// `shift` is 1 for distributions whose token 0 is the number 0 alone. `None` if the weights do not rise by token,
    /// are 0, do not add up, or the escape is not among them.
    pub(super) fn new(weights: Vec<(u8, u16)>, shift: u8) -> Option<Arc<Self>> {
        let rising = weights.windows(2).all(|w| matches!(w, [a, b] if a.0 < b.0));
        let sum: u64 = weights.iter().map(|w| u64::from(w.1)).sum();
        let known = weights.split_last().is_some_and(|(last, rest)| {
            last.0 == ESCAPE && rest.last().is_none_or(|w| w.0 < HIGHEST + shift)
        });
        if !rising || sum != STATES as u64 || !known || weights.iter().any(|w| w.1 == 0) {
            return None;
        }
        let mut spread = [0_u8; STATES];
        let mut at = 0;
        for (token, weight) in &weights {
            for _ in 0..*weight {
                *spread.get_mut(at)? = *token;
                at = (at + STEP) % STATES;
            }
        }
        let mut dist = Self { weights, ..Self::default() };
        dist.fill(&spread, shift)?;
        Some(Arc::new(dist))
    }

    fn fill(&mut self, spread: &[u8; STATES], shift: u8) -> Option<()> {
        // A token's state that comes next.
        let mut nth = [0_u32; TOKENS];
        let mut sum = 0;
        for (token, weight) in &self.weights {
            let (token, weight) = (usize::from(*token), u32::from(*weight));
            *nth.get_mut(token)? = weight;
            let bits = STATE_BITS - if weight == 1 { 0 } else { (weight - 1).ilog2() };
            let step = self.encode.get_mut(token)?;
            step.bits = (bits << 16).wrapping_sub(weight << bits);
            step.first = sum as i32 - weight as i32;
            *self.cost.get_mut(token)? = (STATE_BITS << 8) - log2_256(weight);
            sum += weight;
        }
        for (state, token) in spread.iter().enumerate() {
            let slot = nth.get_mut(usize::from(*token))?;
            let x = *slot;
            *slot += 1;
            let bits = STATE_BITS - x.ilog2();
            let base = (x << bits) - STATES as u32;
            *self.decode.get_mut(state)? = Self::cell(base, bits, *token, shift);
            // `first` is the start less the weight.
            let at = x.wrapping_add_signed(self.encode.get(usize::from(*token))?.first);
            *self.next.get_mut(at as usize)? = (STATES + state) as u16;
        }
        Some(())
    }

    /// Base of the next state (10 bits), its bits (4), the number's extra bits (6, 63 for the escape), its prefix (3),
    /// what is added to it (1), and whether the coder's own low bits follow (1).
    fn cell(base: u32, bits: u32, token: u8, shift: u8) -> u32 {
        let cell = base | bits << 10;
        if token == ESCAPE {
            return cell | 63 << 14;
        }
        if token < shift {
            return cell;
        }
        let (prefix, extra) = parts(token - shift);
        cell | extra << 14 | prefix << 20 | u32::from(shift) << 23 | 1 << 24
    }

    /// What a writer needs.
    pub(super) fn steps(&self) -> Steps<'_> {
        Steps { encode: &self.encode, next: &self.next }
    }

    #[inline(always)]
    pub(super) fn cost(&self, token: u8) -> u32 {
        self.cost.get(usize::from(token)).copied().unwrap_or(u32::MAX)
    }

    pub(super) fn weights(&self) -> &[(u8, u16)] {
        &self.weights
    }
}

/// A distribution's tables for writing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Steps<'a> {
    encode: &'a [Step; TOKENS],
    next: &'a [u16; STATES],
}

impl Steps<'_> {
    /// How a writer in `state` takes a token: bits it puts out, how many, and the state it goes on with. `None` if the
    /// token has no code.
    #[inline(always)]
    pub(super) fn take(self, state: u32, token: u8) -> Option<(u32, u32, u32)> {
        let step = self.encode.get(usize::from(token)).filter(|s| s.bits != 0)?;
        let bits = state.wrapping_add(step.bits) >> 16;
        let at = (state >> bits).wrapping_add_signed(step.first);
        #[expect(clippy::indexing_slicing, reason = "the mask is the array's length")]
        let next = self.next[at as usize & (STATES - 1)];
        Some((state & ((1 << bits) - 1), bits, next.into()))
    }
}

/// log2 in 1/256, rounded down, by integers: sizes decide what is written, so they must not depend on a math library.
fn log2_256(value: u32) -> u32 {
    let whole = value.max(1).ilog2();
    let mut x = (u64::from(value.max(1)) << 32) >> whole;
    let mut log = whole;
    for _ in 0..8 {
        x = ((u128::from(x) * u128::from(x)) >> 32) as u64;
        log <<= 1;
        if x >> 33 != 0 {
            x >>= 1;
            log |= 1;
        }
    }
    log
}

/// Reads tokens and bits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decoder<'a> {
    pub(super) bits: BitReader<'a>,
    state: usize,
}

impl<'a> Decoder<'a> {
    pub(super) fn new(data: &'a [u8]) -> Option<Self> {
        let mut bits = BitReader::new(data)?;
        let state = bits.bits(STATE_BITS) as usize;
        Some(Self { bits, state })
    }

    /// The next number of a distribution, with `low` low bits of its own.
    #[inline(always)]
    pub(super) fn number(&mut self, dist: &Dist, low: u32) -> u64 {
        #[expect(clippy::indexing_slicing, reason = "the mask is the array's length")]
        let cell = dist.decode[self.state & (STATES - 1)];
        let window = self.bits.window();
        let bits = cell >> 10 & 15;
        self.state = (cell & 1023) as usize + top(window, bits) as usize;
        let extra = (cell >> 14 & 63) + if cell >> 24 & 1 == 1 { low } else { 0 };
        if bits + extra > WINDOW {
            self.bits.skip(bits);
            let (number, bits) = wide(self.bits, cell, extra);
            self.bits = bits;
            return number;
        }
        self.bits.skip(bits + extra);
        let prefix = u64::from(cell >> 20 & 7) << extra;
        (prefix | top(window << bits, extra)).wrapping_add(u64::from(cell >> 23 & 1))
    }

    /// After the last number the state is the one the writer started with.
    pub(super) fn ended_well(&self) -> bool {
        self.state == 0 && self.bits.at_end()
    }
}

/// A number with more bits than one look at the stream gives, or one without a token. By value: see `bits::tail`.
#[cold]
fn wide(mut bits: BitReader<'_>, cell: u32, extra: u32) -> (u64, BitReader<'_>) {
    if cell >> 14 & 63 == 63 {
        let number = bits.raw();
        return (number, bits);
    }
    let prefix = u64::from(cell >> 20 & 7).checked_shl(extra).unwrap_or(0);
    let number = prefix | bits.bits(extra.min(64));
    (number.wrapping_add(u64::from(cell >> 23 & 1)), bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logarithms_are_right_to_a_part_in_256() {
        for v in 1..=1024_u32 {
            let exact = f64::from(v).log2() * 256.0;
            assert!((f64::from(log2_256(v)) - exact).abs() <= 1.1, "{v}");
        }
    }

    #[test]
    fn weights_that_do_not_add_up_are_refused() {
        assert!(Dist::new(vec![(0, 1000), (ESCAPE, 23)], 0).is_none());
        assert!(Dist::new(vec![(3, 500), (0, 500), (ESCAPE, 24)], 0).is_none());
        assert!(Dist::new(vec![(0, 1024)], 0).is_none());
    }
}
