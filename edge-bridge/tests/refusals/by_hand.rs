//! Parked rows in the hands of a person: seen, tried again, dropped, copied.

use std::collections::HashSet;

use edge_bridge::bridge::UplinkEvent;
use edge_bridge::bridge::spool::{Gone, Settled};
use edge_bridge::wire::Publish;

use crate::refusal_support::{Rig, TAKEN, payload_number};
use crate::{MINUTE, QUOTA, SECOND};

/// Two refused topics, and one that goes on.
fn two_refused(rows: u32) -> Rig {
    let refused = |publish: &Publish| publish.topic == "t/0" || publish.topic == "t/1";
    let mut rig = Rig::new(move |_, publish| if refused(publish) { QUOTA } else { TAKEN });
    rig.fill(rows, 3);
    rig.run_until(20 * SECOND);
    rig
}

fn discarded(rig: &mut Rig) -> usize {
    let gone = rig.core.spool_mut().drain_gone();
    gone.filter(|(_, why)| *why == Gone::Settled(Settled::Discarded)).count()
}

/// Rows of each pass that is over, and whether it was whole.
fn over_by_hand(rig: &Rig) -> Vec<(u64, bool)> {
    let over = rig.events.iter().filter_map(|event| match event {
        UplinkEvent::ByHand { count, left_out, .. } => Some((count.messages, left_out.is_none())),
        _ => None,
    });
    over.collect()
}

#[test]
fn a_person_sees_what_is_refused() {
    let mut rig = two_refused(300);
    let list = rig.core.parked(rig.now());
    let named: Vec<_> = list.topics.iter().map(|topic| (topic.topic.as_ref(), topic.reason.get())).collect();
    assert_eq!(named, [("t/0", 0x97), ("t/1", 0x97)]);
    for topic in &list.topics {
        assert_eq!(topic.held as u64 + topic.parked, 100, "{list:?}");
        assert!(topic.retry_in_ms.is_some_and(|ms| ms <= 10 * MINUTE), "{list:?}");
    }
    assert_eq!(list.parked, rig.core.stats().parked);
    rig.script = Box::new(|_, _| TAKEN);
    rig.run_until_empty(10 * MINUTE);
    assert_eq!(rig.core.parked(rig.now()).topics, []);
}

/// A retry does not wait for the back-off, and is for the topics that it names.
#[test]
fn a_person_need_not_wait_for_the_next_attempt() {
    for filter in ["t/0", "#"] {
        let mut rig = two_refused(300);
        rig.run_until(5 * MINUTE);
        let waits = |rig: &Rig| rig.core.parked(rig.now()).topics.iter().map(|t| t.retry_in_ms).min();
        assert!(waits(&rig).flatten().is_some_and(|ms| ms > 2 * SECOND), "{:?}", rig.core.parked(rig.now()));
        rig.script = Box::new(|_, _| TAKEN);
        rig.retry(filter);
        let now_ms = rig.now_ms;
        rig.run_until(now_ms + 2 * SECOND);
        let arrived = [rig.arrived("t/0").len(), rig.arrived("t/1").len()];
        assert_eq!(arrived, if filter == "#" { [100, 100] } else { [100, 0] }, "{filter}");
        rig.run_until_empty(20 * MINUTE);
        rig.assert_all_in_order(300);
    }
}

/// Dropping settles what matches as discarded, what is held included, with or without a connection; all else stays, in its order.
#[test]
fn a_person_drops_one_topic() {
    for offline in [false, true] {
        let mut rig = two_refused(30_000);
        assert_eq!(discarded(&mut rig), 0);
        if offline {
            rig.hub_is_gone = true;
            rig.cut();
        }
        assert!(rig.drop_parked("t/1"));
        let now_ms = rig.now_ms;
        rig.run_until(now_ms + SECOND);
        assert_eq!(over_by_hand(&rig), [(10_000, true)], "offline {offline}");
        assert_eq!((discarded(&mut rig), rig.core.spool().len()), (10_000, 10_000));
        let list = rig.core.parked(rig.now());
        assert!(list.topics.iter().all(|topic| topic.topic == "t/0"), "{list:?}");
        rig.hub_is_gone = false;
        rig.script = Box::new(|_, _| TAKEN);
        rig.run_until_empty(20 * MINUTE);
        assert_eq!((rig.arrived("t/0").len(), rig.arrived("t/1").len()), (10_000, 0));
        rig.assert_all_in_order(20_000);
    }
}

/// Copies are whole and remove nothing; what comes meanwhile goes behind.
#[test]
fn a_person_copies_what_is_parked() {
    let mut rig = two_refused(3_000);
    rig.copy_parked("t/1");
    let mut copies = Vec::new();
    let mut next = 3_000;
    while over_by_hand(&rig).is_empty() {
        copies.extend(rig.take_copies());
        if next < 3_030 {
            rig.push("t/1", next);
            next += 1;
        }
        let now_ms = rig.now_ms;
        rig.run_until(now_ms + 10);
    }
    let found: HashSet<u32> = copies.iter().map(|row| payload_number(&row.payload)).collect();
    assert_eq!((found.len(), copies.len()), (1_000, 1_000));
    assert!(copies.iter().all(|row| row.topic == "t/1" && row.reason.is_some_and(|why| why.get() == 0x97)));
    assert_eq!(over_by_hand(&rig), [(1_000, true)]);
    rig.script = Box::new(|_, _| TAKEN);
    rig.run_until_empty(20 * MINUTE);
    rig.assert_all_in_order(next as usize);
}

/// Somebody who asks for copies and does not take them holds nothing up for longer than five seconds.
#[test]
fn copies_that_nobody_takes_delay_little() {
    let mut rig = two_refused(3_000);
    rig.copy_parked("#");
    let now_ms = rig.now_ms;
    rig.run_until(now_ms + 6 * SECOND);
    assert!(matches!(over_by_hand(&rig)[..], [(_, false)]), "{:?}", rig.events);
    rig.script = Box::new(|_, _| TAKEN);
    rig.run_until_empty(20 * MINUTE);
    rig.assert_all_in_order(3_000);
}
