//! Refusals and poison messages against a scripted hub in virtual time: whatever the hub refuses stays, and delays nothing else. Promises 1, 4, 12.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

mod refusal_support;

use std::collections::HashSet;

use bytes::Bytes;
use edge_bridge::Row;
use edge_bridge::bridge::UplinkEvent;
use edge_bridge::bridge::spool::{Gone, Settled, Spool};
use edge_bridge::wire::{PropertyId, Publish, QoS, ReasonCode, Value};
use refusal_support::{Answer, NO_MESSAGE, Rig, TAKEN, number, payload_number, text};

const QUOTA: Answer = Answer::Ack(0x97);
const DENIED: Answer = Answer::Ack(0x87);
const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;

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

/// A hub that closes on, or refuses, one payload. 500 rows behind it within 90 s, an alarm that comes meanwhile within 10 s.
#[test]
fn a_poison_message_stops_no_line() {
    let bad: [&[u32]; 4] = [&[0], &[100], &[0, 1, 2], &[3, 4, 90, 91, 300]];
    let answers = [
        Answer::Disconnect(0x81),
        Answer::Disconnect(0x95),
        Answer::Close,
        Answer::Ack(0x95),
        Answer::Ack(0xa0),
    ];
    for (answer, bad, receive_maximum, keeps_session) in answers.into_iter().flat_map(|answer| {
        bad.into_iter().flat_map(move |bad| {
            [(1, true), (20, true), (20, false), (1_000, true)].map(|(rm, keeps)| (answer, bad, rm, keeps))
        })
    }) {
        let case =
            format!("{answer:?} at {bad:?}, receive maximum {receive_maximum}, session kept {keeps_session}");
        let poison: HashSet<u32> = bad.iter().copied().collect();
        let known = poison.clone();
        let mut rig =
            Rig::new(move |_, publish| if known.contains(&number(publish)) { answer } else { TAKEN });
        rig.properties = vec![(PropertyId::ReceiveMaximum, Value::U16(receive_maximum))];
        rig.keeps_session = keeps_session;
        rig.latency_ms = if receive_maximum == 1 { 2 } else { 20 };
        rig.fill(500, 1);
        rig.run_until(SECOND);
        rig.push("alarm", 10_000);
        rig.run_until(11 * SECOND);
        if bad.len() < 3 {
            assert_eq!(rig.arrived("alarm"), [10_000], "{case}: alarm");
        }
        rig.run_until(91 * SECOND);
        let expected: HashSet<_> = (0..500).filter(|n| !poison.contains(n)).collect();
        let missing: Vec<_> =
            expected.difference(&rig.arrived("t/0").into_iter().collect()).copied().collect();
        assert!(missing.is_empty(), "{case}: {} missing, {:?}", missing.len(), rig.core.stats());
        assert_eq!(rig.arrived("alarm"), [10_000], "{case}");
        assert_eq!(rig.core.spool().len(), bad.len(), "{case}: none is lost");
        assert!(rig.told() < 20, "{case}: {:?}", rig.events);
        rig.script = Box::new(|_, _| TAKEN);
        rig.run_until_empty(25 * MINUTE);
        assert_eq!(rig.arrived("t/0").len(), 500, "{case}");
    }
}

/// A hub that closes at one message, whatever it says then, gets the others, and that message once it is mended.
#[test]
fn a_message_that_the_hub_blames_on_something_else_stops_no_line() {
    let reasons = [0x8e, 0x9d, 0x9c, 0x97, 0x96, 0x98, 0x89, 0x8b, 0x00];
    let bad: [&[u32]; 3] = [&[0], &[100], &[3, 4]];
    for (reason, bad, receive_maximum) in reasons
        .into_iter()
        .flat_map(|reason| bad.into_iter().flat_map(move |bad| [1, 20, 1_000].map(|rm| (reason, bad, rm))))
    {
        let case = format!("{reason:#x} at {bad:?}, receive maximum {receive_maximum}");
        let mut rig =
            Rig::new(
                move |_, publish| {
                    if bad.contains(&number(publish)) { Answer::Disconnect(reason) } else { TAKEN }
                },
            );
        rig.properties = vec![(PropertyId::ReceiveMaximum, Value::U16(receive_maximum))];
        rig.fill(500, 1);
        rig.run_until(SECOND);
        rig.push("alarm", 10_000);
        rig.run_until(if bad.len() == 1 { 60 * SECOND } else { 150 * SECOND });
        let arrived = (rig.arrived("t/0").len(), rig.arrived("alarm").len());
        assert_eq!(arrived, (500 - bad.len(), 1), "{case}: {:?}", rig.core.stats());
        for n in 10_001..10_010 {
            rig.push("alarm", n);
            rig.run_until(rig.now_ms + 30 * SECOND);
            assert_eq!(rig.arrived("alarm").last(), Some(&n), "{case}: an alarm after it");
        }
        assert_eq!(rig.core.spool().len(), bad.len(), "{case}: none is lost");
        assert!(rig.dials < 60, "{case}: {} dials", rig.dials);
        rig.script = Box::new(|_, _| TAKEN);
        rig.run_until_empty(25 * MINUTE);
        assert_eq!(rig.arrived("t/0").len(), 500, "{case}");
    }
}

/// Two gateways of one name throw each other out: no message is to blame.
#[test]
fn two_clients_of_one_name_make_no_poison() {
    for every_ms in [None, Some(2 * SECOND)] {
        let mut rig = Rig::new(|_, _| TAKEN);
        let (mut random, mut out_ms) = (1u64, 0);
        let mut within = |range: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % range
        };
        for n in 0..3_000 {
            rig.latency_ms = 20 + within(480);
            rig.push(if n % 10 == 0 { "alarm" } else { "t/0" }, n);
            rig.run_until(rig.now_ms + 100);
            if rig.now_ms >= out_ms {
                out_ms = rig.now_ms + every_ms.unwrap_or_else(|| within(5 * SECOND));
                rig.throw_out(0x8e);
            }
        }
        assert!(rig.dials > 15, "{} dials", rig.dials);
        assert_eq!((rig.core.stats().poison, rig.core.stats().parked), (0, 0));
        rig.run_until_empty(MINUTE);
        rig.assert_all_in_order(3_000);
    }
}

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

/// What is refused is seen at once, before anything is parked: one message that is refused for itself, and a link that is refused.
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

/// The log names the poison message: its topic and the hub's reason.
#[test]
fn poison_is_named() {
    let mut rig =
        Rig::new(|_, publish| if publish.topic == "bad" { Answer::Disconnect(0x90) } else { TAKEN });
    rig.push("bad", 0);
    rig.push("good", 1);
    rig.run_until(MINUTE);
    let named = rig.events.iter().any(|event| {
        matches!(event, UplinkEvent::Poison(refusal)
            if refusal.topic == "bad" && refusal.reason == ReasonCode::TOPIC_NAME_INVALID)
    });
    assert!(named, "{:?}", rig.events);
    // Found at first, after 5 s and after 40 s.
    assert_eq!((rig.core.stats().poison, rig.arrived("good")), (3, vec![1]));
}

/// A hub's own protocol error in a message to us is not blamed on what is on its way; one in an answer may be about the message.
#[test]
fn a_protocol_error_of_the_hub_is_no_poison_unless_it_answers_a_message() {
    for receive_maximum in [1, 20] {
        // For a minute everything is answered by a malformed message to us.
        let mut rig = Rig::new(|now_ms, _| if now_ms < MINUTE { Answer::MalformedPublish } else { TAKEN });
        rig.properties = vec![(PropertyId::ReceiveMaximum, Value::U16(receive_maximum))];
        rig.fill(20, 1);
        rig.run_until_empty(2 * MINUTE);
        rig.assert_all_in_order(20);
        assert_eq!(rig.core.stats().poison, 0);
        assert!(rig.dials < 20, "{} dials", rig.dials);

        let mut rig = Rig::new(|_, publish| if number(publish) == 3 { Answer::MalformedAck } else { TAKEN });
        rig.properties = vec![(PropertyId::ReceiveMaximum, Value::U16(receive_maximum))];
        rig.fill(20, 1);
        rig.run_until(MINUTE);
        assert_eq!(rig.arrived("t/0").len(), 19, "{:?}", rig.core.stats());
        assert!(rig.core.stats().poison > 0);
    }
}

/// A hub that accepts and then throws us out whatever it gets: a bounded number of dials, nothing lost, all delivered when it heals.
#[test]
fn a_hub_that_closes_on_everything_loses_nothing() {
    for answer in [Answer::Close, Answer::Disconnect(0x80), Answer::Disconnect(0x89)] {
        let mut rig = Rig::new(move |_, _| answer);
        rig.fill(300, 3);
        rig.run_until(5 * MINUTE);
        assert!(rig.dials < 80, "{} dials", rig.dials);
        assert_eq!(rig.core.spool().len(), 300);
        rig.script = Box::new(|_, _| TAKEN);
        rig.run_until_empty(3 * MINUTE);
        rig.assert_all(300);
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

/// Once a refused filter was asked for again at once, 47 times a second.
#[test]
fn a_refused_filter_is_asked_for_with_back_off() {
    let mut rig = Rig::new(|_, _| TAKEN);
    rig.refuses_filters = Some(ReasonCode::NOT_AUTHORIZED);
    rig.subscribe("cmd/#");
    rig.run_until(MINUTE);
    assert!((4..12).contains(&rig.subscribes), "{} in a minute", rig.subscribes);
    rig.run_until(60 * MINUTE);
    assert!(rig.subscribes < 24, "{} in an hour", rig.subscribes);
    assert_eq!((rig.filters_told, rig.core.stats().refused_subscriptions.len()), (1, 1));
    rig.refuses_filters = None;
    let before = rig.subscribes;
    rig.cut();
    let now_ms = rig.now_ms;
    rig.run_until(now_ms + MINUTE);
    assert_eq!(rig.subscribes, before + 1, "on the next connection");
    assert!(rig.core.stats().refused_subscriptions.is_empty());
}

/// A session that an earlier client left behind holds messages of QoS 2.
#[test]
fn a_message_of_qos_2_is_carried_through() {
    let mut rig = Rig::new(|_, _| TAKEN);
    rig.qos2_leftovers = vec![7, 8];
    rig.fill(10, 1);
    rig.run_until(10 * SECOND);
    assert_eq!(rig.dials, 1, "no endless redial");
    assert_eq!(rig.qos2_done, [7, 8]);
    let received: Vec<_> = rig.received.iter().map(|publish| publish.qos).collect();
    assert_eq!(received, [QoS::AtLeastOnce, QoS::AtLeastOnce]);
    assert_eq!(rig.qos2_told, 1);
    rig.assert_all_in_order(10);
}

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
