#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code; it sleeps between messages, and for spans in which nothing may happen"
)]
//! Writes of a gateway whose hub keeps up: none below its state, but what counts for the readers of
//! `/metrics` once in each `[metrics] totals_within`. Promise 8.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use support::gateway::Gateway;
use support::hub::Hub;
use support::publisher::Publisher;
use support::{free_port, wait_until};

/// A route of messages as they come, and one with a stage that ends windows by the clock. Nothing is late enough to be written for its age.
const REST: &str = "[queue]\nack_within = \"30s\"\n\
                    [[route]]\nmatch = \"raw\"\nto = \"up/\"\n\
                    [[route]]\nmatch = \"mean\"\nto = \"readings\"\nformat = \"json\"\nfilter = \"rules.toml\"\n";
const RULES: &str =
    "[[rule]]\nmatch = \"#\"\nstages = [ { window = { width_ms = 1000, agg = \"mean\" } } ]\n";
/// Between two messages and the next two: a publisher that has many without a PUBACK asks for a commit, and so does one that waits for each.
const PAUSE: Duration = Duration::from_millis(400);
/// Spans of which one has to be without a write, because a machine under load may delay PUBACKs so long that a publisher does ask.
const SPANS: usize = 4;

/// Times of the last change and sizes of all files below a directory.
fn files(dir: &Path) -> BTreeMap<PathBuf, (SystemTime, u64)> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap().flatten() {
        // One that has gone meanwhile is missed in the next look.
        let Ok(metadata) = entry.metadata() else { continue };
        if metadata.is_dir() {
            found.extend(files(&entry.path()));
        } else {
            found.insert(entry.path(), (metadata.modified().unwrap(), metadata.len()));
        }
    }
    found
}

/// Publishes on both routes for so many pauses, and waits for all PUBACKs.
fn publish(sensor: &mut Publisher, pauses: usize) {
    for n in 0..pauses {
        sensor.publish("mean", &format!("{{\"value\":{n}.0}}"));
        sensor.publish("raw", &format!("message {n}"));
        std::thread::sleep(PAUSE);
    }
    sensor.settle(0, 20);
}

#[test]
fn promise_8_while_the_hub_keeps_up_nothing_is_written_but_totals_that_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let (hub, listen) = (Hub::start(), free_port());
    let config = format!(
        "[gateway]\nid = \"g\"\n[local]\nlisten = \"{listen}\"\n[hub]\nurl = \"mqtt://{}\"\n{REST}",
        hub.address
    );
    let mut gateway = Gateway::new(dir.path(), &config);
    fs::write(dir.path().join("rules.toml"), RULES).unwrap();
    let file = dir.path().join("gateway.toml");
    let rare = fs::read_to_string(&file).unwrap().replace("totals_within = \"1s\"", "totals_within = \"1h\"");
    fs::write(&file, rare).unwrap();
    gateway.start();
    let mut sensor = Publisher::new(listen, "sensor", 100);
    // The first messages make the gateway write down whom it knows.
    publish(&mut sensor, 5);
    let has = |topic: &str| hub.taken().iter().any(|message| message.topic == topic);
    wait_until("both routes carry", 20, || has("up/raw") && has("readings"));
    let mut before = files(&gateway.state);
    wait_until("the files rest", 60, || {
        std::thread::sleep(Duration::from_secs(3));
        let now = files(&gateway.state);
        std::mem::replace(&mut before, now.clone()) == now
    });
    let is_spared = (0..SPANS).any(|_| {
        let (before, taken) = (files(&gateway.state), hub.taken().len());
        publish(&mut sensor, 12);
        assert!(hub.taken().len() >= taken + 12, "the hub has what is acknowledged");
        files(&gateway.state) == before
    });
    assert!(is_spared, "nobody reads the totals, and they are written");

    let written = || gateway.metric("edge_store_bytes_written_total").unwrap();
    // Before the first look at the totals, which asks for them.
    let before = files(&gateway.state);
    wait_until("what was read is written", 20, || written() > 0.0 && files(&gateway.state) != before);
    // That has begun the period, however often they are read.
    let is_spared = (0..SPANS).any(|_| {
        let before = written();
        publish(&mut sensor, 12);
        written() == before
    });
    assert!(is_spared, "totals are written again within the period");
}
