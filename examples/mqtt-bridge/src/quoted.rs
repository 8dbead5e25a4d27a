//! Text of others between quotation marks, so that a topic or name that holds spaces forges no field of a log line.

use edge_bridge::escape::Escaped;

/// Returns the text, escaped and bounded, between quotation marks.
pub(crate) fn quoted(text: &str) -> String {
    format!("\"{}\"", Escaped(text))
}
