#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    missing_docs,
    reason = "test code"
)]
//! Refused messages that cannot be parked and wait in the queue: `edge-gateway parked` says so, and nothing needs a restart once they can.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use support::gateway::{BINARY, Gateway};
use support::hub::{Answer, Hub};
use support::publisher::Publisher;
use support::wait_until;

const ROUTES: &str = "[[route]]\nmatch = \"plant/#\"\nto = \"up/\"\n";
/// A topic holds as many messages, which are not parked.
const HELD: usize = 8;

fn parked(state: &Path, arguments: &[&str]) -> Output {
    Command::new(BINARY).arg("parked").args(arguments).arg("--state").arg(state).output().unwrap()
}

/// Exit status, standard output and standard error.
fn ran(state: &Path, arguments: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = parked(state, arguments);
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

fn list(state: &Path) -> String {
    let (status, list, error) = ran(state, &["list"]);
    assert_eq!(status, 0, "{error}");
    list
}

/// The column PARKED of the list's only topic.
fn parked_of_topic(list: &str) -> Option<u64> {
    let row = list.lines().find(|line| line.starts_with("up/plant/bad "))?;
    row.split_whitespace().nth(2)?.parse().ok()
}

/// Not while they are just being looked at again.
fn says_in_place(list: &str) -> bool {
    list.contains("\n92 wait in the queue, since they cannot be parked: ")
}

/// Exports again.
fn exported(state: &Path, file: &Path) -> (i32, usize, String) {
    let _ = fs::remove_file(file);
    let (status, _, error) = ran(state, &["export", file.to_str().unwrap()]);
    (status, fs::read_to_string(file).unwrap().lines().count(), error)
}

fn in_place(gateway: &Gateway) -> Option<f64> {
    gateway.metric("edge_refused_in_place_messages")
}

/// A hub that refuses one topic.
fn refusing() -> Hub {
    let hub = Hub::start();
    hub.answer(|topic, _| Answer::Ack(if topic == "up/plant/bad" { 0x97 } else { 0 }));
    hub
}

fn publish(listen: std::net::SocketAddr, messages: u32) {
    let mut sensor = Publisher::new(listen, "sensor", 50);
    (0..messages).for_each(|n| sensor.publish("plant/bad", &n.to_string()));
    sensor.settle(0, 30);
}

fn all_arrives(gateway: &Gateway, hub: &Hub, state: &Path, messages: usize) {
    hub.answer(|_, _| Answer::Ack(0));
    // Again while rows are still being parked.
    wait_until("a retry of all", 60, || ran(state, &["retry"]).0 == 0);
    wait_until("all of it is at the hub", 90, || hub.count("up/plant/bad") == messages);
    let delivered = Some(f64::from(u32::try_from(messages).unwrap()));
    wait_until("all is delivered", 30, || gateway.metric("edge_delivered_total") == delivered);
    wait_until("nothing is left", 30, || list(state) == "0 parked\n" && in_place(gateway) == Some(0.0));
}

/// Makes `state/parked` a directory in which no queue can be made, also for root. What is given is to be removed to mend it.
fn nobody_can_open(state: &Path) -> PathBuf {
    let in_the_way = state.join("parked").join("queue.ring.new");
    fs::create_dir_all(&in_the_way).unwrap();
    in_the_way
}

/// However often, and also while what waits is just being looked at again: an export or a drop that leaves messages out never ends well.
#[test]
fn what_waits_in_place_is_said_by_every_export_and_drop() {
    let dir = tempfile::tempdir().unwrap();
    let (state, file) = (dir.path().join("state"), dir.path().join("out.jsonl"));
    let hub = refusing();
    let routes = format!("[queue]\nmax_messages = 200\non_full = \"reject\"\n{ROUTES}");
    let (gateway, listen) = Gateway::started(dir.path(), hub.address, &routes);
    publish(listen, 300);
    wait_until("the rest waits in place", 30, || in_place(&gateway) == Some(92.0));
    for _ in 0..30 {
        let (status, lines, error) = exported(&state, &file);
        // One may be on its way to the hub.
        assert!(status == 1 && lines >= 207, "{lines} lines: {error}");
        assert!(error.contains("messages done, but 92 more, of any topic, wait in the queue"), "{error}");
        assert!(error.contains("limit"), "{error}");
        std::thread::sleep(Duration::from_millis(50));
    }
    wait_until("the list says so", 20, || {
        let list = list(&state);
        says_in_place(&list) && list.ends_with("\n200 parked\n") && parked_of_topic(&list) == Some(200)
    });
    let (status, _, error) = ran(&state, &["drop", "--all"]);
    assert!(status == 1 && error.contains("messages done, but 92 more"), "{error}");
    // What was dropped makes room for the rest.
    wait_until("the rest is parked", 30, || in_place(&gateway) == Some(0.0));
    wait_until("the rest is dropped too", 30, || ran(&state, &["drop", "--all"]).0 == 0);
    wait_until("each is counted", 30, || {
        gateway.metric("edge_dropped_total{reason=\"discarded\"}") == Some(300.0)
    });
    all_arrives(&gateway, &hub, &state, 0);
}

/// Nothing of an earlier run, and no queue can be made: totals are there, nothing counts as parked, and what is mended is used without a restart.
#[test]
fn a_parked_queue_that_can_be_made_again_is_used_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let (state, file) = (dir.path().join("state"), dir.path().join("out.jsonl"));
    let in_the_way = nobody_can_open(&state);
    let hub = refusing();
    let (gateway, listen) = Gateway::started(dir.path(), hub.address, ROUTES);
    publish(listen, 100);
    wait_until("it waits in place", 20, || in_place(&gateway) == Some(92.0));
    assert_eq!(gateway.metric("edge_delivered_total"), Some(0.0));
    assert_eq!(gateway.metric("edge_dropped_total{reason=\"overflow\"}"), Some(0.0));
    for _ in 0..10 {
        wait_until("the list says so", 20, || {
            let list = list(&state);
            says_in_place(&list) && parked_of_topic(&list) == Some(0)
        });
        let (status, lines, error) = exported(&state, &file);
        // One may be on its way to the hub.
        assert!(status == 1 && (HELD - 1..=HELD).contains(&lines), "{lines} lines: {error}");
        assert!(error.contains("messages done, but 92 more, of any topic, wait in the queue"), "{error}");
        std::thread::sleep(Duration::from_millis(300));
    }
    fs::remove_dir(&in_the_way).unwrap();
    wait_until("it is parked", 70, || in_place(&gateway) == Some(0.0));
    wait_until("it is listed", 30, || parked_of_topic(&list(&state)) == Some(92));
    wait_until("an export has all", 20, || exported(&state, &file) == (0, 100, String::new()));
    all_arrives(&gateway, &hub, &state, 100);
}

/// Refused for itself, each time that it is tried again: not parked either, however often.
#[test]
fn a_message_that_is_too_large_and_waits_in_place_does_not_count_as_parked() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let in_the_way = nobody_can_open(&state);
    let hub = Hub::start();
    hub.limit_packets(Some(2_000));
    let (gateway, listen) = Gateway::started(dir.path(), hub.address, ROUTES);
    let mut sensor = Publisher::new(listen, "sensor", 50);
    sensor.publish("plant/bad", &"x".repeat(5_000));
    sensor.settle(0, 20);
    for _ in 0..3 {
        wait_until("it waits in place", 20, || {
            let list = list(&state);
            list.starts_with("1 wait in the queue, since they cannot be parked: ")
                && list.ends_with("\n0 parked\n")
        });
        std::thread::sleep(Duration::from_millis(1_500));
    }
    fs::remove_dir(&in_the_way).unwrap();
    wait_until("it is parked", 70, || parked_of_topic(&list(&state)) == Some(1));
    wait_until("the metrics say so", 20, || in_place(&gateway) == Some(0.0));
}

/// Messages that are refused for themselves, and parked, have lines of their own.
#[test]
fn what_is_too_large_is_listed() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Hub::start();
    hub.limit_packets(Some(2_000));
    let (gateway, listen) = Gateway::started(dir.path(), hub.address, ROUTES);
    let state = dir.path().join("state");
    let mut sensor = Publisher::new(listen, "sensor", 50);
    for n in 0..10 {
        let filling = if n == 5 { "x".repeat(5_000) } else { String::new() };
        sensor.publish("plant/size", &format!("{n} {filling}"));
    }
    sensor.settle(0, 20);
    wait_until("it is parked", 20, || gateway.metric("edge_parked_messages") == Some(1.0));
    wait_until("it is listed", 20, || {
        list(&state)
            .lines()
            .any(|line| line.starts_with("up/plant/size ") && line.contains("0x95") && line.contains(" 1 "))
    });
}

/// Messages that an earlier run parked, in a directory that cannot be opened for a while: the same.
#[test]
fn parked_messages_that_can_be_opened_again_are_back_without_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (state, file) = (dir.path().join("state"), dir.path().join("out.jsonl"));
    let hub = refusing();
    let (mut gateway, listen) = Gateway::started(dir.path(), hub.address, ROUTES);
    publish(listen, 100);
    wait_until("it is parked", 20, || gateway.metric("edge_parked_messages") == Some(92.0));
    gateway.terminate();
    let (path, away) = (state.join("parked"), dir.path().join("away"));
    fs::rename(&path, &away).unwrap();
    std::os::unix::fs::symlink(&path, &path).unwrap();
    gateway.start();
    wait_until("the log says so", 20, || gateway.log().contains("cannot be parked"));
    assert_eq!(gateway.metric("edge_delivered_total"), None, "not known before they are");
    let (status, _, error) = ran(&state, &["export", file.to_str().unwrap()]);
    assert!(status == 1 && error.contains("could be read in time ("), "{error}");
    fs::remove_file(&path).unwrap();
    fs::rename(&away, &path).unwrap();
    wait_until("the totals are back", 70, || gateway.metric("edge_delivered_total") == Some(0.0));
    wait_until("they are parked", 20, || gateway.metric("edge_parked_messages") >= Some(92.0));
    wait_until("an export has all", 20, || exported(&state, &file) == (0, 100, String::new()));
    all_arrives(&gateway, &hub, &state, 100);
}

/// A held message of a route with batches is many readings: a count of messages alone would look like a loss.
#[test]
fn readings_of_batches_are_counted_beside_their_messages() {
    let dir = tempfile::tempdir().unwrap();
    let (state, file) = (dir.path().join("state"), dir.path().join("out.jsonl"));
    let hub = Hub::start();
    hub.answer(|_, _| Answer::Ack(0x97));
    let routes = "[[route]]\nmatch = \"plant/#\"\nto = \"up/readings\"\nformat = \"json\"\n";
    let (gateway, listen) = Gateway::started(dir.path(), hub.address, routes);
    let mut sensor = Publisher::new(listen, "sensor", 50);
    (0..432).for_each(|n| sensor.publish("plant/t", &format!("{{\"value\":{n}.5}}")));
    sensor.settle(0, 20);
    wait_until("it is held", 20, || {
        gateway.metric("edge_held_messages") > Some(0.0)
            && list(&state).lines().any(|line| line.ends_with(" with 432 readings held"))
    });
    // One may be on its way to the hub.
    wait_until("an export has all, by messages and by readings", 20, || {
        let _ = fs::remove_file(&file);
        let (status, said, error) = ran(&state, &["export", file.to_str().unwrap()]);
        if error.ends_with(": ask again\n") {
            return false;
        }
        assert_eq!((status, error.as_str()), (0, ""), "{said}");
        let lines = fs::read_to_string(&file).unwrap();
        let rows: Vec<serde_json::Value> =
            lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let readings: u64 = rows.iter().map(|row| row["readings"].as_u64().unwrap()).sum();
        let summary = format!("{} messages with {readings} readings exported to ", rows.len());
        assert!(rows.len() < 2 || said.starts_with(&summary), "{said}");
        readings == 432
    });
    let mut readings = 0;
    wait_until("all of them are dropped", 20, || {
        let (status, said, error) = ran(&state, &["drop", "--all"]);
        assert!(status == 0 || error.ends_with(": ask again\n"), "{said} {error}");
        let said = said + error.trim_start_matches("edge-gateway: ");
        let words: Vec<&str> = said.split_whitespace().collect();
        // One reading in one message is told as a message.
        let count = if words.contains(&"with") { words[3] } else { words[0] };
        readings += count.parse::<u64>().unwrap();
        readings == 432
    });
}
