#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! Promise 5 on real sockets: a message that takes a minute on a thin line is delivered once, over one connection.

mod support;

use std::time::Duration;

use support::gateway::Gateway;
use support::mosquitto::{Mosquitto, Subscriber};
use support::publisher::Publisher;
use support::relay::Relay;
use support::{free_port, seconds_until};

/// Delivers one message of this size, then a small one, at so many bytes per second.
fn delivers_once(bytes: usize, bytes_per_s: u64) {
    let dir = tempfile::tempdir().unwrap();
    let hub = Mosquitto::start(dir.path(), "max_queued_messages 0");
    let relay = Relay::start(hub.address);
    relay.limit(bytes_per_s);
    let listen = free_port();
    let config = format!(
        "[gateway]\nid = \"g\"\n[local]\nlisten = \"{listen}\"\n[hub]\nurl = \"mqtt://{}\"\n[[route]]\nmatch = \"#\"\n",
        relay.address
    );
    let reader = Subscriber::of_topics(hub.address, "plant/#");
    let mut gateway = Gateway::new(dir.path(), &config);
    gateway.start();
    let mut publisher = Publisher::new(listen, "camera", 4);
    publisher.publish("plant/large", &"x".repeat(bytes));
    publisher.publish("plant/small", "20.5");
    publisher.settle(0, 60);
    let transmission_s = bytes as u64 / bytes_per_s;
    let took_s = seconds_until("both are delivered", 2 * transmission_s, || reader.arrived().len() == 2);
    assert!(took_s > 0.9 * transmission_s as f64, "the line was not thin: {took_s} s");
    // A PUBACK that is lost on the way would have it sent again.
    std::thread::sleep(Duration::from_secs(5));
    let topics: Vec<String> = reader.arrived().into_iter().map(|message| message.topic).collect();
    assert_eq!(topics, ["plant/large", "plant/small"]);
    assert_eq!(hub.connects("g"), 1);
    assert_eq!(gateway.metric("edge_queue_messages"), Some(0.0));
    println!("{bytes} bytes at {bytes_per_s} B/s: once, over one connection, in {took_s:.1} s");
}

#[test]
#[ignore = "takes a minute: cargo test -p edge-gateway --test thin_line -- --ignored"]
fn a_message_of_250_kb_goes_once_over_a_line_of_4_kb_per_s() {
    delivers_once(250_000, 4_000);
}

#[test]
#[ignore = "takes a minute: cargo test -p edge-gateway --test thin_line -- --ignored"]
fn a_message_of_131_kb_goes_once_over_a_line_of_2_2_kb_per_s() {
    delivers_once(131_000, 2_200);
}
