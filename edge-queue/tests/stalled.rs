//! Promise 11: a medium that hangs is a failing store, and nothing else hangs with it. A call is held at a gate while
//! the clock of the test moves on; pushes, leases from RAM and figures answer meanwhile.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]
#![allow(clippy::disallowed_methods, reason = "a second thread makes the call that hangs")]

#[path = "common/watchdog.rs"]
mod watchdog;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Waker};
use std::thread::JoinHandle;
use std::time::Duration;

use edge_queue::testing::{Call, Fault, FaultError, Hold, Outcome, SimDir};
use edge_queue::{
    Clock, CommitError, Config, ConsumerConfig, ConsumerError, Event, FaultKind, Health, Limit, ManualClock,
    Now, OnFault, OnFull, Pending, PushError, Queue, Receipt, Row, STALLED_AFTER_MS, StoreKind, SystemClock,
    Wait, aio,
};
use watchdog::must_end;

const STALL_MS: u64 = 5_000;

fn open(dir: &SimDir, config: Config) -> (Queue, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(Now { boot_id: 1, up_ms: 1_000, ..Now::default() }));
    let config = config.max_bytes(1024 * 1024).max_unwritten_bytes(100_000);
    (Queue::open_in(Box::new(dir.clone()), config, clock.clone()).unwrap(), clock)
}

fn row(n: u32) -> Row {
    Row::new(n.to_be_bytes().to_vec())
}

/// Ten rows on their way to the medium, in a commit whose call hangs.
struct Stall {
    hold: Hold,
    receipts: Vec<Pending>,
    commit: JoinHandle<Result<(), CommitError>>,
}

fn stall(q: &Queue, dir: &SimDir, call: Call) -> Stall {
    let hold = dir.hold(call);
    let receipts = (0..10).map(|n| q.push(row(n)).unwrap()).collect();
    let other = q.clone();
    let commit = std::thread::spawn(move || other.commit());
    hold.wait_until_held();
    Stall { hold, receipts, commit }
}

fn is_stalled(q: &Queue) -> bool {
    matches!(q.stats().health, Health::Degraded { kind: FaultKind::Stalled, .. })
}

fn all_are(receipts: &[Pending], what: Option<Receipt>) -> bool {
    receipts.iter().all(|receipt| receipt.try_get() == Ok(what))
}

#[test]
fn while_a_sync_hangs_rows_come_and_go_and_the_health_says_so() {
    for kind in [StoreKind::Ring, StoreKind::Redb] {
        must_end(move || {
            let dir = SimDir::new();
            let (q, clock) = open(&dir, Config::default().store(kind));
            let mut hub = q.consumer("hub").unwrap();
            let _earlier = q.events();
            let Stall { hold, receipts, commit } = stall(&q, &dir, Call::Sync);
            clock.advance_ms(STALLED_AFTER_MS - 1);
            assert_eq!(q.stats().health, Health::Healthy);
            clock.advance_ms(STALL_MS - STALLED_AFTER_MS + 1);
            assert!(is_stalled(&q), "{kind:?}");
            assert!(q.stats().overdue_ms >= STALL_MS && q.stats().call_ms >= STALL_MS);
            assert!(matches!(q.events()[..], [Event::Degraded { kind: FaultKind::Stalled, .. }]));
            assert!(q.events().is_empty(), "told once");
            // Rows go on coming in and out, and no receipt says more than is known.
            let later: Vec<Pending> = (10..20).map(|n| q.push(row(n)).unwrap()).collect();
            assert!(all_are(&receipts, None) && all_are(&later, None));
            let chunk = hub.lease(100, Wait::None).unwrap();
            assert_eq!(chunk.len(), 20);
            let mut leases = chunk.into_iter();
            leases.by_ref().skip(10).take(5).for_each(|lease| lease.ack());
            assert!(all_are(&later[..5], Some(Receipt::HandedOver)));
            drop(leases);
            // The call returns: everything is as if it had only been slow.
            drop(hold);
            commit.join().unwrap().unwrap();
            assert!(all_are(&receipts, Some(Receipt::Stored)));
            assert_eq!(q.stats().health, Health::Healthy);
            assert_eq!(q.stats().call_ms, 0);
            assert!(matches!(q.events()[..], [Event::Recovered]));
            q.commit().unwrap();
            assert!(all_are(&later[5..], Some(Receipt::Stored)));
            let (q, _) = open(&dir.crash(Outcome::Lost, 1), Config::default().store(kind));
            let mut hub = q.consumer("hub").unwrap();
            assert_eq!(hub.lease(100, Wait::None).unwrap().len(), 15);
            assert!(q.ledger().iter().all(edge_queue::Ledger::balanced));
        });
    }
}

/// A store that was told of once is not trusted for good.
#[test]
fn every_call_that_hangs_is_told_and_once_only() {
    must_end(|| {
        let dir = SimDir::new();
        let (q, clock) = open(&dir, Config::default());
        let _earlier = q.events();
        for nth in 0..3 {
            let Stall { hold, receipts, commit } = stall(&q, &dir, Call::Sync);
            clock.advance_ms(STALL_MS);
            let [told] = &q.events()[..] else { panic!("stall {nth}: one event") };
            assert!(matches!(told, Event::Degraded { kind: FaultKind::Stalled, .. }), "stall {nth}: {told}");
            assert!(q.events().is_empty(), "stall {nth}: told once");
            drop(hold);
            commit.join().unwrap().unwrap();
            assert!(matches!(q.events()[..], [Event::Recovered]), "stall {nth}");
            assert!(all_are(&receipts, Some(Receipt::Stored)));
        }
    });
}

#[test]
fn beyond_the_bound_the_policy_decides_and_nobody_waits_for_the_call() {
    for policy in [OnFault::Withhold, OnFault::Volatile] {
        must_end(move || {
            let dir = SimDir::new();
            let (q, clock) = open(&dir, Config::default().on_fault(policy));
            let Stall { hold, receipts, commit } = stall(&q, &dir, Call::Sync);
            clock.advance_ms(STALL_MS);
            let mut later = Vec::new();
            let refused = loop {
                match q.push(row(1)) {
                    Ok(receipt) => later.push(receipt),
                    Err(refused) => break Some(refused),
                }
                if later.len() == 1_000 {
                    break None;
                }
            };
            match policy {
                OnFault::Withhold => {
                    let refused = refused.expect("RAM is bounded");
                    assert!(matches!(refused, PushError::Full { limit: Limit::Unwritten, .. }), "{refused}");
                    assert!(all_are(&receipts, None) && all_are(&later, None));
                }
                OnFault::Volatile => {
                    assert!(refused.is_none());
                    assert!(all_are(&receipts, Some(Receipt::Volatile)));
                    assert!(q.stats().volatile_rows > 100);
                }
            }
            drop(hold);
            commit.join().unwrap().unwrap();
            q.commit().unwrap();
            let told = if policy == OnFault::Withhold { Receipt::Stored } else { Receipt::Volatile };
            assert!(all_are(&receipts, Some(told)));
            assert_eq!(q.stats().health, Health::Healthy);
        });
    }
}

#[test]
fn a_call_that_hangs_and_then_fails_is_an_error_and_heals() {
    for call in [Call::Write, Call::Sync] {
        must_end(move || {
            let dir = SimDir::new();
            let (q, clock) = open(&dir, Config::default());
            let _earlier = q.events();
            dir.fail(Fault { call, after: 0, error: FaultError::Io, sticky: false });
            let Stall { hold, receipts, commit } = stall(&q, &dir, call);
            clock.advance_ms(STALL_MS);
            // Nobody looked while it hung: the events tell it all the same.
            drop(hold);
            assert!(commit.join().unwrap().is_err());
            let [stalled, failed] = &q.events()[..] else { panic!("two events") };
            assert!(matches!(stalled, Event::Degraded { kind: FaultKind::Stalled, .. }), "{stalled}");
            assert!(matches!(failed, Event::Degraded { kind: FaultKind::Io, .. }), "{failed}");
            assert!(all_are(&receipts, None));
            clock.advance_ms(STALL_MS);
            assert!(q.tick());
            assert!(all_are(&receipts, Some(Receipt::Stored)));
            assert!(matches!(q.events()[..], [Event::Recovered]));
        });
    }
}

#[test]
fn a_read_that_hangs_stops_its_reader_only() {
    must_end(|| {
        let dir = SimDir::new();
        let (q, _) = open(&dir, Config::default());
        drop(q.consumer("slow").unwrap());
        let mut quick = q.consumer("quick").unwrap();
        let _receipts: Vec<Pending> = (0..10).map(|n| q.push(row(n)).unwrap()).collect();
        quick.lease(10, Wait::None).unwrap().ack();
        q.close().unwrap();
        let (q, clock) = open(&dir, Config::default());
        let (mut slow, mut quick) = (q.consumer("slow").unwrap(), q.consumer("quick").unwrap());
        let hold = dir.hold(Call::Read);
        let reader = std::thread::spawn(move || slow.lease(10, Wait::None).map(|chunk| chunk.len()));
        hold.wait_until_held();
        clock.advance_ms(STALL_MS);
        assert!(is_stalled(&q));
        let receipt = q.push(row(10)).unwrap();
        quick.lease(10, Wait::None).unwrap().ack();
        assert_eq!(receipt.try_get(), Ok(None), "the slow one still wants it");
        drop(hold);
        assert_eq!(reader.join().unwrap().unwrap(), 10);
        assert_eq!(q.stats().health, Health::Healthy);
    });
}

#[test]
fn an_async_program_on_one_thread_goes_on_while_the_medium_hangs() {
    must_end(|| {
        let dir = SimDir::new();
        let (sync, clock) = open(&dir, Config::default().on_full(OnFull::Reject));
        let q = aio::Queue::of(sync.clone()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut hub = q.consumer("hub").await.unwrap();
            let hold = dir.hold(Call::Sync);
            let receipt = q.push(row(0)).await.unwrap();
            let committing = q.clone();
            let mut commit = Box::pin(async move { committing.commit().await });
            // On its way to the worker thread, where it hangs.
            let polled = commit.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            assert!(polled.is_pending());
            hold.wait_until_held();
            clock.advance_ms(STALL_MS);
            let stats = q.stats().await.unwrap();
            assert!(matches!(stats.health, Health::Degraded { kind: FaultKind::Stalled, .. }));
            let mut taken = 0;
            while q.push(row(1)).await.is_ok() {
                taken += 1;
                assert!(taken < 1_000, "RAM is bounded");
            }
            hub.next_chunk(5).await.unwrap().unwrap().ack();
            assert_eq!(receipt.try_get(), Ok(Some(Receipt::HandedOver)));
            drop(hold);
            commit.await.unwrap();
            q.close().await.unwrap();
        });
    });
}

#[test]
fn a_known_consumer_is_resumed_while_a_call_hangs_and_a_new_one_waits_for_it() {
    must_end(|| {
        let dir = SimDir::new();
        let (q, _) = open(&dir, Config::default());
        drop(q.consumer("hub").unwrap());
        q.close().unwrap();
        // As a reopen finds it, and as it was registered in this run.
        let (q, _) = open(&dir, Config::default());
        drop(q.consumer("late").unwrap());
        let asynchronous = aio::Queue::of(q.clone()).unwrap();
        let Stall { hold, receipts, commit } = stall(&q, &dir, Call::Sync);
        let other = q.clone();
        let new = std::thread::spawn(move || other.consumer("new").map(drop));
        for name in ["hub", "late"] {
            assert_eq!(q.consumer(name).unwrap().lease(100, Wait::None).unwrap().len(), 10, "{name}");
            let limits = ConsumerConfig::default().max_messages(1_000);
            for limits in [None, Some(limits)] {
                let resumed = async || match limits {
                    None => asynchronous.consumer(name).await,
                    Some(limits) => asynchronous.consumer_with(name, limits).await,
                };
                let mut resumed = Box::pin(resumed());
                let polled = resumed.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                assert!(polled.is_ready(), "{name}");
            }
        }
        let mut early = Box::pin(asynchronous.consumer("new"));
        let polled = early.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(polled.is_pending() && !new.is_finished(), "its registration is not durable");
        drop((early, hold));
        commit.join().unwrap().unwrap();
        new.join().unwrap().unwrap();
        assert!(all_are(&receipts, Some(Receipt::Stored)));
        asynchronous_close(asynchronous);
        assert!(matches!(q.consumer("hub"), Err(ConsumerError::Closed)));
    });
}

fn asynchronous_close(q: aio::Queue) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(q.close()).unwrap();
}

/// Dropping the oldest row needs its size, which only the medium has after a restart.
#[test]
fn a_push_that_would_read_what_may_go_does_not_wait_for_a_call_that_hangs() {
    must_end(|| {
        let dir = SimDir::new();
        let config = || Config::default().max_messages(40).on_full(OnFull::DropOldest);
        let (q, _) = open(&dir, config());
        drop(q.consumer("hub").unwrap());
        (0..30).for_each(|n| drop(q.push(row(n)).unwrap()));
        q.close().unwrap();
        let (q, clock) = open(&dir, config());
        let Stall { hold, receipts, commit } = stall(&q, &dir, Call::Sync);
        clock.advance_ms(STALL_MS);
        let refused = q.push(row(10)).unwrap_err();
        assert!(matches!(refused, PushError::Full { limit: Limit::Messages, .. }), "{refused}");
        drop(hold);
        commit.join().unwrap().unwrap();
        assert!(all_are(&receipts, Some(Receipt::Stored)));
        assert!(q.push(row(10)).is_ok(), "and drops it once the call is back");
    });
}

/// System clock that a test can move ahead.
#[derive(Default)]
struct MovedClock {
    system: SystemClock,
    ahead_ms: AtomicU64,
}

impl Clock for MovedClock {
    fn now(&self) -> Now {
        let now = self.system.now();
        Now { up_ms: now.up_ms + self.ahead_ms.load(Ordering::Relaxed), ..now }
    }
}

/// The return of the call writes nothing that would wake it.
#[test]
fn an_async_push_that_found_no_room_because_of_a_call_that_hangs_goes_on_when_it_is_back() {
    must_end(|| {
        let dir = SimDir::new();
        let clock = Arc::new(MovedClock::default());
        let config = || Config::default().max_bytes(1 << 20).max_messages(30).on_full(OnFull::DropOldest);
        let open = || Queue::open_in(Box::new(dir.clone()), config(), clock.clone()).unwrap();
        let q = open();
        drop(q.consumer("hub").unwrap());
        (0..30).for_each(|n| drop(q.push(row(n)).unwrap()));
        q.close().unwrap();
        let q = open();
        let hold = dir.hold(Call::Read);
        let other = q.clone();
        let export = std::thread::spawn(move || other.export(&mut Vec::new()).map(drop));
        hold.wait_until_held();
        clock.ahead_ms.store(STALL_MS, Ordering::Relaxed);
        let waiting = aio::Queue::of(q.clone()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let mut push = Box::pin(waiting.push_wait(row(30)));
            assert!(push.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            drop(hold);
            export.join().unwrap().unwrap();
            let pushed = tokio::time::timeout(Duration::from_secs(10), push).await;
            drop(pushed.expect("woken").unwrap());
        });
        assert_eq!(q.ledger().iter().map(|ledger| ledger.dropped.total()).sum::<u64>(), 1);
    });
}
