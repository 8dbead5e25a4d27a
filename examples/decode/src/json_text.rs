//! Text as JSON that drives no terminal.

use std::io::{self, Write};

/// Writes a JSON string (RFC 8259 §7). Beside what the standard asks for, C1 controls, bidirectional marks and line separators are escaped,
/// which a terminal would obey. Any reader of JSON gets the same text back.
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
            // All of them are in the first plane.
            c => write!(out, "\\u{:04x}", u32::from(c))?,
        }
    }
    out.write_all(text.get(plain..).unwrap_or_default().as_bytes())?;
    out.write_all(b"\"")
}

fn is_escaped(c: char) -> bool {
    matches!(c, '"' | '\\') || edge_csv::is_hidden(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_character_reads_back_and_hidden_ones_are_escaped() {
        let all: String =
            (0..0x3000).chain([0xfeff, 0x1_0000, 0x10_ffff]).filter_map(char::from_u32).collect();
        let mut out = Vec::new();
        write_json_text(&mut out, &all).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(serde_json::from_str::<String>(&text).unwrap(), all);
        assert!(!text.chars().any(edge_csv::is_hidden));
        let mut out = Vec::new();
        write_json_text(&mut out, "a\"\\\n\u{9b}\u{202e}ä").unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "\"a\\\"\\\\\\n\\u009b\\u202eä\"");
    }
}
