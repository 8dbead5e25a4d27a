//! Delta encoding: integers are predicted by those before them, by the last one or by the line through the last two (delta of delta), or by a
//! constant. The residuals, which are the differences from the prediction, are coded.

#![deny(clippy::indexing_slicing)]

use crate::compact::stream::ans::Decoder;
use crate::compact::stream::coder::Coder;
use crate::zigzag::{unzigzag, zigzag};

/// Order of prediction. [`Order::Delta`] and [`Order::Line`] predict by earlier integers, so their first integer is coded apart, as the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Predicts `center` always, usually the least integer: the integer is `center + r`.
    Above,
    /// Predicts the integer before: the integer is that one + `unzigzag(r)`.
    Delta,
    /// Predicts the next point of the line through the two integers before: the integer is that point + `unzigzag(r)`.
    Line,
    /// Predicts `center` always, an integer in the middle: the integer is `center + unzigzag(r)`.
    Around,
}

impl Order {
    pub(crate) const ALL: [Order; 4] = [Order::Above, Order::Delta, Order::Line, Order::Around];

    /// Returns whether the first integer is coded apart, because nothing before it predicts it.
    pub(crate) fn has_head(self) -> bool {
        matches!(self, Order::Delta | Order::Line)
    }

    /// Reads as many numbers as `out` has places, restores their integers, and stores what `last` makes of each. `main` codes all numbers but
    /// the first, which `head` codes if there is one. Residuals are multiplied by `step`, as `center` is already. One loop does it all, so that
    /// divisions in `last` overlap with the decoding.
    pub(crate) fn undo(
        self,
        (center, step): (i64, i64),
        (main, head): (&Coder, Option<&Coder>),
        decoder: &mut Decoder<'_>,
        out: &mut [u64],
        mut last: impl FnMut(i64) -> u64,
    ) {
        let (dist, low) = (&*main.dist, main.low);
        let steps = |n| unzigzag(n).wrapping_mul(step);
        match self {
            Order::Above => {
                decoder.fill(dist, low, out, |n| last((n as i64).wrapping_mul(step).wrapping_add(center)));
            }
            Order::Around => decoder.fill(dist, low, out, |n| last(steps(n).wrapping_add(center))),
            Order::Delta | Order::Line => {
                let Some((first, rest)) = out.split_first_mut() else { return };
                let head = head.map_or(0, |c| steps(decoder.number(&c.dist, c.low)));
                let mut x = center.wrapping_add(head);
                *first = last(x);
                if self == Order::Delta {
                    decoder.fill(dist, low, rest, |n| {
                        x = x.wrapping_add(steps(n));
                        last(x)
                    });
                } else {
                    let mut slope = 0_i64;
                    decoder.fill(dist, low, rest, |n| {
                        slope = slope.wrapping_add(steps(n));
                        x = x.wrapping_add(slope);
                        last(x)
                    });
                }
            }
        }
    }
}

/// Fills `out` with the residuals that are coded. With [`Order::Delta`] and [`Order::Line`] the first one is the head's.
pub(crate) fn residuals_of(order: Order, center: i64, integers: &[i64], out: &mut Vec<u64>) {
    out.clear();
    if order.has_head() {
        out.extend(integers.first().map(|first| zigzag(first.wrapping_sub(center))));
    }
    rest_of(order, center, integers, out);
}

/// Appends the residuals of [`residuals_of`] without the head's.
pub(crate) fn rest_of(order: Order, center: i64, integers: &[i64], out: &mut Vec<u64>) {
    let next = integers.get(1..).unwrap_or_default();
    let steps = integers.iter().zip(next).map(|(a, b)| b.wrapping_sub(*a));
    match order {
        Order::Above => out.extend(integers.iter().map(|x| x.wrapping_sub(center) as u64)),
        Order::Around => out.extend(integers.iter().map(|x| zigzag(x.wrapping_sub(center)))),
        Order::Delta => out.extend(steps.map(zigzag)),
        Order::Line => {
            let after = next.get(1..).unwrap_or_default();
            let turns = steps.clone().zip(next.iter().zip(after).map(|(b, c)| c.wrapping_sub(*b)));
            out.extend(steps.take(1).map(zigzag));
            out.extend(turns.map(|(before, step)| zigzag(step.wrapping_sub(before))));
        }
    }
}
