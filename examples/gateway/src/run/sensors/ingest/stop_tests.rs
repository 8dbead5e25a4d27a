//! Readings that filters hold over a clean stop are emitted once, under their unit, whatever the next configuration says.

use std::path::Path;

use bytes::Bytes;
use edge_bridge::Row;
use edge_bridge::ingest::{Answer, Inbound, Ingest, Now};
use edge_bridge::wire::{PropertiesBuilder, Publish, QoS, Utf8, Version};

use crate::config::Config;
use crate::run::filters::reading_row::ReadingRow;
use crate::run::hub::duplicate_marks::DuplicateMarks;

use super::GatewayIngest;

const DOOR: &str = "[[rule]]\nmatch = \"#\"\nstages = [ { swinging_door = { deviation = 0.1 } } ]\n";
const WINDOW: &str =
    "[[rule]]\nmatch = \"#\"\nstages = [ { window = { width_ms = 60000, agg = \"mean\" } } ]\n";
const DEADBAND: &str = "[[rule]]\nmatch = \"#\"\nstages = [ { deadband = { absolute = 0.5 } } ]\n";

fn ingest(route: &str, rules: Option<&str>) -> GatewayIngest {
    let text = format!(
        "[gateway]\nid=\"g\"\n[local]\nlisten=\"127.0.0.1:1\"\n[hub]\nurl=\"mqtt://h\"\n[[route]]\n{route}\n"
    );
    let (mut config, _) = Config::parse(Path::new("g.toml"), &text, &|_| None).unwrap();
    config.routes[0].rules = rules.map(str::to_owned);
    GatewayIngest::new(&config.routes, DuplicateMarks::new(Now::default(), true)).unwrap()
}

fn at(wall_ms: i64) -> Now {
    Now { up_ms: 1, wall_ms }
}

fn shown(rows: &[Row]) -> Vec<String> {
    let one = |row: &Row| {
        let reading = ReadingRow::decode(&row.payload).unwrap();
        let (value, unit, time) = (&reading.value, &reading.unit, reading.time);
        format!("{} {} {value:?} {unit} {time} f{}", row.topic.as_str(), reading.sensor, row.format.0)
    };
    rows.iter().map(one).collect()
}

fn message(dup: bool, time: i64, value: f64, unit: &str) -> Inbound {
    let publish = Publish {
        dup,
        qos: QoS::AtLeastOnce,
        retain: false,
        topic: Utf8::from_static("r/a"),
        packet_id: None,
        properties: PropertiesBuilder::new().finish(),
        payload: Bytes::from(format!("{{\"ts\":{time},\"value\":{value:?},\"unit\":\"{unit}\"}}")),
    };
    Inbound::new(Utf8::from_static("c"), Version::V5, &publish)
}

fn send(ingest: &mut GatewayIngest, time: i64, value: f64, unit: &str) -> Vec<String> {
    match ingest.ingest(at(time), &message(false, time, value, unit)) {
        Answer::Store(rows) => shown(&rows),
        Answer::Absorb => Vec::new(),
        other => panic!("{other:?}"),
    }
}

const BEFORE: &str = "match=\"r/#\"\nto=\"up\"\nformat=\"json\"";

#[test]
fn what_is_held_is_emitted_when_routes_or_rules_change() {
    let now = [
        ("another match", "match=\"r/+\"\nto=\"up\"\nformat=\"json\"", Some(DOOR)),
        ("the route is gone", "match=\"x/#\"\nto=\"up\"\nformat=\"json\"", Some(DOOR)),
        ("no filter", BEFORE, None),
        ("another stage", BEFORE, Some(DEADBAND)),
        ("raw", "match=\"r/#\"", None),
    ];
    for (what, route, rules) in now {
        let mut first = ingest(BEFORE, Some(DOOR));
        assert_eq!(send(&mut first, 1_000, 0.0, "Cel").len(), 1);
        assert!(send(&mut first, 2_000, 1.0, "Cel").is_empty(), "held");
        let next = ingest(route, rules);
        let rows = next.restore(at(3_000), first.filter_states().collect());
        assert_eq!(shown(&rows), ["up r/a F64(1.0) Cel 2000 f1"], "{what}");
        assert!(next.restore(at(3_000), next.filter_states().collect()).is_empty(), "{what}: once");
    }
}

#[test]
fn a_window_that_another_stage_replaces_ends() {
    let mut first = ingest(BEFORE, Some(WINDOW));
    for (time, value) in [(60_000, 1.0), (61_000, 3.0)] {
        send(&mut first, time, value, "Cel");
    }
    let rows = ingest(BEFORE, Some(DEADBAND)).restore(at(62_000), first.filter_states().collect());
    let shown = shown(&rows);
    assert!(matches!(&shown[..], [mean] if mean.contains("F64(2.0) Cel")), "{shown:?}");
}

#[test]
fn the_same_rules_go_on_holding_under_the_same_unit() {
    for (rules, held) in [(DOOR, "up r/a F64(1.0) Cel 2000 f1"), (WINDOW, "up r/a F64(0.5) Cel 0 f1")] {
        let mut first = ingest(BEFORE, Some(rules));
        send(&mut first, 1_000, 0.0, "Cel");
        send(&mut first, 2_000, 1.0, "Cel");
        let mut next = ingest("match=\"r/#\"\nto=\"elsewhere\"\nformat=\"json\"", Some(rules));
        assert!(next.restore(at(3_000), first.filter_states().collect()).is_empty());
        let held = held.replacen("up", "elsewhere", 1);
        // Also when only the clock emits it.
        let emitted = match rules {
            WINDOW => shown(&next.tick(at(200_000), false).0),
            _ => send(&mut next, 3_000, -20.0, "Cel"),
        };
        assert_eq!(emitted, [held]);
    }
}

#[test]
fn what_is_held_leaves_under_the_unit_that_it_came_with() {
    let mut ingest = ingest(BEFORE, Some(DOOR));
    send(&mut ingest, 1_000, 0.0, "Cel");
    assert!(send(&mut ingest, 2_000, 1.0, "Cel").is_empty());
    let fahrenheit = ["up r/a F64(1.0) Cel 2000 f1", "up r/a F64(35.6) F 3000 f1"];
    assert_eq!(send(&mut ingest, 3_000, 35.6, "F"), fahrenheit);
    assert!(send(&mut ingest, 4_000, 50.0, "F").is_empty());
    let without = ["up r/a F64(50.0) F 4000 f1", "up r/a F64(7.0)  5000 f1"];
    assert_eq!(send(&mut ingest, 5_000, 7.0, ""), without);
}

/// Promise 4: what is held of a message that may be a copy leaves marked, whatever makes it leave.
#[test]
fn what_was_held_of_a_possible_copy_is_marked_when_it_leaves_also_over_a_clean_stop() {
    let marks = |rows: Vec<Row>| rows.iter().map(|row| row.possible_duplicate).collect::<Vec<_>>();
    let stored = |answer| if let Answer::Store(rows) = answer { marks(rows) } else { Vec::new() };
    let mut first = ingest(BEFORE, Some(DOOR));
    send(&mut first, 1, 0.0, "");
    first.ingest(at(2), &message(true, 2, 1.0, ""));
    let states: Vec<_> = first.filter_states().collect();
    let corner = |ingest: &mut GatewayIngest, time, value| {
        stored(ingest.ingest(at(time), &message(false, time, value, "")))
    };
    assert_eq!(corner(&mut first, 3, -9.0), [true]);

    let mut second = ingest(BEFORE, Some(DOOR));
    assert!(second.restore(at(3), states.clone()).is_empty());
    assert_eq!(corner(&mut second, 3, -9.0), [true], "the next run knows");
    assert_eq!(corner(&mut second, 4, 9.0), [false], "no copy was held");
    let rows = ingest("match=\"x\"\nto=\"up\"\nformat=\"json\"", None).restore(at(3), states);
    assert_eq!(marks(rows), [true], "other rules");
}
