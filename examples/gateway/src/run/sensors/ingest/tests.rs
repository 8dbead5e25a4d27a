use std::path::Path;

use bytes::Bytes;
use edge_bridge::wire::{PropertiesBuilder, PropertyId, Publish, QoS, Utf8, Value, Version};

use crate::config::Config;
use crate::run::filters::reading_row::ReadingRow;
use crate::run::log::captured_log::captured;
use crate::run::tap::{Stage, Wish};

use super::*;

const CONFIG: &str = r#"
[gateway]
id = "g"
[local]
listen = "127.0.0.1:1"
[hub]
url = "mqtt://hub"
[[route]]
match = "raw/#"
to = "site7/"
lane = "alarm"
[[route]]
match = "+/json"
to = "readings"
format = "cbor"
[[route]]
match = "raw/never"
"#;

fn ingest_after(clean: bool) -> GatewayIngest {
    let (config, _) = Config::parse(Path::new("g.toml"), CONFIG, &|_| None).unwrap();
    GatewayIngest::new(&config.routes, DuplicateMarks::new(Now::default(), clean)).unwrap()
}

fn message(topic: &'static str, payload: &'static [u8]) -> Inbound {
    let publish = Publish {
        dup: false,
        qos: QoS::AtLeastOnce,
        retain: false,
        topic: Utf8::from_static(topic),
        packet_id: None,
        properties: PropertiesBuilder::new().finish(),
        payload: Bytes::from_static(payload),
    };
    Inbound::new(Utf8::from_static("sensor"), Version::V5, &publish)
}

fn rows(answer: Answer) -> Vec<Row> {
    match answer {
        Answer::Store(rows) => rows,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_raw_message_keeps_everything_but_what_belongs_to_its_connection() {
    let mut inbound = message("raw/a", b"\0bits");
    let mut properties = PropertiesBuilder::new();
    properties.push(PropertyId::ContentType, Value::Utf8("x/y")).unwrap();
    properties.push(PropertyId::TopicAlias, Value::U16(3)).unwrap();
    properties.push(PropertyId::MessageExpiryInterval, Value::U32(9)).unwrap();
    properties.user("own", "kept").unwrap();
    inbound.properties = properties.finish();
    inbound.retain = true;
    let rows = rows(ingest_after(true).ingest(Now::default(), &inbound));
    let [row] = rows.as_slice() else { panic!("{rows:?}") };
    assert_eq!((row.topic.as_str(), row.payload.as_ref(), row.retain), ("site7/raw/a", &b"\0bits"[..], true));
    assert_eq!((row.lane, row.ttl_ms, row.possible_duplicate), (Some(0), Some(9_000), false));
    assert_eq!(row.properties.str(PropertyId::ContentType), Some("x/y"));
    assert_eq!(row.properties.user_property("own"), Some("kept"));
    assert!(!row.properties.contains(PropertyId::TopicAlias));
    assert!(
        !row.properties.contains(PropertyId::MessageExpiryInterval),
        "the uplink writes what is left of it"
    );
}

/// A slice of the receive buffer in a row would keep the whole buffer alive.
#[test]
fn a_raw_row_has_a_payload_of_its_own() {
    let inbound = message("raw/a", b"payload");
    let rows = rows(ingest_after(true).ingest(Now::default(), &inbound));
    assert_ne!(rows[0].payload.as_ptr(), inbound.payload.as_ptr());
}

#[test]
fn readings_become_rows_of_the_batchs_topic_and_format() {
    let inbound = message("oven/json", br#"[{"value":1.5,"unit":"Cel"},{"sensor":"b","value":2}]"#);
    let rows = rows(ingest_after(true).ingest(Now { up_ms: 0, wall_ms: 77 }, &inbound));
    assert_eq!(rows.len(), 2);
    for row in &rows {
        assert_eq!((row.topic.as_str(), row.lane), ("readings", Some(1)));
        assert_eq!(row.format, crate::run::hub::formats::row_format(crate::config::Format::Cbor));
    }
    let first = ReadingRow::decode(&rows[0].payload).unwrap();
    assert_eq!((first.sensor.as_ref(), first.unit.as_ref(), first.time), ("oven/json", "Cel", 77));
}

#[test]
fn what_cannot_be_used_is_refused_and_what_nobody_wants_absorbed_both_counted() {
    let mut ingest = ingest_after(true);
    let refused = ingest.ingest(Now::default(), &message("oven/json", b"hello"));
    assert_eq!(refused, Answer::Refuse(ReasonCode::PAYLOAD_FORMAT_INVALID));
    assert_eq!(ingest.ingest(Now::default(), &message("else", b"x")), Answer::Absorb);
    assert_eq!(ingest.ingest(Now::default(), &message("oven/json", b"[]")), Answer::Absorb);
    let counts = ingest.counts();
    assert_eq!((counts.undecodable, counts.unrouted, counts.empty), (1, 1, 1));
}

/// One line per topic and hour, with the parser's reason; a text has its limit.
#[test]
fn a_topic_with_messages_that_are_no_readings_is_logged_once_an_hour() {
    let mut ingest = ingest_after(true);
    let text = |bytes: usize| format!(r#"{{"value":"{}"}}"#, "x".repeat(bytes));
    let one_is_bad = r#"[{"value":1},{"bad":1}]"#.to_owned();
    let lines = captured(|| {
        for up_ms in (0..7_200_000_u64).step_by(60_000) {
            let mut answer = |topic: &'static str, payload: &str| {
                let mut inbound = message(topic, b"");
                inbound.payload = Bytes::copy_from_slice(payload.as_bytes());
                ingest.ingest(Now { up_ms, wall_ms: up_ms as i64 }, &inbound)
            };
            assert!(!matches!(answer("good/json", &text(16_384)), Answer::Refuse(_)));
            for (topic, payload) in [("long/json", text(16_385)), ("list/json", one_is_bad.clone())] {
                let refused = Answer::Refuse(ReasonCode::PAYLOAD_FORMAT_INVALID);
                assert_eq!(answer(topic, &payload), refused, "{topic}");
            }
        }
    });
    let count = |start| lines.lines().filter(|line| line.contains(start)).count();
    let (long, list) = (r#" topic="long/json" error=""#, r#" topic="list/json" error=""#);
    assert_eq!((count(long), count(list), lines.lines().count()), (2, 2, 4), "{lines}");
}

/// Of a flood of topics some have their line at once, and the next line has the number of the others.
#[test]
fn dead_letters_without_a_line_are_counted_in_the_next_one() {
    let mut ingest = ingest_after(true);
    let lines = captured(|| {
        let mut send = |up_ms, topic: &str| {
            let mut bad = message("long/json", b"no reading");
            bad.topic = Utf8::try_from(topic.to_owned()).unwrap();
            let refused = Answer::Refuse(ReasonCode::PAYLOAD_FORMAT_INVALID);
            assert_eq!(ingest.ingest(Now { up_ms, wall_ms: up_ms as i64 }, &bad), refused, "{topic}");
        };
        (0..25).for_each(|n| send(0, &format!("{n}/json")));
        send(60_000, "24/json");
    });
    let last = lines.lines().last().unwrap();
    assert_eq!(lines.lines().count(), 21, "{lines}");
    assert!(last.contains("24/json") && last.contains(" not_logged=5"), "{last}");
}

#[test]
fn the_first_route_that_matches_decides() {
    let rows = rows(ingest_after(true).ingest(Now::default(), &message("raw/never", b"x")));
    assert_eq!(rows[0].topic.as_str(), "site7/raw/never");
}

#[test]
fn a_topic_that_becomes_too_long_is_refused_counted_and_logged_once_an_hour() {
    let topic = format!("raw/{}", "x".repeat(65_531));
    let mut inbound = message("raw/a", b"x");
    inbound.topic = Utf8::try_from(topic).unwrap();
    let mut ingest = ingest_after(true);
    let lines = captured(|| {
        for _ in 0..2 {
            let answer = ingest.ingest(Now::default(), &inbound);
            assert_eq!(answer, Answer::Refuse(ReasonCode::TOPIC_NAME_INVALID));
        }
    });
    assert_eq!(ingest.counts().undecodable, 2);
    assert_eq!(
        lines.matches("too long or too deep a topic: goes to dead-letter/TOPIC").count(),
        1,
        "{lines}"
    );
    assert!(lines.contains("bytes=65535") && lines.len() < 1_000, "{} bytes", lines.len());
}

/// Mosquitto closes the connection at a topic of more levels, and again each time.
#[test]
fn a_topic_that_becomes_too_deep_is_refused() {
    let answer_to = |levels: usize| {
        let mut inbound = message("raw/a", b"x");
        inbound.topic = Utf8::try_from(format!("raw{}", "/a".repeat(levels - 1))).unwrap();
        ingest_after(true).ingest(Now::default(), &inbound)
    };
    let to = rows(answer_to(2))[0].topic.matches('/').count() - 1;
    assert!(to > 0, "the route has a `to`");
    assert_eq!(rows(answer_to(200 - to)).len(), 1);
    assert_eq!(answer_to(201 - to), Answer::Refuse(ReasonCode::TOPIC_NAME_INVALID));
}

/// Promise 4: what may be a copy is marked.
#[test]
fn repeated_messages_and_those_after_an_unclean_stop_are_marked() {
    let mut repeated = message("raw/a", b"x");
    repeated.dup = true;
    assert!(rows(ingest_after(true).ingest(Now::default(), &repeated))[0].possible_duplicate);
    let first = message("raw/a", b"x");
    assert!(rows(ingest_after(false).ingest(Now::default(), &first))[0].possible_duplicate);
    assert!(!rows(ingest_after(true).ingest(Now::default(), &first))[0].possible_duplicate);
}

/// Promise 4: as of other messages; each once, whatever was refused before it.
#[test]
fn dead_letters_of_repeated_messages_and_after_an_unclean_stop_are_marked() {
    let letter = |clean: bool, dup: bool| {
        let (mut ingest, mut refused) = (ingest_after(clean), message("oven/json", b"hello"));
        refused.dup = dup;
        let Answer::Refuse(reason) = ingest.ingest(Now::default(), &refused) else { panic!("refused") };
        ingest.dead_letter(&refused, reason)
    };
    assert!(letter(false, false).possible_duplicate, "after a kill");
    assert!(letter(true, true).possible_duplicate, "as it says");
    assert!(!letter(true, false).possible_duplicate);
    assert_eq!(letter(false, false).dead_letter, Some(ReasonCode::PAYLOAD_FORMAT_INVALID));
}

/// Whatever the embedding program answers is the answer: its message is no route's, although one matches.
#[test]
fn an_answer_of_the_programs_own_ingest_is_no_routes_and_marked_as_theirs() {
    let own = |message: &Inbound| {
        let mut row = message.dead_letter(ReasonCode::UNSPECIFIED_ERROR);
        row.topic = Utf8::from_static("own");
        vec![row]
    };
    let answer = move |message: &Inbound| match message.payload.as_ref() {
        b"store" => Some(Answer::Store(own(message))),
        b"withhold" => Some(Answer::Withhold(own(message))),
        b"absorb" => Some(Answer::Absorb),
        b"refuse" => Some(Answer::Refuse(ReasonCode::NOT_AUTHORIZED)),
        _ => None,
    };
    for (clean, dup) in [(true, false), (true, true), (false, false)] {
        let may_be_copy = dup || !clean;
        let mut ingest = ingest_after(clean);
        let part = OwnIngest::new(Box::new(move |_, message| answer(message)));
        ingest.set_parts(Some(part), Vec::new()).unwrap();
        let mut sent = |payload: &'static [u8]| {
            let mut inbound = message("raw/a", payload);
            inbound.dup = dup;
            let answer = ingest.ingest(Now::default(), &inbound);
            (answer, ingest.dead_letter(&inbound, ReasonCode::NOT_AUTHORIZED).possible_duplicate)
        };
        let are_own = |rows: &[Row]| matches!(rows, [row] if row.topic == "own" && row.possible_duplicate == may_be_copy);
        assert!(matches!(sent(b"store").0, Answer::Store(rows) if are_own(&rows)), "{clean} {dup}");
        assert!(matches!(sent(b"withhold").0, Answer::Withhold(rows) if are_own(&rows)), "{clean} {dup}");
        assert_eq!(sent(b"absorb").0, Answer::Absorb);
        assert_eq!(sent(b"refuse"), (Answer::Refuse(ReasonCode::NOT_AUTHORIZED), may_be_copy));
        assert_eq!(rows(sent(b"other").0)[0].topic.as_str(), "site7/raw/a", "left to the routes");
    }
}

/// A tap behind the filters says why none of them judged a message.
#[tokio::test]
async fn a_tap_says_why_no_filter_judged_a_message() {
    let (taps, mut ingest) = (Taps::default(), ingest_after(true));
    let mut tap = taps.open(Wish { stage: Stage::Filtered, why: true, filter: "#".to_owned() }).unwrap();
    ingest.set_taps(&taps);
    let own = |_, message: &Inbound| message.topic.starts_with("own/").then_some(Answer::Absorb);
    ingest.set_parts(Some(OwnIngest::new(Box::new(own))), Vec::new()).unwrap();
    for topic in ["own/a", "raw/a", "else"] {
        ingest.ingest(Now::default(), &message(topic, b"x"));
    }
    for why in ["decided by the program's own ingest", "the route is raw: it has no filter", "no route"] {
        let told = format!("{:?}", tap.next().await);
        assert!(told.contains(why), "{told}");
    }
}

/// Promise 7: the message waited for room in its route's lane. A row for another one, which may be full, would wait in front of all lanes.
#[test]
fn a_dead_letter_goes_by_the_lane_for_which_its_message_waited() {
    for lane in ["alarm", "telemetry"] {
        let text = CONFIG.replace("format = \"cbor\"", &format!("format = \"cbor\"\nlane = \"{lane}\""));
        let (config, _) = Config::parse(Path::new("g.toml"), &text, &|_| None).unwrap();
        let mut ingest = GatewayIngest::new(&config.routes, DuplicateMarks::default()).unwrap();
        let refused = message("oven/json", b"hello");
        let Answer::Refuse(reason) = ingest.ingest(Now::default(), &refused) else { panic!("refused") };
        let waited_for = ingest.lane(&refused);
        assert!(waited_for.is_some());
        assert_eq!(ingest.dead_letter(&refused, reason).lane, waited_for, "{lane}");
    }
}
