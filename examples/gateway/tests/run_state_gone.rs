#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! Promise 1 in `edge-gateway run` whose state directory is removed or moved away: nothing is acknowledged that the next start would not find, the
//! gateway says so, and goes on when the directory is back.

mod support;

use std::fs;

use support::gateway::Gateway;
use support::mosquitto::{Mosquitto, Subscriber};
use support::publisher::Publisher;
use support::{free_port, wait_until};

const ROUTE: &str = "[[route]]\nmatch = \"data/#\"\nto = \"up/\"\n[queue]\nmax_bytes = \"1MiB\"\n";

fn need(gateway: &Gateway, id: &str) -> Option<(String, String, String)> {
    let (_, body) = gateway.get("/status.json").unwrap();
    let status: serde_json::Value = serde_json::from_str(&body).unwrap();
    let need = status["needs"].as_array().unwrap().iter().find(|need| need["id"] == id)?.clone();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    Some((text(&status["verdict"]), text(&need["text"]), text(&need["action"])))
}

#[track_caller]
fn says_that_it_is_gone(gateway: &Gateway) {
    wait_until("it says so", 30, || need(gateway, "store_gone").is_some());
    let (verdict, text, action) = need(gateway, "store_gone").unwrap();
    let state = gateway.state.to_str().unwrap();
    assert_eq!(verdict, "degraded");
    assert!(text.contains(state) && action.contains(state), "{text} {action}");
    let (code, body) = gateway.get("/readyz").unwrap();
    assert!(code == 503 && body.contains("queue.ring is not at its path") && body.contains(state), "{body}");
    assert_eq!(gateway.get("/healthz").unwrap().0, 200, "a restart would lose what waits");
    let line = "the queue's file is gone from its path";
    wait_until("the log says it", 30, || gateway.log().contains(line));
    let log = gateway.log();
    let lines: Vec<&str> = log.lines().filter(|told| told.contains(line)).collect();
    assert!(lines.len() == 1 && lines[0].contains("ERROR") && lines[0].contains(state), "{log}");
}

/// Sends messages and has no PUBACK for them in the time of several commits.
#[track_caller]
fn gets_no_puback(sensor: &mut Publisher, topic: &str, count: u32) {
    let before = sensor.acked.len();
    (0..count).for_each(|n| sensor.publish(topic, &format!("meanwhile {n}")));
    for _ in 0..100 {
        sensor.poll();
    }
    assert_eq!(sensor.acked.len(), before, "acknowledged, and lost at a restart: {:?}", sensor.acked);
}

#[test]
fn promise_1_a_directory_that_is_moved_away_acknowledges_nothing_until_it_is_back() {
    let dir = tempfile::tempdir().unwrap();
    let away = dir.path().join("away");
    let (mut gateway, listen) = Gateway::started(dir.path(), free_port(), ROUTE);
    let mut sensor = Publisher::new(listen, "sensor", 50);
    sensor.publish("data/a", "before");
    sensor.settle(0, 30);
    fs::rename(&gateway.state, &away).unwrap();
    says_that_it_is_gone(&gateway);
    gets_no_puback(&mut sensor, "data/a", 5);

    fs::rename(&away, &gateway.state).unwrap();
    sensor.settle(0, 60);
    assert_eq!(sensor.acked.len(), 6);
    wait_until("it is ready", 30, || gateway.get("/readyz").is_some_and(|(code, _)| code == 200));
    assert_eq!(need(&gateway, "store_gone"), None);
    // All that was acknowledged is there after a kill.
    gateway.kill_9();
    gateway.start();
    assert_eq!(gateway.metric("edge_queue_messages"), Some(6.0));
}

/// Every message that waits is at the hub before the restart that mends it, and what comes meanwhile has its PUBACK when the hub has it.
#[test]
fn promise_1_a_removed_directory_gives_what_waits_and_acknowledges_what_the_hub_has() {
    let dir = tempfile::tempdir().unwrap();
    let mut hub = Mosquitto::start(dir.path(), "max_queued_messages 0");
    hub.kill_9();
    let (mut gateway, listen) = Gateway::started(dir.path(), hub.address, ROUTE);
    let mut sensor = Publisher::new(listen, "sensor", 50);
    (0..5).for_each(|n| sensor.publish("data/a", &format!("before {n}")));
    sensor.settle(0, 30);
    // Until no file of the gateway comes between.
    wait_until("it is removed", 30, || fs::remove_dir_all(&gateway.state).is_ok());
    says_that_it_is_gone(&gateway);
    gets_no_puback(&mut sensor, "data/a", 3);

    let at_hub = gateway.paused(|| {
        hub.run();
        Subscriber::start(hub.address, "up/#")
    });
    sensor.settle(0, 60);
    wait_until("the hub has all", 60, || at_hub.arrived().len() >= 8);
    assert!(need(&gateway, "store_gone").is_some(), "it is as it was");
    assert!(!gateway.state.exists(), "nothing is made in its place");
    let (_, took) = gateway.terminate();
    assert!(took.as_secs() < 10, "{took:?}");
    gateway.start();
    sensor = Publisher::new(listen, "sensor", 50);
    sensor.publish("data/a", "after");
    sensor.settle(0, 30);
}

/// As the mount point of a volume that was detached: a small file there would hide from the next start what is beside the queue.
#[test]
fn another_directory_in_its_place_gets_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let away = dir.path().join("away");
    let (mut gateway, _) = Gateway::started(dir.path(), free_port(), ROUTE);
    // The configuration is kept once it has been in force for ten seconds.
    fs::rename(&gateway.state, &away).unwrap();
    fs::create_dir(&gateway.state).unwrap();
    wait_until("it says so", 60, || {
        gateway.log().contains("the configuration is not kept for the next start")
    });
    let log = gateway.log();
    let line = log.lines().find(|line| line.contains("is not kept for the next start")).unwrap();
    assert!(line.contains(gateway.state.to_str().unwrap()) && line.contains("another directory"), "{line}");
    gateway.terminate();
    let files: Vec<_> = fs::read_dir(&gateway.state).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert!(files.iter().all(|name| name == "control.sock"), "{files:?}");
}

/// A restart of all parts whose stop cannot store what it holds goes on all the same: the process, its loops and its clients are worth more than a
/// clean end, and what has no PUBACK comes again.
#[test]
fn a_restart_of_all_parts_goes_on_although_the_queue_did_not_close_well() {
    let dir = tempfile::tempdir().unwrap();
    let away = dir.path().join("away");
    let (mut gateway, listen) = Gateway::started(dir.path(), free_port(), ROUTE);
    let mut sensor = Publisher::new(listen, "sensor", 50);
    sensor.publish("data/a", "before");
    sensor.settle(0, 30);
    fs::rename(&gateway.state, &away).unwrap();
    says_that_it_is_gone(&gateway);
    gets_no_puback(&mut sensor, "data/a", 5);
    let (file, pid) = (dir.path().join("gateway.toml"), gateway.pid());
    let text = fs::read_to_string(&file).unwrap().replace("\"1MiB\"", "\"1MiB\"\nmax_age = \"2d\"");
    fs::write(&file, text).unwrap();
    gateway.signal("HUP");
    wait_until("it starts anew", 60, || {
        gateway.log().contains("parts did not stop well, and start anew all the same")
    });
    wait_until("it is ready", 60, || gateway.get("/readyz").is_some_and(|(code, _)| code == 200));
    let mut sensor = Publisher::new(listen, "sensor", 50);
    sensor.publish("data/a", "after");
    sensor.settle(0, 60);
    assert_eq!((gateway.pid(), gateway.metric("edge_config_refused")), (pid, Some(0.0)));
    assert_eq!(gateway.terminate().0.code(), Some(0));
}
