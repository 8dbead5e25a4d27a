//! Escaping of whole lines for a terminal: a string of a configuration file must not write a line that looks like the program's own.

use edge_bridge::escape::Escaped;
use std::fmt::{self, Write};

/// Text that stays on one line, whatever strings of a file it quotes: what would end the line, drive the terminal or turn the text around is
/// escaped as [`Escaped`] does, and with it what combines with the letter before and spaces beyond ASCII. Quotes, backslashes and tabs stay, and the text has any length.
#[derive(Clone, Copy, Debug)]
pub struct OneLine<'a>(pub &'a str);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '"' | '\\' | '\t' => f.write_char(c)?,
                _ => write!(f, "{}", Escaped(c.encode_utf8(&mut [0; 4])))?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_keeps_its_quotes_and_nothing_that_ends_or_turns_it() {
        for (text, shown) in [
            ("name: \"a\\b\"\tis 1's ä温", "name: \"a\\b\"\tis 1's ä温"),
            ("a\r\nerror: b", "a\\r\\nerror: b"),
            ("\u{1b}[2J\u{9b}2J\u{7f}\u{0}", "\\u{1b}[2J\\u{9b}2J\\u{7f}\\0"),
            ("\u{202e}\u{2066}\u{2028}\u{85}", "\\u{202e}\\u{2066}\\u{2028}\\u{85}"),
        ] {
            assert_eq!(OneLine(text).to_string(), shown);
        }
        let long = "x".repeat(1_000);
        assert_eq!(OneLine(&long).to_string(), long);
    }
}
