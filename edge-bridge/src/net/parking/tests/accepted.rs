//! A row is stored among the parked ones only when the queue that accepted it has it on disk: what is delivered was accepted, also after a kill.

use std::collections::BTreeSet;

use edge_queue::testing::{Call, Fault, FaultError, Outcome};

use super::*;

/// Every identity that is found after a power cut was accepted, and none is missing of those.
fn sums_up(main: &SimDir, parked: &SimDir) -> Result<(), String> {
    let accepted = ledger_of(&on(main, config(), still()));
    let mut found = drain(&on(main, config(), still()), false);
    found.extend(drain(&on(parked, parked_config(), still()), true));
    let delivered: BTreeSet<Vec<u64>> =
        found.iter().map(|(_, id)| vec![id.gateway, id.epoch.into(), id.seq]).collect();
    match delivered.len() as u64 {
        n if n == accepted => Ok(()),
        n => Err(format!("{n} delivered of {accepted} accepted: {found:?}")),
    }
}

fn ledger_of(queue: &Queue) -> u64 {
    queue.ledger().iter().map(|ledger| ledger.accepted).sum()
}

#[tokio::test]
async fn what_is_parked_was_accepted_wherever_the_power_is_cut() {
    let (main, parked, clock) = (SimDir::new(), SimDir::new(), still());
    let open = opens(&parked, parked_config(), clock.clone());
    let mut rig = Rig::new(on(&main, config(), clock.clone()), false, open).await;
    // The queue of the parked rows is there.
    rig.push([row(0)]).await;
    let first = rig.lease(false, 1).await;
    rig.park(&first);
    rig.all_moved(1).await;
    rig.spool.commit();
    while !rig.spool.is_committed() {
        soon(rig.wake.notified()).await;
    }
    for n in 1..5 {
        drop(rig.main.push(row(n).into_queue_row()).await.unwrap());
    }
    let rows = rig.lease(false, 4).await;
    main.record();
    parked.record();
    let hold = main.hold(Call::Write);
    rig.park(&rows);
    // As long as rows that do not wait for the first queue would need.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let early = parked.recorded();
    let hold_there = parked.hold(Call::Write);
    drop(hold);
    rig.main.commit().await.unwrap();
    let known = main.recorded();
    drop(hold_there);
    rig.all_moved(5).await;
    rig.spool.commit();
    while !rig.spool.is_committed() {
        soon(rig.wake.notified()).await;
    }
    let (here, there) = (main.recorded(), parked.recorded());
    let path = (0..=early).map(|p| (0, p)).chain((0..=known).map(|m| (m, early)));
    let path = path.chain((early..=there).map(|p| (known, p))).chain((known..=here).map(|m| (m, there)));
    let path: Vec<(usize, usize)> = path.collect();
    for outcome in Outcome::ALL {
        let (mut main, mut parked) = (main.recording(), parked.recording());
        for (m, p) in &path {
            let seed = (*m * 1_000 + *p) as u64;
            let (main, parked) = (main.crash_at(*m, outcome, seed), parked.crash_at(*p, outcome, seed));
            sums_up(&main, &parked)
                .unwrap_or_else(|why| panic!("{outcome:?} after {m} and {p} operations: {why}"));
        }
    }
    assert!(known > 0 && here > known && there > 0);
}

/// Rows that their own queue cannot make durable stay there, and are parked when it can.
#[tokio::test]
async fn rows_that_their_own_queue_cannot_store_wait_in_their_place() {
    let (main, parked, clock) = (SimDir::new(), SimDir::new(), still());
    let open = opens(&parked, parked_config(), clock.clone());
    let mut rig = Rig::new(on(&main, config(), clock), false, open).await;
    drop(rig.main.push(row(1).into_queue_row()).await.unwrap());
    let rows = rig.lease(false, 1).await;
    main.fail(Fault { call: Call::Sync, after: 0, error: FaultError::Io, sticky: true });
    rig.park(&rows);
    soon(async {
        while rig.spool.in_place() < 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert_eq!((rig.spool.parked(), ledger(&rig.main).moved), (0, 0));
    main.heal();
    soon(async {
        while ledger(&rig.main).moved < 1 {
            park_all(&mut rig).await;
        }
    })
    .await;
    assert_eq!(rig.spool.parked(), 1);
}
