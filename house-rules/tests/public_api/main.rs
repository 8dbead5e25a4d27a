//! Public surface of each crate against docs/api, so that every change of it shows in a diff.
//!
//! Read from the source: items that are reachable from `lib.rs` by `pub mod` and `pub use`, all features together. What macros make is not in it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

mod items;
mod listing;
mod print;
mod tree;

use std::path::Path;

use listing::listing;
use tree::Tree;

const CRATES: [&str; 5] = ["edge-clock", "edge-queue", "edge-bridge", "edge-filter", "edge-codec"];
/// Set to write the listings instead of comparing them.
const WRITE: &str = "EDGE_WRITE_DOCS";

#[test]
fn the_public_surface_is_the_one_in_the_docs() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut changed = Vec::new();
    for name in CRATES {
        let lines = listing(&Tree::read(&root.join(name).join("src/lib.rs")), &name.replace('-', "_"));
        let path = root.join(format!("docs/api/{name}.txt"));
        let text = lines.join("\n") + "\n";
        if std::env::var_os(WRITE).is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        let written = std::fs::read_to_string(&path).unwrap_or_default();
        let old: Vec<&str> = written.lines().collect();
        changed.extend(
            lines.iter().filter(|line| !old.contains(&line.as_str())).map(|line| format!("+ {line}")),
        );
        let is_gone = |line: &&&str| !lines.iter().any(|new| new == **line);
        changed.extend(old.iter().filter(is_gone).map(|line| format!("- {line}")));
    }
    assert!(
        changed.is_empty(),
        "the public surface changed: {WRITE}=1 and a line in the CHANGELOG\n{}",
        changed.join("\n")
    );
}

#[test]
fn what_is_public_is_found_and_nothing_else() {
    let tree = Tree::of(&[
        ("", "mod a;\npub mod b;\npub use a::{One, f as g};\npub use b::*;\npub use bytes::Bytes;"),
        (
            "a",
            "use super::b::Two;\npub struct One<T> { pub x: Vec<T>, y: u8 }\nimpl<T> One<T> { pub fn new(x: T) -> Self { todo!() } fn p(&self) {} }\n\
             impl From<Two> for One<u8> { fn from(_: Two) -> Self { todo!() } }\npub struct Hidden;\npub fn f() {}",
        ),
        (
            "b",
            "#[derive(Clone)]\n#[non_exhaustive]\npub enum Two { A, B(u8), C { d: bool } }\npub(crate) fn no() {}\n#[cfg(test)]\nmod tests { pub fn no() {} }",
        ),
    ]);
    let lines = listing(&tree, "c");
    assert_eq!(
        lines,
        [
            "c::Bytes: use bytes::Bytes",
            "c::One<T>: impl From<Two> for One<u8>",
            "c::One<T>: struct",
            "c::One<T>::new: fn(x: T) -> Self",
            "c::One<T>::x: Vec<T>",
            "c::Two: #[non_exhaustive] enum",
            "c::Two: impl Clone",
            "c::Two::A",
            "c::Two::B(u8)",
            "c::Two::C { d: bool }",
            "c::b::Two: #[non_exhaustive] enum",
            "c::b::Two: impl Clone",
            "c::b::Two::A",
            "c::b::Two::B(u8)",
            "c::b::Two::C { d: bool }",
            "c::g: fn()",
        ]
    );
}
