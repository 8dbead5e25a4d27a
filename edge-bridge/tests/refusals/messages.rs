//! Messages that are refused for themselves, do not fit, or expire.

use bytes::Bytes;
use edge_bridge::Row;
use edge_bridge::bridge::UplinkEvent;
use edge_bridge::wire::{PropertyId, Publish, QoS, ReasonCode, Value};

use crate::refusal_support::{Answer, Rig, TAKEN, number, text};
use crate::{DENIED, MINUTE, QUOTA, SECOND};

/// A message that is refused for itself says nothing of its topic, however many there are: each waits alone.
#[test]
fn messages_that_are_refused_for_themselves_delay_nothing() {
    for reason in [0x81, 0x95, 0x99] {
        let bad = move |publish: &Publish| number(publish) < 300;
        let mut rig = Rig::new(move |_, publish| if bad(publish) { Answer::Ack(reason) } else { TAKEN });
        rig.fill(600, 1);
        rig.run_until(5 * SECOND);
        assert_eq!(rig.arrived("t/0"), (300..600).collect::<Vec<_>>(), "reason {reason:#x}");
        rig.run_until(30 * MINUTE);
        assert_eq!(rig.core.spool().len(), 300);
        assert!(rig.published < 5_000, "{} messages, 300 of them bad", rig.published);
        rig.push("t/0", 600);
        rig.run_until(31 * MINUTE);
        assert_eq!(rig.arrived("t/0").last(), Some(&600), "new ones do not wait for bad ones");
        rig.script = Box::new(|_, _| TAKEN);
        rig.run_until_empty(25 * MINUTE);
        rig.assert_all(601);
    }
}

/// A hub that accepts every message of QoS 2 and then knows none: each is sent again once, then alone, then parked, and none is lost.
#[test]
fn promise_4_messages_that_the_hub_forgets_are_kept_and_no_hot_loop() {
    let exactly_once = |n: u32| {
        let mut row = Row::new(text("t/0"), Bytes::from(n.to_string()));
        row.qos = QoS::ExactlyOnce;
        row
    };
    let mut rig = Rig::new(|_, publish| if number(publish) < 300 { Answer::Forgotten } else { TAKEN });
    (0..600).for_each(|n| rig.push_row(exactly_once(n)));
    rig.run_until(5 * SECOND);
    assert_eq!(rig.arrived("t/0"), (300..600).collect::<Vec<_>>());
    rig.run_until(30 * MINUTE);
    assert_eq!(rig.core.spool().len(), 300);
    assert!(rig.published < 5_000, "{} messages, 300 of them forgotten", rig.published);
    assert!(rig.told() < 100, "{} events", rig.told());
    rig.script = Box::new(|_, _| TAKEN);
    rig.run_until_empty(25 * MINUTE);
    rig.assert_all(600);

    let mut rig = Rig::new(|_, _| Answer::Forgotten);
    (0..600).for_each(|n| rig.push_row(exactly_once(n)));
    rig.run_until(60 * MINUTE);
    assert_eq!((rig.core.spool().len(), rig.delivered.len()), (600, 0));
    assert!(rig.published < 10_000, "{} messages", rig.published);
}

/// Refusals are seen at once, before anything is parked: one message that is refused for itself, and a link that is refused.
#[test]
fn what_waits_for_another_attempt_is_seen_at_once() {
    let mut rig = Rig::new(|_, publish| if number(publish) == 3 { Answer::Ack(0x99) } else { TAKEN });
    rig.fill(10, 1);
    rig.run_until(SECOND / 2);
    let stats = rig.core.stats();
    assert_eq!((stats.held, stats.parked, stats.refused_topics), (1, 0, 0));
    assert_eq!(stats.last_refusal.map(|refusal| refusal.reason), Some(ReasonCode::PAYLOAD_FORMAT_INVALID));
    assert!(
        matches!(&rig.events[..], [UplinkEvent::Parked(refusal)] if refusal.topic == "t/0"),
        "{:?}",
        rig.events
    );
    let list = rig.core.parked(rig.now()).topics;
    assert_eq!(list.len(), 1);
    assert_eq!((list[0].topic.as_ref(), list[0].reason.get(), list[0].held), ("t/0", 0x99, 1));
    assert!(list[0].retry_in_ms.is_some_and(|ms| ms <= SECOND), "{list:?}");
    rig.script = Box::new(|_, _| TAKEN);
    rig.run_until_empty(MINUTE);
    assert_eq!((rig.core.stats().held, rig.core.parked(rig.now()).topics), (0, vec![]));

    let mut rig = Rig::new(|_, _| DENIED);
    rig.fill(100, 2);
    rig.run_until(20 * SECOND);
    assert!(rig.core.stats().link_refused);
    let list = rig.core.parked(rig.now()).topics;
    let named: Vec<_> = list.iter().map(|topic| (topic.topic.as_ref(), topic.reason.get())).collect();
    assert_eq!(named, [("t/0", 0x87), ("t/1", 0x87)]);
    assert!(list.iter().all(|topic| topic.retry_in_ms.is_some()), "{list:?}");
}

/// A message too large for this hub waits for one that takes it; its topic goes on.
#[test]
fn what_is_too_large_is_parked_and_delivered_when_the_hub_takes_it() {
    let mut rig = Rig::new(|_, _| TAKEN);
    rig.properties = vec![(PropertyId::MaximumPacketSize, Value::U32(200))];
    let large = format!("0 {}", "x".repeat(300));
    rig.push_row(Row::new(text("t/0"), Bytes::from(large)));
    (1..10).for_each(|n| rig.push("t/0", n));
    rig.run_until(SECOND);
    assert_eq!(rig.arrived("t/0"), (1..10).collect::<Vec<_>>());
    assert_eq!((rig.core.stats().parked, rig.core.spool().len()), (1, 1));
    rig.properties.clear();
    rig.cut();
    rig.run_until_empty(15 * MINUTE);
    assert_eq!(rig.arrived("t/0").len(), 10);
}

/// A hub that allows aliases takes the same sizes as one that does not: their definition must not cost a message.
#[test]
fn a_message_as_large_as_the_hub_takes_goes_without_an_alias() {
    for aliases in [0, 8] {
        for size in 970..990 {
            let mut rig = Rig::new(|_, _| TAKEN);
            rig.properties = vec![
                (PropertyId::MaximumPacketSize, Value::U32(1_000)),
                (PropertyId::TopicAliasMaximum, Value::U16(aliases)),
            ];
            rig.push_row(Row::new(text("plant/1"), Bytes::from(format!("{:0size$}", 7))));
            rig.run_until(SECOND);
            assert_eq!(rig.delivered.len(), usize::from(size <= 985), "{size} bytes, {aliases} aliases");
        }
    }
}

/// A hub that comes back without retained messages, or without QoS 1, still has the session: what is in flight is adapted, or waits.
#[test]
fn what_a_resumed_hub_no_longer_offers_costs_nothing() {
    for property in [PropertyId::RetainAvailable, PropertyId::MaximumQoS] {
        let mut rig = Rig::new(|now_ms, _| if now_ms < SECOND { Answer::Silent } else { TAKEN });
        for n in 0..3 {
            let mut row = Row::new(text("t/0"), Bytes::from(n.to_string()));
            row.retain = true;
            rig.push_row(row);
        }
        rig.run_until(SECOND);
        rig.properties = vec![(property, Value::Byte(0))];
        rig.cut();
        rig.run_until(20 * SECOND);
        if property == PropertyId::MaximumQoS {
            assert_eq!((rig.delivered.len(), rig.core.spool().len()), (0, 3), "{:?}", rig.core.stats());
            assert!(rig.core.stats().last_error.unwrap().contains("QoS 1"));
            rig.properties.clear();
            rig.run_until(MINUTE);
        }
        rig.assert_all_in_order(3);
        let kept = if property == PropertyId::RetainAvailable { 0 } else { 3 };
        assert_eq!(rig.retained, kept, "{property:?}");
    }
}

/// Time to live goes on wherever a row waits: in the pack, as a probe, parked.
#[test]
fn what_expired_is_settled_and_not_sent() {
    let with_ttl = |topic: &str, n: u32| {
        let mut row = Row::new(text(topic), Bytes::from(n.to_string()));
        row.ttl_ms = Some(10 * SECOND);
        row
    };
    // Leased for a window that the hub's Receive Maximum does not let go out, then an outage of an hour.
    let mut rig = Rig::new(|_, _| Answer::Silent);
    rig.properties = vec![(PropertyId::ReceiveMaximum, Value::U16(10))];
    (0..100).for_each(|n| rig.push_row(with_ttl("t/0", n)));
    rig.run_until(100);
    rig.script = Box::new(|_, _| TAKEN);
    rig.cut();
    rig.now_ms += 3_600 * SECOND;
    let now_ms = rig.now_ms;
    rig.run_until(now_ms + MINUTE);
    assert_eq!(rig.arrived("t/0"), (0..10).collect::<Vec<_>>(), "what was in flight must be resent");
    assert!(rig.core.spool().is_empty());

    // Refused: the probe and the parked rows expire, and no refused message is published after its end.
    let mut rig = Rig::new(|now_ms, _| {
        assert!(now_ms < 11 * SECOND, "published after it expired");
        QUOTA
    });
    (0..50).for_each(|n| rig.push_row(with_ttl("t/0", n)));
    rig.run_until(25 * MINUTE);
    assert!(rig.core.spool().is_empty(), "{:?}", rig.core.stats());
}
