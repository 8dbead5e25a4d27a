//! Promises 2, 3 and 12 over any file: the tests' own loop calls these functions with damaged files, the fuzz targets with inputs of their own.
#![allow(dead_code, reason = "each program uses its part")]

use edge_queue::medium::Dir;
use edge_queue::store::{Options, ReadLimit, RingStore, Store, StoredRow};
use edge_queue::testing::SimDir;
use edge_queue::{Lane, Queue, Row, StoreKind, Wait};

use super::queue_image;

/// No number of a file above it is believed.
const NUMBER_MAX: u64 = 1 << 60;
const EPOCH_MAX: u32 = u32::MAX / 2 - 1;
/// Reads of a drain; more means that it does not end.
const READS_MAX: usize = 100_000;

fn options() -> Options {
    Options {
        lanes: 1,
        lane_bytes: [32 * 1024; 4].into(),
        segment_bytes: 64 * 1024,
        row_bytes_max: 4096,
        gateway: 3,
        epoch_step: 1,
    }
}

fn drain(store: &mut RingStore) -> Vec<StoredRow> {
    let (mut rows, mut from) = (Vec::<StoredRow>::new(), 1);
    for _ in 0..READS_MAX {
        let chunk = store.read(Lane(0), from, ReadLimit { rows: 64, bytes: 1 << 16 }).unwrap();
        assert!(chunk.lost.iter().all(|lost| lost.first <= lost.last && lost.rows > 0));
        rows.extend(chunk.rows);
        let Some(next) = chunk.next else {
            assert!(rows.is_sorted_by(|a, b| a.seq < b.seq));
            return rows;
        };
        assert!(next > from, "reading goes on");
        from = next;
    }
    panic!("the drain does not end");
}

/// The store alone: open, drain, push, commit, drain.
pub(crate) fn run_store(dir: &SimDir) {
    let (mut store, found) =
        RingStore::open(Box::new(dir.clone()), &options()).expect("open never fails for damage");
    let before = drain(&mut store);
    let next = found.highest_seq[0].max(found.state.lane[0].next).max(found.state.lane[0].floor) + 1;
    let row = StoredRow {
        lane: Lane(0),
        seq: next,
        epoch: found.state.epoch,
        stamp: Default::default(),
        ttl_ms: None,
        expiry: Default::default(),
        weight: 1,
        key: "".into(),
        meta: "".into(),
        payload: vec![1; 100].into(),
    };
    // A file may claim that the lane is full, or that its numbers are used up.
    if next < NUMBER_MAX
        && found.state.epoch < EPOCH_MAX
        && store.append(std::slice::from_ref(&row)).and_then(|()| store.commit(&[], &found.state)).is_ok()
    {
        let last = drain(&mut store).pop();
        assert_eq!(last.as_ref(), Some(&row), "{} rows before", before.len());
    }
}

/// The whole queue: its ledger adds up and it comes to an end, twice.
pub(crate) fn run_queue(dir: &SimDir, kind: StoreKind) {
    for _ in 0..2 {
        let queue = match queue_image::open(dir, kind) {
            Ok(queue) => queue,
            // A value with a good checksum may say that it is of a later version.
            Err(e) if e.contains("newer") => return,
            Err(e) => panic!("open never fails for damage: {e}"),
        };
        let mut hub = queue.consumer("hub").ok();
        let pushed = queue.push(Row::new(vec![1; 50]));
        drop(pushed);
        adds_up(&queue);
        let mut leases = 0;
        while let Some(hub) = &mut hub {
            let chunk = hub.lease(100, Wait::None).expect("reading never fails for damage");
            if chunk.is_empty() {
                break;
            }
            chunk.into_iter().for_each(edge_queue::Lease::ack);
            leases += 1;
            assert!(leases < READS_MAX, "the drain does not end");
        }
        adds_up(&queue);
        drop(hub);
        match queue.close().map_err(|e| e.to_string()) {
            Ok(()) => {}
            // A file may claim that every segment is full of rows that are wanted.
            Err(e) if e.contains("no free segment") => return,
            Err(e) => panic!("the disk is well: {e}"),
        }
    }
}

fn adds_up(queue: &Queue) {
    for ledger in queue.ledger() {
        assert!(ledger.balanced(), "{ledger:?}");
    }
}

pub(crate) fn file_of(name: &str, bytes: &[u8]) -> SimDir {
    let dir = SimDir::new();
    dir.create(name).unwrap().write_at(0, bytes).unwrap();
    dir
}
