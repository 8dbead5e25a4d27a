//! Refused links: a hub that takes nothing gets probes, and everything once it is mended.

use bytes::Bytes;
use edge_bridge::Row;
use edge_bridge::bridge::UplinkEvent;
use edge_bridge::bridge::spool::Spool;
use edge_bridge::wire::{PropertyId, ReasonCode, Value};

use crate::refusal_support::pack::NO_MESSAGE;
use crate::refusal_support::{Answer, Rig, TAKEN, text};
use crate::{DENIED, MINUTE, SECOND};

/// Promise 4: a hub that denies everything gets no more than probes; nothing leaves, nothing is parked, and all comes in order once it is mended.
#[test]
fn a_wrong_acl_loses_nothing_and_is_told_in_few_words() {
    for topics in [1, 10] {
        let mut rig = Rig::new(|_, _| DENIED);
        rig.properties = vec![(PropertyId::ReceiveMaximum, Value::U16(100))];
        rig.fill(20_000, topics);
        rig.run_until(10 * SECOND);
        let stats = rig.core.stats();
        assert!(stats.link_refused, "{stats:?}");
        assert_eq!((stats.parked, rig.core.spool().len()), (0, 20_000), "everything waits in place");
        assert!(rig.published < 120, "{} messages to a hub that takes none", rig.published);
        rig.run_until(2 * MINUTE);
        rig.script = Box::new(|_, _| TAKEN);
        rig.run_until_empty(6 * MINUTE);
        rig.assert_all_in_order(20_000);
        assert!(rig.told() < 20, "{:?}", rig.events);
        assert!(!rig.core.stats().link_refused && rig.core.stats().parked == 0);
    }
}

/// A refused link is looked through for topics that were not tried: one that is taken again does not wait for the back-off.
#[test]
fn an_alarm_that_is_allowed_does_not_wait_for_the_probe_of_a_refused_link() {
    for pause in [20 * SECOND, 5 * MINUTE, 40 * MINUTE] {
        let mut rig = Rig::new(|_, publish| if publish.topic == "alarm" { TAKEN } else { DENIED });
        rig.fill(500, 10);
        rig.run_until(pause);
        assert!(rig.core.stats().link_refused && rig.core.stats().parked == 0, "{:?}", rig.core.stats());
        assert!(rig.published < 700, "{} messages", rig.published);
        rig.push("alarm", 10_000);
        rig.run_until(pause + 3 * SECOND);
        assert_eq!(rig.arrived("alarm"), [10_000], "after {pause} ms: {:?}", rig.core.stats());
        rig.script = Box::new(|_, _| TAKEN);
        rig.run_until_empty(20 * MINUTE);
        rig.assert_all_in_order(501);
    }
}

/// More denied topics before it than a few: each is probed once before the back-off, and none twice before the last.
#[test]
fn a_topic_that_is_allowed_is_found_behind_many_that_are_denied() {
    for denied in [100, 1_000] {
        let mut rig = Rig::new(|_, publish| if publish.topic == "ok" { TAKEN } else { DENIED });
        rig.properties = vec![(PropertyId::ReceiveMaximum, Value::U16(20))];
        (0..denied).for_each(|n| rig.push(&format!("bad/{n}"), n));
        rig.push("ok", 10_000);
        rig.run_until(u64::from(denied) * SECOND / 3 + MINUTE);
        assert_eq!(rig.arrived("ok"), [10_000], "{denied}: {:?}", rig.core.stats());
        rig.script = Box::new(|_, _| TAKEN);
        rig.run_until_empty(25 * MINUTE);
        rig.assert_all(denied as usize + 1);
    }
}

/// The probe of a refused link may be a row of which no message can be made: another row probes then.
#[test]
fn a_probe_that_is_no_message_leaves_the_turn_to_another() {
    let mut rig = Rig::new(|_, _| DENIED);
    rig.fill(20, 1);
    rig.run_until(SECOND / 2);
    assert!(rig.core.stats().link_refused, "{:?}", rig.core.stats());
    // Of a topic that was not tried: the next probe is this row.
    rig.push(NO_MESSAGE, 99);
    rig.run_until(MINUTE);
    assert_eq!(rig.core.stats().parked, 1, "{:?}", rig.core.stats());
    let is_named =
        |event: &UplinkEvent| matches!(event, UplinkEvent::Parked(refusal) if refusal.topic == NO_MESSAGE);
    assert!(rig.events.iter().any(is_named), "{:?}", rig.events);
    assert!(rig.core.stats().link_refused, "{:?}", rig.core.stats());
    rig.script = Box::new(|_, _| TAKEN);
    rig.run_until(10 * MINUTE);
    assert_eq!(rig.arrived("t/0"), (0..20).collect::<Vec<_>>());
    assert!(!rig.core.stats().link_refused);
}

/// Rows of eight topics, which are refused and then expire.
fn refuse_the_link(rig: &mut Rig) {
    for n in 0..8 {
        let mut row = Row::new(text(&format!("t/{n}")), Bytes::from(n.to_string()));
        row.ttl_ms = Some(20 * SECOND);
        rig.push_row(row);
    }
    rig.run_until(SECOND);
}

/// Rows of an earlier run, of which the spool learns late.
fn find_parked(rig: &mut Rig) {
    let now_ms = rig.now_ms;
    let spool = rig.core.spool_mut();
    for n in 100..120 {
        let row = Row::new(text(&format!("p/{}", n % 4)), Bytes::from(n.to_string()));
        spool.push(now_ms, row).unwrap();
    }
    for row in spool.lease(now_ms, 100, 10_000) {
        if row.row.topic.starts_with('p') {
            spool.park(row.id, ReasonCode::NOT_AUTHORIZED);
        } else {
            spool.give_back(row.id);
        }
    }
}

#[test]
fn a_parked_row_probes_a_refused_link_when_nothing_else_is_left() {
    for in_place in [true, false] {
        let mut rig = Rig::new(|_, _| Answer::Ack(0x87));
        rig.core.spool_mut().in_place = in_place;
        refuse_the_link(&mut rig);
        find_parked(&mut rig);
        rig.run_until(600 * SECOND);
        let (published, parked) = (rig.published, rig.core.stats().parked);
        assert_eq!((rig.core.spool().len(), parked), (20, 20), "nothing is lost: {:?}", rig.core.stats());
        assert!(published < 200, "{published} messages in ten minutes");
        rig.script = Box::new(|_, _| TAKEN);
        rig.run_until_empty(1_300 * SECOND);
        rig.assert_all_in_order(20);
    }
}

/// The last word on a link is true: one that is refused again within the minute of the limit is told after it.
#[test]
fn a_link_that_is_refused_again_at_once_is_told_at_last() {
    let mut rig = Rig::new(|_, _| DENIED);
    rig.fill(200, 10);
    rig.run_until(5 * SECOND);
    rig.script = Box::new(|_, _| TAKEN);
    rig.run_until_empty(MINUTE / 2);
    rig.script = Box::new(|_, _| DENIED);
    rig.fill(200, 10);
    rig.run_until(rig.now_ms + 5 * SECOND);
    assert!(rig.core.stats().link_refused, "{:?}", rig.core.stats());
    let last = |rig: &Rig| {
        rig.events.iter().rev().find_map(|event| match event {
            UplinkEvent::LinkRefused(_) => Some("refused"),
            UplinkEvent::LinkHealed => Some("healed"),
            _ => None,
        })
    };
    assert_eq!(last(&rig), Some("healed"), "within the minute: {:?}", rig.events);
    rig.run_until(10 * MINUTE);
    assert!(rig.core.stats().link_refused, "{:?}", rig.core.stats());
    assert_eq!(last(&rig), Some("refused"), "{:?}", rig.events);
    assert!(rig.told() < 20, "{:?}", rig.events);
}
