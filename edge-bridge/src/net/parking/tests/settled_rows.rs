//! Promise 4 for rows that came to the hub on another way: a receipt has them in no queue, whatever the hub says of the copies in flight.

use edge_queue::{IdRange, RowId};

use super::*;

/// The link's copies are under way when the receipt comes, and the hub refuses them then.
#[tokio::test]
async fn a_refused_row_whose_receipt_ended_its_lease_is_not_parked() {
    let (main, parked, clock) = (SimDir::new(), SimDir::new(), still());
    let open = opens(&parked, parked_config(), clock.clone());
    let mut rig = Rig::new(on(&main, config(), clock.clone()), false, open).await;
    rig.push((0..4).map(row)).await;
    let rows = rig.lease(false, 4).await;
    let Identity { gateway, lane, epoch, seq } = rows[0].identity.unwrap();
    let first = RowId { gateway, lane: edge_queue::Lane(lane), epoch, seq };
    let acked = rig.main.ack_ids(CONSUMER, vec![IdRange { first, last: seq + 1 }]).await.unwrap();
    assert_eq!((acked.acked, acked.gone, acked.no_range), (2, 0, 0));
    // Its PUBACK, and three refusals: the last two are of rows that the receipt did not name.
    rig.spool.ack(rows[0].id);
    rig.park(&rows[1..]);
    rig.all_moved(2).await;
    assert_eq!((ledger(&rig.main).delivered, ledger(&rig.main).queued), (2, 0));
    let copies = rig.parked.get().unwrap().clone();
    rig.end().await.close().await.unwrap();
    copies.close().await.unwrap();
    assert_eq!(drain(&on(&main, config(), clock.clone()), false), []);
    let kept: Vec<u8> = drain(&on(&parked, parked_config(), clock), true).iter().map(|row| row.0).collect();
    assert_eq!(kept, [2, 3]);
}
