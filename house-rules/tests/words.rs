//! Rules about the text of the crates: how doc comments begin, and how much they say.

#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

mod sources;

use sources::{root, rust_files};

const CRATES: [&str; 5] = ["edge-clock", "edge-queue", "edge-bridge", "edge-filter", "edge-codec"];
/// A clause as the subject of a sentence hides what the thing is.
const CLAUSES: [&str; 9] = ["What", "Which", "Who", "Whose", "Whether", "How", "Where", "When", "Why"];
/// Share of doc comments that may begin with such a word, and of those with at most three words, in percent.
const SHARE_MAX: usize = 4;

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

fn crate_sources(name: &str) -> Vec<String> {
    let files = rust_files(&root().join(name).join("src"));
    files.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect()
}

#[test]
fn doc_comments_say_what_a_thing_is() {
    for name in CRATES {
        let sources = crate_sources(name);
        let comments: Vec<String> = sources.iter().flat_map(|source| doc_comments(source)).collect();
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
fn the_rules_can_fail() {
    let source = "//! A module.\n//! Its rest.\n\n/// Whether it is so.\nfn a() {}\n/// The lane.\n/// See [`b`].\nfn b() {}\n";
    let comments = doc_comments(source);
    assert_eq!(comments, ["A module. Its rest.", "Whether it is so.", "The lane. See [`b`]."]);
    assert!(begins_with_a_clause(&comments[1]) && !begins_with_a_clause("Whatsoever it is"));
    assert!(says_little("The lane.") && !says_little(&comments[2]));
}
