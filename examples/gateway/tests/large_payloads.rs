#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! Promises 4 and 6: a backlog of large payloads drains within the memory that any other backlog takes, over kills.

mod support;

use std::collections::BTreeSet;

use support::gateway::Gateway;
use support::mosquitto::{Mosquitto, Subscriber};
use support::publisher::Publisher;
use support::relay::Relay;
use support::{free_port, wait_until};

const MESSAGES: usize = 1_000;
const RAM_MAX_KIB: u64 = 32 * 1024;

fn within_ram(gateway: &Gateway, what: &str) {
    let kib = gateway.resident_kib_max();
    println!("gateway, {what} {MESSAGES} messages of 250 kB: VmHWM {kib} KiB");
    assert!(kib <= RAM_MAX_KIB, "{what}: {kib} KiB");
}

/// The case that `MemoryMax=64M` killed 28 times in 45 s: the first lease of the drain took 256 rows, whatever their size.
#[test]
fn a_thousand_messages_of_250_kb_drain_within_32_mib_over_kills() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Mosquitto::start(dir.path(), "max_queued_messages 0");
    let relay = Relay::start(hub.address);
    relay.cut();
    let listen = free_port();
    let config = format!(
        "[gateway]\nid = \"g\"\n[local]\nlisten = \"{listen}\"\n[hub]\nurl = \"mqtt://{}\"\n\
         [queue]\nmax_bytes = \"300MiB\"\n[[route]]\nmatch = \"#\"\n",
        relay.address
    );
    let mut gateway = Gateway::new(dir.path(), &config);
    gateway.start();
    let mut publisher = Publisher::new(listen, "camera", 4);
    let payload = "x".repeat(250_000);
    (0..MESSAGES).for_each(|n| publisher.publish(&format!("plant/{n}"), &payload));
    publisher.settle(0, 60);
    within_ram(&gateway, "storing");
    gateway.kill_9();

    let reader = Subscriber::of_topics(hub.address, "plant/#");
    relay.limit(16_000_000);
    relay.mend();
    gateway.start();
    wait_until("a part of it is delivered", 120, || reader.arrived().len() > MESSAGES / 3);
    within_ram(&gateway, "draining");
    gateway.kill_9();
    let before = reader.arrived().len();
    gateway.start();
    let topics = || reader.arrived().into_iter().map(|message| message.topic).collect::<BTreeSet<_>>();
    wait_until("the rest is delivered", 240, || topics().len() == MESSAGES);
    wait_until("the queue is empty", 20, || gateway.metric("edge_queue_messages") == Some(0.0));
    within_ram(&gateway, "draining the rest of");
    // Promise 4: at most those whose acknowledgement no commit had written, each with the identity that it had before.
    let arrived = reader.arrived();
    let copies = arrived.len() - MESSAGES;
    assert!(copies <= before + 100, "{copies} came twice, {before} had come before the kill");
    let who: BTreeSet<_> = arrived.iter().map(|message| (&message.topic, &message.user_properties)).collect();
    assert_eq!(who.len(), MESSAGES, "a copy came under another identity");
}
