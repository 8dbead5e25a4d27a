//! Answers of the control socket, as lines of JSON. Pure.

use std::fmt::Write;

use edge_bridge::bridge::{ParkedList, ParkedRow};
use edge_codec::base64;
use edge_page::is_hidden;
use serde::{Deserialize, Serialize};

/// Entry of the list of topics whose messages the hub refuses.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct TopicLine {
    pub(crate) topic: String,
    /// Text and number of the last refusal's reason code.
    pub(crate) reason: String,
    /// Messages of the topic that are held in RAM for a retry, and the number of readings in them.
    pub(crate) held: usize,
    pub(crate) held_readings: u64,
    pub(crate) parked: u64,
    /// Milliseconds until the next attempt. `None`, and then missing in the line, while an attempt is under way.
    pub(crate) retry_in_ms: Option<u64>,
}

/// Number of refused messages that cannot be parked for want of disk space, and wait in their lanes; and the reason.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct InPlaceLine {
    pub(crate) in_place: u64,
    pub(crate) why: Option<String>,
}

/// Parked messages that no topic's line counts, because they are being sent again or their topics are not known yet.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct UnlistedLine {
    pub(crate) unlisted: u64,
}

/// Line of the list of refused topics.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum ListLine {
    Topic(TopicLine),
    InPlace(InPlaceLine),
    Unlisted(UnlistedLine),
}

/// Parked row, or message held in RAM, which has no age.
#[derive(Debug, Serialize)]
struct RowLine<'a> {
    topic: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    edge_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    age_ms: Option<u64>,
    readings: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
}

/// Returns one line per refused topic, one for parked messages that no topic's line counts, and one for readings that cannot be parked.
pub(crate) fn list(list: &ParkedList) -> String {
    let mut out = String::new();
    for topic in &list.topics {
        let line = TopicLine {
            topic: topic.topic.to_string(),
            reason: topic.reason.to_string(),
            held: topic.held,
            held_readings: topic.held_readings,
            parked: topic.parked,
            retry_in_ms: topic.retry_in_ms,
        };
        add(&mut out, &ListLine::Topic(line));
    }
    if list.unlisted > 0 {
        add(&mut out, &ListLine::Unlisted(UnlistedLine { unlisted: list.unlisted }));
    }
    if list.in_place > 0 {
        let line = InPlaceLine { in_place: list.in_place, why: list.in_place_reason.clone() };
        add(&mut out, &ListLine::InPlace(line));
    }
    out
}

/// Returns one line per row: its payload as text if it is UTF-8, as base64 otherwise.
pub(crate) fn rows(rows: &[ParkedRow]) -> String {
    let mut out = String::new();
    for row in rows {
        let (text, base64) = readable(&row.payload);
        add(
            &mut out,
            &RowLine {
                topic: &row.topic,
                edge_id: row.identity.map(|identity| identity.to_string()),
                reason: row.reason.map(|reason| reason.to_string()),
                age_ms: row.age_ms,
                readings: row.readings,
                text,
                base64,
            },
        );
    }
    out
}

/// Returns the payload as text, or in base64 if it is not UTF-8. Exactly one of the two is `Some`.
fn readable(payload: &[u8]) -> (Option<&str>, Option<String>) {
    match std::str::from_utf8(payload) {
        Ok(text) => (Some(text), None),
        Err(_) => (None, Some(base64::encode(payload))),
    }
}

/// Adds a line of JSON in which characters are escaped that a terminal obeys, or shows nothing for.
pub(crate) fn add(out: &mut String, line: &impl Serialize) {
    // Strings and numbers: nothing that JSON does not have.
    for c in serde_json::to_string(line).unwrap_or_default().chars() {
        match c {
            c if is_hidden(c) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
            c => out.push(c),
        }
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The column and this line add up to the total.
    #[test]
    fn what_no_topics_line_counts_has_a_line() {
        let lines = |unlisted| {
            let mut parked = ParkedList::default();
            parked.unlisted = unlisted;
            list(&parked)
        };
        assert_eq!((lines(0).as_str(), lines(2).as_str()), ("", "{\"unlisted\":2}\n"));
        let line: ListLine = serde_json::from_str(lines(2).trim()).unwrap();
        assert!(matches!(line, ListLine::Unlisted(UnlistedLine { unlisted: 2 })));
    }

    #[test]
    fn payloads_are_text_or_base64() {
        assert_eq!(readable("21 °C".as_bytes()), (Some("21 °C"), None));
        assert_eq!(readable(&[0xff, 0xfe, 0]), (None, Some("//4A".to_owned())));
    }
}
