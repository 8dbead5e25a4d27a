//! Rows on their way into the queue: one task pushes them in order, and says which messages are safe.
//!
//! The server's task never waits for the disk: what must wait (drop-oldest that reads, a lane that is full) waits here.
//! While rows wait for room in a lane, nothing more is asked of the filters for that lane; the others go on. When the task is behind for a moment the listener does not read (back-pressure), so that
//! a burst at QoS 0 waits in its senders' sockets.

#![allow(clippy::disallowed_methods, reason = "a shell: tasks, and a pause while there is no room")]

mod pusher;

use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use edge_bridge::Row;
use edge_bridge::listener::Ticket;
use edge_bridge::net::server::{Receipts, Sink};
use edge_queue::aio;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;

use super::ingest::GatewayIngest;
use super::withhold::Link;
use pusher::Pusher;

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
    /// Lanes for which rows wait, as bits.
    full_lanes: AtomicU8,
    /// Bytes that wait for the task.
    bytes: AtomicUsize,
    /// Messages on their way, up to their receipts.
    unsettled: AtomicUsize,
    /// Told when the task has caught up.
    listener: OnceLock<Receipts>,
    /// Rows that no limit of the queue would ever take.
    too_large: AtomicU64,
    /// Answers to commands for the hub that found no room.
    answers_without_room: Arc<AtomicU64>,
    /// Until there is a queue.
    received: Mutex<Option<mpsc::Receiver<Message>>>,
    pusher: Mutex<Option<JoinHandle<Vec<Row>>>>,
    /// The queue is closed.
    closed: Notify,
    commit: Notify,
    /// A publisher stands still, and receipts wait for stages.
    let_go: Notify,
}

impl Intake {
    /// A way that leads nowhere yet: every lane is full until it is [opened](Self::open). What is put meanwhile comes first.
    pub(crate) fn closed() -> Self {
        let (messages, received) = mpsc::channel(MESSAGES_MAX);
        let received = Mutex::new(Some(received));
        let shared = Shared { full_lanes: AtomicU8::new(u8::MAX), received, ..Shared::default() };
        Self { messages, shared: Arc::new(shared) }
    }

    /// Starts the task, which ends when the last handle is gone or the queue is closed. `lanes`: of the queue. Only the first call does anything.
    pub(crate) fn open(&self, queue: aio::Queue, lanes: usize) {
        let shared = &self.shared;
        let received = shared.received.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(received) = received else { return };
        shared.full_lanes.store(0, Ordering::Relaxed);
        tokio::spawn(commit_on_demand(queue.clone(), shared.clone()));
        let pusher = tokio::spawn(Pusher::new(queue, lanes, shared.clone()).run(received));
        *shared.pusher.lock().unwrap_or_else(PoisonError::into_inner) = Some(pusher);
        if let Some(listener) = shared.listener.get() {
            listener.room();
        }
    }

    /// A way with room, of which nothing is taken.
    #[cfg(test)]
    pub(crate) fn with_room() -> Self {
        let intake = Self::closed();
        intake.shared.full_lanes.store(0, Ordering::Relaxed);
        intake
    }

    /// An open way.
    #[cfg(test)]
    pub(crate) fn start(queue: aio::Queue, lanes: usize) -> Self {
        let intake = Self::closed();
        intake.open(queue, lanes);
        intake
    }

    /// Returns whether a message for any lane would be taken now.
    pub(crate) fn has_room(&self) -> bool {
        self.full_lanes() == 0 && self.takes_messages()
    }

    /// Returns whether a message for this lane would be taken now.
    pub(crate) fn has_room_in(&self, lane: Option<u8>) -> bool {
        let bit = lane.map_or(0, bit);
        self.full_lanes() & bit == 0 && self.takes_messages()
    }

    fn full_lanes(&self) -> u8 {
        self.shared.full_lanes.load(Ordering::Relaxed)
    }

    fn takes_messages(&self) -> bool {
        self.messages.capacity() > 0 && self.fills_less_than(1)
    }

    /// Returns whether more than half of the room is taken: it will be free in a moment.
    fn is_behind(&self) -> bool {
        self.messages.capacity() <= MESSAGES_MAX / 2 || !self.fills_less_than(2)
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

    /// Counter of answers to commands of local clients that found no room on their way to the hub, since the start.
    pub(crate) fn answers_without_room(&self) -> Arc<AtomicU64> {
        self.shared.answers_without_room.clone()
    }

    /// A place for one message; waits while the queue is full. `None` when it is closed.
    pub(crate) async fn reserve(&self) -> Option<Place<'_>> {
        let permit = self.messages.reserve().await.ok()?;
        Some(Place { permit, shared: &self.shared })
    }

    /// As [`reserve`](Self::reserve); waits also while this lane is full.
    pub(crate) async fn reserve_in(&self, lane: Option<u8>) -> Option<Place<'_>> {
        while !self.has_room_in(lane) && !self.messages.is_closed() {
            tokio::time::sleep(AGAIN).await;
        }
        self.reserve().await
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

/// The lane's place in a set of lanes.
fn bit(lane: u8) -> u8 {
    1u8.checked_shl(lane.into()).unwrap_or(0)
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
        self.intake.takes_messages()
    }

    fn full_lanes(&mut self) -> u8 {
        self.intake.full_lanes()
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
