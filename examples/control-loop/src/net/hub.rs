//! The way to the hub: a durable queue and a link that drains it, behind a bounded channel that is never waited for.

use super::{NetStats, count};
use crate::{HubConfig, Spool};
use bytes::Bytes;
use edge_bridge::bridge::RawPack;
use edge_bridge::wire::Utf8;
use edge_bridge::{Bridge, Link, Row};
use edge_queue::{Config, Queue, SystemClock, aio};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

const CONSUMER: &str = "hub";
/// Messages on their way to a queue that takes its time.
const WAITING_MAX: usize = 256;
/// A small queue: hours of what a few loops have to say.
const QUEUE_BYTES: u64 = 4 * 1024 * 1024;

pub(super) struct Hub {
    to_queue: mpsc::Sender<Row>,
    queue: aio::Queue,
    link: Link,
    stats: Arc<NetStats>,
}

impl Hub {
    pub(super) async fn start(hub: &HubConfig, spool: Spool, stats: Arc<NetStats>) -> Result<Hub, String> {
        let failed = |error: &dyn std::fmt::Display| format!("the queue for the hub: {error}");
        let config = Config::default().max_bytes(QUEUE_BYTES);
        let queue = match spool {
            Spool::Dir(dir) => Queue::open(dir, config),
            Spool::In(dir) => Queue::open_in(dir, config, Arc::new(SystemClock::new())),
        };
        let queue = aio::Queue::of(queue.map_err(|error| failed(&error))?).map_err(|error| failed(&error))?;
        let consumer = queue.consumer(CONSUMER).await.map_err(|error| failed(&error))?;
        let builder = Bridge::builder(&hub.url).client_id(&hub.client_id);
        let started = builder.start_on(&queue, consumer, RawPack::new(true));
        let (link, _task) = started.map_err(|error| format!("[hub] {error}"))?;
        let (to_queue, mut waiting) = mpsc::channel::<Row>(WAITING_MAX);
        let (queue_of, counters) = (queue.clone(), stats.clone());
        tokio::spawn(async move {
            while let Some(row) = waiting.recv().await {
                match queue_of.push(row.into_queue_row()).await {
                    // Nobody waits for the receipt: the message is said, and the loop goes on.
                    Ok(_pending) => count(&counters.queued),
                    Err(_) => count(&counters.not_queued),
                }
            }
        });
        Ok(Hub { to_queue, queue, link, stats })
    }

    /// Events go by the alarms' lane, before all else.
    pub(super) fn offer(&mut self, topic: Utf8, payload: Bytes, is_event: bool) {
        let mut row = Row::new(topic, payload);
        row.lane = is_event.then_some(0);
        if self.to_queue.try_send(row).is_err() {
            count(&self.stats.not_queued);
        }
    }

    pub(super) async fn stop(self, within: Duration) {
        let Hub { to_queue, queue, link, .. } = self;
        drop(to_queue);
        // A hub that does not answer keeps its session, a disk that does not answer its last good state.
        let _ = tokio::time::timeout(within, link.close()).await;
        let _ = tokio::time::timeout(within, queue.close()).await;
    }
}
