#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a test: reads the sources")]
//! The glossary: each term stands in the file that owns its mechanism, so that a search for the field's word finds it.

use std::path::Path;

/// Rows of the table: term and file.
fn rows(page: &str) -> Vec<(&str, &str)> {
    page.lines().filter_map(row).collect()
}

fn row(line: &str) -> Option<(&str, &str)> {
    let mut cells = line.split(" | ");
    let term = cells.next()?.strip_prefix("| ")?;
    let file = cells.nth(1)?.strip_suffix(" |")?;
    Some((term, file.strip_prefix('`')?.strip_suffix('`')?))
}

/// Text of a source in lower case, its comments' lines joined.
fn flat(source: &str) -> String {
    let lines = source.lines().map(|line| line.trim().trim_start_matches(['/', '!']).trim());
    lines.collect::<Vec<_>>().join(" ").to_lowercase()
}

fn has(source: &str, term: &str) -> bool {
    flat(source).contains(&term.to_lowercase())
}

#[test]
fn every_term_stands_in_the_file_that_owns_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let page = std::fs::read_to_string(root.join("docs/glossary.md")).unwrap();
    let rows = rows(&page);
    assert!(rows.len() >= 45, "{} terms", rows.len());
    let terms: Vec<String> = rows.iter().map(|(term, _)| term.to_lowercase()).collect();
    assert!(terms.windows(2).all(|pair| pair[0] < pair[1]), "each once, in order");
    let stands = |(term, file): &&(&str, &str)| {
        std::fs::read_to_string(root.join(file)).is_ok_and(|source| has(&source, term))
    };
    let missing: Vec<_> = rows.iter().filter(|row| !stands(row)).collect();
    assert!(missing.is_empty(), "not in their files: {missing:?}");
}

#[test]
fn the_look_for_terms_can_fail() {
    assert_eq!(rows("| term | meaning | owner |\n|---|---|---|\n| a b | c | `d.rs` |\n"), [("a b", "d.rs")]);
    assert!(has("//! Group\n//! commit: one", "group commit") && !has("//! Group", "group commit"));
}
