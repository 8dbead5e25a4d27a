//! A reader with a durable place in the queue.

use std::fmt;
use std::sync::Arc;

use crate::engine::Wait;
use crate::error::ConsumerError;
use crate::lease::{Chunk, Lease};
use crate::queue::Handle;
use crate::row::Lane;
use crate::state::GapRecord;

/// Rows this consumer will never get, in one lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The lane.
    pub lane: Lane,
    /// Which rows, when, how many and why.
    pub record: GapRecord,
}

/// A registered consumer. Rows come highest lane first, but every lane with rows gets one row in eight; within a lane as
/// [`Order`](crate::Order) says.
pub struct Consumer {
    pub(crate) handle: Arc<Handle>,
    pub(crate) id: u64,
    name: Arc<str>,
}

impl Consumer {
    pub(crate) fn new(handle: Arc<Handle>, id: u64, name: &str) -> Consumer {
        Consumer { handle, id, name: name.into() }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Leases up to `rows_max` rows: fewer when there are fewer, or when leases would exceed half of a lane's
    /// limit. Waits for the first as `wait` says; empty when none came.
    ///
    /// # Errors
    /// The consumer was forgotten, the queue closed, or the store could not be read.
    pub fn lease(&mut self, rows_max: usize, wait: Wait) -> Result<Chunk, ConsumerError> {
        let rows = self.handle.engine.lease(self.id, rows_max, wait)?;
        Ok(Chunk::new(&self.handle.engine, rows))
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
        engine.ack(self.id, own);
    }

    /// Losses not yet acknowledged as reported upstream, merged where adjacent.
    #[must_use]
    pub fn gaps(&self) -> Vec<Gap> {
        let gaps = self.handle.engine.model().gaps(self.id);
        gaps.into_iter().map(|(lane, record)| Gap { lane, record }).collect()
    }

    /// The losses were reported: takes them off the list, durably with the next commit.
    pub fn ack_gaps(&mut self, gaps: &[Gap]) {
        let gaps: Vec<(Lane, GapRecord)> = gaps.iter().map(|gap| (gap.lane, gap.record)).collect();
        self.handle.engine.ack_gaps(self.id, &gaps);
    }
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer").field("name", &self.name).finish_non_exhaustive()
    }
}
