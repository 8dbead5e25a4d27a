//! Promise 1: a receipt says what it means and is never early.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use edge_queue::{
    Config, ConsumerConfig, Lane, LaneConfig, ManualClock, Now, OnFull, Pending, Queue, Reason, Receipt, Row,
    StoreKind, Wait,
};

fn open(config: Config) -> (Queue, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(Now { boot_id: 1, up_ms: 1_000, ..Now::default() }));
    let queue = Queue::open_with_clock("unused", config.store(StoreKind::Memory), clock.clone()).unwrap();
    (queue, clock)
}

#[test]
fn a_receipt_comes_with_the_commit_and_not_before() {
    let (q, clock) = open(Config::default());
    let receipt = q.push(Row::new("a")).unwrap();
    clock.advance_ms(999);
    assert!(!q.tick());
    assert_eq!(receipt.try_get().unwrap(), None);
    clock.advance_ms(1);
    assert!(q.tick());
    assert_eq!(receipt.try_get().unwrap(), Some(Receipt::Volatile));
}

#[test]
fn dropping_a_pending_receipt_cancels_nothing() {
    let (q, _) = open(Config::default());
    drop(q.push(Row::new("a")).unwrap());
    q.commit().unwrap();
    let mut hub = q.consumer("hub").unwrap();
    assert_eq!(hub.lease(10, Wait::None).unwrap().len(), 1);
}

#[test]
fn the_last_handle_that_is_dropped_commits_what_was_pushed() {
    let (q, _) = open(Config::default());
    let receipt = q.push(Row::new("a")).unwrap();
    let other = q.clone();
    drop(q);
    assert_eq!(receipt.try_get().unwrap(), None, "another handle is left");
    drop(other);
    assert_eq!(receipt.try_get().unwrap(), Some(Receipt::Volatile));
}

#[test]
fn a_dropped_row_is_settled_only_when_its_loss_is_recorded() {
    let (q, _) = open(Config::default().max_messages(2).on_full(OnFull::DropNewest));
    let hub = q.consumer("hub").unwrap();
    let receipts: Vec<_> = (0..3).map(|n| q.push(Row::new(vec![n])).unwrap()).collect();
    assert_eq!(receipts[2].try_get().unwrap(), None);
    q.commit().unwrap();
    assert_eq!(receipts[2].try_get().unwrap(), Some(Receipt::Settled(Reason::Overflow)));
    assert_eq!(receipts[1].try_get().unwrap(), Some(Receipt::Volatile));
    assert_eq!(hub.gaps().iter().map(|gap| gap.count).sum::<u64>(), 1);
}

/// The number is that of the lease, and a dropped row has one too.
#[test]
fn a_pending_receipt_has_the_number_of_its_row() {
    let alarms = LaneConfig::default().max_messages(1_000);
    let config = Config::default().max_messages(2).on_full(OnFull::DropNewest).lane(Lane::ALARM, alarms);
    let (q, _) = open(config);
    let mut hub = q.consumer("hub").unwrap();
    let alone: Vec<_> = (0..3_u8).map(|n| q.push(Row::new(vec![n])).unwrap().seq()).collect();
    let rows: Vec<Row> = (10..90_u8).map(|n| Row::new(vec![n]).lane(Lane::ALARM)).collect();
    let together: Vec<_> = q.push_batch(rows).unwrap().iter().map(Pending::seq).collect();
    let numbers = |lane| (alone[0]..).take(if lane == Lane::ALARM { 80 } else { 3 }).collect::<Vec<_>>();
    assert_eq!((alone.clone(), together.clone()), (numbers(Lane::TELEMETRY), numbers(Lane::ALARM)));
    let leases = hub.lease(100, Wait::None).unwrap();
    for lease in &leases {
        let n = usize::from(lease.payload()[0]);
        assert_eq!(lease.id().seq, if n < 10 { alone[n] } else { together[n - 10] });
    }
    assert_eq!(leases.len(), 81, "of a lane at most half its limit at a time");
    let next = q.push(Row::new("later").lane(Lane::ALARM)).unwrap();
    assert_eq!(next.seq(), together[79] + 1);
}

/// Nothing else makes a commit due then.
#[test]
fn a_row_that_was_given_up_settles_within_the_time_of_a_receipt() {
    let (q, clock) = open(Config::default().max_messages(2).on_full(OnFull::DropNewest));
    let _hub = q.consumer("hub").unwrap();
    (0..2).for_each(|n| drop(q.push(Row::new(vec![n])).unwrap()));
    q.commit().unwrap();
    let receipt = q.push(Row::new("one too many")).unwrap();
    clock.advance_ms(999);
    assert!(!q.tick());
    clock.advance_ms(1);
    assert!(q.tick());
    assert_eq!(receipt.try_get().unwrap(), Some(Receipt::Settled(Reason::Overflow)));
}

#[test]
fn a_producer_that_waits_each_time_does_not_wait_for_company() {
    let q = Queue::open(
        "unused",
        Config::default().ack_within(Duration::from_millis(300)).store(StoreKind::Memory),
    )
    .unwrap();
    for _ in 0..50 {
        assert_eq!(q.push(Row::new("a")).unwrap().wait().unwrap(), Receipt::Volatile);
    }
    // The first two wait for the timer, the others commit at once: 50 timers would be 15 seconds.
    assert!(q.stats().store.commits >= 50);
}

#[test]
fn a_closed_queue_refuses_pushes_and_says_so() {
    let (q, _) = open(Config::default());
    let pending = q.push(Row::new("a")).unwrap();
    let other = q.clone();
    q.close().unwrap();
    assert_eq!(pending.try_get().unwrap(), Some(Receipt::Volatile));
    assert!(matches!(other.push(Row::new("b")), Err(edge_queue::PushError::Closed { .. })));
}

/// The end of a lease in an hour is no reason for the writer thread to sleep past a commit.
#[test]
#[allow(clippy::disallowed_methods, reason = "the writer thread's own sleep is what is tested")]
fn a_lease_that_ends_later_does_not_put_a_commit_off() {
    let config = Config::default().ack_within(Duration::from_millis(50)).store(StoreKind::Memory);
    let q = Queue::open("unused", config).unwrap();
    let limits = ConsumerConfig::default().lease_time(Duration::from_secs(3_600));
    let mut hub = q.consumer_with("hub", limits).unwrap();
    drop(q.push(Row::new("a")).unwrap());
    let held = hub.lease(1, Wait::None).unwrap();
    assert_eq!(held.len(), 1);
    let receipt = q.push(Row::new("b")).unwrap();
    let pushed = Instant::now();
    while receipt.try_get() == Ok(None) {
        assert!(pushed.elapsed() < Duration::from_secs(20), "never committed");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(receipt.try_get(), Ok(Some(Receipt::Volatile)));
}
