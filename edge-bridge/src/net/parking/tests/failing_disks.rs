//! Disks that fail, come late or have no room: rows stay in their place until they can be parked.

use std::sync::atomic::AtomicU32;

use edge_queue::SystemClock;
use edge_queue::testing::{Call, Fault, FaultError};

use super::*;

#[tokio::test(start_paused = true)]
async fn without_disk_for_it_rows_stay_in_place_and_are_parked_when_there_is() {
    let (main, parked, clock) = (SimDir::new(), SimDir::new(), still());
    let tries = Arc::new(AtomicU32::new(0));
    let (inner, counted) = (opens(&parked, parked_config(), clock.clone()), tries.clone());
    let open: Open = Box::new(move || match counted.fetch_add(1, Ordering::Relaxed) {
        0..=2 => Box::pin(async { Err(OpenError::NoSpace { needed: 1 << 30, free: 0, lower: None }) }),
        _ => inner(),
    });
    let mut rig = Rig::new(on(&main, config(), clock.clone()), false, open).await;
    rig.push((0..3).map(row)).await;
    let rows = rig.lease(false, 3).await;
    rig.park(&rows[..2]);
    while rig.spool.in_place() < 2 {
        soon(rig.wake.notified()).await;
    }
    let here = ledger(&rig.main);
    assert_eq!((here.queued, here.leased, here.moved), (3, 1, 0), "in place, and nobody's");
    assert_eq!(rig.spool.parked(), 0);
    // The clock is virtual, the disk's thread is not.
    while ledger(&rig.main).moved < 2 {
        let again = rig.spool.lease(0, 9, usize::MAX);
        rig.park(&again);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(tries.load(Ordering::Relaxed), 4);
    assert_eq!(numbers(&rig.lease(true, 2).await), [0, 1]);
}

#[tokio::test]
async fn rows_leave_their_place_only_when_a_failing_disk_works_again() {
    let (main, parked) = (SimDir::new(), SimDir::new());
    let clock = || Arc::new(SystemClock::new());
    let mut rig =
        Rig::new(on(&main, config(), clock()), false, opens(&parked, parked_config(), clock())).await;
    rig.push((0..4).map(row)).await;
    let rows = rig.lease(false, 4).await;
    rig.park(&rows[..1]);
    rig.all_moved(1).await;
    parked.fail(Fault { call: Call::Sync, after: 0, error: FaultError::Io, sticky: true });
    rig.park(&rows[1..]);
    let there = rig.parked.get().unwrap().clone();
    while there.stats().await.is_none_or(|stats| stats.health == edge_queue::Health::Healthy) {
        tokio::task::yield_now().await;
    }
    assert_eq!(ledger(&rig.main).moved, 1);
    assert_eq!(rig.spool.parked(), 7, "three of them twice for as long as it takes");
    parked.heal();
    rig.all_moved(4).await;
    assert_eq!(rig.spool.parked(), 4);
}

/// An order that failed, whichever disk it was, is not said to be done, and not missed for ever by those after it.
#[tokio::test]
async fn ends_are_durable_again_when_a_disk_works_that_failed() {
    for of_parked in [false, true] {
        let (main, parked) = (SimDir::new(), SimDir::new());
        let clock = || Arc::new(SystemClock::new());
        let mut rig =
            Rig::new(on(&main, config(), clock()), false, opens(&parked, parked_config(), clock())).await;
        rig.push((0..2).map(row)).await;
        let mut rows = rig.lease(false, 2).await;
        if of_parked {
            rig.park(&rows);
            rig.all_moved(2).await;
            rows = rig.lease(true, 2).await;
        }
        let (disk, queue) = match of_parked {
            true => (parked, rig.parked.get().unwrap().clone()),
            false => (main, rig.main.clone()),
        };
        disk.fail(Fault { call: Call::Sync, after: 0, error: FaultError::Io, sticky: true });
        rig.spool.settle(rows[0].id, Settled::Discarded);
        rig.spool.commit();
        while queue.stats().await.is_none_or(|stats| stats.health == edge_queue::Health::Healthy) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // The same order goes to the other disk, which works.
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(!rig.spool.is_committed(), "of the parked ones: {of_parked}");
        disk.heal();
        rig.spool.settle(rows[1].id, Settled::Discarded);
        rig.spool.commit();
        while !rig.spool.is_committed() {
            soon(rig.wake.notified()).await;
        }
    }
}

/// Once a minute in the end, and without a line in the log for each.
#[tokio::test(start_paused = true)]
async fn rows_of_an_earlier_run_that_cannot_be_opened_are_asked_for_ever_more_slowly() {
    let (main, clock, opened) = (SimDir::new(), still(), Arc::new(AtomicU32::new(0)));
    let count = opened.clone();
    let open: Open = Box::new(move || {
        count.fetch_add(1, Ordering::Relaxed);
        Box::pin(async { Err(OpenError::NoSpace { needed: 1 << 30, free: 0, lower: None }) })
    });
    let rig = Rig::new(on(&main, config(), clock), true, open).await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert!((10..=20).contains(&opened.load(Ordering::Relaxed)), "{opened:?} in ten minutes");
    rig.end().await;
}

#[tokio::test]
async fn what_waits_for_a_disk_that_does_not_come_holds_nobody_up() {
    let (main, clock) = (SimDir::new(), still());
    let open: Open =
        Box::new(|| Box::pin(async { Err(OpenError::NoSpace { needed: 1 << 30, free: 0, lower: None }) }));
    let mut rig = Rig::new(on(&main, config(), clock), false, open).await;
    rig.push((0..30).map(|n| Row { payload: Bytes::from(vec![n; 200_000]), ..row(n) })).await;
    let mut next = 0;
    while next < 30 {
        let rows = rig.lease(false, 1).await;
        let at = numbers(&rows)[0];
        if at == next {
            next += 1;
        } else {
            // A second has passed: rows that wait in their place are looked at again.
            assert!(at < next && !at.is_multiple_of(3), "{at} before {next}");
        }
        match at % 3 {
            0 => rig.spool.ack(rows[0].id),
            _ => rig.park(&rows),
        }
    }
    soon(async {
        while rig.spool.in_place() < 20 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    let main = rig.end().await;
    let here = ledger(&main);
    assert_eq!((here.delivered, here.queued, here.leased), (10, 20, 0));
}

/// The alarm went out when something else woke the link.
#[tokio::test]
async fn a_row_that_comes_after_a_failed_read_wakes_the_link() {
    let (main, parked, clock) = (SimDir::new(), SimDir::new(), still());
    let before = on(&main, config(), clock.clone());
    (0..3).for_each(|n| drop(before.push(row(n).into_queue_row()).unwrap()));
    before.close().unwrap();
    let queue = on(&main, config(), clock.clone());
    let mut rig = Rig::new(queue, false, opens(&parked, parked_config(), clock)).await;
    main.fail(Fault { call: Call::Read, after: 0, error: FaultError::Io, sticky: true });
    assert!(rig.spool.lease(0, 9, usize::MAX).is_empty());
    while rig.main.stats().await.is_none_or(|stats| stats.health == edge_queue::Health::Healthy) {
        tokio::task::yield_now().await;
    }
    // Until the link has seen the error, and nothing wakes it any more.
    while tokio::time::timeout(Duration::from_millis(100), rig.wake.notified()).await.is_ok() {
        assert!(rig.spool.lease(0, 9, usize::MAX).is_empty());
    }
    rig.push([Row { lane: Some(0), ..row(9) }]).await;
    soon(rig.wake.notified()).await;
    assert_eq!(numbers(&rig.spool.lease(0, 9, usize::MAX)), [9]);
}
