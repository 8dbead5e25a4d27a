#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! Promise 14 in `edge-gateway run`: loops beside a queue that takes nothing, without a hub, over a kill.

mod support;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use control_loop::plant::Sensor;
use support::gateway::Gateway;
use support::mosquitto::{Arrived, Mosquitto, Subscriber, publish_at};
use support::publisher::Publisher;
use support::relay::Relay;
use support::wait_until;

/// The emergency stop is stale late, so that a slow machine is no trip; the temperature soon, since that is tested.
const LOOPS: &str = r#"
[control]
commands = true
[commands]
per_minute = 100000
[[input]]
name = "line/estop"
stale_after_ms = 20000
[[input]]
name = "line/temp"
stale_after_ms = 1000
[[output]]
name = "contactor"
value = 1.0
[[output]]
name = "heater"
switch = { input = "line/temp", on_at = 60.0, off_at = 70.0 }
[[interlock]]
name = "stop"
outputs = ["contactor"]
trip_when = { input = "line/estop", is = false }
"#;

/// A queue that is soon full.
const CONFIG: &str = r#"
[queue]
max_messages = 50
on_full = "reject"
[control]
rules = "control.toml"
publish_every = "20ms"
[[route]]
match = "event/#"
to = "up/"
lane = "alarm"
[[route]]
match = "bulk/#"
to = "up/"
"#;

/// Sensors at QoS 0 that say these values 50 times a second.
struct Sensors {
    values: Arc<Mutex<BTreeMap<&'static str, String>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Sensors {
    fn start(broker: SocketAddr) -> Self {
        let (values, stop) =
            (Arc::<Mutex<BTreeMap<&'static str, String>>>::default(), Arc::<AtomicBool>::default());
        let (said, stopped) = (values.clone(), stop.clone());
        let thread = std::thread::spawn(move || {
            let mut sensor = Sensor::new(broker, "sensors");
            while !stopped.load(Ordering::Relaxed) {
                let now = said.lock().unwrap().clone();
                now.iter().for_each(|(topic, payload)| sensor.publish(topic, payload));
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        Self { values, stop, thread: Some(thread) }
    }

    fn say(&self, topic: &'static str, payload: &str) {
        self.values.lock().unwrap().insert(topic, payload.to_owned());
    }

    fn fall_silent(&self, topic: &str) {
        self.values.lock().unwrap().remove(topic);
    }
}

impl Drop for Sensors {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Returns what was said on a topic since the `from`th message of all.
fn since<'a>(arrived: &'a [Arrived], from: usize, topic: &str) -> Vec<&'a str> {
    let later = arrived.iter().skip(from).filter(|message| message.topic == topic);
    later.map(|message| message.payload.as_str()).collect()
}

/// Waits until an output is published with this value from now on.
#[track_caller]
fn becomes(what: &str, outputs: &Subscriber, topic: &str, value: &str) {
    let from = outputs.arrived().len();
    wait_until(what, 30, || since(&outputs.arrived(), from, topic).contains(&value));
}

/// Resets the interlock until the contactor is on.
#[track_caller]
fn reset(listen: SocketAddr, outputs: &Subscriber) {
    let mut hand = Sensor::new(listen, "hand");
    let from = outputs.arrived().len();
    wait_until("reset", 30, || {
        hand.publish("cmd/interlock/stop/reset", "");
        since(&outputs.arrived(), from, "out/contactor").contains(&"1")
    });
}

#[test]
fn promise_14_the_gateways_loops_go_on_without_hub_and_room_and_start_tripped_after_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Mosquitto::start(dir.path(), "max_queued_messages 0");
    let at_hub = Subscriber::start(hub.address, "up/#");
    let wan = Relay::start(hub.address);
    wan.cut();
    std::fs::write(dir.path().join("control.toml"), LOOPS).unwrap();
    let (mut gateway, listen) = Gateway::started(dir.path(), wan.address, CONFIG);
    let outputs = Subscriber::start(listen, "out/#");
    let events = Subscriber::start(listen, "event/#");

    // A queue that takes nothing more: sensors at QoS 1 are withheld their PUBACKs.
    let mut bulk = Publisher::new(listen, "bulk", 100);
    (0..80).for_each(|n| bulk.publish("bulk/a", &format!("message {n:05}")));
    bulk.settle(30, 30);
    wait_until("the queue is full", 30, || gateway.get("/readyz").is_some_and(|(code, _)| code == 503));

    let sensors = Sensors::start(listen);
    sensors.say("line/estop", "1");
    sensors.say("line/temp", "{\"value\": 50.5}");
    becomes("the heater is on", &outputs, "out/heater", "1");
    // A machine that stands still for a moment has it act for a moment.
    wait_until("no watchdog acts", 30, || gateway.metric("edge_control_watchdog_active") == Some(0.0));
    reset(listen, &outputs);

    sensors.say("line/estop", "0");
    becomes("the contactor falls", &outputs, "out/contactor", "0");
    sensors.say("line/estop", "1");
    let from = outputs.arrived().len();
    wait_until("thirty more", 30, || since(&outputs.arrived(), from, "out/contactor").len() >= 30);
    assert!(!since(&outputs.arrived(), from, "out/contactor").contains(&"1"), "tripped until a reset");
    reset(listen, &outputs);
    let told = events.arrived();
    assert!(since(&told, 0, "event/interlock/stop").iter().any(|said| said.contains("\"tripped\":true")));

    sensors.say("line/temp", "no number");
    becomes("a bad input is safe", &outputs, "out/heater", "0");
    sensors.say("line/temp", "55");
    becomes("the heater is on again", &outputs, "out/heater", "1");
    sensors.fall_silent("line/temp");
    becomes("a stale input is safe", &outputs, "out/heater", "0");

    let (_, page) = gateway.get("/metrics").unwrap();
    assert!(page.contains("edge_control_period_error_seconds_bucket{le=\"0.001\"}"), "{page}");
    assert!(gateway.metric("edge_control_period_error_seconds_count").unwrap() > 100.0);

    // Killed while the contactor was on, back while its inputs are healthy: it waits for a hand.
    becomes("on", &outputs, "out/contactor", "1");
    gateway.kill_9();
    wan.mend();
    gateway.start();
    let outputs = Subscriber::start(listen, "out/#");
    wait_until("thirty more", 30, || since(&outputs.arrived(), 0, "out/contactor").len() >= 30);
    // The subscriber's last probe, which has no route, may be read after the one that it heard.
    let unrouted = gateway.metric("edge_unrouted_total");
    assert!(!since(&outputs.arrived(), 0, "out/contactor").contains(&"1"), "no start by itself");
    reset(listen, &outputs);
    wait_until("the hub hears of it", 60, || {
        let arrived = at_hub.arrived();
        let told = since(&arrived, 0, "up/event/interlock/stop");
        told.iter().any(|said| said.contains("\"energised\":true"))
    });
    assert_eq!(gateway.metric("edge_unrouted_total"), unrouted, "inputs and commands need no route");

    let (status, took) = gateway.terminate();
    assert!(status.success() && took.as_secs() < 8, "{status} after {took:?}");
    wait_until("the last word is safe", 20, || {
        since(&outputs.arrived(), 0, "out/contactor").last() == Some(&"0")
    });
}

/// A switch by hand: a ramp that goes at once to its setpoint.
const VALVE: &str = r#"
[control]
watchdog_ms = 1000
commands = true
[commands]
per_minute = 1000
[commands.setpoint]
valve = { range = [20.0, 80.0], per_minute = 1000 }
[[output]]
name = "valve"
ramp = { setpoint = 60.0, rate_per_s = 1000.0 }
"#;

#[test]
fn promise_14_a_command_that_waited_while_the_gateway_was_stopped_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("control.toml"), VALVE).unwrap();
    let nowhere = "127.0.0.1:9".parse().unwrap();
    let (gateway, listen) = Gateway::started(dir.path(), nowhere, CONFIG);
    let outputs = Subscriber::start(listen, "out/#");
    let events = Subscriber::start(listen, "event/#");
    let mut hand = Sensor::new(listen, "hand");
    becomes("the start", &outputs, "out/valve", "60");
    std::thread::sleep(Duration::from_secs(3));
    obeys(&mut hand, &outputs, "50");
    let from = events.arrived().len();
    gateway.signal("STOP");
    hand.publish("cmd/output/valve/setpoint", "70");
    std::thread::sleep(Duration::from_secs(3));
    gateway.signal("CONT");
    wait_until("it is refused", 30, || {
        let told = events.arrived();
        let told = since(&told, from, "event/refused/output/valve/setpoint");
        told.iter().any(|said| said.contains("stood still"))
    });
    std::thread::sleep(Duration::from_secs(3));
    assert!(!since(&outputs.arrived(), 0, "out/valve").contains(&"70"));
    obeys(&mut hand, &outputs, "40");
}

/// The alarms of the filters, which have topics of their own, change nothing in it.
#[test]
fn promise_14_nobody_forges_an_output_of_the_gateway() {
    for alarms in ["", "[alarms]\ncommands = true\n"] {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("control.toml"), VALVE).unwrap();
        let nowhere = "127.0.0.1:9".parse().unwrap();
        let (_gateway, listen) = Gateway::started(dir.path(), nowhere, &format!("{alarms}{CONFIG}"));
        let outputs = Subscriber::start(listen, "out/#");
        becomes("the start", &outputs, "out/valve", "60");
        // It returns when it has its answer, and then the subscribers have had the message.
        let forged = publish_at(listen, "mqttv5", 1, "out/valve", "1");
        let said = String::from_utf8_lossy(&forged.stderr);
        assert!(said.contains("Not authorized"), "{said}");
        let from = outputs.arrived().len();
        wait_until("ten more", 30, || since(&outputs.arrived(), from, "out/valve").len() >= 10);
        assert!(!since(&outputs.arrived(), 0, "out/valve").contains(&"1"), "{alarms}");
    }
}

/// A panel that hangs, with two megabytes on its way to it: its copies wait for it alone.
#[test]
fn promise_14_a_subscriber_that_reads_nothing_delays_no_output_of_the_gateway() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("control.toml"), VALVE).unwrap();
    let nowhere = "127.0.0.1:9".parse().unwrap();
    let (_gateway, listen) = Gateway::started(dir.path(), nowhere, CONFIG);
    let outputs = Subscriber::start(listen, "out/#");
    becomes("the start", &outputs, "out/valve", "60");
    let mut deaf = TcpStream::connect(listen).unwrap();
    deaf.write_all(b"\x10\x0d\0\x04MQTT\x04\x02\0\0\0\x01d\x82\x06\0\x01\0\x01#\0").unwrap();
    deaf.read_exact(&mut [0; 9]).unwrap();
    let mut talker = Sensor::new(listen, "talker");
    for _ in 0..2_000 {
        talker.publish("talk", &"x".repeat(1_000));
    }
    let from = outputs.arrived().len();
    wait_until("outputs as before", 30, || since(&outputs.arrived(), from, "out/valve").len() >= 50);
}

/// Gives a setpoint until it is in force: right after a moment in which the machine stood still, one is refused.
#[track_caller]
fn obeys(hand: &mut Sensor, outputs: &Subscriber, setpoint: &str) {
    let from = outputs.arrived().len();
    wait_until("a command is obeyed", 30, || {
        hand.publish("cmd/output/valve/setpoint", setpoint);
        since(&outputs.arrived(), from, "out/valve").contains(&setpoint)
    });
}

/// An alarm that latches.
const ALARM: &str = r#"
[control]
commands = true
[commands]
per_minute = 1000
[[input]]
name = "line/temp"
stale_after_ms = 20000
[[output]]
name = "heater"
switch = { input = "line/temp", on_at = 60.0, off_at = 70.0 }
[[alarm]]
match = "line/temp"
latch = true
high = { limit = 80 }
"#;

/// Returns the states of the alarm that were told, each with its transition.
fn alarms(events: &Subscriber) -> Vec<(String, u64)> {
    let arrived = events.arrived();
    let told = since(&arrived, 0, "event/alarm/line/temp/HI");
    let json = told.iter().map(|said| serde_json::from_str::<serde_json::Value>(said).unwrap());
    json.map(|said| (said["state"].as_str().unwrap().to_owned(), said["transition"].as_u64().unwrap()))
        .collect()
}

#[test]
fn promise_14_an_alarm_of_the_loops_waits_for_a_hand_over_a_restart_of_the_gateway() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("control.toml"), ALARM).unwrap();
    let nowhere = "127.0.0.1:9".parse().unwrap();
    // With room for the events of both starts: one without is not ready.
    let config = CONFIG.replace("max_messages = 50", "max_messages = 5000");
    let (mut gateway, listen) = Gateway::started(dir.path(), nowhere, &config);
    let events = Subscriber::start(listen, "event/#");
    let sensors = Sensors::start(listen);
    sensors.say("line/temp", "85");
    wait_until("the alarm", 30, || !alarms(&events).is_empty());
    let transition = alarms(&events)[0].1;
    sensors.say("line/temp", "20");
    wait_until("it waits for a hand", 30, || alarms(&events).len() == 2);
    drop(sensors);
    assert!(gateway.terminate().0.success());

    gateway.start();
    let events = Subscriber::start(listen, "event/#");
    let mut hand = Sensor::new(listen, "hand");
    // Who has not seen the event before the restart learns the number from a refusal.
    wait_until("the number is told", 30, || {
        hand.publish("cmd/alarm/line/temp/HI/ack", "1");
        let told = events.arrived();
        let told = since(&told, 0, "event/refused/alarm/line/temp/HI/ack");
        told.iter().any(|said| said.contains(&format!("than the current one, {transition}\"")))
    });
    let acknowledged = [("LATCHED_ACK".to_owned(), transition)];
    wait_until("it is acknowledged", 30, || {
        hand.publish("cmd/alarm/line/temp/HI/ack", &transition.to_string());
        alarms(&events) == acknowledged
    });
}

/// Alarms of the filters are commanded on topics of the same form: the loops' own must reach the loops.
#[test]
fn promise_14_an_alarm_of_the_loops_is_acknowledged_beside_alarms_of_the_filters() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("control.toml"), ALARM).unwrap();
    let nowhere = "127.0.0.1:9".parse().unwrap();
    let config = format!("[alarms]\ncommands = true\n{CONFIG}");
    let (_gateway, listen) = Gateway::started(dir.path(), nowhere, &config);
    let events = Subscriber::start(listen, "event/#");
    let sensors = Sensors::start(listen);
    sensors.say("line/temp", "85");
    wait_until("the alarm", 30, || !alarms(&events).is_empty());
    let transition = alarms(&events)[0].1;
    sensors.say("line/temp", "20");
    wait_until("it waits for a hand", 30, || alarms(&events).len() == 2);
    let mut hand = Sensor::new(listen, "hand");
    wait_until("it is acknowledged", 30, || {
        hand.publish("cmd/alarm/line/temp/HI/ack", &transition.to_string());
        alarms(&events).last().is_some_and(|last| last.0 == "LATCHED_ACK")
    });
}
