//! Random histories of outages: in each of them the published numbers say how many messages wait, in memory or on disk, and go back to nothing
//! after it. The planted bug sits between the numbers and their reader.
#![cfg(all(feature = "net", feature = "spool-queue"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]

#[path = "support/random.rs"]
mod random;

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use edge_bridge::bridge::backoff::BackoffConfig;
use edge_bridge::bridge::{LinkState, Stats};
use edge_bridge::net::{Bridge, Server};
use futures_util::future::join_all;
use random::Rng;
use tokio::sync::watch;
use tokio::time::timeout;

const STEPS: usize = 8;

/// The one rule: the published numbers become those of an outside count, without another event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct WrongNumbers;

struct World {
    /// The planted bug: rows that wait are counted while the link is up only.
    counts_while_up: bool,
    patience: Duration,
    bridge: Bridge,
    numbers: watch::Receiver<Stats>,
    address: SocketAddr,
    hub: Option<Server>,
    published: u64,
    outages: u64,
}

async fn hub(address: SocketAddr) -> Server {
    Server::builder().start_observer(address, |_, _| {}).await.unwrap()
}

impl World {
    async fn new(counts_while_up: bool, patience: Duration, spool: Option<&Path>) -> Self {
        let hub = hub("127.0.0.1:0".parse().unwrap()).await;
        let address = hub.local_addr();
        let mut backoff = BackoffConfig::default();
        (backoff.base_ms, backoff.max_ms, backoff.silent_max_ms) = (20, 100, 100);
        let url = format!("mqtt://{address}");
        let mut builder = Bridge::builder(&url).client_id("outages").backoff(backoff);
        if let Some(dir) = spool {
            builder = builder.spool_dir(dir);
        }
        let bridge = builder.start().await.unwrap();
        let numbers = bridge.watch();
        Self { counts_while_up, patience, bridge, numbers, address, hub: Some(hub), published: 0, outages: 0 }
    }

    async fn step(&mut self, random: &mut Rng) -> Result<(), WrongNumbers> {
        match (random.below(3), self.hub.take()) {
            (0, Some(hub)) => {
                // Nothing is under way: what waits in the outage is what is published in it.
                self.hub = Some(hub);
                self.judge().await?;
                if let Some(hub) = self.hub.take() {
                    hub.shutdown(Duration::from_secs(1)).await;
                }
                self.outages += 1;
            }
            (0, None) => self.hub = Some(hub(self.address).await),
            (_, up) => {
                self.hub = up;
                let count = random.below(30);
                for n in 0..count {
                    drop(self.bridge.publish("plant/1", n.to_string()).await.unwrap());
                }
                self.published += count;
            }
        }
        self.judge().await
    }

    /// Waits until the numbers say what is so.
    async fn judge(&mut self) -> Result<(), WrongNumbers> {
        let (counts_while_up, is_up, published) = (self.counts_while_up, self.hub.is_some(), self.published);
        let mut waited = 0;
        let says = self.numbers.wait_for(|stats| {
            let is_down = matches!(stats.link, LinkState::Offline | LinkState::BackingOff);
            if !(counts_while_up && is_down) {
                waited = stats.waiting;
            }
            let not_at_hub = waited + stats.unacknowledged as u64;
            let is_settled = if is_up { !is_down && not_at_hub == 0 } else { is_down };
            is_settled && stats.rows_delivered + not_at_hub == published
        });
        let says = timeout(self.patience, says).await;
        if says.is_ok() { Ok(()) } else { Err(WrongNumbers) }
    }
}

/// Returns the number of outages.
async fn history(seed: u64, counts_while_up: bool, patience: Duration) -> Result<u64, WrongNumbers> {
    let mut random = Rng::new(seed);
    let dir = tempfile::tempdir().unwrap();
    let spool = (random.below(2) == 0).then(|| dir.path());
    let mut world = World::new(counts_while_up, patience, spool).await;
    for _ in 0..STEPS {
        world.step(&mut random).await?;
    }
    let World { bridge, outages, .. } = world;
    let _ = bridge.close().await.unwrap();
    Ok(outages)
}

#[tokio::test]
async fn an_outage_shows_in_the_numbers() {
    let all = join_all((0..20).map(|seed| history(seed, false, Duration::from_secs(30)))).await;
    let wrong: Vec<_> = (0..).zip(&all).filter(|(_, judged)| judged.is_err()).collect::<Vec<(u64, _)>>();
    assert!(wrong.is_empty(), "{wrong:?}");
    let outages: u64 = all.into_iter().flatten().sum();
    assert!(outages >= 20, "{outages} outages");
}

#[tokio::test]
async fn rows_counted_while_the_link_is_up_are_noticed() {
    let all = join_all((0..10).map(|seed| history(seed, true, Duration::from_secs(2)))).await;
    assert!(all.contains(&Err(WrongNumbers)), "{all:?}");
}
