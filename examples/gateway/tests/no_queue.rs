#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! Promise 14 in `edge-gateway run` whose queue cannot be opened: loops and local clients go on, nothing is acknowledged that is not stored, and
//! the queue is opened without a restart once its place is mended.

mod support;

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use control_loop::plant::Sensor;
use support::gateway::{BINARY, Gateway};
use support::mosquitto::{Mosquitto, Subscriber};
use support::publisher::Publisher;
use support::wait_until;

const LOOPS: &str = r#"
[[input]]
name = "line/temp"
stale_after_ms = 20000
[[output]]
name = "heater"
switch = { input = "line/temp", on_at = 60.0, off_at = 70.0 }
"#;

/// A ring of a few MiB.
const REST: &str = r#"
[queue]
max_bytes = "1MiB"
[control]
rules = "control.toml"
publish_every = "20ms"
[[route]]
match = "data/#"
to = "up/"
"#;

const NO_ROOM: &str = "edge_dropped_total{reason=\"no_room\"}";
const NO_QUEUE: &str = "no queue";

/// Starts a gateway that cannot be ready, and waits until it says so.
fn start(dir: &Path, hub: SocketAddr, rest: &str) -> (Gateway, SocketAddr) {
    start_with(dir, hub, rest, LOOPS)
}

fn start_with(dir: &Path, hub: SocketAddr, rest: &str, loops: &str) -> (Gateway, SocketAddr) {
    fs::write(dir.join("control.toml"), loops).unwrap();
    let listen = support::free_port();
    let text = format!(
        "[gateway]\nid = \"g\"\n[local]\nlisten = \"{listen}\"\n[hub]\nurl = \"mqtt://{hub}\"\n{rest}"
    );
    let mut gateway = Gateway::new(dir, &text);
    gateway.start_unready();
    wait_until("it says that it has no queue", 30, || {
        gateway.get("/readyz").is_some_and(|(code, body)| code == 503 && body.contains(NO_QUEUE))
    });
    (gateway, listen)
}

/// Inputs change, outputs follow: two values of the loop's switch, there and back.
#[track_caller]
fn control_goes_on(listen: SocketAddr, outputs: &Subscriber) {
    let mut sensor = Sensor::new(listen, "sensor");
    for (temperature, heater) in [("50", "1"), ("80", "0")] {
        let from = outputs.arrived().len();
        wait_until("the output follows its input", 30, || {
            sensor.publish("line/temp", temperature);
            outputs
                .arrived()
                .iter()
                .skip(from)
                .any(|said| said.topic == "out/heater" && said.payload == heater)
        });
    }
}

/// Two local clients, at QoS 0, on a topic that a route would store.
#[track_caller]
fn clients_talk(listen: SocketAddr, readings: &Subscriber, payload: &str) {
    let mut sensor = Sensor::new(listen, "talker");
    wait_until("a local client hears the other", 30, || {
        sensor.publish("data/live", payload);
        readings.arrived().iter().any(|said| said.payload == payload)
    });
}

/// Loops, local clients, surfaces and log of a gateway without a queue; then `mend`, and all that was sent is at the hub.
fn goes_on_until_mended(dir: &Path, cause: &str, mend: impl FnOnce()) {
    let hub = Mosquitto::start(dir, "max_queued_messages 0");
    let at_hub = Subscriber::start(hub.address, "up/#");
    let (gateway, listen) = start(dir, hub.address, REST);
    let (outputs, readings) = (Subscriber::start(listen, "out/#"), Subscriber::start(listen, "data/#"));
    control_goes_on(listen, &outputs);
    clients_talk(listen, &readings, "without");

    // At QoS 1 it is heard by whoever is here, and not acknowledged.
    let mut sensor = Publisher::new(listen, "kept", 10);
    for n in 0..5 {
        sensor.publish("data/kept", &format!("kept {n}"));
    }
    wait_until("it is heard", 30, || {
        sensor.poll();
        readings.arrived().iter().any(|said| said.payload == "kept 0")
    });
    for _ in 0..50 {
        sensor.poll();
    }
    assert!(sensor.acked.is_empty(), "acknowledged and not stored: {:?}", sensor.acked);

    let (code, health) = gateway.get("/healthz").unwrap();
    assert!(code == 200 && health.contains(cause), "a restart would end control: {code} {health}");
    let (_, page) = gateway.get("/metrics").unwrap();
    assert!(page.contains("edge_queue_open 0\n") && page.contains(cause), "{page}");
    assert!(!page.contains("edge_accepted_total"), "what is not known is not there: {page}");
    wait_until("what is dropped is counted", 20, || gateway.metric(NO_ROOM) >= Some(1.0));
    wait_until("what is dropped is a loss", 20, || {
        gateway.metric("edge_verdict{verdict=\"losing\"}") == Some(1.0)
    });
    assert!(gateway.metric("edge_control_scans_total").unwrap() > 0.0);
    let log = gateway.log();
    assert_eq!(log.matches(NO_QUEUE).count(), 1, "once a minute at most: {log}");
    let line = log.lines().find(|line| line.contains(NO_QUEUE)).unwrap();
    assert!(line.contains(cause) && line.contains(dir.join("state").to_str().unwrap()), "{line}");

    mend();
    wait_until("it is ready", 90, || gateway.get("/readyz").is_some_and(|(code, _)| code == 200));
    sensor.settle(0, 30);
    sensor.publish("data/kept", "after");
    sensor.settle(0, 30);
    wait_until("the hub has all that was acknowledged", 30, || {
        let arrived: Vec<String> = at_hub.arrived().into_iter().map(|said| said.payload).collect();
        assert!(!arrived.contains(&"without".to_owned()), "dropped and counted, not sent");
        sensor.acked.iter().all(|payload| arrived.contains(payload))
    });
    assert_eq!(sensor.acked.len(), 6);
    control_goes_on(listen, &outputs);
    clients_talk(listen, &readings, "with");
    assert_eq!(gateway.metric("edge_queue_open"), Some(1.0));
    let losing = gateway.metric("edge_verdict{verdict=\"losing\"}");
    assert_eq!(losing, Some(0.0), "what was given up for want of a queue is no news");
    assert!(gateway.metric("edge_accepted_total").is_some());
    assert_eq!(gateway.log().matches("the queue is open").count(), 1);
    stops_clean(gateway, &outputs);
}

#[track_caller]
fn stops_clean(mut gateway: Gateway, outputs: &Subscriber) {
    let (status, took) = gateway.terminate();
    assert!(status.success() && took.as_secs() < 8, "{status} after {took:?}");
    wait_until("the last word is safe", 20, || {
        let said = outputs.arrived();
        said.iter().rev().find(|said| said.topic == "out/heater").is_some_and(|last| last.payload == "0")
    });
}

#[test]
fn promise_14_a_file_in_the_place_of_the_state_costs_no_control_and_is_mended_without_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    fs::write(&state, "somebody's").unwrap();
    goes_on_until_mended(dir.path(), "no directory", || fs::remove_file(&state).unwrap());
}

/// Nobody makes a file in /proc, root neither.
/// Commands do not wait for a queue, nor does what a client sends behind one at QoS 1.
#[test]
fn promise_14_commands_at_qos_1_are_answered_without_a_queue() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    fs::write(dir.join("state"), "not a directory").unwrap();
    let hub = Mosquitto::start(dir, "max_queued_messages 0");
    let commands = format!("[control]\ncommands = true\n{LOOPS}");
    let (gateway, listen) = start_with(dir, hub.address, &REST.replace("data/#", "#"), &commands);
    let events = Subscriber::start(listen, "event/#");
    let mut panel = Publisher::new(listen, "panel", 10);
    for name in ["first", "second", "third"] {
        panel.publish(&format!("cmd/{name}"), "1");
        wait_until("it is answered", 30, || {
            panel.poll();
            let said = events.arrived();
            said.iter().any(|said| said.topic.contains("refused") && said.topic.ends_with(name))
        });
    }
    drop(gateway);
}

#[test]
fn promise_14_a_place_where_nothing_can_be_written_costs_no_control() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    symlink("/proc", &state).unwrap();
    goes_on_until_mended(dir.path(), "lock failed", || fs::remove_file(&state).unwrap());
}

/// The mark of the last stop has to be gone before the first reading. A directory in its place is set aside, the second one is in the way.
#[test]
fn a_mark_that_cannot_be_taken_away_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let mark = dir.path().join("state/stopped.json");
    fs::create_dir_all(&mark).unwrap();
    fs::create_dir_all(dir.path().join("state/stopped.json.aside/somebody's")).unwrap();
    goes_on_until_mended(dir.path(), "stopped.json", || fs::remove_dir(&mark).unwrap());
}

/// No disk has this room; the loops' last word is safe although there never was a queue.
#[test]
fn promise_14_a_queue_larger_than_the_disk_costs_no_control() {
    let dir = tempfile::tempdir().unwrap();
    let rest = REST.replace("1MiB", "1024GiB");
    let (gateway, listen) = start(dir.path(), "127.0.0.1:9".parse().unwrap(), &rest);
    let outputs = Subscriber::start(listen, "out/#");
    control_goes_on(listen, &outputs);
    let (_, health) = gateway.get("/healthz").unwrap();
    assert!(health.contains("lower max_bytes"), "{health}");
    stops_clean(gateway, &outputs);
}

/// An empty file would be taken for an export of nothing.
#[test]
fn an_export_of_parked_messages_that_is_refused_at_once_leaves_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let rest = REST.replace("1MiB", "1024GiB");
    let (gateway, _) = start(dir.path(), "127.0.0.1:9".parse().unwrap(), &rest);
    let out = dir.path().join("out.jsonl");
    let mut said = String::new();
    wait_until("the socket answers", 30, || {
        let mut export = Command::new(BINARY);
        export.args(["parked", "export"]).arg(&out).arg("--state").arg(&gateway.state);
        let done = export.output().unwrap();
        said = String::from_utf8_lossy(&done.stderr).into_owned();
        done.status.code() == Some(1)
    });
    assert_eq!(said, "edge-gateway: there is no queue yet\n");
    assert!(!out.exists());
}

/// A file system of 16 MiB; ends with this value.
struct SmallDisk(PathBuf);

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
#[ignore = "for root, mounts a tmpfs: cargo test -p edge-gateway --test no_queue -- --ignored"]
fn promise_14_a_full_disk_costs_no_control_and_is_used_once_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    fs::create_dir(&state).unwrap();
    let mounted =
        Command::new("mount").args(["-t", "tmpfs", "-o", "size=16m", "none"]).arg(&state).status().unwrap();
    assert!(mounted.success());
    let _disk = SmallDisk(state.clone());
    let filler = state.join("filler");
    fs::write(&filler, vec![1; 15 << 20]).unwrap();
    goes_on_until_mended(dir.path(), "disk full", || fs::remove_file(&filler).unwrap());
}

/// The disk of an earlier run comes late: its rows, its totals and the states of its filters are there then.
#[test]
fn what_an_earlier_run_left_goes_on_once_its_directory_is_back() {
    let dir = tempfile::tempdir().unwrap();
    let (state, away) = (dir.path().join("state"), dir.path().join("away"));
    let hub = Mosquitto::start(dir.path(), "max_queued_messages 0");
    let at_hub = Subscriber::start(hub.address, "up/#");
    fs::write(dir.path().join("control.toml"), LOOPS).unwrap();
    let rules = "[[rule]]\nmatch = \"data/filtered\"\nstages = [ { deadband = { absolute = 1.0 } } ]\n";
    fs::write(dir.path().join("rules.toml"), rules).unwrap();
    let rest = format!("{REST}format = \"json\"\nfilter = \"rules.toml\"\nbatch_age = \"50ms\"\n");
    let (mut first, listen) = Gateway::started(dir.path(), "127.0.0.1:9".parse().unwrap(), &rest);
    let mut sensor = Publisher::new(listen, "sensor", 10);
    sensor.publish("data/filtered", "{\"value\":10.25}");
    sensor.settle(0, 30);
    assert!(first.terminate().0.success());
    drop(first);

    fs::rename(&state, &away).unwrap();
    let clients = "edge clients 2\nof the first run";
    fs::write(away.join("clients"), clients).unwrap();
    fs::write(&state, "").unwrap();
    let (gateway, listen) = start(dir.path(), hub.address, &rest);
    let mut sensor = Publisher::new(listen, "sensor", 10);
    sensor.publish("data/filtered", "{\"value\":10.5}");
    sensor.publish("data/filtered", "{\"value\":20.75}");
    sensor.poll();
    fs::rename(&away, dir.path().join("disk")).unwrap();
    // At one moment, as a mount.
    symlink(dir.path().join("disk"), &away).unwrap();
    fs::rename(&away, &state).unwrap();
    wait_until("it is ready", 90, || gateway.get("/readyz").is_some_and(|(code, _)| code == 200));
    sensor.settle(0, 30);
    let arrived = || at_hub.arrived().into_iter().map(|said| said.payload).collect::<String>();
    wait_until("both runs are at the hub", 30, || arrived().contains("10.25") && arrived().contains("20.75"));
    assert!(
        !arrived().contains("10.5,") && !arrived().contains("10.5}"),
        "the filter starts cold: {}",
        arrived()
    );
    assert_eq!(gateway.metric("edge_restarts_total{cause=\"clean\"}"), Some(1.0));
    // The sessions of a run that has begun are not those: they are kept beside.
    wait_until("the clients of the first run are set aside", 120, || {
        fs::read_to_string(state.join("clients.bad")).is_ok_and(|kept| kept == clients)
    });
}

/// Behind a local broker nothing is subscribed while nothing can be stored: the broker keeps it.
#[test]
fn a_local_broker_is_asked_for_messages_once_they_can_be_stored() {
    let dir = tempfile::tempdir().unwrap();
    let (local, hub) = (Mosquitto::start(dir.path(), ""), Mosquitto::start(dir.path(), ""));
    let at_hub = Subscriber::start(hub.address, "up/#");
    let state = dir.path().join("state");
    fs::write(&state, "somebody's").unwrap();
    let text = format!(
        "[gateway]\nid = \"g\"\n[local]\nbroker = \"{}\"\nclient_id = \"here\"\ntopics = [\"data/#\"]\n[hub]\nurl = \"mqtt://{}\"\n\
         [queue]\nmax_bytes = \"1MiB\"\n[[route]]\nmatch = \"data/#\"\nto = \"up/\"\n",
        local.address, hub.address
    );
    let mut gateway = Gateway::new(dir.path(), &text);
    gateway.start_unready();
    wait_until("it says that it has no queue", 30, || {
        gateway.get("/readyz").is_some_and(|(code, body)| code == 503 && body.contains(NO_QUEUE))
    });
    assert_eq!(local.connects("here"), 0);
    fs::remove_file(&state).unwrap();
    wait_until("it is ready", 90, || gateway.get("/readyz").is_some_and(|(code, _)| code == 200));
    support::mosquitto::publish(local.address, "data/a", "one");
    wait_until("it is at the hub", 30, || at_hub.arrived().iter().any(|said| said.payload == "one"));
}
