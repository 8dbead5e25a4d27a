//! The fixed shape, and the number of low bits, that make numbers smallest.

#![deny(clippy::indexing_slicing)]

use super::bits::bit_len;
use super::coder::{Coder, SHAPES, shape, zero_level};
use super::token::split;
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
    /// By four times the length, and the two bits after the leading one.
    counts: [u32; 4 * 65],
    /// The shortest and the longest there are.
    lens: (usize, usize),
    shift: u8,
}

impl Sizes {
    /// With `shift` 1, of the numbers above 0, each less 1.
    fn of(numbers: &[u64], shift: u8) -> Self {
        let mut counts = [0; 4 * 65];
        let mut lens = (64, 0);
        for n in numbers {
            let Some(n) = n.checked_sub(shift.into()) else { continue };
            let len = bit_len(n) as usize;
            lens = (lens.0.min(len), lens.1.max(len));
            let leading = (n << (n.leading_zeros() & 63) >> 61) as usize & 3;
            if let Some(count) = counts.get_mut(4 * len + leading) {
                *count += 1;
            }
        }
        Self { counts, lens, shift }
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

    fn tally(&self, low: u32, zeros: u32) -> Tally {
        let mut tally = Tally { tokens: [0; 32], used: 0, bits: 0, escaped: 0 };
        tally.add(0, zeros, 0);
        let counts = self.counts.get(4 * self.lens.0..4 * self.lens.1 + 4).unwrap_or_default();
        for (class, count) in (4 * self.lens.0..).zip(counts).filter(|(_, count)| **count > 0) {
            let (len, leading) = (class / 4, class as u64 & 3);
            // The least of these numbers.
            let n = ((4 | leading) << 61).checked_shr(64 - len as u32).unwrap_or(0);
            let (token, _, bits) = split(n >> low);
            if usize::from(token + self.shift) < tally.tokens.len() {
                tally.add(token + self.shift, *count, bits + low);
            } else {
                tally.escaped += u64::from(*count) * ((10 + 7 + len as u64) << 8);
            }
        }
        tally
    }
}

/// How often each token comes, for one shift and number of low bits.
struct Tally {
    tokens: [u32; 32],
    /// One above the highest token in use.
    used: usize,
    /// Raw bits of all numbers with a token.
    bits: u64,
    /// What numbers without one take.
    escaped: u64,
}

impl Tally {
    fn add(&mut self, token: u8, count: u32, bits: u32) {
        if let Some(slot) = self.tokens.get_mut(usize::from(token)) {
            *slot += count;
            self.used = self.used.max(usize::from(token) + 1);
            self.bits += u64::from(count) * u64::from(bits);
        }
    }

    fn cost(&self, number: usize) -> u64 {
        let Some(costs) = costs().get(number) else { return u64::MAX };
        let tokens = self.tokens.iter().zip(costs).take(self.used);
        let tokens: u64 = tokens.map(|(count, cost)| u64::from(*count) * u64::from(*cost)).sum();
        self.escaped + (self.bits << 8) + tokens
    }
}

/// What each shape's tokens take, in 1/256 bits. A token without a code is an escape, and then some.
fn costs() -> &'static [[u32; 32]; SHAPES] {
    static COSTS: OnceLock<[[u32; 32]; SHAPES]> = OnceLock::new();
    COSTS.get_or_init(|| {
        let of = |number| shape(number).map(|dist| std::array::from_fn(|t| dist.cost(t as u8).min(40 << 8)));
        std::array::from_fn(|number| of(number).unwrap_or([40 << 8; 32]))
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
