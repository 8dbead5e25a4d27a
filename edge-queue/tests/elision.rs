//! Promise 8: what every consumer acknowledged within `ack_within` is never written.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

use std::sync::Arc;

use edge_queue::testing::SimDir;
use edge_queue::{Config, Consumer, ManualClock, Now, Queue, Receipt, Row, StoreKind, Wait};

fn open(dir: &SimDir) -> (Queue, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(Now { boot_id: 1, up_ms: 1_000, ..Now::default() }));
    let config = Config::default().max_bytes(512 * 1024).store(StoreKind::Ring);
    (Queue::open_in(Box::new(dir.clone()), config, clock.clone()).unwrap(), clock)
}

fn drain(consumer: &mut Consumer) -> usize {
    let chunk = consumer.lease(1_000, Wait::None).unwrap();
    let rows = chunk.len();
    chunk.ack();
    rows
}

#[test]
fn what_is_acknowledged_in_time_is_never_written() {
    let (q, clock) = open(&SimDir::new());
    let mut hub = q.consumer("hub").unwrap();
    // The registration was a commit; after it the store writes space ahead, once.
    assert!(!q.tick());
    let before = q.stats().store;
    for _ in 0..600 {
        let receipts: Vec<_> = (0..3).map(|_| q.push(Row::new(vec![0; 200])).unwrap()).collect();
        clock.advance_ms(100);
        assert_eq!(drain(&mut hub), 3);
        assert!(receipts.iter().all(|r| r.try_get() == Ok(Some(Receipt::HandedOver))));
        q.tick();
    }
    let after = q.stats().store;
    // A minute of 30 messages a second: not one write, not one sync.
    assert_eq!((after.bytes_written, after.syncs), (before.bytes_written, before.syncs));
    assert!(q.ledger().iter().all(|ledger| ledger.balanced()));
    assert_eq!(q.ledger()[1].delivered, 1_800);
}

#[test]
fn a_clean_close_counts_what_was_never_written_and_its_numbers_stay_given_away() {
    let dir = SimDir::new();
    let (q, _) = open(&dir);
    let mut hub = q.consumer("hub").unwrap();
    let _receipts: Vec<_> = (0..3).map(|_| q.push(Row::new("a")).unwrap()).collect();
    assert_eq!(drain(&mut hub), 3);
    drop(hub);
    q.close().unwrap();
    let (q, _) = open(&dir);
    let mut hub = q.consumer("hub").unwrap();
    let ledger = &q.ledger()[1];
    assert_eq!((ledger.accepted, ledger.delivered, ledger.queued), (3, 3, 0));
    let _receipt = q.push(Row::new("b")).unwrap();
    let seqs: Vec<u64> = hub.lease(9, Wait::None).unwrap().iter().map(|lease| lease.id().seq).collect();
    assert_eq!(seqs, [4]);
}

#[test]
fn one_slow_consumer_is_enough_to_be_written() {
    let (q, clock) = open(&SimDir::new());
    let (mut hub, mut log) = (q.consumer("hub").unwrap(), q.consumer("log").unwrap());
    let receipt = q.push(Row::new("a")).unwrap();
    assert_eq!(drain(&mut hub), 1);
    assert_eq!(receipt.try_get(), Ok(None));
    clock.advance_ms(1_000);
    assert!(q.tick());
    assert_eq!(receipt.try_get(), Ok(Some(Receipt::Stored)));
    assert_eq!((drain(&mut log), drain(&mut hub)), (1, 0));
}

#[test]
fn without_a_consumer_nothing_is_elided() {
    let (q, clock) = open(&SimDir::new());
    let receipt = q.push(Row::new("a")).unwrap();
    clock.advance_ms(1_000);
    assert!(q.tick());
    assert_eq!(receipt.try_get(), Ok(Some(Receipt::Stored)));
}

#[test]
fn acknowledgements_of_stored_rows_are_written_after_ten_seconds_or_a_thousand_rows() {
    let (q, clock) = open(&SimDir::new());
    let mut hub = q.consumer("hub").unwrap();
    for _ in 0..1_500 {
        let _stored = q.push(Row::new("a")).unwrap();
    }
    q.commit().unwrap();
    hub.lease(1, Wait::None).unwrap().ack();
    clock.advance_ms(9_999);
    assert!(!q.tick());
    clock.advance_ms(1);
    assert!(q.tick());
    assert!(!q.tick());
    hub.lease(999, Wait::None).unwrap().ack();
    assert!(!q.tick());
    hub.lease(1, Wait::None).unwrap().ack();
    assert!(q.tick());
}

/// Elided numbers are holes on the medium: after a restart they are not taken for losses.
#[test]
fn holes_of_elided_rows_are_not_losses_after_a_restart() {
    let dir = SimDir::new();
    let (q, _) = open(&dir);
    let mut hub = q.consumer("hub").unwrap();
    for n in 0..100u8 {
        let _receipt = q.push(Row::new(vec![n])).unwrap();
        if n % 3 == 0 {
            let leases: Vec<_> = hub.lease(100, Wait::None).unwrap().into_iter().collect();
            // Only the newest arrived in time; the others return.
            leases.into_iter().next_back().unwrap().ack();
        }
        if n % 10 == 9 {
            q.commit().unwrap();
        }
    }
    drop(hub);
    q.close().unwrap();
    let (q, _) = open(&dir);
    let mut hub = q.consumer("hub").unwrap();
    assert_eq!(drain(&mut hub), 66);
    assert!(hub.gaps().is_empty());
    assert!(q.ledger().iter().all(|ledger| ledger.balanced() && ledger.queued == 0));
    assert!(q.events().is_empty());
}
