//! Transform between the integers of a number form and those that are predicted: none, frame of reference (`first + step × x`)
//! or a dictionary.

#![deny(clippy::indexing_slicing)]

use super::integer_dictionary::{self, LIST_MAX};
use super::rounding::ROUND;
use crate::compact::list_bytes::list_bytes;
use crate::compact::shared_timestamps::gcd;
use crate::compact::stream::bits::{BitReader, bit_len};
use crate::compact::stream::op_buffer::OpBuffer;
use crate::zigzag::{unzigzag, zigzag};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Transform {
    Nothing,
    /// `first + step × x`.
    Affine {
        first: i64,
        step: i64,
    },
    /// `table[x]`, where the table is in rising order.
    Dictionary(Vec<i64>),
}

impl Transform {
    /// Returns the bytes outside of the transform itself.
    pub(crate) fn heap_bytes(&self) -> usize {
        if let Transform::Dictionary(table) = self { list_bytes(table) } else { 0 }
    }

    /// Returns the number of values in the dictionary; 0 if there is none.
    pub(crate) fn listed(&self) -> usize {
        if let Transform::Dictionary(table) = self { table.len() } else { 0 }
    }

    pub(crate) fn describe(&self, ops: &mut OpBuffer) {
        match self {
            Transform::Nothing => ops.bits(0, 2),
            Transform::Affine { first, step } => {
                ops.bits(1, 2);
                ops.raw(zigzag(*first));
                ops.raw(*step as u64);
            }
            Transform::Dictionary(table) => {
                ops.bits(2, 2);
                ops.eg(table.len() as u64, 3);
                let gaps = gaps(table);
                let widest = gaps.iter().map(|g| bit_len(*g)).max().unwrap_or(0).max(1);
                ops.bits(widest.into(), 7);
                ops.raw(zigzag(table.first().copied().unwrap_or(0)));
                gaps.iter().for_each(|gap| ops.bits(*gap, widest));
            }
        }
    }

    /// Reads what [`describe`](Self::describe) wrote. `Err` names the violation.
    pub(crate) fn read(bits: &mut BitReader<'_>) -> Result<Self, &'static str> {
        Ok(match bits.bits(2) {
            0 => Transform::Nothing,
            1 => Transform::Affine { first: unzigzag(bits.raw()), step: bits.raw() as i64 },
            2 => Transform::Dictionary(read_table(bits)?),
            _ => return Err("an unknown kind of step"),
        })
    }

    /// Turns the form's integers into those that are predicted. Returns `false` if one of them is not on the step, or not in the dictionary.
    pub(crate) fn apply(&self, integers: &mut [i64]) -> bool {
        match self {
            Transform::Nothing => true,
            Transform::Affine { first, step } => {
                let mut rest = 0;
                for x in integers.iter_mut() {
                    let from = x.wrapping_sub(*first);
                    let steps = divided(from, *step);
                    rest |= from.wrapping_sub(steps.wrapping_mul(*step));
                    *x = steps;
                }
                rest == 0 && *step != 0
            }
            Transform::Dictionary(table) => integer_dictionary::number(integers, table),
        }
    }

    /// Returns `first` and `step` of an affine transform; `None` for the other transforms.
    pub(crate) fn affine(&self) -> Option<(i64, i64)> {
        if let Transform::Affine { first, step } = self { Some((*first, *step)) } else { None }
    }

    /// Replaces places in the dictionary by the entries there; without a dictionary it changes nothing. `Err`: a place is beyond its end.
    pub(crate) fn look_up(&self, places: &mut [u64]) -> Result<(), &'static str> {
        let Transform::Dictionary(table) = self else { return Ok(()) };
        for x in places {
            let at = usize::try_from(*x).ok().and_then(|x| table.get(x));
            *x = *at.ok_or("an index is outside of its table")? as u64;
        }
        Ok(())
    }
}

/// Estimated size in bits of a step in a batch, and of the loss that no neighbour can share the plan.
pub(super) fn told(first: i64, step: i64) -> u64 {
    24 + u64::from(bit_len(zigzag(first)) + bit_len(step as u64))
}

/// Returns `value / step`. Doubles divide where they are exact, because an integer division takes several times as long.
#[inline(always)]
fn divided(value: i64, step: i64) -> i64 {
    const EXACT: u64 = 1 << 51;
    if value.unsigned_abs() < EXACT && step.unsigned_abs() < EXACT {
        let sum = value as f64 / step as f64 + ROUND;
        sum.to_bits().wrapping_sub(ROUND.to_bits()) as i64
    } else {
        value.checked_div(step).unwrap_or(0)
    }
}

/// Returns the largest integer of which the distances of all integers from the least one are multiples. 0: they are all the same.
pub(super) fn step(integers: &[i64], least: i64) -> u64 {
    let mut step = 0_u64;
    for x in integers {
        let above = x.wrapping_sub(least);
        if !is_multiple(above, step) {
            step = gcd(above as u64, step);
            if step == 1 {
                break;
            }
        }
    }
    step
}

/// Returns whether `x` is a multiple of `step`, as a division by doubles shows; that is several times as fast as one of integers. `false` may
/// also mean that doubles cannot tell.
fn is_multiple(x: i64, step: u64) -> bool {
    let quotient = (x as f64 / step as f64) as u64;
    step > 0 && x >= 0 && quotient.checked_mul(step) == Some(x as u64)
}

/// Returns the differences of neighbours less 1, since a dictionary rises by at least 1.
fn gaps(table: &[i64]) -> Vec<u64> {
    let rest = table.get(1..).unwrap_or_default();
    table.iter().zip(rest).map(|(a, b)| (b.wrapping_sub(*a) as u64).wrapping_sub(1)).collect()
}

fn read_table(bits: &mut BitReader<'_>) -> Result<Vec<i64>, &'static str> {
    let len = usize::try_from(bits.eg(3)).ok().filter(|n| (1..=LIST_MAX).contains(n));
    let len = len.ok_or("a list of values has none, or more than 1024")?;
    let widest = bits.bits(7) as u32;
    let mut at = unzigzag(bits.raw());
    // Every entry but the first takes a bit at least: what is claimed must be there before there is memory for it.
    let needed = (widest as usize).max(1).saturating_mul(len - 1);
    if widest > 64 {
        return Err("a list of values is wider than 64 bits");
    }
    if needed > bits.left() {
        return Err("a list of values is longer than what is left of the stream");
    }
    let mut table = Vec::with_capacity(len);
    table.push(at);
    while table.len() < len {
        let gap = bits.bits(widest);
        at = at.wrapping_add(gap as i64).wrapping_add(1);
        table.push(at);
    }
    Ok(table)
}
