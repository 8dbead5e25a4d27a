//! Rows on their way into the queue: one task pushes them in order, and says which messages are safe.
//!
//! The server's task never waits for the disk: what must wait (drop-oldest that reads, a lane that is full) waits here.
//! While it does, nothing more is asked of the filters.

#![allow(clippy::disallowed_methods, reason = "a shell: tasks, and a pause while there is no room")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use edge_bridge::Row;
use edge_bridge::listener::Ticket;
use edge_bridge::net::server::{Receipts, Sink};
use edge_queue::{Pending, PushError, aio};
use tokio::sync::{Notify, mpsc};

use super::ingest::GatewayIngest;
use super::withhold::Link;

/// Messages that may wait for the task; the listener bounds their bytes by what is unacknowledged.
const MESSAGES_MAX: usize = 1_024;
/// Pause before a full lane is tried again.
const AGAIN: Duration = Duration::from_millis(50);

/// Receiver of the news that a message's rows are safe.
#[derive(Clone, Debug)]
pub(crate) enum Tell {
    /// The listener.
    Server(Receipts, Ticket),
    /// The client of the local broker.
    Broker(mpsc::Sender<Ticket>, Ticket),
    /// Nobody: the filter made the rows by itself.
    Nobody,
}

#[derive(Debug)]
struct Message {
    rows: Vec<Row>,
    tell: Tell,
    link: Link,
}

/// Way of the rows into the queue. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Intake {
    messages: mpsc::Sender<Message>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// A row is refused now.
    full: AtomicBool,
    /// Rows that no limit of the queue would ever take.
    too_large: AtomicU64,
    /// Messages that the queue has not seen all rows of.
    unpushed: AtomicUsize,
    commit: Notify,
    /// A publisher stands still, and receipts wait for stages.
    let_go: Notify,
}

impl Intake {
    /// Starts the task, which ends when the last handle is gone or the queue is closed.
    pub(crate) fn start(queue: aio::Queue) -> Self {
        let (messages, received) = mpsc::channel(MESSAGES_MAX);
        let shared = Arc::<Shared>::default();
        tokio::spawn(commit_on_demand(queue.clone(), shared.clone()));
        tokio::spawn(Pusher { queue, shared: shared.clone() }.run(received));
        Self { messages, shared }
    }

    /// Returns whether a message would be taken now.
    pub(crate) fn has_room(&self) -> bool {
        !self.shared.full.load(Ordering::Relaxed) && self.messages.capacity() > 0
    }

    /// Rows that were larger than any row of the queue may be, since the start.
    pub(crate) fn too_large(&self) -> u64 {
        self.shared.too_large.load(Ordering::Relaxed)
    }

    /// A place for one message; waits while the queue is full. `None` when it is closed.
    pub(crate) async fn reserve(&self) -> Option<Place<'_>> {
        let permit = self.messages.reserve().await.ok()?;
        Some(Place { permit, shared: &self.shared })
    }

    /// As [`reserve`](Self::reserve) for one who does not wait.
    pub(crate) fn try_reserve(&self) -> Option<Place<'_>> {
        let permit = self.messages.try_reserve().ok()?;
        Some(Place { permit, shared: &self.shared })
    }

    /// Asks for a commit soon; many calls are as good as one.
    pub(crate) fn commit(&self) {
        self.shared.commit.notify_one();
    }

    /// A publisher stands still until receipts come. If they wait for stages, those let go first.
    pub(crate) fn commit_for_a_publisher(&self, ingest: &GatewayIngest) {
        match ingest.withholds() {
            true => self.shared.let_go.notify_one(),
            false => self.commit(),
        }
    }

    /// Until stages have to let go.
    pub(crate) async fn let_go_is_asked_for(&self) {
        self.shared.let_go.notified().await;
    }

    /// Messages that the queue has not seen all rows of. After its end they never become safe.
    pub(crate) fn unpushed(&self) -> usize {
        self.shared.unpushed.load(Ordering::Relaxed)
    }
}

/// Room for one message.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    permit: mpsc::Permit<'a, Message>,
    shared: &'a Shared,
}

impl Place<'_> {
    /// `link`: what depends on the rows beside their own message.
    pub(crate) fn put(self, rows: Vec<Row>, tell: Tell, link: Link) {
        self.shared.unpushed.fetch_add(1, Ordering::Relaxed);
        self.permit.send(Message { rows, tell, link });
    }
}

/// The listener's side.
#[derive(Debug)]
pub(crate) struct ServerSink {
    pub(crate) ingest: GatewayIngest,
    pub(crate) intake: Intake,
    pub(crate) receipts: Receipts,
}

impl Sink for ServerSink {
    fn has_room(&mut self) -> bool {
        self.intake.has_room()
    }

    fn push(&mut self, ticket: Ticket, rows: Vec<Row>) -> Result<(), Vec<Row>> {
        let Some(place) = self.intake.try_reserve() else { return Err(rows) };
        place.put(rows, Tell::Server(self.receipts.clone(), ticket), self.ingest.take_link_of(ticket));
        Ok(())
    }

    fn commit(&mut self) {
        self.intake.commit_for_a_publisher(&self.ingest);
    }
}

async fn commit_on_demand(queue: aio::Queue, shared: Arc<Shared>) {
    loop {
        shared.commit.notified().await;
        match queue.commit().await {
            Ok(()) => {}
            Err(edge_queue::CommitError::Closed) => return,
            // The queue tries again by itself and says so in its health.
            Err(error) => tracing::debug!(%error, "commit"),
        }
    }
}

struct Pusher {
    queue: aio::Queue,
    shared: Arc<Shared>,
}

impl Pusher {
    async fn run(self, mut messages: mpsc::Receiver<Message>) {
        while let Some(Message { rows, tell, link }) = messages.recv().await {
            let mut pending = Vec::with_capacity(rows.len());
            for row in rows {
                match self.push(row.into_queue_row()).await {
                    Ok(receipt) => pending.extend(receipt),
                    Err(Closed) => return,
                }
            }
            self.shared.unpushed.fetch_sub(1, Ordering::Relaxed);
            tokio::spawn(settle(pending, tell, link));
        }
    }

    /// `None`: the row can never be stored, and is counted.
    async fn push(&self, mut row: edge_queue::Row) -> Result<Option<Pending>, Closed> {
        loop {
            row = match self.queue.push(row).await {
                Ok(receipt) => {
                    self.shared.full.store(false, Ordering::Relaxed);
                    return Ok(Some(receipt));
                }
                Err(PushError::Closed { .. }) => return Err(Closed),
                Err(PushError::Full { row, limit }) => {
                    if !self.shared.full.swap(true, Ordering::Relaxed) {
                        tracing::warn!(%limit, "the queue is full: sensors are not acknowledged until there is room");
                    }
                    tokio::time::sleep(AGAIN).await;
                    *row
                }
                Err(error) => {
                    tracing::error!(%error, "a message cannot be stored");
                    self.shared.too_large.fetch_add(1, Ordering::Relaxed);
                    return Ok(None);
                }
            };
        }
    }
}

struct Closed;

/// Waits until all rows are safe, or given up by the policy that the operator chose: then their message is done with, and
/// whatever else depended on them.
async fn settle(pending: Vec<Pending>, tell: Tell, link: Link) {
    for receipt in pending {
        // The queue was closed before the row was safe: the sensor keeps it.
        if receipt.await.is_err() {
            return;
        }
    }
    for tell in link.safe(tell) {
        match tell {
            Tell::Server(receipts, ticket) => receipts.resolve(ticket),
            // An error is the end of the client.
            Tell::Broker(receipts, ticket) => drop(receipts.send(ticket).await),
            Tell::Nobody => {}
        }
    }
}
