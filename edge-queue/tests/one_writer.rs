//! A queue has one writer, also after somebody removed the file `lock`: the file that holds the rows is locked itself.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "test code")]

use std::fs;
use std::path::Path;

use edge_queue::inspect::{InspectError, Inspection};
use edge_queue::medium::{Hooked, Verdict};
use edge_queue::store::{Options, RedbStore, RingStore};
use edge_queue::testing::SimDir;
use edge_queue::{Config, OpenError, Queue, Row, StoreKind, Wait};

const KINDS: [StoreKind; 2] = [StoreKind::Ring, StoreKind::Redb];

fn config(kind: StoreKind) -> Config {
    Config::default().max_bytes(1 << 20).store(kind)
}

fn without_lock_file(dir: &Path) {
    fs::remove_file(dir.join("lock")).unwrap();
}

fn is_refused(dir: &Path, kind: StoreKind) -> bool {
    let second = matches!(Queue::open(dir, config(kind)), Err(OpenError::Busy));
    // The attempt made a new lock file, which says nothing of the first.
    without_lock_file(dir);
    second && matches!(Inspection::open(dir), Err(InspectError::Open(OpenError::Busy)))
}

#[test]
fn a_second_opener_is_refused_although_the_lock_file_was_removed() {
    for kind in KINDS {
        let dir = tempfile::tempdir().unwrap();
        let queue = Queue::open(dir.path(), config(kind)).unwrap();
        without_lock_file(dir.path());
        assert!(is_refused(dir.path(), kind), "{kind:?}, new");
        queue.push(Row::new("kept")).unwrap().wait().unwrap();
        queue.close().unwrap();

        let queue = Queue::open(dir.path(), config(kind)).unwrap();
        without_lock_file(dir.path());
        assert!(is_refused(dir.path(), kind), "{kind:?}, opened");
        queue.close().unwrap();
        // A changed limit gives the ring a new file.
        let queue = Queue::open(dir.path(), config(kind).max_bytes(2 << 20)).unwrap();
        without_lock_file(dir.path());
        assert!(is_refused(dir.path(), kind), "{kind:?}, resized");
        let mut hub = queue.consumer("hub").unwrap();
        let rows = hub.lease(10, Wait::None).unwrap();
        assert_eq!(rows.iter().map(|row| row.payload().to_vec()).collect::<Vec<_>>(), [b"kept"]);
        drop((rows, hub));
        queue.close().unwrap();
        assert!(Inspection::open(dir.path()).is_ok(), "{kind:?}");
        assert!(Queue::open(dir.path(), config(kind)).is_ok(), "{kind:?}");
    }
}

/// The stores see to it themselves, also in a directory of another kind.
#[test]
fn a_store_is_refused_a_file_that_another_has_open() {
    let options = Options {
        lanes: 1,
        lane_bytes: [32 * 1024; 4].into(),
        segment_bytes: 64 * 1024,
        row_bytes_max: 4096,
        gateway: 3,
        epoch_step: 1,
    };
    let dir = SimDir::new();
    let hooked = || Box::new(Hooked::new(dir.clone(), |_| Verdict::Make));
    let ring = RingStore::open(hooked(), &options).unwrap();
    assert!(matches!(RingStore::open(hooked(), &options), Err(OpenError::Busy)));
    let redb = RedbStore::open(hooked(), &options).unwrap();
    assert!(matches!(RedbStore::open(hooked(), &options), Err(OpenError::Busy)));
    drop((ring, redb));
    assert!(RingStore::open(hooked(), &options).is_ok() && RedbStore::open(hooked(), &options).is_ok());
}
