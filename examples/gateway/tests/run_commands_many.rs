#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! More commands at once than the hub may have on the way to the gateway, which Mosquitto 2.0 sends all the same.

mod support;

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};

use support::commands::{LocalClient, Plant};
use support::wait_until;

const RULES: &str = "[[command]]\nmatch = \"site7/cmd/#\"\nto = \"cmd/#\"\n";
const COMMANDS: usize = 1_300;

#[test]
fn more_commands_than_the_window_cost_no_connection() {
    let plant = Plant::start(RULES);
    let local = LocalClient::start(plant.listen, "valves", "cmd/#");
    let port = plant.hub.address.port().to_string();
    let mut publisher = Command::new("mosquitto_pub")
        .args(["-p", &port, "-V", "mqttv5", "-q", "1", "-t", "site7/cmd/a", "-l"])
        .args(["-D", "publish", "message-expiry-interval", "300"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let sent: BTreeSet<String> = (0..COMMANDS).map(|n| n.to_string()).collect();
    let lines: String = (0..COMMANDS).map(|n| format!("{n}\n")).collect();
    publisher.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    assert!(publisher.wait().unwrap().success());
    wait_until("each has its answer", 120, || plant.ended("delivered") >= COMMANDS as f64);
    let given: Vec<String> = local.given().into_iter().map(|given| given.payload).collect();
    assert_eq!((given.len(), given.into_iter().collect::<BTreeSet<_>>()), (COMMANDS, sent));
    assert_eq!(plant.hub.connects("g"), 1, "{}", plant.gateway.log());
}
