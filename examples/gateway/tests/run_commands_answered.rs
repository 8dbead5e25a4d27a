#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! Two gateways at one hub whose answers are commands to the other one: an answer is never answered.

mod support;

use std::net::SocketAddr;
use std::path::Path;

use support::commands::Request;
use support::gateway::Gateway;
use support::mosquitto::{self, Mosquitto, Subscriber};
use support::{free_port, wait_until};

const COMMANDS: usize = 5;

/// A gateway whose answers lie in what `other` matches.
fn gateway(dir: &Path, hub: SocketAddr, (own, other): (&str, &str), more: &str) -> Gateway {
    let dir = dir.join(own);
    std::fs::create_dir(&dir).unwrap();
    let listen = free_port();
    let config = format!(
        "[gateway]\nid = \"{own}\"\n[local]\nlisten = \"{listen}\"\n[hub]\nurl = \"mqtt://{hub}\"\n{more}\n[[route]]\nmatch = \"plant/#\"\n\
         to = \"up/\"\n[[command]]\nmatch = \"{own}/cmd/#\"\nto = \"cmd/#\"\nexpiry = \"10s\"\nanswers = \"{other}/cmd/answers\"\n"
    );
    let mut gateway = Gateway::new(&dir, &config);
    gateway.start();
    gateway
}

fn refused(gateway: &Gateway) -> f64 {
    gateway.metric("edge_commands_total{result=\"no_expiry\"}").unwrap_or(-1.0)
}

/// `more`: settings of the link. Each command has no expiry, as each answer.
fn answers_end(more: &str) {
    let dir = tempfile::tempdir().unwrap();
    let hub = Mosquitto::start(dir.path(), "");
    let [one, other] =
        [("one", "other"), ("other", "one")].map(|ids| gateway(dir.path(), hub.address, ids, more));
    let answers = Subscriber::start(hub.address, "+/cmd/answers");
    wait_until("both are subscribed", 30, || {
        mosquitto::publish(hub.address, "one/cmd/first", "x");
        mosquitto::publish(hub.address, "other/cmd/first", "x");
        refused(&one) >= 1.0 && refused(&other) >= 1.0
    });
    let (before, told) = (refused(&other), || answers.arrived().len());
    for _ in 0..COMMANDS {
        Request::new("one/cmd/v", "x").send(hub.address);
    }
    wait_until("the other one has the answers", 30, || refused(&other) >= before + COMMANDS as f64);
    // An answer of the other one would have been on its way before this one.
    Request::new("other/cmd/last", "x").send(hub.address);
    let is_last = |payload: &str| payload.contains("other/cmd/last");
    wait_until("the last answer is there", 30, || answers.arrived().iter().any(|one| is_last(&one.payload)));
    let all = answers.arrived();
    assert!(all.iter().all(|one| !one.payload.contains("cmd/answers\"")), "{all:?}");
    assert!(told() >= COMMANDS + 2, "{all:?}");
}

#[test]
fn an_answer_that_another_gateway_takes_for_a_command_has_no_answer() {
    answers_end("");
}

/// Such a hub takes every property from an answer.
#[test]
fn nor_has_it_one_by_a_hub_of_mqtt_3() {
    answers_end("protocol = \"3.1.1\"");
}
