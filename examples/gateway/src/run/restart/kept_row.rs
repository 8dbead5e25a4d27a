//! Rows that found no room in the queue before a stop, in the form in which the mark of the stop stores them. Pure.

use bytes::Bytes;
use edge_bridge::Row;
use edge_codec::base64::{decode_url, encode_url};
use serde::{Deserialize, Serialize};

/// Row of the queue as text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct KeptRow {
    lane: Option<u8>,
    /// Time to live in milliseconds, which counts from the time at which the mark was written.
    ttl_ms: Option<u64>,
    /// Number of readings that the row stands for, and its key: an embedding program may set both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    weight: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    /// Topic and properties, in base64url like the payload.
    meta: String,
    payload: String,
}

impl From<&Row> for KeptRow {
    fn from(row: &Row) -> Self {
        let (meta, payload) = (text(&row.to_meta()), text(&row.payload));
        let weight = Some(row.weight).filter(|weight| *weight != 1);
        let key = Some(text(&row.key)).filter(|key| !key.is_empty());
        Self { lane: row.lane, ttl_ms: row.ttl_ms, weight, key, meta, payload }
    }
}

impl KeptRow {
    /// Returns the row. `None`: the text was not written by this program.
    pub(crate) fn into_row(self) -> Option<Row> {
        let (meta, payload) = (Bytes::from(decode_url(&self.meta)?), Bytes::from(decode_url(&self.payload)?));
        let mut row = Row::from_meta(&meta, payload)?;
        (row.lane, row.ttl_ms, row.weight) = (self.lane, self.ttl_ms, self.weight.unwrap_or(1));
        row.key = decode_url(self.key.as_deref().unwrap_or_default())?.into();
        Some(row)
    }
}

fn text(bytes: &[u8]) -> String {
    let mut out = Vec::with_capacity(bytes.len().div_ceil(3) * 4);
    encode_url(&mut out, bytes);
    String::from_utf8(out).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use edge_bridge::wire::Utf8;

    #[test]
    fn a_row_comes_back_as_it_was() {
        let mut row = Row::new(Utf8::from_static("up/\u{e4}"), Bytes::from_static(b"\0\xff bits"));
        (row.lane, row.ttl_ms, row.possible_duplicate) = (Some(1), Some(9), true);
        assert_eq!(KeptRow::from(&row).into_row().unwrap(), row);
        (row.weight, row.key) = (10, Bytes::from_static(b"key"));
        assert_eq!(KeptRow::from(&row).into_row().unwrap(), row);
        let foreign = KeptRow { meta: "AAAA".to_owned(), ..KeptRow::from(&row) };
        assert!(foreign.into_row().is_none());
    }
}
