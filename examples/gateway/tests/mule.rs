#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    missing_docs,
    reason = "test code"
)]
//! `edge-gateway mule` as a technician uses it: export at a site without a link, ingest into Mosquitto at the hub's side, settle at the site.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use support::gateway::{BINARY, Gateway};
use support::hub::{Answer, Hub};
use support::mosquitto::Mosquitto;
use support::publisher::Publisher;
use support::{free_port, wait_until};

const ROUTES: &str = "[[route]]\nmatch = \"plant/#\"\nto = \"up/\"\n";

fn mule(arguments: &[&str]) -> Output {
    Command::new(BINARY).arg("mule").args(arguments).output().unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn files(stick: &Path, ending: &str) -> Vec<PathBuf> {
    let all = fs::read_dir(stick).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<PathBuf> = all.filter(|path| path.extension().is_some_and(|e| e == ending)).collect();
    found.sort();
    found
}

/// A site without a hub, with 300 messages that wait, and their export on a stick.
fn exported(dir: &Path, hub: std::net::SocketAddr) -> (Gateway, Publisher, PathBuf) {
    let (gateway, listen) = Gateway::started(dir, hub, ROUTES);
    let mut sensor = Publisher::new(listen, "sensor", 100);
    (0..300).for_each(|n| sensor.publish("plant/n", &n.to_string()));
    sensor.settle(0, 60);
    let stick = dir.join("stick");
    fs::create_dir(&stick).unwrap();
    let done = mule(&["export", text(&stick), "--state", text(&gateway.state)]);
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    assert!(said(&done).starts_with("300 rows, "), "{done:?}");
    assert_eq!(gateway.metric("edge_queue_messages"), Some(300.0), "nothing is released by an export");
    (gateway, sensor, stick)
}

fn ingest(stick: &Path, hub: std::net::SocketAddr) -> Output {
    mule(&["ingest", text(stick), "--hub", &format!("mqtt://{hub}")])
}

fn numbers(range: std::ops::Range<usize>) -> BTreeSet<String> {
    range.map(|n| n.to_string()).collect()
}

/// What the stick brought is at the hub and gone from the site; when the link comes back, only what is new comes by it.
#[test]
fn a_stick_brings_what_waits_and_its_receipt_releases_it() {
    let dir = tempfile::tempdir().unwrap();
    let (mut gateway, mut sensor, stick) = exported(dir.path(), free_port());
    let hub = Mosquitto::start(dir.path(), "allow_anonymous true\n");
    let none = mule(&["settle", text(&files(&stick, "edgm")[0]), "--state", text(&gateway.state)]);
    assert_eq!(none.status.code(), Some(1), "an export is no receipt: {none:?}");

    let done = ingest(&stick, hub.address);
    assert_eq!(done.status.code(), Some(0), "{}", said(&done));
    assert!(said(&done).contains("300 rows acknowledged"), "{}", said(&done));
    let receipts = files(&stick, "receipt");
    assert_eq!(receipts.len(), 1);
    assert!(said(&ingest(&stick, hub.address)).is_empty(), "what has a receipt is not published again");

    let settle = || mule(&["settle", text(&receipts[0]), "--state", text(&gateway.state)]);
    let done = settle();
    assert_eq!(done.status.code(), Some(0), "{}", said(&done));
    assert_eq!(said(&done), "300 rows released; 0 were gone before\n");
    assert_eq!(said(&settle()), "0 rows released; 300 were gone before\n", "a receipt that comes twice");
    wait_until("the queue is empty", 10, || gateway.metric("edge_queue_messages") == Some(0.0));

    let damaged = stick.join("damaged.receipt");
    fs::write(&damaged, fs::read_to_string(&receipts[0]).unwrap().replace("acked 1", "acked 0")).unwrap();
    let refused = mule(&["settle", text(&damaged), "--state", text(&gateway.state)]);
    assert_eq!((refused.status.code(), said(&refused).contains("damaged")), (Some(1), true), "{refused:?}");

    sensor.publish("plant/n", "new");
    sensor.settle(0, 60);
    assert_eq!(gateway.metric("edge_queue_messages"), Some(1.0));
    gateway.terminate();
}

/// What the hub refuses is in no receipt, and stays with the site; what it has comes there only once.
#[test]
fn what_the_hub_refuses_stays_at_the_site() {
    let dir = tempfile::tempdir().unwrap();
    let link = free_port();
    let (gateway, _sensor, stick) = exported(dir.path(), link);
    let hub = Hub::start();
    hub.answer(|_, payload| {
        let n: usize = std::str::from_utf8(payload).unwrap().parse().unwrap();
        if n % 100 == 7 { Answer::Ack(0x99) } else { Answer::Ack(0) }
    });
    let done = ingest(&stick, hub.address);
    assert_eq!(done.status.code(), Some(1), "{}", said(&done));
    assert!(said(&done).contains("3 not taken by the hub"), "{}", said(&done));
    let receipt = files(&stick, "receipt").remove(0);
    let done = mule(&["settle", text(&receipt), "--state", text(&gateway.state)]);
    assert_eq!(said(&done), "297 rows released; 0 were gone before\n");
    wait_until("the refused are left", 10, || gateway.metric("edge_queue_messages") == Some(3.0));
    let expected: BTreeSet<String> =
        numbers(0..300).into_iter().filter(|n| n.parse::<usize>().unwrap() % 100 != 7).collect();
    assert!(hub.payloads().is_superset(&expected));
}
