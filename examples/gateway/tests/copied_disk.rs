#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    missing_docs,
    reason = "test code"
)]
//! A cloned disk, and an image that is put back: what a copy of a queue takes in has identities of its own.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::Path;
use std::process::Command;

use support::gateway::{BINARY, Gateway};
use support::mosquitto::{Mosquitto, Subscriber};
use support::publisher::Publisher;
use support::{free_port, wait_until};

const ROUTES: &str = "[[route]]\nmatch = \"plant/#\"\nto = \"up/\"\n[queue]\nmax_bytes = \"1MiB\"\n";
/// Copies that are tried: of one pair of starts in 4096 both take the same epoch.
const PAIRS: u32 = 3;

fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").args([from, to]).status().unwrap().success());
}

fn publish(listen: SocketAddr, what: &str, numbers: Range<u32>) {
    let mut sensor = Publisher::new(listen, what, 50);
    numbers.for_each(|n| sensor.publish("plant/n", &format!("{what} {n}")));
    sensor.settle(0, 60);
}

/// Payloads that came under each identity.
fn by_identity(reader: &Subscriber) -> BTreeMap<String, BTreeSet<String>> {
    let mut payloads: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for message in reader.arrived() {
        payloads.entry(message.user_properties).or_default().insert(message.payload);
    }
    payloads
}

/// Returns whether no identity came with two payloads after an image of the disk was put back.
fn put_back() -> bool {
    let dir = tempfile::tempdir().unwrap();
    let hub = Mosquitto::start(dir.path(), "allow_anonymous true\n");
    let reader = Subscriber::start(hub.address, "up/#");
    let (mut gateway, listen) = Gateway::started(dir.path(), hub.address, ROUTES);
    let all_of = |what: &str| {
        publish(listen, what, 0..20);
        wait_until(what, 60, || {
            reader.arrived().iter().filter(|one| one.payload.starts_with(what)).count() >= 20
        });
    };
    all_of("before");
    assert_eq!(gateway.terminate().0.code(), Some(0));
    copy(&gateway.state, &dir.path().join("image"));
    gateway.start();
    all_of("since");
    assert_eq!(gateway.terminate().0.code(), Some(0));
    fs::rename(&gateway.state, dir.path().join("lost")).unwrap();
    fs::rename(dir.path().join("image"), &gateway.state).unwrap();
    gateway.start();
    all_of("after");
    gateway.terminate();
    let found = by_identity(&reader);
    assert!(found.keys().all(|identity| identity.contains("edge-id")), "{found:?}");
    found.values().all(|payloads| payloads.len() == 1)
}

#[test]
fn after_an_image_is_put_back_no_identity_is_given_to_another_message() {
    assert!((0..PAIRS).any(|_| put_back()));
}

fn mule(arguments: &[&str]) -> String {
    let done = Command::new(BINARY).arg("mule").args(arguments).output().unwrap();
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    String::from_utf8_lossy(&done.stdout).into_owned()
}

/// Returns what the original says to a receipt of its clone, and how much waits there afterwards. Ten messages are in both, ten more in each.
fn settled_by_a_clone() -> (String, Option<f64>) {
    let dir = tempfile::tempdir().unwrap();
    let [first, second, stick] = ["first", "second", "stick"].map(|name| dir.path().join(name));
    [&first, &second, &stick].into_iter().for_each(|path| fs::create_dir(path).unwrap());
    let away = free_port();
    let (mut original, listen) = Gateway::started(&first, away, ROUTES);
    publish(listen, "both", 0..10);
    assert_eq!(original.terminate().0.code(), Some(0));
    copy(&original.state, &second.join("state"));
    original.start();
    let (clone, at_clone) = Gateway::started(&second, away, ROUTES);
    publish(listen, "original", 0..10);
    publish(at_clone, "clone", 0..10);
    let hub = Mosquitto::start(dir.path(), "allow_anonymous true\n");
    let (stick, state) = (stick.to_str().unwrap(), clone.state.to_str().unwrap());
    mule(&["export", stick, "--state", state]);
    mule(&["ingest", stick, "--hub", &format!("mqtt://{}", hub.address)]);
    let mut files = fs::read_dir(stick).unwrap().map(|entry| entry.unwrap().path());
    let receipt = files.find(|path| path.extension().is_some_and(|e| e == "receipt")).unwrap();
    let said = mule(&["settle", receipt.to_str().unwrap(), "--state", original.state.to_str().unwrap()]);
    (said, original.metric("edge_queue_messages"))
}

#[test]
fn a_receipt_of_a_clone_releases_nothing_that_was_not_on_its_stick() {
    let expected = ("10 rows released; 10 were gone before\n".to_owned(), Some(10.0));
    let found: Vec<_> =
        (0..PAIRS).map(|_| settled_by_a_clone()).take_while(|found| *found != expected).collect();
    assert!(found.len() < PAIRS as usize, "{found:?}");
}
