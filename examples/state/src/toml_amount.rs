//! Amount of what files in TOML hold, counted in one pass over their words before they are parsed: what is too much costs no more than that pass. Pure.

use std::collections::BTreeMap;

use toml_parser::Source;
use toml_parser::lexer::TokenKind;

/// Limits of tables. All other limits are the same for every file.
#[derive(Clone, Copy, Debug)]
pub struct Tables {
    /// Most tables of all kinds, those within braces with them.
    pub all: usize,
    /// Most tables `[[name]]`.
    pub arrays: Arrays,
}

/// Limit of tables `[[name]]`.
#[derive(Clone, Copy, Debug)]
pub enum Arrays {
    /// All of them together.
    Together(usize),
    /// Those of each of these names. Others count as tables alone.
    Each(&'static [&'static str], usize),
}

/// Tables of a file of filter rules or of control loops: with its stage a rule takes 10 KB while it is parsed and described.
pub const RULES: Tables = Tables { all: 12_000, arrays: Arrays::Together(4_000) };

/// Most keys and entries of arrays.
const VALUES_MAX: usize = 50_000;
/// Most lines, those within strings not among them: each may be a mistake of its own.
const LINES_MAX: usize = 50_000;
/// Most words, signs, gaps and line ends: the parser keeps each, whatever it is.
const WORDS_MAX: usize = 300_000;
/// Most control characters that a text cannot have, and most backslashes: each may be a mistake within one word.
const CONTROLS_MAX: usize = 1_000;
const BACKSLASHES_MAX: usize = 100_000;

/// Limit that a text exceeds.
#[derive(Debug, PartialEq, Eq)]
pub struct Excess {
    /// Byte offset of what is beyond it.
    pub at: usize,
    /// Key of what is beyond it; `file` where it has none.
    pub key: String,
    /// The limit in words.
    pub message: String,
}

/// Count of the texts that were added.
#[derive(Debug)]
pub struct Amount {
    most: Tables,
    arrays: BTreeMap<&'static str, usize>,
    tables: usize,
    values: usize,
    lines: usize,
    words: usize,
    controls: usize,
    backslashes: usize,
}

/// Part of a `[[name]]` at the beginning of a line that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Head {
    /// The line is empty so far.
    Line,
    /// `[`
    One(usize),
    /// `[[`
    Two(usize),
    /// `[[name`
    Named(usize, usize, usize),
    None,
}

/// Checks the amount of a file of filter rules or of control loops.
///
/// # Errors
/// The first limit that the text exceeds, in words and with its line.
pub fn check_rules(text: &str) -> Result<(), String> {
    let Some(Excess { at, message, .. }) = Amount::new(RULES).add(text) else { return Ok(()) };
    let before = text.as_bytes().get(..at).unwrap_or_default();
    let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
    Err(format!("line {line}: {message}"))
}

impl Amount {
    /// Begins a count of no text.
    pub fn new(most: Tables) -> Self {
        let arrays = BTreeMap::new();
        Self { most, arrays, tables: 0, values: 0, lines: 0, words: 0, controls: 0, backslashes: 0 }
    }

    /// Adds a text, up to the limit that it exceeds.
    pub fn add(&mut self, text: &str) -> Option<Excess> {
        if let Some((at, message)) = self.add_bytes(text.as_bytes()) {
            return Some(Excess { at, key: "file".to_owned(), message });
        }
        let mut head = Head::Line;
        for token in Source::new(text).lex().filter(|token| token.kind() != TokenKind::Eof) {
            let (start, end) = (token.span().start(), token.span().end());
            if let Some(message) = self.add_word(token.kind(), head == Head::Line) {
                return Some(Excess { at: start, key: "file".to_owned(), message });
            }
            head = head.next(token.kind(), start, end);
            if let (
                Head::Named(at, from, to),
                TokenKind::Atom | TokenKind::BasicString | TokenKind::LiteralString,
            ) = (head, token.kind())
            {
                let name = text.get(from..to).unwrap_or_default().trim_matches(['"', '\'']);
                if let Some(excess) = self.add_to_array(name, at) {
                    return Some(excess);
                }
            }
        }
        None
    }

    /// Counts bytes that may each be a mistake. Returns the place of the first beyond its limit, and the limit in words.
    fn add_bytes(&mut self, bytes: &[u8]) -> Option<(usize, String)> {
        let behind = bytes.iter().skip(1).chain([&b'\n']);
        for (at, (byte, behind)) in bytes.iter().zip(behind).enumerate() {
            let excess = match byte {
                b'\t' | b'\n' => None,
                b'\r' if *behind == b'\n' => None,
                0..=0x1f | 0x7f => {
                    over(&mut self.controls, CONTROLS_MAX, "control characters: is it a text?")
                }
                b'\\' => over(&mut self.backslashes, BACKSLASHES_MAX, "backslashes"),
                _ => None,
            };
            if let Some(message) = excess {
                return Some((at, message));
            }
        }
        None
    }

    /// Counts a word or sign. Returns the limit that it exceeds in words.
    fn add_word(&mut self, kind: TokenKind, begins_line: bool) -> Option<String> {
        let tables = self.most.all;
        let excess = match kind {
            TokenKind::LeftSquareBracket if begins_line => over(&mut self.tables, tables, "tables"),
            TokenKind::LeftCurlyBracket => over(&mut self.tables, tables, "tables"),
            TokenKind::Equals | TokenKind::Comma | TokenKind::Dot => {
                over(&mut self.values, VALUES_MAX, "keys, parts of keys and entries of arrays")
            }
            TokenKind::Newline => over(&mut self.lines, LINES_MAX, "lines"),
            _ => None,
        };
        excess.or_else(|| over(&mut self.words, WORDS_MAX, "words, signs, gaps and line ends"))
    }

    /// Counts a table of an array of this name, which begins at `at`.
    fn add_to_array(&mut self, name: &str, at: usize) -> Option<Excess> {
        let (name, most) = match self.most.arrays {
            Arrays::Together(most) => ("", most),
            Arrays::Each(names, most) => (*names.iter().find(|counted| **counted == name)?, most),
        };
        let count = self.arrays.entry(name).or_default();
        *count += 1;
        let is_one = !name.is_empty();
        (*count > most).then(|| Excess {
            at,
            key: if is_one { format!("{name}[{count}]") } else { "file".to_owned() },
            message: if is_one {
                format!("at most {most} [[{name}]]")
            } else {
                format!("at most {most} tables [[…]]")
            },
        })
    }
}

impl Head {
    fn next(self, kind: TokenKind, start: usize, end: usize) -> Self {
        match (self, kind) {
            (_, TokenKind::Newline) => Self::Line,
            (head, TokenKind::Whitespace) => head,
            (Self::Line, TokenKind::LeftSquareBracket) => Self::One(start),
            (Self::One(at), TokenKind::LeftSquareBracket) => Self::Two(at),
            (Self::Two(at), TokenKind::Atom | TokenKind::BasicString | TokenKind::LiteralString) => {
                Self::Named(at, start, end)
            }
            _ => Self::None,
        }
    }
}

/// Counts one more. Returns the limit in words if that is one too many.
fn over(count: &mut usize, most: usize, what: &str) -> Option<String> {
    *count += 1;
    (*count > most).then(|| format!("at most {most} {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GATEWAY: Tables = Tables { all: 5_000, arrays: Arrays::Each(&["route", "command", "test"], 1_000) };

    fn excess(text: &str) -> Option<(usize, String, String)> {
        Amount::new(GATEWAY).add(text).map(|excess| (excess.at, excess.key, excess.message))
    }

    #[test]
    fn each_limit_is_named_at_the_first_that_is_beyond_it() {
        for (one, most, key, message) in [
            ("[[route]]\n", 1_000, "route[1001]", "at most 1000 [[route]]"),
            ("[[ \"command\" ]] # x\n", 1_000, "command[1001]", "at most 1000 [[command]]"),
            ("[[test]]\nname = \"a\"\n", 1_000, "test[1001]", "at most 1000 [[test]]"),
            ("[a]\n", 5_000, "file", "at most 5000 tables"),
            ("a ", 150_000, "file", "at most 300000 words, signs, gaps and line ends"),
            ("\n", 50_000, "file", "at most 50000 lines"),
            ("\u{1}", 1_000, "file", "at most 1000 control characters: is it a text?"),
            ("\\", 100_000, "file", "at most 100000 backslashes"),
            (".", 50_000, "file", "at most 50000 keys, parts of keys and entries of arrays"),
        ] {
            let text = one.repeat(most);
            assert_eq!(excess(&text), None, "{one:?}");
            let more = one.repeat(most + 1);
            assert_eq!(excess(&more), Some((text.len(), key.to_owned(), message.to_owned())), "{one:?}");
        }
        for (one, most, at, what) in [
            ("a=1 ", 50_000, 1, "keys, parts of keys and entries of arrays"),
            ("1,", 50_000, 1, "keys, parts of keys and entries of arrays"),
            ("{}", 5_000, 0, "tables"),
            ("x\n", 50_000, 1, "lines"),
        ] {
            let said = excess(&one.repeat(most + 1)).unwrap();
            assert_eq!(said, (one.len() * most + at, "file".to_owned(), format!("at most {most} {what}")));
        }
        assert_eq!(excess(&"a\r\n\t".repeat(10_000)), None);
    }

    /// A gateway of 64 MiB reads whatever is within the limits.
    #[test]
    fn a_file_of_rules_has_limits_of_its_own() {
        for (one, most, line, message) in [
            ("[[rule]]\nmatch = \"a\"\n", 4_000, 8_001, "at most 4000 tables [[…]]"),
            ("[[route]]\n", 4_000, 4_001, "at most 4000 tables [[…]]"),
            ("x = {}\n", 12_000, 12_001, "at most 12000 tables"),
            ("a.b = 1\n", 25_000, 25_001, "at most 50000 keys, parts of keys and entries of arrays"),
        ] {
            let text = one.repeat(most);
            assert_eq!(check_rules(&text), Ok(()), "{one:?}");
            assert_eq!(check_rules(&(text + one)), Err(format!("line {line}: {message}")), "{one:?}");
        }
    }

    #[test]
    fn what_stands_in_strings_and_comments_is_not_counted() {
        let text =
            format!("# {0}\na = \"\"\"\n{0}\"\"\"\nb = '{1}'", "[[route]]", "[[route]], = {".repeat(60_000));
        assert_eq!(excess(&text), None);
        let text = format!("a = \"\"\"\n{}\"\"\"\n", "[[route]]\na = 1\n".repeat(60_000));
        assert_eq!(excess(&text), None);
    }
}
