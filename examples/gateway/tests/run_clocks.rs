#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! `edge-gateway run` with sensors whose times are out of order, equal or ahead. Every history of the clocks themselves is
//! in `src/run/sensors/ingest/clock_tests.rs`.

mod support;

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use edge_codec::{Format, Limits, Value};
use support::gateway::{BINARY, Gateway};
use support::mosquitto::{Mosquitto, Subscriber};
use support::publisher::Publisher;
use support::wait_until;

const DEADBAND: &str = "[[rule]]\nmatch = \"#\"\nstages = [ { deadband = { absolute = 0.5 } } ]\n";

fn gateway(dir: &Path, hub: &Mosquitto, rules: &str, fields: &str) -> (Gateway, SocketAddr) {
    fs::write(dir.join("rules.toml"), rules).unwrap();
    let route = format!(
        "[[route]]\nmatch = \"#\"\nto = \"readings\"\nformat = \"json\"\nfilter = \"rules.toml\"\n{fields}\n"
    );
    Gateway::started(dir, hub.address, &route)
}

/// Values that arrived, in order.
fn arrived(subscriber: &Subscriber) -> Vec<f64> {
    let mut values = Vec::new();
    for message in subscriber.arrived() {
        let batch = Format::Json.decode(message.payload.as_bytes(), &Limits::default()).unwrap();
        values.extend(batch.map(|reading| match reading.unwrap().value {
            Value::F64(value) => value,
            other => panic!("{other:?}"),
        }));
    }
    values
}

fn send(publisher: &mut Publisher, readings: &[(i64, f64)]) {
    for (time, value) in readings {
        publisher.publish("t", &format!("{{\"ts\":{time},\"value\":{value:?}}}"));
    }
    publisher.settle(0, 20);
}

#[test]
fn a_live_reading_and_its_own_backlog_of_five_all_arrive() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Mosquitto::start(dir.path(), "");
    let subscriber = Subscriber::start(hub.address, "readings");
    let (gateway, listen) = gateway(dir.path(), &hub, DEADBAND, "");
    let readings = [(10_000, 9.0), (1_000, 1.0), (2_000, 2.0), (3_000, 3.0), (4_000, 4.0), (5_000, 5.0)];
    send(&mut Publisher::new(listen, "s", 9), &readings);
    wait_until("6 of 6", 20, || arrived(&subscriber) == [9.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    assert_eq!(gateway.metric("edge_unfiltered_total{reason=\"late\"}"), Some(5.0));
    assert_eq!(gateway.metric("edge_verdict{verdict=\"degraded\"}"), Some(0.0));
}

#[test]
fn equal_stamps_of_a_sensor_that_counts_seconds_all_arrive() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Mosquitto::start(dir.path(), "");
    let subscriber = Subscriber::start(hub.address, "readings");
    let fields = "fields = { time = \"ts\", time_unit = \"seconds\" }";
    let (gateway, listen) = gateway(dir.path(), &hub, DEADBAND, fields);
    let second = 1_700_000_000;
    let readings = [(second, 0.0), (second, 100.0), (second, -100.0), (second, 50.0), (second + 1, 0.25)];
    send(&mut Publisher::new(listen, "s", 9), &readings);
    wait_until("4 of 4 and what follows", 20, || arrived(&subscriber) == [0.0, 100.0, -100.0, 50.0, 0.25]);
    assert_eq!(gateway.metric("edge_unfiltered_total{reason=\"same_time\"}"), Some(3.0));
}

/// A loss that the rules ask for is in `check`, the verdict, the log and the metrics.
#[test]
fn what_the_rules_drop_for_its_time_is_told_everywhere() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Mosquitto::start(dir.path(), "");
    let rules = format!("[defaults]\nout_of_order = \"drop\"\n{DEADBAND}");
    let (gateway, listen) = gateway(dir.path(), &hub, &rules, "");
    let check = Command::new(BINARY).arg("check").arg(dir.path().join("gateway.toml")).output().unwrap();
    let told = String::from_utf8(check.stdout).unwrap();
    assert!(told.contains("; always lost: every reading older than the last one\n"), "{told}");
    let mut publisher = Publisher::new(listen, "s", 9);
    send(&mut publisher, &[(10_000, 9.0), (9_000, 1.0), (9_500, 2.0)]);
    wait_until("the verdict", 20, || gateway.metric("edge_verdict{verdict=\"degraded\"}") == Some(1.0));
    assert_eq!(gateway.metric("edge_suppressed_total{reason=\"out_of_order\"}"), Some(2.0));
    wait_until("the state is in the log", 20, || gateway.log().contains("dropped_for_time=2"));
    let log = gateway.log();
    let lines = log.lines().filter(|line| line.contains("acknowledged readings are dropped for their time"));
    let lines: Vec<_> = lines.collect();
    assert!(
        lines.len() == 1 && lines[0].contains("sensor=\"t\"") && lines[0].contains("out_of_order"),
        "{lines:?}"
    );
}
