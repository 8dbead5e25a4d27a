//! Text from the operator's files, escaped and bounded so that it stays on one line of a readable length.

use std::fmt::{self, Write};

/// Most characters at the begin and at the end of a text that are shown; an ellipsis replaces what lies between. What is wrong stands behind what is
/// quoted, as a rule.
const BEGIN_CHARS: usize = 1_000;
const END_CHARS: usize = 500;

/// Text whose `Display` escapes line ends, control characters and characters that reverse text, keeps quotes and backslashes, and leaves the middle of
/// a very long one out.
pub(crate) struct OneLine<'a>(pub(crate) &'a str);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.chars().count();
        let left_out = if count > BEGIN_CHARS + END_CHARS { BEGIN_CHARS..count - END_CHARS } else { 0..0 };
        for (n, c) in self.0.chars().enumerate() {
            match c {
                _ if left_out.contains(&n) => {
                    if n == left_out.start {
                        f.write_char('…')?;
                    }
                }
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
    fn nothing_ends_the_line_and_what_can_be_read_is_whole() {
        let long = "ä/".repeat((BEGIN_CHARS + END_CHARS) / 2);
        for (text, shown) in
            [("a \"b\"\\", "a \"b\"\\"), ("a\nb\u{202e}\u{1b}", "a\\nb\\u{202e}\\u{1b}"), (&long, &long)]
        {
            assert_eq!(OneLine(text).to_string(), shown);
        }
    }

    #[test]
    fn of_a_very_long_text_begin_and_end_are_shown() {
        let long = format!("connection {}: no address", "ä".repeat(500_000));
        let shown = OneLine(&long).to_string();
        assert_eq!(shown.chars().count(), BEGIN_CHARS + 1 + END_CHARS);
        assert!(
            shown.starts_with("connection ä") && shown.contains("ä…ä") && shown.ends_with("ä: no address")
        );
    }
}
