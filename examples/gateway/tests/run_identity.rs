#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! `[hub] identity`: what a subscriber at a real Mosquitto sees of a raw message in each form.

mod support;

use std::time::Duration;

use edge_bridge::bridge::spool::Identity;
use edge_bridge::bridge::{identity_text, is_possible_duplicate};
use edge_bridge::wire::{Properties, PropertyId};
use edge_bridge::{Bridge, Commands};
use support::gateway::Gateway;
use support::mosquitto::{Mosquitto, publish_request, retain};
use tokio::time::timeout;

const WITHIN: Duration = Duration::from_secs(30);

/// Returns the properties of the next message, which has this payload.
async fn next(commands: &mut Commands, payload: &str) -> Properties {
    let message = timeout(WITHIN, commands.next()).await.expect(payload).unwrap();
    assert_eq!(message.payload(), payload);
    let properties = message.properties().clone();
    message.done();
    properties
}

fn text_property(properties: &Properties) -> Option<&str> {
    properties.user_property("edge-id")
}

fn data(properties: &Properties) -> Option<Vec<u8>> {
    properties.binary(PropertyId::CorrelationData).map(|data| data.to_vec())
}

/// Properties of a plain message, of one whose publisher gave Correlation Data of its own, and of one after a kill.
async fn seen(form: &str) -> [Properties; 3] {
    let dir = tempfile::tempdir().unwrap();
    let hub = Mosquitto::start(dir.path(), "");
    // Subscribed is whoever gets what is retained.
    retain(hub.address, "up/ready", "ready");
    let reader =
        Bridge::builder(&format!("mqtt://{}", hub.address)).client_id("reader").start().await.unwrap();
    let mut commands = reader.subscribe("up/#").await.unwrap();
    next(&mut commands, "ready").await;
    let rest = format!("identity = \"{form}\"\n[[route]]\nmatch = \"#\"\nto = \"up/\"\n");
    let (mut gateway, listen) = Gateway::started(dir.path(), hub.address, &rest);
    publish_request(listen, "a", "plain", None);
    let plain = next(&mut commands, "plain").await;
    publish_request(listen, "a", "request", Some("17, of the panel"));
    let request = next(&mut commands, "request").await;
    gateway.kill_9();
    gateway.start();
    // What the hub's acknowledgement of was not on disk yet may come again before it.
    publish_request(listen, "b/fresh", "after a kill", None);
    let again = loop {
        let message = timeout(WITHIN, commands.next()).await.expect("after a kill").unwrap();
        let (is_it, properties) = (message.topic() == "up/b/fresh", message.properties().clone());
        message.done();
        if is_it {
            break properties;
        }
    };
    assert!(gateway.terminate().0.success());
    let _ = reader.close().await.unwrap();
    assert_eq!(data(&request).as_deref(), Some(&b"17, of the panel"[..]), "{form}: byte-exact");
    [plain, request, again]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_text_it_is_a_user_property() {
    let [plain, request, again] = seen("text").await;
    for properties in [&plain, &request, &again] {
        assert!(text_property(properties).is_some_and(|id| id.matches('-').count() == 3), "{properties:?}");
    }
    assert_eq!((data(&plain), data(&again)), (None, None));
    assert!(!is_possible_duplicate(&plain) && is_possible_duplicate(&again));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_the_binary_form_it_is_correlation_data_and_text_beside_the_publishers() {
    let [plain, request, again] = seen("binary").await;
    let identity = |properties| Identity::from_correlation_data(&data(properties).unwrap());
    let (first, last) = (identity(&plain).unwrap(), identity(&again).unwrap());
    assert_eq!((text_property(&plain), text_property(&again)), (None, None));
    assert!(data(&plain).unwrap().len() <= 13, "{plain:?}");
    assert_eq!((last.gateway, last.lane), (first.gateway, first.lane));
    assert!(first.epoch < last.epoch && last.epoch <= first.epoch + 4_096, "{first:?}, {last:?}");
    let between = Identity { seq: first.seq + 1, ..first };
    assert_eq!(text_property(&request), Some(between.to_string().as_str()));
    assert_eq!(identity_text(&plain).unwrap(), first.to_string());
    assert!(!is_possible_duplicate(&plain) && is_possible_duplicate(&again));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn off_is_nothing_at_all() {
    let [plain, request, again] = seen("off").await;
    for properties in [&plain, &request, &again] {
        assert_eq!(properties.user_properties().count(), 0, "{properties:?}");
    }
    assert_eq!((data(&plain), data(&again)), (None, None));
}
