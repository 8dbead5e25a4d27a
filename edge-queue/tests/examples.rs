//! Every example runs, is soon over and prints what its head shows. The same file in every crate: packages are tested
//! alone, too.
#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, missing_docs, reason = "test code")]

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

const QUICK: Duration = Duration::from_secs(10);

/// Line in the head of a program that needs arguments, time, or files that are in no package.
const NOT_RUN: &str = "//! Not run by the tests.";

/// Lines of the text block in an example's head.
fn shown(source: &str) -> String {
    let head = source.lines().map_while(|line| line.strip_prefix("//!"));
    let block = head.map(str::trim).skip_while(|line| *line != "```text").skip(1);
    block.take_while(|line| *line != "```").map(|line| format!("{line}\n")).collect()
}

/// Runs an example. `cargo test` builds them all, `cargo test --test examples` none.
fn printed(name: &str) -> String {
    let test = std::env::current_exe().unwrap();
    let folder = test.ancestors().nth(2).unwrap().join("examples");
    let run = Command::new(folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX))).output();
    let run = run.unwrap_or_else(|e| panic!("{name}: {e}; `cargo build --examples` makes it"));
    assert!(run.status.success(), "{name}: {}", String::from_utf8_lossy(&run.stderr));
    String::from_utf8(run.stdout).unwrap()
}

#[test]
fn every_example_prints_what_its_head_shows() {
    let mut names = Vec::new();
    for file in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let source = std::fs::read_to_string(&path).unwrap();
        if source.lines().any(|line| line == NOT_RUN) {
            continue;
        }
        let expected = shown(&source);
        assert!(!expected.is_empty(), "{name} shows no output in its head");
        let begin = Instant::now();
        assert_eq!(printed(&name), expected, "{name}");
        assert!(begin.elapsed() < QUICK, "{name} took {:?}", begin.elapsed());
        names.push(name);
    }
    assert!(names.len() >= 3, "{names:?}");
}

#[test]
fn only_the_block_of_the_head_counts() {
    let source =
        "//! A head.\n//! ```text\n//! one\n//! two\n//! ```\n//! More.\n\n//! ```text\n//! no\n//! ```\n";
    assert_eq!(shown(source), "one\ntwo\n");
    assert_eq!(shown("//! A head.\n\nfn main() {}\n"), "");
}
