#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "test code")]
#![cfg(all(feature = "json", feature = "cbor", feature = "compact"))]
//! Every example runs and prints what its head shows.

use std::path::PathBuf;
use std::process::Command;

const EXAMPLES: [(&str, &str); 4] = [
    ("batch", include_str!("../examples/batch.rs")),
    ("tables", include_str!("../examples/tables.rs")),
    ("own_types", include_str!("../examples/own_types.rs")),
    ("limits", include_str!("../examples/limits.rs")),
];

/// Lines of the text block in an example's head.
fn shown(source: &str) -> String {
    let head = source.lines().map_while(|line| line.strip_prefix("//!"));
    let block = head.map(str::trim).skip_while(|line| *line != "```text").skip(1);
    block.take_while(|line| *line != "```").map(|line| format!("{line}\n")).collect()
}

/// Program of an example. `cargo test` builds them all, `cargo test --test examples` none.
fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.ancestors().nth(2).unwrap();
    profile.join("examples").join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
}

#[test]
fn every_example_prints_what_its_head_shows() {
    for (name, source) in EXAMPLES {
        let expected = shown(source);
        assert!(!expected.is_empty(), "{name} shows no output in its head");
        let run = Command::new(program(name)).output();
        let run = run.unwrap_or_else(|e| panic!("{name}: {e}; `cargo build --examples` makes it"));
        let (out, err) = (String::from_utf8(run.stdout).unwrap(), String::from_utf8_lossy(&run.stderr));
        assert!(run.status.success(), "{name}: {err}");
        assert_eq!(out, expected, "{name}");
    }
}

#[test]
fn only_the_block_of_the_head_counts() {
    let source =
        "//! A head.\n//! ```text\n//! one\n//! two\n//! ```\n//! More.\n\n//! ```text\n//! no\n//! ```\n";
    assert_eq!(shown(source), "one\ntwo\n");
    assert_eq!(shown("//! A head.\n\nfn main() {}\n"), "");
}
