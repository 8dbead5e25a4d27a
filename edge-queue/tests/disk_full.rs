//! Promise 11 without root: the file system is full, or too small from the start. A real ext4 does the same in
//! `disk_full_ext4.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

use std::sync::Arc;

use edge_queue::testing::{Outcome, SimDir};
use edge_queue::{
    Config, Consumer, Event, FaultKind, Health, ManualClock, Now, OnFull, OpenError, Pending, Queue, Receipt,
    Row, StoreKind, Wait,
};

const ROW_BYTES: usize = 900;

fn open(dir: &SimDir, kind: StoreKind) -> Result<(Queue, Arc<ManualClock>), OpenError> {
    let clock = Arc::new(ManualClock::new(Now { boot_id: 1, up_ms: 1_000, ..Now::default() }));
    let config = Config::default()
        .store(kind)
        .max_bytes(4 * 1024 * 1024)
        .row_bytes_max(16 * 1024)
        .segment_bytes(256 * 1024)
        .max_unwritten_bytes(200_000)
        .on_full(OnFull::DropOldest);
    Ok((Queue::open_in(Box::new(dir.clone()), config, clock.clone())?, clock))
}

/// Pushes up to `count` rows; the receipts of those that were taken.
fn push(q: &Queue, count: usize) -> Vec<Pending> {
    (0..count).map_while(|_| q.push(Row::new(vec![7; ROW_BYTES])).ok()).collect()
}

fn drain(hub: &mut Consumer, rows: usize) -> usize {
    let chunk = hub.lease(rows, Wait::None).unwrap();
    let taken = chunk.len();
    chunk.ack();
    taken
}

fn is_full(q: &Queue) -> bool {
    matches!(q.stats().health, Health::Degraded { kind: FaultKind::DiskFull, .. })
}

#[test]
fn the_ring_reserved_its_space_and_does_not_notice_that_the_disk_is_full() {
    let dir = SimDir::new();
    let (q, _) = open(&dir, StoreKind::Ring).unwrap();
    let mut hub = q.consumer("hub").unwrap();
    // Others take every byte that is left.
    dir.set_capacity(dir.allocated_bytes());
    for _ in 0..100 {
        let receipts = push(&q, 200);
        assert_eq!(receipts.len(), 200);
        q.commit().unwrap();
        assert!(receipts.iter().all(|r| r.try_get() == Ok(Some(Receipt::Stored))));
        drain(&mut hub, 60);
    }
    assert_eq!(q.stats().health, Health::Healthy);
    assert!(q.stats().lanes[1].dropped.total() > 1_000, "more than one lap");
    q.close().unwrap();
    let (q, _) = open(&dir, StoreKind::Ring).unwrap();
    assert!(q.consumer("hub").unwrap().lease(100, Wait::None).unwrap().len() == 100);
}

#[test]
fn redb_on_a_full_disk_drains_and_accepts_again() {
    let dir = SimDir::new();
    let (q, clock) = open(&dir, StoreKind::Redb).unwrap();
    let mut hub = q.consumer("hub").unwrap();
    push(&q, 1_000).into_iter().for_each(drop);
    q.commit().unwrap();
    let _earlier = q.events();
    dir.set_capacity(dir.allocated_bytes() + 64 * 1024);
    let mut receipts = Vec::new();
    while !is_full(&q) {
        receipts.extend(push(&q, 50));
        let _full = q.commit();
        assert!(receipts.len() < 20_000, "the disk never got full");
    }
    assert!(matches!(q.events()[..], [Event::Degraded { kind: FaultKind::DiskFull, .. }]));
    let waiting = receipts.iter().filter(|r| r.try_get() == Ok(None)).count();
    assert!(waiting > 0);
    // What is there goes on being delivered, and that makes room for what waits.
    for _ in 0..40 {
        drain(&mut hub, 100);
        clock.advance_ms(10_000);
        q.tick();
    }
    assert_eq!(q.stats().health, Health::Healthy);
    assert!(matches!(q.events()[..], [.., Event::Recovered]));
    let safe = [Ok(Some(Receipt::Stored)), Ok(Some(Receipt::HandedOver))];
    assert!(receipts.iter().all(|r| safe.contains(&r.try_get())));
    let again = push(&q, 50);
    q.commit().unwrap();
    assert!(again.len() == 50 && again.iter().all(|r| r.try_get() == Ok(Some(Receipt::Stored))));
    let (q, _) = open(&dir.crash(Outcome::Lost, 1), StoreKind::Redb).unwrap();
    assert!(q.ledger().iter().all(edge_queue::Ledger::balanced));
}

/// A gateway that restarts while its disk is full must come up: nobody else will drain the queue.
#[test]
fn a_queue_opens_on_a_full_disk_and_drains() {
    for kind in [StoreKind::Ring, StoreKind::Redb] {
        let dir = SimDir::new();
        let (q, _) = open(&dir, kind).unwrap();
        drop(q.consumer("hub").unwrap());
        push(&q, 1_000).into_iter().for_each(drop);
        q.commit().unwrap();
        // Killed, and cleanly closed; after the first the file must be repaired as well.
        let killed = dir.crash(Outcome::Kept, 1);
        q.close().unwrap();
        for dir in [killed, dir] {
            dir.set_capacity(dir.allocated_bytes());
            let (q, clock) = open(&dir, kind).unwrap_or_else(|e| panic!("{kind:?}: {e}"));
            let mut hub = q.consumer("hub").unwrap();
            for _ in 0..10 {
                assert_eq!(drain(&mut hub, 100), 100, "{kind:?}");
                clock.advance_ms(10_000);
                q.tick();
            }
            let receipts = push(&q, 10);
            q.commit().unwrap();
            assert!(receipts.iter().all(|r| r.try_get() == Ok(Some(Receipt::Stored))), "{kind:?}");
        }
    }
}

/// The same when the queue itself filled it and spent what it held back.
#[test]
fn a_redb_queue_that_filled_its_disk_opens_again_and_drains() {
    let mut cases = 0;
    for extra in (0..40).map(|n| n * 16 * 1024) {
        let dir = SimDir::new();
        let (q, _) = open(&dir, StoreKind::Redb).unwrap();
        drop(q.consumer("hub").unwrap());
        push(&q, 500).into_iter().for_each(drop);
        q.commit().unwrap();
        let capacity = dir.allocated_bytes() + extra;
        dir.set_capacity(capacity);
        for _ in 0..200 {
            push(&q, 20).into_iter().for_each(drop);
            if q.commit().is_err() {
                break;
            }
        }
        assert!(is_full(&q), "{extra}");
        let killed = dir.crash(Outcome::Kept, 1);
        let _unheard = q.close();
        for dir in [killed, dir] {
            dir.set_capacity(capacity);
            let (q, clock) = open(&dir, StoreKind::Redb).unwrap_or_else(|e| panic!("{extra}: {e}"));
            let mut hub = q.consumer("hub").unwrap_or_else(|e| panic!("{extra}: {e}"));
            for _ in 0..5 {
                assert_eq!(drain(&mut hub, 100), 100);
                clock.advance_ms(10_000);
                q.tick();
            }
            assert_eq!(q.stats().health, Health::Healthy, "{extra}");
            let receipts = push(&q, 10);
            q.commit().unwrap();
            assert!(receipts.iter().all(|r| r.try_get() == Ok(Some(Receipt::Stored))));
            cases += 1;
        }
    }
    println!("executed disk_full.redb_reopen: {cases} cases");
}

#[test]
fn a_disk_too_small_for_the_queue_is_an_error_with_numbers_and_leaves_nothing() {
    for kind in [StoreKind::Ring, StoreKind::Redb] {
        let dir = SimDir::new();
        dir.set_capacity(30 * 1024);
        match open(&dir, kind) {
            Err(OpenError::NoSpace { needed, free, .. }) => {
                assert!(needed > free && free <= 30 * 1024, "{kind:?}: {needed} {free}");
            }
            other => panic!("{kind:?}: {:?}", other.err()),
        }
        assert!(dir.allocated_bytes() <= 30 * 1024, "{kind:?}");
        // With space it is made as if nothing had been.
        dir.heal();
        let (q, _) = open(&dir, kind).unwrap();
        let _receipts = push(&q, 10);
        q.commit().unwrap();
    }
}
