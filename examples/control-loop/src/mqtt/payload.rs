//! Decoder of a sensor's payload: a number, a boolean, or JSON with a field.

use edge_filter::Quality;
use serde_json::Value;

/// Longest payload that is decoded, in bytes; a control input has a few.
const PAYLOAD_MAX: usize = 4096;

/// Returns the value and its quality. A payload that cannot be decoded gives a bad quality, because the input's value is then unknown.
pub(super) fn read(payload: &[u8], field: &str) -> (f64, Quality) {
    let bad = (f64::NAN, Quality::BAD);
    if payload.len() > PAYLOAD_MAX {
        return bad;
    }
    let Ok(json) = serde_json::from_slice::<Value>(payload) else { return bad };
    let (value, quality) = match &json {
        Value::Object(object) => (object.get(field), object.get("quality")),
        plain => (Some(plain), None),
    };
    let value = match value {
        Some(Value::Bool(value)) => Some(f64::from(u8::from(*value))),
        Some(value) => value.as_f64(),
        None => None,
    };
    let quality = match quality {
        Some(quality) => quality.as_u64().and_then(|code| u32::try_from(code).ok()).map(Quality::from),
        None => Some(Quality::GOOD),
    };
    value.zip(quality).unwrap_or(bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_sensors_say_is_understood_and_the_rest_is_bad() {
        for (payload, expected) in [
            ("97.4", Some(97.4)),
            ("true", Some(1.0)),
            ("{\"temp\": 97.4, \"unit\": \"F\"}", Some(97.4)),
            ("{\"temp\": 1, \"quality\": 0}", Some(1.0)),
            ("{\"temp\": 1, \"quality\": 2147483648}", None),
            ("{\"temp\": 1, \"quality\": \"fine\"}", None),
            ("{\"value\": 1}", None),
            ("\"97.4\"", None),
            ("null", None),
            ("", None),
            ("NaN", None),
            ("1e999", None),
        ] {
            let (value, quality) = read(payload.as_bytes(), "temp");
            assert_eq!(Some(value).filter(|_| quality.is_good()), expected, "{payload}");
        }
        assert!(read(&[b' '; 5000], "value").1.is_bad());
    }
}
