//! Rows that cannot be parked: how many they are, and why.

use super::*;
use crate::bridge::spool::ParkedCount;

/// A queue of parked rows for two, which are parked, and `rows` of which the others wait in their place.
async fn with_rows_in_place(rows: u8) -> Rig {
    let (main, parked, clock) = (SimDir::new(), SimDir::new(), still());
    let small = parked_config().max_messages(2).on_full(OnFull::Reject);
    let mut rig =
        Rig::new(on(&main, config(), clock.clone()), false, opens(&parked, small, clock.clone())).await;
    rig.push((0..rows).map(row)).await;
    park_all(&mut rig).await;
    let in_place = u64::from(rows) - 2;
    assert_eq!((rig.spool.parked(), rig.spool.in_place()), (2, in_place));
    rig
}

/// A look at them leases them one after the other: those that it has not come to still wait. What the queue gave up does not wait for ever.
#[tokio::test]
async fn rows_wait_in_their_place_until_a_look_comes_to_them() {
    let mut rig = with_rows_in_place(10).await;
    rig.spool.scan_parked();
    let first = rig.lease(false, 3).await;
    assert_eq!((numbers(&first), rig.spool.in_place()), (vec![2, 3, 4], 5));
    // Others behind them are none of them.
    rig.push([row(10)]).await;
    let rest = rig.lease(false, 6).await;
    assert_eq!((numbers(&rest), rig.spool.in_place()), (vec![5, 6, 7, 8, 9, 10], 0));
    rig.park(&first);
    rig.park(&rest);
    while rig.spool.in_place() < 9 {
        soon(rig.wake.notified()).await;
    }
    assert_eq!(rig.spool.in_place(), 9);
}

#[tokio::test]
async fn rows_that_expire_in_their_place_do_not_count_for_ever() {
    let (main, parked, clock) = (SimDir::new(), SimDir::new(), still());
    let small = parked_config().max_messages(2).on_full(OnFull::Reject);
    let mut rig =
        Rig::new(on(&main, config(), clock.clone()), false, opens(&parked, small, clock.clone())).await;
    let short = |n| Row { ttl_ms: Some(if n == 4 { 1_000 } else { 60_000 }), ..row(n) };
    rig.push((0..6).map(short)).await;
    park_all(&mut rig).await;
    assert_eq!(rig.spool.in_place(), 4);
    clock.advance_ms(2_000);
    rig.spool.scan_parked();
    let rows = rig.lease(false, 3).await;
    assert_eq!(numbers(&rows), [2, 3, 5]);
    assert!(rig.spool.lease(0, 9, usize::MAX).is_empty());
    assert_eq!(rig.spool.in_place(), 0);
}

#[tokio::test]
async fn the_reason_is_known_for_as_long_as_rows_wait() {
    let mut rig = with_rows_in_place(3).await;
    let why = rig.spool.in_place_reason().unwrap();
    assert!(why.contains("limit"), "{why}");
    rig.spool.scan_parked();
    let first = rig.lease(true, 1).await;
    rig.spool.ack(first[0].id);
    let began = std::time::Instant::now();
    while rig.spool.in_place_reason().is_some() && began.elapsed() < Duration::from_secs(30) {
        park_all(&mut rig).await;
    }
    assert_eq!((rig.spool.in_place(), rig.spool.parked(), rig.spool.in_place_reason()), (0, 2, None));
}

/// A lane before theirs has rows that never waited.
#[tokio::test]
async fn rows_of_another_lane_are_not_taken_for_them() {
    let mut rig = with_rows_in_place(10).await;
    rig.push((10..12).map(|n| Row { lane: Some(0), ..row(n) })).await;
    rig.spool.scan_parked();
    let first = rig.lease(false, 3).await;
    assert_eq!((numbers(&first), rig.spool.in_place()), (vec![10, 11, 2], 7));
}

/// A list of parked rows counts those that are not parked, whether they came before it was known that they cannot be or after, and once each.
#[tokio::test]
async fn rows_that_count_as_parked_and_are_not_are_told_by_count() {
    let (main, parked, clock) = (SimDir::new(), SimDir::new(), still());
    let small = parked_config().max_messages(2).on_full(OnFull::Reject);
    let mut rig =
        Rig::new(on(&main, config(), clock.clone()), false, opens(&parked, small, clock.clone())).await;
    let heavy = |n| Row { weight: if n == 6 { 5 } else { 1 }, ..row(n) };
    rig.push((0..8).map(heavy)).await;
    let rows = rig.lease(false, 8).await;
    let topic = Utf8::from_static("a");
    let counts = [false, true].map(|of_message| ParkedCount::new(topic.clone(), of_message));
    let park = |rig: &mut Rig, leased: &Leased| {
        let at = usize::from(leased.row.payload[0] % 2);
        rig.spool.park_for(leased.id, &counts[at], REFUSED);
    };
    rows[..4].iter().for_each(|leased| park(&mut rig, leased));
    while rig.spool.in_place() < 2 {
        soon(rig.wake.notified()).await;
    }
    rows[4..].iter().for_each(|leased| park(&mut rig, leased));
    let told: Vec<_> = rig
        .spool
        .take_left()
        .into_iter()
        .map(|left| (left.count.of_message, left.rows, left.weight))
        .collect();
    assert_eq!(told, [(false, 3, 7), (true, 3, 3)]);
    assert_eq!((rig.spool.take_left(), rig.spool.parked()), (vec![], 2));
}
