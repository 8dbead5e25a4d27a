//! Bugs of a queue, planted between it and its judge: what the queue did right is seen wrong.

use std::collections::BTreeSet;

use edge_queue::{Ledger, Queue};

use super::{Image, Reader};

/// A bug of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "planted by one of the tests that use the rig")]
pub(crate) enum QueueBug {
    /// It does not open.
    OpenRefused,
    /// A lease panics.
    Panics,
    /// A row comes out under another's number.
    NumbersSwapped,
    /// A row that was acknowledged comes again.
    AckedComesAgain,
    /// One row is accepted that is nowhere else.
    AcceptedTwice,
    /// After a restart nobody is told of a loss.
    GapsForgotten,
    /// The last row keeps its room.
    RoomKept,
}

impl Image {
    pub(super) fn has(&self, bug: QueueBug) -> bool {
        self.bug == Some(bug)
    }

    /// The number of a row that came out.
    pub(super) fn seen_number(&self, payload: &[u8]) -> Option<u64> {
        if self.has(QueueBug::Panics) {
            std::panic::resume_unwind(Box::new("planted"));
        }
        super::number(payload).map(|nth| nth ^ u64::from(self.has(QueueBug::NumbersSwapped)))
    }

    /// The ledgers that must add up.
    pub(super) fn seen_ledgers(&self, queue: &Queue) -> Vec<Ledger> {
        let mut ledgers = queue.ledger();
        let more = u64::from(self.has(QueueBug::AcceptedTwice));
        ledgers.iter_mut().for_each(|ledger| ledger.accepted += more);
        ledgers
    }

    /// The rows that a consumer got.
    pub(super) fn seen_rows(&self, mut rows: BTreeSet<u64>, reader: &Reader) -> BTreeSet<u64> {
        if self.has(QueueBug::AckedComesAgain) {
            rows.extend(reader.acked.first());
        }
        rows
    }
}
