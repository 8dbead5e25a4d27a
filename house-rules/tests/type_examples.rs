//! Examples of types: whatever a user makes with a constructor stands in a compiled example of its crate.

#![allow(clippy::unwrap_used, reason = "test code")]

mod sources;

use std::collections::BTreeSet;

use sources::{root, rust_files};

/// Words of the code blocks in doc comments, which `cargo test` compiles.
fn example_words(source: &str) -> BTreeSet<&str> {
    let (mut words, mut is_code) = (BTreeSet::new(), false);
    for line in source.lines() {
        let line = line.trim_start();
        let Some(text) = line.strip_prefix("///").or(line.strip_prefix("//!")) else {
            is_code = false;
            continue;
        };
        if text.trim_start().starts_with("```") {
            is_code = !is_code && !text.contains("text") && !text.contains("toml");
        } else if is_code {
            words.extend(text.split(|c: char| !(c.is_alphanumeric() || c == '_')));
        }
    }
    words
}

/// Types with a public function that makes one of nothing of its own kind: `-> Self` without `self`.
fn constructed(source: &str) -> Vec<String> {
    let mut types = Vec::new();
    for block in source.split("\nimpl").skip(1) {
        let Some((head, body)) = block.split_once("{\n") else { continue };
        let body = body.split("\n}\n").next().unwrap_or_default();
        if head.contains(" for ") {
            continue;
        }
        // Behind the parameters of the block: `<'a, S: Sensors> Encoder<'a, S> `.
        let mut depth = 0_i32;
        let name: String = head
            .chars()
            .skip_while(|c| {
                depth += i32::from(*c == '<') - i32::from(*c == '>');
                depth > 0 || !c.is_alphabetic()
            })
            .take_while(|c| c.is_alphanumeric())
            .collect();
        let body = format!("\n{body}");
        let heads = body.split("\n    pub fn ").skip(1).chain(body.split("\n    pub const fn ").skip(1));
        let mut heads = heads.map(|function| function.split(" {\n").next().unwrap_or_default());
        let makes = |head: &str| {
            let (arguments, result) = head.rsplit_once("->").unwrap_or_default();
            !arguments.contains("self") && result.contains("Self")
        };
        if heads.any(makes) && source.contains(&format!("\npub struct {name}")) {
            types.push(name);
        }
    }
    types
}

#[test]
fn every_type_with_a_constructor_stands_in_an_example() {
    for (name, least) in [("edge-codec", 6), ("edge-filter", 30)] {
        let files = rust_files(&root().join(name).join("src"));
        let sources: Vec<String> = files.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
        let words: BTreeSet<&str> = sources.iter().flat_map(|source| example_words(source)).collect();
        let types: Vec<String> = sources.iter().flat_map(|source| constructed(source)).collect();
        println!("{name}: {types:?}");
        assert!(types.len() >= least, "{name}: {types:?}");
        let without: Vec<_> = types.iter().filter(|name| !words.contains(name.as_str())).collect();
        assert!(without.is_empty(), "{name}: no example makes {without:?}");
    }
}

#[test]
fn the_look_for_constructors_can_fail() {
    let source = "\n/// ```\n/// let a = A::new();\n/// ```\n/// B is not shown.\npub struct A;\n\
                  impl A {\n    pub fn new() -> Self {\n        A\n    }\n}\n\npub struct B<'a>(&'a u8);\n\
                  impl<'a> B<'a> {\n    pub fn of(byte: &'a u8) -> Result<Self, E> {\n        Ok(B(byte))\n    }\n}\n\
                  impl C {\n    pub fn next(self) -> Self {\n        self\n    }\n}\n";
    assert_eq!(constructed(source), ["A", "B"]);
    let words = example_words(source);
    assert!(words.contains("A") && !words.contains("B"));
}
