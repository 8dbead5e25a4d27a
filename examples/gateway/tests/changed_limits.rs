#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    missing_docs,
    reason = "test code"
)]
//! Limits of the queue that change under a backlog, or without room on the disk: nothing goes unsaid, and figures show the limits in force.

mod support;

use std::fs;
use std::net::SocketAddr;

use support::gateway::Gateway;
use support::hub::{Answer, Hub};
use support::publisher::Publisher;
use support::{free_port, wait_until};

const MIB: f64 = 1_048_576.0;

/// A gateway without a hub, whose `max_bytes` is so many MiB.
fn started(dir: &std::path::Path, mib: u32, ulimit: Option<&'static str>) -> (Gateway, SocketAddr, String) {
    started_with(free_port(), dir, mib, ulimit)
}

fn started_with(
    hub: SocketAddr,
    dir: &std::path::Path,
    mib: u32,
    ulimit: Option<&'static str>,
) -> (Gateway, SocketAddr, String) {
    let listen = free_port();
    let config = format!(
        "[gateway]\nid = \"g\"\n[local]\nlisten = \"{listen}\"\n[hub]\nurl = \"mqtt://{hub}\"\n[queue]\nmax_bytes = \"{mib}MiB\"\n\
         [[route]]\nmatch = \"plant/#\"\nto = \"up/\"\n"
    );
    let mut gateway = Gateway::new(dir, &config);
    gateway.ulimit = ulimit;
    gateway.start();
    let config = fs::read_to_string(gateway.dir.join("gateway.toml")).unwrap();
    (gateway, listen, config)
}

fn publish(listen: SocketAddr, count: u32) {
    let mut sensor = Publisher::new(listen, "sensor", 50);
    (0..count).for_each(|_| sensor.publish("plant/n", &"x".repeat(5_000)));
    sensor.settle(0, 60);
}

/// Changes `max_bytes` in the file. Returns how often the log had the line before.
fn change(gateway: &Gateway, config: &str, from: u32, to: u32, line: &str) -> usize {
    let changed = config.replace(&format!("max_bytes = \"{from}MiB\""), &format!("max_bytes = \"{to}MiB\""));
    assert_ne!(changed, config);
    let before = gateway.log().matches(line).count();
    fs::write(gateway.dir.join("gateway.toml"), changed).unwrap();
    before
}

fn reload(gateway: &Gateway, config: &str, (from, to): (u32, u32), line: &str) {
    let before = change(gateway, config, from, to, line);
    gateway.signal("HUP");
    wait_until(line, 40, || gateway.log().matches(line).count() > before);
}

fn limit(gateway: &Gateway) -> Option<f64> {
    gateway.metric("edge_lane_limit_bytes{lane=\"telemetry\"}")
}

fn needs(gateway: &Gateway) -> String {
    let status: serde_json::Value = serde_json::from_str(&gateway.get("/status.json").unwrap().1).unwrap();
    status["needs"].to_string()
}

/// Most of what waited was given up within a second.
#[test]
fn limits_below_the_backlog_are_refused_at_a_reload_and_give_up_nothing_before_the_next_message_at_a_start() {
    let dir = tempfile::tempdir().unwrap();
    let (mut gateway, listen, config) = started(dir.path(), 4, None);
    publish(listen, 300);
    reload(&gateway, &config, (4, 1), "the changed configuration is refused: the one in force stays");
    let why = "queue.max_bytes: 300 messages (1.4 MiB) in lane telemetry are more than the changed limit holds, 1.0 MiB";
    let is_placed = |line: &str| {
        let place = line.split(&format!(": {why}")).next().and_then(|start| start.rsplit(':').next());
        line.contains(why)
            && line.contains("gateway.toml:")
            && place.is_some_and(|line| line.parse::<u32>().is_ok())
    };
    assert!(gateway.log().lines().any(is_placed), "{}", gateway.log());
    assert!(needs(&gateway).contains(why), "{}", needs(&gateway));
    publish(listen, 1);
    assert_eq!((gateway.metric("edge_queue_messages"), limit(&gateway)), (Some(301.0), Some(4.0 * MIB)));
    // One that holds them is put in force.
    reload(&gateway, &config, (4, 2), "the gateway starts anew with it");
    wait_until("2 MiB are in force", 40, || limit(&gateway) == Some(2.0 * MIB));
    publish(listen, 1);
    assert_eq!(gateway.metric("edge_queue_messages"), Some(302.0));
    assert_eq!(gateway.metric("edge_dropped_total{reason=\"overflow\"}"), Some(0.0));
    assert_eq!(gateway.terminate().0.code(), Some(0));
    let line = "more waits than the queue's limits hold";
    assert_eq!(change(&gateway, &config, 4, 1, line), 0);
    gateway.start();
    assert_eq!(
        (gateway.log().matches(line).count(), gateway.metric("edge_queue_messages")),
        (1, Some(302.0))
    );
    assert!(
        needs(&gateway).contains("more waits in lane 1 than the changed limits hold"),
        "{}",
        needs(&gateway)
    );
    assert_eq!(gateway.terminate().0.code(), Some(0));
}

/// Parked messages are in a queue of their own with the same limits: the next refused one made it give up all beyond them.
#[test]
fn limits_below_what_is_parked_are_refused_at_a_reload_and_told_at_a_start() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Hub::start();
    hub.answer(|_, _| Answer::Ack(0x97));
    let (mut gateway, listen, config) = started_with(hub.address, dir.path(), 4, None);
    publish(listen, 300);
    let parked = |gateway: &Gateway| gateway.metric("edge_parked_messages");
    wait_until("most is parked", 60, || parked(&gateway) >= Some(280.0));
    wait_until("the lane has little", 60, || gateway.metric("edge_queue_bytes") < Some(0.5 * MIB));
    reload(&gateway, &config, (4, 1), "the changed configuration is refused: the one in force stays");
    let why = "among the parked ones are more than the changed limit holds, 1.0 MiB";
    assert!(needs(&gateway).contains(why), "{}", needs(&gateway));
    let before = parked(&gateway);
    // One is held for the topic's next attempt, this one or one before it.
    publish(listen, 2);
    wait_until("one more is parked, too", 60, || parked(&gateway) > before);
    assert_eq!(gateway.metric("edge_dropped_total{reason=\"overflow\"}"), Some(0.0));
    assert_eq!(gateway.terminate().0.code(), Some(0));
    let line = "more waits than the queue's limits hold";
    assert_eq!(gateway.log().matches(line).count(), 0);
    gateway.start();
    wait_until("the start says it", 60, || gateway.log().matches(line).count() == 1);
    assert!(gateway.log().contains("lane=\"(parked)\""), "{}", gateway.log());
    assert_eq!(gateway.terminate().0.code(), Some(0));
}

/// Figures showed the limit of the file while data was given up at the one before.
#[test]
fn a_larger_limit_without_room_on_the_disk_is_told_and_figures_show_the_one_in_force() {
    let dir = tempfile::tempdir().unwrap();
    // No file may be larger than 8 MiB: one for 1 MiB is, one for 16 MiB is not.
    let (mut gateway, listen, config) = started(dir.path(), 1, Some("-f 16384; trap '' XFSZ"));
    reload(&gateway, &config, (1, 16), "max_bytes is not in force");
    wait_until("it is up again", 40, || limit(&gateway).is_some());
    assert_eq!(limit(&gateway), Some(MIB));
    assert!(needs(&gateway).contains("\"limits\""), "{}", needs(&gateway));
    publish(listen, 400);
    let dropped = |reason: &str| gateway.metric(&format!("edge_dropped_total{{reason=\"{reason}\"}}"));
    wait_until("what is given up is counted", 20, || dropped("overflow") > Some(150.0));
    assert_eq!(dropped("fragmented"), Some(0.0));
    let needs = needs(&gateway);
    assert!(
        needs.contains("do what the need `limits` says") && !needs.contains("raise the limit"),
        "{needs}"
    );
    assert_eq!(gateway.terminate().0.code(), Some(0));
    gateway.ulimit = None;
    gateway.start();
    assert_eq!(limit(&gateway), Some(16.0 * MIB), "there is room");
    assert_eq!(gateway.terminate().0.code(), Some(0));
}
