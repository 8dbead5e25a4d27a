//! Routes that change between two messages: what stays goes on, what goes leaves nothing behind, and nothing is emitted twice or never.

use std::path::Path;

use bytes::Bytes;
use edge_bridge::Row;
use edge_bridge::ingest::{Answer, Inbound, Ingest, Now};
use edge_bridge::wire::{PropertiesBuilder, Publish, QoS, Utf8, Version};
use edge_filter::DropReason;

use crate::config::{Config, Route};
use crate::run::filters::reading_row::ReadingRow;
use crate::run::hub::duplicate_marks::DuplicateMarks;
use crate::run::sensors::held_receipts::{Link, Tell};

use super::GatewayIngest;

const DEADBAND: &str = "[[rule]]\nmatch = \"#\"\nstages = [ { deadband = { absolute = 0.5 } } ]\n";
const WIDER: &str = "[[rule]]\nmatch = \"#\"\nstages = [ { deadband = { absolute = 5.0 } } ]\n";
pub(super) const DOOR: &str =
    "[[rule]]\nmatch = \"#\"\nstages = [ { swinging_door = { deviation = 0.1 } } ]\n";

/// `MATCH TO` with rules.
pub(super) fn routes(all: &[(&str, &str, Option<&str>)]) -> Vec<Route> {
    let table = |(filter, to, _): &(&str, &str, Option<&str>)| {
        format!("[[route]]\nmatch=\"{filter}\"\nto=\"{to}\"\nformat=\"json\"\n")
    };
    let tables: String = all.iter().map(table).collect();
    let head = "[gateway]\nid=\"g\"\n[local]\nlisten=\"127.0.0.1:1\"\n[hub]\nurl=\"mqtt://h\"\n";
    let (config, _) = Config::parse(Path::new("g.toml"), &format!("{head}{tables}"), &|_| None).unwrap();
    let mut routes = config.routes;
    for (route, (.., rules)) in routes.iter_mut().zip(all) {
        route.rules = rules.map(str::to_owned);
    }
    routes
}

fn ingest(all: &[(&str, &str, Option<&str>)]) -> GatewayIngest {
    GatewayIngest::new(&routes(all), DuplicateMarks::new(Now::default(), true)).unwrap()
}

pub(super) fn at(wall_ms: i64) -> Now {
    Now { up_ms: u64::try_from(wall_ms).unwrap(), wall_ms }
}

/// `TO SENSOR VALUE TIME` of each row.
fn shown(rows: &[Row]) -> Vec<String> {
    let one = |row: &Row| {
        let reading = ReadingRow::decode(&row.payload).unwrap();
        format!("{} {} {:?} {}", row.topic.as_str(), reading.sensor, reading.value, reading.time)
    };
    rows.iter().map(one).collect()
}

/// Message with one reading; `value` is as in JSON.
pub(super) fn message(topic: &'static str, time: i64, value: &str) -> Inbound {
    let publish = Publish {
        dup: false,
        qos: QoS::AtLeastOnce,
        retain: false,
        topic: Utf8::from_static(topic),
        packet_id: None,
        properties: PropertiesBuilder::new().finish(),
        payload: Bytes::from(format!("{{\"ts\":{time},\"value\":{value}}}")),
    };
    Inbound::new(Utf8::from_static("c"), Version::V5, &publish)
}

fn send(ingest: &mut GatewayIngest, topic: &'static str, time: i64, value: f64) -> Vec<String> {
    match ingest.ingest(at(time), &message(topic, time, &format!("{value:?}"))) {
        Answer::Store(rows) | Answer::Withhold(rows) => shown(&rows),
        Answer::Absorb => Vec::new(),
        Answer::Refuse(reason) => panic!("{reason:?}"),
    }
}

fn change(ingest: &GatewayIngest, wall_ms: i64, all: &[(&str, &str, Option<&str>)]) -> Vec<String> {
    shown(&changed(ingest, wall_ms, &routes(all)).0)
}

/// Changes the routes. Returns the rows that this makes, and the receipts that depend on them.
fn changed(ingest: &GatewayIngest, wall_ms: i64, routes: &[Route]) -> (Vec<Row>, Link) {
    let mut made = None;
    ingest.change_routes(at(wall_ms), routes, |rows, link| made = Some((rows, link))).unwrap();
    made.unwrap()
}

fn deadband_drops(ingest: &GatewayIngest) -> u64 {
    let counts = ingest.counts();
    counts
        .suppressed
        .iter()
        .find(|(reason, _)| *reason == DropReason::InDeadband)
        .map_or(0, |(_, count)| *count)
}

/// Messages that wait for room in a lane look for their lane again.
#[test]
fn other_routes_are_another_division_into_lanes() {
    let ingest = ingest(&[("a/#", "x", None)]);
    let before = ingest.lanes_version();
    change(&ingest, 1_000, &[("a/b", "y", None), ("a/#", "x", None)]);
    assert_ne!(ingest.lanes_version(), before);
}

#[test]
fn a_route_that_stays_goes_on_with_what_its_filter_knows_wherever_it_stands_in_the_list() {
    let stays = ("a/#", "up", Some(DOOR));
    let mut ingest = ingest(&[stays]);
    assert_eq!(send(&mut ingest, "a/t", 1_000, 0.0).len(), 1);
    assert!(send(&mut ingest, "a/t", 2_000, 1.0).is_empty(), "held");
    assert!(send(&mut ingest, "b/t", 2_000, 1.0).is_empty(), "no route");
    let more = [("b/#", "other", None), stays, ("c/#", "third", None)];
    assert!(change(&ingest, 2_500, &more).is_empty(), "it holds on");
    assert_eq!(send(&mut ingest, "a/t", 3_000, -9.0), ["up a/t F64(1.0) 2000"]);
    assert_eq!(send(&mut ingest, "b/t", 3_000, 1.0), ["other b/t F64(1.0) 3000"]);
}

#[test]
fn other_rules_emit_what_the_old_ones_hold_before_the_next_message() {
    for (what, next) in [
        ("other rules", vec![("a/#", "up", Some(WIDER))]),
        ("no rules", vec![("a/#", "up", None)]),
        ("gone", vec![("b/#", "up", Some(DOOR))]),
        ("another match", vec![("a/+", "up", Some(DOOR))]),
    ] {
        let mut ingest = ingest(&[("a/#", "up", Some(DOOR))]);
        send(&mut ingest, "a/t", 1_000, 0.0);
        assert!(send(&mut ingest, "a/t", 2_000, 1.0).is_empty(), "held");
        assert_eq!(change(&ingest, 2_500, &next), ["up a/t F64(1.0) 2000"], "{what}");
        assert!(change(&ingest, 2_600, &next).is_empty(), "{what}: once");
        assert!(shown(&ingest.tick(at(2_700), true).0).is_empty(), "{what}: once");
    }
}

#[test]
fn a_route_that_only_goes_elsewhere_keeps_what_was_sent_last() {
    let mut ingest = ingest(&[("a/#", "up", Some(DEADBAND))]);
    assert_eq!(send(&mut ingest, "a/t", 1_000, 20.0).len(), 1);
    assert!(change(&ingest, 1_500, &[("a/#", "elsewhere", Some(DEADBAND))]).is_empty());
    assert!(send(&mut ingest, "a/t", 2_000, 20.1).is_empty(), "within the deadband of the value sent before");
    assert_eq!(send(&mut ingest, "a/t", 3_000, 21.0), ["elsewhere a/t F64(21.0) 3000"]);
}

/// Counters that are exported do not go back.
#[test]
fn what_a_route_suppressed_stays_counted_when_it_goes() {
    let mut ingest = ingest(&[("a/#", "up", Some(DEADBAND))]);
    (1..=4).for_each(|n| drop(send(&mut ingest, "a/t", n * 1_000, 20.0)));
    assert_eq!(deadband_drops(&ingest), 3);
    change(&ingest, 5_000, &[("a/#", "up", Some(WIDER))]);
    assert_eq!(deadband_drops(&ingest), 3);
    send(&mut ingest, "a/t", 6_000, 20.0);
    change(&ingest, 7_000, &[("b/#", "up", None)]);
    let after = deadband_drops(&ingest);
    assert!((3..=4).contains(&after), "{after}");
}

/// Promise 13: the receipt of a reading that a stage holds comes when what stands for it is safe, also if its route goes.
#[test]
fn a_receipt_that_waits_for_a_stage_of_a_route_that_goes_comes_with_its_rows() {
    let mut waiting = routes(&[("a/#", "up", Some(DOOR))]);
    waiting[0].hold_max = Some(std::time::Duration::from_secs(60));
    let mut ingest = GatewayIngest::new(&waiting, DuplicateMarks::new(Now::default(), true)).unwrap();
    send(&mut ingest, "a/t", 1_000, 0.0);
    let _own = ingest.take_link();
    assert!(send(&mut ingest, "a/t", 2_000, 1.0).is_empty());
    assert!(ingest.withholds());
    // The message itself has no rows: it is safe at once, and waits for its part alone.
    let own = ingest.take_link();
    assert!(own.safe(Tell::Nobody).next().is_none(), "not before the stage lets go");
    let (rows, depends) = changed(&ingest, 3_000, &routes(&[("b/#", "up", None)]));
    assert_eq!(shown(&rows), ["up a/t F64(1.0) 2000"]);
    assert!(!ingest.withholds());
    assert_eq!(depends.safe(Tell::Nobody).count(), 2, "the rows' own, and the receipt that waited");
}

/// A reading that old rules held goes as their route said, over a reload and over a clean stop.
#[test]
fn what_a_route_held_keeps_its_quality_of_service_when_the_route_goes() {
    let mut twice = routes(&[("a/#", "up", Some(DOOR))]);
    twice[0].qos = 2;
    let mut ingest = GatewayIngest::new(&twice, DuplicateMarks::new(Now::default(), true)).unwrap();
    send(&mut ingest, "a/t", 1_000, 0.0);
    assert!(send(&mut ingest, "a/t", 2_000, 1.0).is_empty());
    let kept = serde_json::to_string(&ingest.filter_states().collect::<Vec<_>>()).unwrap();
    let next = GatewayIngest::new(&routes(&[("b/#", "up", None)]), DuplicateMarks::default()).unwrap();
    let restored = next.restore(at(3_000), serde_json::from_str(&kept).unwrap());
    let (reloaded, _) = changed(&ingest, 3_000, &routes(&[("b/#", "up", None)]));
    for rows in [restored, reloaded] {
        assert_eq!(rows.iter().map(|row| row.qos).collect::<Vec<_>>(), [QoS::ExactlyOnce], "{rows:?}");
    }
}

#[test]
fn rules_that_are_not_valid_change_nothing() {
    let mut ingest = ingest(&[("a/#", "up", Some(DEADBAND))]);
    send(&mut ingest, "a/t", 1_000, 20.0);
    let wrong = routes(&[("b/#", "up", None), ("a/#", "up", Some("[[rule]]\nmatch = 5\n"))]);
    assert!(ingest.change_routes(at(1_500), &wrong, |rows, _| panic!("{rows:?}")).is_err());
    assert!(send(&mut ingest, "a/t", 2_000, 20.1).is_empty(), "its filter is as it was");
    assert!(!ingest.routes("b/t"));
}

/// Promise 13: a message of another thread comes before the change or after it. Between the two it would meet a filter without what was sent last,
/// and this would then come back over its value, so that the hub holds another one than the filter knows.
#[test]
fn a_message_of_another_thread_comes_before_the_change_or_after_it() {
    let both = ["up", "elsewhere"].map(|to| routes(&[("a/#", to, Some(DEADBAND))]));
    let mut ingest = ingest(&[("a/#", "up", Some(DEADBAND))]);
    send(&mut ingest, "a/t", 1_000, 0.0);
    for round in 1..=5_000_usize {
        let time = 1_000 + 10 * i64::try_from(round).unwrap();
        let mut beside = ingest.clone();
        std::thread::scope(|scope| {
            scope.spawn(move || assert_eq!(send(&mut beside, "a/t", time, 10.0).len(), 1, "{round}"));
            changed(&ingest, time, &both[round % 2]);
        });
        assert_eq!(send(&mut ingest, "a/t", time + 5, 0.0).len(), 1, "round {round}: the hub holds 10");
    }
}

/// Rows that stages let go come before those of the next message.
#[test]
fn what_a_change_lets_go_is_put_before_another_thread_takes_a_message_in() {
    let mut ingest = ingest(&[("a/#", "up", Some(DOOR))]);
    send(&mut ingest, "a/t", 1_000, 0.0);
    assert!(send(&mut ingest, "a/t", 2_000, 1.0).is_empty(), "held");
    let next = routes(&[("a/#", "up", Some(DEADBAND))]);
    let mut put = Vec::new();
    let change = ingest.change_routes(at(2_500), &next, |rows, _| {
        assert!(ingest.inner.try_lock().is_err(), "messages wait");
        put = shown(&rows);
    });
    assert_eq!((change, put), (Ok(()), vec!["up a/t F64(1.0) 2000".to_owned()]));
}
