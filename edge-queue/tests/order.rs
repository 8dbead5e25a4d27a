//! Promise 7: live-first within a lane. What is live leaves first, the backlog keeps its share, and neither costs more
//! reads, writes or bookkeeping than fifo.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use edge_queue::store::{
    Change, DoneRows, ReadLimit, RingStore, State, Store, StoreError, StoreStats, StoredChunk, StoredRow,
};
use edge_queue::testing::{SimDir, small_options};
use edge_queue::{
    Config, Consumer, Lane, Lease, ManualClock, Now, Order, Queue, Reason, Receipt, Row, Seq, StoreKind,
    Wait, aio,
};
use futures_util::StreamExt;

fn config() -> Config {
    Config::default().max_bytes(2 * 1024 * 1024).store(StoreKind::Ring).order(Order::live_first())
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(Now { boot_id: 1, up_ms: 1_000, ..Now::default() }))
}

fn open(dir: &SimDir) -> Queue {
    Queue::open_in(Box::new(dir.clone()), config(), clock()).unwrap()
}

fn push(q: &Queue, numbers: std::ops::Range<u32>) {
    for n in numbers {
        let _receipt = q.push(Row::new(n.to_be_bytes().to_vec())).unwrap();
    }
}

fn value(lease: &Lease) -> u32 {
    u32::from_be_bytes(lease.payload()[..].try_into().unwrap())
}

/// Leases and acknowledges.
fn take(hub: &mut Consumer, rows: usize) -> Vec<u32> {
    let chunk = hub.lease(rows, Wait::None).unwrap();
    let values = chunk.iter().map(value).collect();
    chunk.ack();
    values
}

#[test]
fn live_rows_leave_first_and_the_backlog_keeps_its_share() {
    let q = open(&SimDir::new());
    let mut hub = q.consumer("hub").unwrap();
    push(&q, 0..1_000);
    assert_eq!(take(&mut hub, 2), [0, 1], "an outage is over: all of it is backlog");
    push(&q, 1_000..1_010);
    assert_eq!(
        take(&mut hub, 16),
        [1_000, 1_001, 1_002, 2, 1_003, 1_004, 1_005, 3, 1_006, 1_007, 1_008, 4, 1_009, 5, 6, 7]
    );
    push(&q, 1_010..1_011);
    assert_eq!(take(&mut hub, 2), [1_010, 8]);
    // Returned rows go back to their old place, each in its part.
    push(&q, 1_011..1_014);
    let leases: Vec<Lease> = hub.lease(4, Wait::None).unwrap().into_iter().collect();
    assert_eq!(leases.iter().map(value).collect::<Vec<_>>(), [1_011, 1_012, 1_013, 9]);
    drop(leases);
    assert_eq!(take(&mut hub, 4), [1_011, 1_012, 1_013, 9]);
    let rest = take(&mut hub, 2_000);
    assert_eq!(rest, (10..1_000).collect::<Vec<_>>());
    assert!(q.ledger().iter().all(|ledger| ledger.balanced() && ledger.queued == 0));
}

#[test]
fn a_restart_makes_everything_backlog() {
    let dir = SimDir::new();
    let q = open(&dir);
    let mut hub = q.consumer("hub").unwrap();
    push(&q, 0..100);
    assert_eq!(take(&mut hub, 1), [0]);
    push(&q, 100..110);
    assert_eq!(take(&mut hub, 2), [100, 101]);
    drop(hub);
    q.close().unwrap();
    let q = open(&dir);
    let mut hub = q.consumer("hub").unwrap();
    push(&q, 110..115);
    // Also what was pushed before the first question: nobody was promised anything about it.
    let expected: Vec<u32> = (1..100).chain(102..115).collect();
    assert_eq!(take(&mut hub, 50), expected[..50]);
    push(&q, 115..116);
    assert_eq!(take(&mut hub, 2), [115, expected[50]]);
    assert_eq!(take(&mut hub, 1_000), expected[51..]);
}

/// It was: a reading of the last seconds before a link came back arrived behind all of its outage.
#[test]
fn the_newest_rows_of_an_outage_leave_first() {
    let dir = SimDir::new();
    for is_restart in [false, true] {
        let q = open(&dir);
        let mut hub = q.consumer("hub").unwrap();
        push(&q, 0..2_000);
        assert_eq!(take(&mut hub, 5), [1_968, 1_969, 1_970, 0, 1_971]);
        take(&mut hub, 3_000);
        if is_restart {
            push(&q, 0..1_500);
            drop(hub);
            q.close().unwrap();
            let q = open(&dir);
            let mut hub = q.consumer("hub").unwrap();
            push(&q, 1_500..1_503);
            assert_eq!(take(&mut hub, 5), [1_500, 1_501, 1_502, 0, 1]);
            return;
        }
        // It keeps up, and falls behind by an outage.
        push(&q, 2_000..2_001);
        assert_eq!(take(&mut hub, 9), [2_000]);
        push(&q, 3_000..5_000);
        assert_eq!(take(&mut hub, 5), [4_968, 4_969, 3_000, 4_970, 4_971]);
        take(&mut hub, 3_000);
        // By less than one: all in the order in which it came.
        push(&q, 5_000..6_000);
        assert_eq!(take(&mut hub, 2_000), (5_000..6_000).collect::<Vec<_>>());
        drop(hub);
        q.close().unwrap();
    }
}

/// Three rows come for each two that go, for ever: live rows stay fresh and the backlog moves all the same.
#[test]
fn a_consumer_slower_than_the_live_rows_starves_neither_part() {
    let q = open(&SimDir::new());
    let mut hub = q.consumer("hub").unwrap();
    push(&q, 0..5_000);
    let (mut next, mut newest, mut oldest) = (5_000, 0, None);
    let mut seen = BTreeSet::new();
    for round in 0..4_000 {
        push(&q, next..next + 3);
        next += 3;
        let taken = take(&mut hub, 2);
        assert!(taken.iter().all(|n| seen.insert(*n)), "a row came twice");
        newest = taken.iter().copied().fold(newest, u32::max);
        // Behind by the rows that may wait and what came since, once there was a first question.
        assert!(round < 2 || newest + 64 + 2 * 3 >= next, "the newest row out is {newest} of {next}");
        oldest = oldest.max(taken.iter().copied().filter(|n| *n < 5_000).max());
    }
    assert!(oldest >= Some(4_000 * 2 / 4 - 2), "of 8 000 rows a quarter is the backlog's: {oldest:?}");
    assert!(q.ledger().iter().all(edge_queue::Ledger::balanced));
}

/// The backlog's first row is out and never comes back; live rows fall behind again and again. At most 1 024 ranges are
/// kept, so nothing acknowledged may wait for the floor, and nothing comes twice after a restart.
#[test]
fn acknowledgements_of_live_rows_stay_bounded_behind_a_backlog_that_never_moves() {
    let dir = SimDir::new();
    let q = open(&dir);
    let mut hub = q.consumer("hub").unwrap();
    push(&q, 0..10);
    let held: Vec<Lease> = hub.lease(1, Wait::None).unwrap().into_iter().collect();
    let (mut next, mut seen) = (10, BTreeSet::new());
    for _ in 0..700 {
        push(&q, next..next + 1);
        assert!(take(&mut hub, 1).iter().all(|n| seen.insert(*n)));
        push(&q, next + 1..next + 67);
        next += 67;
        assert!(take(&mut hub, 1).iter().all(|n| seen.insert(*n)));
    }
    let ledger = q.ledger()[1].clone();
    assert!(ledger.balanced());
    assert_eq!((ledger.delivered, ledger.leased), (1_400, 1), "an acknowledgement waits for a range");
    drop((held, hub));
    q.close().unwrap();
    let q = open(&dir);
    let mut hub = q.consumer("hub").unwrap();
    loop {
        let rows = take(&mut hub, 500);
        if rows.is_empty() {
            break;
        }
        assert!(rows.iter().all(|n| seen.insert(*n)), "a row came twice");
    }
    assert_eq!(seen.len(), next as usize);
}

/// A returned live row that drop-oldest takes later was handed out, its neighbours in the backlog were not.
#[test]
fn eviction_tells_rows_that_were_handed_out_from_those_that_were_not() {
    let q = Queue::open_in(Box::new(SimDir::new()), config().max_messages(100), clock()).unwrap();
    let mut hub = q.consumer("hub").unwrap();
    push(&q, 0..90);
    assert_eq!(take(&mut hub, 1), [0]);
    push(&q, 90..95);
    let live = hub.lease(3, Wait::None).unwrap();
    assert_eq!(live.iter().map(value).collect::<Vec<_>>(), [90, 91, 92]);
    drop(live);
    push(&q, 95..195);
    let of = |reason| {
        let gaps = hub.gaps();
        gaps.iter().filter(|gap| gap.reason == reason).map(|gap| gap.count).sum::<u64>()
    };
    assert_eq!((of(Reason::OverflowUnconfirmed), of(Reason::Overflow)), (3, 91));
}

/// Counts reads.
struct Counting(RingStore, Arc<AtomicU64>);

impl Store for Counting {
    fn append(&mut self, rows: &[StoredRow]) -> Result<(), StoreError> {
        self.0.append(rows)
    }

    fn commit(&mut self, changes: &[Change], state: &State) -> Result<(), StoreError> {
        self.0.commit(changes, state)
    }

    fn read(&mut self, lane: Lane, from: Seq, limit: ReadLimit) -> Result<StoredChunk, StoreError> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.read(lane, from, limit)
    }

    fn advance(&mut self, lane: Lane, done: &DoneRows) -> Result<(), StoreError> {
        self.0.advance(lane, done)
    }

    fn stats(&self) -> StoreStats {
        self.0.stats()
    }
}

/// Promise 8 too: a drain of 5 000 stored rows with 9 000 live ones beside it reads each row once, 256 at a time, and
/// writes only acknowledgements.
#[test]
fn live_rows_acknowledged_in_time_are_never_written_and_the_backlog_is_read_once() {
    let (store, found) = RingStore::open(Box::new(SimDir::new()), &small_options()).unwrap();
    let reads = Arc::new(AtomicU64::new(0));
    let clock = clock();
    let store = Box::new(Counting(store, reads.clone()));
    let q = Queue::with_store(store, found, config(), clock.clone()).unwrap();
    let mut hub = q.consumer("hub").unwrap();
    // Rows of 100 bytes: more than stays in RAM.
    let old: Vec<u32> = (0..5_000).collect();
    for n in &old {
        let mut payload = vec![0; 100];
        payload[..4].copy_from_slice(&n.to_be_bytes());
        let _receipt = q.push(Row::new(payload)).unwrap();
    }
    q.commit().unwrap();
    let mut backlog = Vec::new();
    let mut elided = 0;
    reads.store(0, Ordering::Relaxed);
    for n in 5_000..14_000u32 {
        let receipt = q.push(Row::new(n.to_be_bytes().to_vec())).unwrap();
        clock.advance_ms(100);
        let chunk = hub.lease(2, Wait::None).unwrap();
        for lease in &chunk {
            let number = u32::from_be_bytes(lease.payload()[..4].try_into().unwrap());
            if number < 5_000 {
                backlog.push(number);
            }
        }
        chunk.ack();
        elided += u32::from(receipt.try_get() == Ok(Some(Receipt::HandedOver)));
        q.tick();
    }
    assert!(elided >= 8_900, "{elided} of 9 000 live rows were never written");
    let (newest, rest): (Vec<u32>, Vec<u32>) = backlog.into_iter().partition(|n| *n >= 4_969);
    assert_eq!([rest, newest].concat(), old, "each in its order");
    let reads = reads.load(Ordering::Relaxed);
    assert!(reads <= 5_000 / 256 + 3, "{reads} reads");
    assert!(q.ledger().iter().all(edge_queue::Ledger::balanced));
}

/// A stream leases ahead: these rows return to their places before it begins again.
#[tokio::test]
async fn a_stream_that_begins_again_hands_out_the_oldest_row_first() {
    let sync = open(&SimDir::new());
    let q = aio::Queue::of(sync.clone()).unwrap();
    let mut hub = q.consumer("hub").await.unwrap();
    push(&sync, 0..4);
    for restart in [aio::Consumer::rewind, aio::Consumer::scan] {
        assert_eq!(value(&hub.next().await.unwrap().unwrap()), 0);
        restart(&mut hub);
        assert_eq!(value(&hub.next().await.unwrap().unwrap()), 0, "and not the one that was read ahead");
        aio::Consumer::rewind(&mut hub);
        assert_eq!(hub.lease(9).await.unwrap().iter().map(value).collect::<Vec<_>>(), [0, 1, 2, 3]);
        aio::Consumer::rewind(&mut hub);
    }
}
