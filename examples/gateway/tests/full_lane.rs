#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    missing_docs,
    reason = "test code"
)]
//! A full lane with `on_full = "reject"`: its sensors wait for their PUBACKs, those of other lanes do not.

mod support;

use std::time::{Duration, Instant};

use support::gateway::Gateway;
use support::publisher::Publisher;
use support::{free_port, wait_until};

const REST: &str = "[queue]\non_full = \"reject\"\nmax_messages = 100\n\
                    [[route]]\nmatch = \"alarm/#\"\nlane = \"alarm\"\n[[route]]\nmatch = \"#\"\n";

#[test]
fn alarms_are_acknowledged_while_telemetry_has_no_room() {
    let dir = tempfile::tempdir().unwrap();
    let (gateway, listen) = Gateway::started(dir.path(), free_port(), REST);
    let mut telemetry = Publisher::new(listen, "telemetry", 300);
    (0..200).for_each(|n| telemetry.publish("a/b", &format!("t{n}")));
    wait_until("the lane is full", 20, || {
        telemetry.poll();
        telemetry.acked.len() == 100
    });
    let mut alarm = Publisher::new(listen, "alarm", 10);
    // Its lane has an eighth of the messages.
    for n in 0..12 {
        alarm.publish("alarm/a", &format!("a{n}"));
        alarm.settle(0, 30);
    }
    telemetry.poll();
    assert_eq!((telemetry.acked.len(), telemetry.waiting()), (100, 100), "nothing is given up");
    wait_until("the alarms are queued", 30, || gateway.metric("edge_queue_messages") == Some(112.0));
    let log = gateway.log();
    assert_eq!(log.matches("the queue is full").count(), 1, "{log}");
}

/// Room is left, and none for a message of this size.
#[test]
fn large_messages_that_are_refused_before_the_lane_is_full_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let rest = "[queue]\non_full = \"reject\"\nmax_bytes = \"1MiB\"\n\
                [[route]]\nmatch = \"alarm/#\"\nlane = \"alarm\"\n[[route]]\nmatch = \"#\"\n";
    let (gateway, listen) = Gateway::started(dir.path(), free_port(), rest);
    let mut sensor = Publisher::new(listen, "camera", 10);
    // Its lane has an eighth of the bytes.
    (0..2).for_each(|_| sensor.publish("alarm/picture", &"x".repeat(100_000)));
    wait_until("the first is acknowledged", 20, || {
        sensor.poll();
        sensor.acked.len() == 1
    });
    let status =
        || -> serde_json::Value { serde_json::from_str(&gateway.get("/status.json").unwrap().1).unwrap() };
    wait_until("the second is refused", 20, || status()["verdict"] == "degraded");
    let status = status();
    let room = &status["room"];
    assert_eq!((room["seconds"].as_u64(), room["lane"].as_str()), (Some(0), Some("alarm")), "{status}");
    let need = status["needs"].as_array().unwrap().iter().find(|need| need["id"] == "no_room").unwrap();
    let text = "Messages are refused for want of room in lane alarm (76 % full): 1 message of them waits without a PUBACK.";
    assert_eq!(need["text"], text);
    assert_eq!(
        (status["sentence"].as_str().unwrap().starts_with(text), status["lost"].as_u64()),
        (true, Some(0))
    );
    sensor.poll();
    assert_eq!((sensor.acked.len(), sensor.waiting()), (1, 1));
}

/// Promise 7: a message of many readings, and values that a filter repeats without a message, meet the full lane.
#[test]
fn alarms_are_acknowledged_however_many_readings_have_no_room() {
    let dir = tempfile::tempdir().unwrap();
    let rules =
        "[[rule]]\nmatch = \"#\"\nstages = [ { stale = { timeout_ms = 3600000, heartbeat_ms = 1000 } } ]\n";
    std::fs::write(dir.path().join("rules.toml"), rules).unwrap();
    let rest = "[queue]\non_full = \"reject\"\nmax_messages = 100\n[[route]]\nmatch = \"alarm/#\"\nlane = \"alarm\"\n\
                [[route]]\nmatch = \"#\"\nto = \"up\"\nformat = \"json\"\nfilter = \"rules.toml\"\n";
    let (gateway, listen) = Gateway::started(dir.path(), free_port(), rest);
    let mut telemetry = Publisher::new(listen, "telemetry", 300);
    let readings: Vec<_> = (0..5_000).map(|n| format!("{{\"sensor\":\"s{n}\",\"value\":1}}")).collect();
    telemetry.publish("many", &format!("[{}]", readings.join(",")));
    let waits = || gateway.metric("edge_waiting_messages{reason=\"no_room\"}");
    wait_until("the readings wait", 20, || {
        telemetry.poll();
        waits() >= Some(4_900.0)
    });
    let (mut alarm, began) = (Publisher::new(listen, "alarm", 10), Instant::now());
    for n in 0..12 {
        wait_until("values are due again", 20, || began.elapsed() > Duration::from_millis(300) * n);
        alarm.publish("alarm/a", &format!("a{n}"));
        alarm.settle(0, 30);
    }
    assert_eq!(waits(), Some(4_900.0), "nothing is repeated for the full lane");
}
