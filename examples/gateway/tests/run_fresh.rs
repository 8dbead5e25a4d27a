#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! Live-first on a thin line: what is measured after an outage goes before the outage's backlog, from the first second on.

mod support;

use std::time::{Duration, Instant};

use support::gateway::Gateway;
use support::hub::Hub;
use support::publisher::Publisher;
use support::relay::Relay;
use support::{free_port, wait_until};

const BYTES_PER_S: u64 = 32_000;
const BACKLOG: usize = 6_000;
const LIVE_PER_S: u64 = 20;

/// Milliseconds from the sensor to the hub's PUBACK, of each live message of the seconds behind an outage.
fn lags(queue: &str, seconds: u64) -> Vec<u64> {
    let dir = tempfile::tempdir().unwrap();
    let hub = Hub::start();
    let relay = Relay::start(hub.address);
    relay.limit(BYTES_PER_S);
    let listen = free_port();
    let config = format!(
        "[gateway]\nid = \"g\"\n[local]\nlisten = \"{listen}\"\n[hub]\nurl = \"mqtt://{}\"\n{queue}[[route]]\nmatch = \"#\"\n",
        relay.address
    );
    let mut gateway = Gateway::new(dir.path(), &config);
    gateway.start();
    let mut publisher = Publisher::new(listen, "sensor", 64);
    publisher.publish("plant/first", "x");
    publisher.settle(0, 10);
    wait_until("connected", 10, || !hub.taken().is_empty());
    relay.cut();
    for n in 0..BACKLOG {
        publisher.publish("plant/backlog", &format!("{n} {}", "x".repeat(200)));
    }
    publisher.settle(0, 60);
    relay.mend();
    let start = Instant::now();
    let mut sent = Vec::new();
    while start.elapsed() < Duration::from_secs(seconds) {
        sent.push(Instant::now());
        publisher.publish("plant/live", &format!("{} {}", sent.len() - 1, "y".repeat(200)));
        publisher.poll();
        std::thread::sleep(Duration::from_millis(1_000 / LIVE_PER_S));
    }
    publisher.settle(0, 60);
    let live = |hub: &Hub| -> Vec<(usize, Instant)> {
        let taken = hub.taken().into_iter().filter(|message| message.topic == "plant/live");
        taken.map(|m| (m.payload.split_once(' ').unwrap().0.parse().unwrap(), m.at)).collect()
    };
    wait_until("all live ones are delivered", 600, || live(&hub).len() >= sent.len());
    let backlog = hub.taken().iter().filter(|message| message.topic == "plant/backlog").count();
    println!("{backlog} of {BACKLOG} of the backlog when the last live one was there");
    let mut live = live(&hub);
    live.sort_unstable();
    live.into_iter().map(|(n, at)| at.duration_since(sent[n]).as_millis() as u64).collect()
}

#[test]
fn live_messages_go_before_a_backlog_on_a_thin_line() {
    for queue in ["[queue]\norder = \"live-first\"\n"] {
        let lags = lags(queue, 60);
        println!("late: {:?}", lags.iter().enumerate().filter(|(_, ms)| **ms > 900).collect::<Vec<_>>());
        let mut sorted = lags.clone();
        sorted.sort_unstable();
        let at = |share: usize| sorted[(sorted.len() - 1) * share / 100];
        println!(
            "{queue:?}: p50 {} p95 {} p99 {} max {} ms, first {:?}",
            at(50),
            at(95),
            at(99),
            at(100),
            lags.iter().step_by(20).take(20).collect::<Vec<_>>()
        );
    }
}
