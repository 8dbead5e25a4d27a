//! Text as JSON that drives no terminal.

use std::io::{self, Write};

/// Writes a JSON string (RFC 8259 §7). Beside what the standard asks for, [hidden](edge_csv::is_hidden) characters are escaped, which a terminal
/// would obey or not show. Any reader of JSON gets the same text back.
pub(crate) fn write_json_text(out: &mut impl Write, text: &str) -> io::Result<()> {
    out.write_all(b"\"")?;
    let mut plain = 0;
    for (at, c) in text.char_indices().filter(|(_, c)| is_escaped(*c)) {
        out.write_all(text.get(plain..at).unwrap_or_default().as_bytes())?;
        plain = at + c.len_utf8();
        match c {
            '"' => out.write_all(b"\\\"")?,
            '\\' => out.write_all(b"\\\\")?,
            '\n' => out.write_all(b"\\n")?,
            '\r' => out.write_all(b"\\r")?,
            '\t' => out.write_all(b"\\t")?,
            // Above the first plane two surrogates.
            c => c.encode_utf16(&mut [0; 2]).iter().try_for_each(|unit| write!(out, "\\u{unit:04x}"))?,
        }
    }
    out.write_all(text.get(plain..).unwrap_or_default().as_bytes())?;
    out.write_all(b"\"")
}

/// The string as text, for a line that is put together in memory.
pub(crate) fn json_text(text: &str) -> String {
    let mut out = Vec::new();
    // Nothing fails in memory, and what is made of text is text.
    let _ = write_json_text(&mut out, text);
    String::from_utf8(out).unwrap_or_default()
}

fn is_escaped(c: char) -> bool {
    matches!(c, '"' | '\\') || edge_csv::is_hidden(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_character_reads_back_and_hidden_ones_are_escaped() {
        let all: String = ('\0'..=char::MAX).collect();
        let mut out = Vec::new();
        write_json_text(&mut out, &all).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(serde_json::from_str::<String>(&text).unwrap(), all);
        assert!(!text.chars().any(edge_csv::is_hidden));
        let mut out = Vec::new();
        write_json_text(&mut out, "a\"\\\n\u{9b}\u{202e}ä\u{e0041}").unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "\"a\\\"\\\\\\n\\u009b\\u202eä\\udb40\\udc41\"");
    }
}
