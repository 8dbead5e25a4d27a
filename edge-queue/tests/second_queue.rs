//! `has_beside`: a directory counts as a queue of an earlier run if it holds one, or if nobody can tell.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

use std::fs;
use std::path::Path;

use edge_queue::{Config, OpenError, Queue, Row, StoreKind};

const NAME: &str = "parked";

fn config(store: StoreKind) -> Config {
    Config::default().store(store).max_bytes(4 << 20)
}

/// Runs `prepare` on the directory beside a queue, and asks the queue of a new start.
fn has_beside(store: StoreKind, prepare: impl FnOnce(&Path)) -> bool {
    let dir = tempfile::tempdir().unwrap();
    prepare(&dir.path().join(NAME));
    Queue::open(dir.path(), config(store)).unwrap().has_beside(NAME)
}

#[test]
fn a_directory_without_a_queue_is_none() {
    for store in [StoreKind::Ring, StoreKind::Redb] {
        assert!(!has_beside(store, |_| {}), "no directory");
        assert!(!has_beside(store, |beside| fs::create_dir(beside).unwrap()), "an empty one");
        assert!(!has_beside(store, |beside| fs::write(beside, "").unwrap()), "a file in its place");
        let locked = |beside: &Path| {
            fs::create_dir(beside).unwrap();
            fs::write(beside.join("lock"), "").unwrap();
        };
        assert!(!has_beside(store, locked), "the lock alone");
    }
}

/// An open that fails leaves the lock behind: for want of room, say.
#[test]
fn what_an_open_that_failed_leaves_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let huge = Config::default().max_bytes(1 << 40);
    let main = Queue::open(dir.path(), config(StoreKind::Ring)).unwrap();
    let error = Queue::open(dir.path().join(NAME), huge).unwrap_err();
    assert!(matches!(error, OpenError::NoSpace { .. }), "{error}");
    assert!(dir.path().join(NAME).join("lock").exists());
    assert!(!main.has_beside(NAME));
}

#[test]
fn a_queue_of_an_earlier_run_is_found() {
    for store in [StoreKind::Ring, StoreKind::Redb] {
        let dir = tempfile::tempdir().unwrap();
        let main = Queue::open(dir.path(), config(store)).unwrap();
        let beside = main.open_beside(NAME, 0).unwrap();
        assert!(main.has_beside(NAME), "{store:?}: made in this run");
        drop(beside.push(Row::new(vec![1])).unwrap());
        beside.close().unwrap();
        main.close().unwrap();
        let main = Queue::open(dir.path(), config(store)).unwrap();
        assert!(main.has_beside(NAME), "{store:?}");
    }
}

/// There may be one: whoever asks must not take its rows for none.
#[test]
fn a_directory_that_cannot_be_looked_into_counts_as_a_queue() {
    assert!(has_beside(StoreKind::Ring, |beside| std::os::unix::fs::symlink(beside, beside).unwrap()));
}

#[test]
fn a_queue_in_memory_has_none_of_an_earlier_run() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Queue::open(dir.path(), config(StoreKind::Ring)).unwrap();
    disk.open_beside(NAME, 0).unwrap().close().unwrap();
    let memory = Queue::open(dir.path(), config(StoreKind::Memory)).unwrap();
    assert!(!memory.has_beside(NAME));
}

/// A name that leads elsewhere would put rows where nobody looks for them, or into the first queue's own files.
#[test]
fn a_name_is_that_of_one_directory_inside() {
    let outer = tempfile::tempdir().unwrap();
    let main = Queue::open(outer.path().join("main"), config(StoreKind::Ring)).unwrap();
    let absolute = outer.path().join("elsewhere");
    for name in ["", ".", "..", "a/b", "a/", "./a", "../elsewhere", "bad", absolute.to_str().unwrap()] {
        let error = main.open_beside(name, 0).unwrap_err();
        assert!(error.to_string().contains("no name of a directory"), "{name:?}: {error}");
    }
    let files: Vec<_> = fs::read_dir(outer.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(files, ["main"]);
    assert!(!outer.path().join("main").join("a").exists());
}
