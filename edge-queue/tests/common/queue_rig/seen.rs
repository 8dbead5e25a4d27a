//! The queue as the rig sees it, and the bugs that can be planted there: what the queue did right is seen wrong.

use edge_queue::{Consumer, Event, Gap, Lease, Pending, Queue, Receipt, RowId};

use super::{Plant, Rig};

/// A bug of a queue, planted between it and its judge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "planted by one of the tests that use the rig")]
pub(crate) enum QueueBug {
    /// A row that is looked at after a power cut makes the queue panic.
    Panics,
    /// The last row of a batch is not taken.
    BatchCutShort,
    /// Every other receipt of a commit stays out.
    HalfStored,
    /// A stored row counts as handed over.
    OtherReceipt,
    /// A row comes out as one that nobody pushed.
    RowInvented,
    /// The last byte of a row is another one after a power cut.
    ByteFlipped,
    /// After a power cut a row has the number of the next one.
    OtherIdentity,
    /// After a power cut rows come out from the last to the first.
    RowsReversed,
    /// A discarded row counts as delivered.
    DiscardAcked,
    /// After a power cut a consumer is not known any more.
    ConsumerForgotten,
    /// After a power cut there are no gap records.
    GapsForgotten,
    /// The committed ledger counts one more than was committed.
    CommittedTooHigh,
    /// A power cut is told twice.
    TornTwice,
}

impl Rig {
    pub(super) fn has(&self, bug: QueueBug) -> bool {
        matches!(self.plant, Some(Plant::Queue(planted)) if planted == bug)
    }

    /// The receipt of a push, if it is out.
    pub(super) fn seen_receipt(&self, id: u64, pending: &Pending) -> Option<Receipt> {
        let found = pending.try_get().ok().flatten();
        let stored = found == Some(Receipt::Stored);
        match found {
            Some(_) if self.has(QueueBug::HalfStored) && id % 2 == 1 => None,
            Some(_) if stored && self.has(QueueBug::OtherReceipt) => Some(Receipt::HandedOver),
            found => found,
        }
    }

    /// Payload and identity of a row after a power cut.
    pub(super) fn seen_row(&self, lease: &Lease) -> (Vec<u8>, RowId) {
        if self.has(QueueBug::Panics) {
            std::panic::resume_unwind(Box::new("planted"));
        }
        let (mut payload, mut id) = (lease.payload().to_vec(), lease.id());
        if self.has(QueueBug::RowInvented) {
            payload[4] = 1;
        }
        if self.has(QueueBug::ByteFlipped)
            && let Some(last) = payload.get_mut(8..).and_then(<[u8]>::last_mut)
        {
            *last ^= 1;
        }
        id.seq += u64::from(self.has(QueueBug::OtherIdentity));
        (payload, id)
    }

    /// A consumer's gap records after a power cut.
    pub(super) fn seen_gaps(&self, consumer: &Consumer) -> Vec<Gap> {
        if self.has(QueueBug::GapsForgotten) { Vec::new() } else { consumer.gaps() }
    }

    /// The events after a power cut.
    pub(super) fn seen_events(&self, queue: &Queue) -> Vec<Event> {
        let mut events = queue.events();
        if self.has(QueueBug::TornTwice) {
            events.extend([Event::TailUncertain, Event::TailUncertain]);
        }
        events
    }
}
