//! Text from the operator's files, escaped so that it stays on one line.

use std::fmt::{self, Write};

/// Text whose `Display` escapes line ends, control characters and characters that reverse text, and keeps quotes and backslashes.
pub(crate) struct OneLine<'a>(pub(crate) &'a str);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '"' | '\'' | '\\' => f.write_char(c)?,
                _ => write!(f, "{}", c.escape_debug())?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_ends_the_line_and_nothing_is_cut() {
        let long = "ä/".repeat(100);
        for (text, shown) in
            [("a \"b\"\\", "a \"b\"\\"), ("a\nb\u{202e}\u{1b}", "a\\nb\\u{202e}\\u{1b}"), (&long, &long)]
        {
            assert_eq!(OneLine(text).to_string(), shown);
        }
    }
}
