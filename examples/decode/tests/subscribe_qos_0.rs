#![allow(clippy::unwrap_used, clippy::disallowed_methods, missing_docs, reason = "test code")]
//! `subscribe` and messages that no hub keeps.

mod support;

use std::fs;

use support::mosquitto::Mosquitto;
use support::subscriber::{BATCH, Subscriber, batch, table};
use support::wait_until;

/// Nobody keeps it.
#[test]
fn what_came_at_qos_0_and_cannot_be_read_is_counted_as_lost() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let broker = Mosquitto::start(dir);
    let subscriber = Subscriber::start(dir, "lossy", &broker, &["--topic", "edge/#"]);
    subscriber.hears(dir, &broker, "edge/probe");
    broker.publish_at_qos_0(dir, "edge/a", BATCH, b"?");
    wait_until("it is told", || subscriber.said().contains("edge/a: 1 bytes: "));
    broker.publish(dir, "edge/b", BATCH, false, b"?");
    wait_until("the next one is told", || subscriber.said().contains("edge/b: 1 bytes: "));
    assert_eq!(subscriber.interrupt().code(), Some(1));
    let said = fs::read_to_string(dir.join("lossy.log")).unwrap();
    assert!(said.contains("(lost: at QoS 0 the hub keeps nothing)"), "{said}");
    assert!(said.contains("0 set aside, 1 kept unacknowledged, 1 at QoS 0 lost"), "{said}");
}

/// It was: gone, with nothing said and exit code 0.
#[test]
fn what_waits_at_qos_0_until_the_stop_is_set_aside_or_counted_as_lost() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let broker = Mosquitto::start(dir);
    let rejects = dir.join("rejects");
    let waiting = batch(&table("unknown"), 1);
    for (name, more, said) in [
        (
            "lossy",
            &[][..],
            "1 without their session table; 0 set aside, 0 kept unacknowledged, 1 at QoS 0 lost",
        ),
        (
            "sets-aside",
            &["--rejects", rejects.to_str().unwrap()],
            "1 without their session table; 1 set aside in ",
        ),
    ] {
        let subscriber = Subscriber::start(dir, name, &broker, &[&["--topic", "edge/+"], more].concat());
        subscriber.hears(dir, &broker, "edge/probe");
        broker.publish_at_qos_0(dir, "edge/a", BATCH, &waiting);
        subscriber.hears(dir, &broker, "edge/probe");
        assert_eq!(subscriber.interrupt().code(), Some(1));
        let log = fs::read_to_string(dir.join(name).with_extension("log")).unwrap();
        assert!(log.contains(said), "{log}");
    }
    let line = fs::read_to_string(rejects.join("rejects.jsonl")).unwrap();
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(fs::read(rejects.join(line["file"].as_str().unwrap())).unwrap(), waiting);
}
