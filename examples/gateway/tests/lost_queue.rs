#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! A state directory with a past whose `queue.ring` is gone or empty: what waited there is lost, and the gateway says so.

mod support;

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use support::free_port;
use support::gateway::Gateway;
use support::hub::Hub;
use support::publisher::Publisher;

const ROUTE: &str = "[[route]]\nmatch = \"#\"\nto = \"up\"\n";

/// A gateway that has taken in `count` messages, running.
fn gateway(dir: &Path, hub: SocketAddr, count: u32) -> Gateway {
    let (gateway, listen) = Gateway::started(dir, hub, ROUTE);
    if count > 0 {
        let mut sensor = Publisher::new(listen, "sensor", 50);
        (0..count).for_each(|n| sensor.publish(&format!("t/{n}"), "x"));
        sensor.settle(0, 20);
    }
    gateway
}

fn status(gateway: &Gateway) -> serde_json::Value {
    let (code, body) = gateway.get("/status.json").unwrap();
    assert_eq!(code, 200);
    serde_json::from_str(&body).unwrap()
}

/// Number of lost messages, and the need's text; no text if there is none.
fn told(gateway: &Gateway) -> (u64, String) {
    let status = status(gateway);
    let needs = status["needs"].as_array().unwrap();
    let need = needs.iter().find(|need| need["id"] == "queue_gone");
    let text = need.map(|need| need["text"].as_str().unwrap().to_owned()).unwrap_or_default();
    (status["lost"].as_u64().unwrap(), text)
}

#[test]
fn a_queue_that_was_removed_is_a_loss_and_stays_one() {
    let dir = tempfile::tempdir().unwrap();
    let mut gateway = gateway(dir.path(), free_port(), 5);
    assert!(gateway.terminate().0.success());
    fs::remove_file(gateway.state.join("queue.ring")).unwrap();
    gateway.start();
    let first = status(&gateway);
    assert_eq!(first["verdict"], "losing", "{first}");
    let expected =
        "The queue of an earlier run was gone at a start: with it went at least 5 messages that waited.";
    assert!(first["sentence"].as_str().unwrap().starts_with(expected), "{first}");
    for start in ["the one that found it", "the next"] {
        assert_eq!(told(&gateway), (5, expected.to_owned()), "{start}");
        assert_eq!(gateway.metric("edge_queue_gone_total"), Some(1.0), "{start}");
        assert_eq!(gateway.metric("edge_queue_gone_messages_total"), Some(5.0), "{start}");
        assert_eq!(gateway.log().matches("the queue of the last run is gone").count(), 1, "{start}");
        assert!(gateway.terminate().0.success());
        gateway.start();
    }
    assert_ne!(status(&gateway)["verdict"], "losing", "an old loss is none of now");
}

#[test]
fn a_queue_that_was_emptied_after_a_kill_is_a_loss_of_unknown_size() {
    let dir = tempfile::tempdir().unwrap();
    let mut gateway = gateway(dir.path(), free_port(), 5);
    gateway.kill_9();
    fs::write(gateway.state.join("queue.ring"), "").unwrap();
    gateway.start();
    let (lost, text) = told(&gateway);
    assert!(lost == 0 && text.contains("how many messages are lost with it is not known"), "{lost} {text}");
    assert_eq!(status(&gateway)["verdict"], "losing");
    assert_eq!(gateway.metric("edge_restarts_total{cause=\"unclean\"}"), Some(1.0), "no first start");
    assert!(gateway.terminate().0.success());
    gateway.start();
    let page = status(&gateway);
    assert!(!page["sentence"].as_str().unwrap().contains("Nothing has been lost"), "{page}");
}

/// Nothing of the kind is told of a new directory, after the whole directory was moved away, and where nothing waited.
#[test]
fn a_new_directory_and_a_queue_in_which_nothing_waited_are_no_loss() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Hub::start();
    let mut gateway = gateway(dir.path(), hub.address, 5);
    support::wait_until("all are at the hub", 20, || gateway.metric("edge_queue_messages") == Some(0.0));
    assert_eq!(told(&gateway), (0, String::new()), "new");
    assert!(gateway.terminate().0.success());
    fs::rename(&gateway.state, dir.path().join("away")).unwrap();
    gateway.start();
    assert_eq!(told(&gateway), (0, String::new()), "moved away");
    assert!(gateway.terminate().0.success());
    fs::remove_file(gateway.state.join("queue.ring")).unwrap();
    gateway.start();
    assert_eq!(told(&gateway), (0, String::new()), "nothing waited");
    assert_eq!(gateway.log().matches("nothing waited in it: totals begin anew").count(), 1);
}

/// It has no account of its queue, and names of its lanes.
#[test]
fn a_directory_of_an_earlier_version_without_its_queue_is_a_loss_of_unknown_size() {
    let dir = tempfile::tempdir().unwrap();
    let mut gateway = gateway(dir.path(), free_port(), 5);
    assert!(gateway.terminate().0.success());
    for name in ["queue.ring", "queue-account"] {
        fs::remove_file(gateway.state.join(name)).unwrap();
    }
    gateway.start();
    let (lost, text) = told(&gateway);
    assert!(lost == 0 && text.contains("is not known"), "{lost} {text}");
}
