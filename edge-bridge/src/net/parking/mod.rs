//! Durable parking of refused rows: a second queue, in the directory `parked` of the first, which is made when the first row is parked.
//!
//! A refused row is pushed there, and is acknowledged in the first queue only when that push is durable. These acknowledgements are committed
//! once per batch, so a kill leaves at most one batch in both queues, with the same identities. A task of its own ([`Parker`]) does all of this,
//! so that the link never waits for the disk. A row that is being parked stays leased in the first queue; when too many are being parked, because
//! the disk hangs, the link leases nothing more.
//!
//! Rows that cannot be parked, because the second queue is full or cannot be opened, stay in their lanes in the first, while later rows are sent,
//! and are leased again when there may be room. After the first such row none is parked until then, so that their order is kept.

mod compaction;
mod envelope;
mod headroom;
mod parker;
#[cfg(test)]
mod tests;
mod unparkable_rows;

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use edge_queue::{Lease, OpenError, aio};
use tokio::sync::{Notify, mpsc, oneshot, watch};

use crate::bridge::spool::{Left, ParkedCount};
use crate::wire::ReasonCode;

use compaction::Compaction;
pub(super) use envelope::{ENVELOPE_BYTES, Envelope};
use headroom::Room;
pub(super) use parker::{Parker, identity};
use unparkable_rows::{InPlace, Look};

/// Directory of the parked rows, below that of the first queue.
const DIR: &str = "parked";
/// Name of the link's consumer in the parked rows' queue.
const CONSUMER: &str = "hub";
/// Bytes being parked at which the link leases nothing more.
const MOVING_BYTES_MAX: u64 = 1024 * 1024;
/// Rows being parked at which the link leases nothing more.
const MOVING_ROWS_MAX: u64 = 4096;

/// Function that opens the parked rows' queue, and creates it if it is missing.
type Open =
    Box<dyn Fn() -> Pin<Box<dyn Future<Output = Result<aio::Queue, OpenError>> + Send>> + Send + Sync>;

/// Queue of the parked rows; set once it is open.
pub(super) type ParkedQueue = Arc<OnceLock<aio::Queue>>;

/// Number of ranges of acknowledged rows among the parked ones above which a compaction runs, because holes keep segments on disk.
const RANGES_MAX: u64 = 8;

/// Order from the link to the parking task.
enum Order {
    Park(Box<Parcel>),
    /// Makes acknowledgements in both queues durable. The number counts such orders.
    Commit(u64),
}

/// Leased row that is to be parked.
struct Parcel {
    lease: Lease,
    /// Key under which the row is listed as parked; `None` if it is not listed.
    count: Option<ParkedCount>,
    /// Turn of a row that a compaction moves; `None` for a row of the first queue.
    again: Option<u32>,
    why: ReasonCode,
    transit: Transit,
}

/// Counts a row as being parked until it is dropped.
struct Transit {
    shared: Arc<Shared>,
    rows: u64,
    bytes: u64,
}

impl Drop for Transit {
    fn drop(&mut self) {
        self.shared.rows.fetch_sub(self.rows, Ordering::Relaxed);
        self.shared.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// State that link and task share. Rows are counted by weight, as messages.
#[derive(Default)]
struct Shared {
    /// Set once the rows parked by an earlier process are known.
    is_known: AtomicBool,
    /// Rows and bytes being parked. Rows that a compaction moves count by their bytes alone.
    rows: AtomicU64,
    bytes: AtomicU64,
    /// Rows that could not be parked and stay in their lanes.
    in_place: InPlace,
    /// Reason in words why rows could not be parked last; `None` if they can be.
    why: Mutex<Option<String>>,
    /// Set when a row could not be parked, until the rows left in their lanes are leased again. While it is set, rows that the hub refuses
    /// are left in their lanes and not parked.
    is_stuck: AtomicBool,
    /// Set when the link should lease rows left in their lanes again.
    look_again: AtomicBool,
    /// Set when a parked row was removed, so that there may be room.
    has_freed: AtomicBool,
    /// Set when a row could not be moved, so that no row behind it is moved until the next compaction.
    is_closing_over: AtomicBool,
    /// Number of new rows that were parked.
    parked: AtomicU64,
    /// Number of commits requested, and the number of the last one that is done.
    commits: (AtomicU64, AtomicU64),
    queue: ParkedQueue,
}

impl Shared {
    fn why(&self) -> MutexGuard<'_, Option<String>> {
        self.why.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_stuck(&self) -> bool {
        self.is_stuck.load(Ordering::Acquire)
    }
}

/// Link's side of parking: hands rows to the task, and leases parked ones.
pub(super) struct Parking {
    orders: mpsc::UnboundedSender<Order>,
    shared: Arc<Shared>,
    consumer: Option<aio::Consumer>,
    opened: oneshot::Receiver<aio::Consumer>,
    /// Set if an earlier process parked rows.
    existed: bool,
    compaction: Compaction,
    /// Repeated attempt to park the rows left in their lanes.
    look: Look,
    /// Ends the task when it is dropped with this value.
    _alive: watch::Sender<()>,
}

impl Parking {
    /// Prepares parking beside the queue `main`. The returned task has to be spawned; it wakes the link after each step.
    pub(super) fn new(main: &aio::Queue, wake: Arc<Notify>) -> (Self, Parker) {
        let existed = main.has_beside(DIR);
        let beside = main.clone();
        let open = move || -> Pin<Box<dyn Future<Output = _> + Send>> {
            let main = beside.clone();
            Box::pin(async move { main.open_beside(DIR, ENVELOPE_BYTES).await })
        };
        Self::with(main, Box::new(open), existed, wake)
    }

    fn with(main: &aio::Queue, open: Open, existed: bool, wake: Arc<Notify>) -> (Self, Parker) {
        let (orders, received) = mpsc::unbounded_channel();
        let (given, opened) = oneshot::channel();
        let (alive, gone) = watch::channel(());
        let shared = Arc::new(Shared::default());
        shared.is_known.store(!existed, Ordering::Relaxed);
        let parker = Parker::new(main.clone(), open, existed, received, shared.clone(), given, gone, wake);
        (
            Self {
                orders,
                shared,
                consumer: None,
                opened,
                existed,
                compaction: Compaction::new(existed),
                look: Look::default(),
                _alive: alive,
            },
            parker,
        )
    }

    /// Returns whether rows that may have to be parked may be leased: the parked rows are known, and not too many rows are being parked.
    pub(super) fn has_room(&self) -> bool {
        self.shared.is_known.load(Ordering::Acquire)
            && self.shared.bytes.load(Ordering::Relaxed) < MOVING_BYTES_MAX
            && self.shared.rows.load(Ordering::Relaxed) < MOVING_ROWS_MAX
    }

    /// Parks a row of the first queue. The row stays leased until it is durable among the parked ones; if it cannot be parked, it stays in its
    /// lane. `count` is the key under which it is listed as parked.
    pub(super) fn park(&self, lease: Lease, count: Option<&ParkedCount>, why: ReasonCode) {
        if self.shared.is_stuck() {
            return self.shared.in_place.leave(lease, count);
        }
        self.send(lease, count.cloned(), None, why);
    }

    fn send(&self, lease: Lease, count: Option<ParkedCount>, again: Option<u32>, why: ReasonCode) {
        let bytes = (lease.payload().len() + lease.meta().len() + lease.key().len()) as u64;
        let rows = if again.is_some() { 0 } else { u64::from(lease.weight()) };
        self.shared.rows.fetch_add(rows, Ordering::Relaxed);
        self.shared.bytes.fetch_add(bytes, Ordering::Relaxed);
        let transit = Transit { shared: self.shared.clone(), rows, bytes };
        // A task that is gone drops the lease: the row returns to its place.
        let _ = self.orders.send(Order::Park(Box::new(Parcel { lease, count, again, why, transit })));
    }

    /// Begins a pass over the parked rows.
    pub(super) fn scan(&mut self) {
        self.begin_stage();
        // What waits in its place of a topic that is taken again goes out behind what is parked of it, and before what is new.
        self.shared.look_again.fetch_or(self.shared.in_place.messages() > 0, Ordering::AcqRel);
    }

    /// Returns whether the pass has come to its end.
    pub(super) fn is_scanned(&self) -> bool {
        match &self.consumer {
            Some(consumer) => self.hands_out_last() && consumer.at_end(),
            None => self.is_settled() && self.shared.queue.get().is_none(),
        }
    }

    /// Returns whether all parked rows are known, and no row is being parked.
    pub(super) fn is_settled(&self) -> bool {
        let is_open = !self.existed || self.shared.queue.get().is_some();
        is_open && self.shared.bytes.load(Ordering::Relaxed) == 0
    }

    /// Returns whether rows left in their lanes should be leased again, because they can perhaps be parked; if so, begins the attempt.
    pub(super) fn takes_again(&mut self) -> bool {
        // Those on their way are older.
        let is_time =
            self.shared.look_again.load(Ordering::Acquire) && self.shared.rows.load(Ordering::Relaxed) == 0;
        if is_time {
            self.shared.look_again.store(false, Ordering::Relaxed);
            self.look.begin(&self.shared.in_place);
            self.shared.is_stuck.store(false, Ordering::Release);
        }
        is_time
    }

    /// Records that a parked row was removed.
    pub(super) fn on_end(&self) {
        self.shared.has_freed.store(true, Ordering::Relaxed);
    }

    /// Records that a row of the first queue was leased.
    pub(super) fn on_leased(&mut self, lease: &Lease) {
        self.look.on_leased(lease);
    }

    /// Returns whether rows left in their lanes are still to be leased again.
    pub(super) fn is_looking(&self) -> bool {
        self.look.messages() > 0
    }

    /// Records that every row of the first queue has been leased.
    pub(super) fn on_all_leased(&mut self) {
        self.look.end();
    }

    /// Number of messages, by weight, that could not be parked and stay in their lanes, with those that an attempt has not leased yet.
    pub(super) fn in_place(&self) -> u64 {
        self.shared.in_place.messages() + self.look.messages()
    }

    /// Takes the counts of rows left in their lanes since the last call, by key.
    pub(super) fn take_left(&self) -> Vec<Left> {
        self.shared.in_place.take_left()
    }

    /// Returns the reason why rows cannot be parked; `None` if they can be.
    pub(super) fn why(&self) -> Option<String> {
        self.shared.why().clone()
    }

    /// Starts to make acknowledgements in both queues durable.
    pub(super) fn commit(&self) {
        let before = self.shared.commits.0.fetch_add(1, Ordering::Relaxed);
        let _ = self.orders.send(Order::Commit(before + 1));
    }

    /// Returns whether all commits are done.
    pub(super) fn is_committed(&self) -> bool {
        let (asked, done) = &self.shared.commits;
        done.load(Ordering::Acquire) == asked.load(Ordering::Relaxed)
    }

    /// Returns the parked rows' consumer; `None` until their queue is open.
    pub(super) fn consumer(&mut self) -> Option<&mut aio::Consumer> {
        if self.consumer.is_none() {
            self.consumer = self.opened.try_recv().ok();
        }
        self.consumer.as_mut()
    }

    /// Number of parked messages, with those of leased rows and of rows being parked.
    pub(super) fn messages(&self) -> u64 {
        self.stored().saturating_add(self.shared.rows.load(Ordering::Relaxed))
    }

    /// Number of messages in the queue of the parked rows, with those of leased rows.
    pub(super) fn stored(&self) -> u64 {
        match (&self.consumer, self.shared.queue.get()) {
            (Some(consumer), _) => consumer.queued(),
            // Open, and the link has not looked yet.
            (None, Some(queue)) => queue.ledger().iter().map(|ledger| ledger.queued).sum(),
            (None, None) => 0,
        }
    }

    /// Returns a handle on the parked rows' queue, which is set once that queue is open.
    pub(super) fn queue(&self) -> ParkedQueue {
        self.shared.queue.clone()
    }
}
