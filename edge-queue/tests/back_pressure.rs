//! Promises 11 and 12: nothing hangs where producers outrun the queue. Many of them over its bounds, consumers that drop
//! what they lease, a close in the middle, one thread for all; a watchdog turns a hang into a failure.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]
#![allow(clippy::disallowed_methods, reason = "threads and tasks that get in each other's way")]

#[path = "common/watchdog.rs"]
mod watchdog;

use std::sync::Arc;
use std::thread;

use edge_queue::testing::{Call, Fault, FaultError, SimDir};
use edge_queue::{
    Config, ConsumerError, Limit, OnFull, PushError, Queue, Receipt, Row, StoreKind, SystemClock, Wait, aio,
};
use watchdog::must_end;

const PRODUCERS: u32 = 8;
const ROWS: u32 = 400;

fn open(dir: &SimDir, config: Config) -> Queue {
    let config =
        config.store(StoreKind::Ring).max_bytes(1024 * 1024).ack_within(std::time::Duration::from_millis(20));
    Queue::open_in(Box::new(dir.clone()), config, Arc::new(SystemClock::new())).unwrap()
}

fn row(producer: u32, n: u32) -> Row {
    Row::new([producer.to_be_bytes(), n.to_be_bytes()].concat())
}

fn number(payload: &[u8]) -> (usize, u32) {
    let at = |from: usize| u32::from_be_bytes(payload[from..from + 4].try_into().unwrap());
    (at(0) as usize, at(4))
}

/// Pushes until it is taken. `false`: the queue was closed.
fn push_until_taken(q: &Queue, mut row: Row) -> bool {
    loop {
        match q.push(row) {
            Ok(_receipt) => return true,
            Err(PushError::Closed { .. }) => return false,
            Err(full) => row = full.into_row(),
        }
        thread::yield_now();
    }
}

#[test]
fn producers_over_the_bound_and_a_consumer_that_drops_its_leases_get_through() {
    must_end(|| {
        let q = open(&SimDir::new(), Config::default().max_messages(50).on_full(OnFull::Reject));
        let mut hub = q.consumer("hub").unwrap();
        let producers: Vec<_> = (0..PRODUCERS)
            .map(|producer| {
                let q = q.clone();
                thread::spawn(move || (0..ROWS).all(|n| push_until_taken(&q, row(producer, n))))
            })
            .collect();
        let mut next = [0; PRODUCERS as usize];
        let mut chunks = 0;
        while next.iter().any(|n| *n < ROWS) {
            let chunk = hub.lease(16, Wait::Forever).unwrap();
            chunks += 1;
            if chunks % 3 == 0 {
                continue;
            }
            for lease in chunk {
                let (producer, n) = number(lease.payload());
                assert_eq!(n, next[producer], "in the order of its producer, each once");
                next[producer] += 1;
                lease.ack();
            }
        }
        assert!(producers.into_iter().all(|producer| producer.join().unwrap()));
        assert!(q.ledger().iter().all(|ledger| ledger.balanced() && ledger.queued == 0));
    });
}

#[test]
fn a_close_ends_pushes_and_leases_that_wait_and_every_receipt_comes_or_is_refused() {
    for dead in [false, true] {
        must_end(move || {
            let dir = SimDir::new();
            let q = open(&dir, Config::default().max_unwritten_bytes(40_000).on_full(OnFull::Reject));
            let mut idle = q.consumer("idle").unwrap();
            drop(q.consumer("hub").unwrap());
            if dead {
                dir.fail(Fault { call: Call::Any, after: 0, error: FaultError::Io, sticky: true });
            }
            let waiting = {
                let _nothing = idle.lease(1_000, Wait::None).unwrap();
                let mut hub = q.consumer("hub").unwrap();
                thread::spawn(move || {
                    loop {
                        match hub.lease(10, Wait::Forever) {
                            Ok(chunk) => drop(chunk),
                            Err(error) => return error,
                        }
                    }
                })
            };
            let producers: Vec<_> = (0..PRODUCERS)
                .map(|producer| {
                    let q = q.clone();
                    thread::spawn(move || {
                        let mut receipts = Vec::new();
                        for n in 0.. {
                            match q.push(row(producer, n)) {
                                Ok(receipt) => receipts.push(receipt),
                                Err(PushError::Closed { .. }) => break,
                                Err(PushError::Full { limit, .. }) => {
                                    assert!(!dead || limit == Limit::Unwritten, "{limit}");
                                    thread::yield_now();
                                }
                                Err(other) => panic!("{other}"),
                            }
                        }
                        receipts.iter().map(edge_queue::Pending::wait).collect::<Vec<_>>()
                    })
                })
                .collect();
            while q.stats().messages < 40 {
                thread::yield_now();
            }
            assert_eq!(q.close().is_err(), dead);
            assert!(matches!(waiting.join().unwrap(), ConsumerError::Closed));
            let receipts: Vec<_> = producers.into_iter().flat_map(|p| p.join().unwrap()).collect();
            let stored = receipts.iter().filter(|receipt| **receipt == Ok(Receipt::Stored)).count();
            assert_eq!(stored == 0, dead, "{stored} of {}", receipts.len());
            assert!(dead || stored == receipts.len(), "a close that succeeds leaves no receipt behind");
        });
    }
}

#[test]
fn one_thread_is_enough_for_producers_that_wait_for_receipts_and_a_consumer() {
    must_end(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let config =
                Config::default().max_messages(40).max_unwritten_bytes(8_000).on_full(OnFull::Reject);
            let q = aio::Queue::of(open(&SimDir::new(), config)).unwrap();
            let mut hub = q.consumer("hub").await.unwrap();
            let tasks: Vec<_> = (0..100)
                .map(|producer| {
                    let q = q.clone();
                    tokio::spawn(async move {
                        for n in 0..10 {
                            let mut row = row(producer, n);
                            let receipt = loop {
                                match q.push(row).await {
                                    Ok(receipt) => break receipt,
                                    Err(full) => row = full.into_row(),
                                }
                                tokio::task::yield_now().await;
                            };
                            receipt.await.unwrap();
                        }
                    })
                })
                .collect();
            let (mut left, mut chunks) = (1_000, 0);
            while left > 0 {
                let chunk = hub.next_chunk(16).await.unwrap().unwrap();
                chunks += 1;
                if chunks % 3 != 0 {
                    left -= chunk.len();
                    chunk.ack();
                }
            }
            for task in tasks {
                task.await.unwrap();
            }
            q.close().await.unwrap();
        });
    });
}
