//! Items of a TOML file: heads of tables, and keys with all lines of their values.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use crate::command_line::import::origin::Origin;

/// Head of a table, or key with its value.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) origin: Origin,
    /// The head as it is written, or the name of the key; never a value.
    pub(super) key: String,
    /// Name of the table. `None`: the item is a key.
    pub(super) table: Option<String>,
}

/// Returns the number of the line, counted from 1, in which a byte is.
pub(super) fn line_of(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}

/// Returns the items of a file, which are all lines that are neither blank nor comments.
pub(super) fn items(file: &Arc<Path>, text: &str, root: &DeTable<'_>) -> Vec<Item> {
    let mut ends = BTreeMap::new();
    values(root, &mut |span| {
        ends.insert(line_of(text, span.start), line_of(text, span.end));
    });
    let mut items: Vec<Item> = Vec::new();
    let mut behind = 0;
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if number <= behind || line.is_empty() || line.starts_with('#') {
            continue;
        }
        let last = ends.get(&number).copied().unwrap_or(number);
        behind = last;
        let origin = Origin { file: file.clone(), first: number, last };
        items.push(item(origin, line));
    }
    items
}

fn item(origin: Origin, line: &str) -> Item {
    if line.starts_with('[') {
        // A quoted name may hold a bracket or `#`; its comment would only be longer.
        let end = line.rfind(']').unwrap_or(line.len());
        let end = line
            .find('#')
            .map_or(end, |comment| line.get(..comment).and_then(|head| head.rfind(']')).unwrap_or(end));
        let head = line.get(..=end).unwrap_or(line);
        let bare = head.trim_matches(['[', ']']);
        let name =
            bare.split('.').map(|part| part.trim().trim_matches(['"', '\''])).collect::<Vec<_>>().join(".");
        return Item { origin, key: head.to_owned(), table: Some(name) };
    }
    let key = line.split('=').next().unwrap_or_default().trim();
    Item { origin, key: key.to_owned(), table: None }
}

/// Calls `visit` with the range of each value that is not a table. A value may span several lines.
fn values(table: &DeTable<'_>, visit: &mut impl FnMut(Range<usize>)) {
    for value in table.values() {
        match value.get_ref() {
            DeValue::Table(inner) => values(inner, visit),
            DeValue::Array(entries)
                if entries.iter().any(|entry| matches!(entry.get_ref(), DeValue::Table(_))) =>
            {
                visit_tables(value.span(), entries, visit);
            }
            _ => visit(value.span()),
        }
    }
}

/// Visits an array of tables: one of `[[heads]]` table by table, one in brackets as a whole.
fn visit_tables(span: Range<usize>, entries: &toml::de::DeArray<'_>, visit: &mut impl FnMut(Range<usize>)) {
    let holds_all =
        entries.iter().all(|entry| span.start < entry.span().start && entry.span().end < span.end);
    if holds_all {
        return visit(span);
    }
    for entry in entries.iter() {
        if let DeValue::Table(inner) = entry.get_ref() {
            values(inner, visit);
        }
    }
}
