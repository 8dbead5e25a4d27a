#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! Messages that the hub refuses again and again: promise 3 over both queues, as the status says it.

mod support;

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use support::gateway::{BINARY, Gateway};
use support::hub::{Answer, Hub};
use support::publisher::Publisher;
use support::wait_until;

const MESSAGES: usize = 100;

/// Each message that is refused again moves to the end of the parked ones, and is accepted there once more; the ledger counts it once.
#[test]
fn promise_3_a_message_that_is_refused_again_is_one_message() {
    let dir = tempfile::tempdir().unwrap();
    let (hub, attempts) = (Hub::start(), Arc::<AtomicUsize>::default());
    let count = attempts.clone();
    hub.answer(move |_, _| {
        count.fetch_add(1, Ordering::Relaxed);
        Answer::Ack(0x97)
    });
    let (gateway, listen) =
        Gateway::started(dir.path(), hub.address, "[[route]]\nmatch = \"plant/#\"\nto = \"up/\"\n");
    let mut sensor = Publisher::new(listen, "sensor", 50);
    (0..MESSAGES).for_each(|n| sensor.publish("plant/bad", &n.to_string()));
    sensor.settle(0, 20);
    wait_until("most of it is parked", 30, || gateway.metric("edge_parked_messages") >= Some(50.0));
    let retry = || {
        // Again while rows are still being parked.
        wait_until("a retry of all", 60, || {
            let done = Command::new(BINARY).args(["parked", "retry", "--state"]).arg(&gateway.state).output();
            done.unwrap().status.success()
        });
    };
    for _ in 0..3 {
        let before = attempts.load(Ordering::Relaxed);
        retry();
        wait_until("some are tried", 20, || attempts.load(Ordering::Relaxed) > before);
        std::thread::sleep(Duration::from_millis(300));
    }
    hub.answer(|_, _| Answer::Ack(0));
    retry();
    wait_until("all of it is at the hub", 60, || hub.count("up/plant/bad") == MESSAGES);
    wait_until("the ledger adds up", 20, || {
        let status = gateway.get("/status.json").unwrap().1;
        let status: serde_json::Value = serde_json::from_str(&status).unwrap();
        let ledger = &status["ledger"];
        let [difference, between, delivered] =
            ["difference", "between", "delivered"].map(|key| ledger[key].as_i64());
        (difference, between) == (Some(0), Some(0)) && delivered == Some(MESSAGES as i64)
    });
}
