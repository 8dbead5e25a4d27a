//! Conversion of doubles to the integers of a number form, by loops without a branch per value, so that several are converted at once; the
//! outcome is checked every few values.

#![deny(clippy::indexing_slicing)]

use super::rounding::{
    self, LEAST_EXPONENT, POW10, ROUND, from_ordinal32, ordinal, pow10, round, round_to, scale15,
};

/// Values between two checks, because the search for a form mostly tries one that does not fit.
const CHUNK: usize = 16;
/// Values that are converted at a time within a chunk.
const FEW: usize = 4;

/// Returns the nearest integer as a double and as an integer, and 0 or, if it is out of range, another number. Adding [`ROUND`] leaves the
/// integer in the low bits of the sum, whose exponent is then that of `ROUND`.
#[inline(always)]
fn nearest(value: f64) -> (f64, i64, u64) {
    let sum = value + ROUND;
    let apart = sum.to_bits().wrapping_sub(ROUND.to_bits());
    (sum - ROUND, apart as i64, (sum.to_bits() ^ ROUND.to_bits()) >> 52)
}

/// Computes the integers of decimals. Returns `false` if a value does not come back exactly.
pub(crate) fn decimals(scale: f64, values: &[u64], out: &mut Vec<i64>) -> bool {
    out.resize(values.len(), 0);
    for (out, values) in out.chunks_mut(CHUNK).zip(values.chunks(CHUNK)) {
        let mut wrong = 0;
        for (out, bits) in out.iter_mut().zip(values) {
            let (whole, integer, outside) = nearest(f64::from_bits(*bits) * scale);
            wrong |= ((whole / scale).to_bits() ^ bits) | outside;
            *out = integer;
        }
        if wrong != 0 {
            return false;
        }
    }
    true
}

/// Computes the nearest integers of all values, and the distances of the doubles that they become from the values, in units of the last place.
#[inline(always)]
pub(crate) fn corrected(
    scale: f64,
    values: &[u64],
    after: impl Fn(f64) -> f64,
    out: &mut Vec<i64>,
    ulps: &mut Vec<i64>,
) -> bool {
    out.resize(values.len(), 0);
    ulps.resize(values.len(), 0);
    correct(scale, values, after, out, ulps)
}

/// Computes the nearest integers of values that are printed with 15 digits, and the distances. Neighbours mostly have the same number of digits
/// before the point.
pub(crate) fn digits15(scale: f64, values: &[u64], out: &mut Vec<i64>, ulps: &mut Vec<i64>) -> bool {
    out.resize(values.len(), 0);
    ulps.resize(values.len(), 0);
    let chunks = out.chunks_mut(CHUNK).zip(ulps.chunks_mut(CHUNK)).zip(values.chunks(CHUNK));
    let mut wrong = 0;
    for ((out, ulps), values) in chunks {
        let mut quotients = [0.0; CHUNK];
        let (mut low, mut high) = (f64::MAX, 0.0);
        for ((quotient, out), bits) in quotients.iter_mut().zip(out).zip(values) {
            let (whole, integer, outside) = nearest(f64::from_bits(*bits) * scale);
            *quotient = whole / scale;
            wrong |= outside;
            *out = integer;
            let size = quotient.abs();
            low = if size < low { size } else { low };
            high = if size > high { size } else { high };
        }
        let (common, other) = (scale15(low), scale15(high));
        let apart = |bits: &u64, back: f64| ordinal(f64::from_bits(*bits)).wrapping_sub(ordinal(back));
        let ulps = ulps.iter_mut().zip(values).zip(quotients);
        if common == other {
            ulps.for_each(|((ulps, bits), q)| *ulps = apart(bits, round_to(q, common)));
        } else {
            ulps.for_each(|((ulps, bits), q)| *ulps = apart(bits, rounding::digits15(q)));
        }
    }
    wrong == 0
}

#[inline(always)]
fn correct(
    scale: f64,
    values: &[u64],
    after: impl Fn(f64) -> f64,
    out: &mut [i64],
    ulps: &mut [i64],
) -> bool {
    let mut wrong = 0;
    for ((bits, out), ulps) in values.iter().zip(out).zip(ulps) {
        let value = f64::from_bits(*bits);
        let (whole, integer, outside) = nearest(value * scale);
        wrong |= outside;
        *out = integer;
        *ulps = ordinal(value).wrapping_sub(ordinal(after(whole / scale)));
    }
    wrong == 0
}

/// Returns the ordinal of a value's binary32. `None`: the value is none.
pub(crate) fn single(value: f64) -> Option<i64> {
    let bits = (value as f32).to_bits() as i32;
    let ordinal = i64::from(bits ^ ((bits >> 31) & i32::MAX));
    (from_ordinal32(ordinal).to_bits() == value.to_bits()).then_some(ordinal)
}

/// Computes the numbers of values with `p` significant digits. Neighbours mostly have the same exponent.
pub(crate) fn significant(p: u8, values: &[u64], out: &mut Vec<i64>) -> bool {
    out.resize(values.len(), 0);
    let mut last = 0;
    for (out, values) in out.chunks_mut(CHUNK).zip(values.chunks(CHUNK)) {
        if of_exponent(p, last, values, out) {
            continue;
        }
        // A few neighbours may still have the exponent of their first.
        for (out, values) in out.chunks_mut(FEW).zip(values.chunks(FEW)) {
            let first = values.first().map_or(0.0, |bits| f64::from_bits(*bits));
            if digits(first, p, &mut last).is_none() {
                return false;
            }
            if of_exponent(p, last, values, out) {
                continue;
            }
            for (out, bits) in out.iter_mut().zip(values) {
                let Some(number) = digits(f64::from_bits(*bits), p, &mut last) else { return false };
                *out = number;
            }
        }
    }
    true
}

/// Implements [`digits`] for values that all have the decimal exponent `exponent`. Returns `false` if one has not.
#[inline(always)]
fn of_exponent(p: u8, exponent: i64, values: &[u64], out: &mut [i64]) -> bool {
    let shift = i64::from(p) - 1 - exponent;
    let group = exponent.wrapping_sub(LEAST_EXPONENT);
    let power = usize::try_from(shift).ok().and_then(|shift| POW10.get(shift));
    let Some(power) = power.filter(|_| group >= 0) else { return false };
    let least = pow10(p.wrapping_sub(1)) as i64;
    let first = 1 + group * (least * 9) - least;
    let mut wrong = 0;
    for (out, bits) in out.iter_mut().zip(values) {
        let size = f64::from_bits(*bits).abs();
        let (m, integer, outside) = nearest(size * power);
        let sign = *bits as i64 >> 63;
        // Below `least` or from ten times that on the difference is negative.
        let inside = (integer - least) | (10 * least - 1 - integer);
        wrong |= ((m / power).to_bits() ^ size.to_bits()) | outside | (inside >> 63) as u64;
        *out = ((first + integer) ^ sign) - sign;
    }
    wrong == 0
}

/// Returns the number of a value with `p` digits: 0 for 0, then the `9 × 10^(p-1)` numbers of each decimal exponent, from the least on. `last`:
/// exponent of the value before, which neighbours mostly share. `None`: the value has more digits.
pub(crate) fn digits(value: f64, p: u8, last: &mut i64) -> Option<i64> {
    let size = value.abs();
    if value == 0.0 {
        return (value.to_bits() == 0).then_some(0);
    }
    let least = pow10(p.wrapping_sub(1));
    for attempt in 0..3 {
        let shift = i64::from(p) - 1 - *last;
        let power = POW10.get(shift.unsigned_abs() as usize);
        let m = power.map(|power| round(if shift >= 0 { size * power } else { size / power }));
        match (m, power) {
            (Some(m), Some(power)) if m >= least && m < least * 10.0 => {
                let back = if shift >= 0 { m / power } else { m * power };
                let group = last.checked_sub(LEAST_EXPONENT).filter(|g| *g >= 0)?;
                let number = 1 + group * (least as i64 * 9) + (m as i64 - least as i64);
                return (back == size).then_some(if value < 0.0 { -number } else { number });
            }
            // The guess is at most one too small.
            (Some(m), _) if attempt > 0 && m >= least * 10.0 => *last += 1,
            (Some(_), _) if attempt > 0 => *last -= 1,
            _ if attempt == 0 => *last = exponent10(size)?,
            _ => return None,
        }
    }
    None
}

/// Returns about the decimal exponent, at most one off, which the caller corrects. `None`: it is out of range.
fn exponent10(size: f64) -> Option<i64> {
    let exponent = ((size.to_bits() >> 52) as i64) - 1023;
    (-66..=66).contains(&exponent).then_some((exponent * 1233) >> 12)
}
