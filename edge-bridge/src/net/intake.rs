//! Intake: the path of rows into the queue. One task pushes them in order, and reports which messages are safe.
//!
//! A server's task never waits for the disk, because the intake's task does (drop-oldest reads from it, and a full lane waits). While rows wait
//! for room in a lane, no more messages for that lane are accepted; the others go on. While the task is behind, [`is_behind`](Intake::is_behind)
//! returns `true`, so that publishers are not read (back-pressure) and a burst at QoS 0 waits in its senders' sockets.

mod full_line;
mod pusher;
mod receipt_waiter;
mod row_watch;

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
use row_watch::RowWatch;
pub use row_watch::{OnSafe, SafeRow};

/// Most messages in the channel to the task that pushes their rows.
const MESSAGES_MAX: usize = 1_024;
/// Most memory of rows in that channel, in bytes; the last message may exceed it.
const BYTES_MAX: usize = 2 << 20;
/// Most messages without a receipt. Limited here because messages at QoS 0 have no Receive Maximum.
const UNSETTLED_MAX: usize = 16_384;
/// Pause before the rows of a full lane are pushed again.
const AGAIN: Duration = Duration::from_millis(50);

/// Function called when all rows of a message are safe, or removed by the policy that the operator chose.
pub(super) type Safe = Box<dyn FnOnce() + Send>;

struct Message {
    rows: Vec<Row>,
    safe: Safe,
    put_at: Instant,
}

/// Path of rows into an [`edge_queue`]. Cheap to clone; all clones share it.
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
    /// Full lanes with rows that wait for room; bit `n` for lane `n`.
    full_lanes: AtomicU8,
    /// Memory of the rows in the channel to the task, in bytes.
    bytes: AtomicUsize,
    /// Rows in the channel to the task, and in messages that it holds.
    on_the_way: AtomicU64,
    /// Rows that the task holds because their lane is full.
    without_room: AtomicU64,
    /// Messages that were put and have no receipt yet.
    unsettled: AtomicUsize,
    /// Listener to notify when there may be room again.
    listener: OnceLock<Receipts>,
    never_stored: AtomicU64,
    /// Histogram of the time from the put of a message to the receipts of all its rows.
    receipts: Mutex<Durations>,
    /// Receiver of messages; taken when the intake is opened.
    received: Mutex<Option<mpsc::Receiver<Message>>>,
    pusher: Mutex<Option<JoinHandle<Vec<Row>>>>,
    /// Wakes waiters when the queue is closed.
    closed: Notify,
    commit: Notify,
    watch: RowWatch,
}

impl Shared {
    fn tell_of_room(&self) {
        if let Some(listener) = self.listener.get() {
            listener.room();
        }
    }
}

impl Intake {
    /// Creates an intake without a queue, in which every lane counts as full until it is [opened](Self::open). Messages put before are pushed
    /// first.
    pub fn closed() -> Self {
        let (messages, received) = mpsc::channel(MESSAGES_MAX);
        let received = Mutex::new(Some(received));
        let shared = Shared { full_lanes: AtomicU8::new(u8::MAX), received, ..Shared::default() };
        Self { messages, shared: Arc::new(shared) }
    }

    /// Starts an intake into an open queue, as [`open`](Self::open) does.
    pub fn start(queue: &aio::Queue, lanes: usize) -> Self {
        let intake = Self::closed();
        intake.open(queue, lanes);
        intake
    }

    /// Connects the intake to a queue and starts its tasks on the current tokio runtime. They end when the last handle is gone or the queue is
    /// closed. `lanes`: number of the queue's lanes; rows without a lane go to the last. Only the first call has an effect.
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

    /// Returns whether a message for any lane would be accepted now.
    pub fn has_room(&self) -> bool {
        self.full_lanes() == 0 && self.takes_messages()
    }

    /// Returns whether a message for this lane would be accepted now. `None` ignores full lanes.
    pub fn has_room_in(&self, lane: Option<u8>) -> bool {
        let bit = lane.map_or(0, bit);
        self.full_lanes() & bit == 0 && self.takes_messages()
    }

    /// Returns the lanes whose rows wait for room, bit `n` for lane `n`.
    pub fn full_lanes(&self) -> u8 {
        self.shared.full_lanes.load(Ordering::Relaxed)
    }

    /// Returns whether a message would be accepted now, if its lane is not full.
    pub fn takes_messages(&self) -> bool {
        self.messages.capacity() > 0 && self.fills_less_than(1)
    }

    /// Returns whether more than half of the limits is used. The task catches up within moments.
    pub fn is_behind(&self) -> bool {
        self.messages.capacity() <= MESSAGES_MAX / 2 || !self.fills_less_than(2)
    }

    /// Returns whether bytes and receipts are below one `part`th of their limits.
    fn fills_less_than(&self, part: usize) -> bool {
        self.shared.bytes.load(Ordering::Relaxed) < BYTES_MAX / part
            && self.shared.unsettled.load(Ordering::Relaxed) < UNSETTLED_MAX / part
    }

    /// Returns the number of rows that the queue can never take, because they are too large or for a lane that it does not have. They are logged
    /// as errors, and their messages are acknowledged, because their publishers would only send them again.
    pub fn never_stored(&self) -> u64 {
        self.shared.never_stored.load(Ordering::Relaxed)
    }

    /// Returns the number of rows that the task has not looked at: those in the channel to it, and those behind too many rows of their lane.
    pub fn on_the_way(&self) -> u64 {
        self.shared.on_the_way.load(Ordering::Relaxed)
    }

    /// Returns the number of rows that wait in memory because their lane is full. They came before the lane was known to be full.
    pub fn without_room(&self) -> u64 {
        self.shared.without_room.load(Ordering::Relaxed)
    }

    /// Returns the histogram of the time from [`put`](Permit::put) of a message until all its rows were safe, or removed by the policy.
    pub fn receipts(&self) -> Durations {
        *self.shared.receipts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for room for one message, whatever its lane. `None` when the queue is closed.
    pub async fn reserve(&self) -> Option<Permit<'_>> {
        let permit = self.messages.reserve().await.ok()?;
        Some(Permit { permit, shared: &self.shared })
    }

    /// Reserves as [`reserve`](Self::reserve) does, and also waits while this lane is full.
    pub async fn reserve_in(&self, lane: Option<u8>) -> Option<Permit<'_>> {
        while !self.has_room_in(lane) && !self.messages.is_closed() {
            tokio::time::sleep(AGAIN).await;
        }
        self.reserve().await
    }

    /// Reserves room if there is any now; `None` if there is not.
    pub fn try_reserve(&self) -> Option<Permit<'_>> {
        let permit = self.messages.try_reserve().ok()?;
        Some(Permit { permit, shared: &self.shared })
    }

    /// Asks for a commit soon. Calls before that commit are merged.
    pub fn commit(&self) {
        self.shared.commit.notify_one();
    }

    /// Shows every row to `watch` before it is pushed, also one that waits for room. What `watch` returns is called when that row is safe. It is
    /// called for each row on the runtime's thread, so it must cost next to nothing for a row that nobody wants to see. Only the first call has an
    /// effect.
    pub fn watch_rows(&self, watch: impl Fn(&Row) -> Option<OnSafe> + Send + Sync + 'static) {
        self.shared.watch.set(watch);
    }

    /// Returns the rows that found no room before the queue was closed, in the order of each lane. Call it once, after the close.
    pub async fn unpushed(&self) -> Vec<Row> {
        self.shared.closed.notify_one();
        let pusher = self.shared.pusher.lock().unwrap_or_else(PoisonError::into_inner).take();
        match pusher {
            Some(pusher) => pusher.await.unwrap_or_default(),
            None => Vec::new(),
        }
    }

    /// Sets the listener to notify when there may be room again. Only the first call has an effect.
    pub(super) fn tell_of_room(&self, listener: &Receipts) {
        // An error means that another listener was set before.
        let _ = self.shared.listener.set(listener.clone());
    }
}

/// Permit to put one message into the intake.
#[derive(Debug)]
#[must_use = "without `put` the room is given back"]
pub struct Permit<'a> {
    permit: mpsc::Permit<'a, Message>,
    shared: &'a Shared,
}

impl Permit<'_> {
    /// Sends the rows on their way. `safe` is called when all of them are safe, or given up by the policy that the operator chose, and at once
    /// if there are none. It is never called if the queue is closed before.
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

/// Bit of a lane in a set of lanes; 0 for a lane above 7.
fn bit(lane: u8) -> u8 {
    1u8.checked_shl(lane.into()).unwrap_or(0)
}

fn bytes(rows: &[Row]) -> usize {
    rows.iter().map(|row| size_of::<Row>() + row.bytes()).sum()
}

/// Commits on request, until the pushing task has ended.
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
