//! Rows that are dropped when the hub refuses them: they take no place that others need, and delay nothing.

use bytes::Bytes;
use edge_bridge::Row;
use edge_bridge::bridge::UplinkEvent;
use edge_bridge::bridge::spool::{Gone, Settled, Spool as _};
use edge_bridge::wire::{PropertyId, ReasonCode, Value};

use crate::refusal_support::{Answer, Rig, TAKEN, text};
use crate::{DENIED, MINUTE, QUOTA, SECOND};

const HOUR: u64 = 60 * MINUTE;

const ROWS: u32 = 3_000;

fn row(topic: &str, n: u32, drop_refused: bool) -> Row {
    let mut row = Row::new(text(topic), Bytes::from(n.to_string()));
    row.drop_refused = drop_refused;
    row
}

/// A flood of rows, each of a topic of its own that the hub does not take, and an alarm in its middle.
fn flood(answer: Answer, drop_refused: bool) -> Rig {
    let mut rig = Rig::new(move |_, publish| if publish.topic == "alarm" { TAKEN } else { answer });
    rig.properties = vec![(PropertyId::ReceiveMaximum, Value::U16(20))];
    for n in 0..ROWS {
        if n == ROWS / 2 {
            rig.push("alarm", ROWS);
        }
        rig.push_row(row(&format!("denied/{n}"), n, drop_refused));
    }
    rig
}

#[test]
fn promise_7_rows_that_are_dropped_if_refused_are_never_parked_and_refuse_no_link() {
    for answer in [DENIED, QUOTA, Answer::Ack(0x80), Answer::Ack(0x90), Answer::Ack(0x99)] {
        let mut rig = flood(answer, true);
        rig.run_until(20 * SECOND);
        let stats = rig.core.stats();
        assert_eq!(rig.core.spool().len(), 0, "{answer:?}: {stats:?}");
        assert_eq!((stats.dropped_rows, stats.parked, stats.held), (ROWS.into(), 0, 0), "{answer:?}");
        assert_eq!((stats.refused_topics, stats.link_refused), (0, false), "{answer:?}");
        assert_eq!(rig.arrived("alarm"), [ROWS], "{answer:?}");
        assert_eq!(rig.published, u64::from(ROWS) + 1, "{answer:?}: each is sent once");
        let dropped = |(_, gone): &(_, Gone)| *gone == Gone::Settled(Settled::Discarded);
        assert_eq!(rig.core.spool_mut().drain_gone().filter(dropped).count(), ROWS as usize);
        let [UplinkEvent::Dropped(refusal)] = &rig.events[..] else { panic!("{:?}", rig.events) };
        assert_eq!(refusal.topic, "denied/0");
    }
}

/// The same flood of rows that are kept: they are parked, or stop the link.
#[test]
fn rows_that_are_kept_fill_the_place_of_parked_ones_or_stop_the_link() {
    let mut rig = flood(QUOTA, false);
    rig.run_until(20 * MINUTE);
    assert!(rig.core.stats().parked > 1_000, "{:?}", rig.core.stats());
    assert_eq!(rig.core.spool().len(), ROWS as usize);
    let mut rig = flood(DENIED, false);
    rig.run_until(20 * SECOND);
    assert!(rig.core.stats().link_refused && rig.arrived("alarm").is_empty(), "{:?}", rig.core.stats());
}

/// A client that names a topic of others, which the hub refuses, has its rows dropped with the first attempt on it, or before; the others' are kept.
#[test]
fn rows_on_a_refused_topic_of_others_are_dropped_and_the_others_are_kept() {
    let mut rig = Rig::new(|_, _| QUOTA);
    for n in 0..ROWS {
        rig.push_row(row("t/0", n, n % 3 == 0));
    }
    rig.run_until(20 * MINUTE);
    let stats = rig.core.stats();
    assert_eq!(rig.core.spool().len(), ROWS as usize * 2 / 3, "{stats:?}");
    assert_eq!(stats.dropped_rows, u64::from(ROWS) / 3);
    assert!(rig.core.spool().parked() > 0, "{stats:?}");
    rig.script = Box::new(|_, _| TAKEN);
    rig.run_until_empty(25 * MINUTE);
    let kept: Vec<_> = (0..ROWS).filter(|n| n % 3 != 0).collect();
    assert_eq!(rig.arrived("t/0"), kept);
    assert_eq!(rig.core.stats().dropped_rows, u64::from(ROWS) / 3);
}

/// A hub that takes nothing, whatever the topic, says nothing about one of them: what waits there waits, also what would be dropped.
#[test]
fn while_the_link_is_refused_nothing_is_dropped() {
    let mut rig = Rig::new(|_, _| DENIED);
    rig.fill(100, 1);
    rig.run_until(10 * SECOND);
    assert!(rig.core.stats().link_refused, "{:?}", rig.core.stats());
    (0..20).for_each(|n| rig.push_row(row(&format!("answers/{n}"), 100 + n, true)));
    rig.run_until(20 * SECOND);
    assert_eq!((rig.core.stats().dropped_rows, rig.core.spool().len()), (0, 120));
    rig.script = Box::new(|_, _| TAKEN);
    rig.run_until_empty(6 * MINUTE);
    rig.assert_all(120);
}

/// A hub that closes at such a message, or never answers it: it is dropped where others are parked.
#[test]
fn messages_at_which_the_hub_closes_or_is_silent_are_dropped() {
    for (answer, expected) in [
        (Answer::Disconnect(0x87), ReasonCode::NOT_AUTHORIZED),
        (Answer::Close, ReasonCode::NO_REASON),
        (Answer::Silent, ReasonCode::NO_ANSWER),
    ] {
        let mut rig = Rig::new(move |_, publish| if publish.topic == "denied" { answer } else { TAKEN });
        rig.push_row(row("denied", 0, true));
        (1..100).for_each(|n| rig.push("t/0", n));
        for n in 1..20 {
            rig.run_until(n * MINUTE);
            rig.push("t/0", 100 + n as u32);
        }
        rig.run_until(21 * MINUTE);
        let stats = rig.core.stats();
        assert_eq!((rig.core.spool().len(), stats.dropped_rows), (0, 1), "{answer:?}: {stats:?}");
        assert_eq!((stats.poison, stats.parked), (0, 0), "{answer:?}");
        let reason = rig.events.iter().find_map(|event| match event {
            UplinkEvent::Dropped(refusal) => Some(refusal.reason),
            _ => None,
        });
        assert_eq!(reason, Some(expected), "{answer:?}: {:?}", rig.events);
    }
}

/// Topic, reason, and second of the first refusal of each topic that is told.
fn told(rig: &Rig) -> Vec<(String, ReasonCode, u64)> {
    let topics = rig.core.stats().dropped_topics;
    topics
        .into_iter()
        .map(|told| (told.topic.as_str().to_owned(), told.reason, told.since_ms / SECOND))
        .collect()
}

/// Pushes a row that is dropped if it is refused, a second after the last one.
fn push(rig: &mut Rig, topic: &str) {
    rig.push_row(row(topic, 0, true));
    rig.run_until(rig.now_ms + SECOND);
}

#[test]
fn a_topic_on_which_rows_are_dropped_is_told_until_the_hub_accepts_one_there() {
    let denies = |topic: &str, answer| {
        let topic = text(topic);
        Box::new(
            move |_: u64, publish: &edge_bridge::wire::Publish| {
                if publish.topic == topic { answer } else { TAKEN }
            },
        )
    };
    let mut rig = Rig::new(denies("answers", DENIED));
    rig.run_until(5 * SECOND);
    push(&mut rig, "answers");
    let first = [("answers".to_owned(), ReasonCode::NOT_AUTHORIZED, 5)];
    assert_eq!(told(&rig), first);
    rig.run_until(30 * MINUTE);
    push(&mut rig, "answers");
    // Others say nothing of this topic.
    push(&mut rig, "hmi/answers");
    rig.push("t/0", 7);
    rig.run_until(3 * HOUR);
    assert_eq!(told(&rig), first);
    rig.script = denies("answers", QUOTA);
    push(&mut rig, "answers");
    assert_eq!(told(&rig), [("answers".to_owned(), ReasonCode::QUOTA_EXCEEDED, 5)], "the last reason");
    rig.script = denies("others", DENIED);
    push(&mut rig, "answers");
    assert_eq!(told(&rig), []);
}

/// Whoever asks may name another topic each time, and none of them comes again.
#[test]
fn a_topic_that_does_not_come_again_is_told_until_an_hour_has_passed_and_the_hub_accepts_another() {
    let mut rig = Rig::new(|_, publish| if publish.topic.starts_with("ask/") { DENIED } else { TAKEN });
    rig.run_until(SECOND);
    for n in 1..=20 {
        push(&mut rig, &format!("ask/{n}"));
    }
    let names = |rig: &Rig| told(rig).into_iter().map(|(topic, ..)| topic).collect::<Vec<_>>();
    let last: Vec<_> = (13..=20).map(|n| format!("ask/{n}")).collect();
    assert_eq!(names(&rig), last, "those that were refused last");
    rig.run_until(HOUR + 15 * SECOND);
    assert_eq!(names(&rig), last, "the hub may deny them still");
    push(&mut rig, "answers");
    assert_eq!(names(&rig), last[3..], "an hour has passed for those before 15 s");
    rig.run_until(2 * HOUR);
    push(&mut rig, "answers");
    assert_eq!(told(&rig), []);
}

/// A topic that the hub refuses for others, too: rows on it are dropped before they are sent.
#[test]
fn a_topic_is_told_where_rows_are_dropped_unsent() {
    let mut rig = Rig::new(|_, publish| if publish.topic == "t/0" { QUOTA } else { TAKEN });
    (0..ROWS).for_each(|n| rig.push("t/0", n));
    rig.run_until(5 * MINUTE);
    assert_eq!(told(&rig), []);
    let published = rig.published;
    push(&mut rig, "t/0");
    assert_eq!((rig.published - published, rig.core.stats().dropped_rows), (0, 1));
    assert_eq!(told(&rig), [("t/0".to_owned(), ReasonCode::QUOTA_EXCEEDED, 300)]);
}

/// Rows that are held behind refused ones of their topic, until too many are held.
#[test]
fn a_topic_is_told_where_held_rows_are_dropped() {
    let mut rig = Rig::new(|_, _| QUOTA);
    rig.properties = vec![(PropertyId::ReceiveMaximum, Value::U16(2))];
    rig.push("t/0", 0);
    (1..60).for_each(|n| rig.push_row(row("t/0", n, true)));
    let mut told_last = 0;
    for _ in 0..600 {
        rig.run_until(rig.now_ms + 50);
        let dropped = rig.core.stats().dropped_rows;
        assert_eq!(dropped > 0, !told(&rig).is_empty(), "{dropped} rows at {} ms", rig.now_ms);
        told_last = dropped;
    }
    assert!(told_last > 0);
}
