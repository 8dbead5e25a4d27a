#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! Alarms of a route's filter, commanded by local clients: acknowledged and shelved ones stay so over a kill.

mod support;

use std::fs;

use support::gateway::Gateway;
use support::mosquitto::{Mosquitto, Subscriber, publish, publish_at, publish_unacknowledged};
use support::publisher::Publisher;
use support::wait_until;

const RULES: &str = "[[alarm]]\nmatch = \"plant/#\"\nmax_shelve_ms = 3600000\nhigh = { limit = 90.0 }\n";
/// The last route would take commands, too.
const CONFIG: &str = r##"
[alarms]
commands = true
clients = ["hmi"]
[[route]]
match = "plant/#"
to = "up"
format = "json"
filter = "rules.toml"
[[route]]
match = "#"
to = "all/"
"##;

/// Topic on which the hub is told who acknowledged.
const COMMANDED: &str = "all/event/command/alarm/plant/a/HI/ack";

struct Events(Subscriber);

impl Events {
    /// The last payload on this topic.
    fn last(&self, topic: &str) -> Option<String> {
        let all = self.0.arrived();
        all.iter().rev().find(|message| message.topic == topic).map(|message| message.payload.clone())
    }

    fn has(&self, topic: &str, part: &str) -> bool {
        self.0.arrived().iter().any(|message| message.topic == topic && message.payload.contains(part))
    }

    #[track_caller]
    fn wait(&self, topic: &str, part: &str) {
        wait_until(&format!("{topic} {part}"), 30, || self.has(topic, part));
    }

    /// Number that an acknowledgement quotes.
    #[track_caller]
    fn transition(&self, topic: &str) -> String {
        let event: serde_json::Value = serde_json::from_str(&self.last(topic).unwrap()).unwrap();
        event["transition"].to_string()
    }
}

#[test]
fn alarms_that_were_acknowledged_and_shelved_stay_so_over_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("rules.toml"), RULES).unwrap();
    let hub = Mosquitto::start(dir.path(), "");
    let at_hub = Subscriber::start(hub.address, "#");
    let (mut gateway, listen) = Gateway::started(dir.path(), hub.address, CONFIG);
    let events = Events(Subscriber::start(listen, "event/#"));
    let value = |sensor: &str, value: &str| publish(listen, sensor, &format!("{{\"value\":{value}}}"));
    value("plant/a", "95");
    value("plant/b", "95");
    events.wait("event/alarm/plant/a/HI", "UNACK_ALM");
    events.wait("event/alarm/plant/b/HI", "UNACK_ALM");

    let mut hmi = Publisher::new(listen, "hmi", 1);
    let mut command = |topic: &str, payload: &str| {
        hmi.publish(&format!("cmd/alarm/{topic}"), payload);
        hmi.settle(0, 30);
    };
    command("plant/nobody/HI/reset", "");
    events.wait("event/refused/alarm/plant/nobody/HI/reset", "no sensor of this name");
    command("plant/a/HI/ack", "1");
    events.wait("event/refused/alarm/plant/a/HI/ack", "another occurrence");
    command("plant/b/HI/shelve", "3600001");
    events.wait("event/refused/alarm/plant/b/HI/shelve", "1 ms to 3600000 ms");
    publish(listen, "cmd/alarm/plant/b/HI/shelve", "9");
    events.wait("event/refused/alarm/plant/b/HI/shelve", "this client may not command it");
    assert!(!events.has("event/alarm/plant/b/HI", "SHELVED"));
    command("plant/a/HI/ack", &events.transition("event/alarm/plant/a/HI"));
    events.wait("event/command/alarm/plant/a/HI/ack", "\"client\":\"hmi\"");
    command("plant/b/HI/shelve", "3600000");
    events.wait("event/command/alarm/plant/b/HI/shelve", "3600000");
    let reaches = |part: &str| at_hub.arrived().iter().any(|m| m.payload.contains(part) || m.topic == part);
    wait_until("the hub has all", 30, || ["\"ACK_ALM\"", "\"SHELVED\"", COMMANDED].into_iter().all(reaches));
    let log = gateway.log();
    for (client, end) in
        [("of client \"hmi\" from 127.0.0.1:", ": obeyed"), ("from 127.0.0.1:", ": refused: this client")]
    {
        assert!(log.lines().any(|line| line.contains(client) && line.contains(end)), "{client} {end}: {log}");
    }

    gateway.kill_9();
    gateway.start();
    let events = Events(Subscriber::start(listen, "event/#"));
    value("plant/a", "96");
    value("plant/b", "96");
    // Nobody else speaks for the gateway.
    let _ = publish_at(listen, "mqttv5", 1, "event/alarm/plant/a/HI", "forged");
    value("plant/c", "96");
    events.wait("event/alarm/plant/c/HI", "UNACK_ALM");
    let told = events.0.arrived();
    assert!(
        !told.iter().any(|message| message.topic.contains("/a/") || message.topic.contains("/b/")),
        "{told:?}"
    );

    let mut hmi = Publisher::new(listen, "hmi", 1);
    hmi.publish("cmd/alarm/plant/b/HI/unshelve", "");
    hmi.settle(0, 30);
    events.wait("event/alarm/plant/b/HI", "UNACK_ALM");
    value("plant/a", "20");
    events.wait("event/alarm/plant/a/HI", "\"from\":\"ACK_ALM\"");
    value("plant/a", "95");
    events.wait("event/alarm/plant/a/HI", "UNACK_ALM");
    assert!(gateway.terminate().0.success());
    let sent = at_hub.arrived();
    let topics: Vec<_> = sent.iter().map(|message| message.topic.as_str()).collect();
    assert!(!topics.iter().any(|topic| topic.contains("cmd/")), "commands are no telemetry: {topics:?}");
    assert!(!topics.iter().any(|topic| topic.contains("event/alarm/")), "changes are readings: {topics:?}");
}

/// Rows of the last moment end with the process, and what somebody acknowledged does not: the hub would hear of the alarm when it leaves.
#[test]
fn an_acknowledged_alarm_whose_rows_a_kill_took_is_told_to_the_hub() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("rules.toml"), RULES).unwrap();
    let hub = Mosquitto::start(dir.path(), "");
    let at_hub = Subscriber::start(hub.address, "#");
    let rest = format!("[queue]\nack_within = \"60s\"\n{}", CONFIG.replace("clients = [\"hmi\"]\n", ""));
    let (mut gateway, listen) = Gateway::started(dir.path(), "127.0.0.1:9".parse().unwrap(), &rest);
    let events = Events(Subscriber::start(listen, "event/#"));
    // At QoS 0: a publisher that waits would have the rows written.
    publish_unacknowledged(listen, "plant/a", "{\"value\":95}");
    events.wait("event/alarm/plant/a/HI", "UNACK_ALM");
    publish_unacknowledged(listen, "cmd/alarm/plant/a/HI/ack", &events.transition("event/alarm/plant/a/HI"));
    events.wait("event/command/alarm/plant/a/HI/ack", "client");
    gateway.kill_9();

    let mut text = fs::read_to_string(dir.path().join("gateway.toml")).unwrap();
    text = text.replace("mqtt://127.0.0.1:9", &format!("mqtt://{}", hub.address));
    fs::write(dir.path().join("gateway.toml"), text).unwrap();
    gateway.start();
    wait_until("the hub knows of it", 30, || {
        let told = at_hub.arrived();
        assert!(
            !told.iter().any(|message| message.payload.contains("UNACK_ALM")),
            "the rows outlived the kill"
        );
        told.iter().any(|message| {
            message.payload.contains("plant/a/alarm/HI") && message.payload.contains("\"ACK_ALM\"")
        })
    });
    assert!(gateway.terminate().0.success());
}

/// The hub does not hear who was refused what: that is a loss as any other.
#[test]
fn an_answer_that_finds_no_room_is_counted_and_a_loss() {
    const NO_ROOM: &str = "edge_dropped_total{reason=\"no_room\"}";
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("rules.toml"), RULES).unwrap();
    // There is no queue, so no message of a route has room; commands and what the subscriber asks with are of none.
    fs::write(dir.path().join("state"), "no directory").unwrap();
    let (listen, routes) = (support::free_port(), CONFIG.replace("match = \"#\"", "match = \"event/#\""));
    let text = format!(
        "[gateway]\nid = \"g\"\n[local]\nlisten = \"{listen}\"\n[hub]\nurl = \"mqtt://127.0.0.1:9\"\n{routes}"
    );
    let mut gateway = Gateway::new(dir.path(), &text);
    gateway.start_unready();
    wait_until("it listens", 30, || gateway.metric(NO_ROOM) == Some(0.0));
    let events = Events(Subscriber::start(listen, "event/#"));
    assert_eq!(gateway.metric(NO_ROOM), Some(0.0), "nothing was lost so far");
    for (command, count) in [("reset", 1.0), ("unshelve", 2.0)] {
        publish_unacknowledged(listen, &format!("cmd/alarm/plant/a/HI/{command}"), "");
        events.wait(&format!("event/refused/alarm/plant/a/HI/{command}"), "");
        wait_until("it is counted", 30, || gateway.metric(NO_ROOM) == Some(count));
    }
    wait_until("it is a loss", 10, || gateway.metric("edge_verdict{verdict=\"losing\"}") == Some(1.0));
    assert!(gateway.terminate().0.success());
}
