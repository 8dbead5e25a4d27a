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
use support::mosquitto::{Mosquitto, Subscriber, publish, publish_at};
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

    /// What an acknowledgement quotes.
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
    let reaches = |part: &str| at_hub.arrived().iter().any(|message| message.payload.contains(part));
    wait_until("the hub has both", 30, || reaches("\"ACK_ALM\"") && reaches("\"SHELVED\""));
    assert!(
        gateway.log().contains("of client hmi: obeyed") && gateway.log().contains(": refused: this client")
    );

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
    assert!(topics.contains(&"all/event/command/alarm/plant/a/HI/ack"), "who commanded is told: {topics:?}");
    assert!(!topics.iter().any(|topic| topic.contains("event/alarm/")), "changes are readings: {topics:?}");
}
