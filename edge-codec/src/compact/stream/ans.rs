//! Entropy coding: tANS (Duda 2013, arXiv:1311.2540) over tokens, with raw bits between them, and one state for a whole batch, or
//! four that take turns.
//!
//! A distribution gives each token a weight; the weights add up to 1024. Common numbers cost a fraction of a bit.

#![deny(clippy::indexing_slicing)]

use super::bits::{BitReader, WINDOW};
use super::token::{ESCAPE, HIGHEST, TOKENS, parts};

pub(crate) const STATE_BITS: u32 = 10;
pub(crate) const STATES: usize = 1 << STATE_BITS;
/// Step that spreads a token's states over the whole range; coprime with the number of states.
const STEP: usize = 643;

/// Distribution of tokens, with the tables for both directions.
#[derive(Debug)]
pub(crate) struct Dist {
    /// Decoding cell of each state.
    decode: Box<[Cell; STATES]>,
    /// 1 if token 0 stands for the number 0 only, else 0.
    shift: u8,
    encode: Box<[Step; TOKENS]>,
    next: Box<[u16; STATES]>,
    /// Cost of each token in 1/256 bits, without its extra bits; `u32::MAX` if it has no code.
    cost: Box<[u32; TOKENS]>,
    weights: Vec<(u8, u16)>,
}

/// State transition at a token (as in the FSE implementation of the method).
#[derive(Clone, Copy, Debug, Default)]
struct Step {
    /// Packed bit count; 0 if the token has no code.
    bits: u32,
    first: i32,
}

/// Data that a reader needs for a state. These are fields of their own and not bits of one word, since another load costs nothing here and a
/// shift and a mask do.
#[derive(Clone, Copy, Debug, Default)]
struct Cell {
    /// Base of the next state, to which the next bits of the stream are added.
    base: u16,
    /// Mask of as many low bits as are added.
    mask: u16,
    /// Number of those bits (6 bits, all that a rotation counts), and the flag [`NUMBER`], which is set if raw low bits of the coder follow. It
    /// is not set for the escape, nor for a token that stands for the number 0 only.
    bits: u8,
    /// Bits of the state and the number together; [`WIDE`] if one look at the stream does not give them.
    len: u8,
    /// 61 less the count of the number's extra bits.
    shift: u8,
    /// Bits of the number above the extra ones, in the top three bits.
    prefix: u8,
}

/// Flag above the bit count: the token is neither the escape, nor one that stands for the number 0 only.
const NUMBER: u8 = 64;

impl Cell {
    fn new(base: u32, bits: u32, token: u8, shift: u8) -> Self {
        let (prefix, extra) = match token {
            ESCAPE => (0, WIDE),
            token if token < shift => (0, 0),
            token => parts(token - shift),
        };
        let is_number = token >= shift && token != ESCAPE;
        Self {
            base: base as u16,
            mask: (1 << bits) - 1,
            bits: bits as u8 | if is_number { NUMBER } else { 0 },
            len: (bits + extra).min(WIDE) as u8,
            shift: (61_u32.wrapping_sub(extra) & 63) as u8,
            prefix: (prefix as u8) << 5,
        }
    }

    /// Returns a mask of all ones if the cell has the flag [`NUMBER`], else 0.
    #[inline(always)]
    fn if_number(&self) -> u32 {
        u32::from(self.bits / NUMBER).wrapping_neg()
    }
}

impl Default for Dist {
    /// Returns a distribution without any token.
    fn default() -> Self {
        Self {
            decode: Box::new([Cell::default(); STATES]),
            shift: 0,
            encode: Box::new([Step::default(); TOKENS]),
            next: Box::new([0; STATES]),
            cost: Box::new([u32::MAX; TOKENS]),
            weights: Vec::new(),
        }
    }
}

impl Dist {
    /// Creates a distribution. `shift`: 1 if token 0 stands for the number 0 only. `None`: the tokens do not rise, a weight is 0, the weights
    /// do not add up, or the escape is missing.
    pub(crate) fn new(weights: Vec<(u8, u16)>, shift: u8) -> Option<Self> {
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
        let mut dist = Self { weights, shift, ..Self::default() };
        dist.fill(&spread, shift)?;
        Some(dist)
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
            *self.decode.get_mut(state)? = Cell::new(base, bits, *token, shift);
            // `first` is the start less the weight.
            let at = x.wrapping_add_signed(self.encode.get(usize::from(*token))?.first);
            *self.next.get_mut(at as usize)? = (STATES + state) as u16;
        }
        Some(())
    }

    /// Returns the tables that a writer needs.
    pub(crate) fn steps(&self) -> Steps<'_> {
        Steps { encode: &self.encode, next: &self.next }
    }

    #[inline(always)]
    pub(crate) fn cost(&self, token: u8) -> u32 {
        self.cost.get(usize::from(token)).copied().unwrap_or(u32::MAX)
    }

    pub(crate) fn weights(&self) -> &[(u8, u16)] {
        &self.weights
    }
}

/// A distribution's tables for writing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Steps<'a> {
    encode: &'a [Step; TOKENS],
    next: &'a [u16; STATES],
}

impl Steps<'_> {
    /// Encodes a token in `state`. Returns the bits to be written, their number, and the next state. `None`: the token has no code.
    #[inline(always)]
    pub(crate) fn take(self, state: u32, token: u8) -> Option<(u32, u32, u32)> {
        let step = self.encode.get(usize::from(token)).filter(|s| s.bits != 0)?;
        let bits = state.wrapping_add(step.bits) >> 16;
        let at = (state >> bits).wrapping_add_signed(step.first);
        #[expect(clippy::indexing_slicing, reason = "the mask is the array's length")]
        let next = self.next[at as usize & (STATES - 1)];
        Some((state & ((1 << bits) - 1), bits, next.into()))
    }
}

/// Returns log2 in units of 1/256, rounded down. It uses integers only, because sizes decide what is written and must not depend on a math
/// library.
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

/// Decoder of a stream of tokens and raw bits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decoder<'a> {
    pub(crate) bits: BitReader<'a>,
    /// States of the coder, of which the first is used next. In a stream with a single state the others are 0.
    states: [usize; TURNS],
    /// Set if four states take turns.
    turns: bool,
}

/// Number of states that take turns, so that none waits for the number before it.
pub(crate) const TURNS: usize = 4;

impl<'a> Decoder<'a> {
    pub(crate) fn new(data: &'a [u8]) -> Option<Self> {
        BitReader::new(data).map(Self::of)
    }

    /// Creates the decoder of a stream that starts at the reader's position.
    pub(crate) fn of(mut bits: BitReader<'a>) -> Self {
        let state = bits.bits(STATE_BITS) as usize;
        Self { bits, states: [state, 0, 0, 0], turns: false }
    }

    /// Reads the other states, which take turns from here on.
    pub(crate) fn take_turns(&mut self) {
        let [_, others @ ..] = &mut self.states;
        others.iter_mut().for_each(|state| *state = self.bits.bits(STATE_BITS) as usize);
        self.turns = true;
    }

    /// Returns the next number. `low`: count of raw low bits behind each token.
    #[inline]
    pub(crate) fn number(&mut self, dist: &Dist, low: u32) -> u64 {
        let [mut a, b, c, d] = self.states;
        let number = number::<true>(&mut self.bits, &mut a, dist, low);
        self.states = if self.turns { [b, c, d, a] } else { [a, b, c, d] };
        number
    }

    /// Fills `out` with the results of `f` for the next numbers.
    #[inline(always)]
    pub(crate) fn fill<T: Copy>(
        &mut self,
        dist: &Dist,
        low: u32,
        out: &mut [T],
        mut f: impl FnMut(u64) -> T,
    ) {
        self.mend(dist, low, out, |_, number| f(number));
    }

    /// Replaces each item by the result of `f` for the item and the next number.
    #[inline(always)]
    pub(crate) fn mend<T: Copy>(&mut self, dist: &Dist, low: u32, out: &mut [T], f: impl FnMut(T, u64) -> T) {
        if dist.shift == 0 && low == 0 {
            self.all::<T, false>(dist, low, out, f);
        } else {
            self.all::<T, true>(dist, low, out, f);
        }
    }

    /// Implements [`mend`](Self::mend) with a local copy of the reader, which stays in registers.
    #[inline(always)]
    fn all<T: Copy, const FIXED: bool>(
        &mut self,
        dist: &Dist,
        low: u32,
        out: &mut [T],
        mut f: impl FnMut(T, u64) -> T,
    ) {
        let (mut bits, [mut a, mut b, mut c, mut d]) = (self.bits, self.states);
        let (fours, rest) = if self.turns { out.as_chunks_mut() } else { (&mut [][..], out) };
        for [w, x, y, z] in fours {
            *w = f(*w, number::<FIXED>(&mut bits, &mut a, dist, low));
            *x = f(*x, number::<FIXED>(&mut bits, &mut b, dist, low));
            *y = f(*y, number::<FIXED>(&mut bits, &mut c, dist, low));
            *z = f(*z, number::<FIXED>(&mut bits, &mut d, dist, low));
        }
        for x in rest {
            *x = f(*x, number::<FIXED>(&mut bits, &mut a, dist, low));
            if self.turns {
                (a, b, c, d) = (b, c, d, a);
            }
        }
        (self.bits, self.states) = (bits, [a, b, c, d]);
    }

    /// Returns whether the stream is at its end and the states are those with which the writer started.
    pub(crate) fn ended_well(&self) -> bool {
        self.states == [0; TURNS] && self.bits.at_end()
    }
}

/// Length of a cell whose number needs more bits than one look at the stream gives.
const WIDE: u32 = 63;

/// Decodes the next number by one of the states. `FIXED`: token 0 may stand for the number 0 only, and there may be raw low bits; without these
/// it is a quarter faster.
#[inline(always)]
fn number<const FIXED: bool>(from: &mut BitReader<'_>, state: &mut usize, dist: &Dist, low: u32) -> u64 {
    #[expect(clippy::indexing_slicing, reason = "the mask is the array's length")]
    let cell = &dist.decode[*state & (STATES - 1)];
    let window = from.window();
    let low = if FIXED { low & cell.if_number() } else { 0 };
    let len = u32::from(cell.len) + low;
    if len > WINDOW {
        let (number, next, at) = wide(*from, *cell, low, dist.shift);
        (*state, *from) = (next, at);
        return number;
    }
    from.skip(len);
    // The state's bits come round to the lowest; the number's are then on top.
    let turned = window.rotate_left(cell.bits.into());
    *state = (turned & u64::from(cell.mask)) as usize + usize::from(cell.base);
    // The prefix on top, the extra bits below it; what is below those is shifted out.
    let number = u64::from(cell.prefix) << 56 | turned >> 3;
    let number = number.wrapping_shr(u32::from(cell.shift).wrapping_sub(low));
    if FIXED { number + u64::from(u32::from(dist.shift) & cell.if_number()) } else { number }
}

/// Decodes a number with more bits than one look at the stream gives, or one behind an escape. It takes the reader by value; see `bits::tail`.
#[cold]
fn wide(mut from: BitReader<'_>, cell: Cell, low: u32, shift: u8) -> (u64, usize, BitReader<'_>) {
    let state = usize::from(cell.base) + from.bits(u32::from(cell.bits % NUMBER)) as usize;
    if cell.if_number() == 0 {
        let number = from.raw();
        return (number, state, from);
    }
    // 61 less 62, the most there are, is 63.
    let extra = 61_u32.wrapping_sub(cell.shift.into()) & 63;
    let bits = extra + low;
    if bits > 64 {
        // No number has so many: a damaged stream.
        from.end();
        return (0, state, from);
    }
    let prefix = u64::from(cell.prefix >> 5).checked_shl(bits).unwrap_or(0);
    let number = prefix | from.bits(bits);
    (number.wrapping_add(shift.into()), state, from)
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
        assert!(Dist::new(vec![(0, 1000), (3, 0), (ESCAPE, 24)], 0).is_none(), "a token that never comes");
        assert!(Dist::new(vec![(0, 1000), (ESCAPE, 24)], 0).is_some());
    }
}
