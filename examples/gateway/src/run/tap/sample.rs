//! Samples of a tap, a line of JSON each. Foreign texts are cut, and characters that a terminal may obey are escaped.

use edge_codec::{Value, base64};
use serde::{Deserialize, Serialize};

use super::super::status::control_answers;

/// Version of the names; it rises when one goes or gets another meaning.
pub(crate) const VERSION: u32 = 1;
/// Most bytes of a payload, a topic or another foreign text in a sample.
pub(crate) const TEXT_BYTES_MAX: usize = 256;
/// Most bytes of a line: six such texts, of which each byte may become six.
pub(super) const LINE_BYTES_MAX: usize = 10 * 1024;

/// Line of a tap's answer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
#[allow(clippy::large_enum_variant, reason = "a line is written or read, and never kept")]
pub(crate) enum Line {
    Lost {
        v: u32,
        /// Number of samples that are missing here.
        lost: u64,
    },
    Sample {
        v: u32,
        /// Unix time in milliseconds at which the message passed the stage.
        time_ms: i64,
        #[serde(flatten)]
        sample: Sample,
    },
}

/// Message at one of the stages.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "at", rename_all = "kebab-case")]
pub(crate) enum Sample {
    In(Incoming),
    Filtered(Judged),
    Stored(Stored),
    Sent(Sent),
}

/// Message as it came.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Incoming {
    pub(crate) topic: String,
    /// Client identifier; empty if it is not known.
    pub(crate) client: String,
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    /// Bytes of the whole payload.
    pub(crate) bytes: usize,
    #[serde(flatten)]
    pub(crate) payload: Shown,
}

/// Payload as text if it is UTF-8, else in base64.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Shown {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) text: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) base64: Option<String>,
    /// Set if it is only the beginning.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) cut: bool,
}

impl Shown {
    pub(crate) fn of(payload: &[u8]) -> Self {
        let head = payload.get(..TEXT_BYTES_MAX).unwrap_or(payload);
        let cut = head.len() < payload.len();
        let text = match std::str::from_utf8(head) {
            Ok(text) => Some(text),
            // The cut may go through a character.
            Err(error) if cut && error.error_len().is_none() => {
                head.get(..error.valid_up_to()).and_then(|head| std::str::from_utf8(head).ok())
            }
            Err(_) => None,
        };
        match text {
            Some(text) => Self { text: Some(text.to_owned()), base64: None, cut },
            None => Self { text: None, base64: Some(base64::encode(head)), cut },
        }
    }
}

/// Result of a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Verdict {
    /// The reading goes to the queue.
    Passed,
    /// A stage holds the reading, and may emit it later.
    Held,
    /// The reading is not stored.
    Suppressed,
    /// The message goes beside all filters.
    Unfiltered,
    /// The message is not stored, or as a dead letter.
    NoReading,
}

/// Reading with the filter's judgement, or message without a reading.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Judged {
    /// Topic of the message; `None` for a reading that the filter made by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) topic: Option<String>,
    pub(crate) verdict: Verdict,
    pub(crate) why: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reading: Option<Reading>,
}

/// Reading of a sensor.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Reading {
    pub(crate) sensor: String,
    pub(crate) unit: String,
    /// Unix time of the measurement in milliseconds.
    pub(crate) measured_ms: i64,
    /// A number, a text, a boolean or null. Bytes, and numbers that JSON does not have, are texts.
    pub(crate) value: serde_json::Value,
    /// Quality as an OPC UA StatusCode; 0 is good.
    pub(crate) quality: u32,
}

impl Reading {
    pub(crate) fn new(
        (sensor, unit, measured_ms, value): (&str, &str, i64, &Value<'_>),
        quality: u32,
    ) -> Self {
        let value = match value {
            Value::F64(value) => serde_json::Number::from_f64(*value)
                .map_or_else(|| value.to_string().into(), serde_json::Value::Number),
            Value::I64(value) => (*value).into(),
            Value::U64(value) => (*value).into(),
            Value::Bool(value) => (*value).into(),
            Value::Text(text) => cut(text).into(),
            Value::Bytes(bytes) => base64::encode(bytes.get(..TEXT_BYTES_MAX).unwrap_or(bytes)).into(),
            Value::Null => serde_json::Value::Null,
        };
        Self { sensor: cut(sensor), unit: cut(unit), measured_ms, value, quality }
    }
}

/// Receipt of a row, as a sample shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Receipt {
    /// The row survives a power cut.
    Stored,
    /// The hub had the row before it had to be written.
    HandedOver,
    /// The policy of a full queue gave the row up.
    Dropped,
    /// The row is in RAM only.
    Volatile,
}

/// Row of the queue that is safe, or was given up.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Stored {
    /// Topic at the hub, of the message or of the batch that it will be part of.
    pub(crate) topic: String,
    pub(crate) lane: String,
    pub(crate) seq: u64,
    pub(crate) receipt: Receipt,
    /// Bytes of the row's payload.
    pub(crate) bytes: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reading: Option<Reading>,
    /// Payload of a raw row; empty for a reading.
    #[serde(flatten)]
    pub(crate) payload: Shown,
}

/// Message that the hub answered.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Sent {
    pub(crate) topic: String,
    /// Bytes of the payload.
    pub(crate) bytes: usize,
    /// Rows in the message; 0 for one of the gateway's own.
    pub(crate) rows: usize,
    /// Reason of the refusal in words, with its code; `None`: the hub acknowledged it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) refused: Option<String>,
    /// Milliseconds until the answer; `None` if it was first sent on an earlier connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) took_ms: Option<u64>,
}

/// Returns the text, or its beginning with an ellipsis if it is long.
pub(super) fn cut(text: &str) -> String {
    if text.len() <= TEXT_BYTES_MAX {
        return text.to_owned();
    }
    let end = (0..=TEXT_BYTES_MAX).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    format!("{}…", text.get(..end).unwrap_or_default())
}

/// Returns a sample as a line of JSON.
pub(super) fn line(time_ms: i64, sample: Sample) -> String {
    written(&Line::Sample { v: VERSION, time_ms, sample })
}

/// Returns the line about samples that are missing at its place.
pub(super) fn lost_line(lost: u64) -> String {
    written(&Line::Lost { v: VERSION, lost })
}

fn written(line: &Line) -> String {
    let mut out = String::new();
    control_answers::add(&mut out, line);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_cut_between_characters_and_is_base64_if_it_is_no_text() {
        let shown = |payload: &[u8]| {
            let Shown { text, base64, cut } = Shown::of(payload);
            (text.map(|text| text.len()), base64.map(|base64| base64.len()), cut)
        };
        assert_eq!(shown(&[b'x'; TEXT_BYTES_MAX]), (Some(TEXT_BYTES_MAX), None, false));
        assert_eq!(shown(&[b'x'; TEXT_BYTES_MAX + 1]), (Some(TEXT_BYTES_MAX), None, true));
        let umlauts = format!("x{}", "ä".repeat(TEXT_BYTES_MAX));
        assert_eq!(shown(umlauts.as_bytes()), (Some(TEXT_BYTES_MAX - 1), None, true));
        assert_eq!(shown(b"ab\xc3"), (None, Some(4), false), "it ends there by itself");
        assert_eq!(shown(&[0xff; 300]), (None, Some(TEXT_BYTES_MAX.div_ceil(3) * 4), true));
    }

    /// Each sample fits in the bytes that the sum of `check` counts for it, whatever a client sends.
    #[test]
    fn the_worst_sample_is_one_line_of_bounded_length_without_anything_a_terminal_obeys() {
        let evil = "\u{1b}[2J\n\u{202e}".repeat(60_000);
        let reading = Some(Reading::new((&evil, &evil, i64::MIN, &Value::Text((&*evil).into())), u32::MAX));
        let (topic, client) = (cut(&evil), cut(&evil));
        let payload = || Shown::of(evil.as_bytes());
        let (bytes, why) = (usize::MAX, cut(&evil));
        let samples = [
            Sample::In(Incoming { topic, client, qos: 2, retain: true, bytes, payload: payload() }),
            Sample::Filtered(Judged { topic: Some(cut(&evil)), verdict: Verdict::NoReading, why, reading }),
        ];
        for sample in samples {
            let line = line(i64::MIN, sample);
            assert!(line.len() <= LINE_BYTES_MAX, "{} bytes", line.len());
            let text = line.strip_suffix('\n').unwrap();
            assert!(!text.chars().any(edge_page::is_hidden));
            assert!(matches!(serde_json::from_str(text).unwrap(), Line::Sample { v: VERSION, .. }));
        }
        assert_eq!(lost_line(7), "{\"v\":1,\"lost\":7}\n");
    }

    #[test]
    fn numbers_that_json_has_not_are_texts() {
        let value = |value: Value<'_>| Reading::new(("s", "", 0, &value), 0).value;
        assert_eq!(value(Value::F64(f64::NAN)), "NaN");
        assert_eq!(value(Value::F64(f64::NEG_INFINITY)), "-inf");
        assert_eq!(value(Value::F64(20.5)), 20.5);
        assert_eq!(value(Value::Bytes(vec![0xff, 0xfe, 0].into())), "//4A");
    }
}
