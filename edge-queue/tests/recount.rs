//! Promises 3, 6 and 11: consumers that come and go on a failing disk leave no row counted that nobody wants.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use edge_queue::medium::{Call, Hooked, Verdict};
use edge_queue::testing::{Fault, FaultError, Outcome, SimDir};
use edge_queue::{
    Config, Consumer, ConsumerConfig, ConsumerError, Lease, ManualClock, Now, OnFull, PushError, Queue, Row,
    StoreKind, Wait,
};

const KINDS: [StoreKind; 2] = [StoreKind::Ring, StoreKind::Redb];
const ROWS: u64 = 5_000;
const READS_FAIL: Fault = Fault { call: Call::Read, after: 0, error: FaultError::Io, sticky: true };
const SYNCS_FAIL: Fault = Fault { call: Call::Sync, after: 0, error: FaultError::Io, sticky: true };

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(Now { boot_id: 1, up_ms: 1_000, ..Now::default() }))
}

fn config(kind: StoreKind) -> Config {
    Config::default().store(kind).lanes(1).max_bytes(4 << 20).max_messages(ROWS).on_full(OnFull::Reject)
}

fn open(dir: &SimDir, kind: StoreKind) -> Queue {
    Queue::open_in(Box::new(dir.clone()), config(kind), clock()).unwrap()
}

fn push(q: &Queue, rows: u64) {
    for _ in 0..rows {
        drop(q.push(Row::new(vec![7; 500])).unwrap());
    }
}

fn drain(consumer: &mut Consumer) -> usize {
    let mut rows = 0;
    loop {
        let chunk = consumer.lease(500, Wait::None).unwrap();
        if chunk.is_empty() {
            return rows;
        }
        rows += chunk.len();
        chunk.ack();
    }
}

fn known(q: &Queue, name: &str) -> bool {
    q.ledger().iter().any(|ledger| ledger.consumer == name)
}

/// Rows that "hub" still wants; all others are only "dead"'s.
const LEFT: u64 = 10;

/// A full queue whose "dead" consumer is forgotten while nothing can be read.
fn forgotten_blind(dir: &SimDir, kind: StoreKind, clock: Arc<ManualClock>) -> Queue {
    let q = Queue::open_in(Box::new(dir.clone()), config(kind), clock).unwrap();
    let (mut hub, _dead) = (q.consumer("hub").unwrap(), q.consumer("dead").unwrap());
    push(&q, ROWS);
    q.commit().unwrap();
    let oldest = hub.lease(LEFT as usize, Wait::None).unwrap();
    assert_eq!(drain(&mut hub) as u64, ROWS - LEFT);
    drop(oldest);
    q.commit().unwrap();
    dir.fail(READS_FAIL);
    let forgotten = q.forget("dead");
    // redb reads to write: the removal is not durable, and nobody says so.
    assert_eq!(forgotten.is_ok(), kind == StoreKind::Ring, "{kind:?}: {forgotten:?}");
    assert!(!known(&q, "dead"));
    assert_eq!(q.stats().messages, ROWS, "{kind:?}: nothing could be counted");
    q
}

#[test]
fn a_push_that_meets_totals_not_yet_counted_counts_them() {
    for kind in KINDS {
        let dir = SimDir::new();
        let q = forgotten_blind(&dir, kind, clock());
        let refused = q.push(Row::new("x"));
        assert!(matches!(refused, Err(PushError::Full { .. })), "{kind:?}: handed back, and nothing evicted");
        dir.heal();
        push(&q, 10);
        assert_eq!(q.stats().messages, LEFT + 10, "{kind:?}");
    }
}

#[test]
fn a_commit_a_second_later_counts_what_could_not_be_read() {
    for kind in KINDS {
        let (dir, clock) = (SimDir::new(), clock());
        let q = forgotten_blind(&dir, kind, clock.clone());
        dir.heal();
        q.commit().unwrap();
        assert_eq!(q.stats().messages, ROWS, "{kind:?}: an ailing disk is not read at every commit");
        clock.advance_ms(1_000);
        q.commit().unwrap();
        assert_eq!(q.stats().messages, LEFT, "{kind:?}");
    }
}

#[test]
fn totals_not_yet_counted_are_counted_by_the_next_open_clean_or_not() {
    for kind in KINDS {
        for clean in [true, false] {
            let dir = SimDir::new();
            let q = forgotten_blind(&dir, kind, clock());
            dir.heal();
            let left = if clean { dir.clone() } else { dir.crash(Outcome::Lost, 1) };
            q.close().unwrap();
            let q = open(&left, kind);
            if kind == StoreKind::Redb && !clean {
                assert!(q.forget("dead").unwrap(), "nobody said that it was gone");
            }
            assert_eq!((q.stats().messages, known(&q, "dead")), (LEFT, false), "{kind:?}, clean: {clean}");
            push(&q, ROWS - LEFT);
            assert_eq!(drain(&mut q.consumer("hub").unwrap()) as u64, ROWS);
        }
    }
}

#[test]
fn forgetting_again_counts_again() {
    for kind in KINDS {
        let dir = SimDir::new();
        let q = forgotten_blind(&dir, kind, clock());
        dir.heal();
        let again = q.forget("dead").unwrap();
        assert_eq!(again, kind == StoreKind::Redb, "{kind:?}: whether its removal had still to be written");
        assert_eq!(q.stats().messages, LEFT, "{kind:?}");
    }
}

#[test]
fn the_first_consumer_is_told_a_count_or_nothing() {
    let dir = SimDir::new();
    let q = forgotten_blind(&dir, StoreKind::Ring, clock());
    assert!(q.forget("hub").unwrap());
    assert!(matches!(q.consumer("next"), Err(ConsumerError::Store(_))), "nobody knows what is there");
    dir.heal();
    let mut next = q.consumer("next").unwrap();
    assert_eq!((q.ledger().remove(0).accepted, drain(&mut next) as u64), (LEFT, LEFT));
    assert_eq!((q.stats().messages, q.ledger().remove(0).queued), (0, 0));
}

#[test]
fn forget_says_ok_only_when_the_removal_is_durable() {
    for kind in KINDS {
        let (dir, clock) = (SimDir::new(), clock());
        let q = Queue::open_in(Box::new(dir.clone()), config(kind), clock.clone()).unwrap();
        let (_hub, _dead) = (q.consumer("hub").unwrap(), q.consumer("dead").unwrap());
        push(&q, 100);
        q.commit().unwrap();
        dir.fail(Fault { after: 0, ..SYNCS_FAIL });
        for _ in 0..3 {
            assert!(q.forget("dead").is_err(), "{kind:?}: nothing can be written");
        }
        dir.heal();
        assert!(q.forget("dead").unwrap(), "{kind:?}: it was removed by this call or one before");
        let left = open(&dir.crash(Outcome::Lost, 2), kind);
        assert!(known(&left, "hub") && !known(&left, "dead"), "{kind:?}");
        assert!(!q.forget("dead").unwrap());
    }
}

/// A count reads the lane in pieces. A row that is acknowledged between two of them is counted if it was not read yet.
#[test]
fn rows_acknowledged_while_a_lane_is_counted_are_not_counted() {
    for kind in KINDS {
        let (dir, held) = (SimDir::new(), Arc::new(Mutex::new(Vec::<Lease>::new())));
        let q = open(&dir, kind);
        let (mut hub, _dead) = (q.consumer("hub").unwrap(), q.consumer("dead").unwrap());
        push(&q, ROWS);
        let row_bytes = q.stats().bytes / ROWS;
        q.commit().unwrap();
        drop(hub);
        q.close().unwrap();
        let shared = held.clone();
        let disk = Hooked::new(dir.clone(), move |call| {
            let lease = if call == Call::Read { shared.lock().unwrap().pop() } else { None };
            lease.into_iter().for_each(Lease::ack);
            Verdict::Make
        });
        let q = Queue::open_in(Box::new(disk), config(kind), clock()).unwrap();
        hub = q.consumer("hub").unwrap();
        *held.lock().unwrap() = hub.lease(20, Wait::None).unwrap().into_iter().collect();
        assert!(q.forget("dead").unwrap());
        assert!(held.lock().unwrap().is_empty(), "{kind:?}: a read for each");
        let stats = q.stats();
        assert_eq!((stats.messages, stats.bytes), (ROWS - 20, (ROWS - 20) * row_bytes), "{kind:?}");
        // Each consumer's bytes were counted as well: a limit of its own that is ten rows less costs it ten.
        drop(hub);
        let own = ConsumerConfig::default().max_bytes((ROWS - 30) * row_bytes);
        let _hub = q.consumer_with("hub", own).unwrap();
        push(&q, 1);
        q.commit().unwrap();
        assert_eq!(q.ledger().remove(0).queued, ROWS - 30, "{kind:?}");
    }
}

/// The commit of a registration fails, and while it was under way others pushed and acknowledged: all, or all but the oldest row.
#[test]
fn a_registration_that_failed_leaves_no_rows_counted() {
    for (kind, left) in KINDS.into_iter().flat_map(|kind| [(kind, 0), (kind, 1)]) {
        let dir = SimDir::new();
        let (armed, inside) =
            (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(None::<(Queue, Consumer)>)));
        let (arm, shared) = (armed.clone(), inside.clone());
        let disk = Hooked::new(dir.clone(), move |call| {
            if call != Call::Sync || !arm.swap(false, Ordering::SeqCst) {
                return Verdict::Make;
            }
            if let Some((q, mut hub)) = shared.lock().unwrap().take() {
                push(&q, 100);
                let oldest: Vec<Lease> = hub.lease(left, Wait::None).unwrap().into_iter().collect();
                assert_eq!(drain(&mut hub), 101 - oldest.len());
            }
            Verdict::Fail(std::io::Error::from_raw_os_error(5))
        });
        let q = Queue::open_in(Box::new(disk), config(kind), clock()).unwrap();
        let hub = q.consumer("hub").unwrap();
        drop(q.push(Row::new("first")).unwrap());
        let row_bytes = q.stats().bytes;
        *inside.lock().unwrap() = Some((q.clone(), hub));
        armed.store(true, Ordering::SeqCst);
        assert!(q.consumer("late").is_err());
        assert!(inside.lock().unwrap().is_none(), "{kind:?}: it was tried while the others went on");
        let left = left as u64;
        assert_eq!(q.stats().messages, left, "{kind:?}: {:?}", q.ledger());
        q.commit().unwrap();
        assert_eq!(q.stats().bytes, left * row_bytes);
        q.close().unwrap();
        let q = open(&dir, kind);
        assert_eq!((q.stats().messages, known(&q, "late")), (left, false), "{kind:?}");
    }
}
