//! Promise 5: the numbers of a link that is down are not those of its last connection.
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
        let seen = tokio::time::timeout(Duration::from_secs(5), all).await.is_ok();
        assert!(seen, "on disk {on_disk}: {:?}", bridge.stats());
        bridge.close().await.unwrap();
    }
}
