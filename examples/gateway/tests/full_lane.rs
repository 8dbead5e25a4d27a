#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    missing_docs,
    reason = "test code"
)]
//! A full lane with `on_full = "reject"`: its sensors wait for their PUBACKs, those of other lanes do not.

mod support;

use support::gateway::Gateway;
use support::publisher::Publisher;
use support::{free_port, wait_until};

const REST: &str = "[queue]\non_full = \"reject\"\nmax_messages = 100\n\
                    [[route]]\nmatch = \"alarm/#\"\nlane = \"alarm\"\n[[route]]\nmatch = \"#\"\n";

#[test]
fn alarms_are_acknowledged_while_telemetry_has_no_room() {
    let dir = tempfile::tempdir().unwrap();
    let (gateway, listen) = Gateway::started(dir.path(), free_port(), REST);
    let mut telemetry = Publisher::new(listen, "telemetry", 300);
    (0..200).for_each(|n| telemetry.publish("a/b", &format!("t{n}")));
    wait_until("the lane is full", 20, || {
        telemetry.poll();
        telemetry.acked.len() == 100
    });
    let mut alarm = Publisher::new(listen, "alarm", 10);
    // Its lane has an eighth of the messages.
    for n in 0..12 {
        alarm.publish("alarm/a", &format!("a{n}"));
        alarm.settle(0, 30);
    }
    telemetry.poll();
    assert_eq!((telemetry.acked.len(), telemetry.waiting()), (100, 100), "nothing is given up");
    wait_until("the alarms are queued", 30, || gateway.metric("edge_queue_messages") == Some(112.0));
    let log = gateway.log();
    assert_eq!(log.matches("the queue is full").count(), 1, "{log}");
}
