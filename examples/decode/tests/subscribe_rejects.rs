#![allow(clippy::unwrap_used, clippy::disallowed_methods, missing_docs, reason = "test code")]
//! `subscribe --rejects` while the folder is full or emptied, and while the connection breaks.

mod support;

use std::fs;
use std::path::Path;

use support::mosquitto::Mosquitto;
use support::publisher::Publisher;
use support::relay::Relay;
use support::subscriber::{BATCH, PROBE, Subscriber, TABLE, batch, table};
use support::wait_until;

const JSON: Option<&str> = Some("application/json");

/// Lines of the index that are whole.
fn index(rejects: &Path) -> Vec<serde_json::Value> {
    let text = fs::read_to_string(rejects.join("rejects.jsonl")).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Takes what is in the folder at this moment; more may come meanwhile.
fn empty(rejects: &Path) {
    for entry in fs::read_dir(rejects).unwrap().flatten() {
        let _ = fs::remove_file(entry.path());
    }
}

/// Publishes a message that can be read, and waits until it is printed.
fn passes(subscriber: &Subscriber, dir: &Path, broker: &Mosquitto, topic: &str) {
    broker.publish(dir, topic, JSON, false, PROBE);
    let has_come = || subscriber.lines().iter().any(|line| line.contains(&format!("\"{topic}\"")));
    wait_until("it comes", has_come);
}

/// It was: dropped, and nothing of this connection acknowledged any more, though the log said to empty the folder. By a new connection it was counted anew.
#[test]
fn what_a_full_folder_did_not_take_is_set_aside_once_when_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let broker = Mosquitto::start(dir);
    let relay = Relay::start(broker.address);
    let rejects = dir.join("rejects");
    let folder = ["--rejects", rejects.to_str().unwrap(), "--rejects-max", "2KiB"];
    let arguments = [&["--topic", "edge/#", "--client-id", "reader"], &folder[..]].concat();
    let subscriber = Subscriber::spawn_at(dir, "full", &relay.url(), &arguments);
    subscriber.hears(dir, &broker, "edge/probe");
    broker.publish(dir, "edge/a", BATCH, false, &[b'?'; 1_000]);
    wait_until("the first is set aside", || index(&rejects).len() == 1);
    broker.publish(dir, "edge/b", BATCH, false, &[b'?'; 1_200]);
    wait_until("the second has no room", || subscriber.said().contains("(--rejects-max): empty it"));
    passes(&subscriber, dir, &broker, "edge/behind");
    relay.cut();
    // Behind the second, which has come again by then.
    passes(&subscriber, dir, &broker, "edge/later");
    empty(&rejects);
    wait_until("the second is set aside", || !index(&rejects).is_empty());
    wait_until("that is said", || subscriber.said().contains("what was kept is set aside now"));
    let lines = index(&rejects);
    let topics: Vec<_> = lines.iter().map(|line| line["topic"].as_str().unwrap()).collect();
    assert_eq!(topics, ["edge/b"]);
    let file = rejects.join(lines[0]["file"].as_str().unwrap());
    assert_eq!(fs::read(file).unwrap(), [b'?'; 1_200]);
    passes(&subscriber, dir, &broker, "edge/last");
    assert_eq!(subscriber.interrupt().code(), Some(1), "something could not be read");
    let said = fs::read_to_string(dir.join("full.log")).unwrap();
    assert!(said.contains("not read: 2 malformed; 2 set aside in "), "{said}");
    assert!(said.contains(", 0 kept unacknowledged"), "{said}");
    let again = Subscriber::start(dir, "again", &broker, &arguments);
    passes(&again, dir, &broker, "edge/next");
    let old = ["edge/behind", "edge/later", "edge/last"];
    let lines = again.lines();
    assert!(!lines.iter().any(|line| old.iter().any(|topic| line.contains(topic))), "{lines:?}");
    assert_eq!(again.interrupt().code(), Some(0), "all of it was acknowledged");
}

/// More than the memory has room for: the hub keeps the rest, and nothing is lost or comes twice.
#[test]
fn while_the_folder_takes_nothing_reading_pauses_before_the_memory_is_full() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let broker = Mosquitto::start_with(dir, "max_inflight_messages 0\nmax_queued_messages 0\n");
    let rejects = dir.join("rejects");
    let folder = ["--rejects", rejects.to_str().unwrap(), "--rejects-max", "4MiB"];
    let subscriber =
        Subscriber::start(dir, "paused", &broker, &[&["--topic", "edge/#"], &folder[..]].concat());
    subscriber.hears(dir, &broker, "edge/probe");
    let publisher = Publisher::start(&broker);
    publisher.publish((0..16).map(|n| (format!("edge/{n}"), BATCH, false, vec![b'?'; 1 << 20])));
    let said = "8 MiB of messages wait to be set aside: no further ones are read; make room in ";
    wait_until("it pauses", || subscriber.said().contains(said));
    publisher.publish([("edge/last".to_owned(), JSON, false, PROBE.to_vec())]);
    wait_until("there is room again and again", || {
        empty(&rejects);
        subscriber.said().contains("what was kept is set aside now")
            && subscriber.lines().iter().any(|line| line.contains("edge/last"))
    });
    assert_eq!(subscriber.interrupt().code(), Some(1), "something could not be read");
    let said = fs::read_to_string(dir.join("paused.log")).unwrap();
    assert!(said.contains("not read: 16 malformed; 16 set aside in "), "{said}");
    assert!(said.contains(", 0 kept unacknowledged"), "{said}");
}

/// Room that there will never be is not waited for.
#[test]
fn messages_larger_than_the_folder_may_be_stop_no_reading() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let broker = Mosquitto::start(dir);
    let rejects = dir.join("rejects");
    let folder = ["--rejects", rejects.to_str().unwrap(), "--rejects-max", "4MiB"];
    let subscriber =
        Subscriber::start(dir, "large", &broker, &[&["--topic", "edge/#"], &folder[..]].concat());
    subscriber.hears(dir, &broker, "edge/probe");
    let publisher = Publisher::start(&broker);
    publisher.publish((0..3).map(|n| (format!("edge/{n}"), BATCH, false, vec![b'?'; 5 << 20])));
    passes(&subscriber, dir, &broker, "edge/behind");
    assert_eq!(subscriber.interrupt().code(), Some(1), "something could not be read");
    let said = fs::read_to_string(dir.join("large.log")).unwrap();
    assert_eq!(said.matches("(--rejects-max): give it more").count(), 1, "{said}");
    assert!(said.contains("; 0 set aside in ") && said.contains(", 3 kept unacknowledged"), "{said}");
}

/// It was: counted again with each connection.
#[test]
fn a_message_that_is_kept_without_a_folder_is_counted_once() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let broker = Mosquitto::start(dir);
    let relay = Relay::start(broker.address);
    let arguments = ["--topic", "edge/#", "--client-id", "reader"];
    let subscriber = Subscriber::spawn_at(dir, "kept", &relay.url(), &arguments);
    subscriber.hears(dir, &broker, "edge/probe");
    broker.publish(dir, "edge/a", BATCH, false, b"?");
    let told = || subscriber.said().matches("from here on nothing is acknowledged").count();
    wait_until("it is told", || told() == 1);
    relay.cut();
    wait_until("it comes again", || told() == 2);
    broker.publish(dir, "edge/b", BATCH, false, b"?");
    wait_until("the second is told", || subscriber.said().contains("edge/b: 1 bytes: "));
    assert_eq!(subscriber.interrupt().code(), Some(1));
    let said = fs::read_to_string(dir.join("kept.log")).unwrap();
    assert!(said.contains("not read: 2 malformed; 0 set aside, 2 kept unacknowledged"), "{said}");
}

/// It was: set aside at once, because a batch of its topic had waited in vain, and printed as well when its table came.
#[test]
fn a_batch_that_waits_is_not_set_aside_because_the_hub_sends_it_again() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let broker = Mosquitto::start(dir);
    let relay = Relay::start(broker.address);
    let rejects = dir.join("rejects");
    let arguments = ["--topic", "edge/+", "--client-id", "reader", "--rejects", rejects.to_str().unwrap()];
    let subscriber = Subscriber::spawn_at(dir, "waits", &relay.url(), &arguments);
    subscriber.hears(dir, &broker, "edge/probe");
    broker.publish(dir, "edge/a", BATCH, false, &batch(&table("never"), 1));
    wait_until("one has waited in vain", || index(&rejects).len() == 1);
    let late = table("late");
    broker.publish(dir, "edge/a", BATCH, false, &batch(&late, 2));
    passes(&subscriber, dir, &broker, "edge/behind");
    relay.cut();
    passes(&subscriber, dir, &broker, "edge/later");
    broker.publish(dir, "edge/a/table/g", TABLE, true, late.bytes());
    // On a machine that is slow enough it, too, has waited in vain.
    wait_until("it is read", || !subscriber.times("late").is_empty() || index(&rejects).len() > 1);
    let reasons: Vec<String> = index(&rejects).iter().map(|line| line["reason"].to_string()).collect();
    assert!(!reasons.iter().any(|reason| reason.contains("within 0 s")), "{reasons:?}");
    assert_eq!(subscriber.interrupt().code(), Some(1), "the first could not be read");
}
