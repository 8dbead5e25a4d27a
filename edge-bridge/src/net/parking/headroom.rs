//! Headroom for compaction: while the parked rows have holes, a part of the limits is reserved for moving rows, and closed to new ones.

use edge_queue::{ROW_OVERHEAD_BYTES, Row, aio};

use super::RANGES_MAX;

/// Divisor of the limits that gives the reserved part.
const PART: u64 = 16;

/// Room for the rows of one batch.
pub(super) struct Room {
    /// Messages and bytes that moved rows may take; with those for new rows, `None` if the queue itself decides.
    moved: (u64, u64),
    new: Option<(u64, u64)>,
}

impl Room {
    /// Returns the room in a queue of one lane. `moves`: the batch has rows that a compaction moves.
    pub(super) async fn of(queue: &aio::Queue, moves: bool) -> Self {
        let has_holes = queue.ledger().iter().map(|ledger| ledger.ranges).sum::<u64>() > RANGES_MAX;
        let stats = if has_holes || moves { queue.stats().await } else { None };
        let Some(lane) = stats.as_ref().and_then(|stats| stats.lanes.first()) else {
            return Self { moved: (0, 0), new: None };
        };
        let left = |part: u64| {
            let messages = lane.max_messages.saturating_sub(lane.messages + part * lane.max_messages / PART);
            (messages, lane.max_bytes.saturating_sub(lane.bytes + part * lane.max_bytes / PART))
        };
        Self { moved: left(0), new: has_holes.then(|| left(1)) }
    }

    /// Returns whether there is room for a row. `again`: a compaction moves the row.
    pub(super) fn has(&self, row: &Row, again: bool) -> bool {
        let (messages, bytes) = size(row);
        let fits = |room: &(u64, u64)| room.0 >= messages && room.1 >= bytes;
        if again { fits(&self.moved) } else { self.new.as_ref().is_none_or(fits) }
    }

    /// Takes room for a row, if [`has`](Self::has) finds it. Returns whether there was room.
    pub(super) fn take(&mut self, row: &Row, again: bool) -> bool {
        let (messages, bytes) = size(row);
        let has = self.has(row, again);
        for room in [Some(&mut self.moved), self.new.as_mut()].into_iter().flatten().filter(|_| has) {
            *room = (room.0.saturating_sub(messages), room.1.saturating_sub(bytes));
        }
        has
    }
}

/// Returns the size of a row in messages and bytes, as the limits count it.
fn size(row: &Row) -> (u64, u64) {
    let bytes = row.key.len() + row.meta.len() + row.payload.len();
    (u64::from(row.weight), bytes as u64 + ROW_OVERHEAD_BYTES)
}
