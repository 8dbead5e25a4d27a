//! Between two real Mosquittos: one as the plant's own broker, one as hub. A message is acknowledged at the local broker only when it is safe
//! in the spool. Promises 1 and 4.
#![cfg(feature = "spool-queue")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test at the outside of the shell: real processes and sockets"
)]

mod support;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use edge_bridge::Row;
use edge_bridge::bridge::spool::MemorySpool;
use edge_bridge::bridge::{RawPack, Stats};
use edge_bridge::net::{Bridge, Link, StartError};
use support::mosquitto::Mosquitto;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

const LONG: Duration = Duration::from_secs(40);

/// A bridge from `local` to `hub`: what a gateway beside a broker does.
struct Site {
    bridge: Arc<Bridge>,
    local: Link,
    forward: JoinHandle<()>,
}

impl Site {
    async fn start(local: &Mosquitto, hub: &Mosquitto, spool: &Path) -> Self {
        // One that was just dropped closes its spool in its own time.
        let open = async {
            loop {
                match Bridge::builder(&hub.url()).client_id("site7").spool_dir(spool).start().await {
                    Ok(bridge) => return bridge,
                    Err(StartError::Spool { .. }) => tokio::task::yield_now().await,
                    Err(error) => panic!("{error}"),
                }
            }
        };
        let bridge = Arc::new(timeout(LONG, open).await.expect("the spool is free"));
        let builder = Bridge::builder(&local.url()).client_id("site7-local");
        let (link, _) = builder.start_with(MemorySpool::new(1, 1), RawPack::new(false)).unwrap();
        let mut messages = link.subscribe("plant/#").await.unwrap();
        let up = bridge.clone();
        let forward = tokio::spawn(async move {
            while let Some(message) = messages.next().await {
                let receipt = up.publish_row(Row::from_publish(message.message())).await.unwrap();
                tokio::spawn(async move {
                    if receipt.await.is_ok() {
                        message.done();
                    }
                });
            }
        });
        Self { bridge, local: link, forward }
    }

    /// Dropped in the middle of it: what has no receipt yet is never acknowledged at the local broker.
    async fn vanish(self, first: First) {
        if let First::Link = first {
            self.local.close().await;
        }
        self.forward.abort();
        // Cancelled, or ended with the link.
        let _ = self.forward.await;
        // The link answers, so it has seen that the subscription is gone.
        let answer = self.local.subscribe("elsewhere").await;
        assert_eq!(answer.is_ok(), matches!(first, First::Subscription));
    }

    async fn close(self) {
        self.local.close().await;
        self.forward.await.unwrap();
        let bridge = Arc::try_unwrap(self.bridge).expect("the only one left");
        let _ = bridge.close().await.unwrap();
    }
}

/// The handle that a program drops first.
#[derive(Clone, Copy)]
enum First {
    Link,
    Subscription,
}

async fn until(mut watch: watch::Receiver<Stats>, what: &str, test: impl FnMut(&Stats) -> bool) {
    assert!(timeout(LONG, watch.wait_for(test)).await.is_ok(), "{what}: {:?}", watch.borrow().clone());
}

/// At QoS 1: `mosquitto_pub` returns when the broker has the message.
fn publish(broker: &Mosquitto, range: std::ops::Range<usize>) {
    for n in range {
        broker.publish(&["-t", &format!("plant/data/{n}"), "-m", &format!("m{n}"), "-q", "1"]);
    }
}

/// Collects at the hub while the test runs. Its session is there before anything is sent.
fn collect(hub: &Mosquitto) -> support::mosquitto::Subscriber {
    let session = ["-t", "plant/data/#", "-q", "1", "-c", "-i", "collector"];
    hub.subscribe(&[&session[..], &["-E"]].concat()).lines();
    hub.subscribe(&[&session[..], &["-W", "120"]].concat())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_local_broker_has_reaches_the_hub_over_a_vanished_bridge() {
    over_a_vanished_bridge(First::Link).await;
}

/// A subscription that is dropped first is not unsubscribed: the broker would keep nothing for the next run.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_local_broker_has_reaches_the_hub_whatever_is_dropped_first() {
    over_a_vanished_bridge(First::Subscription).await;
}

async fn over_a_vanished_bridge(dropped: First) {
    let (local, hub) = (Mosquitto::start(""), Mosquitto::start(""));
    let dir = tempfile::tempdir().unwrap();
    let collected = collect(&hub);
    let first = Site::start(&local, &hub, &dir.path().join("spool")).await;
    until(first.local.watch(), "subscribed", |s| s.connects == 1).await;
    until(first.bridge.watch(), "connected", |s| s.connects == 1).await;
    // The first message that arrives shows that the subscription stands: until then Mosquitto drops what it is given.
    let probe = async {
        while first.local.stats().received == 0 {
            local.publish(&["-t", "plant/probe", "-m", "x", "-q", "1"]);
        }
    };
    timeout(LONG, probe).await.unwrap();
    publish(&local, 0..20);
    first.vanish(dropped).await;

    // Nobody reads: the local broker keeps them for the session that the vanished bridge left.
    publish(&local, 20..40);
    let second = Site::start(&local, &hub, &dir.path().join("spool")).await;
    publish(&local, 40..60);
    let expected: BTreeSet<String> = (0..60).map(|n| format!("m{n}")).collect();
    let wanted = expected.clone();
    // A duplicate is allowed, a gap is not.
    let seen = tokio::task::spawn_blocking(move || collected.lines_until(|seen| seen.is_superset(&wanted)));
    assert_eq!(seen.await.unwrap(), expected);
    second.close().await;
}
