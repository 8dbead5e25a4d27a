//! Promise 6 for refused rows: the limit of the age counts from when a row was accepted, wherever it waits.

use super::*;

#[tokio::test]
async fn a_parked_row_waits_no_longer_than_its_lane_allows() {
    let (main, parked, clock) = (SimDir::new(), SimDir::new(), still());
    let limited = config().max_age(Duration::from_secs(60));
    let open = opens(&parked, parked_config(), clock.clone());
    let mut rig = Rig::new(on(&main, limited, clock.clone()), false, open).await;
    rig.push((0..2).map(row)).await;
    let rows = rig.lease(false, 2).await;
    clock.advance_ms(40_000);
    rig.park(&rows);
    rig.all_moved(2).await;
    let again = rig.lease(true, 2).await;
    assert_eq!(numbers(&again), [0, 1]);
    again.iter().for_each(|row| rig.spool.give_back(row.id));
    clock.advance_ms(21_000);
    soon(async {
        while ledger(rig.parked.get().unwrap()).dropped.for_reason(Reason::Expired) < 2 {
            assert!(rig.spool.lease_parked(0, 2, usize::MAX).is_empty());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}
