//! Back-pressure for producers that can wait: a push that waits ends as soon as there is room, is refused only when its time is over, and
//! is no refusal while it waits.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use edge_queue::testing::SimDir;
use edge_queue::{
    Config, Lease, Limit, ManualClock, Now, OnFull, PushError, Queue, Receipt, Row, StoreKind, Wait, aio,
};

const LONG: Duration = Duration::from_secs(60);
const PATIENCE: Duration = Duration::from_secs(20);

fn config(policy: OnFull) -> Config {
    Config::default().store(StoreKind::Memory).lanes(1).max_messages(4).on_full(policy)
}

fn full(policy: OnFull) -> Queue {
    let queue = Queue::open("", config(policy)).unwrap();
    (0..4u8).for_each(|n| drop(queue.push(Row::new(vec![n])).unwrap()));
    queue
}

fn refused(queue: &Queue) -> u64 {
    queue.stats().lanes[0].refused
}

#[test]
fn producers_that_wait_lose_nothing_and_are_refused_nothing() {
    let queue = Queue::open("", config(OnFull::Reject)).unwrap();
    let mut hub = queue.consumer("hub").unwrap();
    std::thread::scope(|scope| {
        for producer in 0..3u8 {
            let queue = &queue;
            scope.spawn(move || {
                for n in 0..200u8 {
                    let receipt = queue.push_wait(Row::new(vec![producer, n]), LONG).unwrap();
                    assert_ne!(receipt.wait().unwrap(), Receipt::Settled(edge_queue::Reason::Overflow));
                }
            });
        }
        let mut next = [0u8; 3];
        while next != [200; 3] {
            for lease in hub.lease(3, Wait::For(LONG)).unwrap() {
                let (producer, n) = (usize::from(lease.payload()[0]), lease.payload()[1]);
                assert_eq!(n, next[producer], "in the order of its producer, once");
                next[producer] += 1;
                lease.ack();
            }
        }
    });
    assert_eq!(refused(&queue), 0);
}

#[test]
fn a_wait_that_is_over_hands_the_row_back_and_is_one_refusal() {
    let queue = full(OnFull::Reject);
    let began = Instant::now();
    let error = queue.push_wait(Row::new("late"), Duration::from_millis(120)).unwrap_err();
    assert!(began.elapsed() >= Duration::from_millis(120), "{:?}", began.elapsed());
    assert!(matches!(&error, PushError::Full { limit: Limit::Messages, .. }), "{error}");
    assert_eq!((error.into_row().payload.as_ref(), refused(&queue)), (b"late".as_slice(), 1));
}

/// A wait for room would not end: the lane is empty already.
#[tokio::test]
async fn a_row_above_a_limit_of_its_lane_is_refused_at_once() {
    for policy in [OnFull::Reject, OnFull::DropOldest] {
        let queue = Queue::open("", config(policy).max_bytes(400)).unwrap();
        drop(queue.push(Row::new("stays")).unwrap());
        let heavy = || Row::new("heavy").weight(5);
        let large = || Row::new(vec![0; 369]);
        let aio = aio::Queue::of(queue.clone()).unwrap();
        let mut cx = Context::from_waker(Waker::noop());
        for (row, words) in [
            (heavy as fn() -> Row, "a row of weight 5 is above the limit of its lane (max_messages 4)"),
            (large, "a row of 369 bytes is over the limit of 368"),
        ] {
            let Poll::Ready(Err(waited)) = pin!(aio.push_wait(row())).poll(&mut cx) else {
                panic!("it waits")
            };
            let errors = [waited, queue.push_wait(row(), LONG).unwrap_err(), queue.push(row()).unwrap_err()];
            for error in errors {
                assert_eq!(error.to_string(), words);
                let is_named = matches!(
                    error,
                    PushError::AboveLimit { most: 4, .. } | PushError::TooLarge { limit: 368, .. }
                );
                assert!(is_named, "{error:?}");
                assert_eq!(error.into_row(), row());
            }
        }
        assert_eq!((queue.stats().messages, refused(&queue)), (1, 0), "nothing made room for it");
        for fits in [Row::new("").weight(4), Row::new(vec![0; 368])] {
            let queue = Queue::open("", config(policy).max_bytes(400)).unwrap();
            drop(queue.push(fits).unwrap());
        }
    }
}

#[test]
fn nothing_waits_on_a_manual_clock() {
    let clock = Arc::new(ManualClock::new(Now::default()));
    let dir = Box::new(SimDir::new());
    let config = Config::default().lanes(1).max_messages(1).on_full(OnFull::Reject);
    let queue = Queue::open_in(dir, config, clock).unwrap();
    drop(queue.push(Row::new("1")).unwrap());
    assert!(matches!(queue.push_wait(Row::new("2"), LONG), Err(PushError::Full { .. })));
}

#[test]
fn a_close_ends_the_wait() {
    let queue = full(OnFull::Reject);
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| queue.push_wait(Row::new("5"), LONG));
        std::thread::sleep(Duration::from_millis(50));
        queue.clone().close().unwrap();
        assert!(matches!(waits.join().unwrap(), Err(PushError::Closed { .. })));
    });
}

/// Output of a future that was woken; `None` if nothing woke it.
async fn until_woken<T>(future: impl Future<Output = T>) -> Option<T> {
    let started = Instant::now();
    let given = tokio::time::timeout(PATIENCE, future).await.ok();
    // When its time is over, the timeout polls once more: what is ready only then was woken by nobody else.
    given.filter(|_| started.elapsed() < PATIENCE)
}

/// A waiting async push, which has no timer: only being woken ends it.
async fn woken_by(policy: OnFull, make_room: impl FnOnce(&Queue, Vec<Lease>)) -> Result<(), String> {
    let queue = full(policy);
    let mut hub = queue.consumer("hub").unwrap();
    let leases: Vec<Lease> = hub.lease(2, Wait::None).unwrap().into_iter().collect();
    let aio = aio::Queue::of(queue.clone()).unwrap();
    let mut push = pin!(aio.push_wait(Row::new("5")));
    let mut cx = Context::from_waker(Waker::noop());
    if push.as_mut().poll(&mut cx).is_ready() {
        return Err("it did not wait".into());
    }
    // In one poll of both: the push is polled again when it is woken, and not before.
    let pushed = tokio::join!(until_woken(push), async { make_room(&queue, leases) });
    match pushed.0 {
        None => Err("nothing woke it".into()),
        Some(Err(error)) => Err(error.to_string()),
        Some(Ok(_)) if refused(&queue) > 0 => Err("a wait counted as a refusal".into()),
        Some(Ok(_)) => Ok(()),
    }
}

#[tokio::test]
async fn whatever_makes_room_wakes_a_push_that_waits() {
    woken_by(OnFull::Reject, |_, leases| leases.into_iter().for_each(Lease::ack)).await.unwrap();
    woken_by(OnFull::Reject, |_, leases| leases.into_iter().for_each(Lease::discard)).await.unwrap();
    woken_by(OnFull::Reject, |queue, leases| {
        drop(leases);
        assert!(queue.forget("hub").unwrap());
        let mut other = queue.consumer("other").unwrap();
        other.lease(9, Wait::None).unwrap().ack();
    })
    .await
    .unwrap();
    let closed = woken_by(OnFull::Reject, |queue, _| queue.clone().close().unwrap()).await;
    assert_eq!(closed.unwrap_err(), "the queue is closed");
}

#[tokio::test]
async fn rows_that_expire_or_come_back_make_room_too() {
    let short = config(OnFull::Reject).max_age(Duration::from_millis(30));
    let queue = Queue::open("", short).unwrap();
    let mut hub = queue.consumer("hub").unwrap();
    (0..4u8).for_each(|n| drop(queue.push(Row::new(vec![n])).unwrap()));
    let aio = aio::Queue::of(queue.clone()).unwrap();
    let mut push = pin!(aio.push_wait(Row::new("5")));
    assert!(push.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    let pushed = tokio::join!(until_woken(push), async {
        tokio::time::sleep(Duration::from_millis(80)).await;
        assert!(hub.lease(1, Wait::None).unwrap().is_empty(), "all of them are too old");
    });
    drop(pushed.0.expect("woken").unwrap());

    let queue = Queue::open("", config(OnFull::DropOldest).max_messages(1)).unwrap();
    let mut hub = queue.consumer("hub").unwrap();
    drop(queue.push(Row::new("1")).unwrap());
    let held = hub.lease(1, Wait::None).unwrap();
    let aio = aio::Queue::of(queue.clone()).unwrap();
    let mut push = pin!(aio.push_wait(Row::new("2")));
    assert!(push.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    let pushed = tokio::join!(until_woken(push), async { drop(held) });
    drop(pushed.0.expect("woken").unwrap());
}

/// A task of a program. It lives as long as somebody has its waker.
struct Task;

impl Wake for Task {
    fn wake(self: Arc<Self>) {}
}

#[tokio::test]
async fn a_push_that_was_dropped_while_it_waited_leaves_nothing() {
    let queue = full(OnFull::Reject);
    let aio = aio::Queue::of(queue.clone()).unwrap();
    let task = Arc::new(Task);
    {
        let waker = Waker::from(task.clone());
        let mut push = pin!(aio.push_wait(Row::new("5")));
        assert!(matches!(push.as_mut().poll(&mut Context::from_waker(&waker)), Poll::Pending));
        assert_eq!(Arc::strong_count(&task), 3, "the test's, its waker's and that of the push");
    }
    // A lane may be full for days, and each wait that is given up would keep a task.
    assert_eq!(Arc::strong_count(&task), 1, "the queue still has the waker");
    let mut hub = queue.consumer("hub").unwrap();
    // Half of a lane is leased at most.
    (0..2).for_each(|_| hub.lease(9, Wait::None).unwrap().ack());
    assert_eq!((queue.stats().messages, refused(&queue)), (0, 0));
}
