//! A payload that is one value as text, as plain sensors and home automation send it: `21.5`, `true`, `21.5 °C`.
//!
//! | payload | value |
//! |---|---|
//! | `21.5`, `-3`, `1e3` | number: without fraction and exponent an integer, exact from -2^63 to 2^64-1, otherwise the nearest double |
//! | `21.5 °C`, `45%`, `12 kWh` | number with its unit, which passes as it was written: letters, `%` or `°` first, without blanks; only `%` and `°…` may follow without a blank |
//! | `true`, `false`, `on`, `off`, in any case | bool |
//! | `null`, `nan`, `-nan`, in any case | null: the sensor says that it has no value |
//!
//! Blanks, line ends and NUL bytes around it are skipped, because C programs send the terminator of their strings. Everything else is refused, a
//! comma for a decimal point too. Sensor and time are the [`Source`]'s; the quality is good.

#![deny(clippy::indexing_slicing)]

use crate::error::quoted;
use crate::number_text::number;
use crate::{DecodeError, Limits, Record, Source, Value, quality};
use std::borrow::Cow;

/// Reads a payload that consists of one value.
///
/// It costs no allocation.
///
/// ```
/// use edge_codec::{Limits, Source, Value, plain_value};
///
/// let source = Source { sensor: Some("oven3/temp"), arrival_ms: 1_580_515_200_000 };
/// let record = plain_value::import(b"97.4 Cel\n", &source, &Limits::default())?;
/// assert_eq!((record.sensor.as_ref(), &record.value, record.unit.as_ref()), ("oven3/temp", &Value::F64(97.4), "Cel"));
/// # Ok::<(), edge_codec::DecodeError>(())
/// ```
///
/// # Errors
/// [`Limit`](DecodeError::Limit); [`Missing`](DecodeError::Missing) for an empty payload or a source without a sensor;
/// [`Unexpected`](DecodeError::Unexpected) for a payload that is no value.
pub fn import<'a>(
    payload: &'a [u8],
    source: &Source<'a>,
    limits: &Limits,
) -> Result<Record<'a>, DecodeError> {
    crate::check_input(payload, limits)?;
    limits.check_text(limits.text_bytes, payload)?;
    let text = crate::input_text(payload)?;
    let text = text.trim_matches(|c: char| c.is_ascii_whitespace() || c == '\0');
    if text.is_empty() {
        return Err(DecodeError::Missing { offset: payload.len(), field: "value".into() });
    }
    let sensor =
        source.sensor.ok_or(DecodeError::Missing { offset: payload.len(), field: "sensor".into() })?;
    let (value, unit) = value(text).ok_or_else(|| DecodeError::Unexpected {
        offset: 0,
        field: "payload".into(),
        expected: "a number, true or false",
        found: format!("text {}", quoted(text)).into(),
    })?;
    Ok(Record {
        sensor: Cow::Borrowed(sensor),
        field: Cow::Borrowed(""),
        unit: Cow::Borrowed(unit),
        time: source.arrival_ms,
        arrival_time: true,
        value,
        quality: quality::GOOD,
        numeric_quality: false,
    })
}

/// Returns the value and its unit, which is empty if there is none. `None`: the text is no value.
fn value(text: &str) -> Option<(Value<'static>, &str)> {
    let word = [
        ("true", Value::Bool(true)),
        ("on", Value::Bool(true)),
        ("false", Value::Bool(false)),
        ("off", Value::Bool(false)),
        ("null", Value::Null),
        ("nan", Value::Null),
        ("-nan", Value::Null),
    ];
    if let Some((_, value)) = word.into_iter().find(|(word, _)| text.eq_ignore_ascii_case(word)) {
        return Some((value, ""));
    }
    let (figures, unit) = match text.split_once(' ') {
        Some((figures, unit)) => (figures, unit.trim_start_matches(' ')),
        None => text.find(['%', '°']).and_then(|at| text.split_at_checked(at)).unwrap_or((text, "")),
    };
    let may_be_unit = unit.is_empty()
        || unit.starts_with(|c: char| c.is_alphabetic() || matches!(c, '%' | '°'))
            && !unit.contains(|c: char| c.is_whitespace() || c.is_control());
    number(figures).filter(|_| may_be_unit).map(|number| (number, unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOPIC: Source<'static> = Source { sensor: Some("t"), arrival_ms: 7 };

    fn read(payload: &[u8]) -> Result<(Value<'_>, String), DecodeError> {
        import(payload, &TOPIC, &Limits::default()).map(|record| {
            assert_eq!(
                (record.name().as_ref(), record.time, record.arrival_time, record.quality),
                ("t", 7, true, 0)
            );
            (record.value, record.unit.into_owned())
        })
    }

    #[test]
    fn every_form_of_the_table() {
        for (payload, value, unit) in [
            ("21.5", Value::F64(21.5), ""),
            (" -3\r\n", Value::I64(-3), ""),
            ("1e3\0", Value::F64(1e3), ""),
            ("18446744073709551615", Value::U64(u64::MAX), ""),
            ("21.5 °C", Value::F64(21.5), "°C"),
            ("21.5°C", Value::F64(21.5), "°C"),
            ("45%", Value::I64(45), "%"),
            ("45 %rH", Value::I64(45), "%rH"),
            ("12  kWh", Value::I64(12), "kWh"),
            ("3 m3/h", Value::I64(3), "m3/h"),
            ("true", Value::Bool(true), ""),
            ("FALSE", Value::Bool(false), ""),
            ("ON", Value::Bool(true), ""),
            ("off", Value::Bool(false), ""),
            ("null", Value::Null, ""),
            ("NaN", Value::Null, ""),
            ("-nan", Value::Null, ""),
        ] {
            assert_eq!(read(payload.as_bytes()), Ok((value, unit.to_owned())), "{payload:?}");
        }
    }

    #[test]
    fn everything_else_is_refused_with_what_was_found() {
        for payload in [
            "21,5",
            "1.2.3.4",
            "0x1F",
            "5f3a",
            "10:30",
            "2020-02-01",
            "21.5C",
            "21.5 22.5",
            "1 a b",
            "1 \u{7}",
            "yes",
            "inf",
            "1e999",
            "{\"value\":1}",
            "%",
            "° C",
            "on off",
            "1 -",
            "5%%\t",
        ] {
            let taken = read(payload.as_bytes());
            if payload == "5%%\t" {
                assert_eq!(taken, Ok((Value::I64(5), "%%".to_owned())), "a unit passes as it was written");
                continue;
            }
            let error = taken.unwrap_err();
            assert!(matches!(&error, DecodeError::Unexpected { .. }), "{payload:?}: {error}");
        }
        let error = read(format!("x{}", "y".repeat(5_000)).as_bytes()).unwrap_err().to_string();
        assert!(error.len() < 200, "{error}");
    }

    #[test]
    fn an_empty_payload_and_bytes_have_errors_of_their_own() {
        for payload in [&b""[..], b" \n", b"\0"] {
            let error = read(payload).unwrap_err();
            assert!(matches!(&error, DecodeError::Missing { field, .. } if field == "value"), "{error}");
        }
        assert!(matches!(read(b"21.5 \xff").unwrap_err(), DecodeError::Malformed { offset: 5, .. }));
        let long = import(&[b'1'; 9], &TOPIC, &Limits::default().text_bytes(8)).unwrap_err();
        assert!(matches!(long, DecodeError::Limit { what: "text bytes", found: 9, .. }), "{long}");
        let nobody = Source { sensor: None, arrival_ms: 0 };
        let error = import(b"1", &nobody, &Limits::default()).unwrap_err();
        assert!(matches!(&error, DecodeError::Missing { field, .. } if field == "sensor"), "{error}");
    }
}
