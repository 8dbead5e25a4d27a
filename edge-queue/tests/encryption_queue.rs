//! Encryption at rest, as a program configures it: the queue, the one beside it, and what is imported.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use edge_queue::inspect::{InspectError, check_key};
use edge_queue::transfer::import;
use edge_queue::{Config, Key, Lane, OpenError, Queue, Row, StoreKind, Wait};

fn config() -> Config {
    Config::default().max_bytes(1 << 20)
}

fn encrypted() -> Config {
    config().encryption(Key::new([7; 32]))
}

fn push(queue: &Queue, rows: usize) {
    (0..rows).for_each(|n| drop(queue.push(Row::new(format!("secret {n}")).lane(Lane::TELEMETRY)).unwrap()));
    queue.commit().unwrap();
}

fn holds_secrets(dir: &Path) -> bool {
    std::fs::read(dir.join("queue.ring")).unwrap().windows(6).any(|window| window == b"secret")
}

#[test]
fn a_queue_and_the_one_beside_it_are_encrypted_and_an_export_is_plain() {
    let dir = tempfile::tempdir().unwrap();
    let queue = Queue::open(dir.path(), encrypted()).unwrap();
    push(&queue, 50);
    let beside = queue.open_beside("parked", 100).unwrap();
    drop(beside.push(Row::new("secret")).unwrap());
    beside.commit().unwrap();
    assert!(!holds_secrets(dir.path()) && !holds_secrets(&dir.path().join("parked")));
    let mut stream = Vec::new();
    queue.export(&mut stream).unwrap();
    assert!(stream.windows(6).any(|window| window == b"secret"));
    drop((beside, queue));
    let queue = Queue::open(dir.path(), encrypted()).unwrap();
    assert_eq!(queue.consumer("hub").unwrap().lease(100, Wait::None).unwrap().len(), 50);
    drop(queue);

    let target = tempfile::tempdir().unwrap();
    let into = Box::new(edge_queue::medium::os::OsDir::new(target.path()).unwrap());
    assert_eq!(import(into, &encrypted(), stream.as_slice()).unwrap().rows(), 50);
    assert!(!holds_secrets(target.path()));
    assert!(matches!(Queue::open(target.path(), config()).map(drop), Err(OpenError::KeyMissing)));
    assert_eq!(Queue::open(target.path(), encrypted()).unwrap().stats().messages, 50);
}

#[test]
fn a_queue_that_was_made_without_a_key_is_refused_with_the_way_out() {
    let dir = tempfile::tempdir().unwrap();
    push(&Queue::open(dir.path(), config()).unwrap(), 3);
    let refused = Queue::open(dir.path(), encrypted()).map(drop).unwrap_err();
    assert!(matches!(refused, OpenError::NotEncrypted), "{refused}");
    assert_eq!(Queue::open(dir.path(), config()).unwrap().stats().messages, 3);
}

#[test]
fn redb_keeps_rows_as_they_are_and_takes_no_key() {
    let dir = tempfile::tempdir().unwrap();
    let refused = Queue::open(dir.path(), encrypted().store(StoreKind::Redb)).map(drop);
    assert!(matches!(&refused, Err(OpenError::Config(e)) if e.key == "encryption"), "{refused:?}");
    assert!(Queue::open("", encrypted().store(StoreKind::Memory)).is_ok());
}

#[test]
fn no_configuration_shows_its_key() {
    let shown = format!("{:?}", encrypted());
    assert!(shown.contains("Key(hidden)") && !shown.contains("7, 7"), "{shown}");
}

/// Names, bytes and times of the last change of a queue's files.
fn files(dir: &Path) -> Vec<(PathBuf, Vec<u8>, SystemTime)> {
    let all =
        std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    let state = |path: PathBuf| {
        let (bytes, file) = (std::fs::read(&path).unwrap(), std::fs::metadata(&path).unwrap());
        (path, bytes, file.modified().unwrap())
    };
    let mut files: Vec<_> = all.map(state).collect();
    files.sort();
    files
}

#[test]
fn a_key_is_compared_beside_an_open_queue_and_nothing_is_changed() {
    let other = || config().encryption(Key::new([8; 32]));
    let cases: [(Config, [Result<bool, &str>; 3]); 2] = [
        (encrypted(), [Err("KeyMissing"), Ok(true), Err("WrongKey")]),
        (config(), [Ok(false), Err("NotEncrypted"), Err("NotEncrypted")]),
    ];
    for (own, expected) in cases {
        let dir = tempfile::tempdir().unwrap();
        let found = |dir: &Path| {
            [config(), encrypted(), other()].map(|config| {
                check_key(dir, &config).map_err(|error| match error {
                    InspectError::Open(OpenError::KeyMissing) => "KeyMissing",
                    InspectError::Open(OpenError::WrongKey) => "WrongKey",
                    InspectError::Open(OpenError::NotEncrypted) => "NotEncrypted",
                    InspectError::NoQueue => "NoQueue",
                    InspectError::Unusable => "Unusable",
                    _ => "another error",
                })
            })
        };
        assert_eq!(found(&dir.path().join("nowhere")), [Err("NoQueue"); 3]);
        assert_eq!(found(dir.path()), [Err("NoQueue"); 3]);
        assert_eq!(files(dir.path()), [], "not even the file of the lock");
        let queue = Queue::open(dir.path(), own.clone()).unwrap();
        push(&queue, 50);
        drop(queue.open_beside("parked", 100).unwrap());
        // The queue is idle: only this writes.
        let before = files(dir.path());
        assert_eq!(found(dir.path()), expected, "it is open");
        assert_eq!(found(&dir.path().join("parked")), expected);
        assert!(files(dir.path()) == before);
        queue.close().unwrap();
        let ring = dir.path().join("queue.ring");
        let bytes = std::fs::read(&ring).unwrap();
        for (damaged, expected) in [(&[0][..], expected), (&[0, 4096], expected)] {
            let mut bytes = bytes.clone();
            damaged.iter().for_each(|at: &usize| bytes[*at..at + 600].fill(0x33));
            std::fs::write(&ring, bytes).unwrap();
            let before = files(dir.path());
            assert_eq!(found(dir.path()), expected, "{damaged:?}");
            assert!(files(dir.path()) == before);
        }
        std::fs::write(&ring, vec![0x33; bytes.len()]).unwrap();
        assert_eq!(found(dir.path()), [Err("Unusable"); 3]);
    }
}

/// Files of another store say nothing about the one that is configured.
#[test]
fn only_a_queue_of_the_configured_store_is_compared() {
    let dir = tempfile::tempdir().unwrap();
    let redb = config().store(StoreKind::Redb);
    push(&Queue::open(dir.path(), redb.clone()).unwrap(), 3);
    assert!(!check_key(dir.path(), &redb).unwrap());
    let with_key = check_key(dir.path(), &encrypted().store(StoreKind::Redb));
    assert!(matches!(with_key, Err(InspectError::Open(OpenError::NotEncrypted))), "{with_key:?}");
    assert!(matches!(check_key(dir.path(), &encrypted()), Err(InspectError::NoQueue)));
    assert!(matches!(check_key(dir.path(), &config().store(StoreKind::Memory)), Err(InspectError::NoQueue)));
}
