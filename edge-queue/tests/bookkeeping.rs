//! Promises 3, 6 and 7: no row is dropped, refused or kept counted because a figure was guessed or left half done.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

use std::sync::Arc;

use edge_queue::store::memory::Memory;
use edge_queue::store::{
    Change, DoneRows, Options, PerLane, ReadLimit, State, Store, StoreError, StoreStats, StoredChunk,
    StoredRow,
};
use edge_queue::testing::SimDir;
use edge_queue::{
    Config, Consumer, Lane, Lease, ManualClock, Now, PushError, Queue, ROW_OVERHEAD_BYTES, Row, Seq,
    StoreKind, Wait,
};

const KINDS: [StoreKind; 2] = [StoreKind::Ring, StoreKind::Redb];

fn config(kind: StoreKind) -> Config {
    Config::default().store(kind).lanes(1).max_bytes(4 << 20)
}

fn open(dir: &SimDir, config: Config) -> Queue {
    let clock = Arc::new(ManualClock::new(Now { boot_id: 1, up_ms: 1_000, ..Now::default() }));
    Queue::open_in(Box::new(dir.clone()), config, clock).unwrap()
}

fn push(q: &Queue, rows: usize, len: usize) {
    for _ in 0..rows {
        drop(q.push(Row::new(vec![7; len])).unwrap());
    }
}

fn lease(consumer: &mut Consumer, rows: usize) -> Vec<Lease> {
    let mut held = Vec::new();
    while held.len() < rows {
        let chunk = consumer.lease(rows - held.len(), Wait::None).unwrap();
        assert!(!chunk.is_empty(), "{} of {rows} leased", held.len());
        held.extend(chunk);
    }
    held
}

/// A row of this weight is refused, and nothing goes for it.
fn refused_for_free(q: &Queue, row: &Row) {
    for _ in 0..3 {
        let before = q.stats();
        let refused = q.push(row.clone());
        assert!(matches!(refused, Err(PushError::Full { .. } | PushError::AboveLimit { .. })), "{refused:?}");
        let after = q.stats();
        assert_eq!((after.messages, after.bytes), (before.messages, before.bytes));
        assert_eq!(q.ledger().iter().map(|ledger| ledger.dropped.total()).sum::<u64>(), 0);
    }
}

#[test]
fn a_push_that_leased_rows_leave_no_messages_for_evicts_nothing() {
    for kind in KINDS {
        let q = open(&SimDir::new(), config(kind).max_messages(1_000));
        let (mut hub, mut log) = (q.consumer("hub").unwrap(), q.consumer("log").unwrap());
        push(&q, 1_000, 8);
        // The same rows twice over: 250 of the lane.
        let held = (lease(&mut hub, 250), lease(&mut log, 250));
        refused_for_free(&q, &Row::new("batch").weight(751));
        drop(q.push(Row::new("batch").weight(750)).unwrap());
        assert_eq!(q.stats().messages, 1_000, "the leased rows and the batch");
        drop(held);
        drop(q.push(Row::new("batch").weight(1_000)).unwrap());
        assert_eq!(q.stats().messages, 1_000);
    }
}

#[test]
fn a_push_that_leased_rows_leave_no_bytes_for_evicts_nothing() {
    for kind in KINDS {
        let row_bytes = 1_000 + ROW_OVERHEAD_BYTES;
        let q = open(&SimDir::new(), config(kind).max_bytes(100 * row_bytes).row_bytes_max(80_000));
        let mut hub = q.consumer("hub").unwrap();
        push(&q, 100, 1_000);
        let held = lease(&mut hub, 40);
        let room = usize::try_from(60 * row_bytes - ROW_OVERHEAD_BYTES).unwrap();
        refused_for_free(&q, &Row::new(vec![0; room + 1]));
        // Room enough in bytes, but not in messages: what was evicted for the first limit would be lost to the second.
        refused_for_free(&q, &Row::new("batch").weight(u32::MAX));
        drop(q.push(Row::new(vec![0; room])).unwrap());
        assert_eq!(q.stats().messages, 41);
        drop(held);
    }
}

/// A store that says it has room for so many bytes more, whatever it holds.
struct Narrow(Memory, u64);

impl Store for Narrow {
    fn append(&mut self, rows: &[StoredRow]) -> Result<(), StoreError> {
        self.0.append(rows)
    }

    fn commit(&mut self, changes: &[Change], state: &State) -> Result<(), StoreError> {
        self.0.commit(changes, state)
    }

    fn read(&mut self, lane: Lane, from: Seq, limit: ReadLimit) -> Result<StoredChunk, StoreError> {
        self.0.read(lane, from, limit)
    }

    fn advance(&mut self, lane: Lane, done: &DoneRows) -> Result<(), StoreError> {
        self.0.advance(lane, done)
    }

    fn stats(&self) -> StoreStats {
        let mut stats = self.0.stats();
        stats.room_bytes = PerLane::all(self.1);
        stats
    }
}

#[test]
fn a_push_that_the_store_has_no_room_for_either_way_evicts_nothing() {
    let row_bytes = 1_000 + ROW_OVERHEAD_BYTES;
    let config = Config::default().store(StoreKind::Memory).lanes(1);
    let (store, recovered) = Memory::open(&Options {
        lanes: 1,
        lane_bytes: [4 << 20; 4].into(),
        segment_bytes: 1 << 20,
        row_bytes_max: 1 << 16,
        gateway: 1,
        epoch_step: 1,
    });
    let clock = Arc::new(ManualClock::new(Now { boot_id: 1, up_ms: 1_000, ..Now::default() }));
    let q = Queue::with_store(Box::new(Narrow(store, 100 * row_bytes)), recovered, config, clock).unwrap();
    let mut hub = q.consumer("hub").unwrap();
    push(&q, 100, 1_000);
    let held = lease(&mut hub, 60);
    let room = usize::try_from(40 * row_bytes - ROW_OVERHEAD_BYTES).unwrap();
    refused_for_free(&q, &Row::new(vec![0; room + 1]));
    drop(q.push(Row::new(vec![0; room])).unwrap());
    assert_eq!((held.len(), q.stats().messages), (60, 61), "the oldest of those that are not leased went");
}
