//! Refused topics beside topics that are taken.

use bytes::Bytes;
use edge_bridge::Row;
use edge_bridge::bridge::UplinkEvent;
use edge_bridge::wire::{PropertyId, QoS, Value};

use crate::refusal_support::{Answer, Rig, TAKEN, text};
use crate::{DENIED, MINUTE, QUOTA, SECOND};

/// While only denied topics have traffic, an alarm of another topic goes at once.
#[test]
fn denied_topics_that_are_busy_delay_no_alarm() {
    for (topics, every) in [(1, 25), (2, 25), (1, 140)] {
        let mut rig = Rig::new(|_, publish| if publish.topic == "alarm" { TAKEN } else { DENIED });
        let mut alarms = Vec::new();
        for second in 0..600 {
            for half in 0..=second % 2 {
                let n = second * 10 + half;
                rig.push(&format!("t/{}", n % topics), n);
                rig.run_until(rig.now_ms + 100);
            }
            if second % every == every - 1 {
                alarms.push(10_000 + second);
                rig.push("alarm", 10_000 + second);
                rig.run_until(rig.now_ms + 3 * SECOND);
                let case = format!("{topics} topics, after {second} s: {:?}", rig.core.stats());
                assert_eq!(rig.arrived("alarm"), alarms, "{case}");
                assert!(!rig.core.stats().link_refused, "{case}");
            }
            rig.run_until(rig.now_ms + 700);
            assert!(alarms.is_empty() || !rig.core.stats().link_refused, "told as a refused link");
        }
        assert!(rig.told() < 20, "{:?}", rig.events);
        rig.script = Box::new(|_, _| TAKEN);
        rig.run_until_empty(25 * MINUTE);
        for topic in ["t/0", "t/1"] {
            assert!(rig.arrived(topic).is_sorted(), "{topic}");
        }
    }
}

/// Topics that are taken are proof enough that the link is not refused, however busy the denied one is.
#[test]
fn one_denied_topic_among_others_is_never_told_as_a_refused_link() {
    let mut rig = Rig::new(|_, publish| if publish.topic == "t/4" { DENIED } else { TAKEN });
    for second in 0..600 {
        for n in 0..5 {
            rig.push("t/4", second * 10 + n);
            if n < 4 {
                rig.push(&format!("t/{n}"), second * 10 + 5 + n);
            }
            rig.run_until(rig.now_ms + 200);
            assert!(!rig.core.stats().link_refused, "after {second} s: {:?}", rig.core.stats());
        }
    }
    assert!((0..4).all(|n| rig.arrived(&format!("t/{n}")).len() == 600));
}

/// One topic that is denied is not the link, however many of its rows stand in front.
#[test]
fn a_denied_topic_hides_no_other() {
    let mut rig = Rig::new(|_, publish| if publish.topic == "t/0" { DENIED } else { TAKEN });
    (0..5_000).for_each(|n| rig.push("t/0", n));
    (5_000..5_100).for_each(|n| rig.push("t/1", n));
    rig.run_until(90 * SECOND);
    assert_eq!(rig.arrived("t/1"), (5_000..5_100).collect::<Vec<_>>());
    assert_eq!(rig.core.spool().len(), 5_000);
    assert!(rig.core.stats().parked > 4_000, "{:?}", rig.core.stats());
    rig.script = Box::new(|_, _| TAKEN);
    rig.run_until_empty(20 * MINUTE);
    rig.assert_all_in_order(5_100);
}

/// PUBACK 0x97 for one topic of ten.
#[test]
fn a_topic_over_its_quota_delays_no_other() {
    for receive_maximum in [1, 20, 1_000] {
        let mut rig = Rig::new(|_, publish| if publish.topic == "t/3" { QUOTA } else { TAKEN });
        rig.properties = vec![(PropertyId::ReceiveMaximum, Value::U16(receive_maximum))];
        rig.latency_ms = if receive_maximum == 1 { 0 } else { 20 };
        rig.fill(4_950, 10);
        rig.run_until(8 * SECOND);
        let others: usize = (0..10).filter(|n| *n != 3).map(|n| rig.arrived(&format!("t/{n}")).len()).sum();
        assert_eq!((others, rig.arrived("t/3").len()), (4_455, 0), "receive maximum {receive_maximum}");
        let stats = rig.core.stats();
        assert!(stats.parked > 400 && stats.refused_topics == 1 && !stats.link_refused, "{stats:?}");
        assert_eq!(stats.last_refusal.unwrap().topic, "t/3");
        rig.run_until(MINUTE);
        let before = rig.published;
        rig.run_until(2 * MINUTE);
        assert!(rig.published - before < 20, "{} probes in a minute", rig.published - before);
        rig.script = Box::new(|_, _| TAKEN);
        rig.run_until_empty(6 * MINUTE);
        rig.assert_all_in_order(4_950);
        assert!(rig.told() < 20, "{:?}", rig.events);
    }
}

/// A hub that refuses every other message, or every other connection: slow, and all arrives.
#[test]
fn an_alternating_hub_gets_everything() {
    let mut turn = 0;
    let mut rig = Rig::new(move |_, _| {
        turn += 1;
        if turn % 2 == 0 { QUOTA } else { TAKEN }
    });
    rig.fill(400, 4);
    rig.run_until_empty(40 * MINUTE);
    rig.assert_all(400);

    let mut turn = 0;
    let mut rig = Rig::new(move |_, _| {
        turn += 1;
        if turn % 50 == 0 { Answer::Close } else { TAKEN }
    });
    rig.fill(2_000, 4);
    rig.run_until_empty(10 * MINUTE);
    rig.assert_all(2_000);
    assert_eq!(rig.core.stats().poison, 0, "no message was to blame");
}

/// Promise 4: eight topics that are denied from the start do not stop the ninth, however their rows stand in the queue.
#[test]
fn topics_that_are_denied_from_the_start_delay_no_other() {
    let mut rig = Rig::new(|_, publish| if publish.topic == "t/8" { TAKEN } else { DENIED });
    for second in 0..60 {
        (0..9).for_each(|n| rig.push(&format!("t/{n}"), second * 9 + n));
        rig.run_until(u64::from(second + 1) * SECOND);
        let arrived = rig.arrived("t/8").len();
        assert!(second < 10 || arrived + 3 > second as usize, "{arrived} of {second} after {second} s");
    }
    rig.script = Box::new(|_, _| TAKEN);
    rig.run_until_empty(20 * MINUTE);
    rig.assert_all(540);
}

/// A hub that says that nobody subscribes there (0x10) has accepted the message: it is delivered, and counted apart from others.
#[test]
fn what_nobody_at_the_hub_gets_is_delivered_counted_and_told_once() {
    let mut rig = Rig::new(|_, publish| if publish.topic == "t/1" { Answer::Ack(0x10) } else { TAKEN });
    rig.fill(10, 2);
    let mut kept = Row::new(text("t/1"), Bytes::from_static(b"100"));
    kept.retain = true;
    rig.push_row(kept);
    let mut exactly_once = Row::new(text("t/1"), Bytes::from_static(b"101"));
    exactly_once.qos = QoS::ExactlyOnce;
    rig.push_row(exactly_once);
    rig.run_until_empty(MINUTE);
    let stats = rig.core.stats();
    assert_eq!((stats.acknowledged, stats.without_subscribers), (12, 6), "the retained one is kept there");
    let told =
        |event: &&UplinkEvent| matches!(event, UplinkEvent::WithoutSubscribers { topic } if topic == "t/1");
    assert_eq!((rig.events.iter().filter(told).count(), rig.events.len()), (1, 1), "{:?}", rig.events);
}
