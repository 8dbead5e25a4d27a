//! Choice of a coder: the fixed distribution and the count of raw low bits by which numbers take the fewest bits.

#![deny(clippy::indexing_slicing)]

use super::ans::Dist;
use super::bits::bit_len;
use super::coder::Coder;
use super::fixed_distributions::{ALIKE, SHAPES, shape, zero_level};
use super::token::split;
use std::sync::OnceLock;

/// Returns a coder by which numbers take about the fewest bits, and their cost in 1/256 bits.
pub(crate) fn coder(numbers: &[u64]) -> (Coder, u64) {
    let all = numbers.len() as u32;
    let zeros = numbers.iter().filter(|n| **n == 0).count() as u32;
    let mut best = Candidate { cost: u64::MAX, number: 0, low: 0 };
    // Where half of the numbers are 0, that has a token of its own; where few are, it has none.
    if zeros <= all * 3 / 4 {
        best.search::<ALIKE>(&Sizes::of(numbers, 0), all, 0, 0);
    }
    if zeros > all / 8 {
        best.search::<TWICE>(&Sizes::of(numbers, 1), all - zeros, zeros, near(zeros, all));
    }
    (Coder::fixed(best.number.min(SHAPES - 1), best.low).unwrap_or_else(Coder::plain), best.cost)
}

/// Best coder found so far.
struct Candidate {
    cost: u64,
    number: usize,
    low: u32,
}

impl Candidate {
    /// Tries `N` distributions from `first` on, with counts of low bits from the median size downwards as long as that helps.
    fn search<const N: usize>(&mut self, sizes: &Sizes, count: u32, zeros: u32, first: usize) {
        let typical = sizes.median(count).min(62);
        let mut least = u64::MAX;
        for low in (typical.saturating_sub(4)..=typical).rev() {
            let costs: [u64; N] = sizes.costs(low, zeros, first);
            let Some((cost, number)) = costs.into_iter().zip(first..).min() else { return };
            if cost < self.cost {
                *self = Self { cost, number, low };
            }
            if cost > least.saturating_add(least / 64) {
                return;
            }
            least = least.min(cost);
        }
    }
}

/// Returns the first of the distributions whose weight of zero is near its share.
fn near(zeros: u32, all: u32) -> usize {
    let share = (u64::from(zeros) * 1024).checked_div(u64::from(all)).unwrap_or(0);
    (zero_level(share as u16).max(2) - 1) * ALIKE
}

/// Most distributions that are compared.
const TWICE: usize = 2 * ALIKE;

/// Histogram of the numbers by their three leading bits, on which alone their tokens depend, whatever the count of low bits.
struct Sizes {
    /// Counts of numbers by four times their bit length plus the two bits after the leading one.
    counts: [u32; 4 * 65],
    /// Flag for each entry of `counts` that is not 0.
    there: [u64; 5],
    shift: u8,
}

impl Sizes {
    /// Counts the numbers; with `shift` 1 only those above 0, each less 1.
    #[inline(always)]
    fn of(numbers: &[u64], shift: u8) -> Self {
        let mut sizes = Self { counts: [0; 4 * 65], there: [0; 5], shift };
        for n in numbers {
            let Some(n) = n.checked_sub(shift.into()) else { continue };
            let leading = (n << (n.leading_zeros() & 63) >> 61) as usize & 3;
            let kind = 4 * bit_len(n) as usize + leading;
            if let (Some(count), Some(there)) = (sizes.counts.get_mut(kind), sizes.there.get_mut(kind / 64)) {
                *count += 1;
                *there |= 1 << (kind % 64);
            }
        }
        sizes
    }

    /// Returns the least number of each class that occurs, rising, with its count.
    #[inline]
    fn kinds(&self) -> impl Iterator<Item = (u64, u32)> {
        (0..).step_by(64).zip(self.there).flat_map(move |(first, mut there)| {
            std::iter::from_fn(move || {
                let kind = (there != 0).then(|| first + there.trailing_zeros())?;
                there &= there - 1;
                let least = ((4 | u64::from(kind) & 3) << 61).checked_shr(64 - kind / 4).unwrap_or(0);
                Some((least, *self.counts.get(kind as usize)?))
            })
        })
    }

    /// Returns the bit length of the median.
    fn median(&self, count: u32) -> u32 {
        let mut seen = 0;
        let mut kinds = self.kinds();
        let middle = kinds.find(|kind| {
            seen += kind.1;
            seen > count / 2
        });
        middle.map_or(0, |(least, _)| bit_len(least))
    }

    /// Returns the cost of all numbers by each of `N` distributions from `first` on, with `low` raw bits. The sums are computed side by side.
    #[inline(always)]
    fn costs<const N: usize>(&self, low: u32, zeros: u32, first: usize) -> [u64; N] {
        let (mut sums, mut all_bits, by_token) = ([0; N], 0, costs());
        let mut add = |token: u8, count: u32, bits: u32| {
            let costs = by_token.get(usize::from(token)).and_then(|c| c.get(first..)?.first_chunk());
            let costs: &[u32; N] = costs.unwrap_or(&[u32::MAX; N]);
            all_bits += u64::from(count) * u64::from(bits);
            sums.iter_mut().zip(costs).for_each(|(sum, cost)| *sum += u64::from(count) * u64::from(*cost));
        };
        if zeros > 0 {
            add(0, zeros, 0);
        }
        for (least, count) in self.kinds() {
            let (token, _, bits) = split(least >> low);
            let token = token + self.shift;
            if token < TOKENS {
                add(token, count, bits + low);
            } else {
                add(TOKENS, count, 10 + 7 + bit_len(least));
            }
        }
        sums.map(|sum| sum + (all_bits << 8))
    }
}

/// Tokens from this one on are escaped in every fixed distribution.
const TOKENS: u8 = 32;

/// Costs of a token under all fixed distributions, in 1/256 bits; entries behind the last one are unused.
type Costs = [u32; SHAPES + ALIKE];

/// Returns the costs by token. A token without a code costs an escape and some more; the last row is for tokens whose bits include that
/// already.
fn costs() -> &'static [Costs; TOKENS as usize + 1] {
    static COSTS: OnceLock<[Costs; TOKENS as usize + 1]> = OnceLock::new();
    COSTS.get_or_init(|| {
        let of = |token, dist: &Dist| if token < TOKENS { dist.cost(token).min(40 << 8) } else { 0 };
        let cost = |token, number| shape(number).map_or(u32::MAX, |dist| of(token, dist));
        std::array::from_fn(|token| std::array::from_fn(|number| cost(token as u8, number)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_coder_is_said_to_take_it_takes() {
        for case in 0..60_u64 {
            let spread = case % 45;
            let number = |n: u64| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 19) & ((1 << spread) - 1);
            let numbers: Vec<u64> = (0..1024).map(|n| if n % 7 < case % 8 { 0 } else { number(n) }).collect();
            let (coder, cost) = coder(&numbers);
            assert_eq!(cost, coder.cost_all(&numbers), "{spread}");
            let others = (0..SHAPES).flat_map(|s| (0..20).filter_map(move |low| Coder::fixed(s, low)));
            let least = others.map(|other| other.cost_all(&numbers)).min().unwrap_or(0);
            assert!(cost <= least + least / 8 + 256, "{spread}: {cost} where {least} would do");
        }
    }
}
