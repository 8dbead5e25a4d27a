//! Text of a configuration file, parsed once. Values are taken out of copies of its tables only.

use std::ops::Range;
use toml::de::{DeTable, Error};

/// Parsed tables of a file, and its lines.
#[derive(Debug)]
pub(in crate::pipeline) struct ParsedText<'t> {
    text: &'t str,
    tables: DeTable<'t>,
    /// Byte offset of each line's end, in order, so that the line of an error is found without counting from the start.
    line_ends: Vec<usize>,
}

impl<'t> ParsedText<'t> {
    /// Parses a text, as far as it can be parsed if it is not TOML. Returns the errors of syntax too.
    pub(in crate::pipeline) fn parse(text: &'t str) -> (Self, Vec<Error>) {
        let (tables, errors) = DeTable::parse_recoverable(text);
        let line_ends = text.match_indices('\n').map(|(end, _)| end).collect();
        (ParsedText { text, tables: tables.into_inner(), line_ends }, errors)
    }

    pub(in crate::pipeline) fn tables(&self) -> &DeTable<'t> {
        &self.tables
    }

    /// Returns the text of a byte range; `None` beyond the end.
    pub(in crate::pipeline) fn get(&self, span: &Range<usize>) -> Option<&'t str> {
        self.text.get(span.clone())
    }

    /// Returns the line of a byte range, from 1; `None` beyond the end.
    pub(in crate::pipeline) fn line(&self, span: &Range<usize>) -> Option<usize> {
        let is_in = self.text.is_char_boundary(span.start);
        is_in.then(|| self.line_ends.partition_point(|end| *end < span.start) + 1)
    }
}
