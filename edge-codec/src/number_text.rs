//! Numbers that are given as text.

#![deny(clippy::indexing_slicing)]

use crate::Value;

/// Reads a decimal number. Without fraction and exponent it is an integer, exact from -2^63 to 2^64-1, otherwise the nearest double. `None` if
/// the text is no number, or one beyond the range of a double.
pub(crate) fn number(text: &str) -> Option<Value<'static>> {
    // What Rust reads beside these is no number of a sensor: `inf`, `nan`, `infinity`.
    if !text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E')) {
        return None;
    }
    if let Ok(whole) = text.parse() {
        return Some(Value::I64(whole));
    }
    if let Ok(whole) = text.parse() {
        return Some(Value::U64(whole));
    }
    text.parse().ok().filter(|number: &f64| number.is_finite()).map(Value::F64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_exact_and_all_others_the_nearest_double() {
        for (text, value) in [
            ("0", Value::I64(0)),
            ("-5", Value::I64(-5)),
            ("+5", Value::I64(5)),
            ("007", Value::I64(7)),
            ("9223372036854775807", Value::I64(i64::MAX)),
            ("9223372036854775808", Value::U64(1 << 63)),
            ("18446744073709551616", Value::F64(18_446_744_073_709_551_616.0)),
            ("-9223372036854775809", Value::F64(-9_223_372_036_854_775_808.0)),
            ("21.5", Value::F64(21.5)),
            ("1.0", Value::F64(1.0)),
            (".5", Value::F64(0.5)),
            ("5.", Value::F64(5.0)),
            ("-1.5E-3", Value::F64(-0.0015)),
        ] {
            assert_eq!(number(text), Some(value), "{text}");
        }
    }

    #[test]
    fn what_is_no_finite_decimal_number_is_none() {
        for text in [
            "", " 1", "1 ", "+", "-", ".", "e5", "1e", "1e999", "0x10", "1_000", "inf", "nan", "1,5",
            "1.2.3", "--1",
        ] {
            assert_eq!(number(text), None, "{text}");
        }
    }
}
