//! A reader with a durable place in the queue.

use std::fmt;
use std::sync::Arc;

use crate::close_on_drop::Handle;
use crate::engine::Wait;
use crate::error::ConsumerError;
use crate::gap::Gap;
use crate::lease::{Chunk, Lease};
use crate::model::{Done, Take};

/// Registered consumer with a durable cursor in each lane. Rows come highest lane first, but every lane with rows gets one row in eight; within a
/// lane in the configured [`Order`](crate::Order).
pub struct Consumer {
    pub(crate) handle: Arc<Handle>,
    pub(crate) id: u64,
    name: Arc<str>,
}

impl Consumer {
    pub(crate) fn new(handle: Arc<Handle>, id: u64, name: &str) -> Consumer {
        Consumer { handle, id, name: name.into() }
    }

    /// Name that the consumer registered under.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Leases up to `rows_max` rows: fewer if there are fewer, or if leases would exceed half of a lane's limit. `wait` limits the wait for the
    /// first row; the chunk is empty if none came.
    ///
    /// Rows that are acknowledged out of order leave holes, and each hole costs a range of acknowledged rows in the cursor. Each consumer has 128
    /// ranges of its own over all lanes; all consumers share 896 more. A consumer that can get no further range gets in each lane only the oldest
    /// row that is not done, and an acknowledgement that would need a range is counted when one is free; other consumers notice nothing.
    /// [`Ledger::ranges`](crate::Ledger::ranges) shows the ranges in use.
    ///
    /// # Errors
    /// The consumer was forgotten, the queue closed, or the store could not be read.
    pub fn lease(&mut self, rows_max: usize, wait: Wait) -> Result<Chunk, ConsumerError> {
        self.lease_take(Take::rows(rows_max), wait)
    }

    /// As [`Consumer::lease`], bounded in bytes too, which count as in the queue's limits ([`ROW_OVERHEAD_BYTES`] and key, meta
    /// and payload): stops before the row that would exceed `bytes_max`, but the first row goes whatever its size. Reads at most
    /// 64 KiB or one row per lane ahead from the medium.
    ///
    /// [`ROW_OVERHEAD_BYTES`]: crate::ROW_OVERHEAD_BYTES
    ///
    /// # Errors
    /// As [`Consumer::lease`].
    pub fn lease_up_to(
        &mut self,
        rows_max: usize,
        bytes_max: u64,
        wait: Wait,
    ) -> Result<Chunk, ConsumerError> {
        self.lease_take(Take { rows: rows_max, bytes: bytes_max }, wait)
    }

    fn lease_take(&mut self, take: Take, wait: Wait) -> Result<Chunk, ConsumerError> {
        let rows = self.handle.engine.lease(self.id, take, wait)?;
        Ok(Chunk::new(&self.handle.engine, rows))
    }

    /// Weight of the messages still to come for this consumer over all lanes, without leased ones: `queued - leased` of its ledgers. Costs one
    /// lock.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        let (queued, leased) = self.handle.engine.model().queued(self.id);
        queued.saturating_sub(leased)
    }

    /// Weight of the messages still to come for this consumer over all lanes, leased ones included. Costs one lock.
    #[must_use]
    pub fn queued(&self) -> u64 {
        self.handle.engine.model().queued(self.id).0
    }

    /// Acknowledges many rows under one lock.
    pub fn ack(&mut self, leases: impl IntoIterator<Item = Lease>) {
        let engine = self.handle.engine.clone();
        let mut own = Vec::new();
        for lease in leases {
            // A lease of another consumer or queue knows better where it belongs.
            match lease.settle_with(&engine, self.id) {
                Ok(row) => own.push(row),
                Err(other) => other.ack(),
            }
        }
        engine.end_leases(self.id, own, Done::Delivered);
    }

    /// Begins one pass over all rows: the next lease begins at the oldest row that is neither done nor leased, rows
    /// [passed](Lease::pass) over included, and rows pushed from now on are not leased until the next scan or rewind. Costs
    /// nothing by itself; rows no longer in RAM are read again.
    pub fn scan(&mut self) {
        self.handle.engine.model().rewind(self.id, true);
    }

    /// Makes the next lease begin at the oldest row that is neither done nor leased, rows [passed](Lease::pass) over included. Ends a
    /// [`scan`](Self::scan).
    pub fn rewind(&mut self) {
        self.handle.engine.model().rewind(self.id, false);
    }

    /// Returns true when no row is left to lease, because each one was leased or passed over since the last scan or rewind, or is
    /// done. A row that was given back counts as left.
    #[must_use]
    pub fn at_end(&self) -> bool {
        self.handle.engine.model().at_end(self.id)
    }

    /// Gap records (losses) not yet acknowledged as reported upstream, merged where adjacent.
    #[must_use]
    pub fn gaps(&self) -> Vec<Gap> {
        self.handle.engine.model().gaps(self.id).into_iter().map(Gap::from).collect()
    }

    /// Removes reported gap records from the list, durably with the next commit.
    pub fn ack_gaps(&mut self, gaps: &[Gap]) {
        self.handle.engine.ack_gaps(self.id, gaps);
    }
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer").field("name", &self.name).finish_non_exhaustive()
    }
}
