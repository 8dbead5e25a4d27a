//! Promise 4: what became of rows is durable when it is asked for, and rows that wait are not written for it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

use std::sync::Arc;

use edge_queue::testing::{Outcome, SimDir};
use edge_queue::{Config, Lease, ManualClock, Now, Queue, Receipt, Row, StoreKind, Wait};

fn open(dir: &SimDir, store: StoreKind) -> Queue {
    let clock = Arc::new(ManualClock::new(Now { boot_id: 1, up_ms: 1_000, ..Now::default() }));
    Queue::open_in(
        Box::new(dir.clone()),
        Config::default().max_bytes(512 * 1024).lanes(1).store(store),
        clock,
    )
    .unwrap()
}

fn ends_are_durable(store: StoreKind) {
    let dir = SimDir::new();
    let q = open(&dir, store);
    let mut hub = q.consumer("hub").unwrap();
    let stored: Vec<_> = (0..4u8).map(|n| q.push(Row::new(vec![n])).unwrap()).collect();
    q.commit().unwrap();
    let waiting: Vec<_> = (4..8u8).map(|n| q.push(Row::new(vec![n])).unwrap()).collect();
    let rows: Vec<Lease> = hub.lease(8, Wait::None).unwrap().into_iter().collect();
    for (n, lease) in rows.into_iter().enumerate() {
        match n {
            0 | 5 => lease.ack(),
            1 | 4 => lease.moved(),
            2 => lease.discard(),
            _ => drop(lease),
        }
    }
    q.commit_ends().unwrap();
    assert!(stored.iter().all(|receipt| receipt.try_get() == Ok(Some(Receipt::Stored))));
    let still: Vec<bool> = waiting.iter().map(|receipt| receipt.try_get() == Ok(None)).collect();
    assert_eq!(still, [false, false, true, true], "rows that wait go on waiting");
    let dir = dir.crash(Outcome::Lost, 1);
    let q = open(&dir, store);
    let ledger = &q.ledger()[0];
    assert!(ledger.balanced(), "{ledger:?}");
    assert_eq!(
        (ledger.accepted, ledger.delivered, ledger.moved, ledger.dropped.total(), ledger.queued),
        (6, 2, 2, 1, 1)
    );
    let mut hub = q.consumer("hub").unwrap();
    let left: Vec<u8> = hub.lease(9, Wait::None).unwrap().iter().map(|lease| lease.payload()[0]).collect();
    assert_eq!(left, [3]);
}

#[test]
fn ends_are_durable_with_the_ring() {
    ends_are_durable(StoreKind::Ring);
}

#[test]
fn ends_are_durable_with_redb() {
    ends_are_durable(StoreKind::Redb);
}

/// A commit without rows leaves what counts them to the commit that takes them.
#[test]
fn rows_that_waited_while_ends_were_written_are_in_the_ledger_of_their_own_commit() {
    for store in [StoreKind::Ring, StoreKind::Redb] {
        let dir = SimDir::new();
        let q = open(&dir, store);
        let _hub = q.consumer("hub").unwrap();
        (0..3u8).for_each(|n| drop(q.push(Row::new(vec![n])).unwrap()));
        q.commit_ends().unwrap();
        q.commit().unwrap();
        let q = open(&dir.crash(Outcome::Lost, 1), store);
        let ledger = &q.ledger()[0];
        assert!(ledger.balanced() && (ledger.accepted, ledger.queued) == (3, 3), "{store:?}: {ledger:?}");
        assert_eq!(q.stats().messages, 3, "{store:?}");
    }
}
