//! Durable parking of refused rows: a second queue, in the directory `parked` of the first, which is made when the first row is parked.
//!
//! A row is pushed there, and leaves the first queue only when that push is durable; the end of the row there is committed with the batch, so a
//! kill leaves at most one batch in both, with one identity. All of it happens in a task of its own ([`Parker`]): the link never waits for the
//! disk. A row on its way stays leased where it was; when too many are, because the disk hangs, the link leases nothing more.
//!
//! Rows that cannot be parked, because the second queue is full or cannot be opened, are passed over in the first: they wait in their place,
//! everything behind them goes on, and they are looked at again when there may be room. From the first such row on none is parked until then, so
//! that their order stays.

mod compaction;
mod envelope;
mod headroom;
mod in_place;
mod parker;
#[cfg(test)]
mod tests;

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
use in_place::{InPlace, Look};
pub(super) use parker::{Parker, identity};

/// The directory of the parked rows, in that of the first queue.
const DIR: &str = "parked";
/// The link's name in the queue of the parked rows.
const CONSUMER: &str = "hub";
/// Bytes on their way to the parked rows beyond which nothing more is leased.
const MOVING_BYTES_MAX: u64 = 1024 * 1024;
/// Rows on their way beyond which nothing more is leased.
const MOVING_ROWS_MAX: u64 = 4096;

/// Opens the queue of the parked rows, making it where it is missing.
type Open =
    Box<dyn Fn() -> Pin<Box<dyn Future<Output = Result<aio::Queue, OpenError>> + Send>> + Send + Sync>;

/// The queue of the parked rows, once it is open.
pub(super) type ParkedQueue = Arc<OnceLock<aio::Queue>>;

/// Ranges of done rows among the parked ones beyond which they are moved to the end: holes cost segments.
const RANGES_MAX: u64 = 8;

/// Work for the task.
enum Order {
    Park(Box<Parcel>),
    /// The ends of rows in both queues are to be durable, with a number that grows.
    Commit(u64),
}

/// A leased row on its way to the parked ones.
struct Parcel {
    lease: Lease,
    /// Count among which the row is listed as parked.
    count: Option<ParkedCount>,
    /// Turn with which a row that was leased from the parked ones goes to their end.
    again: Option<u32>,
    why: ReasonCode,
    transit: Transit,
}

/// Counts a row as on its way for as long as it exists.
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
    /// Set once it is known what an earlier run parked.
    is_known: AtomicBool,
    /// Rows and bytes on their way; of rows that were parked before, the bytes only.
    rows: AtomicU64,
    bytes: AtomicU64,
    /// Rows that could not be parked and wait in their place.
    in_place: InPlace,
    /// Last reason why rows could not be parked, until all are.
    why: Mutex<Option<String>>,
    /// Nothing more is parked until the link has looked at those again.
    is_stuck: AtomicBool,
    /// Set when it is time for the link to look at them again.
    look_again: AtomicBool,
    /// A parked row came to its end: there may be room.
    has_freed: AtomicBool,
    /// A row could not be moved: none behind it is, until the next closing of holes.
    is_closing_over: AtomicBool,
    /// New rows that were parked.
    parked: AtomicU64,
    /// Commits asked for, and how many of them one that was done came after.
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

/// The link's side: hands rows over, and leases those that are parked.
pub(super) struct Parking {
    orders: mpsc::UnboundedSender<Order>,
    shared: Arc<Shared>,
    consumer: Option<aio::Consumer>,
    opened: oneshot::Receiver<aio::Consumer>,
    /// An earlier run parked rows.
    existed: bool,
    compaction: Compaction,
    /// The present look at rows that wait in their place.
    look: Look,
    /// Dropped with this value: the task ends.
    _alive: watch::Sender<()>,
}

impl Parking {
    /// Parked rows beside `main`. The task is to be spawned; it wakes the link when there is something new.
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

    /// Returns whether rows may be leased that may have to be parked: it is known what is parked, and not too much is on its way there.
    pub(super) fn has_room(&self) -> bool {
        self.shared.is_known.load(Ordering::Acquire)
            && self.shared.bytes.load(Ordering::Relaxed) < MOVING_BYTES_MAX
            && self.shared.rows.load(Ordering::Relaxed) < MOVING_ROWS_MAX
    }

    /// Takes a row of the first queue over. Until it is durable among the parked ones it stays leased, and if it cannot be it waits in its place.
    /// `count`: it is listed as parked among it.
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

    /// Returns whether it is known what is parked, and nothing is on its way there.
    pub(super) fn is_settled(&self) -> bool {
        let is_open = !self.existed || self.shared.queue.get().is_some();
        is_open && self.shared.bytes.load(Ordering::Relaxed) == 0
    }

    /// Returns whether rows that wait in their place are to be leased again, which may be parked then. Asked once.
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

    /// Takes note that a parked row came to its end.
    pub(super) fn on_end(&self) {
        self.shared.has_freed.store(true, Ordering::Relaxed);
    }

    /// Notes that a row of the first queue was leased.
    pub(super) fn on_leased(&mut self, lease: &Lease) {
        self.look.on_leased(lease);
    }

    /// Returns whether rows that wait in their place are still to be leased again.
    pub(super) fn is_looking(&self) -> bool {
        self.look.messages() > 0
    }

    /// Notes that all of the first queue has been leased.
    pub(super) fn on_all_leased(&mut self) {
        self.look.end();
    }

    /// Messages that could not be parked and wait in their place, those included that a look has still to come to.
    pub(super) fn in_place(&self) -> u64 {
        self.shared.in_place.messages() + self.look.messages()
    }

    /// Rows that came to wait in their place since the last call, by count.
    pub(super) fn take_left(&self) -> Vec<Left> {
        self.shared.in_place.take_left()
    }

    /// Reason why rows cannot be parked, in words.
    pub(super) fn why(&self) -> Option<String> {
        self.shared.why().clone()
    }

    /// The ends of rows in both queues are to be durable soon.
    pub(super) fn commit(&self) {
        let before = self.shared.commits.0.fetch_add(1, Ordering::Relaxed);
        let _ = self.orders.send(Order::Commit(before + 1));
    }

    /// Tells that all commits are done.
    pub(super) fn is_committed(&self) -> bool {
        let (asked, done) = &self.shared.commits;
        done.load(Ordering::Acquire) == asked.load(Ordering::Relaxed)
    }

    /// The parked rows' consumer, once their queue is open.
    pub(super) fn consumer(&mut self) -> Option<&mut aio::Consumer> {
        if self.consumer.is_none() {
            self.consumer = self.opened.try_recv().ok();
        }
        self.consumer.as_mut()
    }

    /// Parked messages, those of leased rows and of rows on their way included.
    pub(super) fn messages(&self) -> u64 {
        let stored = match (&self.consumer, self.shared.queue.get()) {
            (Some(consumer), _) => consumer.queued(),
            // Open, and the link has not looked yet.
            (None, Some(queue)) => queue.ledger().iter().map(|ledger| ledger.queued).sum(),
            (None, None) => 0,
        };
        stored.saturating_add(self.shared.rows.load(Ordering::Relaxed))
    }

    /// Returns a handle to look at the parked rows with, once there are any.
    pub(super) fn queue(&self) -> ParkedQueue {
        self.shared.queue.clone()
    }
}
