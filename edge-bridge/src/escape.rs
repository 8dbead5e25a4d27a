//! Escaping of foreign text for logs and terminals, because a peer's topic, client identifier or reason must not end a line, control a
//! terminal or reverse the text behind it.

use std::fmt::{self, Write};

/// Most characters of a text that are shown; an ellipsis replaces the rest.
const CHARS_MAX: usize = 64;

/// Foreign text, whose `Display` escapes control, bidirectional and other unprintable characters, double quotes and backslashes as Rust
/// literals do, and ends after 64 characters. Put it between double quotes, so that it cannot be read as words of the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Escaped<'a>(pub &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, c) in self.0.chars().enumerate() {
            if n == CHARS_MAX {
                return f.write_char('…');
            }
            match c {
                '\'' => f.write_char(c)?,
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
    fn nothing_that_ends_a_line_or_turns_the_text_is_left() {
        for (text, shown) in [
            ("plant/ä/温度 1's", "plant/ä/温度 1's"),
            ("x\" was refused: \"y", "x\\\" was refused: \\\"y"),
            ("a\n2026 INFO b", "a\\n2026 INFO b"),
            ("\r\u{1b}[2J\u{7}", "\\r\\u{1b}[2J\\u{7}"),
            ("\u{202e}\u{2066}\u{200f}\u{61c}", "\\u{202e}\\u{2066}\\u{200f}\\u{61c}"),
            ("\u{2028}\u{2029}\u{85}\u{9b}\u{0}", "\\u{2028}\\u{2029}\\u{85}\\u{9b}\\0"),
            ("back\\slash", "back\\\\slash"),
        ] {
            assert_eq!(Escaped(text).to_string(), shown);
        }
    }

    #[test]
    fn a_long_text_is_cut() {
        assert_eq!(Escaped(&"ä".repeat(64)).to_string(), "ä".repeat(64));
        assert_eq!(Escaped(&"ä".repeat(65)).to_string(), "ä".repeat(64) + "…");
    }
}
