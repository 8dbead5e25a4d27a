//! Promise 5: the numbers are at most 200 ms old, also when nothing but one of them changes, and those of a link that is down are not those of its
//! last connection.
#![cfg(all(feature = "net", feature = "spool-queue"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]

use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use edge_bridge::Bridge;
use edge_bridge::net::Server;

/// Messages published in an outage show as waiting, whichever spool they wait in.
#[tokio::test]
async fn rows_of_an_outage_show_as_waiting() {
    // Bound and never served: a port that nobody else takes, at which nothing answers.
    let nobody = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("mqtt://{}", nobody.local_addr().unwrap());
    let dir = tempfile::tempdir().unwrap();
    for on_disk in [true, false] {
        let builder = Bridge::builder(&url).client_id("outage");
        let bridge = match on_disk {
            true => builder.spool_dir(dir.path()).start().await.unwrap(),
            false => builder.start().await.unwrap(),
        };
        let mut numbers = bridge.watch();
        for n in 0..100 {
            drop(bridge.publish("plant/1", n.to_string()).await.unwrap());
        }
        let all = numbers.wait_for(|stats| stats.waiting == 100);
        let seen = tokio::time::timeout(Duration::from_secs(20), all).await.is_ok();
        assert!(seen, "on disk {on_disk}: {:?}", bridge.stats());
        let _ = bridge.close().await.unwrap();
    }
}

/// An idle link that pings once a second: the bytes of the answer come right behind those of the question, which were published, and nothing else
/// happens until the next one.
#[tokio::test]
async fn a_number_that_changes_alone_is_published() {
    let hub = Server::builder().start_observer("127.0.0.1:0", |_, _| {}).await.unwrap();
    let url = format!("mqtt://{}", hub.local_addr());
    let bridge = Bridge::builder(&url).client_id("idle").keep_alive_s(1).start().await.unwrap();
    let mut numbers = bridge.watch();
    let answered = numbers.wait_for(|stats| stats.traffic.ping > 0 && stats.traffic.ping % 4 == 0);
    let seen = tokio::time::timeout(Duration::from_secs(20), answered).await.is_ok();
    assert!(seen, "{:?}", bridge.stats());
    let _ = bridge.close().await.unwrap();
}

/// A CONNECT that cannot be written would be tried for ever.
#[tokio::test]
async fn credentials_that_no_packet_carries_are_an_error() {
    let long = "x".repeat(65_536);
    for (user, password) in [("u", long.as_str()), (long.as_str(), "p"), ("a\0b", "p")] {
        let builder = Bridge::builder("mqtt://127.0.0.1:1").client_id("credentials");
        let error = builder.credentials(user, password.to_owned()).start().await.err().unwrap();
        assert!(error.to_string().ends_with("is not a string of MQTT"), "{error}");
    }
}

/// A filter that no hub could be asked for is an error at once, and is not left out in silence on every connection.
#[tokio::test]
async fn a_filter_that_cannot_be_asked_for_is_an_error() {
    let nobody = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("mqtt://{}", nobody.local_addr().unwrap());
    let bridge = Bridge::builder(&url).client_id("filters").start().await.unwrap();
    for bad in ["", "a/#/b", "a+", "$share/g", "$share//a", "$share/g/", "$share/+/a"] {
        assert!(bridge.subscribe(bad).await.is_err(), "{bad:?}");
    }
    for good in ["cmd/#", "+", "$share/g/cmd/#", "$shared/g"] {
        drop(bridge.subscribe(good).await.unwrap());
    }
    let _ = bridge.close().await.unwrap();
}
