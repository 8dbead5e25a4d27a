//! Promises 1 and 11: a failing disk is a state. No receipt lies, RAM is bounded, and what waited is written when the
//! disk is back.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use edge_queue::testing::{Call, Fault, FaultError, SimDir};
use edge_queue::{
    Config, Event, FaultKind, Health, Lane, Limit, ManualClock, Now, OnFault, OnFull, Pending, PushError,
    Queue, Receipt, Row, StoreKind, SystemClock, Wait,
};

fn open(dir: &SimDir, config: Config) -> (Queue, Arc<ManualClock>) {
    open_as(dir, config.store(StoreKind::Ring))
}

fn open_as(dir: &SimDir, config: Config) -> (Queue, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(Now { boot_id: 1, up_ms: 1_000, ..Now::default() }));
    let config = config.max_bytes(1024 * 1024);
    (Queue::open_in(Box::new(dir.clone()), config, clock.clone()).unwrap(), clock)
}

fn row(n: u32) -> Row {
    Row::new(n.to_be_bytes().to_vec())
}

fn value(lease: &edge_queue::Lease) -> u32 {
    u32::from_be_bytes(lease.payload()[..4].try_into().unwrap())
}

fn dead_disk() -> Fault {
    Fault { call: Call::Write, after: 0, error: FaultError::Io, sticky: true }
}

#[test]
fn no_receipt_lies_while_the_disk_fails_and_all_is_written_when_it_is_back() {
    let dir = SimDir::new();
    let (q, clock) = open(&dir, Config::default());
    let mut hub = q.consumer("hub").unwrap();
    let _events = q.events();
    dir.fail(dead_disk());
    let receipts: Vec<Pending> = (0..100).map(|n| q.push(row(n)).unwrap()).collect();
    assert!(q.commit().is_err());
    assert!(receipts.iter().all(|r| r.try_get() == Ok(None)));
    assert!(matches!(q.stats().health, Health::Degraded { .. }));
    assert!(matches!(q.events()[..], [Event::Degraded { kind: FaultKind::Io, .. }]));
    // What is acknowledged meanwhile is handed over all the same.
    hub.lease(10, Wait::None).unwrap().ack();
    assert!(receipts[..10].iter().all(|r| r.try_get() == Ok(Some(Receipt::HandedOver))));
    // Tries again by itself, ever more slowly, and never pretends.
    let mut tries = 0;
    for _ in 0..600 {
        clock.advance_ms(100);
        let before = dir.counters();
        q.tick();
        tries += u32::from(format!("{before:?}") != format!("{:?}", dir.counters()));
        assert_eq!(receipts[50].try_get(), Ok(None));
    }
    assert!(tries <= 15, "{tries} tries in a minute");
    dir.heal();
    clock.advance_ms(10_000);
    assert!(q.tick());
    assert!(receipts[10..].iter().all(|r| r.try_get() == Ok(Some(Receipt::Stored))));
    assert_eq!(q.stats().health, Health::Healthy);
    assert!(matches!(q.events()[..], [Event::Recovered]));
    // And is there after a power cut.
    let (q, _) = open(&dir.crash(edge_queue::testing::Outcome::Lost, 1), Config::default());
    let mut hub = q.consumer("hub").unwrap();
    assert_eq!(hub.lease(1_000, Wait::None).unwrap().len(), 90);
}

/// The writer has gone to sleep for as long as the rows have time; it must not sleep on when a commit of somebody else's failed.
#[test]
#[allow(clippy::disallowed_methods, reason = "the writer thread's own sleep is what is tested")]
fn a_commit_that_failed_in_another_thread_is_tried_again_soon() {
    let dir = SimDir::new();
    let config =
        Config::default().store(StoreKind::Ring).max_bytes(1 << 20).ack_within(Duration::from_secs(30));
    let q = Queue::open_in(Box::new(dir.clone()), config, Arc::new(SystemClock::new())).unwrap();
    dir.fail(dead_disk());
    let receipt = q.push(row(0)).unwrap();
    thread::sleep(Duration::from_millis(200));
    assert!(q.commit().is_err());
    dir.heal();
    let failed = Instant::now();
    while receipt.try_get() == Ok(None) {
        assert!(failed.elapsed() < Duration::from_secs(20), "not tried again");
        thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(receipt.try_get(), Ok(Some(Receipt::Stored)));
}

#[test]
fn withhold_refuses_pushes_beyond_the_ram_bound() {
    let dir = SimDir::new();
    let (q, clock) = open(&dir, Config::default().max_unwritten_bytes(100_000));
    dir.fail(dead_disk());
    let mut taken = Vec::new();
    let refused = loop {
        match q.push(row(0)) {
            Ok(receipt) => taken.push(receipt),
            Err(refused) => break refused,
        }
        assert!(taken.len() < 1_000);
    };
    assert!(matches!(refused, PushError::Full { limit: Limit::Unwritten, .. }), "{refused}");
    assert!(taken.iter().all(|r| r.try_get() == Ok(None)));
    dir.heal();
    clock.advance_ms(10_000);
    assert!(q.tick());
    assert!(taken.iter().all(|r| r.try_get() == Ok(Some(Receipt::Stored))));
    let _receipt = q.push(row(1)).unwrap();
}

#[test]
fn a_row_is_refused_that_would_be_beyond_the_ram_bound_and_a_smaller_one_is_taken() {
    let dir = SimDir::new();
    let (q, _) = open(&dir, Config::default().max_unwritten_bytes(100_000));
    dir.fail(dead_disk());
    let row = |bytes| Row::new(vec![0; bytes]);
    let taken: Vec<Pending> = (0..3).map(|_| q.push(row(30_000)).unwrap()).collect();
    let refused = q.push(row(30_000)).unwrap_err();
    assert!(matches!(refused, PushError::Full { limit: Limit::Unwritten, .. }), "{refused}");
    let small = q.push(row(5_000)).unwrap();
    assert!(taken.iter().chain([&small]).all(|receipt| receipt.try_get() == Ok(None)));
}

#[test]
fn the_ram_bound_is_one_for_all_lanes() {
    let taken = |lanes: &[Lane]| {
        let dir = SimDir::new();
        let (q, _) = open(&dir, Config::default().max_unwritten_bytes(100_000));
        dir.fail(dead_disk());
        let push = |lane: &&Lane| q.push(row(0).lane(**lane)).is_ok();
        lanes.iter().cycle().take(1_000).take_while(push).count()
    };
    let of_one = taken(&[Lane::TELEMETRY]);
    assert!(of_one < 1_000, "RAM is bounded");
    assert_eq!(taken(&[Lane::ALARM, Lane::TELEMETRY]), of_one);
}

#[test]
fn the_volatile_policy_says_volatile_and_counts() {
    let dir = SimDir::new();
    let config =
        Config::default().max_unwritten_bytes(100_000).on_fault(OnFault::Volatile).max_messages(2_000);
    let (q, clock) = open(&dir, config);
    dir.fail(dead_disk());
    let receipts: Vec<Pending> = (0..5_000).map(|n| q.push(row(n)).unwrap()).collect();
    assert_eq!(receipts[0].try_get(), Ok(Some(Receipt::Volatile)));
    let stats = q.stats();
    assert!(stats.volatile_rows > 1_000 && stats.messages <= 2_000);
    dir.heal();
    clock.advance_ms(10_000);
    assert!(q.tick());
    assert_eq!(receipts[4_998].try_get(), Ok(Some(Receipt::Volatile)));
    assert_eq!(q.stats().unwritten_bytes, 0);
}

#[test]
fn a_registration_that_cannot_be_written_is_not_one() {
    let dir = SimDir::new();
    let (q, clock) = open(&dir, Config::default());
    dir.fail(dead_disk());
    assert!(q.consumer("hub").is_err());
    assert!(q.ledger().is_empty());
    dir.heal();
    clock.advance_ms(10_000);
    let _receipt = q.push(row(1)).unwrap();
    let mut hub = q.consumer("hub").unwrap();
    assert_eq!(hub.lease(10, Wait::None).unwrap().len(), 1);
}

/// Longer than the ring has free segments, each of which a try that failed leaves under suspicion.
#[test]
fn a_dead_disk_is_no_full_lane_and_gives_nothing_up() {
    for kind in [StoreKind::Ring, StoreKind::Redb] {
        let dir = SimDir::new();
        let config = Config::default().segment_bytes(192 * 1024).row_bytes_max(16 * 1024);
        let config = config.max_unwritten_bytes(200_000).on_full(OnFull::DropOldest).store(kind);
        let (q, clock) = open_as(&dir, config);
        let mut hub = q.consumer("hub").unwrap();
        let stored: Vec<Pending> = (0..50).map(|n| q.push(row(n)).unwrap()).collect();
        q.commit().unwrap();
        dir.fail(Fault { call: Call::Any, after: 0, error: FaultError::Io, sticky: true });
        let waiting: Vec<Pending> = (50..100).map(|n| q.push(row(n)).unwrap()).collect();
        for _ in 0..60 {
            assert!(q.commit().is_err());
            let health = q.stats().health;
            assert!(matches!(health, Health::Degraded { kind: FaultKind::Io, .. }), "{kind:?}: {health:?}");
        }
        assert!(stored.iter().all(|r| r.try_get() == Ok(Some(Receipt::Stored))));
        assert!(waiting.iter().all(|r| r.try_get() == Ok(None)));
        dir.heal();
        clock.advance_ms(10_000);
        assert!(q.tick());
        assert!(waiting.iter().all(|r| r.try_get() == Ok(Some(Receipt::Stored))), "{kind:?}");
        let got: Vec<u32> = hub.lease(1_000, Wait::None).unwrap().iter().map(value).collect();
        assert_eq!(got, (0..100).collect::<Vec<_>>(), "{kind:?}");
        assert!(q.stats().lanes.iter().all(|lane| lane.dropped.total() == 0), "{kind:?}");
    }
}
