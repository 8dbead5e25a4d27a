//! Correctly rounded arithmetic on doubles: powers of ten, rounding to whole numbers and to 15 digits, bits as ordinals.

#![deny(clippy::indexing_slicing)]

/// Powers of ten that a double holds exactly, by their exponent.
pub(crate) const POW10: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
    1e19, 1e20, 1e21, 1e22,
];
/// Number whose addition and subtraction rounds to the nearest integer: 1.5 × 2^52. It needs integers below 2^51, as those of the number forms
/// are.
pub(crate) const ROUND: f64 = 6_755_399_441_055_744.0;

/// Decimal exponent of the first number of [`Digits`](super::number_form::NumberForm::Digits).
pub(crate) const LEAST_EXPONENT: i64 = -20;

/// Bits of a double as an integer of the same order.
#[inline(always)]
pub(crate) fn ordinal(value: f64) -> i64 {
    let bits = value.to_bits() as i64;
    bits ^ ((bits >> 63) & i64::MAX)
}

#[inline(always)]
pub(crate) fn from_ordinal(ordinal: i64) -> f64 {
    f64::from_bits((ordinal ^ ((ordinal >> 63) & i64::MAX)) as u64)
}

pub(crate) fn from_ordinal32(ordinal: i64) -> f64 {
    let ordinal = ordinal as i32;
    f64::from(f32::from_bits((ordinal ^ ((ordinal >> 31) & i32::MAX)) as u32))
}

#[inline(always)]
pub(crate) fn round(value: f64) -> f64 {
    (value + ROUND) - ROUND
}

pub(crate) fn pow10(e: u8) -> f64 {
    POW10.get(usize::from(e)).copied().unwrap_or(1.0)
}

/// Least number whose 15 digits end before the point.
const WHOLE: f64 = 1e15;

/// Rounds to 15 digits in all, counting those before the point; a leading zero is not one.
#[inline(always)]
pub(crate) fn digits15(value: f64) -> f64 {
    // Beyond 2^51 [`round`] is wrong, and 15 digits leave nothing behind the point.
    if value.abs() >= WHOLE { value.round_ties_even() } else { round_to(value, scale15(value)) }
}

/// Returns the power of ten by which a number is multiplied so that its 15 digits stand before the point.
#[inline(always)]
pub(crate) fn scale15(value: f64) -> f64 {
    pow10(15_u32.saturating_sub(digits_before(value)) as u8)
}

#[inline(always)]
pub(crate) fn round_to(value: f64, power: f64) -> f64 {
    round(value * power) / power
}

/// Returns how many digits stand before the point.
#[inline(always)]
pub(crate) fn digits_before(value: f64) -> u32 {
    (value.abs() as u64).checked_ilog10().map_or(0, |n| n + 1)
}
