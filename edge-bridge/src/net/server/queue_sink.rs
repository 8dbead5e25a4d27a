//! [`Sink`] into an [`edge_queue`]: the server's task never waits for the disk, and a message is safe when all of its rows are.
//!
//! Each lane has a task that pushes its rows in order and, while the lane is full, tries again; rows for other lanes go on.

use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use edge_queue::{CommitError, Pending, PushError, aio};
use tokio::sync::{Notify, mpsc};

use super::{Receipts, Sink};
use crate::listener::Ticket;
use crate::row::Row;

/// Messages of a lane that may wait to be pushed.
const MESSAGES_MAX: usize = 1_024;
/// Messages of a lane that may wait for their receipts: those at QoS 0 have no window.
const UNSETTLED_MAX: usize = 16_384;
/// Bytes of topics and payloads that may wait to be pushed, in all lanes together, but for the last message's.
const BYTES_MAX: usize = 2 << 20;
/// Pause before a full lane is tried again.
const AGAIN: Duration = Duration::from_millis(50);
/// Period at which the end of the server is noticed.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Sink into a queue that is open: `server.start(address, ingest, |receipts| QueueSink::start(&queue, lanes, receipts))`.
///
/// For an ingest that answers [`Store`](crate::ingest::Answer::Store), [`Absorb`](crate::ingest::Answer::Absorb) or
/// [`Refuse`](crate::ingest::Answer::Refuse). One that [withholds](crate::ingest::Answer::Withhold) knows what else a receipt waits for, and needs a
/// sink of its own: this one resolves a message when its rows are safe, and never one without rows.
#[derive(Debug)]
pub struct QueueSink {
    lanes: Vec<mpsc::Sender<Part>>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    receipts: Receipts,
    /// Lanes that had no room for their first row, bit `n` for lane `n`.
    full_lanes: AtomicU8,
    bytes: AtomicUsize,
    never_stored: AtomicU64,
    commit: Notify,
}

/// Rows of one message for one lane.
#[derive(Debug)]
struct Part {
    rows: Vec<edge_queue::Row>,
    message: Arc<Message>,
}

/// Message whose receipt waits for parts in one or more lanes.
#[derive(Debug)]
struct Message {
    ticket: Ticket,
    parts: AtomicUsize,
}

impl QueueSink {
    /// Starts the tasks for the `lanes` lanes of `queue`, 1 to 8, on the current tokio runtime; they end when the queue is closed or the server
    /// has ended. Rows without a lane go to the last.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime, as `tokio::spawn` does.
    pub fn start(queue: &aio::Queue, lanes: u8, receipts: Receipts) -> Self {
        let shared = Arc::new(Shared {
            receipts,
            full_lanes: AtomicU8::new(0),
            bytes: AtomicUsize::new(0),
            never_stored: AtomicU64::new(0),
            commit: Notify::new(),
        });
        let start = |lane| {
            let (parts, received) = mpsc::channel(MESSAGES_MAX);
            let (pushed, receipts) = mpsc::channel(UNSETTLED_MAX);
            tokio::spawn(settle(receipts, shared.clone()));
            tokio::spawn(Pusher { lane, queue: queue.clone(), pushed, shared: shared.clone() }.run(received));
            parts
        };
        let lanes = (0..usize::from(lanes.clamp(1, 8))).map(start).collect();
        tokio::spawn(commit_on_demand(queue.clone(), Arc::downgrade(&shared)));
        Self { lanes, shared }
    }

    /// Rows that no limit of the queue would ever take: larger than any row may be, or for a lane that it does not have. They are logged as errors,
    /// and their messages are acknowledged, since they would only come again.
    pub fn never_stored(&self) -> u64 {
        self.shared.never_stored.load(Ordering::Relaxed)
    }

    fn lane_of(&self, row: &Row) -> usize {
        let last = self.lanes.len().saturating_sub(1);
        row.lane.map_or(last, |lane| usize::from(lane).min(last))
    }
}

impl Sink for QueueSink {
    fn has_room(&mut self) -> bool {
        self.shared.bytes.load(Ordering::Relaxed) < BYTES_MAX
            && self.lanes.iter().all(|lane| lane.capacity() > 0)
    }

    fn full_lanes(&mut self) -> u8 {
        self.shared.full_lanes.load(Ordering::Relaxed)
    }

    /// Returns whether nothing is to be read: half of the way to the queue is taken, and not because of a full lane, which may last.
    fn is_busy(&mut self) -> bool {
        let is_behind = |lane: &mpsc::Sender<Part>| lane.capacity() <= MESSAGES_MAX / 2;
        self.full_lanes() == 0
            && (self.shared.bytes.load(Ordering::Relaxed) >= BYTES_MAX / 2
                || self.lanes.iter().any(is_behind))
    }

    fn push(&mut self, ticket: Ticket, rows: Vec<Row>) -> Result<(), Vec<Row>> {
        let mut wanted = 0_u8;
        rows.iter().for_each(|row| wanted |= bit(self.lane_of(row)));
        let is_wanted = |at: &usize| wanted & bit(*at) != 0;
        let permits = self.lanes.iter().enumerate().filter(|(at, _)| is_wanted(at));
        let permits =
            permits.map(|(at, lane)| Some((at, lane.try_reserve().ok()?))).collect::<Option<Vec<_>>>();
        let Some(permits) = permits else { return Err(rows) };
        let message = Arc::new(Message { ticket, parts: AtomicUsize::new(permits.len()) });
        let mut parts: Vec<_> = permits.into_iter().map(|(at, permit)| (at, permit, Vec::new())).collect();
        for row in rows {
            let lane = self.lane_of(&row);
            let row = row.into_queue_row();
            self.shared.bytes.fetch_add(bytes(&row), Ordering::Relaxed);
            if let Some((_, _, part)) = parts.iter_mut().find(|(at, ..)| *at == lane) {
                part.push(row);
            }
        }
        for (_, permit, rows) in parts {
            permit.send(Part { rows, message: message.clone() });
        }
        Ok(())
    }

    fn commit(&mut self) {
        self.shared.commit.notify_one();
    }
}

/// Pushes the rows of one lane.
struct Pusher {
    lane: usize,
    queue: aio::Queue,
    pushed: mpsc::Sender<(Vec<Pending>, Arc<Message>)>,
    shared: Arc<Shared>,
}

impl Pusher {
    async fn run(self, mut parts: mpsc::Receiver<Part>) {
        while let Some(Part { rows, message }) = parts.recv().await {
            let mut pending = Vec::with_capacity(rows.len());
            for row in rows {
                let bytes = bytes(&row);
                let Ok(receipt) = self.push(row).await else { return };
                self.shared.bytes.fetch_sub(bytes, Ordering::Relaxed);
                pending.extend(receipt);
            }
            if self.pushed.send((pending, message)).await.is_err() {
                return;
            }
            if parts.len() == MESSAGES_MAX / 4 {
                self.shared.receipts.room();
            }
        }
    }

    /// Waits while the lane is full. `None`: the row can never be stored, and is counted. An error: the queue is closed.
    async fn push(&self, row: edge_queue::Row) -> Result<Option<Pending>, Closed> {
        let (mut next, mut is_full) = (row, false);
        let pushed = loop {
            next = match self.queue.push(next).await {
                Ok(pending) => break Ok(Some(pending)),
                Err(PushError::Closed { .. }) => return Err(Closed),
                Err(PushError::Full { row, limit }) => {
                    if !std::mem::replace(&mut is_full, true) {
                        tracing::debug!(%limit, lane = self.lane, "the lane is full: nothing for it is acknowledged until there is room");
                        self.shared.full_lanes.fetch_or(bit(self.lane), Ordering::Relaxed);
                    }
                    tokio::time::sleep(AGAIN).await;
                    *row
                }
                Err(error) => {
                    tracing::error!(%error, "a message cannot be stored");
                    self.shared.never_stored.fetch_add(1, Ordering::Relaxed);
                    break Ok(None);
                }
            };
        };
        if is_full {
            self.shared.full_lanes.fetch_and(!bit(self.lane), Ordering::Relaxed);
            self.shared.receipts.room();
        }
        pushed
    }
}

struct Closed;

/// Waits until rows are safe, in their order. A message of rows that were not safe when the queue was closed stays without an answer: its sender
/// keeps it.
async fn settle(mut pushed: mpsc::Receiver<(Vec<Pending>, Arc<Message>)>, shared: Arc<Shared>) {
    while let Some((pending, message)) = pushed.recv().await {
        for row in pending {
            if row.await.is_err() {
                return;
            }
        }
        if message.parts.fetch_sub(1, Ordering::AcqRel) == 1 {
            shared.receipts.resolve(message.ticket);
        }
    }
}

async fn commit_on_demand(queue: aio::Queue, shared: Weak<Shared>) {
    loop {
        let Some(asked) = shared.upgrade() else { return };
        // The queue tries a failed commit again by itself, and says so in its health.
        let is_asked = tokio::time::timeout(LOOK_EVERY, asked.commit.notified()).await.is_ok();
        drop(asked);
        if is_asked && matches!(queue.commit().await, Err(CommitError::Closed)) {
            return;
        }
    }
}

/// The lane's place in a set of lanes.
fn bit(lane: usize) -> u8 {
    u32::try_from(lane).ok().and_then(|lane| 1_u8.checked_shl(lane)).unwrap_or(0)
}

fn bytes(row: &edge_queue::Row) -> usize {
    row.payload.len() + row.meta.len()
}

#[cfg(test)]
mod tests;
