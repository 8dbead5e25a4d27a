#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! Each kind of command that rules let a hub give to the gateway's own loops: it moves what it names, and its end is told to the hub.

mod support;

use std::fs;

use support::commands::{Answer, Plant};
use support::mosquitto::Subscriber;
use support::publisher::Publisher;
use support::wait_until;

const LOOPS: &str = r#"
[control]
commands = true
[commands]
clients = ["hmi"]
per_minute = 100000
hub = ["setpoint", "mode", "alarm", "interlock"]
[commands.manual]
heater = [0.0, 100.0]
[[input]]
name = "line/door"
stale_after_ms = 600000
[[input]]
name = "line/temp"
stale_after_ms = 600000
[[output]]
name = "contactor"
value = 1.0
[[output]]
name = "heater"
pid = { input = "line/temp", setpoint = 20.0, k = 1.0, limits = [0.0, 100.0] }
[[interlock]]
name = "stop"
outputs = ["contactor"]
trip_when = { input = "line/door", is = false }
max_bypass_ms = 600000
[[alarm]]
match = "line/temp"
latch = true
max_shelve_ms = 600000
high = { limit = 90.0 }
"#;

/// Commands until the loops obey, since what may have waited while the machine stood still is refused. Returns the answer, or the one whose reason
/// begins with `why`.
#[track_caller]
fn command(plant: &Plant, topic: &str, payload: &str, why: &str) -> Answer {
    let mut end = None;
    wait_until(&format!("{topic} {payload:?}"), 60, || {
        let id = format!("{topic} {payload} {}", plant.answers.all().len());
        plant.request(&format!("site7/cmd/{topic}"), payload, 30, &id);
        let answer = plant.answers.wait(&id);
        let is_it = if why.is_empty() { answer.is_obeyed } else { answer.why.starts_with(why) };
        end = Some(answer);
        is_it
    });
    end.unwrap()
}

#[track_caller]
fn last_is(what: &Subscriber, topic: &str, part: &str) {
    wait_until(&format!("{topic}: {part}"), 30, || {
        let arrived = what.arrived();
        arrived.iter().rev().find(|message| message.topic == topic).is_some_and(|m| m.payload.contains(part))
    });
}

#[test]
fn promise_10_a_hub_that_may_resets_bypasses_switches_to_manual_and_acknowledges() {
    let rules = tempfile::tempdir().unwrap();
    let loops = rules.path().join("control.toml");
    fs::write(&loops, LOOPS).unwrap();
    let tables = format!(
        "[[command]]\nmatch = \"site7/cmd/#\"\nto = \"cmd/#\"\n[control]\nrules = {loops:?}\npublish_every = \"20ms\"\n"
    );
    let mut plant = Plant::start_after(&tables, |_| {}, |hub| hub);
    let outputs = Subscriber::with_format(plant.listen, "out/#", "%t\t%E\t%P\t%x");
    let events = Subscriber::with_format(plant.listen, "event/#", "%t\t%E\t%P\t%x");
    // One client: a second publisher of an input makes it bad.
    let mut sensor = Publisher::new(plant.listen, "sensor", 10);
    let mut say = |input: &str, value: &str| {
        sensor.publish(input, value);
        sensor.settle(0, 30);
    };
    say("line/temp", "95");
    say("line/door", "1");

    last_is(&outputs, "out/contactor", "0");
    command(&plant, "interlock/stop/reset", "", "");
    last_is(&outputs, "out/contactor", "1");

    say("line/door", "0");
    last_is(&outputs, "out/contactor", "0");
    command(&plant, "interlock/stop/bypass", "700000", "not a time for which it may be bypassed");
    command(&plant, "interlock/stop/bypass", "60000", "");
    last_is(&outputs, "out/contactor", "1");

    command(&plant, "output/heater/mode", "101", "outside the range");
    command(&plant, "output/heater/mode", "42", "");
    last_is(&outputs, "out/heater", "42");
    command(&plant, "output/heater/mode", "\"auto\"", "");

    last_is(&events, "event/alarm/line/temp/HI", "\"state\":\"UNACK_ALM\"");
    let arrived = events.arrived();
    let alarm = arrived.iter().rev().find(|message| message.topic == "event/alarm/line/temp/HI").unwrap();
    let alarm: serde_json::Value = serde_json::from_str(&alarm.payload).unwrap();
    let transition = alarm["transition"].to_string();
    command(&plant, "alarm/line/temp/HI/ack", &transition, "");
    last_is(&events, "event/alarm/line/temp/HI", "\"state\":\"ACK_ALM\"");
    say("line/temp", "20");
    last_is(&events, "event/alarm/line/temp/HI", "\"state\":\"LATCHED_ACK\"");
    command(&plant, "alarm/line/temp/HI/reset", "", "");
    last_is(&events, "event/alarm/line/temp/HI", "\"state\":\"NORM\"");
    assert_eq!(plant.left_at_hub(), 0);
}
