//! bincode by serde: fixed widths, names and units in each row, as its default is.

use serde::Deserialize;

use super::{OwnedRow, Row};

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

pub(in super::super) fn encode(rows: &[Row<'_>]) -> Result<Vec<u8>, String> {
    bincode::serialize(rows).map_err(text)
}

pub(in super::super) fn decode<'a, R: Deserialize<'a>>(bytes: &'a [u8]) -> Result<Vec<R>, String> {
    bincode::deserialize(bytes).map_err(text)
}

/// Rows that own their texts.
pub(in super::super) fn decode_owned(bytes: &[u8]) -> Result<Vec<OwnedRow>, String> {
    decode(bytes)
}
