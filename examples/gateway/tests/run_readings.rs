#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! `edge-gateway run` with filters and batches, its log, its metrics and its probes.

mod support;

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use edge_codec::{Format, Limits, Value};
use support::gateway::Gateway;
use support::hub::Hub;
use support::mosquitto::{Mosquitto, Subscriber, publish};
use support::{free_port, wait_until};

const RULES: &str = "[[rule]]\nmatch = \"#\"\nstages = [ { deadband = { absolute = 1.0 } } ]\n";

/// A running gateway that forwards everything to a hub that is not there, and where sensors find it.
fn without_a_hub(dir: &Path) -> (Gateway, SocketAddr) {
    Gateway::started(dir, free_port(), "[[route]]\nmatch = \"#\"\n")
}

/// Promise 13 and the pinned names: what the deadband keeps arrives as a batch that says whose rows it has, and a clean
/// restart goes on where the filter stood. What the hub took just before a stop or a kill may come again.
#[test]
fn kept_readings_arrive_as_batches_and_the_filter_survives_a_clean_stop() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("rules.toml"), RULES).unwrap();
    let hub = Mosquitto::start(dir.path(), "");
    let subscriber = Subscriber::start(hub.address, "readings");
    let route =
        "[[route]]\nmatch = \"plant/#\"\nto = \"readings\"\nformat = \"json\"\nfilter = \"rules.toml\"\n";
    let (mut gateway, listen) = Gateway::started(dir.path(), hub.address, route);
    let send = |values: &[f64]| {
        values
            .iter()
            .for_each(|v| publish(listen, "plant/t", &format!("{{\"value\":{v:?},\"unit\":\"Cel\"}}")));
    };
    let arrived = || -> Vec<f64> {
        let mut values = Vec::new();
        for message in subscriber.arrived() {
            assert_eq!(message.content_type, "application/json");
            let batch = Format::Json.decode(message.payload.as_bytes(), &Limits::default()).unwrap();
            assert!(batch.header().id.is_some(), "{}", message.payload);
            values.extend(batch.map(|reading| match reading.unwrap().value {
                Value::F64(value) => value,
                other => panic!("{other:?}"),
            }));
        }
        let mut before = Vec::new();
        values.retain(|value| {
            let is_new = !before.contains(value);
            before.extend(is_new.then_some(*value));
            is_new
        });
        values
    };
    send(&[20.0, 20.5, 21.5]);
    wait_until("the kept readings arrive", 20, || arrived() == [20.0, 21.5]);
    assert!(gateway.terminate().0.success());
    gateway.start();
    // Without the snapshot the first reading after a start passes, whatever it is.
    send(&[21.75, 23.0]);
    wait_until("what is beyond the deadband of the last run arrives", 20, || arrived() == [20.0, 21.5, 23.0]);
    gateway.kill_9();
    gateway.start();
    send(&[23.25]);
    wait_until("after a kill the first reading passes", 20, || arrived() == [20.0, 21.5, 23.0, 23.25]);
    wait_until("the queue is empty", 20, || gateway.metric("edge_queue_messages") == Some(0.0));
    assert_eq!(gateway.metric("edge_suppressed_total{reason=\"in_deadband\"}"), Some(0.0), "of this run");
}

/// The alarm's state is lost with the process; the hub would have it raised for ever.
#[test]
fn an_alarm_that_was_raised_before_a_kill_ends_at_the_hub() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("rules.toml"), "[[alarm]]\nmatch = \"t\"\nhigh = { limit = 90.0 }\n").unwrap();
    let hub = Hub::start();
    let route = "[[route]]\nmatch = \"#\"\nto = \"up\"\nformat = \"json\"\nfilter = \"rules.toml\"\n";
    let (mut gateway, listen) = Gateway::started(dir.path(), hub.address, route);
    let is_told = |state: &str| hub.taken().iter().any(|message| message.payload.contains(state));
    publish(listen, "t", "{\"value\":20.0}");
    publish(listen, "t", "{\"value\":95.0}");
    wait_until("the alarm is raised", 20, || is_told("\"UNACK_ALM\""));
    assert!(!is_told("\"NORM\""), "nobody can think that it was raised before");
    gateway.kill_9();
    gateway.start();
    publish(listen, "t", "{\"value\":20.0}");
    wait_until("the alarm is over", 20, || is_told("\"NORM\""));
}

/// Nobody would notice that a sensor is gone that fell silent just before its gateway was killed.
#[test]
fn a_sensor_that_fell_silent_before_a_kill_is_told_after_it_and_one_that_lives_is_not() {
    let dir = tempfile::tempdir().unwrap();
    // Long enough for a machine that stands still for seconds.
    let rules = "[[rule]]\nmatch = \"#\"\nstages = [ { stale = { timeout_ms = 8000 } } ]\n";
    fs::write(dir.path().join("rules.toml"), rules).unwrap();
    let hub = Hub::start();
    let route = "[[route]]\nmatch = \"#\"\nto = \"up\"\nformat = \"json\"\nfilter = \"rules.toml\"\n";
    let (mut gateway, listen) = Gateway::started(dir.path(), hub.address, route);
    let send = |sensor: &str| publish(listen, sensor, "{\"value\":20.5,\"unit\":\"Cel\"}");
    let told = |sensor: &str| -> usize {
        let mark = |record: &&str| {
            record.contains(&format!("\"{sensor}\"")) && record.contains(&(0x8031_0000_u32).to_string())
        };
        hub.taken().iter().map(|message| message.payload.split('}').filter(mark).count()).sum()
    };
    send("silent");
    let file = dir.path().join("state/watched");
    wait_until("it is remembered", 20, || {
        send("alive");
        fs::read_to_string(&file).is_ok_and(|text| text.contains("silent") && text.contains("alive"))
    });
    gateway.kill_9();
    let written = fs::metadata(&file).unwrap().modified().unwrap();
    gateway.start();
    wait_until("its silence is told, by a sensor with its unit", 40, || {
        send("alive");
        let with_unit = |message: &support::hub::Taken| {
            message.payload.contains("null") && message.payload.contains("Cel")
        };
        told("silent") == 1 && hub.taken().iter().any(with_unit)
    });
    assert_eq!(told("alive"), 0);
    let again = fs::metadata(&file).unwrap().modified().unwrap();
    assert_eq!(written, again, "the disk is spared: nothing new was heard of");
    gateway.kill_9();
    gateway.start();
    assert!(gateway.terminate().0.success());
    gateway.start();
    wait_until("a clean stop in between takes none from the list", 40, || {
        send("alive");
        told("silent") >= 2
    });
    assert_eq!(told("alive"), 0);
}

/// Names, label values, probes that do not depend on the WAN, one vocabulary, no warning in a normal run.
#[test]
fn metrics_probes_and_log_tell_the_truth_without_a_hub() {
    let dir = tempfile::tempdir().unwrap();
    let (mut gateway, listen) = without_a_hub(dir.path());
    publish(listen, "a", "one");
    for (path, status) in [("/readyz", 200), ("/healthz", 200), ("/metrics", 200), ("/nothing", 404)] {
        assert_eq!(gateway.get(path).unwrap().0, status, "{path}");
    }
    wait_until("the message waits", 10, || gateway.metric("edge_queue_messages") == Some(1.0));
    let (_, page) = gateway.get("/metrics").unwrap();
    for name in [
        "edge_accepted_total 1",
        "edge_delivered_total 0",
        "edge_dropped_total{reason=\"overflow\"} 0",
        "edge_queue_bytes ",
        "edge_oldest_age_seconds ",
        "edge_unacked 0",
        "edge_link_state{state=\"backing-off\"} ",
        "edge_store_bytes_written_total ",
        "edge_wan_bytes_total{cause=\"payload\"} 0",
    ] {
        assert!(page.lines().any(|line| line.starts_with(name)), "{name} is missing in\n{page}");
    }
    wait_until("the log says it", 10, || gateway.log().contains("verdict=storing"));
    assert!(gateway.log().contains(&format!("accepting on {listen}")));
    assert!(gateway.terminate().0.success());
}
