//! The task that parks rows: opens their queue, pushes, waits until they are durable, takes them out of the queue they came from.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use edge_queue::{Lane, Lease, Pending, PushError, Row, aio};
use tokio::sync::{Notify, mpsc, oneshot, watch};

use super::{CONSUMER, Envelope, Open, Parcel, Shared};
use crate::bridge::spool::Identity;

/// Rows stored together at most.
const BATCH_ROWS: usize = 256;
/// Bytes after which a batch is closed.
const BATCH_BYTES: usize = 256 * 1024;
/// Pauses between attempts, doubling.
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(60);
/// How long a stop waits for a receipt.
const LAST_RECEIPT_WITHIN: Duration = Duration::from_millis(500);

/// The `max_age` of each lane of the first queue.
pub(super) type MaxAges = [Option<Duration>; edge_queue::LANES_MAX];

/// Asks a queue.
pub(super) fn max_ages(queue: &aio::Queue) -> MaxAges {
    std::array::from_fn(|at| queue.max_age(Lane(u8::try_from(at).ok()?)))
}

/// What the task does next.
enum Next {
    Parcel(Box<Parcel>),
    /// Another attempt at rows of an earlier run.
    Open,
    /// The link is gone.
    End,
}

/// See the module. Ends when the link does.
pub(in crate::net) struct Parker {
    open: Open,
    /// Rows of an earlier run may be there.
    existed: bool,
    max_age: MaxAges,
    parcels: mpsc::UnboundedReceiver<Parcel>,
    shared: Arc<Shared>,
    given: Option<oneshot::Sender<aio::Consumer>>,
    gone: watch::Receiver<()>,
    wake: Arc<Notify>,
    /// What the log was last told.
    said: Option<String>,
}

impl Parker {
    #[allow(clippy::too_many_arguments, reason = "made in one place")]
    pub(super) fn new(
        open: Open,
        existed: bool,
        max_age: MaxAges,
        parcels: mpsc::UnboundedReceiver<Parcel>,
        shared: Arc<Shared>,
        given: oneshot::Sender<aio::Consumer>,
        gone: watch::Receiver<()>,
        wake: Arc<Notify>,
    ) -> Self {
        Self { open, existed, max_age, parcels, shared, given: Some(given), gone, wake, said: None }
    }

    /// Parks until the link ends, then closes the queue.
    pub(in crate::net) async fn run(mut self) {
        let mut queue = None;
        if self.existed {
            queue = self.try_open().await;
            // The link does not wait for what cannot be opened now.
            self.shared.is_known.store(true, Ordering::Release);
            self.wake.notify_one();
        }
        loop {
            let first = match self.next(queue.is_some()).await {
                Next::Parcel(first) => *first,
                Next::Open => {
                    queue = self.try_open().await;
                    self.wake.notify_one();
                    continue;
                }
                Next::End => break,
            };
            let batch = self.batch(first);
            if queue.is_none() {
                queue = self.keep_opening().await;
            }
            let Some(queue) = &queue else { break };
            self.park(queue, batch).await;
            self.wake.notify_one();
        }
        if let Some(queue) = queue
            && let Err(error) = queue.close().await
        {
            tracing::warn!(%error, "the queue of the parked rows did not close well");
        }
    }

    async fn next(&mut self, is_open: bool) -> Next {
        let parcel = match self.existed && !is_open {
            true => tokio::time::timeout(RETRY_MAX, self.parcels.recv()).await,
            false => Ok(self.parcels.recv().await),
        };
        match parcel {
            Ok(Some(first)) => Next::Parcel(Box::new(first)),
            Ok(None) => Next::End,
            Err(_) => Next::Open,
        }
    }

    fn batch(&mut self, first: Parcel) -> Vec<Parcel> {
        let mut bytes = first.lease.payload().len();
        let mut batch = vec![first];
        while batch.len() < BATCH_ROWS
            && bytes < BATCH_BYTES
            && let Ok(next) = self.parcels.try_recv()
        {
            bytes += next.lease.payload().len();
            batch.push(next);
        }
        batch
    }

    async fn try_open(&mut self) -> Option<aio::Queue> {
        let opened = match (self.open)().await {
            Ok(queue) => {
                queue.consumer(CONSUMER).await.map(|consumer| (queue, consumer)).map_err(|e| e.to_string())
            }
            Err(error) => Err(error.to_string()),
        };
        match opened {
            Ok((queue, consumer)) => {
                if let Some(given) = self.given.take() {
                    // The link may be gone.
                    let _ = given.send(consumer);
                }
                let queue = self.shared.queue.get_or_init(|| queue).clone();
                self.is_well();
                Some(queue)
            }
            Err(error) => {
                self.fails(&error);
                None
            }
        }
    }

    /// Tries until it works; `None` when the link ends first.
    async fn keep_opening(&mut self) -> Option<aio::Queue> {
        let mut pause = RETRY_FIRST;
        loop {
            if let Some(queue) = self.try_open().await {
                return Some(queue);
            }
            if !self.paused(pause).await {
                return None;
            }
            pause = (pause * 2).min(RETRY_MAX);
        }
    }

    /// Stores rows, and takes those that are durable out of their queue. The others return to their place.
    async fn park(&mut self, queue: &aio::Queue, batch: Vec<Parcel>) {
        let mut stored = Vec::with_capacity(batch.len());
        for parcel in batch {
            match self.row(&parcel) {
                None => parcel.lease.expire(),
                Some(row) => {
                    let Some(receipt) = self.push(queue, row).await else { return };
                    stored.push((parcel, receipt));
                }
            }
        }
        // An error leaves the receipts to come: the queue tries again by itself.
        match queue.commit().await {
            Ok(()) => self.is_well(),
            Err(error) => self.fails(&error.to_string()),
        }
        for (parcel, receipt) in stored {
            match self.within_life(receipt).await {
                // Dropped there by the policy for a full queue is counted there.
                Some(Ok(_)) => parcel.lease.moved(),
                Some(Err(_)) | None => return,
            }
        }
        self.is_well();
    }

    /// `None`: the link ends, or the row can never be stored.
    async fn push(&mut self, queue: &aio::Queue, row: Row) -> Option<Pending> {
        let mut row = row;
        loop {
            match queue.push(row).await {
                Ok(receipt) => return Some(receipt),
                Err(PushError::Full { row: back, limit }) => {
                    self.fails(&format!("the parked rows are at their limit: {limit}"));
                    row = *back;
                }
                Err(error) => {
                    self.fails(&error.to_string());
                    return None;
                }
            }
            if !self.paused(RETRY_FIRST).await {
                return None;
            }
        }
    }

    /// The row as it is parked; `None` when its time is over.
    fn row(&self, parcel: &Parcel) -> Option<Row> {
        let lease = &parcel.lease;
        let age_ms = lease.age_ms().unwrap_or(0);
        let own_left_ms = lease.ttl_left_ms();
        let again = if parcel.again { Envelope::open(lease.meta()) } else { None };
        let (envelope, meta, left_ms) = match again {
            Some((first, meta)) => {
                let age_ms = first.age_ms.saturating_add(age_ms);
                (Envelope { age_ms, why: parcel.why, ..first }, meta, own_left_ms)
            }
            None => {
                let max_age = self.max_age.get(usize::from(lease.lane().0)).copied().flatten();
                let max_left_ms = max_age.map(|max| millis(max).saturating_sub(age_ms));
                let left_ms = [own_left_ms, max_left_ms].into_iter().flatten().min();
                let ttl_ms = own_left_ms.map(|left| left.saturating_add(age_ms));
                let envelope = Envelope { identity: identity(lease), age_ms, ttl_ms, why: parcel.why };
                (envelope, lease.meta().clone(), left_ms)
            }
        };
        if left_ms == Some(0) {
            return None;
        }
        let mut row = Row::new(lease.payload().clone())
            .meta(envelope.seal(&meta))
            .key(lease.key().clone())
            .weight(lease.weight());
        row.ttl_ms = left_ms;
        Some(row)
    }

    /// Waits for a receipt, not for long once the link is gone.
    async fn within_life<T>(&mut self, receipt: impl Future<Output = T>) -> Option<T> {
        let gone = &mut self.gone;
        let end = async {
            // Nothing is ever sent: it ends with the sender.
            while gone.changed().await.is_ok() {}
            tokio::time::sleep(LAST_RECEIPT_WITHIN).await;
        };
        tokio::select! {
            biased;
            receipt = receipt => Some(receipt),
            () = end => None,
        }
    }

    /// Waits; `false` when the link is gone.
    async fn paused(&mut self, pause: Duration) -> bool {
        tokio::select! {
            () = tokio::time::sleep(pause) => true,
            _ = self.gone.changed() => false,
        }
    }

    fn fails(&mut self, why: &str) {
        if self.said.as_deref() != Some(why) {
            tracing::warn!(error = why, "refused rows cannot be parked on disk: they stay in place");
            self.said = Some(why.to_owned());
        }
    }

    fn is_well(&mut self) {
        if self.said.take().is_some() {
            tracing::info!("refused rows can be parked on disk again");
        }
    }
}

/// Who the row is where it was accepted.
pub(in crate::net) fn identity(lease: &Lease) -> Identity {
    let own = lease.id();
    Identity { gateway: own.gateway, lane: own.lane.0, epoch: own.epoch, seq: own.seq }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
