#![allow(clippy::unwrap_used, missing_docs, reason = "test code")]
//! Nobody who encodes may be the only one who checks: a test reads a batch with a table that was read from the announced
//! bytes (`support/session.rs`), never with the object that it was encoded with.

use std::path::{Path, PathBuf};

/// Ways from a maker's table to its reader that pass over the announcement.
const SHORT_CUTS: [&str; 3] = ["decode_batch(", " Table::learn(", " Table::new("];

/// The file that has the only way.
const ALLOWED: &str = "session.rs";

fn rust_files(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let (dirs, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let own = files.into_iter().filter(|path| path.extension().is_some_and(|e| e == "rs"));
    own.chain(dirs.iter().flat_map(|dir| rust_files(dir))).collect()
}

fn short_cuts(source: &str) -> Vec<&str> {
    // A name starts after anything that is no part of one.
    let plain = source.replace(|c: char| !c.is_alphanumeric() && !"_:(".contains(c), " ").replace('(', "( ");
    SHORT_CUTS.into_iter().filter(|cut| plain.contains(cut)).collect()
}

#[test]
fn batches_are_read_with_tables_that_were_read_anew() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let this = Path::new(file!()).file_name().unwrap();
    let mut seen = 0;
    for path in rust_files(&tests).iter().filter(|path| path.file_name() != Some(this)) {
        let found = std::fs::read_to_string(path).unwrap();
        let found = short_cuts(&found);
        if path.ends_with(ALLOWED) {
            assert_eq!(found, SHORT_CUTS, "{path:?}");
            continue;
        }
        assert!(found.is_empty(), "{path:?} has {found:?}: tables and their readers come from {ALLOWED}");
        seen += 1;
    }
    assert!(seen > 20, "{seen} files");
}

/// Negative control: each short cut is seen where a test would have it, and a table of sensors is none.
#[test]
fn short_cuts_are_noticed() {
    assert_eq!(short_cuts("let t = Arc::new(Table::learn(1, &s, &[]));").len(), 1);
    assert_eq!(short_cuts("    Table::new(2, &table())").len(), 1);
    assert_eq!(short_cuts("let batch = table.decode_batch(&bytes, &limits)").len(), 1);
    assert!(short_cuts("let mut t = SensorTable::new();").is_empty());
}
