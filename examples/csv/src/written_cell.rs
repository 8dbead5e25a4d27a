//! Text as a cell of CSV, harmless to a terminal and, on request, to a spreadsheet.

use edge_page::is_hidden;
use std::borrow::Cow;
use std::fmt::{self, Write};

/// Text as one cell: its `Display` puts it in quotes where it would not be one cell otherwise (RFC 4180), and escapes what drives a
/// terminal or turns the text behind it as Rust literals do: control characters (`\n`, `\u{1b}`), bidirectional marks and line separators;
/// a backslash is doubled, so that nothing is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// The text.
    pub text: &'a str,
    /// Puts an apostrophe before `=`, `+`, `-` and `@`, which begin a formula in spreadsheets.
    pub for_spreadsheet: bool,
}

impl<'a> Field<'a> {
    /// A cell for programs: no apostrophe.
    #[must_use]
    pub const fn new(text: &'a str) -> Self {
        Self { text, for_spreadsheet: false }
    }
}

/// Returns the text of a cell that [`Field`] wrote, once its quotes are off. What is none of its escapes stays as it is.
pub(crate) fn unescaped(cell: &str) -> Cow<'_, str> {
    let (mut text, mut rest) = (String::new(), cell);
    while let Some((plain, behind)) = rest.split_once('\\') {
        let (c, behind) = escape(behind).unwrap_or(('\\', behind));
        text.push_str(plain);
        text.push(c);
        rest = behind;
    }
    if text.is_empty() { Cow::Borrowed(cell) } else { Cow::Owned(text + rest) }
}

/// Returns the character that is escaped behind a backslash, and what follows it.
fn escape(behind: &str) -> Option<(char, &str)> {
    let mut chars = behind.chars();
    let c = match chars.next()? {
        '\\' => '\\',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'u' => {
            let (code, rest) = chars.as_str().strip_prefix('{')?.split_once('}')?;
            return Some((char::from_u32(u32::from_str_radix(code, 16).ok()?)?, rest));
        }
        _ => return None,
    };
    Some((c, chars.as_str()))
}

impl fmt::Display for Field<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_quoted = self.text.contains([',', ';', '"', '\t']) || self.text.trim() != self.text;
        if is_quoted {
            f.write_char('"')?;
        }
        if self.for_spreadsheet && self.text.trim_start().starts_with(['=', '+', '-', '@']) {
            f.write_char('\'')?;
        }
        for c in self.text.chars() {
            match c {
                '"' => f.write_str("\"\"")?,
                '\\' => f.write_str("\\\\")?,
                c if is_hidden(c) => write!(f, "{}", c.escape_default())?,
                c => f.write_char(c)?,
            }
        }
        if is_quoted { f.write_char('"') } else { Ok(()) }
    }
}

/// Text for a terminal: its `Display` escapes hidden characters as Rust literals do, and leaves all others as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Visible<'a>(pub &'a str);

impl fmt::Display for Visible<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| {
            if is_hidden(c) { write!(f, "{}", c.escape_default()) } else { f.write_char(c) }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_one_cell_and_drives_no_terminal() {
        for (text, cell) in [
            ("plant/ä/温度", "plant/ä/温度"),
            ("a,b", "\"a,b\""),
            ("the \"b\"", "\"the \"\"b\"\"\""),
            (" a ", "\" a \""),
            ("a\nb\r", "\"a\\nb\\r\""),
            ("\u{1b}[2J", "\\u{1b}[2J"),
            (
                "\u{9b}\u{7f}\u{202e}\u{2066}\u{2069}\u{200f}",
                "\\u{9b}\\u{7f}\\u{202e}\\u{2066}\\u{2069}\\u{200f}",
            ),
            (
                "\u{feff}\u{200b}\u{e0041}\u{fdd0}\u{ffff}\u{10fffe}",
                "\\u{feff}\\u{200b}\\u{e0041}\\u{fdd0}\\u{ffff}\\u{10fffe}",
            ),
            ("c:\\x", "c:\\\\x"),
            ("-1", "-1"),
        ] {
            assert_eq!(Field::new(text).to_string(), cell);
            let bare = cell.strip_prefix('"').and_then(|cell| cell.strip_suffix('"')).unwrap_or(cell);
            assert_eq!(unescaped(&bare.replace("\"\"", "\"")), text);
        }
        for (cell, text) in
            [("\\x\\u{110000}\\u{\\u{z}\\", "\\x\\u{110000}\\u{\\u{z}\\"), ("\\\\n\\n", "\\n\n")]
        {
            assert_eq!(unescaped(cell), text);
        }
        for text in ["=1+1", "+a", "-a", "@a", " =a"] {
            let cell = Field { text, for_spreadsheet: true }.to_string();
            assert!(cell.trim_start_matches('"').starts_with('\''), "{cell}");
        }
        assert_eq!(Visible("a\\\n\u{9b}\u{202e}\"ä").to_string(), "a\\\\n\\u{9b}\\u{202e}\"ä");
        assert_eq!(Field { text: "a=b", for_spreadsheet: true }.to_string(), "a=b");
    }
}
