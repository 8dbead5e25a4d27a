#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! Promise 6: memory does not depend on the backlog.

mod support;

use support::gateway::Gateway;
use support::publisher::Publisher;
use support::{free_port, wait_until};

/// Most resident memory in KiB of a gateway that took `messages` of 200 bytes while its hub was away.
fn resident_kib(messages: u64) -> u64 {
    let dir = tempfile::tempdir().unwrap();
    let rest = format!(
        "[queue]\nmax_messages = {}\nmax_bytes = \"512MiB\"\n[[route]]\nmatch = \"#\"\n",
        2 * messages
    );
    let (gateway, listen) = Gateway::started(dir.path(), free_port(), &rest);
    let mut publisher = Publisher::new(listen, "sensor", 500);
    let payload = "x".repeat(200);
    (0..messages).for_each(|_| publisher.publish("plant/t", &payload));
    publisher.settle(0, 60);
    wait_until("all of it is queued", 30, || gateway.metric("edge_queue_messages") == Some(messages as f64));
    let kib = gateway.resident_kib_max();
    println!("gateway with {messages} queued messages of 200 bytes: VmHWM {kib} KiB");
    kib
}

#[test]
fn a_million_queued_messages_cost_two_mib_more_than_a_hundred_thousand_which_fit_into_32_mib() {
    let (few, many) = (resident_kib(100_000), resident_kib(1_000_000));
    assert!(few <= 32 * 1024, "{few} KiB");
    assert!(many <= few + 2 * 1024, "{few} KiB, then {many} KiB");
}
