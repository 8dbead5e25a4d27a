#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! Other lanes in gateway.toml while messages wait: nothing that was acknowledged goes under another name and limit.

mod support;

use std::fs;

use support::gateway::Gateway;
use support::mosquitto::{Mosquitto, Subscriber, publish};
use support::{free_port, wait_until};

#[test]
fn lanes_change_once_the_queue_has_drained_and_a_start_says_so_before() {
    let dir = tempfile::tempdir().unwrap();
    let mut hub = Mosquitto::start(dir.path(), "");
    hub.kill_9();
    let listen = free_port();
    let config = |lanes: &str| {
        format!(
            "[gateway]\nid = \"g\"\n[local]\nlisten = \"{listen}\"\n[hub]\nurl = \"mqtt://{}\"\n[queue]\n{lanes}\n\
             [[route]]\nmatch = \"plant/#\"\nlane = \"telemetry\"\n",
            hub.address
        )
    };
    let (before, after) = (config(""), config("lanes = [\"urgent\", \"alarm\", \"telemetry\"]"));
    let mut gateway = Gateway::new(dir.path(), &before);
    gateway.start();
    for n in 0..5 {
        publish(listen, &format!("plant/{n}"), "x");
    }
    gateway.kill_9();
    let file = gateway.dir.join("gateway.toml");
    let metrics = gateway.metrics;
    let write = |config: &str| {
        fs::write(&file, format!("{config}[metrics]\nlisten = \"{metrics}\"\ntotals_within = \"1s\"\n"))
            .unwrap();
    };
    write(&after);
    let ended = gateway.command().arg("--strict").output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(2), "{said}");
    assert!(said.contains("queue.lanes: 5 messages wait in the lanes [\"alarm\", \"telemetry\"]"), "{said}");
    write(&before);
    gateway.start();
    let log = gateway.log().matches("refused: the one in force stays").count();
    write(&after);
    gateway.signal("HUP");
    wait_until("the reload is refused", 20, || {
        gateway.log().matches("refused: the one in force stays").count() > log
    });
    let at_hub = gateway.paused(|| {
        hub.run();
        Subscriber::start(hub.address, "plant/#")
    });
    wait_until("all is at the hub", 60, || at_hub.arrived().len() >= 5);
    wait_until("nothing waits", 20, || gateway.metric("edge_queue_messages") == Some(0.0));
    assert_eq!(gateway.terminate().0.code(), Some(0));
    gateway.start();
    publish(listen, "plant/5", "x");
    wait_until("with other lanes", 20, || at_hub.arrived().iter().any(|one| one.topic == "plant/5"));
    assert_eq!(gateway.terminate().0.code(), Some(0));
}

#[test]
fn names_of_lanes_that_are_damaged_are_told_while_something_waits_in_them() {
    let dir = tempfile::tempdir().unwrap();
    let (mut gateway, listen) = Gateway::started(dir.path(), free_port(), "[[route]]\nmatch = \"#\"\n");
    let is_needed = |gateway: &Gateway| gateway.get("/status.json").unwrap().1.contains("\"id\":\"lanes\"");
    for (count, expected) in [(0, false), (1, true)] {
        (0..count).for_each(|_| publish(listen, "a", "x"));
        gateway.kill_9();
        fs::write(gateway.state.join("lanes"), "damaged").unwrap();
        gateway.start();
        let lines = gateway.log().matches("the names of the lanes at the last start cannot be read").count();
        assert_eq!((lines, is_needed(&gateway)), (count + 1, expected));
    }
    gateway.kill_9();
    gateway.start();
    assert!(!is_needed(&gateway), "they are kept anew");
}
