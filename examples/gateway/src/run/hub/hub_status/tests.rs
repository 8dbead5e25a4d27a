#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

use crate::run::status::snapshot::{Level, Need, test_snapshots};

use super::*;

mod freshness;
mod local_paths;

const PACKET_MAX: usize = 1 << 20;

fn at(up_ms: u64) -> Now {
    Now { up_ms, ..test_snapshots::NOW }
}

fn made() -> (Snapshot, Process) {
    (test_snapshots::delivering(), Process { certificate_days: Some(71), memory_bytes: Some(13_400_000) })
}

fn status() -> HubStatus {
    HubStatus::new("site7", NamedPaths::default()).unwrap()
}

/// Messages of the status at this time.
fn said(status: &HubStatus, up_ms: u64) -> Vec<Publish> {
    let next = || match status.poll(at(up_ms), PACKET_MAX)? {
        Packing::Message(message) => {
            assert!(
                message.rows.is_empty() && message.publish.retain && message.publish.qos == QoS::AtLeastOnce
            );
            Some(message.publish)
        }
        other => panic!("{other:?}"),
    };
    std::iter::from_fn(next).collect()
}

fn topics(messages: &[Publish]) -> Vec<&str> {
    messages.iter().map(|message| message.topic.as_str()).collect()
}

fn see(status: &HubStatus, up_ms: u64, connects: u64, verdict: Verdict) -> bool {
    status.see(up_ms, (connects, true), of(verdict), made)
}

fn of(verdict: Verdict) -> Matter {
    Matter { verdict, config: "one".to_owned(), is_refused: false, lost: 0 }
}

/// Says all that is due, and has the hub take it.
fn deliver(status: &HubStatus, up_ms: u64) -> usize {
    let messages = said(status, up_ms);
    messages.iter().for_each(|message| status.on_delivered(message));
    messages.len()
}

#[test]
fn each_connection_is_told_that_it_is_there_and_how_the_gateway_is() {
    let status = status();
    assert!(said(&status, 0).is_empty(), "nothing before the first look");
    assert!(see(&status, 1_000, 1, Verdict::Delivering));
    let messages = said(&status, 1_000);
    assert_eq!(topics(&messages), ["edge/alive/site7", "edge/status/site7"]);
    assert_eq!(messages[0].payload, "1");
    assert!(said(&status, 1_001).is_empty(), "once");
    messages.iter().for_each(|message| status.on_delivered(message));
    assert!(!see(&status, 100_000, 1, Verdict::Delivering), "no news");
    assert!(see(&status, 101_000, 2, Verdict::Delivering));
    assert_eq!(deliver(&status, 101_000), 2);
    let Will { topic, payload, retain, qos, .. } = status.will();
    assert_eq!(
        (topic.as_str(), &payload[..], retain, qos),
        ("edge/alive/site7", &b"0"[..], true, QoS::AtLeastOnce)
    );
}

/// A hub that takes no will would show it as connected for ever.
#[test]
fn without_a_will_nothing_says_that_it_is_there() {
    let status = status();
    assert!(status.see(1_000, (1, false), of(Verdict::Delivering), made));
    assert_eq!(topics(&said(&status, 1_000)), ["edge/status/site7"]);
}

/// A roll-out of a configuration shows where it has arrived, and where it is refused.
#[test]
fn another_configuration_and_a_refused_one_are_told_at_once() {
    let status = self::status();
    assert!(see(&status, 0, 1, Verdict::Delivering));
    assert_eq!(deliver(&status, 0), 2);
    let refused = Matter { is_refused: true, ..of(Verdict::Delivering) };
    let other = Matter { config: "two".to_owned(), ..of(Verdict::Delivering) };
    for (at_ms, matter) in [(40_000, refused), (80_000, other.clone())] {
        assert!(status.see(at_ms, (1, true), matter, made));
        assert_eq!(deliver(&status, at_ms), 1);
    }
    assert!(!status.see(120_000, (1, true), other, made));
}

/// A verdict that comes and goes each second costs two messages a minute; without a change there is one an hour.
#[test]
fn changes_are_told_and_an_hour_without_one_but_no_more_than_that() {
    let status = status();
    let mut messages = 0;
    for second in 0..600 {
        let verdict = if second % 2 == 0 { Verdict::Delivering } else { Verdict::CatchingUp };
        see(&status, second * 1_000, 1, verdict);
        messages += deliver(&status, second * 1_000);
    }
    assert_eq!(messages, 1 + 20, "the connection, and a status each half minute");
    let status = self::status();
    let mut times = Vec::new();
    for second in 0..7_300 {
        let verdict = if second < 100 { Verdict::Delivering } else { Verdict::Degraded };
        if see(&status, second * 1_000, 1, verdict) && deliver(&status, second * 1_000) > 0 {
            times.push(second);
        }
    }
    assert_eq!(times, [0, 100, 3_700]);
}

/// A hub that denies the topics answers each attempt with a refusal, of which nothing is told here.
#[test]
fn what_the_hub_does_not_take_is_said_ever_more_seldom() {
    let status = status();
    let mut times = Vec::new();
    for second in 0..40_000 {
        see(&status, second * 1_000, 1, Verdict::Delivering);
        let messages = said(&status, second * 1_000);
        if !messages.is_empty() {
            assert_eq!(messages.len(), 2);
            times.push(second);
        }
    }
    assert_eq!(times, [0, 60, 180, 420, 900, 1_860, 3_780, 7_620, 15_300, 30_660]);
}

/// A hub that closes at such a message: on the next connections the session sends it again, or leaves it out, and nothing is said beside it.
/// The hub answers after the gateway has sent a newer one.
#[test]
fn the_delivery_of_an_older_status_is_not_that_of_the_newer_one() {
    let status = status();
    see(&status, 1_000, 1, Verdict::Delivering);
    let older = said(&status, 1_000);
    let storing = || (test_snapshots::storing(), made().1);
    status.see(62_000, (1, true), of(Verdict::Storing), storing);
    let newer = said(&status, 62_000);
    assert_ne!(older.last().unwrap().payload, newer.last().unwrap().payload);
    status.on_delivered(older.last().unwrap());
    see(&status, 200_000, 1, Verdict::Storing);
    let again = said(&status, 200_000);
    assert!(topics(&again).contains(&"edge/status/site7"), "not told yet");
    again.iter().for_each(|message| status.on_delivered(message));
    see(&status, 900_000, 1, Verdict::Storing);
    assert!(!topics(&said(&status, 900_000)).contains(&"edge/status/site7"), "told");
}

/// The hub answers the older one while the newer one waits for room on the link.
#[test]
fn the_delivery_of_an_older_status_does_not_cancel_a_newer_one_that_is_due() {
    let status = status();
    see(&status, 1_000, 1, Verdict::Delivering);
    let older = said(&status, 1_000);
    let storing = || (test_snapshots::storing(), made().1);
    assert!(status.see(61_500, (1, true), of(Verdict::Storing), storing));
    older.iter().for_each(|message| status.on_delivered(message));
    assert!(status.see(62_500, (1, true), of(Verdict::Storing), storing), "the hub has the older one");
    let newer = said(&status, 62_500);
    assert_eq!(topics(&newer), ["edge/status/site7"]);
    assert_ne!(newer[0].payload, older[1].payload);
    newer.iter().for_each(|message| status.on_delivered(message));
    assert!(!see(&status, 99_000, 1, Verdict::Storing), "told");
}

#[test]
fn what_was_on_its_way_when_the_connection_ended_is_not_said_again_at_once() {
    let status = status();
    see(&status, 0, 1, Verdict::Delivering);
    let first = said(&status, 0);
    assert_eq!(first.len(), 2);
    for connects in 2..30 {
        assert!(!see(&status, connects * 1_000, connects, Verdict::Storing));
        assert!(said(&status, connects * 1_000).is_empty());
    }
    // The session has sent both again: the status is an old one.
    first.iter().for_each(|message| status.on_delivered(message));
    assert!(see(&status, 31_000, 29, Verdict::CatchingUp));
    assert_eq!(topics(&said(&status, 31_000)), ["edge/status/site7"]);
}

/// Its rights may have been mended, and nobody is to wait for the pause of hours that refusals led to.
#[test]
fn what_the_hub_refused_is_said_again_on_the_next_connection_and_not_before() {
    let status = status();
    see(&status, 0, 1, Verdict::Delivering);
    let first = said(&status, 0);
    assert_eq!(topics(&first), ["edge/alive/site7", "edge/status/site7"]);
    first.iter().for_each(|message| status.on_refused(message));
    assert!(!see(&status, 9_000, 1, Verdict::Storing));
    assert!(said(&status, 9_000).is_empty(), "the same connection");
    assert!(see(&status, 10_000, 2, Verdict::Delivering));
    let second = said(&status, 10_000);
    assert_eq!(topics(&second), ["edge/alive/site7", "edge/status/site7"]);
    // An answer to another message is none to these.
    status.on_refused(&Publish { payload: Bytes::from_static(AWAY), ..second[0].clone() });
    assert!(!see(&status, 11_000, 3, Verdict::Storing), "the session sends them again");
}

#[test]
fn a_status_is_what_the_snapshot_says() {
    let mut figures = test_snapshots::outage();
    figures.sample.given_up = 12;
    figures.sample.refused.parked = 3;
    let snapshot = test_snapshots::snapshot(&figures);
    let process = Process { certificate_days: Some(71), memory_bytes: Some(13_400_000) };
    let json: serde_json::Value =
        serde_json::from_slice(&payload(&snapshot, &NamedPaths::default(), process)).unwrap();
    let expected = serde_json::json!({
        "v": 1, "time_ms": snapshot.time_ms, "verdict": snapshot.verdict, "since_s": snapshot.since_s,
        "waiting": snapshot.queue.messages, "room_s": snapshot.room.seconds, "lost": 12, "parked": 3,
        "flash_mb": 44, "link_kb": 4_704, "memory_mb": 13, "certificate_days": 71, "clock_synced": true,
        "version": env!("CARGO_PKG_VERSION"), "config": "9c41e0d2", "why": json["why"],
    });
    assert_eq!(json, expected);
    assert_eq!(json["verdict"], "storing");
    let why = json["why"].as_str().unwrap();
    assert!(why.len() > 20 && snapshot.needs[0].text.starts_with(why), "{why}");
    // Without anything that needs a person: why there is no connection, or nothing.
    let calm = Snapshot { needs: Vec::new(), ..snapshot };
    let json: serde_json::Value =
        serde_json::from_slice(&payload(&calm, &NamedPaths::default(), process)).unwrap();
    assert_eq!(json["why"], "connection refused (os error 111)");
    // Beside a good verdict a note would read as its reason.
    let note =
        |level| Need { level, id: "clock".to_owned(), text: "Not right.".to_owned(), action: String::new() };
    let mut delivering = test_snapshots::delivering();
    for (level, why) in [(Level::Look, serde_json::Value::Null), (Level::Act, "Not right.".into())] {
        delivering.needs = vec![note(level)];
        let json: serde_json::Value =
            serde_json::from_slice(&payload(&delivering, &NamedPaths::default(), process)).unwrap();
        assert_eq!(json["why"], why, "{level:?}");
    }
    let mut up = calm;
    up.link.is_up = true;
    let json: serde_json::Value =
        serde_json::from_slice(&payload(&up, &NamedPaths::default(), process)).unwrap();
    assert_eq!(json["why"], serde_json::Value::Null);
}

/// The size is a promise to whoever pays by the byte: with the largest figures, and causes of any characters and length.
#[test]
fn a_status_has_at_most_350_bytes() {
    let mut snapshot = test_snapshots::delivering();
    (snapshot.time_ms, snapshot.verdict) = (i64::MAX, "catching-up".to_owned());
    (snapshot.since_s, snapshot.lost, snapshot.queue.messages) = (u64::MAX, u64::MAX, u64::MAX);
    (snapshot.room.seconds, snapshot.refused.parked) = (Some(u64::MAX), u64::MAX);
    snapshot.bytes.store_written = u64::MAX;
    snapshot.bytes.wan = [("payload".to_owned(), u64::MAX)].into();
    snapshot.clock_synced = false;
    let process = Process { certificate_days: Some(u64::MAX), memory_bytes: Some(u64::MAX) };
    for cause in ["", "x", "\u{1}", "\"\\", "\u{fc}ber", "\u{1f525}"] {
        for length in [0, 1, 10, 50, 100, 1_000] {
            let text = cause.repeat(length);
            let need = Need { level: Level::Act, id: "store".to_owned(), text, action: String::new() };
            snapshot.needs = vec![need];
            let json = payload(&snapshot, &NamedPaths::default(), process);
            assert!(json.len() <= BYTES_MAX, "{}: {cause:?} x {length}", json.len());
            let status: serde_json::Value = serde_json::from_slice(&json).unwrap();
            let why = status["why"].as_str().unwrap_or_default();
            assert!(snapshot.needs[0].text.starts_with(why));
        }
    }
    // An ordinary status has room for a sentence.
    let ordinary = test_snapshots::snapshot(&test_snapshots::outage());
    let json = payload(&ordinary, &NamedPaths::default(), made().1);
    let status: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert!(status["why"].as_str().unwrap().len() > 30, "{status}");
}

#[test]
fn a_small_packet_is_no_place_for_it() {
    let status = status();
    see(&status, 0, 1, Verdict::Delivering);
    assert!(status.poll(at(0), 100).is_none());
    assert!(HubStatus::new("a\u{0}", NamedPaths::default()).is_none());
}
