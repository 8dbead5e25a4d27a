#![allow(clippy::unwrap_used, missing_docs, reason = "test code")]
//! `subscribe` behind a bridge of MQTT 3.1.1, which loses the properties of messages.

mod support;

use support::mosquitto::Mosquitto;
use support::subscriber::{Subscriber, batch, table};
use support::wait_until;

/// It was: the table counted as a damaged batch, and nothing behind it was acknowledged.
#[test]
fn a_table_without_a_content_type_is_known_by_its_topic_and_name() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let broker = Mosquitto::start(dir);
    let (known, next) = (table("known"), table("next"));
    let topic = |id: u64| format!("edge/a/table/g/{id:016x}");
    broker.publish(dir, &topic(known.id()), None, true, known.bytes());
    let arguments = ["--topic", "edge/#", "--content-type", "compact"];
    let subscriber = Subscriber::start(dir, "bridged", &broker, &arguments);
    subscriber.hears(dir, &broker, "edge/probe");
    broker.publish(dir, "edge/a", None, false, &batch(&known, 5));
    wait_until("the batch is read", || subscriber.times("known") == [5]);
    // One that comes while it listens, and the clearing of one that was replaced.
    broker.publish(dir, &topic(next.id()), None, true, next.bytes());
    broker.publish(dir, &topic(known.id()), None, true, b"");
    broker.publish(dir, "edge/a", None, false, &batch(&next, 6));
    wait_until("the next one, too", || subscriber.times("next") == [6]);
    assert_eq!(subscriber.interrupt().code(), Some(0), "nothing was wrong");
}
