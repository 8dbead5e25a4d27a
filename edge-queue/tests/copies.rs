//! Promise 4: two copies of a queue, a cloned disk or an image that was put back, give their rows identities of their own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "test code"
)]

#[path = "common/stores.rs"]
mod stores;

use std::fs;
use std::path::Path;

use edge_queue::inspect::Inspection;
use edge_queue::store::{EPOCH_STEP_MAX, Options};
use edge_queue::testing::{Outcome, SimDir, small_options};
use edge_queue::{Config, IdRange, Lane, Queue, Row, RowId, StoreKind, Wait};

/// Pairs of copies that are tried: of one pair in 4096 both copies draw the same step.
const PAIRS: u32 = 4;

/// Opens the store in `dir` and returns gateway and epoch of its rows.
fn open(name: &str, dir: &SimDir, epoch_step: u32) -> (u64, u32) {
    let options = Options { epoch_step, ..small_options() };
    let (_store, found) = stores::open(name, Box::new(dir.clone()), &options).unwrap();
    (found.state.gateway, found.state.epoch)
}

#[test]
fn a_store_begins_with_epoch_1_and_rises_by_the_step_of_each_open() {
    for (name, _) in stores::DURABLE {
        let dir = SimDir::new();
        let epochs = [9, 1, 700, EPOCH_STEP_MAX, 0, u32::MAX].map(|step| open(name, &dir, step).1);
        assert_eq!(
            epochs,
            [1, 2, 702, 4_798, 4_799, 8_895],
            "{name}: no step is 0, and none above the largest"
        );
    }
}

#[test]
fn two_copies_of_a_store_go_on_with_epochs_of_their_own() {
    for (name, _) in stores::DURABLE {
        let dir = SimDir::new();
        let last = open(name, &dir, 1);
        for outcome in [Outcome::Lost, Outcome::Kept] {
            let copies = [1, 2].map(|seed| dir.crash(outcome, seed));
            let next = [open(name, &copies[0], 17), open(name, &copies[1], 4_000)];
            assert_eq!(next, [(last.0, last.1 + 17), (last.0, last.1 + 4_000)], "{name}");
        }
    }
}

/// The damaged copy of the superblock may be the newer one, of a run that wrote nothing else.
#[test]
fn an_epoch_that_damage_took_is_not_given_again() {
    for at in [0, 4096] {
        let dir = SimDir::new();
        let epochs = [1, 1, EPOCH_STEP_MAX].map(|step| open("ring", &dir, step).1);
        assert!(dir.damage("queue.ring", at + 20, &[0x33; 4]));
        let next = open("ring", &dir, 1).1;
        assert!(epochs.iter().all(|earlier| *earlier < next), "{next} after {epochs:?}");
    }
}

fn config(store: StoreKind) -> Config {
    Config::default().store(store).max_bytes(4 << 20)
}

fn push(queue: &Queue, payload: &str) {
    queue.push(Row::new(payload.as_bytes().to_vec())).unwrap().wait().unwrap();
}

/// Returns the identities of all rows, with their payloads.
fn rows(queue: &Queue) -> Vec<(RowId, String)> {
    let mut hub = queue.consumer("hub").unwrap();
    let leased = hub.lease(10, Wait::None).unwrap();
    leased.iter().map(|row| (row.id(), String::from_utf8_lossy(row.payload()).into_owned())).collect()
}

/// Copies a closed queue, and opens both copies.
fn copies(dir: &Path, store: StoreKind) -> [Queue; 2] {
    let clone = dir.join("clone");
    fs::create_dir(&clone).unwrap();
    for entry in fs::read_dir(dir.join("original")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), clone.join(entry.file_name())).unwrap();
    }
    ["original", "clone"].map(|name| Queue::open(dir.join(name), config(store)).unwrap())
}

/// Returns whether the copies of one queue gave their new rows identities of their own, and checks the rest.
fn are_apart(store: StoreKind) -> bool {
    let dir = tempfile::tempdir().unwrap();
    let queue = Queue::open(dir.path().join("original"), config(store)).unwrap();
    drop(queue.consumer("hub").unwrap());
    push(&queue, "before the copy");
    queue.close().unwrap();
    let [original, clone] = copies(dir.path(), store);
    push(&original, "of the original");
    push(&clone, "of the clone");
    let (own, others) = (rows(&original), rows(&clone));
    assert_eq!((own.len(), others.len()), (2, 2));
    assert_eq!(own[0], others[0], "what both have has one identity");
    let (id, other) = (own[1].0, others[1].0);
    assert_eq!((id.gateway, id.lane, id.seq), (other.gateway, Lane::TELEMETRY, other.seq));
    if id.epoch == other.epoch {
        return false;
    }
    // A receipt for the rows of the clone releases none of the original.
    let acked = original.ack_ids("hub", &[IdRange { first: other, last: other.seq }]).unwrap();
    assert_eq!((acked.acked, acked.gone), (0, 1));
    assert_eq!(rows(&original), own);
    true
}

#[test]
fn rows_of_two_copies_of_a_queue_have_identities_of_their_own() {
    for store in [StoreKind::Ring, StoreKind::Redb] {
        assert!((0..PAIRS).any(|_| are_apart(store)), "{store:?}");
    }
}

#[test]
fn an_image_that_is_put_back_gives_none_of_the_identities_that_came_after_it() {
    let put_back = || {
        let dir = tempfile::tempdir().unwrap();
        drop(Queue::open(dir.path().join("original"), config(StoreKind::Ring)).unwrap());
        // Here the copy is the image: the original goes on, and is lost.
        let queues = copies(dir.path(), StoreKind::Ring);
        let ids = queues.each_ref().map(|queue| {
            push(queue, "x");
            rows(queue)[0].0
        });
        assert_eq!(ids[0].seq, ids[1].seq);
        ids[0] != ids[1]
    };
    assert!((0..PAIRS).any(|_| put_back()));
}

#[test]
fn who_looks_into_a_queue_raises_no_epoch() {
    for store in [StoreKind::Ring, StoreKind::Redb] {
        let dir = tempfile::tempdir().unwrap();
        let queue = Queue::open(dir.path(), config(store)).unwrap();
        push(&queue, "x");
        let own = rows(&queue)[0].0.epoch;
        queue.export(&mut Vec::new()).unwrap();
        queue.close().unwrap();
        for _ in 0..3 {
            let mut found = Inspection::open(dir.path()).unwrap();
            assert_eq!(found.epoch(), own, "{store:?}");
            found.export(&mut Vec::new()).unwrap();
        }
    }
}
