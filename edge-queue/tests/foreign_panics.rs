//! Promises 1 and 11: a store, a medium and a clock may be foreign code. One that panics costs no row that has its receipt, makes no receipt lie,
//! and the health says it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

#[path = "common/panicking_clock.rs"]
mod panicking_clock;
#[path = "common/watchdog.rs"]
mod watchdog;

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use edge_queue::medium::{Call, Hooked, Verdict};
use edge_queue::store::{
    Change, DoneRows, FileName, ReadLimit, RingStore, State, Store, StoreError, StoreStats, StoredChunk,
    StoredRow,
};
use edge_queue::testing::{SimDir, small_options};
use edge_queue::{
    Config, Event, Health, Lane, ManualClock, Now, Pending, Queue, Receipt, Row, Seq, StoreKind, SystemClock,
    Wait, WaitError,
};
use panicking_clock::PanickingClock;
use watchdog::must_end;

const ROWS: u8 = 8;
/// Far longer than a commit takes on a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);

fn config() -> Config {
    Config::default().lanes(2).max_bytes(1 << 20).ack_within(Duration::from_millis(5))
}

fn manual() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(Now { boot_id: 1, up_ms: 1_000, ..Now::default() }))
}

fn row(n: u8) -> Row {
    Row::new(vec![n])
}

fn says_panic(what: &impl Debug) -> bool {
    format!("{what:?}").contains("Panicked")
}

fn is_stored(receipt: &Pending) -> bool {
    matches!(receipt.try_get(), Ok(Some(Receipt::Stored)))
}

/// Numbers of the rows with the receipt `Stored`.
fn stored(receipts: &[Pending]) -> Vec<u8> {
    (0..).zip(receipts).filter(|(_, receipt)| is_stored(receipt)).map(|(n, _)| n).collect()
}

/// Number of events that tell a panic.
fn told(q: &Queue) -> usize {
    q.events().iter().filter(says_panic).count()
}

/// Numbers of all rows that a consumer gets.
fn found(q: &Queue) -> Vec<u8> {
    let mut hub = q.consumer("hub").unwrap();
    let mut rows = Vec::new();
    loop {
        let chunk = hub.lease(100, Wait::None).unwrap();
        if chunk.is_empty() {
            return rows;
        }
        rows.extend(chunk.iter().map(|lease| lease.payload()[0]));
        chunk.ack();
    }
}

/// Fails unless the health says that there was a panic, and one event told it.
fn must_be_told(q: &Queue, when: &str) {
    let health = q.stats().health;
    assert!(matches!(health, Health::Degraded { .. }) && says_panic(&health), "{when}: {health:?}");
    assert_eq!((told(q), told(q)), (1, 0), "{when}: told once");
}

/// Fails unless the queue on `q`, whose store has panicked, says so everywhere and stores nothing; and closes it.
fn must_be_given_up(q: Queue, receipts: &[Pending], when: &str) {
    let before = stored(receipts);
    must_be_told(&q, when);
    for _ in 0..2 {
        assert!(q.commit().is_err_and(|error| says_panic(&error)), "{when}");
    }
    // What is in RAM goes on.
    let waits = q.push(row(100)).unwrap();
    assert!(q.commit().is_err(), "{when}");
    assert_eq!(waits.try_get(), Ok(None), "{when}");
    assert!(q.close().is_err_and(|error| says_panic(&error)), "{when}");
    assert_eq!(waits.try_get(), Err(WaitError::Closed), "{when}");
    assert_eq!(stored(receipts), before, "{when}: nothing is stored any more");
    let open = receipts.iter().filter(|receipt| receipt.try_get() == Ok(None)).count();
    assert_eq!(open, 0, "{when}: every receipt has its answer");
}

/// Fails unless the next open of the directory finds every row with a receipt, and no damage.
fn next_open_must_find(dir: &SimDir, kind: StoreKind, rows: &[u8], when: &str) {
    let q = Queue::open_in(Box::new(dir.clone()), config().store(kind), manual()).unwrap();
    let damage = |event: &Event| matches!(event, Event::SetAside(_) | Event::Lost { .. });
    assert!(!q.events().iter().any(damage), "{when}");
    let there = found(&q);
    assert!(rows.iter().all(|n| there.contains(n)), "{when}: {rows:?} are stored, {there:?} are there");
    q.close().unwrap();
}

/// A directory whose `at`th call of this kind after `armed` was set panics.
fn panicking(dir: &SimDir, call: Call, at: u32, armed: &Arc<AtomicBool>) -> Box<dyn edge_queue::medium::Dir> {
    let (armed, made) = (armed.clone(), AtomicU32::new(0));
    Box::new(Hooked::new(dir.clone(), move |made_now| {
        if made_now == call && armed.load(Ordering::SeqCst) && made.fetch_add(1, Ordering::SeqCst) + 1 == at {
            panic!("own medium");
        }
        Verdict::Make
    }))
}

#[test]
fn a_medium_that_panics_in_a_commit_costs_no_row_with_a_receipt() {
    for kind in [StoreKind::Ring, StoreKind::Redb] {
        for (call, at) in [(Call::Write, 1), (Call::Write, 4), (Call::Sync, 1), (Call::Sync, 4)] {
            let when = format!("{kind:?}, {call:?} {at}");
            let (dir, armed) = (SimDir::new(), Arc::new(AtomicBool::new(false)));
            let own = panicking(&dir, call, at, &armed);
            let q = Queue::open_in(own, config().store(kind), manual()).unwrap();
            drop(q.consumer("hub").unwrap());
            armed.store(true, Ordering::SeqCst);
            let push = |n| {
                let receipt = q.push(row(n)).unwrap();
                // Nobody has to look at an error: the receipt is what counts.
                let _error = q.commit();
                receipt
            };
            let receipts: Vec<Pending> = (0..ROWS).map(push).collect();
            must_be_given_up(q, &receipts, &when);
            let earlier = at > 1 && kind == StoreKind::Ring;
            assert!(!earlier || !stored(&receipts).is_empty(), "{when}: earlier commits worked");
            next_open_must_find(&dir, kind, &stored(&receipts), &when);
        }
    }
}

#[test]
fn the_writer_thread_outlives_a_medium_that_panics_and_receipts_end_with_the_queue() {
    must_end(|| {
        for (call, by_drop) in [(Call::Write, false), (Call::Sync, true)] {
            let when = format!("{call:?}, by a drop {by_drop}");
            let (dir, armed) = (SimDir::new(), Arc::new(AtomicBool::new(false)));
            let own = panicking(&dir, call, 1, &armed);
            let q = Queue::open_in(own, config(), Arc::new(SystemClock::new())).unwrap();
            let mut hub = q.consumer("hub").unwrap();
            let mut receipts = vec![q.push(row(0)).unwrap()];
            assert_eq!(receipts[0].wait_timeout(PATIENCE), Ok(Some(Receipt::Stored)), "{when}");
            armed.store(true, Ordering::SeqCst);
            receipts.push(q.push(row(1)).unwrap());
            // Until the writer thread has met the panic.
            for _ in 0..6_000 {
                if says_panic(&q.stats().health) {
                    break;
                }
                let _longer = receipts[1].wait_timeout(Duration::from_millis(10));
            }
            let chunk = hub.lease(10, Wait::For(PATIENCE)).unwrap();
            assert_eq!(chunk.len(), 2, "{when}: what is in RAM goes on");
            drop(chunk);
            drop(hub);
            if by_drop {
                drop(q);
            } else {
                must_be_given_up(q, &receipts, &when);
            }
            assert_eq!(receipts[1].try_get(), Err(WaitError::Closed), "{when}");
            next_open_must_find(&dir, StoreKind::Ring, &[0], &when);
        }
    });
}

/// Calls of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    Append,
    Commit,
    Read,
    Advance,
    Prepare,
    Stats,
    Drop,
}

/// A store that panics once, in one of its calls, when armed.
struct Panicking {
    ring: RingStore,
    op: Op,
    armed: Arc<AtomicBool>,
}

impl Panicking {
    fn call(&self, op: Op) {
        if op == self.op && self.armed.swap(false, Ordering::SeqCst) {
            panic!("own store");
        }
    }
}

impl Store for Panicking {
    fn append(&mut self, rows: &[StoredRow]) -> Result<(), StoreError> {
        self.call(Op::Append);
        self.ring.append(rows)
    }

    fn commit(&mut self, changes: &[Change], state: &State) -> Result<(), StoreError> {
        self.call(Op::Commit);
        self.ring.commit(changes, state)
    }

    fn read(&mut self, lane: Lane, from: Seq, limit: ReadLimit) -> Result<StoredChunk, StoreError> {
        self.call(Op::Read);
        self.ring.read(lane, from, limit)
    }

    fn advance(&mut self, lane: Lane, done: &DoneRows) -> Result<(), StoreError> {
        self.call(Op::Advance);
        self.ring.advance(lane, done)
    }

    fn prepare(&mut self) -> Result<(), StoreError> {
        self.call(Op::Prepare);
        self.ring.prepare()
    }

    fn file_name(&self) -> FileName {
        self.ring.file_name()
    }

    fn stats(&self) -> StoreStats {
        self.call(Op::Stats);
        self.ring.stats()
    }
}

impl Drop for Panicking {
    fn drop(&mut self) {
        self.call(Op::Drop);
    }
}

fn open_own(dir: &SimDir, op: Op, armed: &Arc<AtomicBool>) -> Queue {
    let (ring, recovered) = RingStore::open(Box::new(dir.clone()), &small_options()).unwrap();
    let store = Panicking { ring, op, armed: armed.clone() };
    let config = Config::default().lanes(recovered.state.lanes);
    Queue::with_store(Box::new(store), recovered, config, manual()).unwrap()
}

#[test]
fn a_store_is_never_called_again_after_a_panic_in_any_of_its_calls() {
    for op in [Op::Append, Op::Commit, Op::Read, Op::Advance, Op::Prepare, Op::Stats] {
        let when = format!("{op:?}");
        let (dir, armed) = (SimDir::new(), Arc::new(AtomicBool::new(false)));
        let q = open_own(&dir, op, &armed);
        drop(q.consumer("hub").unwrap());
        let mut receipts: Vec<Pending> = (0..ROWS / 2).map(|n| q.push(row(n)).unwrap()).collect();
        q.commit().unwrap();
        q.close().unwrap();
        let q = open_own(&dir, op, &armed);
        let mut hub = q.consumer("hub").unwrap();
        if op != Op::Read {
            // Done rows, so that the next commit advances.
            hub.lease(1, Wait::None).unwrap().ack();
        }
        armed.store(true, Ordering::SeqCst);
        if op == Op::Read {
            assert!(hub.lease(1, Wait::None).is_err_and(|error| says_panic(&error)), "{when}");
        }
        receipts.extend((ROWS / 2..ROWS).map(|n| q.push(row(n)).unwrap()));
        let committed = q.commit();
        let _unless_a_commit_was_due = (q.tick(), q.stats());
        let after_it = matches!(op, Op::Advance | Op::Prepare | Op::Stats);
        assert_eq!(committed.is_ok(), after_it, "{when}: {committed:?}");
        assert!(!armed.load(Ordering::SeqCst), "{when}: it was called");
        drop(hub);
        let told = stored(&receipts);
        must_be_given_up(q, &receipts, &when);
        let q = open_own(&dir, op, &armed);
        let there = found(&q);
        let acked = u8::from(op != Op::Read);
        assert!(told.iter().skip(acked.into()).all(|n| there.contains(n)), "{when}: {told:?} of {there:?}");
        q.close().unwrap();
    }
}

#[test]
fn a_store_that_panics_when_it_is_dropped_was_closed_all_the_same() {
    let (dir, armed) = (SimDir::new(), Arc::new(AtomicBool::new(true)));
    let q = open_own(&dir, Op::Drop, &armed);
    let receipt = q.push(row(1)).unwrap();
    q.close().unwrap();
    assert_eq!(receipt.try_get(), Ok(Some(Receipt::Stored)));
    assert!(!armed.load(Ordering::SeqCst));
}

fn open_on_clock(dir: &SimDir, after: u32, only_the_writer: bool) -> (Queue, Arc<AtomicBool>) {
    let armed = Arc::new(AtomicBool::new(false));
    let clock = PanickingClock {
        clock: SystemClock::new(),
        armed: armed.clone(),
        reads: AtomicU32::new(0),
        after,
        only_the_writer,
    };
    // On the caller's thread alone nothing is due before it commits.
    let config = if only_the_writer { config() } else { config().ack_within(Duration::from_secs(3_600)) };
    (Queue::open_in(Box::new(dir.clone()), config, Arc::new(clock)).unwrap(), armed)
}

/// Wherever on its way to the medium the thread is when the clock panics.
#[test]
fn a_clock_that_panics_in_a_commit_costs_no_row_with_a_receipt() {
    must_end(|| {
        let mut given_up = 0;
        for after in 0..12 {
            let when = format!("read {after}");
            let dir = SimDir::new();
            let (q, armed) = open_on_clock(&dir, after, false);
            drop(q.consumer("hub").unwrap());
            let mut receipts = vec![q.push(row(0)).unwrap()];
            q.commit().unwrap();
            receipts.push(q.push(row(1)).unwrap());
            armed.store(true, Ordering::SeqCst);
            let other = q.clone();
            let commit = move || other.commit();
            let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(commit));
            armed.store(false, Ordering::SeqCst);
            if matches!(ended, Ok(Ok(()))) {
                q.close().unwrap();
            } else {
                given_up += 1;
                must_be_given_up(q, &receipts, &when);
            }
            next_open_must_find(&dir, StoreKind::Ring, &stored(&receipts), &when);
        }
        assert!(given_up > 3, "{given_up}");
    });
}

/// The first read of a turn is outside of every call of the store, the next are around one. Which of them a panic meets is decided by where the
/// thread is when the clock is armed, so both must be met in some of the rounds.
#[test]
fn the_health_says_that_the_writer_thread_ended_in_a_panic() {
    must_end(|| {
        let (mut ended, mut gave_up) = (0, 0);
        for after in [0, 1, 2, 3].repeat(25) {
            let (dir, when) = (SimDir::new(), format!("read {after}"));
            let (q, armed) = open_on_clock(&dir, after, true);
            armed.store(true, Ordering::SeqCst);
            let receipts = [q.push(row(0)).unwrap()];
            wait_for_panic(&q, &receipts[0]);
            if format!("{:?}", q.stats().health).contains("store") {
                gave_up += 1;
                must_be_given_up(q, &receipts, &when);
            } else {
                ended += 1;
                must_be_told(&q, &when);
                q.commit().unwrap();
                assert_eq!(receipts[0].try_get(), Ok(Some(Receipt::Stored)), "who calls commits");
                assert!(says_panic(&q.stats().health), "until the queue is opened again");
                q.close().unwrap();
            }
            next_open_must_find(&dir, StoreKind::Ring, &stored(&receipts), &when);
        }
        assert!(ended > 0 && gave_up > 0, "{ended} {gave_up}");
    });
}

/// Pushes until the writer thread has met its panic.
fn wait_for_panic(q: &Queue, receipt: &Pending) {
    let met = |_| {
        drop(q.push(row(50)).unwrap());
        let _longer = receipt.wait_timeout(Duration::from_millis(10));
        says_panic(&q.stats().health)
    };
    assert!((0..6_000).any(met), "{:?}", q.stats().health);
}
