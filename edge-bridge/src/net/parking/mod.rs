//! Durable parking of refused rows: a second queue, in the directory `parked` of the first, which is made when the first row is parked.
//!
//! A row is pushed there, and leaves the first queue only when that push is durable; a kill between the two leaves it in both, with one
//! identity. All of it happens in a task of its own ([`Parker`]): the link never waits for the disk. A row on its way stays leased where it
//! was; when too many are, because the disk does not take them, the link leases nothing more.

mod envelope;
mod parker;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use edge_queue::{Lease, OpenError, aio};
use tokio::sync::{Notify, mpsc, oneshot, watch};

use crate::wire::ReasonCode;

pub(super) use envelope::{ENVELOPE_BYTES, Envelope};
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

/// A leased row on its way to the parked ones.
struct Parcel {
    lease: Lease,
    /// It was leased from the parked rows, and goes to their end.
    again: bool,
    why: ReasonCode,
    _transit: Transit,
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

/// What link and task both know.
#[derive(Default)]
struct Shared {
    /// Whether it is known what an earlier run parked.
    is_known: AtomicBool,
    /// Rows and bytes on their way; of rows that were parked before, the bytes only.
    rows: AtomicU64,
    bytes: AtomicU64,
    queue: ParkedQueue,
}

/// The link's side: hands rows over, and leases those that are parked.
pub(super) struct Parking {
    parcels: mpsc::UnboundedSender<Parcel>,
    shared: Arc<Shared>,
    consumer: Option<aio::Consumer>,
    opened: oneshot::Receiver<aio::Consumer>,
    /// Dropped with this value: the task ends.
    _alive: watch::Sender<()>,
}

impl Parking {
    /// Parked rows beside `main`. The task is to be spawned; it wakes the link when there is something new.
    pub(super) fn new(main: &aio::Queue, wake: Arc<Notify>) -> (Self, Parker) {
        let (existed, max_age) = (main.has_beside(DIR), parker::max_ages(main));
        let main = main.clone();
        let open = move || -> Pin<Box<dyn Future<Output = _> + Send>> {
            let main = main.clone();
            Box::pin(async move { main.open_beside(DIR, ENVELOPE_BYTES).await })
        };
        Self::with(Box::new(open), existed, max_age, wake)
    }

    fn with(open: Open, existed: bool, max_age: parker::MaxAges, wake: Arc<Notify>) -> (Self, Parker) {
        let (parcels, received) = mpsc::unbounded_channel();
        let (given, opened) = oneshot::channel();
        let (alive, gone) = watch::channel(());
        let shared = Arc::new(Shared::default());
        shared.is_known.store(!existed, Ordering::Relaxed);
        let parker = Parker::new(open, existed, max_age, received, shared.clone(), given, gone, wake);
        (Self { parcels, shared, consumer: None, opened, _alive: alive }, parker)
    }

    /// Whether rows may be leased: it is known what is parked, and not too much is on its way there.
    pub(super) fn has_room(&self) -> bool {
        self.shared.is_known.load(Ordering::Acquire)
            && self.shared.bytes.load(Ordering::Relaxed) < MOVING_BYTES_MAX
            && self.shared.rows.load(Ordering::Relaxed) < MOVING_ROWS_MAX
    }

    /// Takes a row over. Until it is durable there it stays leased, and if it cannot be it returns to its place.
    pub(super) fn park(&self, lease: Lease, again: bool, why: ReasonCode) {
        let bytes = (lease.payload().len() + lease.meta().len() + lease.key().len()) as u64;
        let rows = if again { 0 } else { u64::from(lease.weight()) };
        self.shared.rows.fetch_add(rows, Ordering::Relaxed);
        self.shared.bytes.fetch_add(bytes, Ordering::Relaxed);
        let transit = Transit { shared: self.shared.clone(), rows, bytes };
        // A task that is gone drops the lease: the row returns to its place.
        let _ = self.parcels.send(Parcel { lease, again, why, _transit: transit });
    }

    /// The parked rows' consumer, once their queue is open.
    pub(super) fn consumer(&mut self) -> Option<&mut aio::Consumer> {
        if self.consumer.is_none() {
            self.consumer = self.opened.try_recv().ok();
        }
        self.consumer.as_mut()
    }

    /// Parked rows, those that are leased or on their way included, by weight.
    pub(super) fn rows(&self) -> u64 {
        let stored = match (&self.consumer, self.shared.queue.get()) {
            (Some(consumer), _) => consumer.queued(),
            // Open, and the link has not looked yet.
            (None, Some(queue)) => queue.ledger().iter().map(|ledger| ledger.queued).sum(),
            (None, None) => 0,
        };
        stored.saturating_add(self.shared.rows.load(Ordering::Relaxed))
    }

    /// To look at the parked rows with, once there are any.
    pub(super) fn queue(&self) -> ParkedQueue {
        self.shared.queue.clone()
    }
}
