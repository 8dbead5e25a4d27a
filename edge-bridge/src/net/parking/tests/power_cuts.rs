//! Power cuts: wherever they come, every row is in one queue at least, and the judge of that convicts a planted bug.

use std::collections::BTreeMap;

use edge_queue::testing::{Call, Outcome};

use super::*;

/// Judges one crash state: every row is somewhere, under the identity that it always had.
fn judge(main: &SimDir, parked: &SimDir, ids: &BTreeMap<u8, Identity>) -> Result<(), String> {
    let mut found = drain(&on(main, config(), still()), false);
    found.extend(drain(&on(parked, parked_config(), still()), true));
    for (n, id) in ids {
        let copies: Vec<_> = found.iter().filter(|(number, _)| number == n).collect();
        if copies.is_empty() {
            return Err(format!("lost: {n}"));
        }
        if copies.iter().any(|(_, found)| found != id) {
            return Err(format!("identity: {n} is {copies:?} and was {id}"));
        }
    }
    Ok(())
}

/// Cuts the power at every boundary between the first call of the parking and the last commit of the first queue. `reversed`: as if the
/// first queue had been told before the parked rows were durable.
async fn cut_everywhere(reversed: bool) -> Result<usize, String> {
    let (main, parked, clock) = (SimDir::new(), SimDir::new(), still());
    let mut rig =
        Rig::new(on(&main, config(), clock.clone()), false, opens(&parked, parked_config(), clock.clone()))
            .await;
    rig.push((0..4).map(row)).await;
    let rows = rig.lease(false, 4).await;
    let ids = rows.iter().map(|row| (row.row.payload[0], row.identity.unwrap())).collect();
    main.record();
    parked.record();
    let hold = main.hold(Call::Write);
    rig.park(&rows);
    rig.all_moved(4).await;
    assert_eq!(main.recorded(), 0, "the first queue writes nothing before the other is done");
    let there = parked.recorded();
    drop(hold);
    rig.spool.commit();
    while !rig.spool.is_committed() {
        soon(rig.wake.notified()).await;
    }
    assert_eq!(parked.recorded(), there, "nothing new to write");
    let here = main.recorded();
    assert!(there > 0 && here > 0);
    let mut path: Vec<(usize, usize)> =
        (0..=there).map(|p| (0, p)).chain((1..=here).map(|m| (m, there))).collect();
    if reversed {
        path = (0..=here).map(|m| (m, 0)).chain((1..=there).map(|p| (here, p))).collect();
    }
    for outcome in Outcome::ALL {
        let (mut main, mut parked) = (main.recording(), parked.recording());
        for (m, p) in &path {
            let seed = (*m * 1_000 + *p) as u64;
            let (main, parked) = (main.crash_at(*m, outcome, seed), parked.crash_at(*p, outcome, seed));
            judge(&main, &parked, &ids)
                .map_err(|why| format!("{outcome:?} after {m} and {p} operations: {why}"))?;
        }
    }
    Ok(path.len() * Outcome::ALL.len())
}

#[tokio::test]
async fn a_power_cut_anywhere_leaves_every_row_in_one_queue_at_least() {
    let states = cut_everywhere(false).await.unwrap();
    println!("executed parking crash states: {states} cases");
}

/// The control: rows taken out before they are durable elsewhere are found missing.
#[tokio::test]
async fn rows_taken_out_too_early_are_found_by_the_judge() {
    let why = cut_everywhere(true).await.unwrap_err();
    assert!(why.contains("lost: "), "{why}");
}
