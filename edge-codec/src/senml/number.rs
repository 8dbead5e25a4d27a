//! Numbers of SenML: seconds, sums and decimal fractions.

#![deny(clippy::indexing_slicing)]

use crate::Value;
use std::io::Write;

/// Returns a number as a double, with which RFC 8428 computes; `None` for other kinds of values.
pub(super) fn to_f64(number: &Value<'_>) -> Option<f64> {
    match number {
        Value::F64(v) => Some(*v),
        Value::I64(v) => Some(*v as f64),
        Value::U64(v) => Some(*v as f64),
        _ => None,
    }
}

/// Returns the sum of a base and a number, exact as long as both are integers; `None` if one is no number.
pub(super) fn add<'a>(base: &Value<'a>, number: &Value<'a>) -> Option<Value<'a>> {
    if let (Value::I64(a), Value::I64(b)) = (base, number)
        && let Some(sum) = a.checked_add(*b)
    {
        return Some(Value::I64(sum));
    }
    Some(Value::F64(to_f64(base)? + to_f64(number)?))
}

/// Converts seconds to whole milliseconds; `None` beyond an `i64`.
pub(super) fn to_ms(seconds: f64) -> Option<i64> {
    let ms = (seconds * 1e3).round();
    // 2^63 as a double; the comparison is false for NaN.
    (ms.abs() < 9_223_372_036_854_775_808.0).then_some(ms as i64)
}

/// Converts milliseconds to seconds: an integer if they are whole seconds, else a double.
pub(super) fn seconds(ms: i64) -> Value<'static> {
    if ms % 1000 == 0 { Value::I64(ms / 1000) } else { Value::F64(ms as f64 / 1e3) }
}

/// Returns `mantissa` × 10^`exponent`, rounded once; `None` if it is beyond a double. It goes through the decimal text, because parsing that is
/// exact.
pub(super) fn from_decimal(exponent: i64, mantissa: i64) -> Option<f64> {
    let mut text = [0; 44];
    let mut free = text.as_mut_slice();
    write!(free, "{mantissa}e{exponent}").ok()?;
    let left = free.len();
    let text = text.get(..text.len().checked_sub(left)?)?;
    std::str::from_utf8(text).ok()?.parse().ok().filter(|v: &f64| v.is_finite())
}

/// Returns exponent and mantissa of the shortest decimal that reads back to the same bits; `None` for -0.0 and for NaN and infinities.
pub(super) fn to_decimal(v: f64) -> Option<(i64, i64)> {
    let mut text = [0; 32];
    let mut free = text.as_mut_slice();
    write!(free, "{v:e}").ok()?;
    let left = free.len();
    let text = std::str::from_utf8(text.get(..text.len().checked_sub(left)?)?).ok()?;
    let (digits, exponent) = text.split_once('e')?;
    let mut exponent: i64 = exponent.parse().ok()?;
    let mut mantissa = 0_i64;
    let mut fraction = false;
    for digit in digits.bytes().filter(|b| *b != b'-') {
        if digit == b'.' {
            fraction = true;
            continue;
        }
        mantissa = mantissa.checked_mul(10)?.checked_add(i64::from(digit.checked_sub(b'0')?))?;
        exponent -= i64::from(fraction);
    }
    let mantissa = if v < 0.0 { -mantissa } else { mantissa };
    from_decimal(exponent, mantissa).filter(|same| same.to_bits() == v.to_bits())?;
    Some((exponent, mantissa))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_exact_both_ways() {
        for (v, parts) in [
            (53.6, Some((-1, 536))),
            (-0.05, Some((-2, -5))),
            (1250.0, Some((1, 125))),
            (0.0, Some((0, 0))),
            (-0.0, None),
            (f64::NAN, None),
            (f64::INFINITY, None),
            (5e-324, Some((-324, 5))),
            (0.1 + 0.2, Some((-17, 30_000_000_000_000_004))),
        ] {
            assert_eq!(to_decimal(v), parts, "{v}");
        }
        assert_eq!(from_decimal(-1, 536).map(f64::to_bits), Some(53.6_f64.to_bits()));
        assert_eq!(from_decimal(i64::MAX, 1), None);
        assert_eq!(from_decimal(i64::MIN, i64::MIN), Some(-0.0));
    }

    #[test]
    fn every_millisecond_of_four_figure_years_survives_seconds() {
        for ms in
            [268_435_456_001, 1_580_515_200_123, 1_580_515_200_999, 253_402_300_799_999, 4_102_444_800_007]
        {
            assert_eq!(to_f64(&seconds(ms)).and_then(to_ms), Some(ms));
            // As base time and a relative one.
            let base = 1_580_515_200_123;
            let sum = add(&seconds(base), &seconds(ms - base)).unwrap();
            assert_eq!(to_f64(&sum).and_then(to_ms), Some(ms));
        }
        assert_eq!((to_ms(1e300), to_ms(f64::NAN)), (None, None));
    }
}
