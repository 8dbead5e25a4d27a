//! Sweeps: parked rows are tried again, before new ones of their topic.

use bytes::Bytes;
use edge_bridge::Row;
use edge_bridge::bridge::spool::Spool;
use edge_bridge::wire::{PropertyId, Publish, ReasonCode, Value};

use crate::refusal_support::{Rig, TAKEN, number, text};
use crate::{MINUTE, QUOTA, SECOND};

/// Promise 12: dead letters that are refused do not count for the topic of their rows, whose new rows go behind its parked ones.
#[test]
fn parked_dead_letters_are_not_of_the_topic_of_their_rows() {
    let mut rig = Rig::new(|_, _| QUOTA);
    rig.properties = vec![(PropertyId::ReceiveMaximum, Value::U16(1))];
    for n in 0..300 {
        let mut row = Row::new(text("t/0"), Bytes::from(n.to_string()));
        row.dead_letter = Some(ReasonCode::PAYLOAD_FORMAT_INVALID);
        rig.push_row(row);
    }
    (300..400).for_each(|n| rig.push("t/0", n));
    rig.run_until(30 * SECOND);
    assert!(rig.core.stats().parked > 300, "{:?}", rig.core.stats());
    rig.script = Box::new(|_, publish| if publish.topic == "t/0" { TAKEN } else { QUOTA });
    for n in 400..5_000 {
        rig.push("t/0", n);
        rig.run_until(rig.now_ms + 10);
    }
    rig.run_until(rig.now_ms + 10 * MINUTE);
    assert_eq!(rig.arrived("t/0"), (300..5_000).collect::<Vec<_>>());
    rig.script = Box::new(|_, _| TAKEN);
    rig.run_until_empty(20 * MINUTE);
    rig.assert_all_in_order(5_000);
}

/// Promise 12: rows that are on their way to the parked ones while a sweep passes are older than new ones.
#[test]
fn a_sweep_does_not_forget_rows_on_their_way_to_the_parked_ones() {
    for arrive_ms in [100, 3 * SECOND, 5 * MINUTE] {
        let mut rig = Rig::new(|_, _| QUOTA);
        let spool = rig.core.spool_mut();
        (spool.in_place, spool.parks_slowly) = (true, true);
        rig.fill(100, 1);
        rig.run_until(10 * SECOND);
        assert_eq!(rig.core.stats().parked, 92, "on their way");
        rig.script = Box::new(|_, _| TAKEN);
        rig.retry("#");
        let until_ms = rig.now_ms + arrive_ms;
        for n in 100..120 {
            rig.push("t/0", n);
            rig.run_until(rig.now_ms + arrive_ms / 40);
        }
        rig.run_until(until_ms);
        rig.arrive();
        (120..140).for_each(|n| rig.push("t/0", n));
        for _ in 0..10 {
            rig.run_until(rig.now_ms + SECOND);
            rig.arrive();
        }
        rig.run_until_empty(MINUTE);
        rig.assert_all_in_order(140);
        let scans = rig.core.spool_mut().scans;
        assert!(u64::from(scans) < 10 + arrive_ms / (4 * SECOND), "{scans} passes in {arrive_ms} ms");
    }
}

/// Promise 12: rows that stand for several messages are passed by a sweep like others.
#[test]
fn a_sweep_passes_all_parked_rows_whatever_their_weight() {
    let mut rig = Rig::new(|_, _| QUOTA);
    let row = |n: u32| {
        let mut row = Row::new(text("t/0"), Bytes::from(n.to_string()));
        row.weight = 3;
        row
    };
    (0..400).for_each(|n| rig.push_row(row(n)));
    rig.run_until(10 * SECOND);
    assert_eq!(rig.core.stats().parked, 3 * 392, "messages");
    rig.script = Box::new(|_, _| TAKEN);
    rig.retry("#");
    for n in 400..600 {
        rig.push_row(row(n));
        rig.run_until(rig.now_ms + 1);
    }
    rig.run_until_empty(MINUTE);
    rig.assert_all_in_order(600);
}

/// New rows of a topic that is being healed go behind those that were parked, while they keep coming.
#[test]
fn order_is_kept_while_rows_come() {
    let mut rig = Rig::new(|_, publish| if publish.topic == "t/0" { QUOTA } else { TAKEN });
    for n in 0..600u32 {
        rig.push(if n % 2 == 0 { "t/0" } else { "t/1" }, n);
        let now_ms = rig.now_ms;
        rig.run_until(now_ms + 50);
        if n == 300 {
            rig.script = Box::new(|_, _| TAKEN);
        }
    }
    rig.run_until_empty(5 * MINUTE);
    rig.assert_all_in_order(600);
}

/// 300 refused topics are more than are kept in RAM: none is lost, the good ones go on.
#[test]
fn more_refused_topics_than_are_remembered() {
    let is_bad = |publish: &Publish| number(publish) % 601 < 300;
    let mut rig = Rig::new(move |_, publish| if is_bad(publish) { QUOTA } else { TAKEN });
    (0..1_803).for_each(|n: u32| rig.push(&format!("t/{}", n % 601), n));
    rig.run_until(20 * SECOND);
    assert_eq!(rig.delivered.len(), 903);
    assert!(rig.core.stats().refused_topics <= 256);
    rig.script = Box::new(|_, _| TAKEN);
    rig.run_until_empty(25 * MINUTE);
    rig.assert_all(1_803);
}

/// A sweep ends where it began, though swept rows are held: those that it parks again are not passed twice, which would mix them up.
#[test]
fn a_sweep_past_held_rows_keeps_the_order() {
    let mut taken = 0;
    let mut rig = Rig::new(|_, publish| if publish.topic == "t/2" { TAKEN } else { QUOTA });
    rig.properties = vec![(PropertyId::ReceiveMaximum, Value::U16(4))];
    rig.fill(900, 3);
    rig.run_until(10 * SECOND);
    // Topic 0 is taken for a moment: its sweep ends in refusals, with swept rows held.
    rig.script = Box::new(move |_, publish| {
        taken += u32::from(publish.topic == "t/0");
        if publish.topic == "t/0" && taken < 20 { TAKEN } else { QUOTA }
    });
    rig.retry("t/0");
    rig.run_until(15 * SECOND);
    // Topic 1 heals, and its sweep passes all of topic 0.
    rig.script = Box::new(|_, publish| if publish.topic == "t/1" { TAKEN } else { QUOTA });
    rig.retry("t/1");
    rig.run_until(20 * SECOND);
    assert_eq!(rig.arrived("t/1").len(), 300, "{:?}", rig.core.stats());
    rig.script = Box::new(|_, _| TAKEN);
    rig.run_until_empty(20 * MINUTE);
    rig.assert_all_in_order(900);
}

/// A store that opens on its own time tells of parked rows when the connection is long up.
#[test]
fn rows_parked_in_an_earlier_life_are_tried_whenever_the_store_tells_of_them() {
    let mut rig = Rig::new(|_, _| TAKEN);
    rig.push("t/0", 0);
    rig.run_until_empty(10 * SECOND);
    let now_ms = rig.now().up_ms;
    let row = Row::new(text("t/1"), Bytes::from_static(b"00000001"));
    let spool = rig.core.spool_mut();
    spool.push(now_ms, row).unwrap();
    let lease = spool.lease(now_ms, 1, 1_000).remove(0);
    spool.park(lease.id, ReasonCode::QUOTA_EXCEEDED);
    // It wakes the link then.
    rig.push("t/0", 2);
    rig.run_until(now_ms + 10 * SECOND);
    assert_eq!(rig.core.stats().parked, 0);
    assert_eq!(rig.arrived("t/1").len(), 1);
}
