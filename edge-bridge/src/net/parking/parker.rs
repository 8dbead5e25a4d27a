//! Parking task: opens the queue of the parked rows, pushes rows, waits until they are durable, and acknowledges them in the queue from which
//! they came.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use edge_queue::{Lane, Lease, Pending, PushError, Row, aio};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::{Instant, timeout};

use super::{CONSUMER, Envelope, Open, Order, Parcel, Room, Shared};
use crate::bridge::spool::Identity;

/// Most rows stored in one batch.
const BATCH_ROWS: usize = 256;
/// Bytes after which a batch is closed.
const BATCH_BYTES: u64 = 256 * 1024;
/// First and longest pause before rows left in their lanes are leased again. It doubles while no parked row is removed.
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(60);
/// Longest wait for a receipt after the link has ended.
const LAST_RECEIPT_WITHIN: Duration = Duration::from_millis(500);
/// Time limit for closing a queue whose consumer cannot be registered.
const CLOSE_WITHIN: Duration = Duration::from_secs(3);

/// The `max_age` of each lane of the first queue.
type MaxAges = [Option<Duration>; edge_queue::LANES_MAX];

/// Next step of the task.
enum Next {
    Order(Order),
    /// Next attempt to park rows left in their lanes, or to open the queue.
    Retry,
    /// The link has ended.
    End,
}

/// Task that parks rows, see the module. It ends when the link does.
pub(in crate::net) struct Parker {
    main: aio::Queue,
    open: Open,
    /// Set if the directory of parked rows existed at the start, so that it may hold rows of an earlier process.
    existed: bool,
    max_age: MaxAges,
    orders: mpsc::UnboundedReceiver<Order>,
    shared: Arc<Shared>,
    given: Option<oneshot::Sender<aio::Consumer>>,
    gone: watch::Receiver<()>,
    wake: Arc<Notify>,
    /// Time of the next attempt after a failure, and the pause after it; `None` if nothing failed.
    retry: Option<(Instant, Duration)>,
}

impl Parker {
    #[allow(clippy::too_many_arguments, reason = "made in one place")]
    pub(super) fn new(
        main: aio::Queue,
        open: Open,
        existed: bool,
        orders: mpsc::UnboundedReceiver<Order>,
        shared: Arc<Shared>,
        given: oneshot::Sender<aio::Consumer>,
        gone: watch::Receiver<()>,
        wake: Arc<Notify>,
    ) -> Self {
        let max_age = std::array::from_fn(|at| main.max_age(Lane(u8::try_from(at).ok()?)));
        let given = Some(given);
        Self { main, open, existed, max_age, orders, shared, given, gone, wake, retry: None }
    }

    /// Parks rows until the link ends, then closes the queue.
    pub(in crate::net) async fn run(mut self) {
        let mut queue = None;
        if self.existed {
            queue = self.try_open().await;
            // The link does not wait for what cannot be opened now.
            self.shared.is_known.store(true, Ordering::Release);
            self.wake.notify_one();
        }
        loop {
            match self.next(queue.is_none() && self.existed).await {
                Next::Order(Order::Park(first)) => {
                    let (batch, commit) = self.batch(*first);
                    if queue.is_none() && !self.shared.is_stuck() {
                        queue = self.try_open().await;
                    }
                    match &queue {
                        Some(queue) => self.park(queue, batch).await,
                        None => batch.into_iter().for_each(|parcel| self.leave(parcel)),
                    }
                    if let Some(nth) = commit {
                        self.commit(queue.as_ref(), nth).await;
                    }
                }
                Next::Order(Order::Commit(nth)) => self.commit(queue.as_ref(), nth).await,
                Next::Retry => {
                    if queue.is_none() && self.existed {
                        queue = self.try_open().await;
                    }
                    self.look_again(queue.is_none() && self.existed);
                }
                Next::End => break,
            }
            self.wake.notify_one();
        }
        if let Some(queue) = queue
            && let Err(error) = queue.close().await
        {
            tracing::warn!(%error, "the queue of the parked rows did not close well");
        }
    }

    async fn next(&mut self, waits_for_queue: bool) -> Next {
        if waits_for_queue || self.shared.in_place.messages() > 0 || self.shared.why().is_some() {
            self.retry.get_or_insert((Instant::now() + RETRY_FIRST, RETRY_FIRST));
        }
        let Some((at, _)) = self.retry else {
            return self.orders.recv().await.map_or(Next::End, Next::Order);
        };
        let mut look = Instant::now();
        loop {
            look = at.min(look + RETRY_FIRST);
            tokio::select! {
                biased;
                order = self.orders.recv() => return order.map_or(Next::End, Next::Order),
                () = tokio::time::sleep_until(look) => {}
            }
            if look == at || self.shared.has_freed.load(Ordering::Relaxed) {
                return Next::Retry;
            }
        }
    }

    /// Returns the rows that are stored together, and the last commit that was requested among them.
    fn batch(&mut self, first: Parcel) -> (Vec<Parcel>, Option<u64>) {
        let (mut bytes, mut commit) = (first.transit.bytes, None);
        let mut batch = vec![first];
        while batch.len() < BATCH_ROWS
            && bytes < BATCH_BYTES
            && let Ok(next) = self.orders.try_recv()
        {
            match next {
                Order::Park(next) => {
                    bytes += next.transit.bytes;
                    batch.push(*next);
                }
                Order::Commit(nth) => commit = Some(nth),
            }
        }
        (batch, commit)
    }

    async fn try_open(&mut self) -> Option<aio::Queue> {
        let opened = match (self.open)().await {
            Ok(queue) => match queue.consumer(CONSUMER).await {
                Ok(consumer) => Ok((queue, consumer)),
                Err(error) => {
                    // Here, and not where the last handle is dropped, which would hold up the runtime's thread.
                    let _closed = timeout(CLOSE_WITHIN, queue.close()).await;
                    Err(error.to_string())
                }
            },
            Err(error) => Err(error.to_string()),
        };
        match opened {
            Ok((queue, consumer)) => {
                if let Some(given) = self.given.take() {
                    // The link may be gone.
                    let _ = given.send(consumer);
                }
                Some(self.shared.queue.get_or_init(|| queue).clone())
            }
            Err(error) => {
                self.fails(&error);
                None
            }
        }
    }

    /// Stores rows, and acknowledges the durable ones in the queue from which they came. The others stay there.
    async fn park(&mut self, queue: &aio::Queue, batch: Vec<Parcel>) {
        let moves = batch.iter().any(|parcel| parcel.again.is_some());
        let is_known = self.commit_first(&batch).await;
        let mut room = Room::of(queue, moves).await;
        let mut stored = Vec::with_capacity(batch.len());
        for parcel in batch {
            let Some(row) = self.row(&parcel) else {
                parcel.lease.expire();
                continue;
            };
            let again = parcel.again.is_some();
            // What was moved so far makes room where it was.
            if again && !room.has(&row, true) && !stored.is_empty() {
                self.take_out(queue, std::mem::take(&mut stored)).await;
                room = Room::of(queue, moves).await;
            }
            let is_over = &self.shared.is_closing_over;
            let must_wait = match again {
                true => is_over.load(Ordering::Acquire),
                false => self.shared.is_stuck() || !is_known && !parcel.lease.stored(),
            };
            if must_wait {
                self.leave(parcel);
            } else if !room.take(&row, again) {
                if !again {
                    self.fails("the parked rows are at their limit, and have holes");
                }
                self.leave(parcel);
            } else {
                match queue.push(row).await {
                    Ok(receipt) => {
                        self.shared.parked.fetch_add(u64::from(!again), Ordering::Release);
                        stored.push((parcel, receipt));
                    }
                    Err(error) => self.not_taken(parcel, &error),
                }
            }
        }
        self.take_out(queue, stored).await;
        self.wake.notify_one();
        // Not before: a kill leaves every row in one queue at least.
        if let Err(error) = self.main.commit_ends().await {
            self.fails(&error.to_string());
        }
    }

    /// Makes new rows durable in the first queue, if they are not yet; `false` if that failed. Without it, a row could exist after a kill only among
    /// the parked ones, and be delivered although it was never accepted; its sensor, which got no PUBACK, would send it again under another
    /// identity.
    async fn commit_first(&self, batch: &[Parcel]) -> bool {
        if batch.iter().all(|parcel| parcel.again.is_some() || parcel.lease.stored()) {
            return true;
        }
        let committed = self.main.commit().await;
        committed.inspect_err(|error| self.fails(&error.to_string())).is_ok()
    }

    /// Makes rows durable and acknowledges each in its former queue once its receipt comes.
    async fn take_out(&mut self, queue: &aio::Queue, stored: Vec<(Parcel, Pending)>) {
        // An error leaves the receipts to come: the queue tries again by itself.
        if let Err(error) = queue.commit().await {
            self.fails(&error.to_string());
        }
        for (parcel, receipt) in stored {
            match self.within_life(receipt).await {
                // Dropped there by the policy for a full queue is counted there.
                Some(Ok(_)) => parcel.lease.moved(),
                // Not durable there.
                Some(Err(_)) => self.leave(parcel),
                None => return,
            }
        }
    }

    /// Handles a row that the parked rows' queue did not accept. Unless the row itself is at fault, no more rows are parked from now on.
    fn not_taken(&mut self, parcel: Parcel, error: &PushError) {
        match error {
            PushError::TooLarge { .. } | PushError::AboveLimit { .. } => {
                self.fails(&format!("a refused row has no place among the parked rows: {error}"));
                match parcel.again {
                    Some(_) => self.leave(parcel),
                    None => self.shared.in_place.leave(parcel.lease, parcel.count.as_ref()),
                }
            }
            PushError::Full { limit, .. } => {
                self.fails(&format!("the parked rows are at their limit: {limit}"));
                self.leave(parcel);
            }
            error => {
                self.fails(&error.to_string());
                self.leave(parcel);
            }
        }
    }

    /// Leaves a row in its lane, and from now on all rows behind it in the same queue.
    fn leave(&self, parcel: Parcel) {
        if parcel.again.is_some() {
            self.shared.is_closing_over.store(true, Ordering::Release);
            return parcel.lease.pass();
        }
        self.shared.is_stuck.store(true, Ordering::Release);
        self.shared.in_place.leave(parcel.lease, parcel.count.as_ref());
    }

    /// Lets the link lease rows left in their lanes again, if the pause is over or there may be room. Repeats while the queue cannot be opened.
    fn look_again(&mut self, waits_for_queue: bool) {
        let Some((_, pause)) = self.retry.take() else { return };
        let waits = self.shared.in_place.messages() > 0 || self.shared.is_stuck();
        if !waits && !waits_for_queue {
            // All that was looked at again was parked, or sent.
            self.is_well();
            return;
        }
        self.shared.look_again.fetch_or(waits, Ordering::AcqRel);
        let pause = if self.shared.has_freed.swap(false, Ordering::Relaxed) {
            RETRY_FIRST
        } else {
            (pause * 2).min(RETRY_MAX)
        };
        self.retry = Some((Instant::now() + pause, pause));
    }

    /// Makes acknowledgements durable, for the `nth` request and all before it.
    async fn commit(&mut self, queue: Option<&aio::Queue>, nth: u64) {
        let there = match queue {
            Some(queue) => queue.commit_ends().await,
            None => Ok(()),
        };
        match there.and(self.main.commit_ends().await) {
            Ok(()) => self.shared.commits.1.store(nth, Ordering::Release),
            // The queue tries again by itself; whoever asked is not told that it is done.
            Err(error) => self.fails(&error.to_string()),
        }
    }

    /// Returns the row in its parked form; `None` if it has expired.
    fn row(&self, parcel: &Parcel) -> Option<Row> {
        let lease = &parcel.lease;
        let age_ms = lease.age_ms().unwrap_or(0);
        let own_left_ms = lease.ttl_left_ms();
        let again = parcel.again.and_then(|turn| Some((turn, Envelope::open(lease.meta())?)));
        let (envelope, meta, left_ms) = match again {
            Some((turn, (first, meta))) => {
                let age_ms = first.age_ms.saturating_add(age_ms);
                (Envelope { age_ms, turn, ..first }, meta, own_left_ms)
            }
            None => {
                let max_age = self.max_age.get(usize::from(lease.lane().0)).copied().flatten();
                let max_left_ms = max_age.map(|max| millis(max).saturating_sub(age_ms));
                let left_ms = [own_left_ms, max_left_ms].into_iter().flatten().min();
                let ttl_ms = own_left_ms.map(|left| left.saturating_add(age_ms));
                let turn = parcel.again.unwrap_or(0);
                let envelope = Envelope { identity: identity(lease), age_ms, ttl_ms, why: parcel.why, turn };
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

    /// Waits for a receipt. After the end of the link it waits only [`LAST_RECEIPT_WITHIN`], then returns `None`.
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

    fn fails(&self, why: &str) {
        let mut said = self.shared.why();
        if said.as_deref() != Some(why) {
            tracing::warn!(error = why, "refused rows cannot be parked on disk: they stay in place");
            *said = Some(why.to_owned());
        }
    }

    fn is_well(&self) {
        if self.shared.why().take().is_some() {
            tracing::info!("refused rows can be parked on disk again");
        }
    }
}

/// Returns the identity of a row that was never parked, from its lease. That of a parked row is in its envelope.
pub(in crate::net) fn identity(lease: &Lease) -> Identity {
    let own = lease.id();
    Identity { gateway: own.gateway, lane: own.lane.0, epoch: own.epoch, seq: own.seq }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
