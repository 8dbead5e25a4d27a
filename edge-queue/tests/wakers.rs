//! Promises 1 and 12: wakers are foreign code. One that panics costs nobody else a receipt, and nobody is polled in vain
//! while the disk hangs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

#[path = "common/watchdog.rs"]
mod watchdog;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use edge_queue::testing::{Call, SimDir};
use edge_queue::{Config, ConsumerError, ManualClock, Now, Queue, Receipt, Row, StoreKind, SystemClock, aio};
use watchdog::must_end;

/// Commands the worker thread takes before callers wait.
const COMMANDS: usize = 64;

struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        panic!("a waker of the application");
    }
}

#[derive(Default)]
struct Counts(AtomicU32);

impl Wake for Counts {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn config() -> Config {
    Config::default().max_bytes(1 << 20).store(StoreKind::Ring)
}

fn poll<F: Future + ?Sized>(future: Pin<&mut F>, waker: &Waker) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(waker))
}

/// Waits without a runtime's help.
fn finish<F: Future>(future: F) -> F::Output {
    let mut future = Box::pin(future);
    loop {
        match poll(future.as_mut(), Waker::noop()) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::yield_now(),
        }
    }
}

/// The writer thread delivers receipts by timer; the first waker it meets panics.
#[test]
fn a_waker_that_panics_does_not_end_the_writer_thread() {
    must_end(|| {
        let config = config().ack_within(Duration::from_millis(20));
        let q = Queue::open_in(Box::new(SimDir::new()), config, Arc::new(SystemClock::new())).unwrap();
        let waker = Waker::from(Arc::new(Panics));
        for n in 0..3u8 {
            let receipts =
                q.push_batch(vec![Row::new(vec![n]), Row::new(vec![n]), Row::new(vec![n])]).unwrap();
            let mut receipts = receipts.into_iter();
            let mut polled = receipts.next().unwrap();
            let first = poll(Pin::new(&mut polled), &waker);
            // The timer commits; no call of ours does.
            for receipt in receipts {
                assert_eq!(receipt.wait_timeout(Duration::from_secs(60)).unwrap(), Some(Receipt::Stored));
            }
            assert!(first.is_pending() || polled.try_get().unwrap().is_some());
            assert_eq!(polled.wait_timeout(Duration::from_secs(60)).unwrap(), Some(Receipt::Stored));
        }
        q.close().unwrap();
    });
}

/// Rows wake async consumers from the thread that pushes; a waker that panics is not the producer's fault.
#[test]
fn a_consumers_waker_that_panics_does_not_reach_the_producer() {
    must_end(|| {
        let queue = Queue::open_in(Box::new(SimDir::new()), config(), Arc::new(SystemClock::new())).unwrap();
        let q = aio::Queue::of(queue.clone()).unwrap();
        let (mut hub, mut other) = (finish(q.consumer("hub")).unwrap(), finish(q.consumer("other")).unwrap());
        let counts = Arc::new(Counts::default());
        let mut lease = Box::pin(hub.lease(1));
        let mut behind = Box::pin(other.lease(1));
        assert!(poll(lease.as_mut(), &Waker::from(Arc::new(Panics))).is_pending());
        assert!(poll(behind.as_mut(), &Waker::from(counts.clone())).is_pending());
        let _receipt = queue.push(Row::new("x")).unwrap();
        assert_eq!(counts.0.load(Ordering::SeqCst), 1, "the waker behind the one that panicked");
        assert!(poll(lease.as_mut(), Waker::noop()).is_ready());
    });
}

/// Nothing else would ever wake it: no row is its own any more.
#[test]
fn a_consumer_that_waits_hears_that_it_is_forgotten() {
    must_end(|| {
        let queue = Queue::open_in(Box::new(SimDir::new()), config(), Arc::new(SystemClock::new())).unwrap();
        let q = aio::Queue::of(queue.clone()).unwrap();
        let mut hub = finish(q.consumer("hub")).unwrap();
        let counts = Arc::new(Counts::default());
        let mut lease = Box::pin(hub.lease(1));
        assert!(poll(lease.as_mut(), &Waker::from(counts.clone())).is_pending());
        assert!(queue.forget("hub").unwrap());
        assert!(counts.0.load(Ordering::SeqCst) > 0, "it sleeps for ever");
        let told = poll(lease.as_mut(), Waker::noop());
        assert!(matches!(told, Poll::Ready(Err(ConsumerError::Forgotten))), "{told:?}");
    });
}

/// More commands than the worker takes wait behind a sync that hangs; a consumer that needs the disk sleeps until its
/// answer is there.
#[test]
fn a_consumer_is_not_polled_while_the_disk_hangs() {
    must_end(|| {
        let dir = SimDir::new();
        let open = || {
            let clock = Arc::new(ManualClock::new(Now { boot_id: 1, up_ms: 1_000, ..Now::default() }));
            Queue::open_in(Box::new(dir.clone()), config(), clock).unwrap()
        };
        let q = open();
        drop(q.consumer("hub").unwrap());
        q.push_batch((0..40u8).map(|n| Row::new(vec![n]))).unwrap().into_iter().for_each(drop);
        q.close().unwrap();
        let q = aio::Queue::of(open()).unwrap();
        let mut hub = finish(q.consumer("hub")).unwrap();
        let _waits = finish(q.push(Row::new("to be written"))).unwrap();
        let hold = dir.hold(Call::Sync);
        let mut commits: Vec<_> = (0..COMMANDS + 26).map(|_| Box::pin(q.commit())).collect();
        assert!(poll(commits[0].as_mut(), Waker::noop()).is_pending());
        hold.wait_until_held();
        assert!(commits.iter_mut().all(|commit| poll(commit.as_mut(), Waker::noop()).is_pending()));

        let counts = Arc::new(Counts::default());
        let waker = Waker::from(counts.clone());
        let mut lease = Box::pin(hub.lease(10));
        // A runtime polls once and then as often as it is woken.
        let mut polls = 0;
        while polls <= counts.0.load(Ordering::SeqCst) && polls < 1_000 {
            assert!(poll(lease.as_mut(), &waker).is_pending());
            polls += 1;
        }
        assert_eq!(polls, 1, "polled while nothing could have changed");
        drop(hold);
        commits.into_iter().for_each(|commit| finish(commit).unwrap());
        assert_eq!(finish(lease).unwrap().len(), 10);
        assert_eq!(counts.0.load(Ordering::SeqCst), 1, "woken once, when the rows are there");
    });
}
