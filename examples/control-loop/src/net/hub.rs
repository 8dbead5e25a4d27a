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
use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::task::JoinHandle;

const CONSUMER: &str = "hub";
/// Messages on their way to a queue that takes its time, or that is not open.
const WAITING_MAX: usize = 256;
/// Events beyond them that wait: those of a stop, and of the time before.
const LATE_MAX: usize = 256;
/// A small queue: hours of what a few loops have to say.
const QUEUE_BYTES: u64 = 4 * 1024 * 1024;
/// Looks for the end while the queue is not open.
const LOOK: Duration = Duration::from_millis(100);
/// Looks between two attempts to open the queue: 30 s.
const LOOKS_PER_ATTEMPT: u32 = 300;

pub(super) struct Hub {
    to_queue: mpsc::Sender<Row>,
    /// Events that found no room there, the newest: what was said last, that the outputs are safe, is among them.
    late: Late,
    carrying: JoinHandle<()>,
    stats: Arc<NetStats>,
}

type Late = Arc<Mutex<VecDeque<Row>>>;

/// Queue and link, while they run.
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

    /// Events go by the alarms' lane, before all else; without room the newest of them wait.
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

    /// Queues what waits and says goodbye; takes `within` for each part at most. A queue that is not open is tried once more.
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

/// Until the sender is gone and everything is queued.
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

/// Opens the queue, again and again, for the last time when the sender is gone; each cause is said once. `None`: it did not open, or there is nothing
/// to open again.
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
