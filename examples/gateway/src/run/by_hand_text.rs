//! What the control socket says, as lines of JSON. Pure.

use edge_bridge::bridge::{ParkedList, ParkedRow};
use serde::{Deserialize, Serialize};

/// A refused topic.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct TopicLine {
    pub(crate) topic: String,
    /// Of the last refusal, with its number.
    pub(crate) reason: String,
    pub(crate) held: usize,
    pub(crate) parked: u64,
    /// Missing while an attempt is on its way.
    pub(crate) retry_in_ms: Option<u64>,
}

/// A parked row, or a held message, which has no age.
#[derive(Debug, Serialize)]
struct RowLine<'a> {
    topic: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    edge_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    age_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
}

/// One line per topic.
pub(crate) fn list(list: &ParkedList) -> String {
    let mut out = String::new();
    for topic in &list.topics {
        add(
            &mut out,
            &TopicLine {
                topic: topic.topic.to_string(),
                reason: topic.reason.to_string(),
                held: topic.held,
                parked: topic.parked,
                retry_in_ms: topic.retry_in_ms,
            },
        );
    }
    out
}

/// One line per row: its payload as text if it is UTF-8, as base64 otherwise.
pub(crate) fn rows(rows: &[ParkedRow]) -> String {
    let mut out = String::new();
    for row in rows {
        let text = std::str::from_utf8(&row.payload).ok();
        add(
            &mut out,
            &RowLine {
                topic: &row.topic,
                edge_id: row.identity.map(|identity| identity.to_string()),
                reason: row.reason.map(|reason| reason.to_string()),
                age_ms: row.age_ms,
                text,
                base64: text.is_none().then(|| base64(&row.payload)),
            },
        );
    }
    out
}

fn add(out: &mut String, line: &impl Serialize) {
    // Strings and numbers: nothing that JSON does not have.
    out.push_str(&serde_json::to_string(line).unwrap_or_default());
    out.push('\n');
}

/// RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digit = |bits: u32| char::from(DIGITS.get(bits as usize & 63).copied().unwrap_or(b'='));
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for at in 0..4 {
            text.push(if at <= group.len() { digit(bits >> (18 - 6 * at)) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_as_the_rfc_has_it() {
        for (bytes, text) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
        assert_eq!(base64(&[0xff, 0xfe, 0]), "//4A");
    }
}
