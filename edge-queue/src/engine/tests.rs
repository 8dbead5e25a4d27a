//! The engine on a store that does as it is told.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;

use crate::locks_and_atomics::lock;
use crate::store::memory::Memory;
use crate::store::{
    Change, ConsumerState, DoneRows, LaneState, Lost, ReadLimit, Recovered, State, Store, StoreError,
    StoreStats, StoredChunk, StoredRow,
};
use crate::*;

/// Deeds of the store.
#[derive(Default)]
struct Script {
    /// It has no room for rows.
    full: AtomicBool,
    /// So many commits of bookkeeping make room; 0: none does.
    commits_free: AtomicU32,
    /// Reads of lane 1 fail.
    blind: AtomicBool,
    /// Reads of any lane.
    reads: AtomicU32,
    /// Reads pass over these.
    lost: Mutex<Vec<Lost>>,
    /// Times that it was asked to prepare for the next commit.
    prepared: AtomicU32,
    /// Called once, in a commit.
    in_commit: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

struct Scripted(Memory, Arc<Script>);

impl Store for Scripted {
    fn append(&mut self, rows: &[StoredRow]) -> Result<(), StoreError> {
        match self.1.full.load(Ordering::Relaxed) {
            true => Err(StoreError::Full { lane: Lane(0) }),
            false => self.0.append(rows),
        }
    }

    fn commit(&mut self, changes: &[Change], state: &State) -> Result<(), StoreError> {
        let call = lock(&self.1.in_commit).take();
        call.into_iter().for_each(|call| call());
        let left = self.1.commits_free.load(Ordering::Relaxed);
        self.1.commits_free.store(left.saturating_sub(1), Ordering::Relaxed);
        if left == 1 {
            self.1.full.store(false, Ordering::Relaxed);
        }
        self.0.commit(changes, state)
    }

    fn read(&mut self, lane: Lane, from: Seq, limit: ReadLimit) -> Result<StoredChunk, StoreError> {
        self.1.reads.fetch_add(1, Ordering::Relaxed);
        if lane == Lane(1) && self.1.blind.load(Ordering::Relaxed) {
            return Err(StoreError::Io { op: "read", source: io::ErrorKind::Other.into() });
        }
        let mut chunk = self.0.read(lane, from, limit)?;
        chunk.lost.extend(lock(&self.1.lost).iter().filter(|lost| lost.last >= from));
        Ok(chunk)
    }

    fn advance(&mut self, lane: Lane, done: &DoneRows) -> Result<(), StoreError> {
        self.0.advance(lane, done)
    }

    fn prepare(&mut self) -> Result<(), StoreError> {
        self.1.prepared.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn stats(&self) -> StoreStats {
        self.0.stats()
    }
}

fn config(lanes: u8) -> Config {
    Config::default().lanes(lanes)
}

/// System clock that a test can move ahead.
#[derive(Default)]
struct MovedClock {
    system: SystemClock,
    ahead_ms: AtomicU64,
}

impl Clock for MovedClock {
    fn now(&self) -> Now {
        let now = self.system.now();
        Now { up_ms: now.up_ms + self.ahead_ms.load(Ordering::Relaxed), ..now }
    }
}

fn manual(up_ms: u64) -> Arc<ManualClock> {
    Arc::new(ManualClock::new(Now { boot_id: 1, up_ms, ..Now::default() }))
}

/// A store with so many rows in lane `lane`, pushed 100 ms apart; its bookkeeping knows those below `next`.
fn found(lane: Lane, rows: u64, next: Seq, script: &Arc<Script>) -> (Box<dyn Store>, Recovered) {
    let (mut memory, mut recovered) = Memory::open(&config(2).store_options(1, 1));
    let stored = |seq| StoredRow {
        lane,
        seq,
        epoch: 1,
        stamp: Now { boot_id: 1, up_ms: seq * 100, ..Now::default() },
        ttl_ms: None,
        expiry: Expiry::Lenient,
        weight: 1,
        key: Bytes::new(),
        meta: Bytes::new(),
        payload: Bytes::from_static(&[7; 68]),
    };
    memory.append(&(1..=rows).map(stored).collect::<Vec<_>>()).unwrap();
    memory.commit(&[], &recovered.state).unwrap();
    let (at, known) = (usize::from(lane.0), next - 1);
    recovered.state.lane[at] =
        LaneState { next, rows: known, weight: known, bytes: known * 100, ..LaneState::default() };
    let mut hub = ConsumerState { name: "hub".to_owned(), lanes: Default::default() };
    hub.lanes.iter_mut().for_each(|cursor| cursor.floor = 1);
    (hub.lanes[at].accepted, hub.lanes[at].queued_bytes) = (known, known * 100);
    recovered.state.consumers.push(hub);
    recovered.highest_seq[at] = rows;
    (Box::new(Scripted(memory, script.clone())), recovered)
}

fn open(lane: Lane, rows: u64, next: Seq, script: &Arc<Script>, clock: Arc<dyn Clock>) -> Queue {
    let (store, recovered) = found(lane, rows, next, script);
    Queue::with_store(store, recovered, config(2), clock).unwrap()
}

fn push(queue: &Queue, rows: usize) {
    (0..rows).for_each(|_| drop(queue.push(Row::new(vec![7; 68]).lane(Lane(0))).unwrap()));
}

fn told(queue: &Queue) -> Vec<&'static str> {
    let name = |event: &Event| match event {
        Event::Degraded { .. } => "degraded",
        Event::Recovered => "recovered",
        _ => "other",
    };
    queue.events().iter().map(name).collect()
}

#[test]
fn a_commit_that_finds_no_room_however_much_is_given_up_is_an_error() {
    let script = Arc::<Script>::default();
    let queue = open(Lane(0), 0, 1, &script, manual(1));
    script.full.store(true, Ordering::Relaxed);
    push(&queue, 50);
    assert!(queue.commit().is_err());
    assert_eq!(told(&queue), ["degraded"]);
    assert!(matches!(queue.stats().health, Health::Degraded { .. }));
}

#[test]
fn a_commit_gives_up_three_segments_for_its_rows_if_it_must() {
    let script = Arc::<Script>::default();
    let queue = open(Lane(0), 0, 1, &script, manual(1));
    push(&queue, 50);
    script.full.store(true, Ordering::Relaxed);
    script.commits_free.store(3, Ordering::Relaxed);
    queue.commit().unwrap();
    assert_eq!((told(&queue).len(), queue.stats().unwritten_bytes), (0, 0));
}

#[test]
fn a_failing_store_has_recovered_once_it_took_rows() {
    let script = Arc::<Script>::default();
    let (store, recovered) = found(Lane(0), 0, 1, &script);
    let config = config(2).on_full(OnFull::Reject);
    let clock = manual(1);
    let queue = Arc::new(Queue::with_store(store, recovered, config, clock.clone()).unwrap());
    let mut hub = queue.consumer("hub").unwrap();
    push(&queue, 3);
    queue.commit().unwrap();
    let rows = hub.lease(3, Wait::None).unwrap();
    script.full.store(true, Ordering::Relaxed);
    push(&queue, 1);
    assert!(queue.commit().is_err());
    rows.ack();
    assert!(queue.commit().is_err(), "what was acknowledged is written, and no row");
    clock.advance_ms(4_000);
    let health = queue.stats().health;
    assert!(matches!(health, Health::Degraded { since_ms: 4_000, .. }), "{health:?}");
    assert_eq!(told(&queue), ["degraded"]);
    script.full.store(false, Ordering::Relaxed);
    let other = queue.clone();
    *lock(&script.in_commit) = Some(Box::new(move || push(&other, 1)));
    queue.commit().unwrap();
    assert_eq!(told(&queue), ["recovered"], "although another row came meanwhile");
}

#[test]
fn every_row_that_the_bookkeeping_does_not_know_is_taken_in_at_open() {
    let script = Arc::<Script>::default();
    let queue = open(Lane(0), 3_000, 1, &script, manual(1));
    assert_eq!(queue.stats().messages, 3_000, "more than one read brings");
    let ledgers = queue.ledger();
    assert_eq!(ledgers.iter().map(|ledger| (ledger.accepted, ledger.queued)).max(), Some((3_000, 3_000)));
}

#[test]
fn what_is_gone_behind_the_bookkeeping_is_a_loss_before_anybody_reads() {
    let script = Arc::<Script>::default();
    let lost = Lost { first: 6, last: 10, rows: 5, weight: 5, exact: false };
    lock(&script.lost).push(lost);
    let (store, mut recovered) = found(Lane(0), 5, 1, &script);
    (recovered.clean, recovered.highest_seq[0]) = (false, 10);
    let queue = Queue::with_store(store, recovered, config(2), manual(1)).unwrap();
    let ledgers = queue.ledger();
    let sums = ledgers.iter().map(|l| (l.accepted, l.quarantined(), l.queued)).max();
    assert_eq!((sums, queue.stats().messages), (Some((10, 5, 5)), 5));
}

#[test]
fn a_store_with_more_lanes_than_the_configuration_is_refused_and_one_with_fewer_is_not() {
    let script = Arc::<Script>::default();
    for (lanes, taken) in [(1, false), (2, true), (3, true)] {
        let (store, recovered) = found(Lane(0), 5, 6, &script);
        assert_eq!(Queue::with_store(store, recovered, config(lanes), manual(1)).is_ok(), taken, "{lanes}");
    }
}

#[test]
fn a_lane_that_cannot_be_read_does_not_keep_the_rows_of_another() {
    let script = Arc::<Script>::default();
    let queue = open(Lane(1), 5, 6, &script, manual(1));
    let mut hub = queue.consumer("hub").unwrap();
    script.blind.store(true, Ordering::Relaxed);
    push(&queue, 2);
    assert_eq!(hub.lease(9, Wait::None).map(|rows| rows.len()).ok(), Some(2));
    assert!(matches!(queue.stats().health, Health::Degraded { .. }));
}

#[test]
fn a_consumer_that_waits_gets_the_rows_of_a_lane_that_can_be_read_again() {
    let script = Arc::<Script>::default();
    let clock = Arc::new(SystemClock::default());
    let queue = open(Lane(1), 5, 6, &script, clock.clone());
    let mut hub = queue.consumer("hub").unwrap();
    // The writer is asleep, for a minute if nothing wakes it.
    std::thread::sleep(Duration::from_millis(50));
    script.blind.store(true, Ordering::Relaxed);
    assert!(hub.lease(9, Wait::None).is_err());
    script.blind.store(false, Ordering::Relaxed);
    let since = clock.now().up_ms;
    let rows = hub.lease(9, Wait::For(Duration::from_secs(30))).unwrap();
    assert!(rows.len() == 5 && clock.now().up_ms - since < 20_000, "half a second later");
}

/// The writer is in a commit when the time of the next read comes.
#[test]
fn a_consumer_is_woken_although_its_next_read_was_due_during_a_commit() {
    let script = Arc::<Script>::default();
    let clock = Arc::new(MovedClock::default());
    let (store, recovered) = found(Lane(1), 5, 6, &script);
    let config = config(2).ack_within(Duration::from_millis(100));
    let queue = Queue::with_store(store, recovered, config, clock.clone()).unwrap();
    let mut hub = queue.consumer("hub").unwrap();
    let moved = clock.clone();
    *lock(&script.in_commit) = Some(Box::new(move || moved.ahead_ms.store(1_000, Ordering::Relaxed)));
    script.blind.store(true, Ordering::Relaxed);
    push(&queue, 1);
    let alarm = hub.lease(9, Wait::None).unwrap();
    script.blind.store(false, Ordering::Relaxed);
    let since = clock.system.now().up_ms;
    let rows = hub.lease(9, Wait::For(Duration::from_secs(30))).unwrap();
    assert_eq!((alarm.len(), rows.len()), (1, 5));
    assert!(clock.system.now().up_ms - since < 20_000, "with the end of the commit");
}

/// Limits of a consumer's own ask for the sizes of its oldest rows; what waits for its receipt is more urgent.
#[test]
fn rows_are_written_although_nobody_can_read_what_a_slow_consumer_loses() {
    let script = Arc::<Script>::default();
    let queue = open(Lane(1), 5, 6, &script, manual(1));
    let _hub = queue.consumer_with("hub", ConsumerConfig::default().max_messages(2)).unwrap();
    script.blind.store(true, Ordering::Relaxed);
    push(&queue, 1);
    let receipt = queue.push(Row::new("alarm").lane(Lane(0))).unwrap();
    queue.commit().unwrap();
    assert!(receipt.try_get().unwrap().is_some());
}

/// Promise 11: a push waits for no disk. The writer thread has read the sizes of the rows that go next, also where one lane alone was written.
#[test]
fn a_push_that_evicts_reads_nothing_after_a_commit_of_its_lane() {
    for lane in [Lane(0), Lane(1)] {
        let script = Arc::<Script>::default();
        let (store, recovered) = found(lane, 5, 6, &script);
        let config = config(2).on_full(OnFull::DropOldest).lane(lane, LaneConfig::default().max_messages(6));
        let queue = Queue::with_store(store, recovered, config, manual(1)).unwrap();
        let push = || drop(queue.push(Row::new(vec![7; 68]).lane(lane)).unwrap());
        push();
        queue.commit().unwrap();
        let reads = script.reads.load(Ordering::Relaxed);
        (0..3).for_each(|_| push());
        assert_eq!(script.reads.load(Ordering::Relaxed), reads, "{lane:?}");
        assert_eq!(queue.ledger().iter().map(|ledger| ledger.dropped.total()).sum::<u64>(), 3, "{lane:?}");
    }
}

#[test]
fn a_store_prepares_once_after_each_commit_and_an_idle_queue_stays_idle() {
    let script = Arc::<Script>::default();
    let queue = open(Lane(0), 0, 1, &script, manual(1));
    let prepared = || script.prepared.load(Ordering::Relaxed);
    (0..3).for_each(|_| assert!(!queue.tick()));
    assert_eq!(prepared(), 1, "for the first commit");
    push(&queue, 1);
    queue.commit().unwrap();
    (0..3).for_each(|_| assert!(!queue.tick()));
    assert_eq!(prepared(), 2);
}

#[test]
fn the_age_of_the_oldest_row_is_that_of_the_one_that_is_left() {
    let script = Arc::<Script>::default();
    let queue = open(Lane(1), 5, 6, &script, manual(10_000));
    let mut hub = queue.consumer("hub").unwrap();
    for left in 1..=4 {
        assert_eq!(queue.stats().oldest_age_ms, Some(10_000 - left * 100));
        hub.lease(1, Wait::None).unwrap().ack();
    }
}

#[test]
fn a_commit_is_overdue_by_the_time_since_it_was_due() {
    let script = Arc::<Script>::default();
    let clock = manual(10_000);
    let (store, recovered) = found(Lane(1), 0, 1, &script);
    let config = config(2).ack_within(Duration::from_millis(500)).commit_bytes(4_096);
    let queue = Queue::with_store(store, recovered, config, clock.clone()).unwrap();
    queue.commit().unwrap();
    push(&queue, 1);
    clock.advance_ms(500);
    assert_eq!(queue.stats().overdue_ms, 0);
    clock.advance_ms(7);
    assert_eq!((queue.stats().overdue_ms, queue.stats().call_ms), (7, 0));
    queue.commit().unwrap();
    push(&queue, 50);
    assert_eq!(queue.stats().overdue_ms, 0, "due at once is not late");
    clock.advance_ms(500 + 9);
    assert_eq!(queue.stats().overdue_ms, 9, "its time was over, too");
}

#[test]
fn a_lease_does_not_wait_for_a_clock_that_stands_and_does_for_one_that_runs() {
    let queue = open(Lane(0), 0, 1, &Arc::default(), manual(0));
    let mut hub = queue.consumer("hub").unwrap();
    for wait in [Wait::None, Wait::For(Duration::from_secs(3_600)), Wait::Forever] {
        assert!(hub.lease(1, wait).unwrap().is_empty(), "{wait:?}");
    }
    let clock = Arc::new(SystemClock::default());
    let queue = open(Lane(0), 0, 1, &Arc::default(), clock.clone());
    let mut hub = queue.consumer("hub").unwrap();
    let since = clock.now().up_ms;
    assert!(hub.lease(1, Wait::For(Duration::from_millis(40))).unwrap().is_empty());
    assert!(clock.now().up_ms - since >= 40);
}

#[test]
fn a_queue_that_was_closed_has_no_thread_left() {
    let (store, recovered) = found(Lane(0), 0, 1, &Arc::default());
    let clock = Arc::new(SystemClock::default());
    let engine = super::Engine::start(store, None, recovered, &config(2), clock).unwrap();
    assert!(lock(&engine.writer.thread).is_some());
    engine.close().unwrap();
    assert!(lock(&engine.writer.thread).is_none());
    assert_eq!(Arc::strong_count(&engine), 1, "the thread had the other");
}

#[test]
fn a_refused_push_names_its_limit_with_the_figure() {
    let limits = Config::default().store(StoreKind::Memory).on_full(OnFull::Reject);
    let alarms = LaneConfig::default().max_bytes(100);
    let queue = Queue::open("", limits.max_messages(1).lane(Lane::ALARM, alarms)).unwrap();
    drop(queue.push(Row::new("1")).unwrap());
    drop(queue.push(Row::new(vec![1; 60]).lane(Lane::ALARM)).unwrap());
    let telemetry = queue.push(Row::new("2")).unwrap_err();
    assert_eq!(telemetry.to_string(), "the last lane is full (max_messages 1)");
    let waited = queue.push_wait(Row::new("2"), Duration::ZERO).unwrap_err();
    assert_eq!(waited.to_string(), telemetry.to_string());
    let batch = queue.push_batch(vec![Row::new("2")]).unwrap_err();
    assert_eq!(batch.error.to_string(), telemetry.to_string());
    let stranger = queue.push(Row::new("3").lane(Lane(9))).unwrap_err();
    assert_eq!(stranger.to_string(), "there is no lane 9: lanes are 0 to 1");
}
