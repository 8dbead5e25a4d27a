//! Fixed distributions, which need no table, because a batch names one by its number.

#![deny(clippy::indexing_slicing)]

use super::ans::Dist;
use super::token::ESCAPE;
use std::sync::OnceLock;

/// Weights of the tokens from 0 on, in four bodies: halving, falling more slowly, and two with long tails.
const BODIES: [[u16; 24]; 4] = [
    [497, 256, 128, 64, 32, 16, 8, 4, 4, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1],
    [244, 192, 144, 108, 81, 61, 46, 34, 70, 22, 9, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1],
    [321, 109, 109, 38, 38, 38, 38, 13, 53, 45, 37, 34, 26, 25, 18, 18, 13, 13, 9, 9, 6, 6, 4, 4],
    [557, 127, 127, 29, 29, 29, 29, 6, 26, 21, 12, 10, 5, 5, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1],
];

/// Weights of the number 0 as a token of its own; 0 if it has none.
const ZEROS: [u16; 8] = [0, 307, 512, 717, 870, 952, 993, 1018];

/// Number of fixed distributions with the same weight of zero, one for each body.
pub(crate) const ALIKE: usize = BODIES.len();
/// Number of fixed distributions: each body with each weight of zero.
pub(crate) const SHAPES: usize = ALIKE * ZEROS.len();

/// Fixed distributions, each made when it is first used.
static BUILT: [OnceLock<Dist>; SHAPES] = [const { OnceLock::new() }; SHAPES];

/// Returns the fixed distribution of this number. `None`: there is none.
pub(crate) fn shape(number: usize) -> Option<&'static Dist> {
    Some(built(BUILT.get(number)?, number))
}

/// The fixed distribution number 0.
pub(crate) fn first() -> &'static Dist {
    let [first, ..] = &BUILT;
    built(first, 0)
}

fn built(slot: &'static OnceLock<Dist>, number: usize) -> &'static Dist {
    slot.get_or_init(|| build(number).unwrap_or_default())
}

/// Returns the level of the weight of zero that is next to a share in 1024.
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
