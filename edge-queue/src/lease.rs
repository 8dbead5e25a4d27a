//! Leases: rows in the application's hands until it acknowledges them or gives them back.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::engine::Engine;
use crate::model::{Done, LeaseKey, Leased};
use crate::row::{Lane, RowId, StoredRow};
use crate::row_age::age_ms;
use crate::state::Reason;
use crate::time::Stamp;

/// One row, leased by the application until it is acknowledged or dropped. Dropping returns it to its old place.
#[must_use = "a lease that is dropped returns its row"]
pub struct Lease {
    engine: Arc<Engine>,
    leased: Option<Leased>,
    id: RowId,
}

impl Lease {
    fn new(engine: Arc<Engine>, leased: Leased, gateway: u64) -> Lease {
        let StoredRow { lane, epoch, seq, .. } = leased.row;
        Lease { engine, leased: Some(leased), id: RowId { gateway, lane, epoch, seq } }
    }

    fn row(&self) -> Option<&StoredRow> {
        self.leased.as_ref().map(|leased| &leased.row)
    }

    /// The message. From the ring store it is a slice of the buffer that it was read into; the buffer, up to 64 KiB, stays in
    /// memory as long as the slice, so copy what you keep for long.
    #[must_use]
    pub fn payload(&self) -> &Bytes {
        self.row().map_or(&EMPTY, |row| &row.payload)
    }

    /// Application's bytes about the row, as in [`Row::meta`](crate::Row::meta).
    #[must_use]
    pub fn meta(&self) -> &Bytes {
        self.row().map_or(&EMPTY, |row| &row.meta)
    }

    /// Key of the row, as in [`Row::key`](crate::Row::key).
    #[must_use]
    pub fn key(&self) -> &Bytes {
        self.row().map_or(&EMPTY, |row| &row.key)
    }

    /// Lane that the row was pushed to.
    #[must_use]
    pub fn lane(&self) -> Lane {
        self.id.lane
    }

    /// The row's identity: the same at every delivery, if [`Lease::stored`].
    #[must_use]
    pub fn id(&self) -> RowId {
        self.id
    }

    /// Number of readings that the row stands for.
    #[must_use]
    pub fn weight(&self) -> u32 {
        self.row().map_or(1, |row| row.weight)
    }

    /// Returns the row's size, as the queue's limits count it.
    #[cfg(feature = "tokio")]
    pub(crate) fn bytes(&self) -> u64 {
        self.row().map_or(0, StoredRow::bytes)
    }

    /// Time at which the row was pushed.
    #[must_use]
    pub fn stamp(&self) -> Stamp {
        self.row().map(|row| row.stamp).unwrap_or_default()
    }

    /// Returns the row's age in milliseconds; `None` when it cannot be known (another boot, unsynchronised clock).
    #[must_use]
    pub fn age_ms(&self) -> Option<u64> {
        age_ms(&self.stamp(), &self.engine.clock.now())
    }

    /// Returns the rest of the row's own time to live, in milliseconds; `None` when the row has none. An unknown age counts as 0.
    #[must_use]
    pub fn ttl_left_ms(&self) -> Option<u64> {
        let ttl = self.row().and_then(|row| row.ttl_ms)?;
        Some(ttl.saturating_sub(self.age_ms().unwrap_or(0)))
    }

    /// Returns true when the row is on the medium now. A row that is not may be pushed again by its producer after a crash, under
    /// another identity, so mark it as a possible duplicate when you send it.
    #[must_use]
    pub fn stored(&self) -> bool {
        let Some(leased) = &self.leased else { return false };
        self.engine.model().is_stored(leased.lane, leased.row.seq)
    }

    /// Acknowledges the row: it was delivered, and is done for this consumer.
    pub fn ack(self) {
        self.end(Done::Delivered);
    }

    /// Ends the lease of a row that is durable in another store now: the row is done for this consumer and counts as moved,
    /// neither delivered nor dropped. If its producer still waits for the receipt, that says `Stored`. Call this only when the
    /// other store's receipt has come; a kill before the next commit leaves the row in both stores.
    pub fn moved(self) {
        self.end(Done::Moved);
    }

    /// Discards the row: it counts as dropped for the reason [`Discarded`](Reason::Discarded) and gets a gap record. If its producer still waits
    /// for the receipt, that says `Settled`.
    pub fn discard(self) {
        self.end(Done::Dropped(Reason::Discarded));
    }

    /// Ends a row whose time to live passed while it was leased: counted as [`Expired`](Reason::Expired), like a row that the queue itself found
    /// expired.
    pub fn expire(self) {
        self.end(Done::Dropped(Reason::Expired));
    }

    fn end(mut self, how: Done) {
        if let Some(leased) = self.leased.take() {
            self.engine.end_leases(leased.consumer, [leased.key()], how);
        }
    }

    /// Returns the row to its old place, which the next leases of this consumer skip: the row comes again after the next
    /// [`Consumer::scan`](crate::Consumer::scan) or [`Consumer::rewind`](crate::Consumer::rewind), or the next open. Writes
    /// nothing.
    pub fn pass(mut self) {
        if let Some(leased) = self.leased.take() {
            self.engine.pass(leased.consumer, leased.key());
        }
    }

    /// Gives the row back for later: it returns to its old place after `delay`, for a hub that said when to try again. Until then it counts
    /// as leased, so that no limit evicts it and it keeps its share of what may be leased; a restart ends the delay.
    pub fn release(mut self, delay: Duration) {
        if let Some(leased) = self.leased.take() {
            self.engine.give_back(leased.consumer, leased.key(), delay);
        }
    }

    /// Returns true if the lease ended by itself: after its time limit, see [`ConsumerConfig::lease_time`](crate::ConsumerConfig::lease_time),
    /// or because its row was acknowledged by its identity, see [`Queue::ack_ids`](crate::Queue::ack_ids).
    /// Calls on such a lease have no effect any more.
    #[must_use]
    pub fn is_over(&self) -> bool {
        let Some(leased) = &self.leased else { return true };
        if leased.returns_ms == u64::MAX && !self.engine.ends_leases() {
            return false;
        }
        let mut model = self.engine.model();
        model.take_back(self.engine.clock.now().up_ms);
        !model.holds(leased.consumer, leased.key())
    }

    /// Takes the row out for a batch of acknowledgements if this consumer of this engine leased it; otherwise returns the lease.
    pub(crate) fn settle_with(mut self, engine: &Arc<Engine>, consumer: u64) -> Result<LeaseKey, Box<Lease>> {
        let own =
            Arc::ptr_eq(&self.engine, engine) && self.leased.as_ref().is_some_and(|l| l.consumer == consumer);
        match self.leased.take_if(|_| own) {
            Some(leased) => Ok(leased.key()),
            None => Err(Box::new(self)),
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(leased) = self.leased.take() {
            self.engine.give_back(leased.consumer, leased.key(), Duration::ZERO);
        }
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("id", &self.id).finish_non_exhaustive()
    }
}

static EMPTY: Bytes = Bytes::new();

/// Leases of one call. Iterate over them to acknowledge one by one, or acknowledge all at once.
#[derive(Debug)]
#[must_use = "a chunk that is dropped returns its rows"]
pub struct Chunk {
    leases: Vec<Lease>,
}

impl Chunk {
    pub(crate) fn new(engine: &Arc<Engine>, rows: Vec<Leased>) -> Chunk {
        if rows.is_empty() {
            return Chunk { leases: Vec::new() };
        }
        let gateway = engine.model().gateway();
        let leases = rows.into_iter().map(|row| Lease::new(engine.clone(), row, gateway)).collect();
        Chunk { leases }
    }

    #[cfg(feature = "tokio")]
    pub(crate) fn of(leases: impl Iterator<Item = Lease>) -> Chunk {
        Chunk { leases: leases.collect() }
    }

    /// Number of rows in the chunk.
    #[must_use]
    pub fn len(&self) -> usize {
        self.leases.len()
    }

    /// Returns whether the chunk has no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.leases.is_empty()
    }

    /// Iterates over the rows without taking them out of the chunk.
    pub fn iter(&self) -> std::slice::Iter<'_, Lease> {
        self.leases.iter()
    }

    /// Acknowledges all rows of the chunk: they have arrived.
    pub fn ack(self) {
        let Some((engine, consumer)) = self.leases.first().and_then(|l| {
            let leased = l.leased.as_ref()?;
            Some((l.engine.clone(), leased.consumer))
        }) else {
            return;
        };
        let mut rows: Vec<LeaseKey> = Vec::with_capacity(self.leases.len());
        rows.extend(self.leases.into_iter().filter_map(|lease| lease.settle_with(&engine, consumer).ok()));
        engine.end_leases(consumer, rows, Done::Delivered);
    }
}

impl IntoIterator for Chunk {
    type Item = Lease;
    type IntoIter = std::vec::IntoIter<Lease>;

    fn into_iter(self) -> Self::IntoIter {
        self.leases.into_iter()
    }
}

impl<'a> IntoIterator for &'a Chunk {
    type Item = &'a Lease;
    type IntoIter = std::slice::Iter<'a, Lease>;

    fn into_iter(self) -> Self::IntoIter {
        self.leases.iter()
    }
}
