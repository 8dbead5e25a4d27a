//! Encryption at rest, as a program configures it: the queue, the one beside it, and what is imported.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

use std::path::Path;

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
