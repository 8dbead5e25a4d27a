//! Acknowledgement by identity: exactly the rows that a receipt names are done, whoever has leased them, and nothing is named
//! in vain.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};

use edge_queue::testing::SimDir;
use edge_queue::{
    AckIdsError, Config, IdRange, Lane, Lease, Ledger, ManualClock, Now, Queue, Row, RowId, Seq, StoreKind,
    Wait, aio,
};

/// Ranges that one consumer may take while it is alone.
const RANGES: u64 = 1_024;

fn open(dir: &SimDir) -> Queue {
    let clock = Arc::new(ManualClock::new(Now { boot_id: 1, up_ms: 1_000, ..Now::default() }));
    let config = Config::default().lanes(1).max_bytes(2 << 20).store(StoreKind::Ring);
    Queue::open_in(Box::new(dir.clone()), config, clock).unwrap()
}

/// A queue with a consumer that has these rows to come, numbered from 1.
fn with_rows(dir: &SimDir, rows: u32) -> Queue {
    let q = open(dir);
    drop(q.consumer("hub").unwrap());
    drop(q.push_batch((1..=rows).map(|n| Row::new(n.to_be_bytes().to_vec()))).unwrap());
    q.commit().unwrap();
    q
}

fn range(gateway: u64, seq: Seq, last: Seq) -> IdRange {
    IdRange { first: RowId { gateway, lane: Lane(0), epoch: 1, seq }, last }
}

fn ledger(q: &Queue) -> Ledger {
    let ledger = q.ledger().remove(0);
    assert!(ledger.balanced(), "{ledger:?}");
    ledger
}

fn numbers(leases: impl IntoIterator<Item = Lease>) -> Vec<u64> {
    leases.into_iter().map(|lease| lease.id().seq).collect()
}

/// The link has rows in flight while the receipt comes: its PUBACK, its refusal or its end change nothing of them then.
#[test]
fn rows_in_flight_end_with_the_receipt_and_no_end_of_their_lease_counts() {
    let q = with_rows(&SimDir::new(), 8);
    let own = q.gateway_id();
    let mut hub = q.consumer("hub").unwrap();
    let leases: Vec<Lease> = hub.lease(6, Wait::None).unwrap().into_iter().collect();
    let acked = q.ack_ids("hub", &[range(own, 2, 5)]).unwrap();
    assert_eq!((acked.acked, acked.gone, acked.no_range), (4, 0, 0));
    let over: Vec<u64> = leases.iter().filter(|lease| lease.is_over()).map(|lease| lease.id().seq).collect();
    assert_eq!((over, ledger(&q).leased), (vec![2, 3, 4, 5], 2), "those that it did not name go on");
    for (n, lease) in (1..).zip(leases) {
        match n {
            2 => lease.ack(),
            3 => lease.discard(),
            4 => lease.moved(),
            // Its own acknowledgement comes, too.
            1 => lease.ack(),
            // 5 and 6 are given back.
            _ => drop(lease),
        }
    }
    let told = ledger(&q);
    assert_eq!((told.delivered, told.moved, told.dropped.total(), told.queued), (5, 0, 0, 3));
    assert_eq!(numbers(hub.lease(9, Wait::None).unwrap()), [6, 7, 8]);
}

#[test]
fn a_receipt_of_another_gateway_ends_nothing_even_beside_a_range_of_its_own() {
    let q = with_rows(&SimDir::new(), 3);
    let own = q.gateway_id();
    let answer = q.ack_ids("hub", &[range(own, 1, 2), range(own ^ 1, 3, 3)]);
    assert!(
        matches!(answer, Err(AckIdsError::OtherGateway { found, own: it }) if found == own ^ 1 && it == own)
    );
    assert_eq!((ledger(&q).queued, ledger(&q).delivered), (3, 0));
    assert!(matches!(q.ack_ids("nobody", &[range(own, 1, 2)]), Err(AckIdsError::NoConsumer)));
    q.clone().close().unwrap();
    assert!(matches!(q.ack_ids("hub", &[range(own, 1, 2)]), Err(AckIdsError::Closed)));
}

/// A stick with every second row needs a range for each: what finds none stays, as it was, until the gaps are closed.
#[test]
fn a_row_without_a_range_is_counted_and_stays_for_a_later_receipt() {
    let dir = SimDir::new();
    let q = with_rows(&dir, 3_000);
    let own = q.gateway_id();
    let mut hub = q.consumer("hub").unwrap();
    let last = hub.lease(3_000, Wait::None).unwrap().into_iter().last().unwrap();
    let every_second: Vec<IdRange> = (1..=1_500).map(|n| range(own, 2 * n, 2 * n)).collect();
    let acked = q.ack_ids("hub", &every_second).unwrap();
    assert_eq!((acked.acked, acked.gone, acked.no_range), (RANGES, 0, 1_500 - RANGES));
    assert_eq!((last.id().seq, last.is_over(), ledger(&q).ranges), (3_000, false, RANGES));
    assert_eq!((ledger(&q).delivered, ledger(&q).queued), (RANGES, 3_000 - RANGES));

    let all = q.ack_ids("hub", &[range(own, 1, 3_000)]).unwrap();
    assert_eq!((all.acked, all.gone, all.no_range), (3_000 - RANGES, RANGES, 0));
    assert!(last.is_over());
    drop((last, hub, q));
    let q = open(&dir);
    let mut hub = q.consumer("hub").unwrap();
    assert!(hub.lease(9, Wait::None).unwrap().is_empty(), "nothing comes again");
    assert_eq!((ledger(&q).delivered, ledger(&q).queued), (3_000, 0));
}

/// A caller may go: the rows are acknowledged all the same, and the next caller finds them gone.
#[tokio::test]
async fn an_async_call_that_is_dropped_acknowledges_all_the_same() {
    let q = aio::Queue::of(with_rows(&SimDir::new(), 500)).unwrap();
    let own = q.gateway_id();
    let acked = q.ack_ids("hub", vec![range(own, 1, 100)]).await.unwrap();
    assert_eq!((acked.acked, acked.gone), (100, 0));
    {
        let dropped = pin!(q.ack_ids("hub", vec![range(own, 101, 300)]));
        let _begun = dropped.poll(&mut Context::from_waker(Waker::noop()));
    }
    while q.ledger()[0].delivered < 300 {
        tokio::task::yield_now().await;
    }
    let acked = q.ack_ids("hub", vec![range(own, 1, 400)]).await.unwrap();
    assert_eq!((acked.acked, acked.gone), (100, 300));
    let other = q.ack_ids("hub", vec![range(own ^ 1, 401, 500)]).await;
    assert!(matches!(other, Err(AckIdsError::OtherGateway { .. })));
    q.clone().close().await.unwrap();
    assert!(matches!(q.ack_ids("hub", vec![range(own, 401, 500)]).await, Err(AckIdsError::Closed)));
}
