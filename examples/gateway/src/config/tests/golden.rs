//! Configurations of released versions: each key of theirs is a key still, and no default has become another value.
//!
//! A new version adds its fixtures beside these, which stay as they are. Only while 0.1 has not been released may they be made anew: the list with
//! `EDGE_REGENERATE_GOLDEN=1`, the defaults by hand.

#![allow(clippy::disallowed_methods, reason = "test code")]

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::super::keys::TABLES;
use super::*;

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src/config/tests/golden")).join(name)
}

#[test]
fn each_key_of_version_0_1_is_a_key() {
    let present: BTreeSet<String> = TABLES
        .iter()
        .flat_map(|table| table.keys.iter().map(|key| format!("{} {}", table.head, key.name)))
        .collect();
    let path = fixture("keys-0.1.txt");
    if std::env::var_os("EDGE_REGENERATE_GOLDEN").is_some() {
        let lines: String = present.iter().map(|line| format!("{line}\n")).collect();
        std::fs::write(&path, lines).unwrap();
    }
    let golden = std::fs::read_to_string(path).unwrap();
    let gone: Vec<&str> = golden.lines().filter(|line| !present.contains(*line)).collect();
    assert!(gone.is_empty(), "an update would refuse configurations with these keys: {gone:?}");
    assert!(!golden.is_empty());
}

#[test]
fn a_file_without_a_key_means_what_it_meant_in_version_0_1() {
    let text = std::fs::read_to_string(fixture("defaults-0.1.toml")).unwrap();
    let meaning = |text: &str| {
        let config = parse(text).unwrap_or_else(|findings| panic!("{findings}")).0;
        let sources = super::super::Sources::new(Path::new(""), "");
        format!("{:#?}", Config { digest: String::new(), sources, ..config })
    };
    assert_eq!(meaning(&text), meaning(SMALL));
    // It is not blind.
    assert_ne!(meaning(&text.replace("ack_within = \"1s\"", "ack_within = \"2s\"")), meaning(SMALL));
}
