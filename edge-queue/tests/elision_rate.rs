//! Promise 8 in figures: how often the medium is written to when the link works, and when it does not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]
#![allow(
    clippy::disallowed_methods,
    reason = "threads of their own and how long they waited are what is tested"
)]

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use edge_queue::testing::SimDir;
use edge_queue::{Config, Lease, ManualClock, Now, Pending, Queue, Receipt, Row, StoreKind, Wait};

fn open(dir: &SimDir) -> (Queue, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(Now { boot_id: 1, up_ms: 1_000, ..Now::default() }));
    let config = Config::default().max_bytes(2 * 1024 * 1024).store(StoreKind::Ring);
    (Queue::open_in(Box::new(dir.clone()), config, clock.clone()).unwrap(), clock)
}

/// 30 messages a second, each acknowledged after one round trip of 500 ms: at most two writes a minute, of any kind
/// (rows, acknowledgements, space written ahead). The first ten seconds start with a backlog of an outage.
#[test]
fn with_a_round_trip_of_half_a_second_the_medium_is_left_alone() {
    let dir = SimDir::new();
    let (q, clock) = open(&dir);
    let mut hub = q.consumer("hub").unwrap();
    for _ in 0..500 {
        let _stored = q.push(Row::new(vec![0; 200])).unwrap();
    }
    q.commit().unwrap();
    let mut in_flight: VecDeque<(u64, Lease)> = VecDeque::new();
    let mut after_ten_s = None;
    for step in 0..7_000u64 {
        let now_ms = step * 10;
        if now_ms == 10_000 {
            dir.record();
            after_ten_s = Some((q.stats().store, dir.recorded()));
        }
        if step % 10 < 3 {
            let _receipt = q.push(Row::new(vec![0; 200])).unwrap();
        }
        let leases = hub.lease(50, Wait::None).unwrap();
        in_flight.extend(leases.into_iter().map(|lease| (now_ms + 500, lease)));
        while in_flight.front().is_some_and(|(due_ms, _)| *due_ms <= now_ms) {
            in_flight.pop_front().unwrap().1.ack();
        }
        clock.advance_ms(10);
        q.tick();
    }
    let (before, operations) = after_ten_s.unwrap();
    let after = q.stats().store;
    println!("60 s: {} commits, {} syncs", after.commits - before.commits, after.syncs - before.syncs);
    assert!(after.commits - before.commits <= 2, "{before:?}, {after:?}");
    assert!(after.syncs - before.syncs <= 2, "{before:?}, {after:?}");
    assert!(dir.recorded() - operations <= 4, "a commit is a write and a sync, and there may be two");
    assert_eq!(q.ledger()[1].accepted, 500 + 2_100);
    assert!(q.ledger().iter().all(|ledger| ledger.balanced()));
}

/// In an outage 100 sensors wait for each receipt before they send again, 0.3 times a second each.
#[test]
fn a_hundred_waiting_sensors_share_one_commit_a_second() {
    let (q, clock) = open(&SimDir::new());
    let _hub = q.consumer("hub").unwrap();
    let mut sensors: Vec<(u64, Option<Pending>)> = (0..100).map(|n| (n * 33, None)).collect();
    let (before, mut stored) = (q.stats().store.commits, 0);
    for now_ms in (0..60_000u64).step_by(10) {
        for (next_ms, pending) in &mut sensors {
            match pending {
                Some(receipt) if receipt.try_get() == Ok(Some(Receipt::Stored)) => {
                    (*next_ms, *pending) = (now_ms + 2_833, None);
                    stored += 1;
                }
                None if *next_ms <= now_ms => *pending = Some(q.push(Row::new(vec![0; 200])).unwrap()),
                _ => {}
            }
        }
        clock.advance_ms(10);
        q.tick();
    }
    let commits = q.stats().store.commits - before;
    println!("60 s: {commits} commits for {stored} receipts");
    assert!((30..=60).contains(&commits), "{commits}");
    assert!(stored > 1_500, "{stored}");
}

/// The rule for a producer that waits each time is about one waiter: several in turn each wait for company.
#[test]
fn waiters_in_turn_do_not_make_the_queue_commit_for_each() {
    let within = Duration::from_millis(120);
    let q = Queue::open("unused", Config::default().ack_within(within).store(StoreKind::Memory)).unwrap();
    for nth in 0..8 {
        let q = q.clone();
        let waited = std::thread::spawn(move || {
            let started = Instant::now();
            q.push(Row::new("a")).unwrap().wait().unwrap();
            started.elapsed()
        });
        let waited = waited.join().unwrap();
        assert!(waited >= within / 2, "waiter {nth} was committed for after {waited:?}");
    }
}
