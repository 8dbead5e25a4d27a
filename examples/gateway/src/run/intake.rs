//! Rows on their way into the queue: one task pushes them in order, and says which messages are safe.
//!
//! The server's task never waits for the disk: what must wait (drop-oldest that reads, a lane that is full) waits here.
//! While it does, nothing more is asked of the filters. When the task is behind for a moment the listener does not read (back-pressure), so that
//! a burst at QoS 0 waits in its senders' sockets.

#![allow(clippy::disallowed_methods, reason = "a shell: tasks, and a pause while there is no room")]

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use edge_bridge::Row;
use edge_bridge::listener::Ticket;
use edge_bridge::net::server::{Receipts, Sink};
use edge_queue::{Pending, PushError, aio};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;

use super::ingest::GatewayIngest;
use super::withhold::Link;

/// Messages that may wait for the task.
const MESSAGES_MAX: usize = 1_024;
/// Bytes of topics and payloads that may wait for the task, but for the last message's.
const BYTES_MAX: usize = 2 << 20;
/// Messages that may wait for their receipts: those at QoS 0 have no window.
const UNSETTLED_MAX: usize = 16_384;
/// Pause before a full lane is tried again.
const AGAIN: Duration = Duration::from_millis(50);

/// Receiver of the news that a message's rows are safe.
#[derive(Clone, Debug)]
pub(crate) enum Tell {
    /// The listener.
    Server(Receipts, Ticket),
    /// The client of the local broker.
    Broker(mpsc::Sender<Ticket>, Ticket),
    /// The start, which has rows of the last run.
    Start(Arc<Notify>),
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
    /// Bytes that wait for the task.
    bytes: AtomicUsize,
    /// Messages on their way, up to their receipts.
    unsettled: AtomicUsize,
    /// Told when the task has caught up.
    listener: OnceLock<Receipts>,
    /// Rows that no limit of the queue would ever take.
    too_large: AtomicU64,
    pusher: Mutex<Option<JoinHandle<Vec<Row>>>>,
    /// The queue is closed.
    closed: Notify,
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
        let pusher = tokio::spawn(Pusher { queue, shared: shared.clone() }.run(received));
        *shared.pusher.lock().unwrap_or_else(PoisonError::into_inner) = Some(pusher);
        Self { messages, shared }
    }

    /// Returns whether a message would be taken now.
    pub(crate) fn has_room(&self) -> bool {
        !self.shared.full.load(Ordering::Relaxed) && self.messages.capacity() > 0 && self.fills_less_than(1)
    }

    /// Returns whether more than half of the room is taken, though the queue is not full: it will be free in a moment.
    fn is_behind(&self) -> bool {
        !self.shared.full.load(Ordering::Relaxed)
            && (self.messages.capacity() <= MESSAGES_MAX / 2 || !self.fills_less_than(2))
    }

    /// Returns whether bytes and receipts are below a `part`th of their limits.
    fn fills_less_than(&self, part: usize) -> bool {
        self.shared.bytes.load(Ordering::Relaxed) < BYTES_MAX / part
            && self.shared.unsettled.load(Ordering::Relaxed) < UNSETTLED_MAX / part
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

    /// Rows that found no room before the queue was closed, in order: filters have seen their readings. To be asked once,
    /// after that.
    pub(crate) async fn left(&self) -> Vec<Row> {
        self.shared.closed.notify_one();
        let pusher = self.shared.pusher.lock().unwrap_or_else(PoisonError::into_inner).take();
        match pusher {
            Some(pusher) => pusher.await.unwrap_or_default(),
            None => Vec::new(),
        }
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
        self.shared.bytes.fetch_add(bytes(&rows), Ordering::Relaxed);
        self.shared.unsettled.fetch_add(1, Ordering::Relaxed);
        self.permit.send(Message { rows, tell, link });
    }
}

fn bytes(rows: &[Row]) -> usize {
    rows.iter().map(|row| row.topic.len() + row.payload.len()).sum()
}

/// The listener's side.
#[derive(Debug)]
pub(crate) struct ServerSink {
    pub(crate) ingest: GatewayIngest,
    pub(crate) intake: Intake,
    pub(crate) receipts: Receipts,
    pub(crate) pause: Pause,
}

impl ServerSink {
    /// `pause_max`: longest time for which nobody is read because the task is behind.
    pub(crate) fn new(
        ingest: GatewayIngest,
        intake: Intake,
        receipts: Receipts,
        pause_max: Duration,
    ) -> Self {
        // An error says that another listener is told: there is one.
        let _ = intake.shared.listener.set(receipts.clone());
        Self { ingest, intake, receipts, pause: Pause { since: None, max: pause_max } }
    }
}

/// Back-pressure that ends: after a while messages are read all the same, and those at QoS 0 that find no room are given up, counted.
#[derive(Debug)]
pub(crate) struct Pause {
    since: Option<Instant>,
    max: Duration,
}

impl Pause {
    /// Returns whether to go on pausing at `now`.
    fn goes_on(&mut self, is_behind: bool, now: impl FnOnce() -> Instant) -> bool {
        if !is_behind {
            self.since = None;
            return false;
        }
        let now = now();
        now.duration_since(*self.since.get_or_insert(now)) < self.max
    }
}

impl Sink for ServerSink {
    fn has_room(&mut self) -> bool {
        self.intake.has_room()
    }

    fn is_busy(&mut self) -> bool {
        let is_behind = self.intake.is_behind();
        self.pause.goes_on(is_behind, Instant::now)
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
    /// Until the queue is closed: returns the rows that it has not taken.
    async fn run(self, mut messages: mpsc::Receiver<Message>) -> Vec<Row> {
        loop {
            let next = tokio::select! {
                biased;
                next = messages.recv() => next,
                () = self.shared.closed.notified() => None,
            };
            let Some(Message { rows, tell, link }) = next else { return Vec::new() };
            self.shared.bytes.fetch_sub(bytes(&rows), Ordering::Relaxed);
            if messages.len() == MESSAGES_MAX / 4
                && let Some(listener) = self.shared.listener.get()
            {
                listener.room();
            }
            let mut pending = Vec::with_capacity(rows.len());
            let mut rows = rows.into_iter();
            while let Some(row) = rows.next() {
                match self.push(row.into_queue_row()).await {
                    Ok(receipt) => pending.extend(receipt),
                    Err(Closed(row)) => {
                        let mut left: Vec<Row> = row.into_iter().chain(rows).collect();
                        while let Ok(message) = messages.try_recv() {
                            left.extend(message.rows);
                        }
                        return left;
                    }
                }
            }
            tokio::spawn(settle(pending, tell, link, self.shared.clone()));
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
                Err(PushError::Closed { row }) => return Err(Closed(bridge_row(*row))),
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

/// With the row that was not taken.
struct Closed(Option<Row>);

/// Undoes [`Row::into_queue_row`].
fn bridge_row(row: edge_queue::Row) -> Option<Row> {
    let mut own = Row::from_meta(&row.meta, row.payload)?;
    own.lane = row.lane.map(|lane| lane.0);
    (own.key, own.ttl_ms, own.weight) = (row.key, row.ttl_ms, row.weight);
    Some(own)
}

/// Waits until all rows are safe, or given up by the policy that the operator chose: then their message is done with, and
/// whatever else depended on them.
async fn settle(pending: Vec<Pending>, tell: Tell, link: Link, shared: Arc<Shared>) {
    for receipt in pending {
        // The queue was closed before the row was safe: the sensor keeps it.
        if receipt.await.is_err() {
            return;
        }
    }
    shared.unsettled.fetch_sub(1, Ordering::Relaxed);
    for tell in link.safe(tell) {
        match tell {
            Tell::Server(receipts, ticket) => receipts.resolve(ticket),
            // An error is the end of the client.
            Tell::Broker(receipts, ticket) => drop(receipts.send(ticket).await),
            Tell::Start(safe) => safe.notify_one(),
            Tell::Nobody => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_ends_and_begins_again_after_the_task_has_caught_up() {
        let start = Instant::now();
        let at = |ms| move || start + Duration::from_millis(ms);
        let mut pause = Pause { since: None, max: Duration::from_millis(100) };
        assert!(!pause.goes_on(false, at(0)));
        assert!(pause.goes_on(true, at(10)) && pause.goes_on(true, at(109)));
        assert!(!pause.goes_on(true, at(110)) && !pause.goes_on(true, at(1_000)));
        assert!(!pause.goes_on(false, at(1_000)));
        assert!(pause.goes_on(true, at(1_001)));
    }
}
