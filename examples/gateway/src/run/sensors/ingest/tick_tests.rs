//! Ticks while a lane is full.

use std::path::Path;

use bytes::Bytes;
use edge_bridge::ingest::{Answer, Inbound, Ingest, Now};
use edge_bridge::wire::{PropertiesBuilder, Publish, QoS, Utf8, Version};

use crate::config::Config;
use crate::run::hub::duplicate_marks::DuplicateMarks;

use super::GatewayIngest;

const RULES: &str = "[[rule]]\nmatch = \"#\"\nstages = [ { stale = { timeout_ms = 60000, heartbeat_ms = 1000 } } ]\n\
                     [[alarm]]\nmatch = \"#\"\nhigh = { limit = 90.0, on_delay_ms = 2000 }\n";

/// Promise 7: an alarm has the most urgent lane, whatever waits in that of its route. It is due once, and the repeated value is not lost.
#[test]
fn a_full_lane_stops_what_its_filters_repeat_and_no_alarm() {
    let text = "[gateway]\nid=\"g\"\n[local]\nlisten=\"127.0.0.1:1\"\n[hub]\nurl=\"mqtt://h\"\n\
                [[route]]\nmatch=\"#\"\nto=\"up\"\nformat=\"json\"\n";
    let (mut config, _) = Config::parse(Path::new("g.toml"), text, &|_| None).unwrap();
    config.routes[0].rules = Some(RULES.to_owned());
    let mut ingest = GatewayIngest::new(&config.routes, DuplicateMarks::default()).unwrap();
    let at = |wall_ms: i64| Now { up_ms: u64::try_from(wall_ms).unwrap(), wall_ms };
    let publish = Publish {
        dup: false,
        qos: QoS::AtLeastOnce,
        retain: false,
        topic: Utf8::from_static("a"),
        packet_id: None,
        properties: PropertiesBuilder::new().finish(),
        payload: Bytes::from_static(b"{\"ts\":10000,\"value\":95.0}"),
    };
    let message = Inbound::new(Utf8::from_static("c"), Version::V5, &publish);
    assert!(matches!(ingest.ingest(at(10_000), &message), Answer::Store(rows) if rows.len() == 1));

    let full = 1 << config.routes[0].lane;
    let lanes = |wall_ms: i64, stopped: u8| -> Vec<Option<u8>> {
        ingest.tick_lanes(at(wall_ms), false, stopped).0.iter().map(|row| row.lane).collect()
    };
    assert_eq!(ingest.due_in_ms_of_lanes(at(10_000), full), Some(2_000), "that of the alarm");
    assert_eq!(ingest.due_in_ms_of_lanes(at(10_000), full | 1), None);
    assert_eq!(lanes(12_500, full | 1), [], "there is no room for alarms either");
    assert_eq!(lanes(12_500, full), [Some(0)]);
    assert_eq!(lanes(12_600, full), []);
    assert_eq!(lanes(12_700, 0), [Some(config.routes[0].lane)], "the value, once");
}
