#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! `edge-gateway run` at SIGPWR: what is in memory is on disk before the power goes, which is a kill -9 here.

mod support;

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use support::gateway::Gateway;
use support::mosquitto::{Subscriber, publish_at, retain};
use support::publisher::Publisher;
use support::{free_port, wait_until};

/// Raw readings, and ones of which a stage holds the last.
const ROUTES: &str = "[[route]]\nmatch = \"raw/#\"\n[[route]]\nmatch = \"held/#\"\nto = \"readings\"\nformat = \"json\"\nfilter = \"rules.toml\"\n";
const RULES: &str = "[[rule]]\nmatch = \"#\"\nstages = [ { swinging_door = { deviation = 0.5 } } ]\n";
/// No commit comes by itself within the test.
const QUEUE: &str = "[queue]\nack_within = \"60s\"\n";
/// Fewer than make a publisher count as blocked, for which a commit would come at once.
const ROWS: usize = 6;

/// A gateway in an outage, with rows at QoS 0 and QoS 1 in memory, readings in a stage, and a retained message.
fn with_rows_in_memory(dir: &Path) -> (Gateway, SocketAddr, Publisher) {
    fs::write(dir.join("rules.toml"), RULES).unwrap();
    let (gateway, listen) = Gateway::started(dir, free_port(), &format!("{QUEUE}{ROUTES}"));
    retain(listen, "local/shown", "kept");
    let mut publisher = Publisher::new(listen, "sensor", 2 * ROWS);
    for n in 0..ROWS {
        publisher.publish("raw/t", &format!("one {n}"));
    }
    for time in 1..4 {
        publisher.publish("held/t", &format!("{{\"ts\":{time}000,\"value\":{time}}}"));
    }
    assert!(publish_at(listen, "5", 0, "raw/t", "at most once").status.success());
    // The first reading passes at once.
    wait_until("all rows are in the queue", 30, || {
        publisher.poll();
        waiting(&gateway) >= (ROWS + 2) as f64
    });
    (gateway, listen, publisher)
}

/// Messages in the queue, safe or not.
fn waiting(gateway: &Gateway) -> f64 {
    gateway.metric("edge_queue_messages").unwrap_or(0.0)
}

#[test]
fn what_was_taken_before_the_signal_is_there_after_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let (mut gateway, listen, mut publisher) = with_rows_in_memory(dir.path());
    assert!(publisher.waiting() >= ROWS, "a commit came by itself");
    gateway.signal("PWR");
    wait_until("it says so", 30, || gateway.log().contains("SIGPWR: what was in memory is on disk"));
    publisher.settle(0, 30);
    gateway.kill_9();

    gateway.start();
    // The held line is one reading more: its end.
    assert_eq!(waiting(&gateway), (ROWS + 3) as f64, "{}", gateway.log());
    let shown = Subscriber::start(listen, "local/shown");
    wait_until("the retained message is there", 30, || shown.arrived().len() == 1);
    assert!(!gateway.log().contains("not all that was in memory"), "{}", gateway.log());
}

/// A second signal finds the gateway at work, and what came since.
#[test]
fn the_gateway_goes_on_after_the_signal() {
    let dir = tempfile::tempdir().unwrap();
    let (mut gateway, _, mut publisher) = with_rows_in_memory(dir.path());
    for (signals, reading) in [(1, "4000,\"value\":4"), (2, "5000,\"value\":-20")] {
        gateway.signal("PWR");
        wait_until("it says so", 30, || {
            gateway.log().matches("SIGPWR: what was in memory is on disk").count() == signals
        });
        publisher.settle(0, 30);
        publisher.publish("held/t", &format!("{{\"ts\":{reading}}}"));
    }
    assert!(gateway.terminate().0.success());
}

#[test]
fn negative_control_without_the_signal_a_kill_costs_what_was_in_memory() {
    let dir = tempfile::tempdir().unwrap();
    let (mut gateway, _, publisher) = with_rows_in_memory(dir.path());
    assert!(publisher.waiting() >= ROWS, "a commit came by itself");
    gateway.kill_9();
    gateway.start();
    assert_eq!(waiting(&gateway), 0.0);
}
