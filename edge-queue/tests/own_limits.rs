//! Promises 3, 6 and 7: a consumer with limits of its own is moved forward alone; others lose nothing by it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

use std::sync::Arc;
use std::time::Duration;

use edge_queue::testing::{Outcome, SimDir};
use edge_queue::{
    Config, Consumer, ConsumerConfig, Lane, Ledger, ManualClock, Now, Queue, ROW_OVERHEAD_BYTES, Reason, Row,
    StoreKind, Wait,
};

fn open(dir: &SimDir) -> (Queue, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(Now { boot_id: 1, up_ms: 1_000, ..Now::default() }));
    let config = Config::default().max_bytes(4 * 1024 * 1024).store(StoreKind::Ring);
    (Queue::open_in(Box::new(dir.clone()), config, clock.clone()).unwrap(), clock)
}

fn push(q: &Queue, rows: usize) {
    for _ in 0..rows {
        let _receipt = q.push(Row::new(vec![0; 200])).unwrap();
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

fn ledger(q: &Queue, name: &str) -> Ledger {
    let found = q.ledger().into_iter().find(|l| l.consumer == name && l.lane == Lane::TELEMETRY).unwrap();
    assert!(found.balanced());
    found
}

/// Far more rows than RAM keeps: which ones to give up is read from the store.
#[test]
fn a_slow_consumer_is_moved_forward_alone_over_a_restart() {
    let dir = SimDir::new();
    let (q, _) = open(&dir);
    let own = ConsumerConfig::default().max_messages(3_000);
    let mut fast = q.consumer("fast").unwrap();
    drop(q.consumer_with("slow", own).unwrap());
    for round in 1..=200 {
        push(&q, 100);
        assert_eq!(drain(&mut fast), 100);
        q.commit().unwrap();
        let slow = ledger(&q, "slow");
        assert_eq!(slow.queued, (round * 100).min(3_000));
        assert_eq!(q.stats().lanes[1].messages, slow.queued, "what only the slow one wanted is gone");
    }
    drop(fast);
    q.close().unwrap();

    let (q, _) = open(&dir);
    push(&q, 50);
    q.commit().unwrap();
    assert_eq!(ledger(&q, "slow").queued, 3_050, "limits are configuration: none was given yet");
    let mut slow = q.consumer_with("slow", own).unwrap();
    q.commit().unwrap();
    let found = ledger(&q, "slow");
    assert_eq!((found.queued, found.dropped.total()), (3_000, 17_050));
    let gaps = slow.gaps();
    assert_eq!(gaps.len(), 1, "one record for all of it");
    assert_eq!((gaps[0].first_seq, gaps[0].last_seq), (1, 17_050));
    assert_eq!((gaps[0].count, gaps[0].reason), (17_050, Reason::Overflow));
    let mut fast = q.consumer("fast").unwrap();
    assert!(fast.gaps().is_empty());
    assert_eq!((drain(&mut fast), drain(&mut slow)), (50, 3_000));
}

#[test]
fn a_limit_in_bytes_holds_over_a_restart() {
    let dir = SimDir::new();
    let own = ConsumerConfig::default().max_bytes(100 * (200 + ROW_OVERHEAD_BYTES));
    for round in 0..3 {
        let (q, _) = open(&dir);
        let mut fast = q.consumer("fast").unwrap();
        drop(q.consumer_with("slow", own).unwrap());
        push(&q, 2_000);
        drain(&mut fast);
        q.commit().unwrap();
        assert_eq!(
            (ledger(&q, "slow").queued, ledger(&q, "fast").dropped.total()),
            (100, 0),
            "round {round}"
        );
        q.close().unwrap();
    }
}

#[test]
fn leased_rows_stay_and_no_more_than_half_is_leased() {
    let (q, _) = open(&SimDir::new());
    let mut slow = q.consumer_with("slow", ConsumerConfig::default().max_messages(10)).unwrap();
    push(&q, 10);
    let leased = slow.lease(100, Wait::None).unwrap();
    assert_eq!(leased.len(), 5);
    push(&q, 10);
    q.commit().unwrap();
    let found = ledger(&q, "slow");
    assert_eq!((found.queued, found.leased), (10, 5));
    drop(leased);
    push(&q, 1);
    q.commit().unwrap();
    let found = ledger(&q, "slow");
    let of = |reason| found.dropped.for_reason(reason);
    assert_eq!((of(Reason::Overflow), of(Reason::OverflowUnconfirmed)), (10, 1));
}

#[test]
fn an_age_of_its_own_expires_rows_for_that_consumer_alone() {
    let (q, clock) = open(&SimDir::new());
    let own = ConsumerConfig::default().max_age(Duration::from_secs(60));
    let (mut log, mut hub) = (q.consumer("log").unwrap(), q.consumer_with("hub", own).unwrap());
    push(&q, 3);
    clock.advance_ms(60_000);
    push(&q, 2);
    assert_eq!((drain(&mut hub), drain(&mut log)), (2, 5));
    assert_eq!((ledger(&q, "hub").expired(), ledger(&q, "log").expired()), (3, 0));
}

/// Rows that the others had in time and the slow one may not keep are never written.
#[test]
fn rows_given_up_before_their_commit_cost_no_flash() {
    let (q, clock) = open(&SimDir::new());
    let mut fast = q.consumer("fast").unwrap();
    drop(q.consumer_with("dead", ConsumerConfig::default().max_messages(1)).unwrap());
    let before = q.stats().store.bytes_written;
    for _ in 0..20 {
        push(&q, 1_000);
        drain(&mut fast);
        clock.advance_ms(1_000);
        q.tick();
    }
    // A thousand rows of 232 bytes would be 58 pages a commit.
    assert!(q.stats().store.bytes_written - before < 20 * 3 * 4096);
    assert!(q.forget("dead").unwrap(), "and a dead one can be forgotten");
    assert_eq!(q.stats().messages, 0);
}

/// Rows of 36 bytes behind rows of 200 kB: the lane's mean says nothing about this consumer's.
#[test]
fn a_limit_in_bytes_is_judged_by_the_consumers_own_rows_after_every_kind_of_restart() {
    for kind in [StoreKind::Ring, StoreKind::Redb] {
        for restart in [Restart::Clean, Restart::Cut] {
            for (first_len, own_len) in [(200_000, 4), (4, 4_000)] {
                own_bytes_survive(kind, restart, first_len, own_len);
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Restart {
    Clean,
    /// The power goes after a commit.
    Cut,
}

fn own_bytes_survive(kind: StoreKind, restart: Restart, first_len: usize, own_len: usize) {
    let case = format!("{kind:?}, {restart:?}, {own_len} behind {first_len}");
    let config = Config::default().max_bytes(32 << 20).store(kind).lanes(1);
    let clock = || Arc::new(ManualClock::new(Now { boot_id: 1, up_ms: 1_000, ..Now::default() }));
    let open = |dir: &SimDir| Queue::open_in(Box::new(dir.clone()), config.clone(), clock()).unwrap();
    let row = |len| Row::new(vec![0; len]);
    let of = |q: &Queue, name: &str| q.ledger().into_iter().find(|l| l.consumer == name).unwrap();
    let mut dir = SimDir::new();
    let q = open(&dir);
    let mut archive = q.consumer("archive").unwrap();
    (0..40).for_each(|_| drop(q.push(row(first_len)).unwrap()));
    let mut hub = q.consumer("hub").unwrap();
    (0..1_000).for_each(|_| drop(q.push(row(own_len).weight(3)).unwrap()));
    q.commit().unwrap();
    // Some acknowledged by one, some by both, out of order.
    archive.lease(30, Wait::None).unwrap().ack();
    let (done, back): (Vec<_>, Vec<_>) =
        hub.lease(300, Wait::None).unwrap().into_iter().enumerate().partition(|(nth, _)| nth % 3 == 0);
    hub.ack(done.into_iter().map(|(_, lease)| lease));
    drop(back);
    q.commit().unwrap();
    let queued = of(&q, "hub").queued;
    let own_bytes = queued / 3 * (own_len as u64 + ROW_OVERHEAD_BYTES);
    drop((archive, hub));
    if restart == Restart::Clean {
        q.close().unwrap();
    } else {
        dir = dir.crash(Outcome::Lost, 1);
    }
    let q = open(&dir);
    let exactly = |bytes| q.consumer_with("hub", ConsumerConfig::default().max_bytes(bytes)).unwrap();
    drop(exactly(own_bytes));
    drop(q.push(row(own_len)).unwrap());
    drop(q.push(row(own_len)).unwrap());
    drop(exactly(own_bytes + 2 * (own_len as u64 + ROW_OVERHEAD_BYTES)));
    q.commit().unwrap();
    assert_eq!((of(&q, "hub").queued, of(&q, "hub").dropped.total()), (queued + 2, 0), "{case}");
    drop(exactly(own_bytes));
    q.commit().unwrap();
    assert_eq!(of(&q, "hub").dropped.total(), 6, "{case}: the two oldest rows, and no other");
    assert!(q.forget("hub").unwrap());
    let mut hub = exactly(own_len as u64 + ROW_OVERHEAD_BYTES);
    drop(q.push(row(own_len)).unwrap());
    q.commit().unwrap();
    assert_eq!(
        (drain(&mut hub), of(&q, "hub").dropped.total()),
        (1, 0),
        "{case}: counted from its new start"
    );
}
