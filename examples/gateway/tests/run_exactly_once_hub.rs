#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! A route at QoS 2 to a Mosquitto as hub (§4.3.3): each message once over a line that breaks, and none lost over kill -9 of the gateway or sessions
//! that the hub loses.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use support::gateway::Gateway;
use support::mosquitto::{Arrived, Mosquitto, Subscriber, command, publish_exactly_once};
use support::relay::Relay;
use support::wait_until;

const HUB: &str = "max_queued_messages 0";
const ROUNDS: usize = 6;
const IN_A_ROUND: usize = 1_000;
const MESSAGES: usize = ROUNDS * IN_A_ROUND;

/// End of each round, while messages are on their way.
#[derive(Clone, Copy, PartialEq)]
enum Break {
    /// Connections end, and new ones can be made.
    Line,
    /// New connections are taken, and end without a CONNACK, for a while.
    Proxy,
    Kill,
    /// The hub loses its session, with the messages that it holds back until their PUBREL.
    Session,
}

/// Messages of the hub's subscriber, by payload.
fn arrivals(dir: &Path, qos: u8, protocol: &str, end: Break) -> BTreeMap<String, Vec<Arrived>> {
    let hub = Mosquitto::start(dir, HUB);
    let subscriber = Subscriber::start(hub.address, "up/#");
    let line = Relay::start(hub.address);
    line.cut();
    let route = format!(
        "protocol = \"{protocol}\"\n[[route]]\nmatch = \"plant/#\"\nto = \"up/\"\nqos = {qos}\n[queue]\nmax_messages = 100000\n"
    );
    let (mut gateway, listen) = Gateway::started(dir, line.address, &route);
    for round in 0..ROUNDS {
        let before = subscriber.arrived().len();
        let payloads: Vec<_> =
            (0..IN_A_ROUND).map(|n| format!("message {:05}", round * IN_A_ROUND + n)).collect();
        publish_exactly_once(listen, "plant/a", &payloads);
        line.mend();
        wait_until("some arrive", 60, || subscriber.arrived().len() > before + 100);
        match end {
            Break::Line => {
                line.reset();
                wait_until("all arrive", 60, || subscriber.arrived().len() >= before + IN_A_ROUND);
                wait_until("all are completed", 30, || gateway.metric("edge_queue_messages") == Some(0.0));
                line.cut();
            }
            Break::Proxy => line.cut(),
            Break::Session => {
                line.cut();
                // It takes the gateway's place, with Clean Session.
                let port = hub.address.port().to_string();
                let other = ["-p", &port, "-i", "g", "-t", "other", "-m", "x"];
                assert!(command("mosquitto_pub").args(other).status().unwrap().success());
            }
            Break::Kill => {
                gateway.kill_9();
                line.cut();
                gateway.start();
            }
        }
    }
    line.mend();
    let by_payload = || {
        let mut by_payload = BTreeMap::<_, Vec<_>>::new();
        for message in subscriber.arrived() {
            by_payload.entry(message.payload.clone()).or_default().push(message);
        }
        by_payload
    };
    wait_until("everything arrives", 90, || by_payload().len() == MESSAGES);
    publish_exactly_once(listen, "plant/a", &["the end".to_owned()]);
    wait_until("the last one arrives", 30, || by_payload().contains_key("the end"));
    let (status, _) = gateway.terminate();
    assert!(status.success(), "{status}");
    by_payload()
}

fn most_often(arrived: &BTreeMap<String, Vec<Arrived>>) -> usize {
    arrived.values().map(Vec::len).max().unwrap()
}

#[test]
fn promise_4_a_hub_has_messages_of_qos_2_once_over_a_line_that_breaks() {
    for protocol in ["5", "3.1.1"] {
        let dir = tempfile::tempdir().unwrap();
        let arrived = arrivals(dir.path(), 2, protocol, Break::Line);
        assert_eq!((arrived.len(), most_often(&arrived)), (MESSAGES + 1, 1), "{protocol}");
    }
}

/// Negative control: the cuts fall between messages and their answers.
#[test]
fn a_hub_has_messages_of_qos_1_again_over_a_line_that_breaks() {
    let dir = tempfile::tempdir().unwrap();
    assert!(most_often(&arrivals(dir.path(), 1, "5", Break::Line)) > 1);
}

/// The hub may have made a new session for a CONNECT that got no CONNACK.
#[test]
fn promise_4_connections_without_a_connack_lose_nothing_and_copies_can_be_told() {
    let dir = tempfile::tempdir().unwrap();
    assert_copies_can_be_told(&arrivals(dir.path(), 2, "5", Break::Proxy));
}

/// Mosquitto hands a message on with its PUBREL: what lies between is in its session alone.
#[test]
fn promise_4_a_session_that_the_hub_loses_costs_no_message_of_qos_2() {
    for protocol in ["5", "3.1.1"] {
        let dir = tempfile::tempdir().unwrap();
        let arrived = arrivals(dir.path(), 2, protocol, Break::Session);
        // 3.1.1 has no properties.
        if protocol == "5" {
            assert_copies_can_be_told(&arrived);
        }
    }
}

/// Messages that were on their way at a kill come again with the identity that they had.
#[test]
fn promise_4_kill_9_loses_nothing_at_qos_2_and_copies_can_be_told() {
    let dir = tempfile::tempdir().unwrap();
    assert_copies_can_be_told(&arrivals(dir.path(), 2, "5", Break::Kill));
}

fn assert_copies_can_be_told(arrived: &BTreeMap<String, Vec<Arrived>>) {
    for (payload, copies) in arrived {
        let identities: BTreeSet<_> = copies.iter().map(|copy| &copy.user_properties).collect();
        assert!(
            identities.len() == 1 && copies[0].user_properties.contains("edge-id"),
            "{payload}: {identities:?}"
        );
    }
}
