#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! `edge-gateway run` with `ack_held = "when_emitted"`: PUBACKs of held readings over a kill, a stop, and against a publisher
//! that waits for each of them. Every history of the rule itself is in `src/run/sensors/held_receipts/tests.rs`.

mod support;

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use edge_codec::{Format, Limits};
use support::gateway::Gateway;
use support::mosquitto::{Mosquitto, Subscriber};
use support::publisher::Publisher;
use support::wait_until;

const RULES: &str = "[[rule]]\nmatch = \"#\"\nstages = [ { swinging_door = { deviation = 0.5 } } ]\n";

/// A running gateway whose stage holds, and where sensors find it.
fn gateway(dir: &Path, hub: &Mosquitto, hold_max: &str) -> (Gateway, SocketAddr) {
    fs::write(dir.join("rules.toml"), RULES).unwrap();
    let route = format!(
        "[[route]]\nmatch = \"#\"\nto = \"readings\"\nformat = \"json\"\nfilter = \"rules.toml\"\n\
         ack_held = \"when_emitted\"\nhold_max = \"{hold_max}\"\n"
    );
    Gateway::started(dir, hub.address, &route)
}

fn send(publisher: &mut Publisher, readings: &[(i64, f64)]) {
    for (time, value) in readings {
        publisher.publish("t", &format!("{{\"ts\":{time},\"value\":{value:?}}}"));
    }
}

/// Event times that arrived, each once, in order.
fn arrived(subscriber: &Subscriber) -> Vec<i64> {
    let mut times: Vec<i64> = Vec::new();
    for message in subscriber.arrived() {
        let batch = Format::Json.decode(message.payload.as_bytes(), &Limits::default()).unwrap();
        times.extend(batch.map(|reading| reading.unwrap().time));
    }
    times.sort_unstable();
    times.dedup();
    times
}

/// Promises 1 and 13: what the killed gateway held had no PUBACK, so it comes again; a stop lets go of everything.
#[test]
fn what_a_killed_gateway_held_was_not_acknowledged_and_comes_again() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Mosquitto::start(dir.path(), "");
    let subscriber = Subscriber::start(hub.address, "readings");
    let (mut gateway, listen) = gateway(dir.path(), &hub, "10m");
    let mut publisher = Publisher::new(listen, "foreign", 9);
    send(&mut publisher, &[(1_000, 0.0), (2_000, 1.0), (3_000, 2.0), (4_000, 3.0)]);
    wait_until("the emitted one is acknowledged", 20, || {
        publisher.settle(3, 20);
        arrived(&subscriber) == [1_000]
    });
    assert_eq!(publisher.waiting(), 3, "the line is not");
    wait_until("an operator sees how many, and for how long", 20, || {
        let age = gateway.metric("edge_withheld_oldest_age_seconds");
        gateway.metric("edge_withheld_messages") == Some(3.0) && age.is_some_and(|age| age > 0.0)
    });

    gateway.kill_9();
    gateway.start();
    // The first after a kill passes; a corner ends the line.
    send(&mut publisher, &[(5_000, -20.0)]);
    publisher.settle(1, 20);
    wait_until("the line is at the hub", 20, || arrived(&subscriber) == [1_000, 2_000, 4_000]);
    assert_eq!((publisher.waiting(), publisher.acked.len()), (1, 4), "the corner is held");
    assert_eq!(gateway.metric("edge_withheld_messages"), Some(1.0));

    assert!(gateway.terminate().0.success());
    publisher.settle(0, 20);
    gateway.start();
    wait_until("what the stop let go is at the hub", 20, || arrived(&subscriber).contains(&5_000));
    assert!(!gateway.log().contains("not all that was received found room"));
}

/// No dead end: the reading that would end the hold is not sent before the PUBACK.
#[test]
fn a_publisher_of_one_message_at_a_time_is_not_stopped_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Mosquitto::start(dir.path(), "");
    let subscriber = Subscriber::start(hub.address, "readings");
    let (gateway, listen) = gateway(dir.path(), &hub, "300ms");
    let mut publisher = Publisher::new(listen, "foreign", 1);
    let readings: Vec<(i64, f64)> = (1..6).map(|n| (n * 1_000, n as f64)).collect();
    send(&mut publisher, &readings);
    publisher.settle(0, 20);
    wait_until("all of them are at the hub", 20, || arrived(&subscriber).len() == readings.len());
    for nothing in ["edge_withheld_messages", "edge_withheld_oldest_age_seconds"] {
        assert_eq!(gateway.metric(nothing), Some(0.0), "{nothing}");
    }
}
