//! Text of a configuration file, parsed once. Its tables stay as they are, whatever is taken out of copies of them.

use std::ops::Range;
use toml::de::{DeTable, Error};

/// A file's tables and its lines.
#[derive(Debug)]
pub(super) struct ParsedText<'t> {
    text: &'t str,
    tables: DeTable<'t>,
    /// Offset of each line's end, in order: the line of a mistake is found without counting from the start.
    line_ends: Vec<usize>,
}

impl<'t> ParsedText<'t> {
    /// Parses a text, also one that is not TOML as far as it goes, with its mistakes of syntax.
    pub(super) fn parse(text: &'t str) -> (Self, Vec<Error>) {
        let (tables, errors) = DeTable::parse_recoverable(text);
        let line_ends = text.match_indices('\n').map(|(end, _)| end).collect();
        (ParsedText { text, tables: tables.into_inner(), line_ends }, errors)
    }

    pub(super) fn tables(&self) -> &DeTable<'t> {
        &self.tables
    }

    /// Returns the text of a part; `None` beyond the end.
    pub(super) fn get(&self, span: &Range<usize>) -> Option<&'t str> {
        self.text.get(span.clone())
    }

    /// Returns the line of a part, from 1; `None` beyond the end.
    pub(super) fn line(&self, span: &Range<usize>) -> Option<usize> {
        let is_in = self.text.is_char_boundary(span.start);
        is_in.then(|| self.line_ends.partition_point(|end| *end < span.start) + 1)
    }
}
