#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! Payloads as sensors send them, by a foreign client through an outage: bare numbers, lines, packs, numbers in quotation marks, and what is
//! none of these.

mod support;

use edge_codec::{Format, Limits};
use support::gateway::Gateway;
use support::mosquitto::{Mosquitto, Subscriber, publish};
use support::relay::Relay;
use support::wait_until;

const ROUTES: &str = r#"
[[route]]
match = "/store104/#"
to = "plain"
format = "json"
input = "number"
[[route]]
match = "telegraf/#"
to = "lines"
format = "json"
input = "influx-line"
[[route]]
match = "senml/#"
to = "packs"
format = "json"
input = "senml"
[[route]]
match = "texts/#"
to = "texts"
format = "json"
fields = { value = "v", time = "at", time_unit = "rfc3339", numbers_in_text = true }
"#;

/// `NAME=VALUE UNIT` of every reading at the hub, sorted; readings that came twice stand once.
fn readings(subscriber: &Subscriber) -> Vec<String> {
    let mut all = Vec::new();
    for message in subscriber.arrived() {
        if message.content_type != "application/json" {
            continue;
        }
        let batch = Format::Json.decode(&message.bytes, &Limits::default()).unwrap();
        let sensors = batch.sensors().clone();
        for reading in batch {
            let reading = reading.unwrap();
            let sensor = sensors.get(reading.sensor).unwrap();
            all.push(format!("{}={:?} {}", sensor.name, reading.value, sensor.unit));
        }
    }
    all.sort_unstable();
    all.dedup();
    all
}

fn dead_letters(subscriber: &Subscriber) -> Vec<(String, String)> {
    let arrived = subscriber.arrived();
    let dead = arrived.iter().filter_map(|message| {
        let topic = message.topic.strip_prefix("dead-letter/")?;
        Some((topic.to_owned(), message.payload.clone()))
    });
    let mut all: Vec<_> = dead.collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// Promises 1 and 12.
#[test]
fn payloads_of_every_form_survive_an_outage_and_what_fits_none_is_a_dead_letter() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Mosquitto::start(dir.path(), "");
    let subscriber = Subscriber::start(hub.address, "#");
    let wan = Relay::start(hub.address);
    let (mut gateway, listen) = Gateway::started(dir.path(), wan.address, ROUTES);
    let plain = ["21.5", "22 \u{b0}C", "45%", "ON", "nan", "-7"];
    wan.cut();
    for (n, payload) in plain.into_iter().enumerate() {
        publish(listen, &format!("/store104/fridge{n}/temp"), payload);
    }
    gateway.kill_9();
    gateway.start();
    publish(
        listen,
        "telegraf/gw1/cpu",
        "cpu,host=gw1,cpu=cpu0 usage_idle=98.5,busy=3i 1790000000000000000\nmem,host=gw1 used=5u",
    );
    publish(
        listen,
        "senml/a",
        r#"[{"bn":"urn:dev:mac:0024befffe804ff1:","bt":1790000000,"n":"t","u":"Cel","v":21.5}]"#,
    );
    publish(listen, "texts/a", r#"{"v":"97.4","at":"2026-09-21T13:33:20Z","unit":"F"}"#);
    let wrong =
        [("/store104/door", "21,5"), ("telegraf/x", "no line"), ("senml/x", "{}"), ("texts/x", "{\"v\":")];
    wrong.iter().for_each(|(topic, payload)| publish(listen, topic, payload));
    wan.mend();
    let expected = [
        "/store104/fridge0/temp=F64(21.5) ",
        "/store104/fridge1/temp=I64(22) \u{b0}C",
        "/store104/fridge2/temp=I64(45) %",
        "/store104/fridge3/temp=Bool(true) ",
        "/store104/fridge4/temp=Null ",
        "/store104/fridge5/temp=I64(-7) ",
        "telegraf/gw1/cpu/cpu/cpu=cpu0/host=gw1/busy=I64(3) ",
        "telegraf/gw1/cpu/cpu/cpu=cpu0/host=gw1/usage_idle=F64(98.5) ",
        "telegraf/gw1/cpu/mem/host=gw1/used=I64(5) ",
        "texts/a=F64(97.4) F",
        "urn:dev:mac:0024befffe804ff1:t=F64(21.5) Cel",
    ];
    wait_until("every reading is at the hub", 30, || readings(&subscriber).len() >= expected.len());
    assert_eq!(readings(&subscriber), expected);
    let mut dead: Vec<_> =
        wrong.iter().map(|(topic, payload)| ((*topic).to_owned(), (*payload).to_owned())).collect();
    dead.sort_unstable();
    wait_until("every other message is a dead letter", 30, || dead_letters(&subscriber).len() >= dead.len());
    assert_eq!(dead_letters(&subscriber), dead, "as they came, and no others");
    for letter in subscriber.arrived().iter().filter(|message| message.topic.starts_with("dead-letter/")) {
        assert!(letter.user_properties.contains("edge-reason-text:"), "{}", letter.user_properties);
    }
    let log = gateway.log();
    for (topic, payload) in wrong {
        let payload = payload.replace('"', "\\\"");
        let line = log.lines().find(|line| line.contains(&format!("topic=\"{topic}\"")));
        let line = line.unwrap_or_else(|| panic!("no line of {topic}: {log}"));
        assert!(line.contains(&format!("begins=\"{payload}\"")), "{line}");
    }
    assert_eq!(gateway.metric("edge_undecodable_total"), Some(4.0));
}
