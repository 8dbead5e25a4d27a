//! Promise 4 for parked rows that are moved to close holes: they are what they were.

use super::*;

#[tokio::test]
async fn a_row_that_is_moved_to_close_holes_keeps_its_identity_and_its_age() {
    let (main, parked, clock) = (SimDir::new(), SimDir::new(), still());
    let open = opens(&parked, parked_config(), clock.clone());
    let mut rig = Rig::new(on(&main, config(), clock.clone()), false, open).await;
    rig.push((0..40).map(|n| Row { ttl_ms: Some(60_000), ..row(n) })).await;
    let first = rig.lease(false, 40).await;
    clock.advance_ms(5_000);
    rig.park(&first);
    rig.all_moved(40).await;
    clock.advance_ms(1_000);
    for leased in rig.lease(true, 40).await {
        match leased.row.payload[0] % 2 {
            0 => rig.spool.ack(leased.id),
            _ => rig.spool.park(leased.id, REFUSED),
        }
    }
    rig.spool.close_holes();
    rig.spool.scan_parked();
    clock.advance_ms(500);
    let again = rig.lease(true, 20).await;
    assert_eq!(ledger(rig.parked.get().unwrap()).moved, 20);
    let is = |row: &Leased| (row.row.clone(), row.identity);
    let was: Vec<_> = first.iter().filter(|row| row.row.payload[0] % 2 == 1).map(is).collect();
    assert_eq!(again.iter().map(is).collect::<Vec<_>>(), was);
    assert!(again.iter().all(|row| row.age_ms == 6_500), "{again:?}");
}
