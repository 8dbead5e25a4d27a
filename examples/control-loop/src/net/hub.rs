//! The way to the hub: a durable queue and a link that drains it, behind a bounded channel that is never waited for.
//!
//! The queue is opened beside the loops and tried again while it cannot be: a disk that is full or gone costs messages, never control.

use super::{NetStats, count};
use crate::{HubConfig, Spool};
use bytes::Bytes;
use edge_bridge::bridge::RawPack;
use edge_bridge::wire::Utf8;
use edge_bridge::{Bridge, Link, Row};
use edge_queue::medium::Dir;
use edge_queue::{Config, OpenError, Queue, SystemClock, aio};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

const CONSUMER: &str = "hub";
/// Messages on their way to a queue that takes its time, or that is not open.
const WAITING_MAX: usize = 256;
/// A small queue: hours of what a few loops have to say.
const QUEUE_BYTES: u64 = 4 * 1024 * 1024;
/// Looks for the end while the queue is not open.
const LOOK: Duration = Duration::from_millis(100);
/// Looks between two attempts to open the queue: 30 s.
const LOOKS_PER_ATTEMPT: u32 = 300;

pub(super) struct Hub {
    to_queue: mpsc::Sender<Row>,
    carrying: JoinHandle<()>,
    stats: Arc<NetStats>,
}

/// Queue and link, while they run.
struct Open {
    queue: aio::Queue,
    link: Link,
}

impl Hub {
    pub(super) fn start(hub: HubConfig, spool: Spool, stats: Arc<NetStats>, within: Duration) -> Hub {
        let (to_queue, waiting) = mpsc::channel::<Row>(WAITING_MAX);
        let carrying = tokio::spawn(carry(hub, spool, waiting, stats.clone(), within));
        Hub { to_queue, carrying, stats }
    }

    /// Events go by the alarms' lane, before all else.
    pub(super) fn offer(&mut self, topic: Utf8, payload: Bytes, is_event: bool) {
        let mut row = Row::new(topic, payload);
        row.lane = is_event.then_some(0);
        if self.to_queue.try_send(row).is_err() {
            count(&self.stats.not_queued);
        }
    }

    /// Queues what waits and says goodbye; takes `within` for each part at most.
    pub(super) async fn stop(self, within: Duration) {
        let Hub { to_queue, carrying, .. } = self;
        drop(to_queue);
        // A disk that does not answer keeps its last good state.
        let _ = tokio::time::timeout(within * 3, carrying).await;
    }
}

/// Until the sender is gone and everything is queued.
async fn carry(
    hub: HubConfig,
    spool: Spool,
    mut waiting: mpsc::Receiver<Row>,
    stats: Arc<NetStats>,
    within: Duration,
) {
    let Some(Open { queue, link }) = open(&hub, spool, &waiting).await else { return };
    stats.has_queue(true);
    while let Some(row) = waiting.recv().await {
        match queue.push(row.into_queue_row()).await {
            // Nobody waits for the receipt: the message is said, and the loop goes on.
            Ok(_pending) => count(&stats.queued),
            Err(_) => count(&stats.not_queued),
        }
    }
    // A hub that does not answer keeps its session.
    let _ = tokio::time::timeout(within, link.close()).await;
    let _ = tokio::time::timeout(within, queue.close()).await;
}

/// Opens the queue, again and again; each cause is said once. `None`: there is nobody left to send, or nothing to open again.
async fn open(hub: &HubConfig, spool: Spool, waiting: &mpsc::Receiver<Row>) -> Option<Open> {
    let (mut told, mut is_told) = (String::new(), false);
    let mut tell = |error: String| {
        if told != error {
            eprintln!("control-loop: no queue for the hub, control goes on: {error}");
            told = error;
        }
    };
    let dir = match spool {
        Spool::Dir(dir) => dir,
        Spool::In(dir) => return open_in(hub, dir).await.map_err(tell).ok(),
        Spool::Nowhere => return None,
    };
    loop {
        match open_dir(hub, &dir).await {
            Ok(open) => {
                if is_told {
                    eprintln!("control-loop: {}: the queue for the hub is open", dir.display());
                }
                return Some(open);
            }
            Err(error) => {
                is_told = true;
                tell(format!("{}: {error}", dir.display()));
            }
        }
        for _ in 0..LOOKS_PER_ATTEMPT {
            if waiting.is_closed() {
                return None;
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

async fn open_dir(hub: &HubConfig, dir: &Path) -> Result<Open, String> {
    let queue = aio::Queue::open(dir, config()).await.map_err(|error| cause(&error))?;
    start(hub, queue).await
}

/// A medium of the caller's, which is tried once.
async fn open_in(hub: &HubConfig, dir: Box<dyn Dir>) -> Result<Open, String> {
    let queue = Queue::open_in(dir, config(), Arc::new(SystemClock::new())).map_err(|error| cause(&error))?;
    start(hub, aio::Queue::of(queue).map_err(|error| error.to_string())?).await
}

/// The queue's own words name a key that is none of this program's.
fn cause(error: &OpenError) -> String {
    match error {
        OpenError::NoSpace { needed, free, .. } => {
            format!("disk full: the spool needs {needed} bytes, {free} are free: make room on its disk")
        }
        other => other.to_string(),
    }
}

async fn start(hub: &HubConfig, queue: aio::Queue) -> Result<Open, String> {
    let consumer = queue.consumer(CONSUMER).await.map_err(|error| error.to_string())?;
    let builder = Bridge::builder(&hub.url).client_id(&hub.client_id);
    let started = builder.start_on(&queue, consumer, RawPack::new(true));
    let (link, _task) = started.map_err(|error| format!("[hub] {error}"))?;
    Ok(Open { queue, link })
}

fn config() -> Config {
    Config::default().max_bytes(QUEUE_BYTES)
}

#[cfg(test)]
mod tests;
