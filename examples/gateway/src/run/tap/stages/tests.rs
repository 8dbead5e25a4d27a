use bytes::Bytes;
use edge_bridge::Format;
use edge_bridge::ingest::{Answer, Ingest, Now};
use edge_bridge::wire::{PropertiesBuilder, Publish, QoS, ReasonCode, Utf8, Version};

use crate::config::Config;
use crate::run::hub::duplicate_marks::DuplicateMarks;
use crate::run::sensors::ingest::GatewayIngest;

use super::super::registry::{Next, Tap};
use super::*;

const RULES: &str = "[[rule]]\nmatch = \"#\"\nstages = [ { deadband = { absolute = 0.5 } } ]\n";

fn message(topic: &str, payload: &str) -> Inbound {
    let publish = Publish {
        dup: false,
        qos: QoS::AtLeastOnce,
        retain: false,
        topic: Utf8::try_from(topic).unwrap(),
        packet_id: None,
        properties: PropertiesBuilder::new().finish(),
        payload: Bytes::copy_from_slice(payload.as_bytes()),
    };
    Inbound::new(Utf8::from_static("sensor-7"), Version::V5, &publish)
}

/// A raw route, one with a deadband, and one without a filter.
fn ingest(taps: &Taps) -> GatewayIngest {
    let text = "[gateway]\nid=\"a\"\n[local]\nlisten=\"127.0.0.1:1\"\n[hub]\nurl=\"mqtt://h\"\n[[route]]\nmatch=\"raw/#\"\n[[route]]\nmatch=\"band/#\"\nto=\"t\"\nformat=\"json\"\ninput=\"number\"\n[[route]]\nmatch=\"all/#\"\nto=\"t\"\nformat=\"json\"\ninput=\"senml\"\n";
    let (mut config, _) = Config::parse(std::path::Path::new("g.toml"), text, &|_| None).unwrap();
    config.routes[1].rules = Some(RULES.to_owned());
    let ingest = GatewayIngest::new(&config.routes, DuplicateMarks::default()).unwrap();
    ingest.set_taps(taps);
    ingest
}

fn tap(taps: &Taps, stage: Stage, why: bool, filter: &str) -> Tap {
    taps.open(Wish { stage, why, filter: filter.to_owned() }).unwrap()
}

/// Fields of each sample that waits, separated by spaces.
fn seen(tap: &mut Tap, fields: &[&str]) -> Vec<String> {
    let next = || match futures(tap.next()) {
        Some(Next::Sample(line)) => Some(serde_json::from_str::<serde_json::Value>(&line).unwrap()),
        Some(other) => panic!("{other:?}"),
        None => None,
    };
    let field = |line: &serde_json::Value, pointer: &str| match line.pointer(pointer) {
        Some(serde_json::Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => "-".to_owned(),
    };
    std::iter::from_fn(next)
        .map(|line| fields.iter().map(|name| field(&line, name)).collect::<Vec<_>>().join(" "))
        .collect()
}

/// Result of a future that is ready now.
fn futures<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(&mut context) {
        std::task::Poll::Ready(ready) => Some(ready),
        std::task::Poll::Pending => None,
    }
}

/// Sends messages, one a second. Returns for each whether it made rows.
fn send(ingest: &mut GatewayIngest, messages: &[(&str, &str)]) -> Vec<bool> {
    let stores = |(second, (topic, payload)): (u64, &(&str, &str))| {
        let up_ms = 1_000 * second;
        let now = Now { up_ms, wall_ms: 1_700_000_000_000 + up_ms.cast_signed() };
        let answer = ingest.ingest(now, &message(topic, payload));
        let _link = ingest.take_link();
        matches!(answer, Answer::Store(_))
    };
    (1..).zip(messages).map(stores).collect()
}

#[test]
fn every_message_is_seen_as_it_came_whatever_becomes_of_it() {
    let taps = Taps::default();
    let mut ingest = ingest(&taps);
    let mut tap = tap(&taps, Stage::In, false, "+/1");
    let messages = [("raw/1", "x"), ("band/1", "no reading"), ("none/1", ""), ("raw/2", "y")];
    send(&mut ingest, &messages);
    let fields = ["/topic", "/client", "/qos", "/bytes", "/text"];
    let expected = ["raw/1 sensor-7 1 1 x", "band/1 sensor-7 1 10 no reading", "none/1 sensor-7 1 0 "];
    assert_eq!(seen(&mut tap, &fields), expected);
}

#[test]
fn readings_are_seen_with_the_filters_reason_and_others_only_by_those_who_ask_why() {
    let taps = Taps::default();
    let mut ingest = ingest(&taps);
    let (mut plain, mut why) =
        (tap(&taps, Stage::Filtered, false, "#"), tap(&taps, Stage::Filtered, true, "#"));
    let messages = [
        ("band/1", "20"),
        ("band/1", "20.2"),
        ("band/1", "21"),
        ("all/1", r#"[{"n":"s","v":7}]"#),
        ("raw/1", "x"),
        ("band/1", "?"),
    ];
    assert_eq!(send(&mut ingest, &messages), [true, false, true, true, true, false]);
    send(&mut ingest, &[("none", "")]);
    let fields = ["/topic", "/verdict", "/why", "/reading/value"];
    let passed = [
        "band/1 passed first 20",
        "band/1 passed deadband 21",
        "all/1 passed no_filter 7",
        "raw/1 unfiltered the route is raw: it has no filter -",
    ];
    let number = |text: String| text.replace(".0", "");
    let seen_plain: Vec<_> = seen(&mut plain, &fields).into_iter().map(number).collect();
    assert_eq!(seen_plain, passed);
    let all: Vec<_> = seen(&mut why, &fields).into_iter().map(number).collect();
    assert_eq!(all[1], "band/1 suppressed in_deadband 20.2");
    assert!(all[5].starts_with("band/1 no-reading ") && all[6] == "none no-reading no route -", "{all:?}");
    let rest: Vec<_> = [0, 2, 3, 4].into_iter().map(|n| all[n].clone()).collect();
    assert_eq!((rest, all.len()), (passed.map(str::to_owned).to_vec(), 7));
}

/// Of Sparkplug 0 is bad and 192 good; at the hub 0 is good.
#[test]
fn a_reading_that_is_not_sent_is_seen_with_the_quality_that_it_would_have_had() {
    let rules =
        "[[rule]]\nmatch = \"#\"\nquality = \"sparkplug\"\nstages = [ { deadband = { absolute = 0.5 } } ]\n";
    let taps = Taps::default();
    let text = "[gateway]\nid=\"a\"\n[local]\nlisten=\"127.0.0.1:1\"\n[hub]\nurl=\"mqtt://h\"\n[[route]]\nmatch=\"#\"\nto=\"t\"\nformat=\"json\"\n";
    let (mut config, _) = Config::parse(std::path::Path::new("g.toml"), text, &|_| None).unwrap();
    config.routes[0].rules = Some(rules.to_owned());
    let mut ingest = GatewayIngest::new(&config.routes, DuplicateMarks::default()).unwrap();
    ingest.set_taps(&taps);
    let mut why = tap(&taps, Stage::Filtered, true, "#");
    send(&mut ingest, &[("t", r#"{"value":20,"quality":192}"#), ("t", r#"{"value":20.2,"quality":192}"#)]);
    let expected = ["passed first 0", "suppressed in_deadband 0"];
    assert_eq!(seen(&mut why, &["/verdict", "/why", "/reading/quality"]), expected);
}

/// A sensor's name of its own is found by that name and by its message's topic.
#[test]
fn a_reading_is_found_by_its_sensor_and_by_its_topic() {
    let taps = Taps::default();
    let mut ingest = ingest(&taps);
    let mut taps_of =
        ["line/temp", "all/+", "other"].map(|filter| tap(&taps, Stage::Filtered, false, filter));
    let senml = r#"[{"n":"line/temp","v":20.5}]"#;
    assert_eq!(send(&mut ingest, &[("all/1", senml)]), [true]);
    let seen = taps_of.each_mut().map(|tap| seen(tap, &["/reading/sensor"]));
    assert_eq!(seen, [vec!["line/temp".to_owned()], vec!["line/temp".to_owned()], vec![]]);
}

/// Routes that come by a change of the configuration have the taps, too.
#[test]
fn changed_routes_are_tapped() {
    let taps = Taps::default();
    let mut ingest = ingest(&taps);
    let text = "[gateway]\nid=\"a\"\n[local]\nlisten=\"127.0.0.1:1\"\n[hub]\nurl=\"mqtt://h\"\n[[route]]\nmatch=\"new/#\"\nto=\"t\"\nformat=\"json\"\ninput=\"number\"\n";
    let (config, _) = Config::parse(std::path::Path::new("g.toml"), text, &|_| None).unwrap();
    ingest.change_routes(Now::default(), &config.routes, |_, _| {}).unwrap();
    let mut tap = tap(&taps, Stage::Filtered, false, "#");
    send(&mut ingest, &[("new/1", "7")]);
    assert_eq!(seen(&mut tap, &["/topic", "/why"]), ["new/1 no_filter"]);
}

#[test]
fn a_row_is_seen_when_it_is_safe_with_its_reading() {
    let taps = Taps::default();
    let lanes: Arc<[String]> = Arc::from(["alarm".to_owned(), "telemetry".to_owned()]);
    let mut row = Row::new(Utf8::from_static("up/a"), Bytes::from_static(b"21"));
    assert!(taps.row(&row, &lanes).is_none(), "nobody taps");
    let mut tap = tap(&taps, Stage::Stored, false, "up/+");
    let raw = taps.row(&row, &lanes).unwrap();
    row.dead_letter = Some(ReasonCode::PAYLOAD_FORMAT_INVALID);
    assert!(taps.row(&row, &lanes).is_none(), "it goes to dead-letter/up/a");
    let reading = ReadingRow {
        sensor: "s".into(),
        unit: "K".into(),
        time: 9,
        value: edge_codec::Value::I64(7),
        quality: 0,
    };
    let mut row = Row::new(Utf8::from_static("up/b"), reading.encode().unwrap());
    row.format = Format(9);
    let batched = taps.row(&row, &lanes).unwrap();
    assert!(seen(&mut tap, &[]).is_empty(), "not safe yet");
    drop(raw);
    batched(SafeRow { lane: 1, seq: 42, receipt: QueueReceipt::HandedOver });
    let fields = ["/topic", "/lane", "/seq", "/receipt", "/reading/sensor", "/reading/value", "/text"];
    assert_eq!(seen(&mut tap, &fields), ["up/b telemetry 42 handed-over s 7 -"]);
}
