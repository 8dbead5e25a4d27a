//! Examples of the crates: the file that runs them is the same. Packages are tested alone, too, so that they
//! cannot share one file.

#![allow(clippy::unwrap_used, reason = "test code")]

use std::path::Path;

#[test]
fn every_crate_runs_its_examples_by_the_same_file_and_packs_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap();
    let model = read("edge-codec/tests/examples.rs");
    for name in ["edge-queue", "edge-bridge", "edge-codec", "edge-filter"] {
        assert!(
            read(&format!("{name}/tests/examples.rs")) == model,
            "{name}/tests/examples.rs is another one"
        );
        assert!(
            read(&format!("{name}/Cargo.toml")).contains("\"/tests/examples.rs\""),
            "{name} does not pack it"
        );
    }
}
