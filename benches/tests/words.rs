//! Rules about the text of the crates: how doc comments begin, how much they say, and how long a file may be.

#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

use std::path::{Path, PathBuf};

const CRATES: [&str; 5] = ["edge-clock", "edge-queue", "edge-bridge", "edge-filter", "edge-codec"];
/// A clause as the subject of a sentence hides what the thing is.
const CLAUSES: [&str; 9] = ["What", "Which", "Who", "Whose", "Whether", "How", "Where", "When", "Why"];
/// Share of doc comments that may begin with such a word, and of those with at most three words, in percent.
const SHARE_MAX: usize = 4;
const LINES_MAX: usize = 400;

fn sources(dir: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|end| end == "rs") {
            into.push(path);
        }
    }
}

/// Doc comments of a source, each as one text: lines of one kind that follow each other.
fn doc_comments(source: &str) -> Vec<String> {
    let (mut comments, mut before): (Vec<String>, _) = (Vec::new(), None);
    for line in source.lines() {
        let line = line.trim();
        let kind = ["///", "//!"].into_iter().find(|kind| line.starts_with(kind));
        let text = kind.and_then(|kind| line.strip_prefix(kind)).map(str::trim);
        match (text, comments.last_mut()) {
            (Some(text), Some(comment)) if kind == before => {
                comment.push(' ');
                comment.push_str(text);
            }
            (Some(text), _) => comments.push(text.to_owned()),
            (None, _) => {}
        }
        before = kind;
    }
    comments
}

fn begins_with_a_clause(comment: &str) -> bool {
    let first = comment.split(|c: char| !c.is_alphabetic()).next().unwrap_or("");
    CLAUSES.contains(&first)
}

fn says_little(comment: &str) -> bool {
    comment.split_whitespace().count() <= 3
}

fn crate_sources(name: &str) -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut files = Vec::new();
    sources(&root.join(name).join("src"), &mut files);
    files.into_iter().map(|path| (path.clone(), std::fs::read_to_string(path).unwrap())).collect()
}

#[test]
fn doc_comments_say_what_a_thing_is() {
    for name in CRATES {
        let sources = crate_sources(name);
        let comments: Vec<String> = sources.iter().flat_map(|(_, source)| doc_comments(source)).collect();
        for (rule, breaks) in [
            ("begin with a clause", begins_with_a_clause as fn(&str) -> bool),
            ("have at most three words", says_little),
        ] {
            let found: Vec<_> = comments.iter().filter(|comment| breaks(comment)).collect();
            assert!(
                found.len() * 100 <= comments.len() * SHARE_MAX,
                "{name}: {} of {} doc comments {rule}: {found:#?}",
                found.len(),
                comments.len()
            );
        }
    }
}

#[test]
fn no_source_file_is_longer_than_a_reader_keeps_in_mind() {
    let all = CRATES.iter().flat_map(|name| crate_sources(name));
    let long: Vec<_> = all
        .filter(|(path, source)| !path.ends_with("tests.rs") && source.lines().count() > LINES_MAX)
        .map(|(path, source)| format!("{}: {} lines", path.display(), source.lines().count()))
        .collect();
    assert!(long.is_empty(), "above {LINES_MAX} lines: {long:#?}");
}

#[test]
fn the_rules_can_fail() {
    let source = "//! A module.\n//! Its rest.\n\n/// Whether it is so.\nfn a() {}\n/// The lane.\n/// See [`b`].\nfn b() {}\n";
    let comments = doc_comments(source);
    assert_eq!(comments, ["A module. Its rest.", "Whether it is so.", "The lane. See [`b`]."]);
    assert!(begins_with_a_clause(&comments[1]) && !begins_with_a_clause("Whatsoever it is"));
    assert!(says_little("The lane.") && !says_little(&comments[2]));
}
