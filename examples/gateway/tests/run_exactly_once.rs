#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! A local Mosquitto whose bridge brings what sensors say to the gateway at QoS 2 (§4.3.3), over a line that breaks.

mod support;

use std::collections::BTreeMap;
use std::path::Path;

use support::gateway::Gateway;
use support::mosquitto::{Mosquitto, Subscriber, publish_exactly_once};
use support::relay::Relay;
use support::wait_until;

const HUB: &str = "max_inflight_messages 0\nmax_queued_messages 0";
const ROUNDS: usize = 6;
const IN_A_ROUND: usize = 1_000;
const MESSAGES: usize = ROUNDS * IN_A_ROUND;

/// Messages that came so many times, by that number, where the bridge has this QoS and its line is cut in each round.
fn arrivals(dir: &Path, qos: u8) -> BTreeMap<usize, usize> {
    let hub = Mosquitto::start(dir, HUB);
    let subscriber = Subscriber::start(hub.address, "up/#");
    // Copies are the line's alone: at QoS 1 a machine under load would have some on the way to the hub.
    let route = "[[route]]\nmatch = \"#\"\nto = \"up/\"\nqos = 2\n";
    let (mut gateway, listen) = Gateway::started(dir, hub.address, route);
    let line = Relay::start(listen);
    let bridge = format!(
        "max_queued_messages 0\nconnection gw\naddress {}\ntopic plant/# out {qos}\ncleansession false\n\
         restart_timeout 1 1\nbridge_protocol_version mqttv311\nnotifications false\ntry_private false",
        line.address
    );
    line.cut();
    let local = Mosquitto::start(dir, &bridge);
    for round in 0..ROUNDS {
        let before = subscriber.arrived().len();
        let payloads: Vec<_> =
            (0..IN_A_ROUND).map(|n| format!("message {:05}", round * IN_A_ROUND + n)).collect();
        publish_exactly_once(local.address, "plant/a", &payloads);
        line.mend();
        // A window of messages is between the line and their answers.
        wait_until("some arrive", 60, || subscriber.arrived().len() > before + 100);
        line.cut();
    }
    line.mend();
    let count = || {
        let mut times = BTreeMap::new();
        for message in subscriber.arrived() {
            *times.entry(message.payload).or_insert(0) += 1;
        }
        times
    };
    wait_until("everything arrives", 90, || count().len() == MESSAGES);
    // Copies of the last would be behind them.
    publish_exactly_once(local.address, "plant/a", &["the end".to_owned()]);
    wait_until("the last one arrives", 30, || count().contains_key("the end"));
    let (status, _) = gateway.terminate();
    assert!(status.success(), "{status}");
    let mut by_times = BTreeMap::new();
    for times in count().into_values() {
        *by_times.entry(times).or_insert(0) += 1;
    }
    by_times
}

#[test]
fn messages_of_qos_2_come_once_over_a_line_that_breaks() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(arrivals(dir.path(), 2), BTreeMap::from([(1, MESSAGES + 1)]));
}

/// Negative control: the cuts fall between messages and their answers.
#[test]
fn messages_of_qos_1_come_again_over_a_line_that_breaks() {
    let dir = tempfile::tempdir().unwrap();
    let by_times = arrivals(dir.path(), 1);
    assert!(by_times.iter().any(|(times, messages)| *times > 1 && *messages > 0), "{by_times:?}");
}
