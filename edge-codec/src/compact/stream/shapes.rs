//! The fixed shape, and the number of low bits, that make numbers smallest.

#![deny(clippy::indexing_slicing)]

use super::ans::Dist;
use super::bits::bit_len;
use super::coder::{Coder, SHAPES, is_shifted, shape, zero_level};
use super::token::parts;
use std::sync::OnceLock;

/// The coder that makes numbers about as small as any, and what they take, in 1/256 bits.
pub(crate) fn coder(numbers: &[u64]) -> (Coder, u64) {
    let all = numbers.len() as u32;
    let zeros = numbers.iter().filter(|n| **n == 0).count() as u32;
    let mut best = Best { cost: u64::MAX, number: 0, low: 0 };
    // Where half of the numbers are 0, that has a token of its own; where few are, it has none.
    if zeros <= all * 3 / 4 {
        best.search(&Sizes::of(numbers, 0), all, 0, 0..4);
    }
    if zeros > all / 8 {
        best.search(&Sizes::of(numbers, 1), all - zeros, zeros, near(zeros, all));
    }
    (Coder::fixed(best.number.min(SHAPES - 1), best.low).unwrap_or_else(Coder::plain), best.cost)
}

/// The best coder so far.
struct Best {
    cost: u64,
    number: usize,
    low: u32,
}

impl Best {
    /// Tries numbers of low bits from where half of the `count` sizes are, downwards as long as that helps.
    fn search(&mut self, sizes: &Sizes, count: u32, zeros: u32, shapes: std::ops::Range<usize>) {
        let typical = sizes.median(count).min(62);
        let mut least = u64::MAX;
        for low in (typical.saturating_sub(4)..=typical).rev() {
            let tally = sizes.tally(low, zeros);
            let costs = shapes.clone().map(|number| (tally.cost(number), number));
            let Some((cost, number)) = costs.min() else { return };
            if cost < self.cost {
                *self = Self { cost, number, low };
            }
            if cost > least.saturating_add(least / 16) {
                return;
            }
            least = least.min(cost);
        }
    }
}

/// The shapes whose weight of zero is around its share.
fn near(zeros: u32, all: u32) -> std::ops::Range<usize> {
    let share = (u64::from(zeros) * 1024).checked_div(u64::from(all)).unwrap_or(0);
    let level = zero_level(share as u16);
    (level.max(2) - 1) * 4..((level + 1) * 4).min(SHAPES)
}

/// How many numbers have which three leading bits: all that their token depends on, whatever the number of low bits.
struct Sizes {
    /// By four times the length, and the two bits after the leading one; then zeros, so that the tokens of any low bits are
    /// inside.
    counts: [u32; 4 * (65 + TALLIED / 2)],
    /// The longest there are.
    longest: usize,
    shift: u8,
}

/// Tokens that are told apart; no shape has higher ones.
const TALLIED: usize = 32;

impl Sizes {
    /// With `shift` 1, of the numbers above 0, each less 1.
    fn of(numbers: &[u64], shift: u8) -> Self {
        let mut sizes = Self { counts: [0; _], longest: 0, shift };
        for n in numbers {
            let Some(n) = n.checked_sub(shift.into()) else { continue };
            let len = bit_len(n) as usize;
            sizes.longest = sizes.longest.max(len);
            let leading = (n << (n.leading_zeros() & 63) >> 61) as usize & 3;
            if let Some(count) = sizes.counts.get_mut(4 * len + leading) {
                *count += 1;
            }
        }
        sizes
    }

    /// The bit length that half of the numbers are below.
    fn median(&self, count: u32) -> u32 {
        let mut seen = 0;
        for (len, counts) in self.counts.chunks_exact(4).enumerate() {
            seen += counts.iter().sum::<u32>();
            if seen > count / 2 {
                return len as u32;
            }
        }
        0
    }

    /// The tokens of the numbers without their `low` low bits, by whole columns of counts and without a look at any one.
    fn tally(&self, low: u32, zeros: u32) -> Tally {
        let (from, shift) = (low as usize, usize::from(self.shift));
        let (below, counts) = self.counts.split_at_checked(4 * (from + 1)).unwrap_or_default();
        let (small, above) = counts.split_first_chunk().unwrap_or((&[0; 12], &[]));
        let [a, b, c, d, e, f, g, h, four, five, six, seven] = *small;
        let small = [below.iter().sum(), a + b + c + d, e + f, g + h, four, five, six, seven];
        // From 8 on a token is twice the length, and the bit after the leading one.
        let above = above.as_chunks().0;
        let mut tokens = [0; TALLIED];
        tokens[0] = zeros;
        let (of_small, of_above) = tokens.split_at_mut(shift).1.split_at_mut(small.len());
        of_small.iter_mut().zip(small).for_each(|(token, count)| *token = count);
        of_above.iter_mut().zip(above).for_each(|(token, [a, b])| *token = a + b);
        let tallied = tokens.iter().skip(shift).sum::<u32>();
        let first = TALLIED - shift + 2 * from;
        let escaped = (first..2 * self.longest + 2).zip(above.iter().skip(TALLIED - shift - small.len()));
        let escaped = escaped.map(|(class, [a, b])| u64::from(a + b) * (10 + 7 + class as u64 / 2));
        Tally { tokens, others: escaped.sum::<u64>() + u64::from(tallied) * u64::from(low) }
    }
}

/// How often each token comes, for one shift and number of low bits.
struct Tally {
    tokens: [u32; TALLIED],
    /// What the low bits take, and the numbers without a token, in bits.
    others: u64,
}

impl Tally {
    fn cost(&self, number: usize) -> u64 {
        let Some(costs) = costs().get(number) else { return u64::MAX };
        let tokens = self.tokens.iter().zip(costs);
        let tokens: u64 = tokens.map(|(count, cost)| u64::from(*count) * u64::from(*cost)).sum();
        (self.others << 8) + tokens
    }
}

/// What each shape's tokens take with their raw bits, in 1/256 bits. A token without a code is an escape, and then some.
fn costs() -> &'static [[u32; TALLIED]; SHAPES] {
    static COSTS: OnceLock<[[u32; TALLIED]; SHAPES]> = OnceLock::new();
    COSTS.get_or_init(|| {
        let of = |number| {
            let shift = usize::from(is_shifted(number));
            let bits = |token: usize| token.checked_sub(shift).map_or(0, |t| parts(t as u8).1);
            let cost = |dist: &Dist, token: usize| dist.cost(token as u8).min(40 << 8) + (bits(token) << 8);
            shape(number).map(|dist| std::array::from_fn(|token| cost(dist, token)))
        };
        std::array::from_fn(|number| of(number).unwrap_or([40 << 8; TALLIED]))
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
