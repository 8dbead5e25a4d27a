//! Rows on their way into the queue: one task pushes them in order, and says which messages are safe.
//!
//! A server's task never waits for the disk: what must wait (drop-oldest that reads, a lane that is full) waits here. While rows wait for room in
//! a lane, no more messages for that lane are taken; the others go on. When the task is behind for a moment its [`is_behind`](Intake::is_behind)
//! says so, so that publishers are not read (back-pressure) and a burst at QoS 0 waits in its senders' sockets.

mod pusher;
mod settling;

use std::fmt;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use edge_queue::{CommitError, aio};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::server::Receipts;
use crate::Durations;
use crate::row::Row;
use pusher::Pusher;

/// Messages that may wait for the task.
const MESSAGES_MAX: usize = 1_024;
/// Bytes of topics and payloads that may wait for the task, but for the last message's.
const BYTES_MAX: usize = 2 << 20;
/// Messages that may wait for their receipts: those at QoS 0 have no window.
const UNSETTLED_MAX: usize = 16_384;
/// Pause before a full lane is tried again.
const AGAIN: Duration = Duration::from_millis(50);

/// Action that is due when all rows of a message are safe, or given up by the policy that the operator chose.
pub(super) type Safe = Box<dyn FnOnce() + Send>;

struct Message {
    rows: Vec<Row>,
    safe: Safe,
    put_at: Instant,
}

/// Way of rows into an [`edge_queue`]. Cheap to clone: all handles are of one way.
///
/// A server has its [`QueueSink`](super::server::QueueSink) around it; a program's own rows go the same way, in the same order:
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use edge_bridge::Row;
/// use edge_bridge::net::intake::Intake;
/// use edge_bridge::wire::Utf8;
/// use edge_queue::{Config, StoreKind, aio};
///
/// let queue = aio::Queue::open("memory", Config::default().store(StoreKind::Memory)).await?;
/// let intake = Intake::start(&queue, 1);
/// let (safe, is_safe) = tokio::sync::oneshot::channel();
/// let permit = intake.reserve().await.ok_or("the queue is closed")?;
/// permit.put(vec![Row::new(Utf8::from_static("hello"), "world".into())], || drop(safe.send(())));
/// intake.commit();
/// is_safe.await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Intake {
    messages: mpsc::Sender<Message>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Full lanes, for which messages wait: bit `n` for lane `n`.
    full_lanes: AtomicU8,
    /// Bytes that wait for the task.
    bytes: AtomicUsize,
    /// Rows of them.
    on_the_way: AtomicU64,
    /// Rows that the task has and their lane has no room for.
    without_room: AtomicU64,
    /// Messages on their way, up to their receipts.
    unsettled: AtomicUsize,
    /// Told when there may be room again.
    listener: OnceLock<Receipts>,
    never_stored: AtomicU64,
    /// From the way's beginning to the receipts of all of a message's rows.
    receipts: Mutex<Durations>,
    /// Until there is a queue.
    received: Mutex<Option<mpsc::Receiver<Message>>>,
    pusher: Mutex<Option<JoinHandle<Vec<Row>>>>,
    /// The queue is closed.
    closed: Notify,
    commit: Notify,
}

impl Shared {
    fn tell_of_room(&self) {
        if let Some(listener) = self.listener.get() {
            listener.room();
        }
    }
}

impl Intake {
    /// Makes a way that leads nowhere yet: every lane is full until it is [opened](Self::open). What is put meanwhile comes first.
    pub fn closed() -> Self {
        let (messages, received) = mpsc::channel(MESSAGES_MAX);
        let received = Mutex::new(Some(received));
        let shared = Shared { full_lanes: AtomicU8::new(u8::MAX), received, ..Shared::default() };
        Self { messages, shared: Arc::new(shared) }
    }

    /// Starts a way into a queue that is open, as [`open`](Self::open) does.
    pub fn start(queue: &aio::Queue, lanes: usize) -> Self {
        let intake = Self::closed();
        intake.open(queue, lanes);
        intake
    }

    /// Starts the tasks on the current tokio runtime; they end when the last handle is gone or the queue is closed. `lanes`: those of the queue.
    /// Rows without a lane go to the last. Only the first call does anything.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime, as `tokio::spawn` does.
    pub fn open(&self, queue: &aio::Queue, lanes: usize) {
        let shared = &self.shared;
        let received = shared.received.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(received) = received else { return };
        shared.full_lanes.store(0, Ordering::Relaxed);
        let (pushes, ended) = oneshot::channel();
        tokio::spawn(commit_on_demand(queue.clone(), shared.clone(), ended));
        let pusher = Pusher::new(queue.clone(), lanes, shared.clone());
        let pusher = tokio::spawn(async move {
            let _pushes: oneshot::Sender<()> = pushes;
            pusher.run(received).await
        });
        *shared.pusher.lock().unwrap_or_else(PoisonError::into_inner) = Some(pusher);
        shared.tell_of_room();
    }

    /// Returns whether a message for any lane would be taken now.
    pub fn has_room(&self) -> bool {
        self.full_lanes() == 0 && self.takes_messages()
    }

    /// Returns whether a message for this lane would be taken now; `None`: whatever its lane, full ones are not looked at.
    pub fn has_room_in(&self, lane: Option<u8>) -> bool {
        let bit = lane.map_or(0, bit);
        self.full_lanes() & bit == 0 && self.takes_messages()
    }

    /// Returns the lanes for which rows wait, bit `n` for lane `n`.
    pub fn full_lanes(&self) -> u8 {
        self.shared.full_lanes.load(Ordering::Relaxed)
    }

    /// Returns whether a message would be taken now, if its lane is not full.
    pub fn takes_messages(&self) -> bool {
        self.messages.capacity() > 0 && self.fills_less_than(1)
    }

    /// Returns whether more than half of the room is taken: it will be free in a moment.
    pub fn is_behind(&self) -> bool {
        self.messages.capacity() <= MESSAGES_MAX / 2 || !self.fills_less_than(2)
    }

    /// Returns whether bytes and receipts are below a `part`th of their limits.
    fn fills_less_than(&self, part: usize) -> bool {
        self.shared.bytes.load(Ordering::Relaxed) < BYTES_MAX / part
            && self.shared.unsettled.load(Ordering::Relaxed) < UNSETTLED_MAX / part
    }

    /// Returns the number of rows that no limit of the queue would ever take: larger than any row may be, or for a lane that it does not have. They
    /// are logged as errors, and their messages are acknowledged, since they would only come again.
    pub fn never_stored(&self) -> u64 {
        self.shared.never_stored.load(Ordering::Relaxed)
    }

    /// Returns the number of rows that have not come to the task yet.
    pub fn on_the_way(&self) -> u64 {
        self.shared.on_the_way.load(Ordering::Relaxed)
    }

    /// Returns the number of rows that wait in memory because their lane has no room: they came before it was known to be full.
    pub fn without_room(&self) -> u64 {
        self.shared.without_room.load(Ordering::Relaxed)
    }

    /// Returns the times that messages took from [`put`](Permit::put) until all their rows were safe, or given up by the policy.
    pub fn receipts(&self) -> Durations {
        *self.shared.receipts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for room for one message, whatever its lane. `None` when the queue is closed.
    pub async fn reserve(&self) -> Option<Permit<'_>> {
        let permit = self.messages.reserve().await.ok()?;
        Some(Permit { permit, shared: &self.shared })
    }

    /// Reserves as [`reserve`](Self::reserve); waits also while this lane is full.
    pub async fn reserve_in(&self, lane: Option<u8>) -> Option<Permit<'_>> {
        while !self.has_room_in(lane) && !self.messages.is_closed() {
            tokio::time::sleep(AGAIN).await;
        }
        self.reserve().await
    }

    /// Reserves as [`reserve`](Self::reserve) for one who does not wait.
    pub fn try_reserve(&self) -> Option<Permit<'_>> {
        let permit = self.messages.try_reserve().ok()?;
        Some(Permit { permit, shared: &self.shared })
    }

    /// Asks for a commit soon; many calls are as good as one.
    pub fn commit(&self) {
        self.shared.commit.notify_one();
    }

    /// Returns the rows that found no room before the queue was closed, in the order of each lane. To be asked once, after that.
    pub async fn unpushed(&self) -> Vec<Row> {
        self.shared.closed.notify_one();
        let pusher = self.shared.pusher.lock().unwrap_or_else(PoisonError::into_inner).take();
        match pusher {
            Some(pusher) => pusher.await.unwrap_or_default(),
            None => Vec::new(),
        }
    }

    /// Tells this listener when there may be room again; only the first is told.
    pub(super) fn tell_of_room(&self, listener: &Receipts) {
        // An error says that another one is told.
        let _ = self.shared.listener.set(listener.clone());
    }
}

/// Room for one message.
#[derive(Debug)]
#[must_use = "without `put` the room is given back"]
pub struct Permit<'a> {
    permit: mpsc::Permit<'a, Message>,
    shared: &'a Shared,
}

impl Permit<'_> {
    /// Sends the rows on their way. `safe` is called when all of them are safe, or given up by the policy that the operator chose, at once if there
    /// are none; and never if the queue is closed before.
    pub fn put(self, rows: Vec<Row>, safe: impl FnOnce() + Send + 'static) {
        self.put_boxed(rows, Box::new(safe));
    }

    pub(super) fn put_boxed(self, rows: Vec<Row>, safe: Safe) {
        self.shared.bytes.fetch_add(bytes(&rows), Ordering::Relaxed);
        self.shared.on_the_way.fetch_add(rows.len() as u64, Ordering::Relaxed);
        self.shared.unsettled.fetch_add(1, Ordering::Relaxed);
        self.permit.send(Message { rows, safe, put_at: Instant::now() });
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message").field("rows", &self.rows).finish_non_exhaustive()
    }
}

/// The lane's place in a set of lanes.
fn bit(lane: u8) -> u8 {
    1u8.checked_shl(lane.into()).unwrap_or(0)
}

fn bytes(rows: &[Row]) -> usize {
    rows.iter().map(Row::bytes).sum()
}

/// Commits when somebody asks, until nothing is pushed any more.
async fn commit_on_demand(queue: aio::Queue, shared: Arc<Shared>, mut ended: oneshot::Receiver<()>) {
    loop {
        tokio::select! {
            () = shared.commit.notified() => {}
            _ = &mut ended => return,
        }
        match queue.commit().await {
            Ok(()) => {}
            Err(CommitError::Closed) => return,
            // The queue tries again by itself and says so in its health.
            Err(error) => tracing::debug!(%error, "commit"),
        }
    }
}

#[cfg(test)]
mod tests;
