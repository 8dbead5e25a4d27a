//! Rows pushed together (promises 1 and 3): each has a receipt of its own, a refusal hands back what was not taken, and the
//! caller's iterator may use the queue.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

use std::sync::Arc;
use std::time::Duration;

use edge_queue::{
    Config, Lane, LaneConfig, ManualClock, Now, OnFull, Pending, PushError, Queue, Reason, Receipt, Row,
    StoreKind, Wait,
};

fn queue(config: Config) -> Queue {
    let clock = ManualClock::new(Now { boot_id: 1, up_ms: 1_000, ..Now::default() });
    let dir = Box::new(edge_queue::testing::SimDir::new());
    Queue::open_in(dir, config.store(StoreKind::Ring), Arc::new(clock)).unwrap()
}

fn row(n: u32) -> Row {
    Row::new(n.to_le_bytes().to_vec())
}

#[test]
fn each_row_of_a_batch_has_its_own_receipt() {
    each_row_has_its_own_receipt(|q, rows| q.push_batch(rows).unwrap());
}

/// Rows pushed one by one share where their receipts arrive, too.
#[test]
fn each_row_pushed_alone_has_its_own_receipt() {
    each_row_has_its_own_receipt(|q, rows| rows.into_iter().map(|row| q.push(row).unwrap()).collect());
}

fn each_row_has_its_own_receipt(push: fn(&Queue, Vec<Row>) -> Vec<Pending>) {
    let q = queue(Config::default());
    let mut hub = q.consumer("hub").unwrap();
    let lanes = [Lane::TELEMETRY, Lane::TELEMETRY, Lane::ALARM];
    let pending = push(&q, (0..600).map(|n| row(n).lane(lanes[n as usize % 3])).collect());
    // Some are acknowledged before they had to be written: every second one that comes first.
    let leases: Vec<_> = hub.lease(400, Wait::None).unwrap().into_iter().collect();
    let mut acked = Vec::new();
    for (n, lease) in leases.into_iter().enumerate() {
        if n % 2 == 0 {
            acked.push(u32::from_le_bytes(lease.payload()[..].try_into().unwrap()));
            lease.ack();
        }
    }
    assert_eq!(acked.len(), 200);
    for (n, pending) in (0u32..).zip(&pending) {
        let handed = acked.contains(&n).then_some(Receipt::HandedOver);
        assert_eq!(pending.try_get().unwrap(), handed, "row {n} before the commit");
    }
    q.commit().unwrap();
    for (n, pending) in (0u32..).zip(&pending) {
        let receipt = if acked.contains(&n) { Receipt::HandedOver } else { Receipt::Stored };
        assert_eq!(pending.try_get().unwrap(), Some(receipt), "row {n} after it");
    }
}

#[test]
fn a_batch_that_meets_a_limit_says_what_was_taken_and_hands_the_rest_back() {
    let q = queue(Config::default().max_messages(300).on_full(OnFull::Reject));
    let mut error = q.push_batch((0..1_000).map(row)).unwrap_err();
    assert_eq!((error.accepted.len(), error.rest.len()), (300, 699));
    assert!(matches!(&error.error, PushError::Full { row, .. } if row.payload[..] == 300u32.to_le_bytes()));
    assert_eq!(error.rest.pop().unwrap().payload[..], 999u32.to_le_bytes());
    q.commit().unwrap();
    assert!(error.accepted.iter().all(|pending| pending.try_get() == Ok(Some(Receipt::Stored))));
    assert_eq!(q.stats().messages, 300);
}

/// The writer thread sleeps for a minute: who pushes the rows that are taken has to wake it, although another one is refused.
#[test]
#[allow(
    clippy::disallowed_methods,
    reason = "the writer thread has to be asleep; where it is not yet, nothing is shown"
)]
fn promise_1_rows_before_a_refused_one_have_their_receipts_in_time() {
    let config = Config::default().max_messages(3).on_full(OnFull::Reject).store(StoreKind::Memory);
    let q = Queue::open("unused", config.ack_within(Duration::from_millis(10))).unwrap();
    let soon = |pending: &Pending| pending.wait_timeout(Duration::from_secs(20)).unwrap();
    assert_eq!(soon(&q.push(row(0)).unwrap()), Some(Receipt::Volatile));
    std::thread::sleep(Duration::from_millis(50));
    let error = q.push_batch((1..5).map(row)).unwrap_err();
    assert_eq!(error.accepted.iter().map(soon).collect::<Vec<_>>(), [Some(Receipt::Volatile); 2]);
}

#[test]
fn a_batch_larger_than_ram_for_unwritten_rows_commits_on_its_way() {
    let q = queue(Config::default().max_unwritten_bytes(64 * 1024));
    let pending = q.push_batch((0..2_000).map(row)).unwrap();
    assert_eq!(pending[0].try_get(), Ok(Some(Receipt::Stored)));
    q.commit().unwrap();
    assert!(pending.iter().all(|pending| pending.try_get() == Ok(Some(Receipt::Stored))));
    let mut hub = q.consumer("hub").unwrap();
    let chunk = hub.lease(2_000, Wait::None).unwrap();
    assert!(chunk.iter().zip(0u32..).all(|(lease, n)| lease.payload()[..] == n.to_le_bytes()));
}

#[test]
fn rows_given_up_by_the_policy_settle_apart_from_their_batch() {
    let telemetry = LaneConfig::default().max_messages(10);
    let q = queue(Config::default().lane(Lane::TELEMETRY, telemetry).on_full(OnFull::DropNewest));
    let pending = q.push_batch((0..15).map(row)).unwrap();
    q.commit().unwrap();
    for (n, pending) in pending.iter().enumerate() {
        let receipt = if n < 10 { Receipt::Stored } else { Receipt::Settled(Reason::Overflow) };
        assert_eq!(pending.try_get(), Ok(Some(receipt)), "row {n}");
    }
}

#[test]
fn the_rows_of_a_batch_may_come_from_the_queue_itself() {
    let q = queue(Config::default());
    let receipts = q.push_batch((0..10).map(|n| {
        let _receipt = q.push(row(100 + n)).unwrap();
        row(n)
    }));
    assert_eq!(receipts.unwrap().len(), 10);
    assert_eq!(q.stats().messages, 20);
}
