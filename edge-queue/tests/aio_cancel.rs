//! Promise 4 for async programs: a future dropped at any await loses nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

use std::error::Error;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use edge_queue::medium::{Call, Hooked, Verdict};
use edge_queue::testing::{Outcome, SimDir};
use edge_queue::{Config, ConsumerError, ManualClock, Now, Queue, Receipt, Row, StoreKind, SystemClock, aio};
use futures_util::StreamExt;

fn open(dir: &SimDir) -> aio::Queue {
    let config = Config::default().max_bytes(4 * 1024 * 1024).store(StoreKind::Ring);
    let queue = Queue::open_in(Box::new(dir.clone()), config, Arc::new(SystemClock::new())).unwrap();
    aio::Queue::of(queue).unwrap()
}

fn value(lease: &edge_queue::Lease) -> u32 {
    u32::from_be_bytes(lease.payload()[..4].try_into().unwrap())
}

/// Polls `future` at most `polls` times, then drops it.
fn poll_and_drop<F: Future>(future: F, polls: usize) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..polls {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return Some(output);
        }
        std::thread::yield_now();
    }
    None
}

#[tokio::test]
async fn a_chunk_dropped_at_any_poll_returns_its_rows_in_order() {
    let dir = SimDir::new();
    let q = open(&dir);
    let hub = q.consumer("hub").await.unwrap();
    for n in 0..3_000u32 {
        let mut payload = n.to_be_bytes().to_vec();
        payload.resize(400, 0);
        let _receipt = q.push(Row::new(payload)).await.unwrap();
    }
    q.commit().await.unwrap();
    drop(hub);
    q.close().await.unwrap();
    // Reopened, so that every row must be read on the worker thread.
    let q = open(&dir);
    let mut hub = q.consumer("hub").await.unwrap();
    let mut expected = 0;
    let mut cancelled = 0;
    while expected < 3_000 {
        // Drop the future after 0, 1, 2 … polls; sometimes it is ready, then the chunk itself is dropped.
        if poll_and_drop(hub.next_chunk(10), cancelled % 5).is_none() {
            cancelled += 1;
        }
        let chunk = hub.next_chunk(7).await.unwrap().unwrap();
        for lease in chunk {
            assert_eq!(value(&lease), expected);
            expected += 1;
            lease.ack();
        }
        cancelled += 1;
    }
    assert!(q.ledger().iter().all(|ledger| ledger.balanced() && ledger.queued == 0));
    assert!(cancelled > 100);
}

#[tokio::test]
async fn a_push_dropped_after_its_first_poll_is_still_taken() {
    let q = open(&SimDir::new());
    let mut hub = q.consumer("hub").await.unwrap();
    let pushed = poll_and_drop(q.push(Row::new(7u32.to_be_bytes().to_vec())), 1);
    assert!(pushed.is_some(), "no room must be made, so the first poll takes the row");
    assert_eq!(value(hub.next_chunk(1).await.unwrap().unwrap().iter().next().unwrap()), 7);
}

#[tokio::test]
async fn a_dropped_consumer_gives_back_what_its_stream_leased_ahead() {
    let q = open(&SimDir::new());
    let mut hub = q.consumer("hub").await.unwrap();
    for n in 0..100u32 {
        let _receipt = q.push(Row::new(n.to_be_bytes().to_vec())).await.unwrap();
    }
    for n in 0..10 {
        let lease = hub.next().await.unwrap().unwrap();
        assert_eq!(value(&lease), n);
        lease.ack();
    }
    drop(hub);
    let mut hub = q.consumer("hub").await.unwrap();
    assert_eq!(value(&hub.next().await.unwrap().unwrap()), 10);
}

#[tokio::test]
async fn waiting_for_rows_ends_with_a_push_and_with_the_close() {
    let q = open(&SimDir::new());
    let mut hub = q.consumer("hub").await.unwrap();
    let other = q.clone();
    let push_then_wait = async move {
        let receipt = other.push(Row::new("abcd")).await.unwrap();
        receipt.await.unwrap()
    };
    let take = async {
        hub.next_chunk(10).await.unwrap().unwrap().ack();
        hub
    };
    let (mut hub, receipt) = tokio::join!(take, push_then_wait);
    assert_eq!(receipt, Receipt::HandedOver);
    let (end, closed) = tokio::join!(hub.next_chunk(10), q.close());
    assert!(end.unwrap().is_none() && closed.is_ok());
}

/// A store that cannot be read now, and a consumer that was forgotten, are not the end that a closed queue is.
#[tokio::test]
async fn an_end_is_told_from_a_read_that_fails_and_from_a_consumer_that_was_forgotten() {
    let dir = SimDir::new();
    let q = open(&dir);
    drop(q.consumer("hub").await.unwrap());
    drop(q.push(Row::new(7u32.to_be_bytes().to_vec())).await.unwrap());
    q.close().await.unwrap();
    let fails = Arc::new(AtomicBool::new(false));
    let hook = fails.clone();
    let disk = Hooked::new(dir, move |call| match hook.load(Ordering::Relaxed) && call == Call::Read {
        true => Verdict::Fail(std::io::Error::from_raw_os_error(5)),
        false => Verdict::Make,
    });
    let config = Config::default().max_bytes(4 << 20).store(StoreKind::Ring);
    let queue = Queue::open_in(Box::new(disk), config, Arc::new(SystemClock::new())).unwrap();
    let q = aio::Queue::of(queue).unwrap();
    let mut hub = q.consumer("hub").await.unwrap();
    fails.store(true, Ordering::Relaxed);
    let error = hub.next().await.unwrap().unwrap_err();
    assert!(matches!(error, ConsumerError::Store(_)), "{error}");
    let mut said: &dyn Error = &error;
    while let Some(source) = said.source() {
        said = source;
    }
    assert_eq!(said.downcast_ref::<std::io::Error>().and_then(std::io::Error::raw_os_error), Some(5));
    assert!(hub.next_chunk(1).await.is_err());
    fails.store(false, Ordering::Relaxed);
    assert_eq!(value(&hub.next().await.unwrap().unwrap()), 7, "the stream had not ended");
    assert!(q.forget("hub").await.unwrap());
    assert!(matches!(hub.next_chunk(1).await, Err(ConsumerError::Forgotten)));
    assert!(matches!(hub.next().await, Some(Err(ConsumerError::Forgotten))));
    assert!(hub.next().await.is_none(), "told once");
}

/// The last drop commits, as that of the synchronous queue: the process may end right after it.
#[test]
fn the_last_handle_to_go_commits_what_was_pushed() {
    for last_is_consumer in [false, true] {
        let dir = SimDir::new();
        // Slow enough that a worker thread nobody waits for would be too late.
        let slow = Hooked::new(dir.clone(), |call| {
            if call == Call::Sync {
                std::thread::park_timeout(Duration::from_millis(100));
            }
            Verdict::Make
        });
        let config = Config::default().store(StoreKind::Ring).max_bytes(4 << 20);
        let clock = Arc::new(ManualClock::new(Now { boot_id: 1, up_ms: 1_000, ..Now::default() }));
        let q = Queue::open_in(Box::new(slow), config, clock).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let q = aio::Queue::of(q).unwrap();
            let hub = q.consumer("hub").await.unwrap();
            for n in 0..1_000u32 {
                drop(q.push(Row::new(n.to_be_bytes().to_vec())).await.unwrap());
            }
            if last_is_consumer {
                drop(q);
                drop(hub);
            }
        });
        let left = dir.crash(Outcome::Lost, 1);
        let config = Config::default().store(StoreKind::Ring).max_bytes(4 << 20);
        let clock = Arc::new(ManualClock::new(Now { boot_id: 1, up_ms: 1_000, ..Now::default() }));
        let q = Queue::open_in(Box::new(left), config, clock).unwrap();
        assert_eq!(q.stats().messages, 1_000, "last was a consumer: {last_is_consumer}");
    }
}
