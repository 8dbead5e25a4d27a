//! Choice of a predictor: the order of prediction, and the center, that leave the smallest residuals.

#![deny(clippy::indexing_slicing)]

use super::delta_prediction::Order;
use crate::compact::stream::bits::bit_len;
use crate::zigzag::zigzag;

/// Chosen predictor of a run of integers.
#[derive(Clone, Copy)]
pub(super) struct Predictor {
    pub(super) order: Order,
    pub(super) center: i64,
    pub(super) least: i64,
    /// Estimated size of the residuals in bits.
    pub(super) bits: u64,
}

/// Returns the order of prediction with the smallest residuals, and its center.
pub(super) fn choose(integers: &[i64]) -> Predictor {
    let first = integers.first().copied().unwrap_or(0);
    let (least, most) = integers.iter().fold((first, first), |(a, b), x| (a.min(*x), b.max(*x)));
    if least == most {
        return Predictor { order: Order::Above, center: least, least, bits: 0 };
    }
    let (mut above, mut delta, mut line) = (0, 0, 0);
    let (mut before, mut slope) = (first, 0_i64);
    for x in integers {
        let step = x.wrapping_sub(std::mem::replace(&mut before, *x));
        let turn = step.wrapping_sub(std::mem::replace(&mut slope, step));
        above += small(x.wrapping_sub(least) as u64);
        delta += small(zigzag(step));
        line += small(zigzag(turn));
    }
    let best = [(above, Order::Above, least), (delta, Order::Delta, first), (line, Order::Line, first)];
    let best = best.into_iter().min_by_key(|(bits, ..)| *bits).unwrap_or((0, Order::Above, least));
    let best = if integers.len() < FEW { best } else { centered(integers, best) };
    let (bits, order, center) = best;
    Predictor { order, center, least, bits }
}

/// Returns the better of the prediction `best` and two whose center is the middle or a low rank of the integers.
fn centered(integers: &[i64], best: (u64, Order, i64)) -> (u64, Order, i64) {
    if best.0 <= SHARED {
        return best;
    }
    let (low, middle) = ranks(integers);
    let around: u64 = integers.iter().map(|x| small(zigzag(x.wrapping_sub(middle)))).sum();
    let mostly: u64 = integers.iter().map(|x| small(x.wrapping_sub(low) as u64)).sum();
    let others = [(around + SHARED, Order::Around, middle), (mostly + SHARED, Order::Above, low)];
    others.into_iter().fold(best, |best, other| if other.0 < best.0 { other } else { best })
}

/// Extra cost in bits of a column of an unusual order, because its neighbours cannot share its plan.
const SHARED: u64 = 64;

/// Integers below which a column keeps to the usual centers, because another one would gain less than a shared plan saves.
const FEW: usize = 64;

/// Returns two ranks of a sample of the integers: one that about one in [`FEW`] is below, and the median.
fn ranks(integers: &[i64]) -> (i64, i64) {
    let mut integers: Vec<i64> = integers.iter().step_by(integers.len() / FEW).copied().collect();
    let (low, middle) = (integers.len() / FEW, integers.len() / 2);
    let (below, middle, _) = integers.select_nth_unstable(middle);
    let low = if low < below.len() { *below.select_nth_unstable(low).1 } else { *middle };
    (low, *middle)
}

/// Returns the estimated size of a number in bits.
pub(super) fn small(number: u64) -> u64 {
    u64::from(bit_len(number)) + u64::from(number > 0)
}
