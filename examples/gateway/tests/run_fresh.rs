#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! Promise 7 on a line of 32 kB/s: what is measured when the line is back goes before the outage, from its first second on.

mod support;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use support::gateway::Gateway;
use support::hub::Hub;
use support::publisher::Publisher;
use support::relay::Relay;
use support::{free_port, wait_until};

const BYTES_PER_S: u64 = 32_000;
const BACKLOG: usize = 4_000;
const LIVE: usize = 300;
/// So that some of them are there before the link is.
const LIVE_EVERY: Duration = Duration::from_millis(50);

/// An outage, and live messages from the moment on in which the line is back. Returns how many of the backlog were before each live message at the hub.
fn backlog_before_live(order: &str) -> Vec<usize> {
    let dir = tempfile::tempdir().unwrap();
    let hub = Hub::start();
    let relay = Relay::start(hub.address);
    relay.limit(BYTES_PER_S);
    let listen = free_port();
    let config = format!(
        "[gateway]\nid = \"g\"\n[local]\nlisten = \"{listen}\"\n[hub]\nurl = \"mqtt://{}\"\n[queue]\norder = \"{order}\"\n[[route]]\nmatch = \"#\"\n",
        relay.address
    );
    let mut gateway = Gateway::new(dir.path(), &config);
    gateway.start();
    let mut publisher = Publisher::new(listen, "sensor", 64);
    publisher.publish("plant/first", "x");
    publisher.settle(0, 30);
    wait_until("connected", 30, || !hub.taken().is_empty());
    relay.cut();
    for n in 0..BACKLOG {
        publisher.publish("plant/backlog", &format!("{n} {}", "x".repeat(200)));
    }
    publisher.settle(0, 60);
    relay.mend();
    let mut sent = Vec::new();
    for n in 0..LIVE {
        sent.push(Instant::now());
        publisher.publish("plant/live", &format!("{n} {}", "y".repeat(200)));
        publisher.poll();
        std::thread::sleep(LIVE_EVERY);
    }
    publisher.settle(0, 60);
    let all = BACKLOG + LIVE + 1;
    wait_until("all are delivered", 600, || hub.payloads().len() >= all);
    let (mut backlog, mut before, mut lags_ms) = (0, vec![0; LIVE], vec![0; LIVE]);
    let mut seen = BTreeSet::new();
    // A copy, of a connection that ended, says nothing of the order.
    for message in hub.taken().into_iter().filter(|message| seen.insert(message.payload.clone())) {
        if message.topic == "plant/live" {
            let n: usize = message.payload.split_once(' ').unwrap().0.parse().unwrap();
            (before[n], lags_ms[n]) = (backlog, message.at.duration_since(sent[n]).as_millis());
        } else {
            backlog += 1;
        }
    }
    lags_ms.sort_unstable();
    let of = |share: usize| lags_ms[(LIVE - 1) * share / 100];
    println!(
        "{order}: live messages late by {} ms, 95 of 100 by at most {}, all by at most {}",
        of(50),
        of(95),
        of(100)
    );
    before
}

#[test]
fn promise_7_live_messages_go_before_an_outage_on_a_thin_line() {
    let before = backlog_before_live("live-first");
    assert!(before.windows(2).all(|pair| pair[0] <= pair[1]), "in their order: {before:?}");
    // 15 s of live messages take half of the line: a third of the backlog goes beside them.
    assert!(before.iter().all(|n| *n < BACKLOG * 3 / 4), "{before:?}");
    assert!(before[..20].iter().all(|n| *n < BACKLOG / 10), "of the first second: {before:?}");
}

/// The rule that convicts: where the plant wants fifo, live messages wait for all of the outage.
#[test]
fn fifo_has_them_wait() {
    let before = backlog_before_live("fifo");
    assert!(before.iter().all(|n| *n >= BACKLOG), "{before:?}");
}
