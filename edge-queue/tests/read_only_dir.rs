//! A directory opened to read from: every call that would change something fails, and nothing changes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

use std::io::ErrorKind::ReadOnlyFilesystem;

use edge_queue::medium::{Dir, os::OsDir};

#[test]
fn a_directory_opened_to_read_from_refuses_every_change() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("a"), b"abc").unwrap();
    let read_only = OsDir::read_only(dir.path()).unwrap();
    assert_eq!(read_only.create("b").err().map(|e| e.kind()), Some(ReadOnlyFilesystem));
    assert_eq!(read_only.create("a").err().map(|e| e.kind()), Some(ReadOnlyFilesystem));
    assert_eq!(read_only.rename("a", "b").err().map(|e| e.kind()), Some(ReadOnlyFilesystem));
    assert_eq!(read_only.remove("a").err().map(|e| e.kind()), Some(ReadOnlyFilesystem));
    assert_eq!(read_only.sync().err().map(|e| e.kind()), Some(ReadOnlyFilesystem));
    let mut file = read_only.open("a").unwrap();
    assert!(file.write_at(0, b"x").is_err() && file.set_len(0).is_err());
    let names: Vec<_> =
        std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!((names, std::fs::read(dir.path().join("a")).unwrap()), (vec!["a".into()], b"abc".to_vec()));
}
