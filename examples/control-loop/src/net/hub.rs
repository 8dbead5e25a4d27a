//! Path to the hub: a durable queue and a link that drains it, behind a bounded channel that no loop waits for.
//!
//! The queue is opened beside the loops, repeatedly if it fails: a full or missing disk costs messages, never control.

use super::{NetStats, count};
use crate::{HubConfig, Spool};
use bytes::Bytes;
use edge_bridge::bridge::RawPack;
use edge_bridge::wire::Utf8;
use edge_bridge::{Bridge, Link, Row};
use edge_queue::medium::Dir;
use edge_queue::{Config, OpenError, Queue, SystemClock, aio};
use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::task::JoinHandle;

const CONSUMER: &str = "hub";
/// Most messages in the channel to the queue.
const WAITING_MAX: usize = 256;
/// Most further events that wait for the channel, enough for those of a stop.
const LATE_MAX: usize = 256;
/// Size of the queue in bytes, enough for hours of a few loops' messages.
const QUEUE_BYTES: u64 = 4 * 1024 * 1024;
/// Period of the checks for a stop while the queue is not open.
const LOOK: Duration = Duration::from_millis(100);
/// Number of checks between two attempts to open the queue: 30 s.
const LOOKS_PER_ATTEMPT: u32 = 300;

pub(super) struct Hub {
    to_queue: mpsc::Sender<Row>,
    /// Newest events that found no room in the channel, among them the last ones, which report safe outputs.
    late: Late,
    carrying: JoinHandle<()>,
    stats: Arc<NetStats>,
}

type Late = Arc<Mutex<VecDeque<Row>>>;

/// Open queue, and the link that drains it.
struct Open {
    queue: aio::Queue,
    link: Link,
}

impl Hub {
    pub(super) fn start(hub: HubConfig, spool: Spool, stats: Arc<NetStats>, within: Duration) -> Hub {
        let (to_queue, waiting) = mpsc::channel::<Row>(WAITING_MAX);
        let late = Late::default();
        let carrying = tokio::spawn(carry(hub, spool, (waiting, late.clone()), stats.clone(), within));
        Hub { to_queue, late, carrying, stats }
    }

    /// Offers a message to the queue. Events use the alarms' lane, before all others; without room the newest of them wait.
    pub(super) fn offer(&mut self, topic: Utf8, payload: Bytes, is_event: bool) {
        let mut row = Row::new(topic, payload);
        row.lane = is_event.then_some(0);
        let mut late = lock(&self.late);
        late.push_back(row);
        while let Some(row) = late.pop_front() {
            if let Err(TrySendError::Full(row) | TrySendError::Closed(row)) = self.to_queue.try_send(row) {
                late.push_front(row);
                break;
            }
        }
        let last = late.back().is_some_and(|row| row.lane.is_none());
        if last && late.pop_back().is_some() {
            count(&self.stats.not_queued);
        }
        if late.len() > LATE_MAX && late.pop_front().is_some() {
            count(&self.stats.not_queued);
        }
    }

    /// Queues waiting messages and disconnects; each part takes at most `within`. A queue that is not open is opened once more.
    pub(super) async fn stop(self, within: Duration) {
        let Hub { to_queue, late, carrying, stats } = self;
        let before = stats.not_queued();
        drop(to_queue);
        // A disk that does not answer keeps its last good state.
        let ended = tokio::time::timeout(within * 3, carrying).await;
        lock(&late).drain(..).for_each(|_| count(&stats.not_queued));
        let lost = stats.not_queued() - before;
        if ended.is_err() {
            edge_print::complain!(
                "control-loop: the disk does not answer: the last messages for the hub may be lost"
            );
        } else if lost > 0 {
            edge_print::complain!(
                "control-loop: {lost} messages for the hub are lost: they found no queue before the stop"
            );
        }
    }
}

/// Pushes messages until the sender is gone and all are queued.
async fn carry(
    hub: HubConfig,
    spool: Spool,
    (mut waiting, late): (mpsc::Receiver<Row>, Late),
    stats: Arc<NetStats>,
    within: Duration,
) {
    let Some(Open { queue, link }) = open(&hub, spool, &waiting).await else {
        waiting.close();
        while waiting.try_recv().is_ok() {
            count(&stats.not_queued);
        }
        return;
    };
    stats.has_queue(true);
    let pop_late = || lock(&late).pop_front();
    while let Some(row) = match waiting.recv().await {
        // The sender is gone: what it held is the newest.
        None => pop_late(),
        row => row,
    } {
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

fn lock(late: &Late) -> MutexGuard<'_, VecDeque<Row>> {
    late.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Opens the queue repeatedly, for the last time when the sender is gone; each cause is logged once. `None`: it did not open, or it can be opened
/// only once.
async fn open(hub: &HubConfig, spool: Spool, waiting: &mpsc::Receiver<Row>) -> Option<Open> {
    let (mut told, mut is_told) = (String::new(), false);
    let mut tell = |error: String| {
        if told != error {
            edge_print::complain!("control-loop: no queue for the hub, control goes on: {error}");
            told = error;
        }
    };
    let dir = match spool {
        Spool::Dir(dir) => dir,
        Spool::In(dir) => return open_in(hub, dir).await.map_err(tell).ok(),
        Spool::Nowhere => return None,
    };
    loop {
        let is_last = waiting.is_closed();
        match open_dir(hub, &dir).await {
            Ok(open) => {
                if is_told {
                    edge_print::complain!("control-loop: {}: the queue for the hub is open", dir.display());
                }
                return Some(open);
            }
            Err(error) => {
                is_told = true;
                tell(format!("{}: {error}", dir.display()));
            }
        }
        if is_last {
            return None;
        }
        for _ in 0..LOOKS_PER_ATTEMPT {
            if waiting.is_closed() {
                break;
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

async fn open_dir(hub: &HubConfig, dir: &Path) -> Result<Open, String> {
    let queue = aio::Queue::open(dir, config()).await.map_err(|error| cause(&error))?;
    start(hub, queue).await
}

/// Opens a queue in the caller's directory type, once.
async fn open_in(hub: &HubConfig, dir: Box<dyn Dir>) -> Result<Open, String> {
    let queue = Queue::open_in(dir, config(), Arc::new(SystemClock::new())).map_err(|error| cause(&error))?;
    start(hub, aio::Queue::of(queue).map_err(|error| error.to_string())?).await
}

/// Returns the error in words. The queue's own text would name a setting that this program does not have.
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
