//! Promise 3, exported totals: the committed ledger is what a restart after a kill finds, and nothing that is only in RAM.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
use std::time::{Duration, Instant};

use edge_queue::testing::{Outcome, SimDir};
use edge_queue::{Config, Event, Lane, ManualClock, Now, Queue, Reason, Receipt, Row, StoreKind, Wait};

fn open(dir: &SimDir, kind: StoreKind) -> Queue {
    let clock = Arc::new(ManualClock::new(Now { boot_id: 1, up_ms: 1_000, ..Now::default() }));
    Queue::open_in(Box::new(dir.clone()), Config::default().store(kind), clock).unwrap()
}

fn push(q: &Queue, lane: Lane, rows: u64) {
    (0..rows).for_each(|_| drop(q.push(Row::new("21.5").lane(lane)).unwrap()));
}

/// Accepted, delivered, queued and leased of each lane with rows.
fn figures(ledgers: Vec<edge_queue::Ledger>) -> Vec<(String, Lane, [u64; 4])> {
    let used = ledgers.into_iter().filter(|ledger| ledger.accepted > 0);
    used.map(|l| (l.consumer, l.lane, [l.accepted, l.delivered, l.queued, l.leased])).collect()
}

#[test]
fn the_committed_ledger_is_what_a_restart_finds() {
    for kind in [StoreKind::Ring, StoreKind::Redb] {
        let dir = SimDir::new();
        let q = open(&dir, kind);
        let mut hub = q.consumer("hub").unwrap();
        push(&q, Lane::ALARM, 3);
        push(&q, Lane::TELEMETRY, 10);
        hub.lease(1, Wait::None).unwrap().ack();
        q.commit().unwrap();
        hub.lease(2, Wait::None).unwrap().ack();
        push(&q, Lane::TELEMETRY, 5);
        let _leased = hub.lease(4, Wait::None).unwrap();
        let hub = || "hub".to_owned();
        let committed = [(hub(), Lane::ALARM, [3, 1, 2, 0]), (hub(), Lane::TELEMETRY, [10, 0, 10, 0])];
        assert_eq!(figures(q.committed_ledger()), committed, "{kind:?}");
        let now = [(hub(), Lane::ALARM, [3, 3, 0, 0]), (hub(), Lane::TELEMETRY, [15, 0, 15, 4])];
        assert_eq!(figures(q.ledger()), now, "{kind:?}");
        let left = open(&dir.crash(Outcome::Lost, 1), kind);
        assert_eq!(figures(left.ledger()), committed, "{kind:?}");
    }
}

/// Notes what the committed ledger counts as accepted when a receipt is told.
struct Looks(Queue, Mutex<Option<u64>>);

impl Wake for Looks {
    fn wake(self: Arc<Self>) {
        *self.1.lock().unwrap() = self.0.committed_ledger().first().map(|ledger| ledger.accepted);
    }
}

/// A receipt that comes first would be of a row that no total knows.
#[test]
fn who_has_a_receipt_finds_its_row_in_the_committed_ledger() {
    for kind in [StoreKind::Ring, StoreKind::Redb] {
        let q = open(&SimDir::new(), kind);
        let _hub = q.consumer("hub").unwrap();
        let looks = Arc::new(Looks(q.clone(), Mutex::default()));
        let mut receipt = pin!(q.push(Row::new("21.5").lane(Lane::ALARM)).unwrap());
        let waker = Waker::from(looks.clone());
        assert!(receipt.as_mut().poll(&mut Context::from_waker(&waker)).is_pending(), "{kind:?}");
        q.commit().unwrap();
        assert_eq!(*looks.1.lock().unwrap(), Some(1), "{kind:?}");
    }
}

/// A consumer found a row expired and slept on; the writer, which had nothing to do before, was not told for up to a minute.
#[test]
fn a_row_that_a_waiting_consumer_finds_expired_is_committed_in_time() {
    let config = Config::default().store(StoreKind::Memory).cursor_lag(1);
    let q = Queue::open("", config.ack_within(Duration::from_millis(20))).unwrap();
    let mut hub = q.consumer("hub").unwrap();
    let kept = q.push(Row::new("21.5").ttl(Duration::from_millis(200))).unwrap();
    assert_eq!(kept.wait().unwrap(), Receipt::Volatile);
    std::thread::sleep(Duration::from_millis(300));
    let expired = || q.committed_ledger().iter().any(|l| l.dropped.for_reason(Reason::Expired) == 1);
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| hub.lease(1, Wait::For(Duration::from_secs(40))).unwrap().len());
        let began = Instant::now();
        let mut is_late = false;
        while !expired() && !is_late {
            is_late = began.elapsed() > Duration::from_secs(20);
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(!waits.is_finished(), "there was no row");
        // Ends the wait.
        drop(q.push(Row::new("21.6")).unwrap());
        assert_eq!(waits.join().unwrap(), 1);
        assert!(!is_late, "not committed while the consumer waits");
    });
}

/// Nothing of it was receipted; an operator hears of it all the same.
#[test]
fn a_last_commit_that_a_kill_may_have_cut_is_told_and_a_close_leaves_none() {
    let dir = SimDir::new();
    let q = open(&dir, StoreKind::Redb);
    push(&q, Lane::ALARM, 1);
    q.commit().unwrap();
    let told = |q: &Queue| q.events().contains(&Event::TailUncertain);
    assert!(!told(&q), "a new queue");
    assert!(told(&open(&dir.crash(Outcome::Kept, 1), StoreKind::Redb)));
    q.close().unwrap();
    assert!(!told(&open(&dir, StoreKind::Redb)));
}
